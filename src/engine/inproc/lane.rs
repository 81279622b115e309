//! [`End`]: one end of a channel between two sockets of a process.
//!
//! Each direction is a lane: the sender appends to it, the receiver takes all of it at once. Their processors share as
//! little as can be: what the receiver took it says in a word of its own, which the sender reads when its bound is
//! reached, and while the receiver has something to do nobody tells it that there is more ([`Mail`]).

use std::collections::TryReserveError;
use std::sync::{Arc, OnceLock};

use super::blocks::Blocks;
use super::{Name, Party};
use crate::engine::sync::{AtomicBool, AtomicUsize, Mutex, Ordering};
use crate::engine::{Core, Credit, EndpointInfo, Job, Jobs, Room};
use crate::frames::Frames;
use crate::limits::{EMPTY_MESSAGE_CHARGE_BYTES, FRAME_COPY_MAX_BYTES};
use crate::message::Message;
use crate::protocol::PipeId;

#[cfg(all(test, loom))]
mod model;

/// Two lanes, one for each direction.
struct Channel {
    sides: [Side; 2],
    blocks: Arc<Blocks>,
}

struct Side {
    core: Arc<Core>,
    endpoint: EndpointInfo,
    name: Arc<Name>,
    pipe: OnceLock<PipeId>,
    /// What was sent to this side; a leaf lock.
    lane: Apart<Mutex<Lane>>,
    taken: Apart<Taken>,
}

/// Two cache lines of its own, as processors fetch them.
#[repr(align(128))]
struct Apart<T>(T);

struct Lane {
    frames: Frames,
    /// Counts what the socket's pattern holds as well, until the application takes it.
    credit: Credit,
    /// How much of [`Taken::bytes`] is in `credit` already.
    seen: usize,
}

/// What the receiving side says.
#[derive(Default)]
struct Taken {
    /// Bytes that its application has taken so far; wraps. Written under its socket's lock only.
    bytes: AtomicUsize,
    /// The sender found no room, and wants to be told when there is some.
    wanted: AtomicBool,
}

/// One end of a channel, as the socket there sees it.
#[derive(Clone)]
pub(crate) struct End {
    channel: Arc<Channel>,
    side: usize,
}

/// Both ends of a new channel between two sockets.
pub(super) fn channel(name: &Arc<Name>, first: &Party, second: &Party) -> [End; 2] {
    let side = |(core, endpoint): &Party| {
        let credit = Credit::new(core.buffer_bounds().1);
        Side {
            core: Arc::clone(core),
            endpoint: *endpoint,
            name: Arc::clone(name),
            pipe: OnceLock::new(),
            lane: Apart(Mutex::new(Lane { frames: Frames::default(), credit, seen: 0 })),
            taken: Apart(Taken::default()),
        }
    };
    let channel = Arc::new(Channel { sides: [side(first), side(second)], blocks: super::blocks() });
    [0, 1].map(|side| End { channel: Arc::clone(&channel), side })
}

impl End {
    /// An end that belongs to no socket's table, for tests of the table itself.
    #[cfg(test)]
    pub(crate) fn loose() -> End {
        use crate::options::Options;
        use crate::protocol::{Mode, Priorities, Protocol};
        let party = || {
            let core = Core::new(Protocol::Pair, Mode::Cooked, Options::default(), None);
            (core, EndpointInfo { id: 1, priorities: Priorities { send: 8, recv: 8 } })
        };
        let [end, _] = channel(&b"loose"[..].into(), &party(), &party());
        end
    }

    fn here(&self) -> &Side {
        &self.channel.sides[self.side]
    }

    fn there(&self) -> &Side {
        &self.channel.sides[1 - self.side]
    }

    /// The other end.
    pub(super) fn peer(&self) -> End {
        End { channel: Arc::clone(&self.channel), side: 1 - self.side }
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.here().core
    }

