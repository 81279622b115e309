//! The I/O thread: it turns the reactor where nobody else does, and sleeps where it disturbs nobody who does.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::Token;

use super::{Reactor, TAILS, WAKE};
use crate::engine::source::Task;
use crate::engine::turns::{Post, Station};
use crate::limits::GUEST_TIMER_MAX;
use crate::sys::standby;

impl Reactor {
    /// Turns until [`stop`](Reactor::stop).
    pub(crate) fn run(&self) {
        self.has_thread.store(true, Ordering::SeqCst);
        while !self.stop.load(Ordering::SeqCst) {
            // A panic is a bug of ours; it costs what was being done, not the host's other connections.
            let work = std::panic::AssertUnwindSafe(|| {
                let now = Instant::now();
                match self.turns.next_post(&self.outside, now, self.has_work() || self.alarms.is_due(now)) {
                    Post::Duty(station) => self.on_duty(station),
                    Post::Standby => self.stand_by(),
                    // Who is inside sees to what is due; looking again at once would only take the processor from it.
                    Post::Away => self.sleep_outside(GUEST_TIMER_MAX),
                }
            });
            if let Ok(Err(_)) | Err(_) = std::panic::catch_unwind(work) {
                std::thread::yield_now();
            }
        }
        self.finish();
    }

    /// Tasks hold connections, and these the reactor: none must stay behind.
    fn finish(&self) {
        // There is nobody to be told of an error.
        let _ = self.turn(Some(Duration::ZERO));
        let mut left = Vec::new();
        self.inbox.take(&mut left);
        drop(left);
    }

    fn on_duty(&self, station: Station) -> io::Result<()> {
        /// Also after a panic.
        struct Leave<'a>(&'a Reactor, Station);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.turns.end_duty(self.1, &self.0.outside);
            }
        }
        let leave = Leave(self, station);
        match station {
            Station::Inside => self.turn_here(None),
            Station::Standby => self.turn_here(Some(Duration::ZERO)),
            Station::Outside => {
                let turned = self.turn_here(Some(Duration::ZERO));
                drop(leave);
                // What was submitted before the place was empty has called nobody.
                if turned.is_ok() && !self.has_work() { self.sleep_outside(Duration::ZERO) } else { turned }
            }
        }
    }

    fn turn_here(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.turn_alone(&mut self.poll.lock(), Instant::now(), timeout, false, None)
    }

    /// Sleeps in the poll, where a guest may sleep too, and leaves to that one, or to the turn that comes next, what it
    /// is woken with.
    fn stand_by(&self) -> io::Result<()> {
        // What called nobody before this thread was known to be here: work that no guest will see, or the end.
        if self.stop.load(Ordering::SeqCst) || self.has_work() && !self.turns.is_occupied() {
            return Ok(());
        }
        let at_least = if self.turns.is_occupied() { GUEST_TIMER_MAX } else { Duration::ZERO };
        let timeout = self.until_noted_timer(at_least);
        let mut tasks = Vec::new();
        let (mut woken, mut alarm) = (false, false);
        self.turns.settled();
        let slept =
            standby::wait(self.registry.as_raw_fd(), timeout, |happened| match Token(happened.token) {
                WAKE => woken = true,
                TAILS => alarm = true,
                token => tasks.push(Task::Ready(token, happened.into())),
            });
        let events = !tasks.is_empty();
        if events {
            self.inbox.append(&mut tasks);
        }
        if (woken || events) && self.turns.is_occupied() {
            self.turns.woken_for_guest(&self.outside);
            if woken {
                // It may have been meant for a guest that sleeps; if it does not, it looks for all that before it does.
                let _ = self.waker.wake();
            }
        }
        if events {
            self.wake_sleeper();
        }
        if alarm {
            self.tails.look(Instant::now());
        }
        slept
    }

    /// How long the I/O thread is to sleep, and a note of it for who adds timers.
    fn until_noted_timer(&self, at_least: Duration) -> Option<Duration> {
        let until = self.alarms.note_sleep();
        until.map(|until| until.saturating_duration_since(Instant::now()).max(at_least))
    }

    /// Sleeps until there is something to do and nobody to do it; for a timer `at_least` so long.
    fn sleep_outside(&self, at_least: Duration) -> io::Result<()> {
        let timeout = self.until_noted_timer(at_least);
        if self.outside.sleep(timeout)? {
            self.tails.look(Instant::now());
        }
        Ok(())
    }
}
