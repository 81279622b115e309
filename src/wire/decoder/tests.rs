use quickcheck::{Arbitrary, Gen, quickcheck};

use super::*;
use crate::wire::{self, Facts, SendQueue, Session};

/// The two kinds of length framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length,
    TypedLength,
}

impl Framing {
    fn open(self, protocol: Protocol) -> Session {
        let kind = match self {
            Framing::Length => wire::SessionKind::Length,
            Framing::TypedLength => wire::SessionKind::TypedLength,
        };
        kind.open(protocol, &Facts::default())
    }
}

const KINDS: [Framing; 2] = [Framing::Length, Framing::TypedLength];
const STEP: usize = BODY_GROWTH_STEP_BYTES;
const BIG: usize = BODY_BY_REFERENCE_BYTES;
const TAIL: usize = BODY_TAIL_BYTES;

fn decoder(kind: Framing, ours: Protocol) -> LengthDecoder {
    LengthDecoder::new(ours, kind == Framing::TypedLength)
}

/// A decoder of a PULL socket that has seen the header of its PUSH peer.
fn greeted(kind: Framing) -> LengthDecoder {
    let mut decoder = decoder(kind, Protocol::Pull);
    let mut input: &[u8] = &header::sp_header(Protocol::Push);
    assert!(matches!(decoder.next(&mut input, None), Ok(Some(Event::Ready))));
    assert!(!decoder.is_mid_frame());
    decoder
}

/// Gives `input` to the decoder and returns the bodies of all messages that come out.
fn feed(
    decoder: &mut LengthDecoder,
    mut input: &[u8],
    max: Option<usize>,
) -> Result<Vec<Vec<u8>>, WireError> {
    let mut bodies = Vec::new();
    while let Some(event) = decoder.next(&mut input, max)? {
        match event {
            Event::Message(message) => {
                assert!(message.header().is_empty(), "where the header ends is the pattern's business");
                bodies.push(message.body().to_vec());
            }
            Event::Ready => bodies.push(b"ready".to_vec()),
            Event::Reply(_) | Event::Close(_) => panic!("length framing says nothing by itself"),
        }
        check_memory(decoder);
    }
    assert!(input.is_empty(), "the decoder left {} bytes", input.len());
    check_memory(decoder);
    Ok(bodies)
}

/// What is held is what was received and at most one step (R81).
fn check_memory(decoder: &LengthDecoder) {
    if let State::Body { buffer, total } = &decoder.state {
        assert!(buffer.len() <= *total);
        assert!(buffer.capacity() <= *total, "{} of {total}", buffer.capacity());
        assert!(buffer.capacity() <= buffer.len() + STEP, "{} for {}", buffer.capacity(), buffer.len());
    }
}

/// The head of a frame as it stands in the mappings, independently of the encoder.
fn head(kind: Framing, length: u64) -> Vec<u8> {
    let mut head = match kind {
        Framing::Length => vec![],
        Framing::TypedLength => vec![1],
    };
    head.extend_from_slice(&length.to_be_bytes());
    head
}

fn frame(kind: Framing, payload: &[u8]) -> Vec<u8> {
    [&head(kind, payload.len() as u64), payload].concat()
}

fn pattern(len: usize) -> Vec<u8> {
    let mut bytes = (0..251).collect::<Vec<u8>>().repeat(len.div_ceil(251));
    bytes.truncate(len);
    bytes
}

#[test]
fn r4_greeting_is_accepted_in_every_split_and_glued_to_messages() {
    for kind in KINDS {
        let bytes =
            [header::sp_header(Protocol::Push).as_slice(), &frame(kind, b"A"), &frame(kind, b"")].concat();
        let expected = vec![b"ready".to_vec(), b"A".to_vec(), b"".to_vec()];
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let mut decoder = decoder(kind, Protocol::Pull);
                let mut got = feed(&mut decoder, &bytes[..first], None).unwrap();
                got.extend(feed(&mut decoder, &bytes[first..second], None).unwrap());
                got.extend(feed(&mut decoder, &bytes[second..], None).unwrap());
                assert_eq!(got, expected, "{kind:?} split at {first} and {second}");
            }
        }
    }
}

