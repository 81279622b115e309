//! What is around [`Turns`], small enough to be gone through whole: an I/O thread, blocked callers, and a system that
//! knows one kind of event. What the threads do follows `reactor.rs` and `socket_core/waiting.rs` line by line.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Doorbell, Parked, Post, Station, Turner, Turns};
use crate::engine::sync::{AtomicBool, Condvar, Mutex, Ordering};
use crate::limits::GUESTS_REMEMBERED;

/// What a case chooses.
#[derive(Clone, Copy)]
pub(super) struct Choice {
    /// Guests say that they will be back in a moment.
    pub(super) back_soon: BackSoon,
    /// The system has leases.
    pub(super) leases: bool,
    /// The I/O thread forgets at once that there were guests.
    pub(super) forgets: bool,
    /// The system lets two sleep in one poll, and the I/O thread does so after the first guest that leaves for long.
    pub(super) stands_by: bool,
}

/// The first guest is the last of them.
const STANDBY_AFTER: u32 = 2;

#[derive(Clone, Copy)]
pub(super) enum BackSoon {
    Always,
    Never,
    /// Every second time, beginning with one that is not.
    Alternately,
}

pub(super) struct World {
    pub(super) turns: Turns,
    pub(super) system: System,
    choice: Choice,
    guests: std::sync::atomic::AtomicUsize,
    start: Instant,
    /// The I/O thread has forgotten that there were guests.
    pub(super) forgotten: std::sync::atomic::AtomicBool,
    inbox: Mutex<Vec<Task>>,
    nudged: AtomicBool,
    asleep: AtomicBool,
    stop: AtomicBool,
    turning: AtomicBool,
    socket: Mutex<Socket>,
    /// Told when something has been handled.
    progress: Condvar,
}

/// Work; whether it may be left to a guest that will be back.
#[derive(Clone, Copy)]
pub(super) struct Task {
    pub(super) can_wait: bool,
}

#[derive(Default)]
struct Socket {
    handled: usize,
    waiting: Vec<Waker>,
}

#[derive(Clone)]
enum Waker {
    Turner,
    Thread(Arc<Parker>),
}

struct Parker {
    woken: Mutex<bool>,
    told: Condvar,
}

/// The two polls of a reactor, as the system sees them.
pub(super) struct System {
    state: Mutex<Polls>,
    inside: Condvar,
    outside: Condvar,
    leases: bool,
    stands_by: bool,
}

#[derive(Default)]
pub(super) struct Polls {
    /// Not fetched yet.
    events: usize,
    /// The waker of the poll inside was used.
    woken: bool,
    pub(super) armed: bool,
    /// The poll outside has noticed that the one inside has something: once for each event, and when it is armed.
    noticed: bool,
    rung: bool,
    /// Runs, and may run out at any moment.
    pub(super) lease: bool,
    /// No lease runs out.
    pub(super) time_stands_still: bool,
    pub(super) sleeps_inside: bool,
    pub(super) stands_by: bool,
    pub(super) sleeps_outside: bool,
    /// How often the I/O thread was called outside.
    pub(super) calls: usize,
}

impl Polls {
    fn has_something(&self) -> bool {
        self.events > 0 || self.woken
    }

    fn came(&mut self) {
        self.noticed |= self.armed;
    }
}

impl System {
    pub(super) fn change(&self, change: impl FnOnce(&mut Polls)) {
        change(&mut self.state.lock());
        self.inside.notify_all();
        self.outside.notify_all();
    }

    #[cfg(not(loom))]
    pub(super) fn look<R>(&self, look: impl FnOnce(&Polls) -> R) -> R {
        look(&self.state.lock())
    }

    pub(super) fn event(&self) {
        self.change(|polls| {
            polls.events += 1;
            polls.came();
        });
    }

    fn wake(&self) {
        self.change(|polls| {
            polls.woken = true;
            polls.came();
        });
    }

    /// The I/O thread waits inside, beside a guest or not. Which of two who wait is called is left open. How many events
    /// it was called with, and whether the waker was used.
    fn poll_standing_by(&self) -> (usize, bool) {
        let mut polls = self.state.lock();
        polls.stands_by = true;
        while !polls.has_something() {
            self.inside.wait(&mut polls);
        }
        polls.stands_by = false;
        polls.calls += 1;
        (std::mem::take(&mut polls.events), std::mem::take(&mut polls.woken))
    }

