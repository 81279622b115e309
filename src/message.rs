//! [`Message`]: a protocol header and a body, the body shared and never copied once it is large.

use std::fmt;
use std::num::NonZeroU8;
#[cfg(feature = "tls")]
use std::sync::Arc;

use bytes::Bytes;

use crate::limits::{HEADER_INLINE_BYTES, HEADER_WORD_BYTES, INLINE_BODY_BYTES};
#[cfg(feature = "tls")]
use crate::peer::PeerIdentity;

/// One message: what the application sees as body, and in front of it the protocol header of raw sockets.
///
/// Bodies up to [`INLINE_BODY_BYTES`](crate::limits::INLINE_BODY_BYTES) bytes live in the message itself;
/// larger ones are [`Bytes`], so cloning a message, sending it to many peers and passing it over inproc copies
/// no body. The header is empty on every cooked socket.
///
/// ```
/// use spmsg::Message;
/// let message = Message::from("volume 7 changed");
/// assert_eq!(message.body(), b"volume 7 changed");
/// assert!(message.header().is_empty());
/// ```
#[derive(Clone, Default)]
pub struct Message {
    header: Header,
    body: Body,
    ws_type: Option<WsMessageType>,
    /// Who sent it, if the connection proved that. The messages of one connection share it.
    #[cfg(feature = "tls")]
    peer: Option<Arc<PeerIdentity>>,
}

/// What a message is to a WebSocket peer (RFC 6455 section 5.6).
///
/// ```
/// use spmsg::{Message, WsMessageType};
/// let mut message = Message::from("shown by a browser as a string");
/// assert_eq!(message.ws_type(), None);
/// message.set_ws_type(Some(WsMessageType::Text));
/// assert_eq!(message.ws_type(), Some(WsMessageType::Text));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WsMessageType {
    /// Text, which must be UTF-8: a peer that gets anything else closes the connection.
    Text,
    /// Bytes.
    #[default]
    Binary,
}

// What tells a message from an error is a byte of the message that has values to spare. If that were the first one, it
// would be looked at by itself and the rest moved from odd places, in other pieces than those it was just written in: a
// processor waits for such. So the byte that tells one variant from the other stands last here, and has no other value to
// spare; that of `ws_type` has.

#[derive(Clone)]
enum Header {
    Inline(InlineHeader),
    Heap(Vec<u8>),
}

/// The first bytes of `data`.
#[derive(Clone)]
#[repr(C, align(8))]
struct InlineHeader {
    data: [u8; HEADER_INLINE_BYTES],
    len: Count,
}

#[derive(Clone)]
enum Body {
    Inline(InlineBody),
    Heap(Bytes),
}

/// The bytes `data[start..end]`: a protocol header is taken off the front by moving `start`.
#[derive(Clone)]
#[repr(C, align(8))]
struct InlineBody {
    data: [u8; INLINE_BODY_BYTES],
    start: u8,
    end: Count,
}

/// A number of bytes that is small, and never the byte 0.
#[derive(Clone, Copy)]
struct Count(NonZeroU8);

impl Count {
    const ZERO: Count = Count(NonZeroU8::MIN);

    #[inline]
    fn new(bytes: usize) -> Self {
        Count(NonZeroU8::MIN.saturating_add(bytes as u8))
    }

    #[inline]
    fn get(self) -> usize {
        usize::from(self.0.get()) - 1
    }
}

impl InlineHeader {
    #[inline]
    fn bytes(&self) -> &[u8] {
        &self.data[..self.len.get()]
    }
}

impl InlineBody {
    #[inline]
    fn bytes(&self) -> &[u8] {
        &self.data[usize::from(self.start)..self.end.get()]
    }
}

impl Default for Header {
    #[inline]
    fn default() -> Self {
        Header::Inline(InlineHeader { data: [0; HEADER_INLINE_BYTES], len: Count::ZERO })
    }
}