#[test]
fn r4_greeting_is_accepted_byte_by_byte() {
    let mut decoder = decoder(Framing::Length, Protocol::Rep);
    assert!(!decoder.is_mid_frame());
    let greeting = [0x00, 0x53, 0x50, 0x00, 0x00, 0x30, 0x00, 0x00];
    for byte in &greeting[..7] {
        assert_eq!(feed(&mut decoder, &[*byte], None), Ok(vec![]));
        assert!(decoder.is_mid_frame());
    }
    assert_eq!(feed(&mut decoder, &greeting[7..], None), Ok(vec![b"ready".to_vec()]));
    assert!(!decoder.is_mid_frame());
}

#[test]
fn r6_bad_greeting_glued_to_messages_yields_no_message() {
    for kind in KINDS {
        let bytes = [b"GET / HTTP/1.1\r\n".as_slice(), &frame(kind, b"A")].concat();
        let result = feed(&mut decoder(kind, Protocol::Pull), &bytes, None);
        assert_eq!(result, Err(WireError::NotSp(*b"GET ")));
    }
    let bytes = [header::sp_header(Protocol::Pub).as_slice(), &frame(Framing::Length, b"A")].concat();
    let result = feed(&mut decoder(Framing::Length, Protocol::Pull), &bytes, None);
    assert_eq!(result, Err(WireError::Incompatible { got: 32, expected: 80 }));
}

#[test]
fn r18_tcp_frames_of_the_mapping_are_read() {
    let rows: [(&[u8], &[u8]); 6] = [
        (&[0, 0, 0, 0, 0, 0, 0, 1, 0x41], b"A"),
        (&[0, 0, 0, 0, 0, 0, 0, 0], b""),
        (&[0, 0, 0, 0, 0, 0, 0, 2, 0x61, 0x31], b"a1"),
        (&[0, 0, 0, 0, 0, 0, 0, 9, 0x80, 0, 0, 1, 0x48, 0x65, 0x6c, 0x6c, 0x6f], b"\x80\0\0\x01Hello"),
        (
            &[0, 0, 0, 0, 0, 0, 0, 13, 0, 0, 0, 7, 0x80, 0, 0, 1, 0x48, 0x65, 0x6c, 0x6c, 0x6f],
            b"\0\0\0\x07\x80\0\0\x01Hello",
        ),
        (&[0, 0, 0, 0, 0, 0, 0, 4, 0x80, 0, 0, 1], b"\x80\0\0\x01"),
    ];
    for (bytes, payload) in rows {
        assert_eq!(feed(&mut greeted(Framing::Length), bytes, None), Ok(vec![payload.to_vec()]));
    }
}

#[test]
fn r20_zero_length_is_an_empty_message() {
    for kind in KINDS {
        for max in [None, Some(0), Some(1)] {
            let mut decoder = greeted(kind);
            let bytes = [frame(kind, b""), frame(kind, b"")].concat();
            assert_eq!(feed(&mut decoder, &bytes, max), Ok(vec![vec![], vec![]]));
            assert!(!decoder.is_mid_frame());
        }
    }
}

#[test]
fn r21_length_is_accepted_in_every_split() {
    for kind in KINDS {
        let bytes = frame(kind, &pattern(300));
        for split in 0..=bytes.len() {
            let mut decoder = greeted(kind);
            let mut got = feed(&mut decoder, &bytes[..split], Some(300)).unwrap();
            assert_eq!(decoder.is_mid_frame(), split > 0 && split < bytes.len());
            got.extend(feed(&mut decoder, &bytes[split..], Some(300)).unwrap());
            assert_eq!(got, [pattern(300)], "{kind:?} split at {split}");
        }
        let mut decoder = greeted(kind);
        let got: Vec<_> = bytes.iter().flat_map(|byte| feed(&mut decoder, &[*byte], None).unwrap()).collect();
        assert_eq!(got, [pattern(300)], "{kind:?} byte by byte");
    }
}

#[test]
fn r22_frames_in_one_read_come_out_in_order() {
    for kind in KINDS {
        let sizes = [0, 1, 62, 63, 0, BIG - 1, BIG, BIG + 1, STEP - 1, STEP, STEP + 1, 0, 5];
        let bytes: Vec<u8> = sizes.iter().flat_map(|size| frame(kind, &pattern(*size))).collect();
        let expected: Vec<_> = sizes.iter().map(|size| pattern(*size)).collect();
        assert_eq!(feed(&mut greeted(kind), &bytes, None), Ok(expected));
    }
}

