//! [`Pace`]: who writes what was appended to a connection's queue, and when. Pure: bytes, counts and times in, a writer out.

use std::time::{Duration, Instant};

use super::trial::Trial;
use crate::limits::{
    BURST_FRAMES, BURST_FRAMES_UNSEEN_MAX, INLINE_WRITE_BYTES, STEADY_FRAMES, STEADY_MARGIN,
    STEADY_STRETCHES, TAIL_FEW_MAX, TAIL_LATE_AFTER, TAIL_MAX, WIRE_IDLE_AFTER,
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
    /// When its sender was free to send the next.
    free: Option<Instant>,
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

/// Finds senders whose messages come just behind the write of the one before, because that takes nearly as long as the
/// pause between two, and that lose nothing by writing each at once. One that sends as fast as it can looks the same, but
/// sends fewer then: so it is tried, and counted.
#[derive(Debug, Default)]
struct Steady {
    /// Messages of this stretch.
    frames: u32,
    began: Option<Instant>,
    /// Stretches that are still to be written at once, this one included.
    at_once: u32,
    /// From one message to the next, when they wait for each other.
    period: Duration,
    trial: Trial,
}

impl Steady {
    /// Whether to write now at once what could wait for company.
    fn goes_at_once(&mut self, now: Instant) -> bool {
        if self.frames >= STEADY_FRAMES {
            self.end_stretch(now);
        }
        self.at_once > 0
    }

    fn end_stretch(&mut self, now: Instant) {
        let taken = self.began.replace(now).map(|began| now.saturating_duration_since(began));
        let period = taken.and_then(|taken| taken.checked_div(self.frames));
        self.frames = 0;
        let Some(period) = period else { return };
        let margin = self.period / STEADY_MARGIN;
        if self.at_once == 0 {
            // What comes more quickly than it could be written is not tried.
            if period >= WIRE_IDLE_AFTER && self.trial.takes() {
                self.at_once = STEADY_STRETCHES;
                self.period = period;
            }
        } else if period > self.period + margin {
            self.at_once = 0;
            self.trial.ended(false);
        } else if period + margin < self.period {
            // It sends faster than before: what it was like says nothing any more.
            self.at_once = 0;
        } else {
            self.at_once -= 1;
            self.trial.ended(true);
        }
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
        self.steady.frames = self.steady.frames.saturating_add(1);
        if waiting >= INLINE_WRITE_BYTES {
            // A large one by itself is none.
            self.burst |= !was_empty;
            return if is_taken { Writer::Nobody } else { Writer::Caller };
        }
        let follows_burst = was_empty && self.burst;
        self.frames = if was_empty { 1 } else { self.frames.saturating_add(1) };
        let goes_on = self.burst && flow == Flow::Unknown && (!was_empty || is_taken);
        self.burst = goes_on || self.frames > BURST_FRAMES || flow == Flow::Dense;
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
        if self.is_slow(was_empty, flow, now)
            || was_empty && flow == Flow::Unknown && self.steady.goes_at_once(now)
        {
            return Writer::Caller;
        }
        if was_empty {
            self.oldest = Some(now);
            self.free = Some(now);
            // It came just behind the write of that.
            self.burst |= follows_burst;
        }
        if std::mem::replace(&mut self.scheduled, true) { Writer::Nobody } else { Writer::Engine }
    }

    /// How long the first of what waits may wait for company.
    pub(super) fn wait(&self) -> Duration {
        if self.burst { TAIL_MAX } else { TAIL_FEW_MAX }
    }

    /// The sender has called the engine: that may take longer than a write, and says nothing of how fast it sends.
    pub(super) fn engine_called(&mut self, now: Instant) {
        self.free = Some(now);
        self.looked.at = self.looked.at.map(|_| now);
    }

    /// The look that [`Writer::Engine`] asked for, if there is still something to write `now`. `Some` is when to look
    /// again: what waits is too fresh, and more is probably coming. `None`: write, if there is something.
    pub(super) fn look_again(&mut self, now: Option<Instant>) -> Option<Instant> {
        self.scheduled = false;
        let due =
            self.oldest.map(|oldest| oldest + self.wait()).filter(|due| now.is_some_and(|now| *due > now))?;
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
            Flow::Unknown => self.free,
        };
        before.is_none_or(|at| now.saturating_duration_since(at) >= WIRE_IDLE_AFTER)
    }
}

#[cfg(test)]
mod tests {
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

    /// A sender and an engine, to which calling it costs as much as a write.
    struct Sender {
        queue: Queue,
        now: Instant,
        /// When the next message is due.
        due: Instant,
        write: Duration,
        /// When the engine looks.
        alarm: Option<Instant>,
    }