    pub(super) fn name(&self) -> &Arc<Name> {
        &self.here().name
    }

    pub(super) fn info(&self) -> EndpointInfo {
        self.here().endpoint
    }

    /// The endpoint that this end belongs to.
    pub(crate) fn endpoint(&self) -> u32 {
        self.here().endpoint.id
    }

    /// What the socket here calls it, once it has accepted it.
    pub(super) fn pipe(&self) -> Option<PipeId> {
        self.here().pipe.get().copied()
    }

    pub(super) fn is_pipe(&self, pipe: PipeId) {
        let _ = self.here().pipe.set(pipe);
    }

    /// Sends towards the other end; called under this end's socket's lock.
    pub(crate) fn push(&self, mut message: Message, jobs: &mut Jobs) -> Room {
        // Of no meaning here, and not to be mistaken for the next WebSocket's.
        message.set_ws_type(None);
        let bytes = message.payload_len();
        self.append(bytes, jobs, |frames| frames.push(message, bytes))
    }

    /// The same for a copy of a body without header.
    pub(crate) fn push_body(&self, body: &[u8], jobs: &mut Jobs) -> Room {
        if body.len() > FRAME_COPY_MAX_BYTES {
            return self.push(Message::copy_from_slice(body), jobs);
        }
        self.append(body.len(), jobs, |frames| frames.push_body(body))
    }

    /// A copy of a large body, in memory that this side's processor writes to quickly.
    pub(crate) fn copy_of(&self, body: &[u8]) -> Result<Message, TryReserveError> {
        self.channel.blocks.copy_of(body).map(Message::from)
    }

    #[inline]
    fn append(&self, bytes: usize, jobs: &mut Jobs, add: impl FnOnce(&mut Frames)) -> Room {
        let there = self.there();
        let mut lane = there.lane.0.lock();
        add(&mut lane.frames);
        let full = lane.credit.charge(charge(bytes)) && !there.taken.0.catch_up(&mut lane);
        drop(lane);
        if there.core.mail().must_be_told() {
            jobs.push(Job::Pump(self.peer()));
        }
        if full { Room::Full } else { Room::Free }
    }

    /// Moves what was sent to this end into `frames`, which is empty.
    pub(crate) fn take(&self, frames: &mut Frames) {
        std::mem::swap(&mut self.here().lane.0.lock().frames, frames);
    }

    /// The application at this end took a message of `bytes`; called under this end's socket's lock.
    pub(crate) fn release(&self, bytes: usize, jobs: &mut Jobs) {
        let here = self.here();
        if here.taken.0.add(charge(bytes), &here.lane.0) {
            let peer = self.there();
            if let Some(pipe) = peer.pipe.get() {
                jobs.push(Job::Writable(Arc::clone(&peer.core), *pipe));
            }
        }
    }

    /// Whether half of the other end's bound is free.
    pub(crate) fn is_half_free(&self) -> bool {
        let there = self.there();
        let mut lane = there.lane.0.lock();
        there.taken.0.note(&mut lane);
        lane.credit.is_half_free()
    }

    /// Bytes that wait at this end for the application.
    pub(crate) fn waiting(&self) -> usize {
        let mut lane = self.here().lane.0.lock();
        self.here().taken.0.note(&mut lane);
        lane.credit.waiting()
    }

    /// This end's socket has let go of the pipe: tells the other.
    pub(crate) fn leave(&self, jobs: &mut Jobs) {
        jobs.push(Job::PeerGone(self.peer()));
    }
}

impl Taken {
    /// The application took so many more; called under its socket's lock. Returns whether to tell the sender that there
    /// is room.
    fn add(&self, charge: usize, lane: &Mutex<Lane>) -> bool {
        // Said before it is looked whether the sender waits for it, which looks in the other order.
        self.bytes.store(self.bytes.load(Ordering::Relaxed).wrapping_add(charge), Ordering::SeqCst);
        self.wanted.load(Ordering::SeqCst) && self.catch_up(&mut lane.lock())
    }

