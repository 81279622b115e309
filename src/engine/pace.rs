//! [`Pace`]: who writes what was appended to a connection's queue, and when. Pure: bytes, counts and times in, a writer out.

use std::time::Instant;

use crate::limits::{
    BURST_FRAMES, BURST_FRAMES_UNSEEN_MAX, INLINE_WRITE_BYTES, STEADY_AFTER_FRAMES, STEADY_FRAMES_AT_ONCE,
    TAIL_FEW_MAX, TAIL_LATE_AFTER, TAIL_MAX, WIRE_IDLE_AFTER,
};

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

/// What the queue looks like with the frame that was just appended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire {
    /// Bytes in it.
    pub(super) waiting: usize,
    pub(super) was_empty: bool,
    /// A thread writes, or the wire is full.
    pub(super) is_taken: bool,
}

/// How messages came and left lately.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Whoever turns the reactor will look in a moment whether something still waits.
    scheduled: bool,
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
    steady: Steady,
}

/// A sender whose messages come one by one, but each of them just behind the write of the one before, because that takes
/// nearly as long: whoever writes at once cannot tell it from a burst. What waits can.
#[derive(Clone, Copy, Debug, Default)]
struct Steady {
    /// How many in a row waited in vain: nothing came along, and the next one came slowly.
    in_vain: u32,
    /// How many more are written at once before one waits again.
    at_once: u32,
}

impl Steady {
    /// One waited for company; whether only a slow one came.
    fn waited(&mut self, in_vain: bool) {
        self.in_vain = if in_vain { self.in_vain.saturating_add(1) } else { 0 };
        self.at_once = if self.in_vain >= STEADY_AFTER_FRAMES { STEADY_FRAMES_AT_ONCE } else { 0 };
    }

    fn goes_at_once(&mut self) -> bool {
        let goes = self.at_once > 0;
        self.at_once = self.at_once.saturating_sub(1);
        goes
    }
}

/// When the sender looked at the clock, and how many messages waited then.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    at: Option<Instant>,
    frames: u32,
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

