//! [`Backoff`]: how long a connecting endpoint waits before it tries again. Pure: time and chance are arguments.

use std::time::Duration;

use crate::limits::{CONNECTION_USEFUL_AFTER, RECONNECT_FLOOR, RECONNECT_JITTER_FROM};

/// The k-th wait is `(2^k - 1) * interval`, capped by `max`, or by the interval itself when `max` is not above it
/// (R231): the first retry is immediate.
#[derive(Debug)]
pub(crate) struct Backoff {
    interval: Duration,
    max: Duration,
    attempts: u32,
}

impl Backoff {
    pub(crate) fn new(interval: Duration, max: Duration) -> Self {
        Backoff { interval, max: max.max(interval), attempts: 0 }
    }

    /// The wait before the next attempt. `chance` is a random number: waits from one second up get up to a quarter
    /// on top, so that many peers of one server do not return at the same moment (R233).
    pub(crate) fn next_wait(&mut self, chance: u32) -> Duration {
        let factor = 2u32.saturating_pow(self.attempts).saturating_sub(1);
        let wait = self.interval.saturating_mul(factor).min(self.max);
        let wait = if self.attempts == 0 { wait } else { wait.max(RECONNECT_FLOOR) };
        self.attempts = self.attempts.saturating_add(1);
        if wait < RECONNECT_JITTER_FROM {
            return wait;
        }
        wait + (wait / 4).mul_f64(f64::from(chance) / f64::from(u32::MAX))
    }

    /// A connection ended that had lived for `lived` since its header exchange; `None` when it never got that far.
    /// Only a useful one starts the waits anew (R232): a peer that accepts and refuses must not be hammered.
    pub(crate) fn connection_ended(&mut self, lived: Option<Duration>) {
        if lived.is_some_and(|lived| lived >= CONNECTION_USEFUL_AFTER) {
            self.attempts = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn r231_first_retry_is_immediate_then_the_interval() {
        let mut backoff = Backoff::new(100 * MS, Duration::ZERO);
        let waits: Vec<_> = (0..4).map(|_| backoff.next_wait(0).as_millis()).collect();
        assert_eq!(waits, [0, 100, 100, 100]);
    }

    #[test]
    fn r231_doubles_up_to_the_maximum() {
        let mut backoff = Backoff::new(100 * MS, 1000 * MS);
        let waits: Vec<_> = (0..6).map(|_| backoff.next_wait(0).as_millis()).collect();
        assert_eq!(waits, [0, 100, 300, 700, 1000, 1000]);
    }

    #[test]
    fn r232_resets_after_a_useful_connection_only() {
        let mut backoff = Backoff::new(100 * MS, 1000 * MS);
        backoff.next_wait(0);
        backoff.next_wait(0);
        backoff.connection_ended(None);
        backoff.connection_ended(Some(10 * MS));
        assert_eq!(backoff.next_wait(0), 300 * MS);
        backoff.connection_ended(Some(5000 * MS));
        assert_eq!(backoff.next_wait(0), Duration::ZERO);
    }

    #[test]
    fn r233_long_waits_carry_jitter_short_ones_do_not() {
        let mut backoff = Backoff::new(2000 * MS, Duration::ZERO);
        assert_eq!(backoff.next_wait(u32::MAX), Duration::ZERO);
        assert_eq!(backoff.next_wait(0), 2000 * MS);
        assert_eq!(backoff.next_wait(u32::MAX), 2500 * MS);
        let mut short = Backoff::new(100 * MS, Duration::ZERO);
        short.next_wait(u32::MAX);
        assert_eq!(short.next_wait(u32::MAX), 100 * MS);
    }

    #[test]
    fn r234_an_interval_of_zero_is_no_tight_loop() {
        let mut backoff = Backoff::new(Duration::ZERO, Duration::ZERO);
        assert_eq!(backoff.next_wait(0), Duration::ZERO);
        assert_eq!(backoff.next_wait(0), RECONNECT_FLOOR);
        for _ in 0..100 {
            assert_eq!(backoff.next_wait(u32::MAX), RECONNECT_FLOOR);
        }
    }
}