impl Default for Body {
    #[inline]
    fn default() -> Self {
        Body::Inline(InlineBody { data: [0; INLINE_BODY_BYTES], start: 0, end: Count::ZERO })
    }
}

impl Message {
    /// An empty message: legal in every pattern, and delivered as such (R20).
    ///
    /// ```
    /// assert!(spmsg::Message::new().is_empty());
    /// ```
    #[inline]
    pub fn new() -> Self {
        Self::default()
    }

    /// A message with a copy of `body`.
    ///
    /// ```
    /// assert_eq!(spmsg::Message::copy_from_slice(b"abc").body(), b"abc");
    /// ```
    #[inline]
    pub fn copy_from_slice(body: &[u8]) -> Self {
        let mut message = Message::new();
        message.set_body(body);
        message
    }

    /// Makes a copy of `body` the body of a new message.
    #[inline]
    pub(crate) fn set_body(&mut self, body: &[u8]) {
        match &mut self.body {
            Body::Inline(inline) if body.len() <= INLINE_BODY_BYTES => {
                inline.data[..body.len()].copy_from_slice(body);
                (inline.start, inline.end) = (0, Count::new(body.len()));
            }
            _ => self.body = Body::Heap(Bytes::copy_from_slice(body)),
        }
    }

    fn with_body(body: Body) -> Self {
        Message {
            header: Header::default(),
            body,
            ws_type: None,
            #[cfg(feature = "tls")]
            peer: None,
        }
    }

    /// The body.
    ///
    /// ```
    /// let message = spmsg::Message::from("abc");
    /// assert_eq!(message.body(), b"abc");
    /// ```
    #[inline]
    pub fn body(&self) -> &[u8] {
        match &self.body {
            Body::Inline(inline) => inline.bytes(),
            Body::Heap(bytes) => bytes,
        }
    }

    /// The protocol header: a stack of 32-bit words on raw sockets, empty on cooked ones.
    ///
    /// ```
    /// assert!(spmsg::Message::from("abc").header().is_empty());
    /// ```
    #[inline]
    pub fn header(&self) -> &[u8] {
        match &self.header {
            Header::Inline(inline) => inline.bytes(),
            Header::Heap(vec) => vec,
        }
    }

    /// Replaces the protocol header. Only raw sockets send it; cooked ones refuse a message that has one.
    ///
    /// ```
    /// let mut message = spmsg::Message::from("abc");
    /// message.set_header(&[0x80, 0, 0, 1]);
    /// assert_eq!(message.header(), [0x80, 0, 0, 1]);
    /// assert_eq!(message.body(), b"abc");
    /// ```
    pub fn set_header(&mut self, header: &[u8]) {
        self.header = if header.len() <= HEADER_INLINE_BYTES {
            let mut data = [0; HEADER_INLINE_BYTES];
            data[..header.len()].copy_from_slice(header);
            Header::Inline(InlineHeader { data, len: Count::new(header.len()) })
        } else {
            Header::Heap(header.to_vec())
        };
    }

    /// The body as [`Bytes`]; copies only a body that was small enough to live in the message.
    ///
    /// ```
    /// let body = spmsg::Message::from("abc").into_bytes();
    /// assert_eq!(&body[..], b"abc");
    /// ```
    pub fn into_bytes(self) -> Bytes {
        match self.body {
            Body::Inline(inline) => Bytes::copy_from_slice(inline.bytes()),
            Body::Heap(bytes) => bytes,
        }
    }

    /// Length of the body in bytes.
    ///
    /// ```
    /// assert_eq!(spmsg::Message::from("abc").len(), 3);
    /// ```
    #[inline]
    pub fn len(&self) -> usize {
        match &self.body {
            Body::Inline(inline) => inline.bytes().len(),
            Body::Heap(bytes) => bytes.len(),
        }
    }

    /// Whether the body has no bytes.
    ///
    /// ```
    /// assert!(!spmsg::Message::from("abc").is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Header plus body in bytes: what a transport carries and what every byte bound counts (R19, R77).
    ///
    /// ```
    /// let mut message = spmsg::Message::from("abc");
    /// message.set_header(&[0x80, 0, 0, 1]);
    /// assert_eq!(message.payload_len(), 7);
    /// ```
    pub fn payload_len(&self) -> usize {
        self.header().len() + self.len()
    }

