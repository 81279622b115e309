//! Bytes to messages and back, for one connection. Pure: no I/O, no clock; bytes may arrive in any split.
//!
//! A [`Session`] is what runs over a byte stream: the SP header and length framing of tcp and ipc here, WebSocket in
//! `ws`; a new one is one file and one line in [`SessionKind`]. It comes in two halves, because a connection
//! reads and writes at the same time: the [`Decoder`] belongs to whoever reads, the [`Encoder`] to whoever
//! queues.

mod decoder;
mod encoder;
mod header;
mod send_queue;
#[cfg(feature = "ws")]
pub(crate) mod ws;

use bytes::Bytes;

use crate::frames::Frames;
use crate::limits::{BODY_BY_REFERENCE_BYTES, BODY_TAIL_BYTES};
use crate::message::{Message, WsMessageType};
use crate::protocol::Protocol;

pub(crate) use send_queue::SendQueue;

/// What a carrier's bytes mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SessionKind {
    /// SP header, then BE64 length and payload (tcp, R18).
    Length,
    /// SP header, then type byte 01, BE64 length and payload (ipc, R24).
    TypedLength,
    /// HTTP upgrade, then WebSocket messages (R36).
    #[cfg(feature = "ws")]
    WebSocket(std::sync::Arc<ws::Role>),
}

/// What a session is told about the one connection that it is for.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(not(feature = "ws"), allow(dead_code, reason = "only WebSocket sessions ask"))]
pub(crate) struct Facts {
    /// Bytes that nobody can guess; see [`SessionKind::needs_secret`].
    pub(crate) secret: [u8; 16],
    /// NN_WS_MSG_TYPE.
    pub(crate) ws_message_type: WsMessageType,
}

/// Both halves of a new connection.
pub(crate) struct Session {
    pub(crate) decoder: Box<dyn Decoder>,
    pub(crate) encoder: Box<dyn Encoder>,
    /// Bytes to send at once, before anything of the peer has been seen (R3).
    pub(crate) greeting: Bytes,
}

impl SessionKind {
    /// Whether the session uses [`Facts::secret`].
    pub(crate) fn needs_secret(&self) -> bool {
        !matches!(self, SessionKind::Length | SessionKind::TypedLength)
    }

    /// A session of a socket that speaks `protocol`.
    #[cfg_attr(not(feature = "ws"), allow(unused_variables, reason = "only WebSocket sessions ask"))]
    pub(crate) fn open(&self, protocol: Protocol, facts: &Facts) -> Session {
        let typed = match self {
            SessionKind::Length => false,
            SessionKind::TypedLength => true,
            #[cfg(feature = "ws")]
            SessionKind::WebSocket(role) => return ws::open(role, protocol, facts),
        };
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
    /// To be sent to the peer now, in front of what the application sends later: a response, a pong.
    #[cfg_attr(not(feature = "ws"), allow(dead_code, reason = "length framing answers nothing"))]
    Reply(Bytes),
    /// The peer said goodbye: to be sent, and then the connection ends without anybody being at fault.
    #[cfg_attr(not(feature = "ws"), allow(dead_code, reason = "length framing has no goodbye"))]
    Close(Bytes),
}

/// How many bytes are missing of a large body of which so many are here. `None` for others, which are read with what comes
/// behind them, and where less is missing than would be read along anyway.
fn missing_of_large(here: usize, total: usize) -> Option<usize> {
    let missing = total.saturating_sub(here);
    (total >= BODY_BY_REFERENCE_BYTES && missing >= BODY_TAIL_BYTES).then_some(missing)
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
        input: &mut &[u8],
        max_payload: Option<usize>,
        room: Allowance,
        frames: &mut Frames,
    ) -> usize;

