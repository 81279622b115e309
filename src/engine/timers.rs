//! [`Timers`]: deadlines in order, each with whom to tell. Pure: the clock is an argument.

use std::collections::BTreeMap;
use std::time::Instant;

/// Names one timer, so that it can be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerKey {
    at: Instant,
    serial: u64,
}

#[derive(Debug)]
pub(crate) struct Timers<T> {
    pending: BTreeMap<TimerKey, T>,
    serial: u64,
}

impl<T> Timers<T> {
    pub(crate) fn new() -> Self {
        Timers { pending: BTreeMap::new(), serial: 0 }
    }

    /// Adds a timer. Returns its key, and whether it is now the first to fire.
    pub(crate) fn add(&mut self, at: Instant, target: T) -> (TimerKey, bool) {
        self.serial = self.serial.wrapping_add(1);
        let key = TimerKey { at, serial: self.serial };
        let first = self.next_at().is_none_or(|next| at < next);
        self.pending.insert(key, target);
        (key, first)
    }

    /// Forgets a timer; nothing happens when it has fired already.
    pub(crate) fn cancel(&mut self, key: TimerKey) {
        self.pending.remove(&key);
    }

    /// When the first timer fires.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.pending.first_key_value().map(|(key, _)| key.at)
    }

    /// Takes one timer that is due, the earliest first.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<T> {
        let entry = self.pending.first_entry()?;
        (entry.key().at <= now).then(|| entry.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn fires_in_order_of_time_then_of_addition_and_never_what_was_cancelled() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::new();
        assert!(timers.add(at(20), "b").1);
        assert!(timers.add(at(10), "a").1);
        let (cancelled, first) = timers.add(at(15), "never");
        assert!(!first);
        timers.add(at(20), "c");
        timers.cancel(cancelled);
        assert_eq!(timers.next_at(), Some(at(10)));
        assert_eq!(timers.pop_due(at(9)), None);
        assert_eq!(timers.pop_due(at(20)), Some("a"));
        assert_eq!(timers.pop_due(at(20)), Some("b"));
        assert_eq!(timers.pop_due(at(20)), Some("c"));
        assert_eq!(timers.pop_due(at(99)), None);
    }
}
