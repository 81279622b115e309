//! [`Turns`]: which thread turns a reactor. The one place where threads hand over to each other.
//!
//! One thread turns at a time. A thread that is blocked in a call does so itself, as a *guest*: then what it waits for
//! reaches it without waking anybody in between. The I/O thread is there for everything else. While guests come and go it
//! sleeps outside, and is called by the events themselves ([`Doorbell::arm`]); a guest that will be back in a moment
//! leaves the bell off, and takes out a lease: the I/O thread comes when that runs out. Without guests the I/O thread
//! sleeps inside, in the reactor's own poll, which costs less for each event; the first guest wakes it to take its place.

use std::time::{Duration, Instant};

use super::sync::{AtomicBool, AtomicUsize, Condvar, Mutex, Ordering};
use crate::limits::{GUESTS_REMEMBERED, RELIEF_WAIT_MAX};

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests;
#[cfg(test)]
mod world;

/// How the I/O thread is called while it sleeps outside.
pub(super) trait Doorbell {
    /// Events call it from now on, and at once if there are some.
    fn arm(&self);
    /// Events do not call it: somebody is there to handle them.
    fn disarm(&self);
    /// It comes by itself in a moment, unless this is called again. False where that cannot be.
    fn lease(&self) -> bool;
    /// It comes at once.
    fn ring(&self);
}

pub(super) struct Turns {
    who: Mutex<Who>,
    /// Told when the place becomes empty.
    free: Condvar,
    /// Somebody turns, and will look for work before the place is empty.
    occupied: AtomicBool,
    /// Threads that wait for something that only a turn brings, and do not turn themselves.
    parked: AtomicUsize,
    /// A guest waits for an I/O thread that is at work: what can be left to it should be.
    relief: AtomicBool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Turner {
    #[default]
    Nobody,
    /// The I/O thread.
    Duty,
    /// A blocked thread, or the program itself.
    Guest,
}

#[derive(Default)]
struct Who {
    turner: Turner,
    /// Guests that wait for the I/O thread to make room.
    wanted: usize,
    /// Events call the I/O thread.
    armed: bool,
    last_guest: Option<Instant>,
}

/// Where the I/O thread is to wait for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Station {
    /// In the reactor's own poll.
    Inside,
    /// Where guests need not wake it.
    Outside,
}

impl Turns {
    pub(super) fn new() -> Self {
        Turns {
            who: Mutex::new(Who::default()),
            free: Condvar::new(),
            occupied: AtomicBool::new(false),
            parked: AtomicUsize::new(0),
            relief: AtomicBool::new(false),
        }
    }

    /// The I/O thread's way in: where to wait for events. `None` when somebody else turns, or is about to.
    pub(super) fn begin_duty(&self, now: Instant) -> Option<Station> {
        let mut who = self.who.lock();
        if who.turner != Turner::Nobody || who.wanted > 0 {
            return None;
        }
        who.turner = Turner::Duty;
        self.occupied.store(true, Ordering::SeqCst);
        let lately = who.last_guest.is_some_and(|at| now.saturating_duration_since(at) < GUESTS_REMEMBERED);
        Some(if lately { Station::Outside } else { Station::Inside })
    }

    /// The I/O thread's way out. Afterwards it looks for work once more, and if there is none sleeps outside; from the
    /// station inside it comes straight back instead.
    pub(super) fn end_duty(&self, station: Station, bell: &impl Doorbell) {
        self.occupied.store(false, Ordering::SeqCst);
        let mut who = self.who.lock();
        who.turner = Turner::Nobody;
        if station == Station::Outside && who.wanted == 0 {
            who.armed = true;
            bell.arm();
        }
        self.free.notify_all();
    }

    /// Whether a guest waits to go on with what the I/O thread is doing.
    pub(super) fn relief(&self) -> &AtomicBool {
        &self.relief
    }

