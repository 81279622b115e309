//! [`Outbound`]: what waits to leave through one connection, and the rule that one thread at a time writes it.
//!
//! The lock is a leaf: held to push or to swap the queue, never while writing. Whoever wins the right to write keeps
//! it until what it took is written or the wire is full; otherwise one thread could take m1, lose the processor, and
//! another's m2 would reach the wire first.

use std::io::{self, IoSlice};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::credit::Credit;
use crate::limits::{
    BUFFERS_IDLE_AFTER, BURST_FRAMES, BURST_FRAMES_UNSEEN_MAX, GATHER_SLICES_MAX, INLINE_WRITE_BYTES,
    TAIL_FEW_MAX, TAIL_LATE_AFTER, TAIL_MAX, WIRE_IDLE_AFTER,
};
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
    /// The same, much later, for buffers to be given back.
    tidying: bool,
    /// When the first of what waits came.
    oldest: Option<Instant>,
    looked: Look,
    /// How many of what waits came one by one.
    frames: u32,
    /// What waits is, or belongs to, many messages in close succession.
    burst: bool,
    /// Something was received since the last write: this is a conversation, answer at once.
    heard: bool,
    last_write: Option<Instant>,
    /// Nothing will ever leave any more.
    dead: bool,
    bytes_in_flight: usize,
}

/// When the sender looked at the clock, and how many messages waited then.
#[derive(Clone, Copy, Default)]
struct Look {
    at: Option<Instant>,
    frames: u32,
}

/// Whether the pipe takes another message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Free,
    Full,
}

/// How close messages follow each other, as far as whoever pushes them knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// This wire alone tells.
    Unknown,
    /// This one goes to many peers, and so did another one just before.
    Dense,
    /// This one goes to many peers, and there was none for a while.
    Sparse,
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
    /// All is written, and somebody has to look later whether that was the end of a burst: [`Outbound::tidy`].
    pub(crate) tidy_later: bool,
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
                tidying: false,
                oldest: None,
                looked: Look::default(),
                frames: 0,
                burst: false,
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
    pub(crate) fn push(&self, flow: Flow, encode: impl FnOnce(&mut SendQueue)) -> (Room, Writer) {
        let mut queue = self.queue.lock();
        if queue.dead {
            return (Room::Full, Writer::Nobody);
        }
        let before = queue.waiting.len();
        encode(&mut queue.waiting);
        let added = queue.waiting.len() - before;
        let full = queue.credit.charge(added);
        let room = if full { Room::Full } else { Room::Free };
        (room, queue.choose_writer(before == 0, flow, Instant::now))
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
        if queue.writing || queue.blocked || queue.waiting.is_empty() {
            return None;
        }
        let wait = if queue.burst { TAIL_MAX } else { TAIL_FEW_MAX };
        let due = queue.oldest.map(|oldest| oldest + wait).filter(|due| now.is_some_and(|now| *due > now))?;
        queue.scheduled = true;
        Some(due)
    }

    /// Gives the buffers of a burst back once it is over, or says when to look whether it is.
    pub(crate) fn tidy(&self, now: Option<Instant>) -> Option<Instant> {
        let mut queue = self.queue.lock();
        queue.tidying = false;
        let over = queue.last_write.map(|at| at + BUFFERS_IDLE_AFTER);
        let again = match now {
            // Its writer will see that there is something to tidy up.
            _ if queue.writing => return None,
            Some(now) => over.filter(|over| *over > now),
            None => None,
        };
        if again.is_some() {
            queue.tidying = true;
        } else {
            queue.waiting.shrink();
            // Nobody writes.
            self.flight.lock().shrink();
        }
        again
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

    /// Claims the wire for a frame of `bytes` that the caller is about to write itself, if nothing is before it. Called
    /// under the socket's lock, which fixes the order of messages; then call
    /// [`write_claimed`](Outbound::write_claimed).
    pub(crate) fn claim(&self, bytes: usize) -> Option<Room> {
        let mut queue = self.queue.lock();
        let idle = !queue.writing && !queue.blocked && queue.waiting.is_empty() && queue.bytes_in_flight == 0;
        if queue.dead || !idle || queue.credit.is_full() {
            return None;
        }
        queue.writing = true;
        queue.writable_again = false;
        queue.bytes_in_flight = bytes;
        let full = queue.credit.charge(bytes);
        Some(if full { Room::Full } else { Room::Free })
    }

    /// Writes a claimed frame from where it lies; what the wire does not take is copied, and follows as soon as it can.
    pub(crate) fn write_claimed(
        &self,
        head: &[u8],
        body: &[u8],
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Written {
        let mut flight = self.flight.lock();
        let result = loop {
            match write(&[IoSlice::new(head), IoSlice::new(body)]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(0),
                other => break other,
            }
        };
        let result = result.and_then(|written| keep_rest(&mut flight, head, body, written));
        let left = flight.len();
        drop(flight);
        let mut queue = self.queue.lock();
        let outcome = self.written(&mut queue, head.len() + body.len() - left, left, result);
        drop(queue);
        if outcome.error.is_some() {
            return outcome;
        }
        let more = self.write_out(write);
        Written { room: outcome.room || more.room, ..more }
    }

    /// Writes until nothing waits or the wire is full, unless another thread is already at it. `write` is one gather
    /// write on the descriptor.
    pub(crate) fn write_out(&self, mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>) -> Written {
        let mut outcome = Written { room: false, blocked: false, tidy_later: false, error: None };
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
                if !queue.tidying && (queue.waiting.holds_much() || flight.holds_much()) {
                    queue.tidying = true;
                    outcome.tidy_later = true;
                }
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
            let written = self.written(&mut queue, taken - left, left, result);
            outcome = Written { room: outcome.room || written.room, ..written };
            if outcome.blocked || outcome.error.is_some() {
                return outcome;
            }
        }
    }

    /// The writer is done: `gone` bytes have left, `left` have not.
    fn written(&self, queue: &mut Queue, gone: usize, left: usize, result: io::Result<()>) -> Written {
        queue.writing = false;
        queue.heard = false;
        queue.bytes_in_flight = left;
        queue.last_write = Some(Instant::now());
        let mut outcome =
            Written { room: queue.credit.release(gone), blocked: false, tidy_later: false, error: None };
        match result {
            Ok(()) => (),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !queue.writable_again {
                    queue.blocked = true;
                    outcome.blocked = true;
                }
            }
            Err(error) => {
                queue.dead = true;
                queue.waiting.clear();
                outcome.error = Some(error);
            }
        }
        outcome
    }
}

