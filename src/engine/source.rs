//! [`Source`]: what a reactor calls, what it can be told, and the tokens that stand for it.

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Instant;

use mio::Token;

use super::reactor::Reactor;
use super::socket_core::Core;
use super::sync::{AtomicBool, Ordering};
use crate::frames::{Frames, Taken};
use crate::sys::standby::Happened;

/// Something the reactor calls: a connection, a listener, a dialer, a socket with a deadline.
pub(crate) trait Source: Send + Sync {
    /// The descriptor may be ready: go on until it would block.
    fn ready(self: Arc<Self>, ready: Ready, turn: &mut Turn<'_>);
    /// A timer added for this source is due.
    fn timer(self: Arc<Self>, turn: &mut Turn<'_>);
    /// Somebody submitted a notice; only connections get any.
    fn notice(self: Arc<Self>, _notice: Notice, _turn: &mut Turn<'_>) {}
    /// Writes what waits. At a time: only if it has waited long enough by then, or else returns when it will have.
    fn write_tail(self: Arc<Self>, _now: Option<Instant>) -> Option<Instant> {
        None
    }
    /// Gives back what a burst needed. At a time: only if the burst is over by then, or else returns when to look again.
    fn tidy(self: Arc<Self>, _now: Option<Instant>) -> Option<Instant> {
        None
    }
}

/// Which directions may have become ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) read: bool,
    pub(crate) write: bool,
    /// The end of the stream, or an error, is there to be read.
    pub(crate) closed: bool,
}

impl From<Happened> for Ready {
    fn from(happened: Happened) -> Ready {
        Ready { read: happened.readable, write: happened.writable, closed: happened.closed }
    }
}

/// Whoever turns and waits for a message of one socket meanwhile: it can be handed over at once.
pub(crate) trait Recipient {
    /// Whether it waits for one of this socket, and has none yet.
    fn waits_at(&self, socket: &Core) -> bool;

    /// Whether it has one.
    fn is_served(&self) -> bool;

    /// Whether it may send something in return.
    fn can_answer(&self) -> bool;

    /// Called under the socket's lock, at most once.
    fn take(&mut self, taken: Taken<'_>);

    /// Where the message that comes next for certain may be put, before [`take_placed`](Recipient::take_placed).
    fn place(&mut self) -> Option<&mut [MaybeUninit<u8>]>;

    /// In place of `take`: the first `len` bytes of the place are the body.
    fn take_placed(&mut self, len: usize);
}

/// What the turning thread lends to the sources it calls.
pub(crate) struct Turn<'a> {
    pub(crate) now: Instant,
    /// The thread's own block to read into: connections that wait hold no buffer.
    pub(crate) block: &'a mut [u8],
    /// For what is found in the block; empty between two calls.
    pub(crate) frames: &'a mut Frames,
    /// Somebody waits to go on in this thread's place.
    pub(crate) relief: &'a AtomicBool,
    /// The thread itself, if it waits for a message.
    pub(crate) recipient: Option<&'a mut (dyn Recipient + 'a)>,
    /// The thread has the reactor's place: who is a guest of that reactor need not be woken. Otherwise it only reads one
    /// connection (`connection/direct.rs`).
    pub(crate) has_place: bool,
    /// A message was delivered that nobody waited for here.
    pub(crate) has_more: bool,
    /// The thread has what it waited for, and there is more where that came from.
    pub(crate) has_enough: bool,
}

impl Turn<'_> {
    /// The reactor, if it is turned.
    pub(crate) fn turned<'r>(&self, reactor: &'r Reactor) -> Option<&'r Reactor> {
        self.has_place.then_some(reactor)
    }

    /// Whether the thread has what it waited for, nothing else came with it, and it cannot answer.
    pub(crate) fn was_all_taken(&self) -> bool {
        let taken = |recipient: &&mut dyn Recipient| recipient.is_served() && !recipient.can_answer();
        !self.has_more && self.recipient.as_ref().is_some_and(taken)
    }

    /// Whether what can wait for the next turn should be left to it.
    pub(crate) fn is_to_end(&self) -> bool {
        self.has_enough || self.relief.load(Ordering::Relaxed)
    }
}

/// Work for the turning thread.
pub(crate) enum Task {
    /// Tell a source.
    Tell(Arc<dyn Source>, Notice),
    /// An event that somebody was woken with who does not turn.
    Ready(Token, Ready),
    /// Anything rare.
    Run(Box<dyn FnOnce(&mut Turn<'_>) + Send>),
}

impl Task {
    /// Whether it is as well done a moment later.
    pub(super) fn can_wait(&self) -> bool {
        matches!(self, Task::Tell(_, Notice::Resume))
    }
}

/// What a source can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// There is room for input again.
    Resume,
    /// Stop taking part: deliver what was accepted until the deadline, then go.
    Drain(Instant),
    /// Go at once: the peer broke the rules of the pattern.
    Break,
    /// Go at once.
    Abort,
}

/// Sources by token: a slot that is reused and a generation that is not, so that a late event of a closed source
/// never reaches the one that took its slot.
#[derive(Default)]
pub(super) struct Sources {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    source: Option<Arc<dyn Source>>,
}

/// Bits of a token that are the slot; the rest is the generation.
const SLOT_BITS: u32 = usize::BITS / 2;
const SLOT_MASK: usize = (1 << SLOT_BITS) - 1;
/// One bit less, so that the reactor's own tokens, the two highest, are no source's.
const GENERATION_MASK: u32 = (SLOT_MASK >> 1) as u32;

impl Sources {
    pub(super) fn add(&mut self, source: Arc<dyn Source>) -> Token {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        slot.source = Some(source);
        Token(((slot.generation & GENERATION_MASK) as usize) << SLOT_BITS | index as usize)
    }

    fn find(&mut self, token: Token) -> Option<&mut Slot> {
        let generation = (token.0 >> SLOT_BITS) as u32;
        let slot = self.slots.get_mut(token.0 & SLOT_MASK)?;
        (slot.generation & GENERATION_MASK == generation).then_some(slot)
    }

    pub(super) fn get(&mut self, token: Token) -> Option<Arc<dyn Source>> {
        self.find(token)?.source.clone()
    }

    pub(super) fn remove(&mut self, token: Token) -> Option<Arc<dyn Source>> {
        let slot = self.find(token)?;
        let source = slot.source.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push((token.0 & SLOT_MASK) as u32);
        Some(source)
    }
}
