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
use crate::limits::{GUEST_AWAY_MAX, GUEST_LEASE, OUTSIDE_EVENTS, STANDBY_AFTER_GUESTS};
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
        poll.poll(events, timeout)?;
        Ok(events.iter().any(|event| event.token() == TAILS))
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
        // Setting it each time would cost a system call for each message of a conversation.
        if ends.is_none_or(|ends| ends < now + GUEST_AWAY_MAX) {
            *ends = Some(now + GUEST_LEASE);
            alarm.set(GUEST_LEASE);
        }
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
