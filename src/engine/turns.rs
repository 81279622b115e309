//! [`Turns`]: which thread turns a reactor. The one place where threads hand over to each other.
//!
//! One thread turns at a time. A thread that is blocked in a call does so itself, as a *guest*: then what it waits for
//! reaches it without waking anybody in between. The I/O thread is there for everything else. While guests come and go it
//! sleeps outside, and is called by the events themselves ([`Doorbell::arm`]); a guest that will be back in a moment
//! leaves the bell off, and takes out a lease: the I/O thread comes when that runs out. Without guests the I/O thread
//! sleeps inside, in the reactor's own poll, which costs less for each event; the first guest wakes it to take its place.
//!
//! With guests that come now and then it stands by: asleep in the reactor's own poll, but without the place. A guest
//! sleeps there too, and the system calls whoever came last; so nothing has to be armed or disarmed.

use std::time::{Duration, Instant};

use super::sync::{AtomicBool, AtomicUsize, Condvar, Mutex, Ordering};
use crate::limits::{GUESTS_REMEMBERED, RELIEF_WAIT_MAX};

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
pub(super) mod tests;
#[cfg(test)]
mod world;

/// How the I/O thread is called while it sleeps outside, or stands by.
pub(super) trait Doorbell {
    /// Events call it from now on, and at once if there are some.
    fn arm(&self);
    /// Events do not call it: somebody is there to handle them.
    fn disarm(&self);
    /// It comes by itself in a moment, unless this is called again. False where that cannot be.
    fn lease(&self) -> bool;
    /// It comes at once.
    fn ring(&self);
    /// The same for one that stands by; if a guest sleeps, that one may come in its stead.
    fn call(&self);
    /// After how many guests that left for long, one after the other, it is to stand by.
    fn standby_after(&self) -> Option<u32>;
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
    /// The I/O thread sleeps in the reactor's poll, or is about to, and has not the place.
    standby: AtomicBool,
    /// It is on its way there. A guest that goes to sleep before it would be the second to be called.
    settling: AtomicBool,
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
    /// Guests, one after the other, that left for long; less what waking in their place has cost.
    rare: u32,
}

/// What the I/O thread is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Post {
    /// It has the place: turn.
    Duty(Station),
    /// Sleep in the reactor's own poll, and pass on what it is woken with.
    Standby,
    /// Sleep outside: somebody else turns, or is about to.
    Away,
}

/// Where the I/O thread is to wait for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Station {
    /// In the reactor's own poll.
    Inside,
    /// Where guests need not wake it.
    Outside,
    /// In the reactor's own poll, without the place.
    Standby,
}

impl Turns {
    pub(super) fn new() -> Self {
        Turns {
            who: Mutex::new(Who::default()),
            free: Condvar::new(),
            occupied: AtomicBool::new(false),
            parked: AtomicUsize::new(0),
            relief: AtomicBool::new(false),
            standby: AtomicBool::new(false),
            settling: AtomicBool::new(false),
        }
    }

    /// What the I/O thread is to do next; `has_work` says that there is something that calls nobody by itself.
    pub(super) fn next_post(&self, bell: &impl Doorbell, now: Instant, has_work: bool) -> Post {
        let mut who = self.who.lock();
        let guest = who.turner == Turner::Guest;
        let last_guest = who.last_guest.map(|at| now.saturating_duration_since(at));
        let lately = guest || last_guest.is_some_and(|ago| ago < GUESTS_REMEMBERED);
        let rare = lately && bell.standby_after().is_some_and(|guests| who.rare >= standby_price(guests));
        let stands_by = rare && (guest || !has_work);
        self.standby.store(stands_by, Ordering::SeqCst);
        if stands_by {
            return Post::Standby;
        }
        self.settling.store(false, Ordering::Relaxed);
        if who.turner != Turner::Nobody || who.wanted > 0 {
            return Post::Away;
        }
        who.turner = Turner::Duty;
        self.occupied.store(true, Ordering::SeqCst);
        Post::Duty(match lately {
            true if rare => Station::Standby,
            true => Station::Outside,
            false => Station::Inside,
        })
    }

