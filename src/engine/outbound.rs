//! [`Outbound`]: what waits to leave through one connection, and the rule that one thread at a time writes it.
//!
//! The lock is a leaf: held to push or to swap the queue, never while writing. Whoever wins the right to write keeps
//! it until what it took is written or the wire is full; otherwise one thread could take m1, lose the processor, and
//! another's m2 would reach the wire first.

use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::credit::Credit;
use crate::limits::{GATHER_SLICES_MAX, INLINE_WRITE_BYTES, TAIL_MAX, WIRE_IDLE_AFTER};
use crate::wire::SendQueue;

pub(crate) struct Outbound {
    queue: Mutex<Queue>,
    /// What the writer took; only the thread that holds `Queue::writing` locks it.
    flight: Mutex<SendQueue>,
}

struct Queue {
    waiting: SendQueue,
    credit: Credit,
    /// A thread is writing.
    writing: bool,
    /// The wire was full; the next writable event goes on.
    blocked: bool,
    /// A writable event came since the writer last looked.
    writable_again: bool,
    /// Whoever turns the reactor will look in a moment whether something still waits.
    scheduled: bool,
    /// When the first of what waits came.
    oldest: Option<Instant>,
    /// Something was received since the last write: this is a conversation, answer at once.
    heard: bool,
    last_write: Option<Instant>,
    /// Nothing will ever leave any more.
    dead: bool,
    bytes_in_flight: usize,
}

/// Whether the pipe takes another message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Free,
    Full,
}

/// Who writes what was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    /// Somebody is at it, or waits for the wire.
    Nobody,
    /// The pushing thread, once it has left the socket's lock.
    Caller,
    /// The I/O thread: more is probably coming, and will leave with it.
    Engine,
}

/// What a round of writing found.
#[derive(Debug)]
pub(crate) struct Written {
    /// The pipe was full and has room again.
    pub(crate) room: bool,
    /// The wire is full and the descriptor must be watched for writability.
    pub(crate) blocked: bool,
    pub(crate) error: Option<io::Error>,
}

impl Outbound {
    pub(crate) fn new(bound: usize) -> Self {
        Outbound {
            queue: Mutex::new(Queue {
                waiting: SendQueue::default(),
                credit: Credit::new(bound),
                writing: false,
                blocked: false,
                writable_again: false,
                scheduled: false,
                oldest: None,
                heard: false,
                last_write: None,
                dead: false,
                bytes_in_flight: 0,
            }),
            flight: Mutex::new(SendQueue::default()),
        }
    }

    /// Appends a frame, which `encode` adds to the queue. Called under the socket's lock, which fixes the order of
    /// messages.
    pub(crate) fn push(&self, encode: impl FnOnce(&mut SendQueue)) -> (Room, Writer) {
        let mut queue = self.queue.lock();
        if queue.dead {
            return (Room::Full, Writer::Nobody);
        }
        let before = queue.waiting.len();
        encode(&mut queue.waiting);
        let added = queue.waiting.len() - before;
        let full = queue.credit.charge(added);
        let room = if full { Room::Full } else { Room::Free };
        (room, queue.choose_writer(before == 0))
    }

    /// Appends bytes of the session's own: a greeting, a control frame. They are outside the bound.
    pub(crate) fn push_control(&self, bytes: &[u8]) {
        let mut queue = self.queue.lock();
        if !queue.dead {
            queue.waiting.put(bytes);
            queue.credit.charge(bytes.len());
        }
    }

    /// A message was received: the next send is probably an answer and should leave at once.
    pub(crate) fn heard(&self) {
        self.queue.lock().heard = true;
    }

    /// The descriptor became writable. True when somebody was waiting for that: then write.
    pub(crate) fn writable(&self) -> bool {
        let mut queue = self.queue.lock();
        queue.writable_again = true;
        std::mem::take(&mut queue.blocked)
    }

    /// Whether the wire is full and its writability awaited.
    pub(crate) fn is_blocked(&self) -> bool {
        self.queue.lock().blocked
    }

