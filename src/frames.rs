//! [`Frames`]: received payloads, one behind the other in one buffer.
//!
//! A message of its own for each small payload would cost an allocation that another thread frees, which is dearer than
//! everything else that receiving it takes. So small payloads travel in blocks, from the decoder to the call that wants
//! them; a large one, or one whose protocol header was taken off, is a [`Message`] whose place in the order is kept.

use std::collections::VecDeque;

use crate::limits::{BODY_BY_REFERENCE_BYTES, FRAME_COPY_MAX_BYTES, FRAMES_SPARE_MAX_BYTES};
use crate::message::{Message, WsMessageType};

/// Bytes of an entry's head: the length of what follows, and in the highest bits what it is to WebSocket peers.
const HEAD_BYTES: usize = 4;
const LEN_BITS: u32 = 30;
const LEN_MASK: u32 = (1 << LEN_BITS) - 1;
const _: () = assert!(BODY_BY_REFERENCE_BYTES <= LEN_MASK as usize);
const _: () = assert!(FRAME_COPY_MAX_BYTES < BODY_BY_REFERENCE_BYTES);
/// The head that stands for the next of `messages`; no payload has it.
const MESSAGE: u32 = u32::MAX;

/// What a payload is to WebSocket peers, as the message says that it would be.
type Kind = Option<WsMessageType>;

/// The head of a payload of `len` bytes, which are fewer than [`BODY_BY_REFERENCE_BYTES`].
#[inline]
fn head(len: usize, kind: Kind) -> [u8; HEAD_BYTES] {
    let kind: u32 = match kind {
        None => 0,
        Some(WsMessageType::Text) => 1,
        Some(WsMessageType::Binary) => 2,
    };
    (len as u32 | kind << LEN_BITS).to_ne_bytes()
}

#[inline]
fn kind_of(head: u32) -> Kind {
    match head >> LEN_BITS {
        1 => Some(WsMessageType::Text),
        2 => Some(WsMessageType::Binary),
        _ => None,
    }
}

/// A queue of payloads.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// Entries: a length, then so many bytes.
    bytes: Vec<u8>,
    /// Entries before this are taken.
    at: usize,
    /// What is not copied into `bytes`, and what it was charged with.
    messages: VecDeque<(Message, usize)>,
    /// The message that was taken last.
    taken: Message,
    /// Some message may have a header.
    headers: bool,
}

/// The front of a queue. Small on purpose: it is handed from function to function for every message.
#[derive(Debug)]
pub(crate) enum Taken<'a> {
    /// A payload without protocol header, and what it is to WebSocket peers.
    Body(&'a [u8], Kind),
    /// A message, to be taken out.
    Message(&'a mut Message),
}

/// What was the front of a queue, to be looked at before the queue is changed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Body { start: usize, end: usize, kind: Kind },
    Message { charge: usize },
}

impl Place {
    /// Bytes it was charged with when it arrived.
    #[inline]
    pub(crate) fn charge(self) -> usize {
        match self {
            Place::Body { start, end, .. } => end - start,
            Place::Message { charge } => charge,
        }
    }
}

impl Taken<'_> {
    pub(crate) fn body(&self) -> &[u8] {
        match self {
            Taken::Body(body, _) => body,
            Taken::Message(message) => message.body(),
        }
    }

    pub(crate) fn into_message(self) -> Message {
        let mut message = Message::new();
        self.move_to(&mut message);
        message
    }

    /// Replaces `message`, which is new.
    #[inline]
    pub(crate) fn move_to(self, message: &mut Message) {
        match self {
            Taken::Body(body, kind) => {
                message.set_body(body);
                message.set_ws_type(kind);
            }
            Taken::Message(taken) => std::mem::swap(message, taken),
        }
    }
}

impl Frames {
    pub(crate) fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Appends a copy of a payload of fewer than [`BODY_BY_REFERENCE_BYTES`].
    #[inline]
    pub(crate) fn push_body(&mut self, body: &[u8]) {
        self.push_body_as(body, None);
    }