    /// What the message came as from a WebSocket peer, or is to be sent as to one; `None` where it came from another
    /// transport, and to send it as the socket's option says
    /// ([`Options::ws_message_type`](crate::Options::ws_message_type)). No part of the message itself: equality ignores
    /// it, and the other transports do not carry it.
    ///
    /// ```
    /// assert_eq!(spmsg::Message::from("abc").ws_type(), None);
    /// ```
    pub fn ws_type(&self) -> Option<WsMessageType> {
        self.ws_type
    }

    /// Sets [`ws_type`](Message::ws_type) for this message alone.
    ///
    /// ```
    /// use spmsg::{Message, WsMessageType};
    /// let mut message = Message::from("abc");
    /// message.set_ws_type(Some(WsMessageType::Text));
    /// assert_eq!(message, Message::from("abc"));
    /// ```
    pub fn set_ws_type(&mut self, ws_type: Option<WsMessageType>) {
        self.ws_type = ws_type;
    }

    /// Who sent it: whom the TLS connection that it came through proved to be there. `None` for messages of this
    /// process, for other transports, and for TLS peers that showed no certificate or were not asked for one. A
    /// message that is passed on within the process keeps it; on the wire it is never sent.
    ///
    /// ```
    /// assert!(spmsg::Message::from("made here").peer().is_none());
    /// ```
    #[cfg(feature = "tls")]
    pub fn peer(&self) -> Option<&PeerIdentity> {
        self.peer.as_deref()
    }

    #[cfg(feature = "tls")]
    pub(crate) fn set_peer(&mut self, peer: &Arc<PeerIdentity>) {
        self.peer = Some(Arc::clone(peer));
    }

    /// Moves the first `len` bytes of the body to the end of the header. Returns false, changing nothing, when
    /// the body is shorter.
    pub(crate) fn pull_header(&mut self, len: usize) -> bool {
        let Some(front) = self.body().get(..len) else { return false };
        let old = self.header();
        let joined_len = old.len() + len;
        let header = if joined_len <= HEADER_INLINE_BYTES {
            let mut data = [0; HEADER_INLINE_BYTES];
            data[..old.len()].copy_from_slice(old);
            data[old.len()..joined_len].copy_from_slice(front);
            Header::Inline(InlineHeader { data, len: Count::new(joined_len) })
        } else {
            Header::Heap([old, front].concat())
        };
        self.header = header;
        self.trim_front(len)
    }

    /// Drops the first `len` bytes of the body. Returns false, changing nothing, when the body is shorter.
    pub(crate) fn trim_front(&mut self, len: usize) -> bool {
        if len > self.len() {
            return false;
        }
        match &mut self.body {
            Body::Inline(inline) => inline.start += len as u8,
            Body::Heap(bytes) => bytes::Buf::advance(bytes, len),
        }
        true
    }

    /// Drops the first `len` bytes of the header. Returns false, changing nothing, when the header is shorter.
    pub(crate) fn trim_header(&mut self, len: usize) -> bool {
        if len > self.header().len() {
            return false;
        }
        match &mut self.header {
            Header::Inline(inline) => {
                inline.data.copy_within(len.., 0);
                inline.len = Count::new(inline.len.get() - len);
            }
            Header::Heap(vec) => {
                vec.drain(..len);
            }
        }
        true
    }

    /// Puts a word in front of the header.
    pub(crate) fn prepend_header(&mut self, word: [u8; HEADER_WORD_BYTES]) {
        match &mut self.header {
            Header::Inline(inline) if inline.len.get() + word.len() <= HEADER_INLINE_BYTES => {
                inline.data.copy_within(..HEADER_INLINE_BYTES - word.len(), word.len());
                inline.data[..word.len()].copy_from_slice(&word);
                inline.len = Count::new(inline.len.get() + word.len());
            }
            _ => self.header = Header::Heap([&word, self.header()].concat()),
        }
    }

