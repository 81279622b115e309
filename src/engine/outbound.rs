//! [`Outbound`]: what waits to leave through one connection, and the rule that one thread at a time writes it.
//!
//! The lock is a leaf: held to push or to swap the queue, never while writing. Whoever wins the right to write keeps
//! it until what it took is written or the wire is full; otherwise one thread could take m1, lose the processor, and
//! another's m2 would reach the wire first.

use std::hint::cold_path;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;

use super::credit::Credit;
use super::pace::{Flow, Pace, Wire, Writer};
use super::trial::Trial;
use crate::limits::{BUFFERS_IDLE_AFTER, GATHER_SLICES_MAX};
use crate::wire::SendQueue;

pub(crate) struct Outbound {
    queue: Mutex<Queue>,
    /// A message was received that no message was pushed after.
    heard: AtomicBool,
}

struct Queue {
    waiting: SendQueue,
    /// What leaves before it, while nobody writes: the writer takes it along.
    flight: SendQueue,
    credit: Credit,
    /// A thread is writing.
    writing: bool,
    /// The wire was full; the next writable event goes on.
    blocked: bool,
    /// A writable event came since the writer last looked.
    writable_again: bool,
    pace: Pace,
    /// Waiting for a full wire to take more.
    waits: Trial,
    /// Whoever turns the reactor will look later whether buffers can be given back.
    tidying: bool,
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

/// What is to be done after something was written, with the lock that says so.
pub(crate) struct More<'a> {
    queue: MutexGuard<'a, Queue>,
    /// What it came to so far.
    outcome: Written,
}

impl Outbound {
    pub(crate) fn new(bound: usize) -> Self {
        Outbound {
            queue: Mutex::new(Queue {
                waiting: SendQueue::default(),
                flight: SendQueue::default(),
                credit: Credit::new(bound),
                writing: false,
                blocked: false,
                writable_again: false,
                pace: Pace::default(),
                waits: Trial::default(),
                tidying: false,
                dead: false,
                bytes_in_flight: 0,
            }),
            heard: AtomicBool::new(false),
        }
    }

    /// Appends a frame, which `encode` adds to the queue. Called under the socket's lock, which fixes the order of
    /// messages.
    pub(crate) fn push(&self, flow: Flow, encode: impl FnOnce(&mut SendQueue)) -> (Room, Writer) {
        let mut queue = self.queue.lock();
        if queue.dead {
            return (Room::Full, Writer::Nobody);
        }
        self.listen(&mut queue);
        queue.push(flow, encode)
    }

    /// The same, if the frame is to wait; `None` says that the caller has claimed the wire, and writes the frame itself:
    /// then it need not be copied. `frame` is how many bytes that would be, if it can be so.
    #[inline]
    pub(crate) fn offer(
        &self,
        frame: impl FnOnce() -> Option<usize>,
        encode: impl FnOnce(&mut SendQueue),
    ) -> (Room, Option<Writer>) {
        let mut queue = self.queue.lock();
        if queue.dead {
            cold_path();
            return (Room::Full, Some(Writer::Nobody));
        }
        self.listen(&mut queue);
        if !queue.is_taken()
            && queue.is_empty()
            && let Some(bytes) = frame()
        {
            return match queue.choose_writer(0, bytes, Flow::Unknown) {
                Writer::Caller => (queue.give(bytes), None),
                other => {
                    encode(&mut queue.waiting);
                    (queue.charge(bytes), Some(other))
                }
            };
        }
        let (room, writer) = queue.push(Flow::Unknown, encode);
        (room, Some(writer))
    }

    fn listen(&self, queue: &mut Queue) {
        if self.heard.load(Ordering::Relaxed) {
            self.heard.store(false, Ordering::Relaxed);
            queue.pace.heard();
        }
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
        self.heard.store(true, Ordering::Relaxed);
    }

