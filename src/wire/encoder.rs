//! Length framing, the sending half: `[01] BE64-length payload` (R18, R19, R24).

use crate::message::Message;

use super::{ArrayHead, Encoder, SendQueue};

/// The one message type of ipc (R24).
pub(super) const TYPE_IN_BAND: u8 = 1;

pub(super) struct LengthEncoder {
    /// ipc puts a type byte in front of the length.
    typed: bool,
}

impl LengthEncoder {
    pub(super) fn new(typed: bool) -> Self {
        LengthEncoder { typed }
    }

    #[inline]
    fn put_head(&self, payload: usize, queue: &mut SendQueue) {
        queue.put(self.head_of(payload).as_slice());
    }

    #[inline]
    fn head_of(&self, payload: usize) -> ArrayHead {
        let [b0, b1, b2, b3, b4, b5, b6, b7] = (payload as u64).to_be_bytes();
        ArrayHead::new([TYPE_IN_BAND, b0, b1, b2, b3, b4, b5, b6, b7], u8::from(!self.typed))
    }
}

impl Encoder for LengthEncoder {
    fn encode(&self, message: Message, queue: &mut SendQueue) {
        self.put_head(message.payload_len(), queue);
        queue.put(message.header());
        match message.shared_body() {
            Some(body) => queue.put_bytes(body),
            None => queue.put(message.body()),
        }
    }

    fn head(&self, len: usize) -> Option<ArrayHead> {
        Some(self.head_of(len))
    }

    fn encode_parts(&self, header: &[u8], body: &[u8], queue: &mut SendQueue) {
        self.put_head(header.len().saturating_add(body.len()), queue);
        if !header.is_empty() {
            queue.put(header);
        }
        queue.put(body);
    }
}

#[cfg(test)]
mod tests {
    use smallvec::SmallVec;

    use super::*;
    use crate::limits::BODY_BY_REFERENCE_BYTES;

    /// The slices in which `message` leaves.
    fn encoded(typed: bool, message: Message) -> Vec<Vec<u8>> {
        let mut queue = SendQueue::default();
        LengthEncoder::new(typed).encode(message, &mut queue);
        let mut slices = SmallVec::new();
        queue.slices(&mut slices);
        slices.iter().map(|slice| slice.to_vec()).collect()
    }

    fn message(header: &[u8], body: &[u8]) -> Message {
        let mut message = Message::from(body);
        message.set_header(header);
        message
    }

    #[test]
    fn r18_tcp_frame_is_length_and_payload_and_nothing_else() {
        let rows: [(Message, &[u8]); 5] = [
            (message(b"", b"A"), &[0, 0, 0, 0, 0, 0, 0, 1, 0x41]),
            (message(b"", b"a1"), &[0, 0, 0, 0, 0, 0, 0, 2, 0x61, 0x31]),
            (message(&[0x80, 0, 0, 1], b""), &[0, 0, 0, 0, 0, 0, 0, 4, 0x80, 0, 0, 1]),
            (
                message(&[0x80, 0, 0, 1], b"Hello"),
                &[0, 0, 0, 0, 0, 0, 0, 9, 0x80, 0, 0, 1, 0x48, 0x65, 0x6c, 0x6c, 0x6f],
            ),
            (
                message(&[0, 0, 0, 7, 0x80, 0, 0, 1], b"Hello"),
                &[0, 0, 0, 0, 0, 0, 0, 13, 0, 0, 0, 7, 0x80, 0, 0, 1, 0x48, 0x65, 0x6c, 0x6c, 0x6f],
            ),
        ];
        for (message, bytes) in rows {
            assert_eq!(encoded(false, message), [bytes]);
        }
    }

    #[test]
    fn r19_length_counts_header_and_body_and_not_itself() {
        for (header_len, body_len) in [(0, 0), (4, 0), (0, 300), (8, 70_000), (32, 20_000)] {
            let bytes = encoded(false, message(&vec![1; header_len], &vec![2; body_len])).concat();
            let length = u64::from_be_bytes(bytes[..8].try_into().unwrap());
            assert_eq!(length, (header_len + body_len) as u64);
            assert_eq!(bytes.len(), 8 + header_len + body_len);
        }
    }

    #[test]
    fn r20_empty_message_is_a_frame_of_length_zero() {
        assert_eq!(encoded(false, Message::new()), [[0; 8]]);
    }

    #[test]
    fn r23_length_and_payload_are_one_gather_write() {
        assert_eq!(encoded(false, message(&[1; 8], &[2; 1000])).len(), 1);
        assert_eq!(encoded(false, message(&[1; 8], &[2; BODY_BY_REFERENCE_BYTES])).len(), 2);
    }

    #[test]
    fn r24_ipc_frame_has_type_01_in_front_of_the_length() {
        let hello = [1, 0, 0, 0, 0, 0, 0, 0, 9, 0x80, 0, 0, 1, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
        assert_eq!(encoded(true, message(&[0x80, 0, 0, 1], b"Hello")), [hello]);
        assert_eq!(encoded(true, Message::new()), [[1, 0, 0, 0, 0, 0, 0, 0, 0]]);
    }

    #[test]
    fn r18_r24_a_body_without_a_message_leaves_as_its_message_does() {
        for (typed, len) in [(false, 0), (false, 1000), (true, 0), (true, 1000)] {
            let (encoder, body, mut queue) = (LengthEncoder::new(typed), vec![7; len], SendQueue::default());
            let expected = encoded(typed, Message::from(&body[..])).concat();
            let (header, rest) = body.split_at(len / 100);
            encoder.encode_parts(header, rest, &mut queue);
            let mut slices = SmallVec::new();
            queue.slices(&mut slices);
            assert_eq!(slices.iter().map(|slice| &slice[..]).collect::<Vec<_>>().concat(), expected);
            let head = encoder.head(len).expect("the body is written as it is");
            assert_eq!([head.as_slice(), &body].concat(), expected);
        }
    }

    #[test]
    fn large_body_leaves_by_reference_and_a_small_one_in_line() {
        for (len, by_reference) in [(BODY_BY_REFERENCE_BYTES - 1, false), (BODY_BY_REFERENCE_BYTES, true)] {
            let message = Message::from(vec![7; len]);
            let address = message.body().as_ptr();
            let mut queue = SendQueue::default();
            LengthEncoder::new(false).encode(message, &mut queue);
            let mut slices = SmallVec::new();
            queue.slices(&mut slices);
            assert_eq!(slices.iter().any(|slice| slice.as_ptr() == address), by_reference, "{len} bytes");
        }
    }
}