    /// A blocked thread's way in; false when somebody else is turning and cannot be relieved soon. `is_asleep` tells
    /// whether the one who turns waits for events, `wake` ends that and must not come back here.
    pub(super) fn begin_guest(
        &self,
        bell: &impl Doorbell,
        is_asleep: impl Fn() -> bool,
        wake: impl Fn(),
    ) -> bool {
        // With others parked the I/O thread would be called back as soon as this guest leaves: two switches for nothing.
        if self.parked.load(Ordering::SeqCst) > 0 {
            return false;
        }
        let mut who = self.who.lock();
        // Somebody waits for the place already: it is theirs.
        if who.wanted > 0 {
            return false;
        }
        match who.turner {
            Turner::Nobody => (),
            Turner::Guest => return false,
            Turner::Duty => {
                who.wanted += 1;
                if is_asleep() {
                    wake();
                    while who.turner == Turner::Duty {
                        self.free.wait(&mut who);
                    }
                } else {
                    // Otherwise an I/O thread with much to read would wake this one for every message.
                    self.relief.store(true, Ordering::SeqCst);
                    self.free.wait_for(&mut who, RELIEF_WAIT_MAX);
                    self.relief.store(false, Ordering::SeqCst);
                }
                who.wanted -= 1;
                // It may have much else to do, or a program's own turn have come first.
                if who.turner != Turner::Nobody {
                    return false;
                }
            }
        }
        self.seat_guest(&mut who, bell);
        true
    }

    fn seat_guest(&self, who: &mut Who, bell: &impl Doorbell) {
        who.turner = Turner::Guest;
        self.occupied.store(true, Ordering::SeqCst);
        if std::mem::take(&mut who.armed) {
            bell.disarm();
        }
    }

    /// A program's own way in: waits at most `timeout` for whoever turns, and is false when that one's turn is over, as
    /// progress has been made then.
    pub(super) fn begin_turn(&self, bell: &impl Doorbell, timeout: Option<Duration>) -> bool {
        let mut who = self.who.lock();
        if who.turner == Turner::Nobody {
            self.seat_guest(&mut who, bell);
            return true;
        }
        match timeout {
            Some(timeout) => drop(self.free.wait_for(&mut who, timeout)),
            None => self.free.wait(&mut who),
        }
        false
    }

    /// A guest's way out at `now`; `back_soon` says that it will most likely be back in a moment. `has_work` is asked
    /// once the place is empty: work that came before is seen by it, work that comes later by
    /// [`work_arrived`](Turns::work_arrived), whose call the I/O thread does not find in vain then. It is told whether
    /// there is a lease, and must not come back here.
    pub(super) fn end_guest(
        &self,
        bell: &impl Doorbell,
        now: Instant,
        back_soon: bool,
        has_work: impl Fn(bool) -> bool,
    ) {
        let mut who = self.who.lock();
        who.turner = Turner::Nobody;
        who.last_guest = Some(now);
        self.occupied.store(false, Ordering::SeqCst);
        let lease = back_soon && bell.lease();
        if self.parked.load(Ordering::SeqCst) > 0 || has_work(lease) {
            bell.ring();
        } else if !lease {
            who.armed = true;
            bell.arm();
        }
        drop(who);
        self.free.notify_all();
    }

    /// There is work and nobody asleep over it: if the place is empty the I/O thread must come, for work that `can_wait`
    /// in a moment only: most likely a guest will be there before it.
    pub(super) fn work_arrived(&self, bell: &impl Doorbell, can_wait: bool) {
        if self.occupied.load(Ordering::SeqCst) || (can_wait && bell.lease()) {
            return;
        }
        bell.ring();
    }

    /// The calling thread waits for what a turn will bring, until the result is dropped.
    pub(super) fn park(&self, bell: &impl Doorbell) -> Parked<'_> {
        self.parked.fetch_add(1, Ordering::SeqCst);
        self.work_arrived(bell, false);
        Parked { turns: self }
    }
}

pub(crate) struct Parked<'a> {
    turns: &'a Turns,
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.turns.parked.fetch_sub(1, Ordering::SeqCst);
    }
}