    /// The I/O thread's way out. Afterwards it looks for work once more, and if there is none sleeps outside; from the
    /// other stations it asks what to do next.
    pub(super) fn end_duty(&self, station: Station, bell: &impl Doorbell) {
        // First: whoever finds the place empty has to know whom to call.
        self.standby.store(station == Station::Standby, Ordering::SeqCst);
        self.occupied.store(false, Ordering::SeqCst);
        let mut who = self.who.lock();
        who.turner = Turner::Nobody;
        if station == Station::Outside && who.wanted == 0 {
            who.armed = true;
            bell.arm();
        }
        self.free.notify_all();
    }

    pub(super) fn is_occupied(&self) -> bool {
        self.occupied.load(Ordering::SeqCst)
    }

    /// The I/O thread is about to go to sleep where it stands by.
    pub(super) fn settled(&self) {
        self.settling.store(false, Ordering::Relaxed);
    }

    /// Whether a guest had better let the I/O thread go to sleep first.
    pub(super) fn is_settling(&self) -> bool {
        self.settling.load(Ordering::Relaxed)
    }

    /// The I/O thread that stands by was woken in place of a guest. That may be so once, because it came after the guest;
    /// if it happens often, so much is going on that standing by does not pay.
    pub(super) fn woken_for_guest(&self, bell: &impl Doorbell) {
        let price = bell.standby_after().map_or(0, standby_price);
        let mut who = self.who.lock();
        who.rare = who.rare.saturating_sub(price);
        self.settling.store(who.rare >= price, Ordering::Relaxed);
    }

    /// Calls the I/O thread if it stands by; for who has the place and does not sleep.
    pub(super) fn call_standby(&self, bell: &impl Doorbell) {
        if self.standby.load(Ordering::SeqCst) {
            bell.call();
        }
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
        let enough = bell.standby_after().unwrap_or(u32::MAX);
        who.rare = if back_soon { 0 } else { who.rare.saturating_add(1).min(enough) };
        let standby = self.standby.load(Ordering::SeqCst);
        let lease = back_soon && !standby && bell.lease();
        if self.parked.load(Ordering::SeqCst) > 0 || has_work(lease) {
            self.ring(bell);
        } else if !lease && !standby {
            if who.rare == enough {
                self.settling.store(true, Ordering::Relaxed);
                bell.ring();
            } else {
                who.armed = true;
                bell.arm();
            }
        }
        drop(who);
        self.free.notify_all();
    }

    /// There is work and nobody asleep over it: if the place is empty the I/O thread must come, for work that `can_wait`
    /// in a moment only: most likely a guest will be there before it.
    pub(super) fn work_arrived(&self, bell: &impl Doorbell, can_wait: bool) {
        if self.occupied.load(Ordering::SeqCst) {
            return;
        }
        let standby = self.standby.load(Ordering::SeqCst);
        if !(can_wait && !standby && bell.lease()) {
            self.ring(bell);
        }
    }

    fn ring(&self, bell: &impl Doorbell) {
        if self.standby.load(Ordering::SeqCst) { bell.call() } else { bell.ring() }
    }

    /// Guests one after the other that left for long, while the I/O thread stands by.
    #[cfg(all(test, not(loom)))]
    pub(super) fn rarity(&self) -> Option<u32> {
        self.standby.load(Ordering::SeqCst).then(|| self.who.lock().rare)
    }

    /// The calling thread waits for what a turn will bring, until the result is dropped.
    pub(super) fn park(&self, bell: &impl Doorbell) -> Parked<'_> {
        self.parked.fetch_add(1, Ordering::SeqCst);
        self.work_arrived(bell, false);
        Parked { turns: self }
    }
}

/// Guests that one wake-up in the place of another costs.
fn standby_price(guests: u32) -> u32 {
    guests.div_ceil(2)
}

pub(crate) struct Parked<'a> {
    turns: &'a Turns,
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.turns.parked.fetch_sub(1, Ordering::SeqCst);
    }
}
