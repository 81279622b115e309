//! [`Turns`]: which thread turns a reactor. The one place where threads hand over to each other.
//!
//! One thread turns at a time. Usually the I/O thread does. A thread that is blocked in a call and finds the I/O thread
//! asleep takes its place as a *guest*: then what it waits for reaches it without waking anybody in between. When it
//! leaves, it leaves the place empty, because it will most likely be back in a moment; the I/O thread looks every
//! [`GUEST_TICK`] and takes over when no guest has come since, and at once when there is work and nobody to do it. While
//! one guest stays for long, the I/O thread sleeps until that one leaves.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::limits::{GUEST_TICK, GUEST_TICKS_PATIENCE};

pub(super) struct Turns {
    who: Mutex<Who>,
    /// Told when the I/O thread should look again.
    duty: Condvar,
    /// Told when the place becomes empty.
    free: Condvar,
    /// Somebody turns, and will look for work before the place is empty.
    occupied: AtomicBool,
    /// Threads that wait for something that only a turn brings, and do not turn themselves.
    parked: AtomicUsize,
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
    /// Guests so far, and how many when the I/O thread last looked.
    guests: u64,
    seen: u64,
    /// The I/O thread must not wait for the next guest.
    urgent: bool,
    /// The I/O thread sleeps until it is told.
    deep: bool,
}

impl Turns {
    pub(super) fn new() -> Self {
        Turns {
            who: Mutex::new(Who::default()),
            duty: Condvar::new(),
            free: Condvar::new(),
            occupied: AtomicBool::new(false),
            parked: AtomicUsize::new(0),
        }
    }

    /// The I/O thread's way in: waits while guests turn, or will be back in a moment. `stop` is looked at whenever
    /// [`alarm`](Turns::alarm) was called; false means that it holds.
    pub(super) fn begin_duty(&self, stop: impl Fn() -> bool) -> bool {
        let mut who = self.who.lock();
        let mut quiet_ticks = 0;
        loop {
            if stop() {
                return false;
            }
            let vacant = who.turner == Turner::Nobody && who.wanted == 0;
            if vacant && (who.guests == who.seen || who.urgent) {
                who.turner = Turner::Duty;
                who.urgent = false;
                who.seen = who.guests;
                self.occupied.store(true, Ordering::SeqCst);
                return true;
            }
            quiet_ticks = if who.guests == who.seen { quiet_ticks + 1 } else { 0 };
            who.seen = who.guests;
            if who.turner == Turner::Guest && quiet_ticks >= GUEST_TICKS_PATIENCE {
                who.deep = true;
                self.duty.wait(&mut who);
                who.deep = false;
            } else {
                self.duty.wait_for(&mut who, GUEST_TICK);
            }
        }
    }