    /// Takes into account what was taken meanwhile. Returns whether there is room; if not, the sender will be told.
    fn catch_up(&self, lane: &mut Lane) -> bool {
        self.wanted.store(true, Ordering::SeqCst);
        self.note(lane);
        let room = !lane.credit.is_full();
        if room {
            self.wanted.store(false, Ordering::SeqCst);
        }
        room
    }

    /// Does so, and says nothing to anybody.
    fn note(&self, lane: &mut Lane) {
        let taken = self.bytes.load(Ordering::SeqCst);
        lane.credit.release(taken.wrapping_sub(lane.seen));
        lane.seen = taken;
    }
}

/// Empty messages count too, or they could fill the memory.
fn charge(bytes: usize) -> usize {
    bytes.max(EMPTY_MESSAGE_CHARGE_BYTES)
}

/// Whether a socket that receives over inproc has to be told of each message.
///
/// One that has something to do looks into its lane itself when it is done. Each side first says what it did and then
/// looks what the other said, so that a message is not left lying.
#[repr(align(128))]
#[derive(Default)]
pub(crate) struct Mail {
    /// Nobody waits for it to be ready, and it has one lane only: nothing else is to be put in order.
    looks_itself: AtomicBool,
    /// There may be something in the lane.
    there_is: AtomicBool,
    /// Changes whenever something happened to the socket that a thread may spin for.
    moves: AtomicUsize,
}

impl Mail {
    /// The sender has appended something.
    #[inline]
    fn must_be_told(&self) -> bool {
        if !self.looks_itself.load(Ordering::SeqCst) {
            return true;
        }
        if !self.there_is.load(Ordering::SeqCst) {
            self.there_is.store(true, Ordering::SeqCst);
        }
        !self.looks_itself.load(Ordering::SeqCst)
    }

    /// Whether to look into the lane.
    #[inline]
    pub(crate) fn there_is(&self) -> bool {
        self.there_is.load(Ordering::SeqCst)
    }

    /// Now somebody looks.
    pub(crate) fn looking(&self) {
        self.there_is.store(false, Ordering::SeqCst);
    }

    /// From now on the socket looks itself.
    #[inline]
    pub(crate) fn look_yourself(&self, it_does: bool) {
        if self.looks_itself.load(Ordering::Relaxed) != it_does {
            self.looks_itself.store(it_does, Ordering::SeqCst);
        }
    }

    pub(crate) fn moved(&self) {
        self.moves.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn moves(&self) -> usize {
        self.moves.load(Ordering::Acquire)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn there_is_much_room_when_half_of_the_bound_is_free() {
        let (end, mut jobs) = (End::loose(), Jobs::new());
        let bound = end.there().core.buffer_bounds().1;
        let part = vec![7; bound / 8];
        let mut waiting = 0;
        while end.push_body(&part, &mut jobs) == Room::Free {
            waiting += 1;
            assert_eq!(end.is_half_free(), waiting <= 4, "{waiting} eighths");
        }
        assert_eq!(waiting, 7);
        for taken in 1..=8 {
            end.peer().release(part.len(), &mut jobs);
            assert_eq!(end.is_half_free(), taken >= 4, "{taken} of 8");
        }
    }

    #[test]
    fn a_look_for_more_room_takes_nobodys_call_away() {
        let (end, mut jobs) = (End::loose(), Jobs::new());
        let bound = end.there().core.buffer_bounds().1;
        let half = vec![7; bound / 2];
        while end.push_body(&half, &mut jobs) == Room::Free {}
        let there = end.there();
        // What the receiver says first, before it looks whether the sender wants to know.
        there.taken.0.bytes.fetch_add(half.len(), Ordering::SeqCst);
        assert!(end.is_half_free());
        assert!(there.taken.0.add(0, &there.lane.0), "the sender is told");
    }
}