    /// The same for what is something to WebSocket peers.
    #[inline]
    pub(crate) fn push_body_as(&mut self, body: &[u8], kind: Kind) {
        debug_assert!(body.len() < BODY_BY_REFERENCE_BYTES);
        let needed = HEAD_BYTES + body.len();
        if self.bytes.capacity() - self.bytes.len() < needed {
            self.make_room(needed);
        }
        self.bytes.extend_from_slice(&head(body.len(), kind));
        self.bytes.extend_from_slice(body);
    }

    /// The same, changed in the copy; what `change` does not like is not appended. Returns what it said.
    #[cfg(feature = "ws")]
    #[inline]
    pub(crate) fn push_changed(
        &mut self,
        body: &[u8],
        kind: WsMessageType,
        change: impl FnOnce(&mut [u8]) -> bool,
    ) -> bool {
        self.push_body_as(body, Some(kind));
        let start = self.bytes.len() - body.len();
        let is_good = self.bytes.get_mut(start..).is_some_and(change);
        if !is_good {
            self.bytes.truncate(start - HEAD_BYTES);
        }
        is_good
    }

    /// Appends a message that was charged with so many bytes.
    pub(crate) fn push(&mut self, message: Message, charge: usize) {
        if message.is_body_alone() && message.len() == charge && charge <= FRAME_COPY_MAX_BYTES {
            return self.push_body_as(message.body(), message.ws_type());
        }
        self.headers |= !message.header().is_empty();
        self.make_room(HEAD_BYTES);
        self.bytes.extend_from_slice(&MESSAGE.to_ne_bytes());
        self.messages.push_back((message, charge));
    }

    /// Moves everything of `other` behind what is here.
    pub(crate) fn append(&mut self, other: &mut Frames) {
        if self.is_empty() {
            // The usual case: nothing is copied, and the buffer that was emptied here is filled next.
            self.clear();
            std::mem::swap(self, other);
            if other.bytes.capacity() > FRAMES_SPARE_MAX_BYTES {
                // What a burst once needed.
                other.shrink(FRAMES_SPARE_MAX_BYTES);
            }
            return;
        }
        let rest = other.bytes.get(other.at..).unwrap_or_default();
        if self.bytes.capacity() - self.bytes.len() < rest.len() {
            self.make_room(rest.len());
        }
        self.bytes.extend_from_slice(rest);
        self.messages.append(&mut other.messages);
        self.headers |= other.headers;
        other.clear();
    }