    /// Moves the boundary between header and body: the first `len` bytes of the payload become the header.
    /// Returns false, changing nothing, when the payload is shorter. Copies the body only if the header has to
    /// give bytes back to it.
    pub(crate) fn split_header(&mut self, len: usize) -> bool {
        if len > self.payload_len() {
            return false;
        }
        if len < self.header().len() {
            self.merge_header();
        }
        self.pull_header(len - self.header().len())
    }

    /// Makes header and body one body, as a receiver on the other side of a wire would see the payload.
    pub(crate) fn merge_header(&mut self) {
        let header = self.header();
        if header.is_empty() {
            return;
        }
        let mut joined = Vec::with_capacity(self.payload_len());
        joined.extend_from_slice(header);
        joined.extend_from_slice(self.body());
        self.header = Header::default();
        self.body = Message::from(joined).body;
    }

    /// Whether body and type for WebSocket peers are all there is to it.
    pub(crate) fn is_body_alone(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.peer.is_some() {
            return false;
        }
        self.header().is_empty()
    }

    /// Whether the body is all there is to it.
    pub(crate) fn is_plain(&self) -> bool {
        self.ws_type.is_none() && self.is_body_alone()
    }

    /// The body as [`Bytes`] without taking the message apart; `None` for a body that lives in the message.
    pub(crate) fn shared_body(&self) -> Option<&Bytes> {
        match &self.body {
            Body::Inline(_) => None,
            Body::Heap(bytes) => Some(bytes),
        }
    }
}

impl From<Bytes> for Message {
    fn from(body: Bytes) -> Self {
        Message::with_body(Body::Heap(body))
    }
}

impl From<Vec<u8>> for Message {
    fn from(body: Vec<u8>) -> Self {
        if body.len() <= INLINE_BODY_BYTES {
            return Message::copy_from_slice(&body);
        }
        Message::from(Bytes::from(body))
    }
}

impl From<String> for Message {
    fn from(body: String) -> Self {
        Message::from(body.into_bytes())
    }
}

impl From<&[u8]> for Message {
    #[inline]
    fn from(body: &[u8]) -> Self {
        Message::copy_from_slice(body)
    }
}

impl<const N: usize> From<&[u8; N]> for Message {
    #[inline]
    fn from(body: &[u8; N]) -> Self {
        Message::copy_from_slice(body)
    }
}

impl From<&str> for Message {
    #[inline]
    fn from(body: &str) -> Self {
        Message::copy_from_slice(body.as_bytes())
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        self.body()
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.header() == other.header() && self.body() == other.body()
    }
}

impl Eq for Message {}

impl fmt::Debug for Message {
    /// Lengths and the first bytes only: a log line must not carry a megabyte.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.body().get(..self.len().min(16)).unwrap_or_default();
        write!(f, "Message {{ header: {:02x?}, body: {} bytes {:02x?} }}", self.header(), self.len(), shown)
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::{Arbitrary, Gen, quickcheck};

    use super::*;

