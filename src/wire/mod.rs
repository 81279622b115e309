//! Bytes to messages and back, for one connection. Pure: no I/O, no clock; bytes may arrive in any split.
//!
//! A [`Session`] is what runs over a byte stream: the SP header and length framing of tcp and ipc here; a new
//! one (WebSocket) is one file and one line in [`SessionKind`]. It comes in two halves, because a connection
//! reads and writes at the same time: the [`Decoder`] belongs to whoever reads, the [`Encoder`] to whoever
//! queues.

mod decoder;
mod encoder;
mod header;
mod send_queue;

use bytes::Bytes;

use crate::frames::Frames;
use crate::message::Message;
use crate::protocol::Protocol;

pub(crate) use send_queue::SendQueue;

/// What a carrier's bytes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionKind {
    /// SP header, then BE64 length and payload (tcp, R18).
    Length,
    /// SP header, then type byte 01, BE64 length and payload (ipc, R24).
    TypedLength,
}

/// Both halves of a new connection.
pub(crate) struct Session {
    pub(crate) decoder: Box<dyn Decoder>,
    pub(crate) encoder: Box<dyn Encoder>,
    /// Bytes to send at once, before anything of the peer has been seen (R3).
    pub(crate) greeting: Bytes,
}

impl SessionKind {
    /// A session of a socket that speaks `protocol`.
    pub(crate) fn open(self, protocol: Protocol) -> Session {
        let typed = self == SessionKind::TypedLength;
        Session {
            decoder: Box::new(decoder::LengthDecoder::new(protocol, typed)),
            encoder: Box::new(encoder::LengthEncoder::new(typed)),
            greeting: Bytes::copy_from_slice(&header::sp_header(protocol)),
        }
    }
}

/// How much a block may count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// In bytes; the sum stays below it.
    pub(crate) below: usize,
    /// What each message counts beyond its payload.
    pub(crate) overhead: usize,
}

/// What the peer's bytes amounted to.
#[derive(Debug)]
pub(crate) enum Event {
    /// The peer's header is valid: the pipe may be offered to the pattern. Comes once, first.
    Ready,
    /// A complete payload, all of it in the body.
    Message(Message),
}

/// The receiving half.
///
/// Feed what was read to [`next`](Decoder::next) until it returns `None`; it takes bytes off the front of
/// `input` and keeps an incomplete frame itself. After an error the decoder must not be used again.
pub(crate) trait Decoder: Send {
    /// The next event in `input`, or `None` when more bytes are needed (then `input` is empty).
    ///
    /// `max_payload` is the receive limit in bytes, protocol header included; `None` is unlimited. A frame
    /// whose length exceeds it is refused before anything is allocated (R78). Nothing but what has arrived
    /// and one bounded step is allocated (R81).
    fn next(&mut self, input: &mut &[u8], max_payload: Option<usize>) -> Result<Option<Event>, WireError>;

    /// Moves small messages that are complete off the front of `input` into `frames`, while what they count stays
    /// within `room`; the sum. Stops at anything else, which is for [`next`](Decoder::next).
    fn next_block(
        &mut self,
        _input: &mut &[u8],
        _max_payload: Option<usize>,
        _room: Allowance,
        _frames: &mut Frames,
    ) -> usize {
        0
    }

    /// While a large body is incomplete: the buffer it is assembled in and how many bytes are missing. The
    /// connection may read straight into the buffer's spare capacity (reserved here, one bounded step at a
    /// time) and then calls [`body_complete`](Decoder::body_complete). `None`: use `next`.
    fn body_buffer(&mut self) -> Result<Option<(&mut Vec<u8>, usize)>, WireError>;

    /// The event of a body that was completed in its buffer; `None` while bytes are missing.
    fn body_complete(&mut self) -> Option<Event>;

    /// Whether a frame is incomplete: at the end of the stream it is discarded (R97).
    fn is_mid_frame(&self) -> bool;
}

/// Bytes in front of a body: at most a type and a length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ArrayHead {
    bytes: [u8; ArrayHead::MAX_BYTES],
    start: u8,
}

impl ArrayHead {
    pub(crate) const MAX_BYTES: usize = 9;

    /// The last bytes of `bytes`, from `start`.
    pub(crate) fn new(bytes: [u8; ArrayHead::MAX_BYTES], start: u8) -> Self {
        ArrayHead { bytes, start }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(usize::from(self.start)..).unwrap_or_default()
    }
}