/// Copies what was not written of a frame. Without memory for that the frame is torn, and the connection with it.
fn keep_rest(flight: &mut SendQueue, head: &[u8], body: &[u8], written: usize) -> io::Result<()> {
    if let Some(rest) = head.get(written..) {
        flight.put(rest);
    }
    let rest = body.get(written.saturating_sub(head.len())..).unwrap_or_default();
    let mut copy = Vec::new();
    copy.try_reserve_exact(rest.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
    copy.extend_from_slice(rest);
    flight.put_bytes(&Bytes::from(copy));
    Ok(())
}

impl Look {
    /// With how many messages to look again: soon in a small burst, which may be over already.
    fn next(self) -> u32 {
        self.frames.saturating_add((self.frames / 2).clamp(1, BURST_FRAMES_UNSEEN_MAX))
    }

    /// Whether those that came since came slowly.
    fn is_slow_since(self, now: Instant, frames: u32) -> bool {
        let time = WIRE_IDLE_AFTER.saturating_mul(frames.saturating_sub(self.frames));
        self.at.is_some_and(|at| now.saturating_duration_since(at) >= time)
    }
}

impl Queue {
    /// An idle wire is written at once by the sender: no hand-off, lowest latency. A busy one is left to the I/O
    /// thread, so that many small messages share a system call; the sender writes itself once a good block waits.
    #[inline]
    fn choose_writer(&mut self, was_empty: bool, flow: Flow, clock: impl FnOnce() -> Instant) -> Writer {
        if self.waiting.len() >= INLINE_WRITE_BYTES {
            return if self.writing || self.blocked { Writer::Nobody } else { Writer::Caller };
        }
        self.frames = if was_empty { 1 } else { self.frames.saturating_add(1) };
        self.burst = self.frames > BURST_FRAMES || flow == Flow::Dense;
        let is_on_its_way = !was_empty && self.scheduled && self.burst;
        // The clock is looked at a few times per batch.
        if was_empty {
            self.looked = Look::default();
        } else if is_on_its_way && self.frames < self.looked.next() {
            return Writer::Nobody;
        }
        if self.writing || self.blocked {
            return Writer::Nobody;
        }
        let now = clock();
        let looked = std::mem::replace(&mut self.looked, Look { at: Some(now), frames: self.frames });
        if is_on_its_way {
            // Who was to write it may wait for this very processor, or have many others to write to.
            let is_late = self.oldest.is_none_or(|at| now.saturating_duration_since(at) >= TAIL_LATE_AFTER);
            let is_over = looked.is_slow_since(now, self.frames);
            let by_sender = flow == Flow::Unknown && (is_late || is_over);
            return if by_sender { Writer::Caller } else { Writer::Nobody };
        }
        if self.is_slow(was_empty, flow, now) {
            return Writer::Caller;
        }
        if was_empty {
            self.oldest = Some(now);
        }
        if std::mem::replace(&mut self.scheduled, true) { Writer::Nobody } else { Writer::Engine }
    }

    /// Whether messages come so slowly that one more write costs no more than waiting for company.
    fn is_slow(&self, was_empty: bool, flow: Flow, now: Instant) -> bool {
        let before = match flow {
            _ if was_empty && self.heard => return true,
            Flow::Sparse => return true,
            Flow::Dense => return false,
            Flow::Unknown if was_empty => self.last_write,
            Flow::Unknown => self.oldest,
        };
        before.is_none_or(|at| now.saturating_duration_since(at) >= WIRE_IDLE_AFTER)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MOMENT: Duration = Duration::from_nanos(100);

    /// A wire that was written to at the returned time.
    fn just_written() -> (Queue, Instant) {
        let now = Instant::now();
        let mut queue = Outbound::new(1 << 20).queue.into_inner();
        queue.last_write = Some(now);
        (queue, now)
    }

    fn push(queue: &mut Queue, flow: Flow, now: Instant) -> Writer {
        let was_empty = queue.waiting.is_empty();
        queue.waiting.put(b"frame");
        queue.choose_writer(was_empty, flow, || now)
    }

    #[test]
    fn a_wire_that_rests_is_written_at_once() {
        let (mut queue, now) = just_written();
        assert_eq!(push(&mut queue, Flow::Unknown, now + WIRE_IDLE_AFTER), Writer::Caller);
        let (mut queue, now) = just_written();
        queue.heard = true;
        assert_eq!(push(&mut queue, Flow::Dense, now + MOMENT), Writer::Caller);
    }

    #[test]
    fn a_burst_waits_for_company() {
        let (mut queue, now) = just_written();
        assert_eq!(push(&mut queue, Flow::Unknown, now + MOMENT), Writer::Engine);
        for _ in 0..2 * BURST_FRAMES {
            assert_eq!(push(&mut queue, Flow::Unknown, now + 2 * MOMENT), Writer::Nobody);
        }
        for n in 0..2 * BURST_FRAMES_UNSEEN_MAX {
            let later = now + 2 * MOMENT + n * (WIRE_IDLE_AFTER - MOMENT);
            assert_eq!(push(&mut queue, Flow::Unknown, later), Writer::Nobody);
        }
        assert!(queue.burst);
    }

    #[test]
    fn a_burst_that_is_over_is_not_waited_for() {
        let (mut queue, now) = just_written();
        assert_eq!(push(&mut queue, Flow::Unknown, now + MOMENT), Writer::Engine);
        for _ in 0..2 * BURST_FRAMES {
            assert_eq!(push(&mut queue, Flow::Unknown, now + MOMENT), Writer::Nobody);
        }
        let write = |n| push(&mut queue, Flow::Unknown, now + MOMENT + (n + 1) * WIRE_IDLE_AFTER);
        assert!((0..BURST_FRAMES).map(write).any(|writer| writer == Writer::Caller));
    }

    #[test]
    fn a_burst_is_written_by_its_sender_if_nobody_comes() {
        for (flow, by_sender) in [(Flow::Unknown, true), (Flow::Dense, false)] {
            let (mut queue, now) = just_written();
            assert_eq!(push(&mut queue, flow, now + MOMENT), Writer::Engine);
            for _ in 0..2 * BURST_FRAMES {
                assert_eq!(push(&mut queue, flow, now + MOMENT), Writer::Nobody);
            }
            let late = now + MOMENT + TAIL_LATE_AFTER;
            let written =
                (0..BURST_FRAMES_UNSEEN_MAX).any(|_| push(&mut queue, flow, late) == Writer::Caller);
            assert_eq!(written, by_sender, "{flow:?}");
        }
    }

    #[test]
    fn messages_that_come_slowly_do_not_wait_for_each_other() {
        let (mut queue, now) = just_written();
        assert_eq!(push(&mut queue, Flow::Unknown, now + MOMENT), Writer::Engine);
        assert!(!queue.burst);
        assert_eq!(push(&mut queue, Flow::Unknown, now + MOMENT + WIRE_IDLE_AFTER), Writer::Caller);
    }

    #[test]
    fn messages_for_many_go_by_the_flow_and_not_by_the_wire() {
        let (mut queue, now) = just_written();
        // Writing to the others took so long.
        let later = now + 100 * WIRE_IDLE_AFTER;
        assert_eq!(push(&mut queue, Flow::Dense, later), Writer::Engine);
        assert_eq!(push(&mut queue, Flow::Dense, later + WIRE_IDLE_AFTER), Writer::Nobody);
        assert!(queue.burst);
        assert_eq!(push(&mut queue, Flow::Sparse, later + 2 * WIRE_IDLE_AFTER), Writer::Caller);
    }

    #[test]
    fn a_tail_is_written_in_a_moment_and_that_of_a_burst_a_little_later() {
        for (flow, wait) in [(Flow::Unknown, TAIL_FEW_MAX), (Flow::Dense, TAIL_MAX)] {
            let outbound = Outbound::new(1 << 20);
            let now = Instant::now();
            outbound.queue.lock().last_write = Some(now);
            assert_eq!(push(&mut outbound.queue.lock(), flow, now), Writer::Engine);
            assert_eq!(outbound.look_again(Some(now)), Some(now + wait));
            assert_eq!(outbound.look_again(Some(now + wait)), None);
        }
    }

    #[test]
    fn nobody_writes_a_wire_that_is_full_or_written_to() {
        for (writing, blocked) in [(true, false), (false, true)] {
            let (mut queue, now) = just_written();
            (queue.writing, queue.blocked) = (writing, blocked);
            for flow in [Flow::Unknown, Flow::Dense, Flow::Sparse] {
                assert_eq!(push(&mut queue, flow, now + TAIL_MAX), Writer::Nobody);
            }
        }
    }
}