    /// Takes the front and what it was charged with. A body stays where it is until the queue is changed next.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<(Taken<'_>, usize)> {
        let place = self.advance()?;
        Some((self.look(place), place.charge()))
    }

    /// The payload in front, if it lies here; it stays.
    pub(crate) fn front_body(&self) -> Option<Taken<'_>> {
        let (head, behind) = self.bytes.get(self.at..)?.split_first_chunk::<HEAD_BYTES>()?;
        let head = u32::from_ne_bytes(*head);
        // A message's place has a length that nothing has.
        let body = behind.get(..(head & LEN_MASK) as usize).filter(|_| head != MESSAGE)?;
        Some(Taken::Body(body, kind_of(head)))
    }

    /// Takes the front without looking at it.
    #[inline]
    pub(crate) fn advance(&mut self) -> Option<Place> {
        let head = u32::from_ne_bytes(*self.bytes.get(self.at..)?.first_chunk::<HEAD_BYTES>()?);
        let start = self.at + HEAD_BYTES;
        if head == MESSAGE {
            self.at = start;
            let (message, charge) = self.messages.pop_front()?;
            self.taken = message;
            return Some(Place::Message { charge });
        }
        self.at = start + (head & LEN_MASK) as usize;
        Some(Place::Body { start, end: self.at, kind: kind_of(head) })
    }

    /// What [`advance`](Frames::advance) took just now.
    #[inline]
    pub(crate) fn look(&mut self, place: Place) -> Taken<'_> {
        match place {
            Place::Body { start, end, kind } => {
                Taken::Body(self.bytes.get(start..end).unwrap_or_default(), kind)
            }
            Place::Message { .. } => Taken::Message(&mut self.taken),
        }
    }

    /// The payloads, if all of them lie here.
    pub(crate) fn bodies(&self) -> Option<impl Iterator<Item = &[u8]>> {
        let mut rest = self.bytes.get(self.at..).unwrap_or_default();
        self.messages.is_empty().then(|| {
            std::iter::from_fn(move || {
                let (head, behind) = rest.split_first_chunk::<HEAD_BYTES>()?;
                let (body, more) =
                    behind.split_at_checked((u32::from_ne_bytes(*head) & LEN_MASK) as usize)?;
                rest = more;
                Some(body)
            })
        })
    }

    /// Whether some message may have a header: then payloads are not just bodies.
    pub(crate) fn has_headers(&self) -> bool {
        self.headers
    }

    /// Bytes of memory that an empty queue holds on to.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Forgets everything; the memory stays.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.at = 0;
        self.headers = false;
        if !self.messages.is_empty() {
            self.messages.clear();
        }
        if !self.taken.is_empty() {
            self.taken = Message::new();
        }
    }

    /// Empties the queue and gives back what it holds beyond `keep` bytes.
    pub(crate) fn shrink(&mut self, keep: usize) {
        self.clear();
        self.bytes.shrink_to(keep);
        self.messages = VecDeque::new();
    }

    /// Uses the room of what was taken before more is asked for, unless that would move more than it frees.
    fn make_room(&mut self, needed: usize) {
        let left = self.bytes.len() - self.at.min(self.bytes.len());
        if left == 0 {
            self.bytes.clear();
            self.at = 0;
        } else if self.bytes.capacity() - self.bytes.len() < needed && self.at >= left {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
        // A power of two, or three quarters of one: buffers that go round stay as they are.
        let whole = self.bytes.len().saturating_add(needed);
        if whole > self.bytes.capacity() {
            let power = whole.checked_next_power_of_two().unwrap_or(whole);
            let less = power / 4 * 3;
            let room = if whole <= less { less } else { power };
            self.bytes.reserve_exact(room - self.bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;
    use crate::limits::{FRAMES_KEEP_BYTES, READ_BLOCK_BYTES};

    fn pop(frames: &mut Frames) -> Option<(Message, usize)> {
        let (taken, charge) = frames.pop()?;
        Some((taken.into_message(), charge))
    }

    fn with_header(text: &str) -> Message {
        let mut message = Message::from(text);
        message.set_header(b"head");
        message
    }

    #[test]
    fn a_body_in_front_is_seen_and_stays() {
        let body_of = |frames: &Frames| frames.front_body().map(|taken| taken.body().to_vec());
        let mut frames = Frames::default();
        assert_eq!(body_of(&frames), None);
        frames.push_body_as(b"one", Some(WsMessageType::Text));
        frames.push(with_header("two"), 7);
        for _ in 0..2 {
            assert_eq!(body_of(&frames), Some(b"one".to_vec()));
        }
        assert!(matches!(frames.front_body(), Some(Taken::Body(_, Some(WsMessageType::Text)))));
        assert!(frames.advance().is_some());
        assert_eq!(body_of(&frames), None, "a message lies elsewhere");
        assert_eq!(pop(&mut frames), Some((with_header("two"), 7)));
        assert_eq!(body_of(&frames), None);
    }

    #[test]
    fn bodies_and_messages_keep_their_order() {
        let mut frames = Frames::default();
        frames.push_body(b"one");
        frames.push(with_header("two"), 7);
        frames.push(Message::from("three"), 5);
        frames.push(Message::from("four"), 99);
        frames.push_body(b"");
        let expected = [
            (Message::from("one"), 3),
            (with_header("two"), 7),
            (Message::from("three"), 5),
            (Message::from("four"), 99),
            (Message::new(), 0),
        ];
        for expected in expected {
            assert_eq!(pop(&mut frames), Some(expected));
        }
        assert!(frames.is_empty() && pop(&mut frames).is_none());
    }

    #[cfg(feature = "ws")]
    #[test]
    fn what_is_changed_into_something_bad_is_not_kept() {
        let mut frames = Frames::default();
        frames.push_body(b"before");
        let shout = |copy: &mut [u8]| {
            copy.make_ascii_uppercase();
            copy != b"BAD"
        };
        assert!(frames.push_changed(b"good", WsMessageType::Text, shout));
        assert!(!frames.push_changed(b"bad", WsMessageType::Text, shout));
        frames.push_body(b"after");
        let all: Vec<_> = std::iter::from_fn(|| pop(&mut frames)).map(|(m, _)| (m.ws_type(), m)).collect();
        let text = Some(WsMessageType::Text);
        assert_eq!(all, [(None, "before".into()), (text, "GOOD".into()), (None, "after".into())]);
    }

    #[test]
    fn a_large_body_is_not_copied() {
        let mut frames = Frames::default();
        let message = Message::from(vec![7; FRAME_COPY_MAX_BYTES + 1]);
        let address = message.body().as_ptr();
        frames.push(message, FRAME_COPY_MAX_BYTES + 1);
        assert_eq!(pop(&mut frames).map(|(message, _)| message.body().as_ptr()), Some(address));
    }

    #[test]
    fn appending_to_an_empty_queue_changes_buffers() {
        let (mut block, mut queue) = (Frames::default(), Frames::default());
        queue.push_body(b"earlier");
        assert!(queue.pop().is_some());
        let spare = queue.bytes.as_ptr();
        block.push_body(b"frames");
        let address = block.bytes.as_ptr();
        queue.append(&mut block);
        assert_eq!((queue.bytes.as_ptr(), block.bytes.as_ptr()), (address, spare));
        assert!(block.is_empty());
        assert_eq!(pop(&mut queue), Some((Message::from("frames"), 6)));
    }

    #[test]
    fn a_queue_that_is_never_empty_does_not_grow() {
        let mut frames = Frames::default();
        frames.push_body(&[0; 100]);
        for _ in 0..10_000 {
            frames.push_body(&[1; 100]);
            assert!(frames.pop().is_some());
        }
        assert!(frames.capacity() <= 1_000, "{} bytes for 200", frames.capacity());
        frames.clear();
        frames.bytes.reserve(10 * FRAMES_KEEP_BYTES);
        frames.shrink(FRAMES_KEEP_BYTES);
        assert!(frames.capacity() <= FRAMES_KEEP_BYTES);
    }

    #[test]
    fn what_one_read_brings_fits_into_what_is_kept() {
        // A body that an earlier read began with, and then whole ones: no more than a read takes comes behind that.
        for len in [1_000, 5_000, 17_000, BODY_BY_REFERENCE_BYTES - 1] {
            let mut frames = Frames::default();
            (0..1 + READ_BLOCK_BYTES / len).for_each(|_| frames.push_body(&vec![0; len]));
            assert!(
                frames.capacity() <= FRAMES_SPARE_MAX_BYTES,
                "{} bytes for {len} each",
                frames.capacity()
            );
        }
    }

    quickcheck! {
        fn agrees_with_a_plain_queue(ops: Vec<(u8, u16)>) -> bool {
            let (mut frames, mut other) = (Frames::default(), Frames::default());
            let (mut model, mut behind) = (VecDeque::new(), VecDeque::new());
            ops.into_iter().enumerate().all(|(n, (op, size))| {
                let body = vec![n as u8; usize::from(size) % (2 * FRAME_COPY_MAX_BYTES)];
                let charge = body.len() + usize::from(op & 8);
                let kind = [None, Some(WsMessageType::Text), Some(WsMessageType::Binary)][n % 3];
                let mut message = Message::from(body.clone());
                message.set_ws_type(kind);
                match op % 6 {
                    0 | 1 => {
                        frames.push(message.clone(), charge);
                        model.push_back((message, charge));
                    }
                    2 => {
                        other.push(message.clone(), charge);
                        behind.push_back((message, charge));
                    }
                    3 => {
                        frames.append(&mut other);
                        model.append(&mut behind);
                    }
                    _ => {
                        let (taken, expected) = (pop(&mut frames), model.pop_front());
                        let kind = |message: &Option<(Message, usize)>| message.as_ref().map(|m| m.0.ws_type());
                        return kind(&taken) == kind(&expected) && taken == expected;
                    }
                }
                let bodies = frames.bodies().map(|bodies| bodies.map(<[u8]>::to_vec).collect::<Vec<_>>());
                let all: Vec<_> = model.iter().map(|(message, _)| message.body().to_vec()).collect();
                let lie_here = |(message, charge): &(Message, usize)| {
                    message.len() == *charge && *charge <= FRAME_COPY_MAX_BYTES
                };
                assert_eq!(bodies, model.iter().all(lie_here).then_some(all));
                frames.is_empty() == model.is_empty() && other.is_empty() == behind.is_empty()
            })
        }
    }
}
