//! [`Outside`]: where the I/O thread sleeps while other threads turn its reactor in between.
//!
//! The reactor's own poll is a descriptor in a second one. While that is armed, an event calls the I/O thread; a thread
//! that turns the reactor itself disarms it first. So nobody has to be woken in order to make room, and nobody is called
//! for what another thread is there to handle.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use parking_lot::Mutex;

use super::turns::Doorbell;
use crate::limits::{GUEST_LEASE, OUTSIDE_EVENTS, STANDBY_AFTER_GUESTS};
use crate::sys::{Alarm, standby};

/// The reactor's own poll.
const INSIDE: Token = Token(0);
/// Somebody rang.
const RING: Token = Token(1);
/// A guest has not come back in time.
const LEASE: Token = Token(2);
/// The reactor's alarm for what waits to be written.
const TAILS: Token = Token(3);

pub(super) struct Outside {
    sleeper: Mutex<Sleeper>,
    registry: Registry,
    bell: mio::Waker,
    /// Of the reactor's own poll.
    waker: Arc<mio::Waker>,
    inside: RawFd,
    /// `None` where the system has nothing that counts in microseconds.
    lease: Option<Alarm>,
    /// While the alarm is set, or has gone off and the sleeper has not looked yet.
    lease_ends: Mutex<Option<Instant>>,
}

struct Sleeper {
    poll: Poll,
    events: Events,
}

impl Outside {
    /// Around `inside`, which `waker` wakes; `tails` calls too.
    pub(super) fn new(inside: &Poll, waker: Arc<mio::Waker>, tails: Option<&Alarm>) -> io::Result<Outside> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let bell = mio::Waker::new(&registry, RING)?;
        let inside = inside.as_raw_fd();
        registry.register(&mut SourceFd(&inside), INSIDE, DISARMED)?;
        if let Some(tails) = tails {
            registry.register(&mut SourceFd(&tails.as_raw_fd()), TAILS, Interest::READABLE)?;
        }
        let lease = match tails {
            Some(_) => Some(Alarm::new()?),
            None => None,
        };
        if let Some(lease) = &lease {
            registry.register(&mut SourceFd(&lease.as_raw_fd()), LEASE, Interest::READABLE)?;
        }
        let sleeper = Mutex::new(Sleeper { poll, events: Events::with_capacity(OUTSIDE_EVENTS) });
        Ok(Outside { sleeper, registry, bell, waker, inside, lease, lease_ends: Mutex::new(None) })
    }

    /// Sleeps until called, or until `timeout` has passed. Whether what waits to be written called.
    pub(super) fn sleep(&self, timeout: Option<Duration>) -> io::Result<bool> {
        let mut sleeper = self.sleeper.lock();
        let Sleeper { poll, events } = &mut *sleeper;
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            poll.poll(events, left)?;
            let only_lease = !events.is_empty() && events.iter().all(|event| event.token() == LEASE);
            let is_prolonged = events.iter().any(|event| event.token() == LEASE) && self.is_prolonged();
            if !(only_lease && is_prolonged) {
                return Ok(events.iter().any(|event| event.token() == TAILS));
            }
        }
    }

    /// The alarm of a lease went off: sets it again if a guest has prolonged the lease meanwhile.
    fn is_prolonged(&self) -> bool {
        let now = Instant::now();
        let mut ends = self.lease_ends.lock();
        match (&self.lease, *ends) {
            (Some(alarm), Some(at)) if at > now => {
                alarm.set(at.saturating_duration_since(now));
                true
            }
            _ => {
                *ends = None;
                false
            }
        }
    }

    fn watch(&self, interest: Interest) {
        // Registered as long as both live.
        let _ = self.registry.reregister(&mut SourceFd(&self.inside), INSIDE, interest);
    }
}

/// A poll is never writable.
const DISARMED: Interest = Interest::WRITABLE;

impl Doorbell for Outside {
    fn arm(&self) {
        self.watch(Interest::READABLE);
    }

    fn disarm(&self) {
        self.watch(DISARMED);
    }

    fn lease(&self) -> bool {
        let Some(alarm) = &self.lease else { return false };
        let now = Instant::now();
        let mut ends = self.lease_ends.lock();
        // Setting it each time would cost a system call for each message of a conversation: who sleeps sets it again.
        if ends.is_none_or(|ends| ends <= now) {
            alarm.set(GUEST_LEASE);
        }
        *ends = Some(now + GUEST_LEASE);
        true
    }

    fn ring(&self) {
        // The only error is a full counter, and then it has rung already.
        let _ = self.bell.wake();
    }

    fn call(&self) {
        // As above.
        let _ = self.waker.wake();
    }

    fn standby_after(&self) -> Option<u32> {
        standby::IS_POSSIBLE.then_some(STANDBY_AFTER_GUESTS)
    }
}

#[cfg(all(test, not(loom), any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;

    #[test]
    fn a_lease_calls_when_it_is_over_and_later_if_it_was_prolonged() {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(mio::Waker::new(poll.registry(), Token(0)).unwrap());
        let outside = Outside::new(&poll, waker, Some(&Alarm::new().unwrap())).unwrap();
        for timeout in [None, Some(Duration::from_secs(60))] {
            let began = Instant::now();
            assert!(outside.lease());
            assert!(!outside.sleep(timeout).unwrap(), "nothing waits to be written");
            assert!(began.elapsed() >= GUEST_LEASE);
            assert!(outside.lease());
            let ends = Instant::now() + 3 * GUEST_LEASE;
            *outside.lease_ends.lock() = Some(ends);
            assert!(!outside.sleep(timeout).unwrap());
            assert!(Instant::now() >= ends);
            assert_eq!(*outside.lease_ends.lock(), None, "the next one sets the alarm");
        }
    }
}