    /// Waits inside, unless it is to return at once; how many events there are.
    fn poll_inside(&self, at_once: bool) -> usize {
        let mut polls = self.state.lock();
        polls.sleeps_inside = true;
        while !at_once && !polls.has_something() {
            self.inside.wait(&mut polls);
        }
        polls.sleeps_inside = false;
        polls.woken = false;
        std::mem::take(&mut polls.events)
    }

    /// A lease runs out as early or late as this thread happens to go on.
    fn poll_outside(&self) {
        let mut polls = self.state.lock();
        polls.sleeps_outside = true;
        loop {
            let inside = std::mem::take(&mut polls.noticed) && polls.armed && polls.has_something();
            let lease_ends = polls.lease && !polls.time_stands_still;
            if inside || polls.rung || lease_ends {
                polls.rung = false;
                polls.lease &= !lease_ends;
                polls.sleeps_outside = false;
                polls.calls += 1;
                return;
            }
            self.outside.wait(&mut polls);
        }
    }
}

impl Doorbell for System {
    fn arm(&self) {
        self.change(|polls| {
            polls.armed = true;
            polls.noticed |= polls.has_something();
        });
    }

    fn disarm(&self) {
        self.change(|polls| polls.armed = false);
    }

    fn lease(&self) -> bool {
        if self.leases {
            self.change(|polls| polls.lease = true);
        }
        self.leases
    }

    fn ring(&self) {
        self.change(|polls| polls.rung = true);
    }

    fn call(&self) {
        self.wake();
    }

    fn standby_after(&self) -> Option<u32> {
        self.stands_by.then_some(STANDBY_AFTER)
    }
}

enum Bed<'a> {
    Seat(Seat<'a>),
    Parker { parker: Arc<Parker>, _parked: Parked<'a> },
}

pub(super) struct Seat<'a>(&'a World);

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let world = self.0;
        let guests = world.guests.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let back_soon = match world.choice.back_soon {
            BackSoon::Always => true,
            BackSoon::Never => false,
            BackSoon::Alternately => guests % 2 == 1,
        };
        let has_work = |leased| world.inbox.lock().iter().any(|task| !(leased && task.can_wait));
        world.turns.end_guest(&world.system, world.start, back_soon, has_work);
    }
}

impl Seat<'_> {
    pub(super) fn turn(&self) {
        self.0.turn_alone(false, Turner::Guest);
    }
}

impl Bed<'_> {
    fn waker(&self) -> Waker {
        match self {
            Bed::Seat(_) => Waker::Turner,
            Bed::Parker { parker, .. } => Waker::Thread(Arc::clone(parker)),
        }
    }

    fn sleep(&self) {
        match self {
            Bed::Seat(seat) => seat.turn(),
            Bed::Parker { parker, .. } => {
                let mut woken = parker.woken.lock();
                while !*woken {
                    parker.told.wait(&mut woken);
                }
            }
        }
    }
}

impl World {
    pub(super) fn new(choice: Choice) -> Arc<World> {
        let polls = Mutex::new(Polls::default());
        let (inside, outside) = (Condvar::new(), Condvar::new());
        let turns = Turns::new();
        turns.who.lock().rare = STANDBY_AFTER - 1;
        Arc::new(World {
            turns,
            system: System {
                state: polls,
                inside,
                outside,
                leases: choice.leases,
                stands_by: choice.stands_by,
            },
            choice,
            guests: 0.into(),
            start: Instant::now(),
            forgotten: choice.forgets.into(),
            inbox: Mutex::new(Vec::new()),
            nudged: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            turning: AtomicBool::new(false),
            socket: Mutex::new(Socket::default()),
            progress: Condvar::new(),
        })
    }

    /// The I/O thread.
    pub(super) fn run(&self) {
        while !self.stop.load(Ordering::SeqCst) {
            let forgotten = self.forgotten.load(std::sync::atomic::Ordering::Relaxed);
            let now = self.start + if forgotten { GUESTS_REMEMBERED } else { Duration::ZERO };
            let has_work = !self.inbox.lock().is_empty();
            match self.turns.next_post(&self.system, now, has_work) {
                Post::Duty(station) => self.on_duty(station),
                Post::Standby => self.stand_by(),
                Post::Away => self.system.poll_outside(),
            }
        }
    }

    fn on_duty(&self, station: Station) {
        self.turn_alone(station != Station::Inside, Turner::Duty);
        self.turns.end_duty(station, &self.system);
        if station == Station::Outside && self.inbox.lock().is_empty() {
            self.system.poll_outside();
        }
    }

