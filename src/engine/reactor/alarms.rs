//! [`Alarms`]: the timers of a reactor, and when its I/O thread wakes for them by itself. When the first is due is seen
//! without the lock, by the one who looks each time.

use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::engine::source::Source;
use crate::engine::timers::{TimerKey, Timers};

pub(super) struct Alarms {
    timers: Mutex<Timers<Weak<dyn Source>>>,
    born: Instant,
    /// When the first is due, in nanoseconds since `born`; [`NEVER`]. Changed under the lock.
    first: AtomicU64,
    /// The same for when the I/O thread wakes by itself.
    sleeps_until: AtomicU64,
}

const NEVER: u64 = u64::MAX;

impl Alarms {
    pub(super) fn new() -> Self {
        Alarms {
            timers: Mutex::new(Timers::new()),
            born: Instant::now(),
            first: AtomicU64::new(NEVER),
            sleeps_until: AtomicU64::new(NEVER),
        }
    }

    /// Adds a timer. Returns its key, and whether it is now the first to fire.
    pub(super) fn add(&self, at: Instant, source: Weak<dyn Source>) -> (TimerKey, bool) {
        let mut timers = self.timers.lock();
        let (key, first) = timers.add(at, source);
        self.note_first(&timers);
        (key, first)
    }

    pub(super) fn cancel(&self, key: TimerKey) {
        let mut timers = self.timers.lock();
        timers.cancel(key);
        self.note_first(&timers);
    }

    /// Takes one that is due. The lock is not held while the source is called, which will add its next timer.
    pub(super) fn pop_due(&self, now: Instant) -> Option<Weak<dyn Source>> {
        if !self.is_due(now) {
            return None;
        }
        let mut timers = self.timers.lock();
        let due = timers.pop_due(now);
        self.note_first(&timers);
        due
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next_at().is_some_and(|at| at <= now)
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        let nanos = self.first.load(Ordering::SeqCst);
        if nanos == NEVER { None } else { self.born.checked_add(Duration::from_nanos(nanos)) }
    }

    /// The I/O thread is about to sleep until the first timer, which is returned. Under the lock: who adds an earlier one
    /// meanwhile has to see what this sleep is about to miss.
    pub(super) fn note_sleep(&self) -> Option<Instant> {
        let timers = self.timers.lock();
        self.sleeps_until.store(self.first.load(Ordering::SeqCst), Ordering::SeqCst);
        timers.next_at()
    }

    /// Whether a timer was added that the I/O thread will not wake for by itself.
    pub(super) fn are_unknown_to_sleeper(&self) -> bool {
        // In this order: whoever sees the timer sees what was noted before it was added.
        let first = self.first.load(Ordering::SeqCst);
        first < self.sleeps_until.load(Ordering::SeqCst)
    }

    fn note_first(&self, timers: &Timers<Weak<dyn Source>>) {
        let since = |at: Instant| u64::try_from(at.saturating_duration_since(self.born).as_nanos());
        let nanos = timers.next_at().map_or(NEVER, |at| since(at).unwrap_or(NEVER));
        self.first.store(nanos, Ordering::SeqCst);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::source::{Ready, Turn};

    struct Nothing;

    impl Source for Nothing {
        fn ready(self: Arc<Self>, _: Ready, _: &mut Turn<'_>) {}
        fn timer(self: Arc<Self>, _: &mut Turn<'_>) {}
    }

    fn nobody() -> Weak<dyn Source> {
        Weak::<Nothing>::new()
    }

    #[test]
    fn the_first_timer_is_known_without_the_lock() {
        let (alarms, start) = (Alarms::new(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(alarms.next_at(), None);
        assert!(alarms.add(at(20), nobody()).1);
        let (first, is_first) = alarms.add(at(10), nobody());
        assert!(is_first);
        assert_eq!(alarms.next_at(), Some(at(10)));
        assert!(!alarms.is_due(at(9)) && alarms.is_due(at(10)));
        alarms.cancel(first);
        assert_eq!(alarms.next_at(), Some(at(20)));
        assert!(alarms.pop_due(at(19)).is_none());
        assert!(alarms.pop_due(at(20)).is_some());
        assert_eq!(alarms.next_at(), None);
    }

    #[test]
    fn a_sleeper_has_to_be_told_of_earlier_timers_only() {
        let (alarms, start) = (Alarms::new(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(alarms.note_sleep(), None);
        assert!(!alarms.are_unknown_to_sleeper());
        alarms.add(at(20), nobody());
        assert!(alarms.are_unknown_to_sleeper());
        assert_eq!(alarms.note_sleep(), Some(at(20)));
        alarms.add(at(30), nobody());
        assert!(!alarms.are_unknown_to_sleeper());
        alarms.add(at(10), nobody());
        assert!(alarms.are_unknown_to_sleeper());
    }
}
