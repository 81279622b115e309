//! The header stack of REQ, REP, SURVEYOR and RESPONDENT.
//!
//! A request or survey starts with one 32-bit word per device it crossed, most recent first, top bit clear,
//! and then one word with the top bit set: its id, the bottom of the stack. An answer carries the same words
//! back. A payload arrives as header bytes followed by body bytes, split anywhere; nothing here copies a
//! large body.

use crate::limits::HEADER_WORD_BYTES;
use crate::message::Message;

/// The top bit: set in ids, clear in the words of devices.
pub(super) const BOTTOM: u32 = 0x8000_0000;

/// Makes the stack of a request or survey its header and the rest its body.
///
/// False when the message must be dropped: it ends before a word with the top bit (R153), or has more than
/// `max_words` words (R166). The bound is part of the loop, so a long run of zeroes costs `max_words` steps.
pub(super) fn split_stack(message: &mut Message, max_words: u8) -> bool {
    for count in 1..=usize::from(max_words) {
        let end = count * HEADER_WORD_BYTES;
        match word_at(message, end - HEADER_WORD_BYTES) {
            None => return false,
            Some(word) if word & BOTTOM != 0 => return message.split_header(end),
            Some(_) => {}
        }
    }
    false
}

/// Bytes of the stack in front of a payload that lies in one piece; `None` as `split_stack` is false.
pub(super) fn stack_len(payload: &[u8], max_words: u8) -> Option<usize> {
    let (words, _) = payload.as_chunks::<HEADER_WORD_BYTES>();
    let is_id = |word: &[u8; HEADER_WORD_BYTES]| u32::from_be_bytes(*word) & BOTTOM != 0;
    // No device stands between most who ask and who answers.
    if max_words > 0 && words.first().is_some_and(is_id) {
        return Some(HEADER_WORD_BYTES);
    }
    let before = words.iter().take(usize::from(max_words)).position(is_id)?;
    Some((before + 1) * HEADER_WORD_BYTES)
}

/// Makes the first word of an answer its header and the rest its body (R217). False when it has no word.
pub(super) fn split_first_word(message: &mut Message) -> bool {
    message.split_header(HEADER_WORD_BYTES)
}

/// Makes an answer to `id` its body alone. False, changing nothing, when it answers something else.
pub(super) fn strip_id(message: &mut Message, id: u32) -> bool {
    if word_at(message, 0) != Some(id) || !split_first_word(message) {
        return false;
    }
    message.set_header(&[]);
    true
}

/// The id that follows `id`: 31 bits that count up, and the top bit (R131, R192).
pub(super) fn next_id(id: u32) -> u32 {
    id.wrapping_add(1) | BOTTOM
}

/// The word at `offset` bytes of the payload, wherever it is split.
pub(super) fn word_at(message: &Message, offset: usize) -> Option<u32> {
    let (header, body) = (message.header(), message.body());
    if let Some(start) = offset.checked_sub(header.len()) {
        return body.get(start..)?.first_chunk().copied().map(u32::from_be_bytes);
    }
    if let Some(word) = header.get(offset..).and_then(|rest| rest.first_chunk()) {
        return Some(u32::from_be_bytes(*word));
    }
    let mut word = [0; HEADER_WORD_BYTES];
    let mut bytes = header.iter().skip(offset).chain(body);
    for byte in &mut word {
        *byte = *bytes.next()?;
    }
    Some(u32::from_be_bytes(word))
}

#[cfg(test)]
mod tests {
    use quickcheck::{TestResult, quickcheck};

    use super::*;

    /// The payload with so many of its bytes as header and the rest as body.
    fn payload(bytes: &[u8], header: usize) -> Message {
        let (header, body) = bytes.split_at(header.min(bytes.len()));
        let mut message = Message::from(body);
        message.set_header(header);
        message
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// The naive model: looks at the whole payload, then decides.
    fn model_len(bytes: &[u8], max_words: u8) -> Option<usize> {
        let count = bytes.chunks_exact(4).position(|word| word[0] & 0x80 != 0)? + 1;
        (count <= usize::from(max_words)).then_some(count * 4)
    }

    quickcheck! {
        fn r152_r166_splits_like_a_model_wherever_the_payload_is_split(
            devices: u8, id: bool, rest: Vec<u8>, header: usize, max_words: u8
        ) -> bool {
            let mut bytes = words(&vec![7; usize::from(devices % 12)]);
            bytes.extend_from_slice(if id { &[0x80, 1, 2, 3] } else { &[] });
            bytes.extend_from_slice(&rest);
            let max_words = max_words % 12 + 1;
            let mut message = payload(&bytes, header % (bytes.len() + 1));
            let len = model_len(&bytes, max_words);
            assert_eq!(stack_len(&bytes, max_words), len);
            match len {
                None => !split_stack(&mut message, max_words),
                Some(len) => {
                    split_stack(&mut message, max_words)
                        && (message.header(), message.body()) == bytes.split_at(len)
                }
            }
        }

        fn r217_the_first_word_becomes_the_header(bytes: Vec<u8>, header: usize) -> bool {
            let mut message = payload(&bytes, header % (bytes.len() + 1));
            match bytes.split_at_checked(4) {
                None => !split_first_word(&mut message),
                Some(parts) => {
                    split_first_word(&mut message) && (message.header(), message.body()) == parts
                }
            }
        }

        fn words_are_read_across_the_split(bytes: Vec<u8>, header: usize, offset: usize) -> TestResult {
            let offset = offset % (bytes.len() + 2);
            let expected = bytes.get(offset..).and_then(|rest| rest.first_chunk());
            let message = payload(&bytes, header % (bytes.len() + 1));
            TestResult::from_bool(word_at(&message, offset) == expected.map(|word| u32::from_be_bytes(*word)))
        }
    }

    #[test]
    fn r166_a_run_of_zeroes_is_given_up_at_the_bound() {
        let mut message = Message::from(vec![0; 1 << 20]);
        assert!(!split_stack(&mut message, 255));
        assert_eq!((message.header().len(), message.len()), (0, 1 << 20));
    }

    #[test]
    fn a_large_body_is_not_copied() {
        let mut bytes = words(&[5, 0x8000_0001]);
        bytes.resize(1 << 20, b'x');
        let body = bytes::Bytes::from(bytes);
        let end = body.as_ptr_range().end;
        let mut message = Message::from(body);
        assert!(split_stack(&mut message, 8));
        assert_eq!(message.body().as_ptr_range().end, end);
    }

    #[test]
    fn r146_only_the_whole_id_is_stripped() {
        let mut message = payload(&words(&[0x8000_0001, 9]), 2);
        assert!(!strip_id(&mut message, 0x8000_0002));
        assert_eq!(message.header().len(), 2);
        assert!(strip_id(&mut message, 0x8000_0001));
        assert_eq!((message.header(), message.body()), (&[][..], &words(&[9])[..]));
        assert!(!strip_id(&mut Message::from(&[0x80, 0, 0]), 0x8000_0000));
    }

    #[test]
    fn r132_ids_count_up_and_keep_the_top_bit() {
        assert_eq!(next_id(BOTTOM | 5), BOTTOM | 6);
        assert_eq!(next_id(u32::MAX), BOTTOM);
    }
}