    /// The look that [`Writer::Engine`] asked for. `Some` is when to look again: what waits is too fresh, and more is
    /// probably coming. `None`: write, if there is something.
    pub(crate) fn look_again(&self, now: Option<Instant>) -> Option<Instant> {
        let mut queue = self.queue.lock();
        queue.scheduled = false;
        if queue.waiting.is_empty() || queue.writing || queue.blocked {
            return None;
        }
        let due =
            queue.oldest.map(|oldest| oldest + TAIL_MAX).filter(|due| now.is_some_and(|now| *due > now))?;
        queue.scheduled = true;
        Some(due)
    }

    /// Bytes that have not been handed to the kernel.
    pub(crate) fn pending(&self) -> usize {
        let queue = self.queue.lock();
        queue.waiting.len() + queue.bytes_in_flight
    }

    /// The connection is lost for writing: drops what waits, takes nothing more.
    pub(crate) fn kill(&self) {
        let mut queue = self.queue.lock();
        queue.dead = true;
        queue.waiting.clear();
    }

    /// Writes until nothing waits or the wire is full, unless another thread is already at it. `write` is one gather
    /// write on the descriptor.
    pub(crate) fn write_out(&self, mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>) -> Written {
        let mut outcome = Written { room: false, blocked: false, error: None };
        loop {
            let mut queue = self.queue.lock();
            if queue.writing || queue.blocked || queue.dead {
                return outcome;
            }
            let mut flight = self.flight.lock();
            if !queue.waiting.is_empty() {
                flight.append(&mut queue.waiting);
            }
            queue.bytes_in_flight = flight.len();
            if flight.is_empty() {
                return outcome;
            }
            queue.writing = true;
            queue.writable_again = false;
            drop(queue);
            let taken = flight.len();
            let result = write_all(&mut flight, &mut write);
            let left = flight.len();
            drop(flight);
            let mut queue = self.queue.lock();
            queue.writing = false;
            queue.heard = false;
            queue.bytes_in_flight = left;
            queue.last_write = Some(Instant::now());
            outcome.room |= queue.credit.release(taken - left);
            match result {
                Ok(()) => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !queue.writable_again {
                        queue.blocked = true;
                        outcome.blocked = true;
                        return outcome;
                    }
                }
                Err(error) => {
                    queue.dead = true;
                    queue.waiting.clear();
                    outcome.error = Some(error);
                    return outcome;
                }
            }
        }
    }
}

impl Queue {
    /// An idle wire is written at once by the sender: no hand-off, lowest latency. A busy one is left to the I/O
    /// thread, so that many small messages share a system call; the sender writes itself once a good block waits.
    #[inline]
    fn choose_writer(&mut self, was_empty: bool) -> Writer {
        if self.waiting.len() >= INLINE_WRITE_BYTES {
            return if self.writing || self.blocked { Writer::Nobody } else { Writer::Caller };
        }
        if !was_empty && self.scheduled {
            return Writer::Nobody;
        }
        if self.writing || self.blocked {
            return Writer::Nobody;
        }
        // The clock is looked at once per batch.
        let now = Instant::now();
        if was_empty {
            if self.heard || self.wire_idle_for(now) >= WIRE_IDLE_AFTER {
                return Writer::Caller;
            }
            self.oldest = Some(now);
        }
        if std::mem::replace(&mut self.scheduled, true) { Writer::Nobody } else { Writer::Engine }
    }

    fn wire_idle_for(&self, now: Instant) -> Duration {
        self.last_write.map_or(Duration::MAX, |at| now.saturating_duration_since(at))
    }
}

fn write_all(
    flight: &mut SendQueue,
    write: &mut impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
) -> io::Result<()> {
    while !flight.is_empty() {
        let mut slices: SmallVec<[IoSlice<'_>; GATHER_SLICES_MAX]> = SmallVec::new();
        flight.slices(&mut slices);
        match write(&slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                drop(slices);
                flight.advance(written);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