    fn stand_by(&self) {
        if self.stop.load(Ordering::SeqCst) || !self.inbox.lock().is_empty() && !self.turns.is_occupied() {
            return;
        }
        let (events, woken) = self.system.poll_standing_by();
        if events > 0 {
            self.inbox.lock().extend(vec![Task { can_wait: false }; events]);
        }
        if (woken || events > 0) && self.turns.is_occupied() {
            self.turns.woken_for_guest(&self.system);
            if woken {
                self.system.wake();
            }
        }
        if events > 0 {
            self.wake_sleeper();
        }
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.inbox.lock().push(Task { can_wait: false });
        self.wake();
        self.turns.call_standby(&self.system);
        self.system.ring();
    }

    fn turn_alone(&self, only_look: bool, turner: Turner) {
        assert!(!self.turning.swap(true, Ordering::SeqCst), "two threads turn");
        self.asleep.store(true, Ordering::SeqCst);
        let nudged = self.nudged.swap(false, Ordering::SeqCst);
        let at_once = nudged || !self.inbox.lock().is_empty();
        let events = self.system.poll_inside(at_once || only_look);
        self.asleep.store(false, Ordering::SeqCst);
        if self.stop.load(Ordering::SeqCst) {
            self.turns.call_standby(&self.system);
        }
        self.handle(events, turner);
        let tasks = std::mem::take(&mut *self.inbox.lock());
        self.handle(tasks.len(), turner);
        assert!(self.turning.swap(false, Ordering::SeqCst), "another thread has turned");
    }

    /// What a connection does with its socket: all who wait are told to look, save the guest whose own turn this is.
    fn handle(&self, count: usize, turner: Turner) {
        if count == 0 {
            return;
        }
        let mut socket = self.socket.lock();
        socket.handled += count;
        let waiting = std::mem::take(&mut socket.waiting);
        drop(socket);
        self.progress.notify_all();
        for waker in waiting {
            match waker {
                Waker::Turner if turner == Turner::Guest => (),
                Waker::Turner => {
                    self.nudged.store(true, Ordering::SeqCst);
                    self.wake();
                }
                Waker::Thread(parker) => {
                    *parker.woken.lock() = true;
                    parker.told.notify_all();
                }
            }
        }
    }

    pub(super) fn handled(&self) -> usize {
        self.socket.lock().handled
    }

    fn wake_sleeper(&self) -> bool {
        let slept = self.asleep.swap(false, Ordering::SeqCst);
        if slept {
            self.system.wake();
        }
        slept
    }

    fn wake(&self) {
        if !self.wake_sleeper() {
            self.turns.work_arrived(&self.system, false);
        }
    }

    pub(super) fn submit(&self, task: Task) {
        self.inbox.lock().push(task);
        if !self.wake_sleeper() {
            self.turns.work_arrived(&self.system, task.can_wait);
        }
    }

    pub(super) fn take_seat(&self) -> Option<Seat<'_>> {
        let is_asleep = || self.asleep.load(Ordering::SeqCst);
        let wake = || {
            self.wake_sleeper();
        };
        if !self.turns.begin_guest(&self.system, is_asleep, wake) {
            return None;
        }
        self.nudged.store(false, Ordering::SeqCst);
        Some(Seat(self))
    }

    /// A program's own look, with a limit that is over at once.
    pub(super) fn turn(&self) -> bool {
        let seated = self.turns.begin_turn(&self.system, Some(Duration::ZERO));
        if seated {
            let seat = Seat(self);
            self.turn_alone(true, Turner::Guest);
            drop(seat);
        }
        seated
    }

    /// A blocked caller: until so much has been handled.
    pub(super) fn wait_for(&self, count: usize) {
        while self.handled() < count {
            let bed = match self.take_seat() {
                Some(seat) => Bed::Seat(seat),
                None => {
                    let parker = Parker { woken: Mutex::new(false), told: Condvar::new() };
                    Bed::Parker { parker: Arc::new(parker), _parked: self.turns.park(&self.system) }
                }
            };
            let mut socket = self.socket.lock();
            if socket.handled >= count {
                return;
            }
            socket.waiting.push(bed.waker());
            drop(socket);
            bed.sleep();
        }
    }

    /// Somebody who has nothing to do with turns: until so much has been handled.
    pub(super) fn watch_for(&self, count: usize) {
        let mut socket = self.socket.lock();
        while socket.handled < count {
            self.progress.wait(&mut socket);
        }
    }
}