    /// A blocked thread's way in; false when somebody else is turning and cannot be relieved now. `is_asleep` tells
    /// whether the one who turns waits for events, `wake` ends that and must not come back here.
    pub(super) fn begin_guest(&self, is_asleep: impl Fn() -> bool, wake: impl Fn()) -> bool {
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
            // An I/O thread that is at work will bring what is waited for itself.
            Turner::Duty if is_asleep() => {
                who.wanted += 1;
                wake();
                while who.turner == Turner::Duty {
                    self.free.wait(&mut who);
                }
                who.wanted -= 1;
                // A program's own turn may have come first.
                if who.turner != Turner::Nobody {
                    return false;
                }
            }
            Turner::Duty | Turner::Guest => return false,
        }
        self.seat_guest(&mut who);
        true
    }

    fn seat_guest(&self, who: &mut Who) {
        who.turner = Turner::Guest;
        who.guests = who.guests.wrapping_add(1);
        self.occupied.store(true, Ordering::SeqCst);
    }

    /// A program's own way in: waits at most `timeout` for whoever turns, and is false when that one's turn is over, as
    /// progress has been made then.
    pub(super) fn begin_turn(&self, timeout: Option<Duration>) -> bool {
        let mut who = self.who.lock();
        if who.turner == Turner::Nobody {
            self.seat_guest(&mut who);
            return true;
        }
        match timeout {
            Some(timeout) => drop(self.free.wait_for(&mut who, timeout)),
            None => self.free.wait(&mut who),
        }
        false
    }

    /// The way out. `has_work` is asked once the place counts as empty: work that came before is seen by it, work that
    /// comes later by [`work_arrived`](Turns::work_arrived).
    pub(super) fn end(&self, has_work: impl Fn() -> bool) {
        self.occupied.store(false, Ordering::SeqCst);
        let urgent = self.parked.load(Ordering::SeqCst) > 0 || has_work();
        let mut who = self.who.lock();
        who.turner = Turner::Nobody;
        who.urgent |= urgent;
        if who.deep || who.urgent {
            self.duty.notify_one();
        }
        self.free.notify_all();
    }

    /// There is work and nobody asleep over it: if the place is empty the I/O thread must come.
    pub(super) fn work_arrived(&self) {
        if !self.occupied.load(Ordering::SeqCst) {
            self.alarm();
        }
    }

    /// The I/O thread looks at once.
    pub(super) fn alarm(&self) {
        let mut who = self.who.lock();
        who.urgent = true;
        self.duty.notify_one();
    }

    /// The calling thread waits for what a turn will bring, until the result is dropped.
    pub(super) fn park(&self) -> Parked<'_> {
        self.parked.fetch_add(1, Ordering::SeqCst);
        self.work_arrived();
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;
    use std::time::Instant;

    fn wait_until(what: &str, done: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        while !done() {
            assert!(Instant::now() < end, "in vain: {what}");
            std::thread::yield_now();
        }
    }

    /// An I/O thread that counts its turns; each lasts until it is woken.
    struct Duty {
        turns: Turns,
        stop: AtomicBool,
        awake: AtomicBool,
        asleep: AtomicBool,
        count: AtomicU32,
    }

    impl Duty {
        fn start() -> (Arc<Duty>, std::thread::JoinHandle<()>) {
            let duty = Arc::new(Duty {
                turns: Turns::new(),
                stop: AtomicBool::new(false),
                awake: AtomicBool::new(false),
                asleep: AtomicBool::new(false),
                count: AtomicU32::new(0),
            });
            let thread = Arc::clone(&duty);
            let handle = std::thread::spawn(move || {
                while thread.turns.begin_duty(|| thread.stop.load(Ordering::SeqCst)) {
                    thread.count.fetch_add(1, Ordering::SeqCst);
                    thread.asleep.store(true, Ordering::SeqCst);
                    while !thread.awake.swap(false, Ordering::SeqCst) && !thread.stop.load(Ordering::SeqCst) {
                        std::thread::yield_now();
                    }
                    thread.asleep.store(false, Ordering::SeqCst);
                    thread.turns.end(|| false);
                }
            });
            (duty, handle)
        }

        fn guest(&self) -> bool {
            self.turns.begin_guest(
                || self.asleep.load(Ordering::SeqCst),
                || self.awake.store(true, Ordering::SeqCst),
            )
        }

        fn finish(&self, handle: std::thread::JoinHandle<()>) {
            self.stop.store(true, Ordering::SeqCst);
            self.turns.alarm();
            handle.join().expect("the thread ends");
        }
    }

    #[test]
    fn a_guest_relieves_a_sleeping_io_thread_which_comes_back_when_no_guest_does() {
        let (duty, handle) = Duty::start();
        wait_until("the I/O thread turns", || duty.asleep.load(Ordering::SeqCst));
        assert!(duty.guest());
        assert!(!duty.asleep.load(Ordering::SeqCst), "one at a time");
        assert!(!duty.guest(), "one guest at a time");
        let turns = duty.count.load(Ordering::SeqCst);
        duty.turns.end(|| false);
        wait_until("the I/O thread is back", || duty.count.load(Ordering::SeqCst) > turns);
        duty.finish(handle);
    }

    #[test]
    fn the_place_a_guest_waits_for_goes_to_nobody_else() {
        let (duty, handle) = Duty::start();
        let guests: Vec<_> = (0..4)
            .map(|_| {
                let duty = Arc::clone(&duty);
                std::thread::spawn(move || {
                    for _ in 0..200 {
                        if duty.guest() {
                            duty.turns.end(|| false);
                        }
                    }
                })
            })
            .collect();
        for guest in guests {
            guest.join().expect("no guest waits for ever");
        }
        duty.finish(handle);
    }

    #[test]
    fn work_without_anybody_brings_the_io_thread_at_once_even_from_deep_sleep() {
        let (duty, handle) = Duty::start();
        wait_until("the I/O thread turns", || duty.asleep.load(Ordering::SeqCst));
        assert!(duty.guest());
        wait_until("the I/O thread sleeps deeply", || duty.turns.who.lock().deep);
        let turns = duty.count.load(Ordering::SeqCst);
        duty.turns.end(|| true);
        wait_until("the I/O thread is back", || duty.count.load(Ordering::SeqCst) > turns);
        duty.finish(handle);
    }

    #[test]
    fn whoever_parks_has_somebody_turning() {
        let (duty, handle) = Duty::start();
        wait_until("the I/O thread turns", || duty.asleep.load(Ordering::SeqCst));
        assert!(duty.guest());
        let turns = duty.count.load(Ordering::SeqCst);
        let parked = duty.turns.park();
        duty.turns.end(|| false);
        wait_until("the I/O thread is back", || duty.count.load(Ordering::SeqCst) > turns);
        drop(parked);
        duty.finish(handle);
    }

    #[test]
    fn stop_is_noticed_in_every_kind_of_wait() {
        let (duty, handle) = Duty::start();
        wait_until("the I/O thread turns", || duty.asleep.load(Ordering::SeqCst));
        assert!(duty.guest());
        wait_until("the I/O thread sleeps deeply", || duty.turns.who.lock().deep);
        duty.finish(handle);
        duty.turns.end(|| false);
    }
}