    impl Sender {
        fn new(write: Duration) -> Sender {
            let (queue, now) = just_written();
            Sender { queue, now, due: now, write, alarm: None }
        }

        /// Works for `work` before each message, and sends none before it is due, which they are each `period`. Returns how
        /// often it wrote itself.
        fn send(&mut self, work: Duration, period: Duration, count: u32) -> u32 {
            let mut by_itself = 0;
            for _ in 0..count {
                self.due += period;
                self.now = (self.now + work).max(self.due);
                self.engine_looks();
                match self.queue.push(Flow::Unknown, self.now) {
                    Writer::Nobody => (),
                    Writer::Engine => {
                        self.alarm = Some(self.now + TAIL_FEW_MAX);
                        self.now += self.write;
                        self.queue.pace.engine_called(self.now);
                    }
                    Writer::Caller => {
                        by_itself += 1;
                        self.now += self.write;
                        self.write();
                    }
                }
            }
            by_itself
        }

        fn engine_looks(&mut self) {
            let Some(at) = self.alarm.take_if(|at| *at <= self.now) else { return };
            let waits = self.queue.waiting > 0;
            self.alarm = self.queue.pace.look_again(waits.then_some(at));
            if waits && self.alarm.is_none() {
                self.write();
            }
        }

        fn write(&mut self) {
            self.queue.waiting = 0;
            self.queue.pace.written(self.now);
        }
    }

    #[test]
    fn who_sends_steadily_writes_at_once_though_each_message_comes_just_behind_a_write() {
        let period = 2 * WIRE_IDLE_AFTER;
        let mut sender = Sender::new(period - 2 * MOMENT);
        let round = STEADY_FRAMES * STEADY_STRETCHES;
        let by_itself = sender.send(MOMENT, period, 10 * round);
        assert!((9 * round..10 * round).contains(&by_itself), "one waits now and then: {by_itself}");
        // A pause says nothing about what comes after it.
        sender.now += Duration::from_secs(1);
        sender.due = sender.now;
        let by_itself = sender.send(MOMENT, period, 10 * round);
        assert!(by_itself >= 9 * round, "{by_itself}");
    }

    #[test]
    fn who_sends_as_fast_as_it_can_is_not_taken_for_a_steady_sender_for_long() {
        let period = 2 * WIRE_IDLE_AFTER;
        let mut sender = Sender::new(period - 2 * MOMENT);
        let count = 4 * STEADY_FRAMES * STEADY_STRETCHES;
        sender.send(MOMENT, period, count);
        sender.due = sender.now;
        let by_itself = sender.send(MOMENT, Duration::ZERO, count);
        assert!(by_itself <= STEADY_FRAMES * (STEADY_STRETCHES + 4), "{by_itself}");
        assert_eq!(sender.send(MOMENT, Duration::ZERO, count), 0);
    }

    #[test]
    fn who_loses_by_writing_at_once_lets_messages_wait_for_each_other() {
        let write = 2 * WIRE_IDLE_AFTER;
        for work in [MOMENT, 10 * MOMENT, WIRE_IDLE_AFTER / 2, WIRE_IDLE_AFTER - MOMENT] {
            let mut sender = Sender::new(write);
            let (began, count) = (sender.now, 1000 * STEADY_FRAMES);
            sender.send(work, Duration::ZERO, count);
            let period = (sender.now - began) / count;
            assert!(period < work + write * 6 / 10, "{work:?} {period:?}");
        }
    }

    #[test]
    fn what_comes_just_behind_a_burst_belongs_to_it() {
        let cases = [
            (false, MOMENT, TAIL_MAX),
            (false, WIRE_IDLE_AFTER, TAIL_FEW_MAX),
            // One large message.
            (true, MOMENT, TAIL_FEW_MAX),
        ];
        for (was_empty, pause, wait) in cases {
            let (mut queue, mut now) = just_written();
            let wire = Wire { waiting: INLINE_WRITE_BYTES, was_empty, is_taken: false };
            assert_eq!(queue.pace.choose_writer(wire, Flow::Unknown, || now), Writer::Caller);
            assert_eq!(queue.pace.steady.frames, 1, "what fills a block counts too");
            queue.pace.written(now);
            now += pause;
            if pause == WIRE_IDLE_AFTER {
                assert_eq!(queue.push(Flow::Unknown, now), Writer::Caller, "it is over");
                queue.waiting = 0;
                queue.pace.written(now);
            }
            assert_eq!(queue.push(Flow::Unknown, now + MOMENT), Writer::Engine);
            assert_eq!(queue.pace.wait(), wait, "{was_empty} {pause:?}");
        }
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