    const SIZES: [usize; 9] =
        [0, 1, 24, 25, INLINE_BODY_BYTES - 1, INLINE_BODY_BYTES, INLINE_BODY_BYTES + 1, 500, 70_000];

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8).collect()
    }

    fn is_inline(message: &Message) -> bool {
        matches!(message.body, Body::Inline(_))
    }

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn a_message_with_its_inline_body_takes_two_cache_lines() {
        assert!(size_of::<Message>() <= 128);
        assert_eq!(size_of::<Result<Message, crate::Error>>(), size_of::<Message>());
        // No byte before all others tells one from the other.
        assert_eq!(size_of::<Header>(), size_of::<InlineHeader>());
        assert_eq!(size_of::<Body>(), size_of::<InlineBody>());
    }

    #[test]
    fn every_way_to_make_a_message_gives_the_same() {
        for size in SIZES {
            let body = pattern(size);
            let copied = Message::copy_from_slice(&body);
            assert_eq!(copied.body(), body);
            assert_eq!((copied.len(), copied.is_empty(), copied.header().len()), (size, size == 0, 0));
            assert_eq!(copied, Message::from(body.clone()));
            assert_eq!(copied, Message::from(body.as_slice()));
            assert_eq!(copied, Message::from(Bytes::from(body.clone())));
            assert_eq!(copied.clone().into_bytes(), body);
            assert_eq!(copied.as_ref(), body);
        }
        assert_eq!(Message::from("text"), Message::from(String::from("text")));
        assert_eq!(Message::from(b"text"), Message::from("text"));
        assert_eq!(Message::new(), Message::from(""));
    }

    #[test]
    fn small_bodies_live_in_the_message_and_larger_ones_beside_it() {
        for (size, inline) in [(0, true), (INLINE_BODY_BYTES, true), (INLINE_BODY_BYTES + 1, false)] {
            assert_eq!(is_inline(&Message::copy_from_slice(&pattern(size))), inline, "{size} bytes copied");
            let owned = Message::from(pattern(size));
            assert_eq!(is_inline(&owned), inline, "{size} bytes owned");
            assert_eq!(owned.shared_body().is_none(), inline);
        }
    }

    #[test]
    fn large_body_is_never_copied() {
        let body = pattern(INLINE_BODY_BYTES + 1);
        let address = body.as_ptr();
        let mut message = Message::from(body);
        assert_eq!(message.body().as_ptr(), address);
        assert_eq!(message.clone().body().as_ptr(), address);
        assert_eq!(message.shared_body().map(|body| body.as_ptr()), Some(address));
        assert!(message.pull_header(4));
        assert!(message.trim_front(4));
        assert_eq!(message.body().as_ptr(), address.wrapping_add(8));
        assert_eq!(message.into_bytes().as_ptr(), address.wrapping_add(8));
    }

    #[test]
    fn small_bytes_of_the_application_stay_its_bytes() {
        let bytes = Bytes::from(vec![1, 2, 3]);
        assert_eq!(Message::from(bytes.clone()).into_bytes().as_ptr(), bytes.as_ptr());
    }

    #[test]
    fn type_for_websockets_stays_with_the_message_and_is_no_part_of_it() {
        assert_eq!(Message::from("ab").ws_type(), None);
        for body in ["ab", "a body that is too long to be kept in the message itself, by a few bytes"] {
            let mut message = Message::from(body);
            message.set_ws_type(Some(WsMessageType::Text));
            assert_eq!(message, Message::from(body));
            assert!(message.pull_header(2));
            message.merge_header();
            assert_eq!(message.clone().ws_type(), Some(WsMessageType::Text));
        }
    }

    #[test]
    fn header_of_any_length_is_kept() {
        for size in [0, 4, HEADER_INLINE_BYTES - 1, HEADER_INLINE_BYTES, HEADER_INLINE_BYTES + 1, 4000] {
            let mut message = Message::from("body");
            message.set_header(&pattern(size));
            assert_eq!(message.header(), pattern(size));
            assert_eq!(matches!(message.header, Header::Inline { .. }), size <= HEADER_INLINE_BYTES);
            assert_eq!((message.body(), message.payload_len()), (b"body".as_slice(), size + 4));
            message.set_header(b"");
            assert_eq!(message, Message::from("body"));
        }
    }

    #[test]
    fn r19_payload_is_header_and_body() {
        let mut message = Message::from("Hello");
        assert_eq!((message.len(), message.payload_len()), (5, 5));
        message.set_header(&[0x80, 0, 0, 1]);
        assert_eq!((message.len(), message.payload_len()), (5, 9));
    }

    #[test]
    fn taking_more_than_there_is_changes_nothing() {
        for size in SIZES {
            let mut message = Message::from(pattern(size));
            message.set_header(b"head");
            let before = message.clone();
            for len in [size + 1, size + 256, usize::MAX] {
                assert!(!message.pull_header(len));
                assert!(!message.trim_front(len));
                assert!(!message.trim_header(len.max(5)));
            }
            assert_eq!(message, before);
        }
    }

    #[test]
    fn messages_differ_when_the_header_ends_elsewhere() {
        let mut message = Message::from("ab");
        assert!(message.pull_header(1));
        assert_ne!(message, Message::from("ab"));
        message.merge_header();
        assert_eq!(message, Message::from("ab"));
    }

    #[test]
    fn log_line_shows_lengths_and_the_first_bytes_only() {
        let mut message = Message::from(vec![0xab; 1 << 20]);
        message.set_header(&[0x80, 0, 0, 1]);
        let line = format!("{message:?}");
        assert!(line.starts_with("Message { header: [80, 00, 00, 01], body: 1048576 bytes [ab, "), "{line}");
        assert!(line.len() < 200, "{} characters", line.len());
        assert_eq!(format!("{:?}", Message::new()), "Message { header: [], body: 0 bytes [] }");
    }

    #[derive(Clone, Debug)]
    enum Op {
        SetHeader(usize),
        PullHeader(usize),
        TrimFront(usize),
        TrimHeader(usize),
        MergeHeader,
        Clone,
    }

    impl Arbitrary for Op {
        fn arbitrary(g: &mut Gen) -> Self {
            let len = *g.choose(&[0, 1, 4, 4, 4, 8, 20, 24, 25, 61, 62, 63, 300, usize::MAX]).unwrap();
            match u8::arbitrary(g) % 7 {
                0 => Op::SetHeader(len.min(1000)),
                1 | 2 => Op::PullHeader(len),
                3 => Op::TrimFront(len),
                4 => Op::TrimHeader(len),
                5 => Op::MergeHeader,
                _ => Op::Clone,
            }
        }
    }

    /// Takes `len` bytes off the front, if there are so many.
    fn take(bytes: &mut Vec<u8>, len: usize) -> Option<Vec<u8>> {
        (len <= bytes.len()).then(|| bytes.drain(..len).collect())
    }

    /// The same message as two plain vectors.
    #[derive(Clone)]
    struct Model {
        header: Vec<u8>,
        body: Vec<u8>,
    }

    impl Model {
        /// Does `op` to both; false when they disagree on whether it can be done.
        fn apply(&mut self, message: &mut Message, op: &Op) -> bool {
            match op {
                Op::SetHeader(len) => {
                    self.header = pattern(*len);
                    message.set_header(&self.header);
                    true
                }
                Op::PullHeader(len) => {
                    let front = take(&mut self.body, *len);
                    self.header.extend(front.iter().flatten());
                    message.pull_header(*len) == front.is_some()
                }
                Op::TrimFront(len) => message.trim_front(*len) == take(&mut self.body, *len).is_some(),
                Op::TrimHeader(len) => message.trim_header(*len) == take(&mut self.header, *len).is_some(),
                Op::MergeHeader => {
                    self.body = [std::mem::take(&mut self.header), std::mem::take(&mut self.body)].concat();
                    message.merge_header();
                    true
                }
                Op::Clone => {
                    *message = message.clone();
                    true
                }
            }
        }
    }

    quickcheck! {
        fn message_does_what_two_plain_vectors_do(size: usize, as_bytes: bool, ops: Vec<Op>) -> bool {
            let body = pattern(SIZES[size % SIZES.len()]);
            let mut message =
                if as_bytes { Message::from(Bytes::from(body.clone())) } else { Message::from(body.clone()) };
            let mut model = Model { header: Vec::new(), body };
            ops.iter().all(|op| {
                model.apply(&mut message, op)
                    && message.header() == model.header
                    && message.body() == model.body
                    && message.len() == model.body.len()
                    && message.is_empty() == model.body.is_empty()
                    && message.payload_len() == model.header.len() + model.body.len()
            }) && message.into_bytes() == model.body
        }
    }
}