/// The sending half: appends framed messages to a queue.
pub(crate) trait Encoder: Send + Sync {
    /// Appends `message` (header, then body) as one frame. A large body goes in by reference, uncopied.
    fn encode(&self, message: Message, queue: &mut SendQueue);

    /// What stands in front of a body of `len` bytes that is written as it is; `None` if the body has to be changed.
    fn head(&self, _len: usize) -> Option<ArrayHead> {
        None
    }

    /// Appends a copy of `body` as one frame without header.
    fn encode_body(&self, body: &[u8], queue: &mut SendQueue) {
        self.encode(Message::copy_from_slice(body), queue);
    }
}

/// What a peer did wrong. Its connection is closed, nobody else is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    /// R6.
    #[error("the peer does not speak SP: its first bytes are {0:02x?}")]
    NotSp([u8; 4]),
    /// R7.
    #[error("the peer speaks version {0} of SP, only 0 exists")]
    Version(u8),
    /// R8.
    #[error("the peer's SP header has reserved bytes {0:#06x} instead of zero")]
    Reserved(u16),
    /// R9.
    #[error("the peer is a socket of protocol number {got}, only {expected} fits")]
    Incompatible { got: u16, expected: u16 },
    /// R25.
    #[error("the peer sent message type {0:#04x}, only 0x01 exists")]
    MessageType(u8),
    /// R78.
    #[error("the peer announced a message of {claimed} bytes, the limit is {limit} (raise NN_RCVMAXSIZE)")]
    TooLong { claimed: u64, limit: u64 },
    /// No memory for what the peer sends; costs this connection only.
    #[error("no memory for a message of {0} bytes")]
    OutOfMemory(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r3_greeting_is_ready_before_anything_of_the_peer_is_seen() {
        for protocol in Protocol::ALL {
            let greeting = SessionKind::Length.open(protocol).greeting;
            assert_eq!(greeting[..4], [0, b'S', b'P', 0]);
            assert_eq!(greeting[4..6], protocol.number().to_be_bytes());
            assert_eq!(greeting[6..], [0, 0]);
        }
    }

    #[test]
    fn r26_ipc_has_the_header_of_tcp() {
        for protocol in Protocol::ALL {
            let tcp = SessionKind::Length.open(protocol);
            let mut ipc = SessionKind::TypedLength.open(protocol);
            assert_eq!(tcp.greeting, ipc.greeting);
            let peer = SessionKind::Length.open(protocol.peer()).greeting;
            let mut input: &[u8] = &peer;
            assert!(matches!(ipc.decoder.next(&mut input, None), Ok(Some(Event::Ready))));
            assert!(input.is_empty());
        }
    }

    #[test]
    fn conversation_of_the_mapping_reads_as_it_is_written() {
        let (mut req, rep) =
            (SessionKind::Length.open(Protocol::Req), SessionKind::Length.open(Protocol::Rep));
        assert_eq!(req.greeting, [0x00, 0x53, 0x50, 0x00, 0x00, 0x30, 0x00, 0x00].as_slice());
        let mut answer = Message::from(b"World");
        answer.set_header(&[0x80, 0, 0, 1]);
        let mut queue = SendQueue::default();
        rep.encoder.encode(answer, &mut queue);
        let mut slices = smallvec::SmallVec::new();
        queue.slices(&mut slices);
        let expected = b"\0SP\0\0\x31\0\0\0\0\0\0\0\0\0\x09\x80\0\0\x01World";
        let frame = slices.iter().flat_map(|slice| slice.to_vec());
        let bytes: Vec<u8> = rep.greeting.iter().copied().chain(frame).collect();
        assert_eq!(bytes, expected);

        let mut input: &[u8] = &bytes;
        assert!(matches!(req.decoder.next(&mut input, None), Ok(Some(Event::Ready))));
        let Ok(Some(Event::Message(message))) = req.decoder.next(&mut input, None) else {
            panic!("a message")
        };
        assert_eq!(message.body(), b"\x80\0\0\x01World");
        assert!(req.decoder.next(&mut input, None).unwrap().is_none());
    }

    #[test]
    fn errors_say_what_the_peer_did_and_what_would_be_right() {
        let error = WireError::Incompatible { got: 17, expected: 16 };
        assert_eq!(error.to_string(), "the peer is a socket of protocol number 17, only 16 fits");
        let error = WireError::TooLong { claimed: 9, limit: 8 };
        assert!(error.to_string().contains("9 bytes, the limit is 8"), "{error}");
        let error = WireError::NotSp(*b"GET ");
        assert!(error.to_string().contains("[47, 45, 54, 20]"), "{error}");
    }
}