    /// Whether something was written since the last message was received: then the next one is probably an answer.
    pub(crate) fn awaits_answer(&self) -> bool {
        !self.heard.load(Ordering::Relaxed)
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

    /// In how long the engine is to look that [`Writer::Engine`] asked for.
    pub(crate) fn tail_wait(&self) -> Duration {
        self.queue.lock().pace.wait()
    }

    /// Whoever was to call the engine has done so.
    pub(crate) fn engine_called(&self, now: Instant) {
        self.queue.lock().pace.engine_called(now);
    }

    /// The look that [`Writer::Engine`] asked for. `Some` is when to look again: what waits is too fresh, and more is
    /// probably coming. `None`: write, if there is something.
    pub(crate) fn look_again(&self, now: Option<Instant>) -> Option<Instant> {
        let mut queue = self.queue.lock();
        let nothing_to_do = queue.writing || queue.blocked || queue.waiting.is_empty();
        queue.pace.look_again(if nothing_to_do { None } else { now })
    }

    /// Gives the buffers of a burst back once it is over, or says when to look whether it is.
    pub(crate) fn tidy(&self, now: Option<Instant>) -> Option<Instant> {
        let mut queue = self.queue.lock();
        queue.tidying = false;
        let over = queue.pace.last_write().map(|at| at + BUFFERS_IDLE_AFTER);
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
            queue.flight.shrink();
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

    /// Claims the wire for a frame of `bytes` that the caller writes itself in any case, if nothing is before it. Called under
    /// the socket's lock, which fixes the order of messages; then call [`write_claimed`](Outbound::write_claimed). The second
    /// value says whether a caller that `could_wait` should, where the wire is full.
    pub(crate) fn claim(&self, bytes: usize, could_wait: bool) -> Option<(Room, bool)> {
        let mut queue = self.queue.lock();
        if queue.dead || queue.is_taken() || !queue.is_empty() || queue.credit.is_full() {
            return None;
        }
        let room = queue.give(bytes);
        Some((room, could_wait && queue.waits.takes()))
    }

    /// Writes a claimed frame from where it lies; what the wire does not take is copied, or kept of the `shared` body, and
    /// follows as soon as it can.
    /// `await_room` says whether the full wire has room again, or that it is not to be waited for any longer; without it
    /// nobody waits.
    pub(crate) fn write_claimed(
        &self,
        head: &[u8],
        body: &[u8],
        shared: Option<&Bytes>,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
        mut await_room: Option<impl FnMut() -> bool>,
    ) -> Written {
        let all = head.len().saturating_add(body.len());
        let mut written = 0_usize;
        let mut waited = None;
        let result = loop {
            let rest_of_head = head.get(written..).unwrap_or_default();
            let rest_of_body = body.get(written.saturating_sub(head.len())..).unwrap_or_default();
            let result = if rest_of_body.is_empty() {
                write(&[IoSlice::new(rest_of_head)])
            } else {
                write(&[IoSlice::new(rest_of_head), IoSlice::new(rest_of_body)])
            };
            match result {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(more) => written = written.saturating_add(more),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    waited = await_room.as_mut().map(|await_room| await_room());
                    if waited != Some(true) {
                        break Ok(());
                    }
                }
                Err(error) => break Err(error),
            }
            if written >= all {
                break Ok(());
            }
        };
        let mut rest = SendQueue::default();
        let result = match result {
            Ok(()) if written < all => keep_rest(&mut rest, head, body, shared, written),
            other => other,
        };
        let mut queue = self.queue.lock();
        if let Some(well) = waited {
            queue.waits.ended(well);
        }
        if !rest.is_empty() {
            queue.flight.append(&mut rest);
        }
        let gone = all.saturating_sub(queue.flight.len());
        let outcome = self.written(&mut queue, gone, result);
        if outcome.error.is_some() { outcome } else { self.write_on(More { queue, outcome }, write) }
    }

    /// A claimed frame of `bytes` has left as a whole. `Some` if there is more to do: then call
    /// [`write_on`](Outbound::write_on).
    #[inline]
    pub(crate) fn has_left(&self, bytes: usize) -> Option<More<'_>> {
        let mut queue = self.queue.lock();
        let outcome = self.written(&mut queue, bytes, Ok(()));
        if !outcome.room && queue.is_at_rest() {
            return None;
        }
        cold_path();
        Some(More { queue, outcome })
    }

    /// Writes until nothing waits or the wire is full, unless another thread is already at it. `write` is one gather
    /// write on the descriptor.
    pub(crate) fn write_out(&self, write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>) -> Written {
        let outcome = Written { room: false, blocked: false, tidy_later: false, error: None };
        self.write_on(More { queue: self.queue.lock(), outcome }, write)
    }

    /// Goes on writing.
    pub(crate) fn write_on<'a>(
        &'a self,
        more: More<'a>,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Written {
        let More { mut queue, mut outcome } = more;
        loop {
            if queue.is_taken() || queue.dead {
                return outcome;
            }
            if queue.is_empty() {
                if !queue.is_at_rest() {
                    queue.tidying = true;
                    outcome.tidy_later = true;
                }
                return outcome;
            }
            let mut flight = queue.take_all();
            drop(queue);
            let taken = flight.len();
            let result = write_all(&mut flight, &mut write);
            let gone = taken - flight.len();
            queue = self.queue.lock();
            queue.flight = flight;
            let written = self.written(&mut queue, gone, result);
            outcome = Written { room: outcome.room || written.room, ..written };
            if outcome.blocked || outcome.error.is_some() {
                return outcome;
            }
        }
    }

    #[inline]
    fn written(&self, queue: &mut Queue, gone: usize, result: io::Result<()>) -> Written {
        // What was heard before counts no longer.
        self.heard.store(false, Ordering::Relaxed);
        queue.written(gone, result)
    }
}