impl Pace {
    /// An idle wire is written at once by the sender: no hand-off, lowest latency. A busy one is left to the I/O
    /// thread, so that many small messages share a system call; the sender writes itself once a good block waits.
    #[inline]
    pub(super) fn choose_writer(
        &mut self,
        wire: Wire,
        flow: Flow,
        clock: impl FnOnce() -> Instant,
    ) -> Writer {
        let Wire { waiting, was_empty, is_taken } = wire;
        if waiting >= INLINE_WRITE_BYTES {
            return if is_taken { Writer::Nobody } else { Writer::Caller };
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
        if is_taken {
            return Writer::Nobody;
        }
        if was_empty && self.heard {
            return Writer::Caller;
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
        let is_slow = self.is_slow(was_empty, flow, now);
        if !was_empty {
            self.steady.waited(is_slow && self.frames == 2);
        }
        if is_slow || was_empty && flow == Flow::Unknown && self.steady.goes_at_once() {
            return Writer::Caller;
        }
        if was_empty {
            self.oldest = Some(now);
        }
        if std::mem::replace(&mut self.scheduled, true) { Writer::Nobody } else { Writer::Engine }
    }

    /// The look that [`Writer::Engine`] asked for, if there is still something to write `now`. `Some` is when to look
    /// again: what waits is too fresh, and more is probably coming. `None`: write, if there is something.
    pub(super) fn look_again(&mut self, now: Option<Instant>) -> Option<Instant> {
        self.scheduled = false;
        let wait = if self.burst { TAIL_MAX } else { TAIL_FEW_MAX };
        let due = self.oldest.map(|oldest| oldest + wait).filter(|due| now.is_some_and(|now| *due > now))?;
        self.scheduled = true;
        Some(due)
    }

    /// A message was received.
    pub(super) fn heard(&mut self) {
        self.heard = true;
    }

    pub(super) fn written(&mut self, at: Instant) {
        self.heard = false;
        self.last_write = Some(at);
    }

    pub(super) fn last_write(&self) -> Option<Instant> {
        self.last_write
    }

    /// Whether messages come so slowly that one more write costs no more than waiting for company.
    fn is_slow(&self, was_empty: bool, flow: Flow, now: Instant) -> bool {
        let before = match flow {
            Flow::Sparse => return true,
            Flow::Dense => return false,
            Flow::Unknown if was_empty => self.last_write,
            Flow::Unknown => self.oldest,
        };
        before.is_none_or(|at| now.saturating_duration_since(at) >= WIRE_IDLE_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MOMENT: Duration = Duration::from_nanos(100);

    /// A queue that nobody empties.
    #[derive(Default)]
    struct Queue {
        pace: Pace,
        waiting: usize,
        is_taken: bool,
    }

    impl Queue {
        fn push(&mut self, flow: Flow, now: Instant) -> Writer {
            let was_empty = self.waiting == 0;
            self.waiting += 5;
            let wire = Wire { waiting: self.waiting, was_empty, is_taken: self.is_taken };
            self.pace.choose_writer(wire, flow, || now)
        }
    }

    /// A wire that was written to at the returned time.
    fn just_written() -> (Queue, Instant) {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.pace.written(now);
        (queue, now)
    }

    #[test]
    fn a_wire_that_rests_is_written_at_once() {
        let (mut queue, now) = just_written();
        assert_eq!(queue.push(Flow::Unknown, now + WIRE_IDLE_AFTER), Writer::Caller);
        let (mut queue, now) = just_written();
        queue.pace.heard();
        assert_eq!(queue.push(Flow::Dense, now + MOMENT), Writer::Caller);
    }

    #[test]
    fn a_burst_waits_for_company() {
        let (mut queue, now) = just_written();
        assert_eq!(queue.push(Flow::Unknown, now + MOMENT), Writer::Engine);
        for _ in 0..2 * BURST_FRAMES {
            assert_eq!(queue.push(Flow::Unknown, now + 2 * MOMENT), Writer::Nobody);
        }
        for n in 0..2 * BURST_FRAMES_UNSEEN_MAX {
            let later = now + 2 * MOMENT + n * (WIRE_IDLE_AFTER - MOMENT);
            assert_eq!(queue.push(Flow::Unknown, later), Writer::Nobody);
        }
        assert!(queue.pace.burst);
    }

    #[test]
    fn a_burst_that_is_over_is_not_waited_for() {
        let (mut queue, now) = just_written();
        assert_eq!(queue.push(Flow::Unknown, now + MOMENT), Writer::Engine);
        for _ in 0..2 * BURST_FRAMES {
            assert_eq!(queue.push(Flow::Unknown, now + MOMENT), Writer::Nobody);
        }
        let write = |n| queue.push(Flow::Unknown, now + MOMENT + (n + 1) * WIRE_IDLE_AFTER);
        assert!((0..BURST_FRAMES).map(write).any(|writer| writer == Writer::Caller));
    }

    #[test]
    fn a_burst_is_written_by_its_sender_if_nobody_comes() {
        for (flow, by_sender) in [(Flow::Unknown, true), (Flow::Dense, false)] {
            let (mut queue, now) = just_written();
            assert_eq!(queue.push(flow, now + MOMENT), Writer::Engine);
            for _ in 0..2 * BURST_FRAMES {
                assert_eq!(queue.push(flow, now + MOMENT), Writer::Nobody);
            }
            let late = now + MOMENT + TAIL_LATE_AFTER;
            let written = (0..BURST_FRAMES_UNSEEN_MAX).any(|_| queue.push(flow, late) == Writer::Caller);
            assert_eq!(written, by_sender, "{flow:?}");
        }
    }

    #[test]
    fn messages_that_come_slowly_do_not_wait_for_each_other() {
        let (mut queue, now) = just_written();
        assert_eq!(queue.push(Flow::Unknown, now + MOMENT), Writer::Engine);
        assert!(!queue.pace.burst);
        assert_eq!(queue.push(Flow::Unknown, now + MOMENT + WIRE_IDLE_AFTER), Writer::Caller);
    }

    /// One message each `period`, of which a write takes nearly all; what becomes of them.
    fn send_steadily(queue: &mut Queue, now: &mut Instant, period: Duration, count: u32) -> Vec<Writer> {
        let send = |_| {
            let writer = queue.push(Flow::Unknown, *now);
            *now += period;
            if writer == Writer::Caller {
                queue.waiting = 0;
                queue.pace.written(*now - MOMENT);
                queue.pace.look_again(None);
            }
            writer
        };
        (0..count).map(send).collect()
    }

    #[test]
    fn a_steady_sender_writes_at_once_though_each_message_comes_just_behind_a_write() {
        let (mut queue, mut now) = just_written();
        let mut send = |period, count| send_steadily(&mut queue, &mut now, period, count);
        let waits_in_vain = [Writer::Engine, Writer::Caller];
        let period = 2 * WIRE_IDLE_AFTER;
        let learning = send(period, 2 * STEADY_AFTER_FRAMES);
        assert_eq!(learning, waits_in_vain.repeat(STEADY_AFTER_FRAMES as usize));
        for _ in 0..3 {
            let steady = send(period, STEADY_FRAMES_AT_ONCE);
            assert_eq!(steady, [Writer::Caller].repeat(STEADY_FRAMES_AT_ONCE as usize));
            assert_eq!(send(period, 2), waits_in_vain, "one waits now and then");
        }
        let burst = send(MOMENT, 4 * STEADY_FRAMES_AT_ONCE);
        let at_once = burst.iter().take_while(|writer| **writer == Writer::Caller).count();
        assert!(at_once <= STEADY_FRAMES_AT_ONCE as usize, "{at_once}");
        let waits =
            burst.get(at_once..at_once + 2 * BURST_FRAMES as usize).expect("more than that were sent");
        assert!(!waits.contains(&Writer::Caller), "{waits:?}");
        assert!(queue.pace.burst);
    }

    #[test]
    fn messages_for_many_go_by_the_flow_and_not_by_the_wire() {
        let (mut queue, now) = just_written();
        // Writing to the others took so long.
        let later = now + 100 * WIRE_IDLE_AFTER;
        assert_eq!(queue.push(Flow::Dense, later), Writer::Engine);
        assert_eq!(queue.push(Flow::Dense, later + WIRE_IDLE_AFTER), Writer::Nobody);
        assert!(queue.pace.burst);
        assert_eq!(queue.push(Flow::Sparse, later + 2 * WIRE_IDLE_AFTER), Writer::Caller);
    }

    #[test]
    fn a_tail_is_written_in_a_moment_and_that_of_a_burst_a_little_later() {
        for (flow, wait) in [(Flow::Unknown, TAIL_FEW_MAX), (Flow::Dense, TAIL_MAX)] {
            let (mut queue, now) = just_written();
            assert_eq!(queue.push(flow, now), Writer::Engine);
            assert_eq!(queue.pace.look_again(Some(now)), Some(now + wait));
            assert_eq!(queue.pace.look_again(Some(now + wait)), None);
        }
    }

    #[test]
    fn nobody_writes_a_wire_that_is_full_or_written_to() {
        let (mut queue, now) = just_written();
        queue.is_taken = true;
        for flow in [Flow::Unknown, Flow::Dense, Flow::Sparse] {
            assert_eq!(queue.push(flow, now + TAIL_MAX), Writer::Nobody);
        }
        queue.waiting = INLINE_WRITE_BYTES;
        assert_eq!(queue.push(Flow::Unknown, now + TAIL_MAX), Writer::Nobody);
    }
}
