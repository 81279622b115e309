//! [`Tails`]: connections whose last few frames nobody has written yet.
//!
//! A sender that is in full flow leaves what it appended last to whoever turns the reactor, which looks after a moment:
//! most often the sender has written it itself by then, together with much that came later. So no message costs a
//! wake-up, and none waits longer than a fixed time.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use parking_lot::Mutex;

use super::source::Source;
use crate::sys::Alarm;

pub(super) struct Tails {
    waiting: Mutex<Vec<Weak<dyn Source>>>,
    /// Looked at without the lock by threads that are about to block.
    any: AtomicBool,
    /// `None` where the system has nothing that counts in microseconds.
    alarm: Option<Alarm>,
}

impl Tails {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let alarm = match Alarm::new() {
            Ok(alarm) => Some(alarm),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => None,
            Err(error) => return Err(error),
        };
        if let Some(alarm) = &alarm {
            registry.register(&mut SourceFd(&alarm.as_raw_fd()), token, Interest::READABLE)?;
        }
        Ok(Tails { waiting: Mutex::new(Vec::new()), any: AtomicBool::new(false), alarm })
    }

    /// Has `source` looked at in `delay` at the latest. Returns whether somebody has to turn at once for that.
    pub(super) fn add(&self, source: Weak<dyn Source>, delay: Duration) -> bool {
        let mut waiting = self.waiting.lock();
        waiting.push(source);
        // Later ones find it set, and the alarm too: both are so as long as the lock is held.
        if waiting.len() == 1 {
            self.any.store(true, Ordering::SeqCst);
            if let Some(alarm) = &self.alarm {
                alarm.set(delay);
            }
        }
        self.alarm.is_none()
    }

    pub(super) fn alarm(&self) -> Option<&Alarm> {
        self.alarm.as_ref()
    }

    fn any(&self) -> bool {
        self.any.load(Ordering::SeqCst)
    }

    /// Whether they can wait: for the alarm.
    pub(super) fn can_wait(&self) -> bool {
        self.alarm.is_some()
    }

    /// Has those written that are due.
    pub(super) fn look(&self, now: Instant) {
        let mut next: Option<Instant> = None;
        let mut fresh: Vec<Weak<dyn Source>> = Vec::new();
        for waiting in self.take() {
            let Some(source) = waiting.upgrade() else { continue };
            if let Some(due) = source.write_tail(Some(now)) {
                next = Some(next.map_or(due, |next| next.min(due)));
                fresh.push(waiting);
            }
        }
        let Some(next) = next else { return };
        // Any that were added meanwhile have set it later than these are due.
        let mut waiting = self.waiting.lock();
        waiting.append(&mut fresh);
        self.any.store(true, Ordering::SeqCst);
        if let Some(alarm) = &self.alarm {
            alarm.set(next.saturating_duration_since(Instant::now()));
        }
    }

    /// Has all of them written.
    pub(super) fn write(&self) {
        if self.any() {
            for waiting in self.take() {
                if let Some(source) = waiting.upgrade() {
                    source.write_tail(None);
                }
            }
        }
    }

    fn take(&self) -> Vec<Weak<dyn Source>> {
        let mut waiting = self.waiting.lock();
        self.any.store(false, Ordering::SeqCst);
        std::mem::take(&mut *waiting)
    }
}