impl Queue {
    /// Whether a thread writes, or the wire is full.
    fn is_taken(&self) -> bool {
        self.writing || self.blocked
    }

    /// Whether nothing is to be done now or later.
    #[inline]
    fn is_at_rest(&self) -> bool {
        let holds_much = self.waiting.holds_much() || self.flight.holds_much();
        !self.is_taken() && self.is_empty() && (self.tidying || !holds_much)
    }

    /// Whether nothing is to be written, while nobody writes.
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.flight.is_empty()
    }

    fn push(&mut self, flow: Flow, encode: impl FnOnce(&mut SendQueue)) -> (Room, Writer) {
        let before = self.waiting.len();
        encode(&mut self.waiting);
        let room = self.charge(self.waiting.len() - before);
        (room, self.choose_writer(before, self.waiting.len(), flow))
    }

    fn charge(&mut self, bytes: usize) -> Room {
        if self.credit.charge(bytes) { Room::Full } else { Room::Free }
    }

    /// `before` and `now` are the bytes that wait without and with the frame that is added.
    #[inline]
    fn choose_writer(&mut self, before: usize, now: usize, flow: Flow) -> Writer {
        let wire = Wire { waiting: now, was_empty: before == 0, is_taken: self.is_taken() };
        self.pace.choose_writer(wire, flow, Instant::now)
    }

    /// The calling thread writes from now on a frame of `bytes` that is nowhere here.
    fn give(&mut self, bytes: usize) -> Room {
        self.begin_writing(bytes);
        self.charge(bytes)
    }

    /// All there is, for the thread that writes from now on.
    fn take_all(&mut self) -> SendQueue {
        let mut flight = std::mem::take(&mut self.flight);
        if !self.waiting.is_empty() {
            flight.append(&mut self.waiting);
        }
        self.begin_writing(flight.len());
        flight
    }

    fn begin_writing(&mut self, bytes: usize) {
        self.writing = true;
        self.writable_again = false;
        self.bytes_in_flight = bytes;
    }

    /// The writer is done: `gone` bytes have left, what has not is back.
    #[inline]
    fn written(&mut self, gone: usize, result: io::Result<()>) -> Written {
        self.writing = false;
        self.bytes_in_flight = self.flight.len();
        self.pace.written(Instant::now());
        let mut outcome =
            Written { room: self.credit.release(gone), blocked: false, tidy_later: false, error: None };
        match result {
            Ok(()) => (),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !self.writable_again {
                    self.blocked = true;
                    outcome.blocked = true;
                }
            }
            Err(error) => {
                self.dead = true;
                self.waiting.clear();
                outcome.error = Some(error);
            }
        }
        outcome
    }
}

/// Keeps what was not written of a frame. Without memory for a copy of that the frame is torn, and the connection with it.
fn keep_rest(
    flight: &mut SendQueue,
    head: &[u8],
    body: &[u8],
    shared: Option<&Bytes>,
    written: usize,
) -> io::Result<()> {
    if let Some(rest) = head.get(written..) {
        flight.put(rest);
    }
    let body_written = written.saturating_sub(head.len()).min(body.len());
    if let Some(shared) = shared {
        flight.put_bytes(&shared.slice(body_written..));
        return Ok(());
    }
    let rest = body.get(body_written..).unwrap_or_default();
    let mut copy = Vec::new();
    copy.try_reserve_exact(rest.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
    copy.extend_from_slice(rest);
    flight.put_bytes(&Bytes::from(copy));
    Ok(())
}

fn write_slices(
    flight: &SendQueue,
    write: &mut impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut slices: SmallVec<[IoSlice<'_>; GATHER_SLICES_MAX]> = SmallVec::new();
    flight.slices(&mut slices);
    write(&slices)
}

fn write_all(
    flight: &mut SendQueue,
    write: &mut impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
) -> io::Result<()> {
    while !flight.is_empty() {
        let written = match flight.only_slice() {
            Some(slice) => write(&[IoSlice::new(slice)]),
            None => write_slices(flight, write),
        };
        match written {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => flight.advance(written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