    /// The payload, if the input is one small message that is complete, and nothing else: then it is decoded with that.
    /// `None` says nothing, and changes nothing either.
    fn sole<'a>(&self, _input: &'a [u8], _max_payload: Option<usize>) -> Option<&'a [u8]> {
        None
    }

    /// While a large body is incomplete: the buffer it is assembled in and how many bytes are missing. The
    /// connection may read straight into the buffer's spare capacity (reserved here, one bounded step at a
    /// time) and then calls [`body_complete`](Decoder::body_complete). `None`: use `next`.
    fn body_buffer(&mut self) -> Result<Option<(&mut Vec<u8>, usize)>, WireError>;

    /// While a large body is incomplete: memory for it, which is used if it is about as large.
    fn use_memory(&mut self, _memory: Vec<u8>) {}

    /// The event of a body that was completed in its buffer; `None` while bytes are missing.
    fn body_complete(&mut self) -> Option<Event>;

    /// While a large body is incomplete: what is here of it, and how many bytes are missing, for who has a better place
    /// for all of it. Then [`body_taken`](Decoder::body_taken). `None` where the body has to be seen.
    fn body_front(&self) -> Option<(&[u8], usize)> {
        None
    }

    /// The body that was incomplete is complete elsewhere: the next frame begins.
    fn body_taken(&mut self) {}

    /// Whether a frame is incomplete: at the end of the stream it is discarded (R97).
    fn is_mid_frame(&self) -> bool;

    /// What the peer is told before its connection is closed for an error that this decoder returned; empty for
    /// nothing.
    fn last_words(&mut self, _error: &WireError) -> Bytes {
        Bytes::new()
    }
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

    /// Appends copies of `header` and `body` as one frame.
    fn encode_parts(&self, header: &[u8], body: &[u8], queue: &mut SendQueue);
}

/// What a peer did wrong. Its connection is closed, nobody else is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(not(feature = "ws"), allow(dead_code, reason = "some are WebSocket's alone"))]
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
    /// R42, R56.
    #[error("the peer's request for an upgrade to WebSocket was refused: {status} {reason}")]
    UpgradeRefused { status: u16, reason: &'static str },
    /// R53.
    #[error("the server refused the upgrade to WebSocket with HTTP status {0}")]
    HttpStatus(u16),
    /// R51, R52.
    #[error("the server's response is no upgrade to WebSocket: {0}")]
    NotUpgraded(&'static str),
    /// R60, R65.
    #[error("the peer broke the rules of WebSocket: {0}")]
    Frame(&'static str),
    /// R64.
    #[error("the peer sent a WebSocket text that is not UTF-8")]
    NotText,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r3_greeting_is_ready_before_anything_of_the_peer_is_seen() {
        for protocol in Protocol::ALL {
            let greeting = SessionKind::Length.open(protocol, &Facts::default()).greeting;
            assert_eq!(greeting[..4], [0, b'S', b'P', 0]);
            assert_eq!(greeting[4..6], protocol.number().to_be_bytes());
            assert_eq!(greeting[6..], [0, 0]);
        }
    }

    #[test]
    fn r26_ipc_has_the_header_of_tcp() {
        for protocol in Protocol::ALL {
            let tcp = SessionKind::Length.open(protocol, &Facts::default());
            let mut ipc = SessionKind::TypedLength.open(protocol, &Facts::default());
            assert_eq!(tcp.greeting, ipc.greeting);
            let peer = SessionKind::Length.open(protocol.peer(), &Facts::default()).greeting;
            let mut input: &[u8] = &peer;
            assert!(matches!(ipc.decoder.next(&mut input, None), Ok(Some(Event::Ready))));
            assert!(input.is_empty());
        }
    }

    #[test]
    fn only_websockets_ask_for_a_secret() {
        assert!(!SessionKind::Length.needs_secret() && !SessionKind::TypedLength.needs_secret());
        #[cfg(feature = "ws")]
        assert!(SessionKind::WebSocket(std::sync::Arc::new(ws::Role::Server { path: None })).needs_secret());
    }

    #[test]
    fn conversation_of_the_mapping_reads_as_it_is_written() {
        let open = |protocol| SessionKind::Length.open(protocol, &Facts::default());
        let (mut req, rep) = (open(Protocol::Req), open(Protocol::Rep));
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