#[test]
fn r24_ipc_frames_of_the_mapping_are_read() {
    let hello = [1, 0, 0, 0, 0, 0, 0, 0, 9, 0x80, 0, 0, 1, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    let mut decoder = greeted(Framing::TypedLength);
    assert_eq!(feed(&mut decoder, &hello, None), Ok(vec![b"\x80\0\0\x01Hello".to_vec()]));
    assert_eq!(feed(&mut decoder, &[1, 0, 0, 0, 0, 0, 0, 0, 0], None), Ok(vec![vec![]]));
}

#[test]
fn r25_every_other_type_byte_is_refused_at_once() {
    for byte in (0..=u8::MAX).filter(|byte| *byte != 1) {
        let refused = Err(WireError::MessageType(byte));
        assert_eq!(feed(&mut greeted(Framing::TypedLength), &[byte], None), refused);
        let whole = [&[byte], &frame(Framing::Length, b"A")[..]].concat();
        assert_eq!(feed(&mut greeted(Framing::TypedLength), &whole, None), refused);
        let second = [&frame(Framing::TypedLength, b"A")[..], &[byte]].concat();
        assert_eq!(feed(&mut greeted(Framing::TypedLength), &second, None), refused);
    }
}

#[test]
fn r77_limit_counts_the_protocol_header() {
    for kind in KINDS {
        assert_eq!(
            feed(&mut greeted(kind), &frame(kind, b"\x80\0\0\x01four"), Some(8)),
            Ok(vec![b"\x80\0\0\x01four".to_vec()])
        );
        let result = feed(&mut greeted(kind), &frame(kind, b"\x80\0\0\x01fiver"), Some(8));
        assert_eq!(result, Err(WireError::TooLong { claimed: 9, limit: 8 }));
    }
}

#[test]
fn r78_too_long_a_frame_is_refused_before_its_payload() {
    for kind in KINDS {
        let mut decoder = greeted(kind);
        assert_eq!(feed(&mut decoder, &frame(kind, b"fits"), Some(4)), Ok(vec![b"fits".to_vec()]));
        let result = feed(&mut decoder, &head(kind, 5), Some(4));
        assert_eq!(result, Err(WireError::TooLong { claimed: 5, limit: 4 }));
        assert!(matches!(decoder.state, State::Head(_)), "nothing was allocated");
        let result = feed(&mut greeted(kind), &head(kind, 1), Some(0));
        assert_eq!(result, Err(WireError::TooLong { claimed: 1, limit: 0 }));
    }
}

#[test]
fn r79_payload_of_exactly_the_default_limit_passes_and_one_more_byte_does_not() {
    let max = crate::limits::RECV_MAX_BYTES_DEFAULT;
    assert_eq!(max, 1_048_576);
    for kind in KINDS {
        let exact = frame(kind, &pattern(max));
        assert_eq!(feed(&mut greeted(kind), &exact, Some(max)), Ok(vec![pattern(max)]));
        let refused = WireError::TooLong { claimed: max as u64 + 1, limit: max as u64 };
        assert_eq!(feed(&mut greeted(kind), &frame(kind, &pattern(max + 1)), Some(max)), Err(refused));
    }
}

#[test]
fn r80_no_limit_accepts_more_than_the_default() {
    let size = crate::limits::RECV_MAX_BYTES_DEFAULT * 2 + 1;
    for kind in KINDS {
        assert_eq!(feed(&mut greeted(kind), &frame(kind, &pattern(size)), None), Ok(vec![pattern(size)]));
    }
}

#[test]
fn r80_limit_is_looked_at_for_every_message() {
    let mut decoder = greeted(Framing::Length);
    let bytes = frame(Framing::Length, b"12345");
    assert!(feed(&mut decoder, &bytes, Some(5)).is_ok());
    assert!(feed(&mut decoder, &bytes, None).is_ok());
    assert!(feed(&mut decoder, &bytes, Some(4)).is_err());
}

#[test]
fn r81_absurd_lengths_are_refused_whatever_the_limit() {
    for kind in KINDS {
        for claimed in [u64::MAX, 1 << 63, isize::MAX as u64, FRAME_MAX_BYTES + 1] {
            for max in [None, Some(usize::MAX)] {
                let mut decoder = greeted(kind);
                let refused = WireError::TooLong { claimed, limit: FRAME_MAX_BYTES };
                assert_eq!(feed(&mut decoder, &head(kind, claimed), max), Err(refused));
                assert!(matches!(decoder.state, State::Head(_)), "nothing was allocated");
            }
        }
    }
}

#[test]
fn r81_claimed_length_allocates_nothing_and_a_body_grows_by_steps() {
    for kind in KINDS {
        for claimed in [STEP as u64 * 64, 1 << 40, FRAME_MAX_BYTES] {
            let mut decoder = greeted(kind);
            assert_eq!(feed(&mut decoder, &head(kind, claimed), None), Ok(vec![]));
            assert_eq!(held(&decoder), (0, 0));
            assert_eq!(feed(&mut decoder, &[7], None), Ok(vec![]));
            assert_eq!(held(&decoder), (1, 1), "memory may be given for the rest");
            let (buffer, missing) = decoder.body_buffer().unwrap().unwrap();
            assert_eq!((buffer.capacity(), missing as u64), (1 + STEP, claimed - 1));
            assert_eq!(feed(&mut decoder, &vec![7; STEP], None), Ok(vec![]));
            assert_eq!(held(&decoder), (1 + STEP, 1 + STEP));
            let (buffer, missing) = decoder.body_buffer().unwrap().unwrap();
            assert_eq!((buffer.capacity(), missing as u64), (1 + 2 * STEP, claimed - 1 - STEP as u64));
            assert!(decoder.is_mid_frame());
        }
    }
}

/// Bytes received and bytes allocated of the incomplete body.
fn held(decoder: &LengthDecoder) -> (usize, usize) {
    match &decoder.state {
        State::Body { buffer, .. } => (buffer.len(), buffer.capacity()),
        _ => panic!("no body is incomplete"),
    }
}

#[test]
fn r81_small_bodies_allocate_no_more_than_they_claim() {
    let mut decoder = greeted(Framing::Length);
    let bytes = frame(Framing::Length, &pattern(100));
    assert_eq!(feed(&mut decoder, &bytes[..50], None), Ok(vec![]));
    assert_eq!(held(&decoder), (42, 100));
}

#[test]
fn body_buffer_is_offered_while_a_read_of_its_own_pays() {
    let mut decoder = greeted(Framing::Length);
    assert!(decoder.body_buffer().unwrap().is_none(), "no body has begun");
    assert!(decoder.body_complete().is_none());
    let bytes = frame(Framing::Length, &pattern(BIG));
    assert_eq!(feed(&mut decoder, &bytes[..9], None), Ok(vec![]));
    let (buffer, missing) = decoder.body_buffer().unwrap().unwrap();
    assert_eq!((buffer.len(), buffer.capacity(), missing), (1, BIG, BIG - 1));
    assert!(decoder.body_complete().is_none(), "bytes are missing");
    let rest = bytes.len() - TAIL;
    assert_eq!(feed(&mut decoder, &bytes[9..rest], None), Ok(vec![]));
    assert_eq!(decoder.body_buffer().unwrap().unwrap().1, TAIL);
    assert_eq!(feed(&mut decoder, &bytes[rest..rest + 1], None), Ok(vec![]));
    assert!(decoder.body_buffer().unwrap().is_none(), "the rest is small");
    assert_eq!(feed(&mut decoder, &bytes[rest + 1..], None), Ok(vec![pattern(BIG)]));
    assert!(decoder.body_buffer().unwrap().is_none());
    let small = frame(Framing::Length, &pattern(BIG - 1));
    assert_eq!(feed(&mut decoder, &small[..9], None), Ok(vec![]));
    assert!(decoder.body_buffer().unwrap().is_none(), "the body is small");
}

#[test]
fn memory_is_used_for_a_body_that_is_about_as_large() {
    for (capacity, fits) in [(BIG, false), (BIG + 1, true), (2 * (BIG + 1), true), (2 * (BIG + 1) + 1, false)]
    {
        let mut decoder = greeted(Framing::Length);
        decoder.use_memory(vec![7; capacity]);
        let bytes = frame(Framing::Length, &pattern(BIG + 1));
        assert_eq!(feed(&mut decoder, &bytes[..9], None), Ok(vec![]), "no body was there to use it");
        let memory = vec![7; capacity];
        let place = memory.as_ptr();
        decoder.use_memory(memory);
        let (buffer, missing) = decoder.body_buffer().unwrap().unwrap();
        assert_eq!((buffer.as_ptr() == place, buffer.len(), missing), (fits, 1, BIG), "{capacity}");
        assert_eq!(feed(&mut decoder, &bytes[9..], None), Ok(vec![pattern(BIG + 1)]));
    }
}

#[test]
fn a_body_that_is_completed_elsewhere_is_followed_by_the_next_frame() {
    let mut decoder = greeted(Framing::Length);
    assert!(decoder.body_front().is_none(), "no body has begun");
    let (large, small) = (pattern(BIG + 9), pattern(5));
    let frames = [frame(Framing::Length, &large), frame(Framing::Length, &small)].concat();
    assert_eq!(feed(&mut decoder, &frames[..8 + 9], None), Ok(vec![]));
    assert_eq!(decoder.body_front(), Some((&large[..9], BIG)));
    decoder.body_taken();
    assert!(!decoder.is_mid_frame());
    assert_eq!(feed(&mut decoder, &frames[8 + large.len()..], None), Ok(vec![small]));
    let rest = 8 + large.len() - TAIL + 1;
    assert_eq!(feed(&mut decoder, &frames[..rest], None), Ok(vec![]));
    assert!(decoder.body_front().is_none(), "the rest is small");
}

#[test]
fn body_buffer_always_has_room_for_a_read_that_pays() {
    let mut decoder = greeted(Framing::Length);
    let total = 4 * STEP;
    assert_eq!(feed(&mut decoder, &head(Framing::Length, total as u64), None), Ok(vec![]));
    assert_eq!(feed(&mut decoder, &pattern(1), None), Ok(vec![]));
    for received in (1..total).step_by(BIG - 1) {
        if total - received < BIG {
            break;
        }
        let (buffer, missing) = decoder.body_buffer().unwrap().unwrap();
        assert_eq!(missing, total - received);
        assert!(buffer.capacity() - buffer.len() >= BIG);
        buffer.extend(pattern(BIG - 1));
        check_memory(&decoder);
        assert!(decoder.body_complete().is_none());
    }
}

#[test]
fn large_body_is_handed_over_in_the_buffer_it_was_read_into() {
    for size in [BIG, BIG + 1, STEP, STEP + BIG, 1 << 20] {
        let mut decoder = greeted(Framing::TypedLength);
        assert_eq!(feed(&mut decoder, &head(Framing::TypedLength, size as u64), None), Ok(vec![]));
        let content = pattern(size);
        let (event, address) = loop {
            let (buffer, missing) = decoder.body_buffer().unwrap().unwrap();
            let (at, room) = (buffer.len(), buffer.capacity() - buffer.len());
            buffer.extend_from_slice(&content[at..at + room.min(missing)]);
            let address = buffer.as_ptr();
            check_memory(&decoder);
            if let Some(event) = decoder.body_complete() {
                break (event, address);
            }
        };
        let Event::Message(message) = event else { panic!("not a message: {event:?}") };
        let body = message.into_bytes();
        assert_eq!(body, content);
        assert_eq!(body.as_ptr(), address, "the body of {size} bytes was copied");
        assert!(body.is_unique());
        assert!(!decoder.is_mid_frame());
    }
}

#[test]
fn r97_partial_frame_is_known_as_such_and_complete_ones_are_out() {
    for kind in KINDS {
        let bytes = [frame(kind, b"whole"), frame(kind, b"partial")].concat();
        let whole = frame(kind, b"whole").len();
        for end in whole..bytes.len() {
            let mut decoder = greeted(kind);
            assert_eq!(feed(&mut decoder, &bytes[..end], None), Ok(vec![b"whole".to_vec()]));
            assert_eq!(decoder.is_mid_frame(), end > whole, "{kind:?} ends at {end}");
        }
    }
}

/// More than any test needs, and less than a block without end.
const ANY_ROOM: Allowance = Allowance { below: 100_000, overhead: 1 };

/// Lets the decoder take a block off the front of `input`: the lengths of its payloads, and what it says they count.
fn block(
    decoder: &mut LengthDecoder,
    input: &mut &[u8],
    max: Option<usize>,
    room: Allowance,
) -> (Vec<usize>, usize) {
    let mut frames = Frames::default();
    let counted = decoder.next_block(input, max, room, &mut frames);
    let lengths = std::iter::from_fn(|| {
        let (taken, _) = frames.pop()?;
        assert_eq!(taken.body(), pattern(taken.body().len()));
        Some(taken.body().len())
    });
    (lengths.collect(), counted)
}

#[test]
fn r18_r24_a_block_takes_small_frames_until_a_large_one() {
    for kind in KINDS {
        let lengths = [3, 0, 500, BIG - 1, BIG, 1];
        let frames = lengths.map(|length| frame(kind, &pattern(length)));
        let bytes = frames.concat();
        let (mut decoder, mut input) = (greeted(kind), bytes.as_slice());
        let taken = block(&mut decoder, &mut input, None, ANY_ROOM);
        assert_eq!(taken, (lengths[..4].to_vec(), 503 + BIG - 1 + 4));
        assert_eq!(input, frames[4..].concat());
        assert_eq!(block(&mut decoder, &mut input, None, ANY_ROOM), (vec![], 0));
        let rest = feed(&mut decoder, input, None).unwrap();
        assert_eq!(rest, [pattern(BIG), pattern(1)]);
    }
}

#[test]
fn r112_a_block_stays_below_what_there_is_room_for() {
    for kind in KINDS {
        let bytes = [7, 0, 30, 1].map(|length| frame(kind, &pattern(length))).concat();
        for (below, taken) in [(0, 0), (17, 0), (18, 1), (27, 1), (28, 2), (67, 2), (68, 3), (78, 3), (79, 4)]
        {
            let mut input = bytes.as_slice();
            let (lengths, counted) =
                block(&mut greeted(kind), &mut input, None, Allowance { below, overhead: 10 });
            assert_eq!(lengths, [7, 0, 30, 1][..taken], "{kind:?} below {below}");
            assert_eq!(counted, lengths.iter().map(|length| length + 10).sum::<usize>());
            let left = [7, 0, 30, 1][taken..].iter().map(|length| frame(kind, &pattern(*length)));
            assert_eq!(input, left.collect::<Vec<_>>().concat());
        }
    }
}

#[test]
fn r78_a_block_ends_before_a_frame_that_is_too_long() {
    for kind in KINDS {
        let bytes = [4, 5, 1].map(|length| frame(kind, &pattern(length))).concat();
        let (mut decoder, mut input) = (greeted(kind), bytes.as_slice());
        assert_eq!(block(&mut decoder, &mut input, Some(4), ANY_ROOM), (vec![4], 5));
        let refused = decoder.next(&mut input, Some(4));
        assert!(matches!(refused, Err(WireError::TooLong { claimed: 5, limit: 4 })), "{refused:?}");
    }
}

#[test]
fn r25_a_block_ends_before_a_frame_of_another_type() {
    let mut bytes = [frame(Framing::TypedLength, b"\0"), frame(Framing::TypedLength, b"\0")].concat();
    bytes[10] = 2;
    let (mut decoder, mut input) = (greeted(Framing::TypedLength), bytes.as_slice());
    assert_eq!(block(&mut decoder, &mut input, None, ANY_ROOM), (vec![1], 2));
    assert!(matches!(decoder.next(&mut input, None), Err(WireError::MessageType(2))));
}

#[test]
fn a_block_takes_whole_frames_only_and_none_before_the_header() {
    for kind in KINDS {
        let whole = frame(kind, &pattern(20));
        for end in 0..whole.len() {
            let mut decoder = greeted(kind);
            let mut input = &whole[..end];
            assert_eq!(block(&mut decoder, &mut input, None, ANY_ROOM), (vec![], 0));
            assert_eq!(input.len(), end, "{kind:?}: what is incomplete is left alone");
            assert_eq!(feed(&mut decoder, input, None), Ok(vec![]));

            // What completes it may look like a frame of its own.
            let mut input = whole.as_slice();
            let (lengths, _) = block(&mut decoder, &mut input, None, ANY_ROOM);
            assert_eq!(lengths.len(), usize::from(end == 0), "{kind:?} after {end} bytes of another frame");
        }
        let mut input = whole.as_slice();
        assert_eq!(block(&mut decoder(kind, Protocol::Pull), &mut input, None, ANY_ROOM), (vec![], 0));
        assert_eq!(input.len(), whole.len());
    }
}

/// Payloads, and in which pieces and by which of the two ways their frames are read.
#[derive(Clone, Debug)]
struct Plan {
    kind: Framing,
    messages: Vec<(Vec<u8>, usize)>,
    reads: Vec<(usize, bool)>,
}

impl Arbitrary for Plan {
    fn arbitrary(g: &mut Gen) -> Self {
        const SIZES: [usize; 14] =
            [0, 0, 1, 20, 62, 63, 1000, BIG - 1, BIG, BIG + 1, 5 * BIG, STEP - 1, STEP, 2 * STEP + 1];
        const READS: [usize; 10] = [1, 1, 2, 7, 8, 9, 100, BIG, 128 * 1024, usize::MAX];
        Plan {
            kind: *g.choose(&KINDS).unwrap(),
            messages: (0..u8::arbitrary(g) % 6)
                .map(|_| {
                    let header_words = usize::arbitrary(g) % 9;
                    let body = *g.choose(&SIZES).unwrap() + usize::arbitrary(g) % 3;
                    (pattern(header_words * 4), body)
                })
                .collect(),
            reads: (0..16).map(|_| (*g.choose(&READS).unwrap(), bool::arbitrary(g))).collect(),
        }
    }
}

impl Plan {
    fn messages(&self) -> impl Iterator<Item = Message> {
        self.messages.iter().map(|(header, body_len)| {
            let mut message = Message::from(pattern(*body_len));
            message.set_header(header);
            message
        })
    }

    /// What a peer that sends these messages writes.
    fn bytes(&self) -> Vec<u8> {
        let Session { greeting, encoder, .. } = self.kind.open(Protocol::Push);
        let mut queue = SendQueue::default();
        self.messages().for_each(|message| encoder.encode(message, &mut queue));
        // A few messages leave in one gather write.
        let mut slices = smallvec::SmallVec::new();
        queue.slices(&mut slices);
        let bytes = slices.iter().map(|slice| &slice[..]).collect::<Vec<_>>().concat();
        assert_eq!(bytes.len(), queue.len());
        [&greeting, &bytes[..]].concat()
    }

    /// Reads `bytes` as a connection does: into a block, or straight into the body where that is offered.
    fn read(&self, mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, WireError> {
        let mut decoder = decoder(self.kind, Protocol::Pull);
        let mut got = Vec::new();
        // A short plan is repeated with ever longer reads, so that single bytes do not fill the test's time.
        for (turn, (size, direct)) in self.reads.iter().cycle().enumerate() {
            assert!(turn < 10_000, "the decoder does not get on");
            let size = size.saturating_add(turn * turn);
            if direct & !bytes.is_empty()
                && let Some((buffer, missing)) = decoder.body_buffer()?
            {
                let room = buffer.capacity() - buffer.len();
                let (front, rest) = bytes.split_at(size.min(missing).min(room).min(bytes.len()));
                buffer.extend_from_slice(front);
                bytes = rest;
                check_memory(&decoder);
                if let Some(Event::Message(message)) = decoder.body_complete() {
                    got.push(message.body().to_vec());
                }
            } else {
                let (front, rest) = bytes.split_at(size.min(bytes.len()));
                bytes = rest;
                got.extend(feed(&mut decoder, front, None)?);
            }
            if bytes.is_empty() {
                break;
            }
        }
        assert!(!decoder.is_mid_frame());
        Ok(got)
    }
}

#[test]
fn what_continues_a_frame_or_is_large_is_not_sole() {
    for kind in KINDS {
        let (small, large) = (frame(kind, b"abc"), frame(kind, &pattern(BIG)));
        assert_eq!(greeted(kind).sole(&small, None), Some(&b"abc"[..]));
        assert_eq!(greeted(kind).sole(&large, None), None);
        assert_eq!(decoder(kind, Protocol::Pull).sole(&small, None), None, "no header yet");
        for (before, input) in [(head(kind, 100), &small), (small[..1].to_vec(), &small)] {
            let mut decoder = greeted(kind);
            assert_eq!(feed(&mut decoder, &before, None), Ok(vec![]));
            assert_eq!(decoder.sole(input, None), None, "{before:?} is before it");
        }
    }
}

/// Bytes that look right for a while: frames, heads that claim anything, noise.
#[derive(Clone, Debug)]
struct Garbage {
    kind: Framing,
    greeted: bool,
    bytes: Vec<u8>,
    splits: Vec<usize>,
    max: Option<usize>,
}

impl Arbitrary for Garbage {
    fn arbitrary(g: &mut Gen) -> Self {
        let kind = *g.choose(&KINDS).unwrap();
        let mut bytes = Vec::new();
        for _ in 0..u8::arbitrary(g) % 6 {
            match u8::arbitrary(g) % 5 {
                0 => bytes.extend(Vec::<u8>::arbitrary(g)),
                1 => bytes.extend(head(kind, u64::arbitrary(g))),
                2 => bytes.extend(head(kind, u64::from(u32::arbitrary(g)))),
                3 => bytes.extend(frame(kind, &pattern(usize::arbitrary(g) % (2 * BIG)))),
                _ => bytes.extend(frame(kind, &Vec::arbitrary(g))),
            }
        }
        Garbage {
            kind,
            greeted: u8::arbitrary(g) % 4 != 0,
            bytes,
            splits: (0..8).map(|_| usize::arbitrary(g) % 5000 + 1).collect(),
            max: *g.choose(&[None, Some(0), Some(100), Some(3 * BIG), Some(usize::MAX)]).unwrap(),
        }
    }
}

quickcheck! {
    fn r18_to_r25_what_is_encoded_is_decoded_in_any_split_and_by_any_way_of_reading(plan: Plan) -> bool {
        let expected: Vec<_> = std::iter::once(b"ready".to_vec())
            .chain(plan.messages().map(|message| [message.header(), message.body()].concat()))
            .collect();
        plan.read(&plan.bytes()) == Ok(expected)
    }

    fn what_is_sole_is_what_would_be_a_block_of_one(bodies: Vec<Vec<u8>>, cut: Option<u16>, max: Option<u8>) -> bool {
        let max = max.map(usize::from);
        KINDS.into_iter().all(|kind| {
            let frames: Vec<u8> = bodies.iter().take(2).flat_map(|body| frame(kind, body)).collect();
            let input = cut.map_or(&frames[..], |at| &frames[..usize::from(at) % (frames.len() + 1)]);
            let (mut rest, mut block) = (input, Frames::default());
            let room = Allowance { below: usize::MAX, overhead: 1 };
            let counted = greeted(kind).next_block(&mut rest, max, room, &mut block);
            let only = bodies.first().filter(|body| rest.is_empty() && counted == body.len() + 1);
            greeted(kind).sole(input, max) == only.map(|body| &body[..])
        })
    }

    fn r81_garbage_ends_in_an_error_or_waits_and_holds_what_arrived_plus_one_step(garbage: Garbage) -> bool {
        let mut decoder =
            if garbage.greeted { greeted(garbage.kind) } else { decoder(garbage.kind, Protocol::Pull) };
        let mut bytes: &[u8] = &garbage.bytes;
        let mut delivered = 0;
        for size in garbage.splits.iter().cycle() {
            let (front, rest) = bytes.split_at((*size).min(bytes.len()));
            bytes = rest;
            // `feed` checks after every event what is held.
            match feed(&mut decoder, front, garbage.max) {
                Ok(bodies) => delivered += bodies.iter().map(Vec::len).sum::<usize>(),
                Err(_) => return true,
            }
            if bytes.is_empty() {
                break;
            }
        }
        delivered <= garbage.bytes.len()
    }
}
