//! [`Reactor`]: one `mio::Poll` with the sources registered in it, the timers, and the tasks for whoever turns it.
//!
//! Usually an I/O thread turns it; any thread may ([`Reactor::turn`]), and one that is blocked in a call does so itself
//! ([`Reactor::take_seat`]). One thread at a time does, so a source is never called by two threads at once.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Registry, Token};
use parking_lot::{Mutex, MutexGuard};

use super::outside::Outside;
use super::source::{Ready, Recipient, Source, Sources, Task, Turn};
use super::tails::Tails;
use super::tempo::{self, Tempo, may_spin};
use super::timers::TimerKey;
pub(crate) use super::turns::Parked;
use super::turns::{Doorbell, Turns};
use crate::frames::Frames;
use crate::limits::{BUFFERS_IDLE_AFTER, EVENTS_PER_TURN, READ_BLOCK_BYTES};
use crate::sys::standby::Happened;
use alarms::Alarms;
use inbox::Inbox;

mod alarms;
mod duty;
mod inbox;
#[cfg(all(test, not(loom), any(target_os = "linux", target_os = "android")))]
mod tests;

thread_local! {
    /// Address of the reactor that this thread turns.
    static TURNING: Cell<usize> = const { Cell::new(0) };
}

/// The token of the waker; sources get all others.
const WAKE: Token = Token(usize::MAX);
/// The token of the alarm for [`Tails`].
const TAILS: Token = Token(usize::MAX - 1);

pub(crate) struct Reactor {
    poll: Mutex<Turning>,
    turns: Turns,
    outside: Outside,
    registry: Registry,
    waker: Arc<mio::Waker>,
    /// Whoever sits here should look for what it waits for.
    nudged: AtomicBool,
    /// The turning thread is in `poll`, or about to enter it.
    asleep: AtomicBool,
    sources: Mutex<Sources>,
    alarms: Alarms,
    inbox: Inbox,
    tails: Tails,
    /// There may be tasks that nobody was called for at once.
    deferred: AtomicBool,
    stop: AtomicBool,
    /// An I/O thread looks after this reactor: blocked threads may leave it to that one.
    has_thread: AtomicBool,
    looks: AtomicUsize,
    /// A thread that reads directly spins.
    spinning: AtomicBool,
}

/// What belongs to whoever turns.
struct Turning {
    poll: Poll,
    events: Events,
    block: Box<[u8]>,
    frames: Frames,
    tasks: Vec<Task>,
    /// Of the guests.
    tempo: Tempo,
}

impl Reactor {
    pub(crate) fn new() -> io::Result<Arc<Reactor>> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = Arc::new(mio::Waker::new(&registry, WAKE)?);
        let turning = Turning {
            poll,
            events: Events::with_capacity(EVENTS_PER_TURN),
            block: vec![0; READ_BLOCK_BYTES].into_boxed_slice(),
            frames: Frames::default(),
            tasks: Vec::new(),
            tempo: Tempo::default(),
        };
        let tails = Tails::new(&registry, TAILS)?;
        let outside = Outside::new(&turning.poll, Arc::clone(&waker), tails.alarm())?;
        Ok(Arc::new(Reactor {
            tails,
            poll: Mutex::new(turning),
            turns: Turns::new(),
            outside,
            registry,
            waker,
            nudged: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            sources: Mutex::new(Sources::default()),
            alarms: Alarms::new(),
            inbox: Inbox::default(),
            deferred: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            has_thread: AtomicBool::new(false),
            looks: AtomicUsize::new(0),
            spinning: AtomicBool::new(false),
        }))
    }

    /// Reserves a token for `source`; register the descriptor with it afterwards.
    pub(crate) fn add_source(&self, source: Arc<dyn Source>) -> Token {
        self.sources.lock().add(source)
    }

    pub(crate) fn remove_source(&self, token: Token) {
        // The source is dropped outside the lock: it may own others.
        let removed = self.sources.lock().remove(token);
        drop(removed);
    }

    /// Where descriptors are registered, from any thread.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Has `source` called at `at`.
    pub(crate) fn add_timer(&self, at: Instant, source: Weak<dyn Source>) -> TimerKey {
        let (key, first) = self.alarms.add(at, source);
        if first {
            self.wake();
        }
        key
    }

    pub(crate) fn cancel_timer(&self, key: TimerKey) {
        self.alarms.cancel(key);
    }

    /// Hands work to the turning thread.
    pub(crate) fn submit(&self, task: Task) {
        // Room for input is made by threads that receive: they will be back for more, and turn the reactor themselves.
        let can_wait = task.can_wait();
        self.inbox.push(task);
        if !self.wake_sleeper() {
            if can_wait {
                self.deferred.store(true, Ordering::SeqCst);
            }
            self.turns.work_arrived(&self.outside, can_wait);
        }
    }

    /// Has `source` write what waits, unless it has been written in so long.
    pub(crate) fn write_soon(&self, source: Weak<dyn Source>, delay: Duration) {
        if self.tails.add(source, delay) {
            self.wake();
        }
    }

    /// Has `source` tidied up once it rests.
    pub(crate) fn tidy_later(&self, source: Weak<dyn Source>) {
        self.tails.tidy_later(source, BUFFERS_IDLE_AFTER);
    }

    /// Writes now what [`write_soon`](Reactor::write_soon) left for later: the calling thread is about to block.
    pub(crate) fn write_tails(&self) {
        self.tails.write();
    }

    /// Wakes the turning thread if it sleeps; costs a system call only then.
    pub(crate) fn wake(&self) {
        if !self.wake_sleeper() {
            self.turns.work_arrived(&self.outside, false);
        }
    }

    fn wake_sleeper(&self) -> bool {
        let slept = self.asleep.swap(false, Ordering::SeqCst);
        if slept {
            // The only error is a full counter or pipe, and then a wake-up is pending anyway.
            let _ = self.waker.wake();
        }
        slept
    }

    /// Ends the thread that runs [`run`](Reactor::run).
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.inbox.push(Task::Run(Box::new(|_| ())));
        self.wake();
        self.turns.call_standby(&self.outside);
        self.outside.ring();
    }

    /// Waits for events, timers and tasks until `timeout` (`None`: for ever) and handles what there is. When another
    /// thread is turning, waits until that turn is over: then progress has been made, if not by this thread.
    pub(crate) fn turn(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.turn_for(timeout, None)
    }

    /// The same with what comes for `recipient`.
    pub(crate) fn turn_for(
        &self,
        timeout: Option<Duration>,
        recipient: Option<&mut dyn Recipient>,
    ) -> io::Result<()> {
        if !self.turns.begin_turn(&self.outside, timeout) {
            return Ok(());
        }
        let turned = Seat::new(self, Instant::now()).turn(timeout, recipient);
        match turned {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            other => other,
        }
    }

    /// For a thread that is about to block: the right to turn until the seat is dropped, if the I/O thread can be
    /// relieved now.
    pub(crate) fn take_seat(&self) -> Option<Seat<'_>> {
        if !self.has_thread() {
            return None;
        }
        let is_asleep = || self.asleep.load(Ordering::SeqCst);
        let wake = || {
            self.wake_sleeper();
        };
        if !self.turns.begin_guest(&self.outside, is_asleep, wake) {
            return None;
        }
        let now = Instant::now();
        let mut seat = Seat::new(self, now);
        seat.turning.tempo.came_back(now);
        seat.place.back_soon = seat.turning.tempo.is_back_soon();
        if self.nudged.load(Ordering::SeqCst) {
            // Whatever this thread will wait for is registered after this.
            self.nudged.store(false, Ordering::SeqCst);
        }
        Some(seat)
    }

    /// Ends the turn of a thread that sits here and waits for something of its own.
    pub(crate) fn nudge(&self) {
        self.nudged.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Says that the calling thread waits for what a turn will bring and does not turn itself.
    pub(crate) fn park(&self) -> Parked<'_> {
        self.turns.park(&self.outside)
    }

    /// Has `look` spin for the thread that calls, unless another one does already: what one gains the others would pay.
    pub(crate) fn alone<R>(&self, look: impl FnOnce() -> R) -> Option<R> {
        if self.spinning.swap(true, Ordering::Relaxed) {
            return None;
        }
        let found = look();
        self.spinning.store(false, Ordering::Relaxed);
        Some(found)
    }

    /// Whether an I/O thread looks after this.
    pub(crate) fn has_thread(&self) -> bool {
        self.has_thread.load(Ordering::SeqCst)
    }

    fn has_work(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Whether the I/O thread has to come when a guest leaves, which itself will see to input if it has taken out a lease.
    fn has_work_for_others(&self, leased: bool) -> bool {
        // A timer that was added since the I/O thread went to sleep.
        self.inbox.any(|task| !(leased && task.can_wait())) || self.alarms.are_unknown_to_sleeper()
    }

    /// A thread that receives without blocking found nothing: what it may be waiting for must not be left lying.
    pub(crate) fn hurry(&self) {
        if self.deferred.load(Ordering::Relaxed) && self.deferred.swap(false, Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Whether the calling thread is inside a turn of this reactor, which is so in a signal handler at most.
    pub(crate) fn is_turned_by_this_thread(&self) -> bool {
        TURNING.try_with(|turning| turning.get() == std::ptr::from_ref(self).addr()).unwrap_or(false)
    }

    fn turn_alone(
        &self,
        turning: &mut Turning,
        now: Instant,
        timeout: Option<Duration>,
        spin: bool,
        recipient: Option<&mut dyn Recipient>,
    ) -> io::Result<()> {
        /// Also after a panic.
        struct Unmark;
        impl Drop for Unmark {
            fn drop(&mut self) {
                mark(0);
            }
        }
        fn mark(address: usize) {
            // A thread that is being torn down runs no signal handlers worth this.
            let _ = TURNING.try_with(|turning| turning.set(address));
        }
        mark(std::ptr::from_ref(self).addr());
        let _unmark = Unmark;
        // One thread at a time is here.
        self.looks.store(self.looks.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        self.asleep.store(true, Ordering::SeqCst);
        let nudged = self.nudged.load(Ordering::SeqCst) && self.nudged.swap(false, Ordering::SeqCst);
        let at_once = nudged || self.has_work();
        let timeout = if at_once { Some(Duration::ZERO) } else { self.until_next_timer(now, timeout) };
        let Turning { poll, events, block, frames, tasks, tempo } = turning;
        let mut turn = Turn {
            now,
            block,
            frames,
            relief: self.turns.relief(),
            recipient: recipient.map(|r| r as _),
            has_place: true,
            has_more: false,
            has_enough: false,
        };
        let found = if spin && !at_once {
            let found = tempo::spin(&mut turn.now, || match poll.poll(events, Some(Duration::ZERO)) {
                Ok(()) => (!events.is_empty()).then_some(Ok(())),
                failed => Some(failed),
            });
            tempo.spun(matches!(found, Some(Ok(()))));
            found
        } else {
            None
        };
        let polled = found.unwrap_or_else(|| poll.poll(events, timeout));
        self.asleep.store(false, Ordering::SeqCst);
        if self.stop.load(Ordering::Relaxed) {
            // The I/O thread may sleep beside this one, and its call have woken this one.
            self.turns.call_standby(&self.outside);
        }
        polled?;
        let spun = turn.now.saturating_duration_since(now);
        turn.now = Instant::now();
        for event in events.iter().filter(|event| event.token() != WAKE) {
            if event.token() == TAILS {
                self.tails.look(turn.now);
                continue;
            }
            self.tell_ready(event.token(), Happened::from(event).into(), &mut turn);
        }
        if spin && turn.was_all_taken() {
            tempo.only_took(spun);
        }
        self.fire_timers(&mut turn);
        self.run_tasks(tasks, &mut turn);
        if !self.tails.can_wait() {
            self.tails.write();
        }
        Ok(())
    }

    fn tell_ready(&self, token: Token, ready: Ready, turn: &mut Turn<'_>) {
        let source = self.sources.lock().get(token);
        if let Some(source) = source {
            source.ready(ready, turn);
        }
    }

    fn until_next_timer(&self, now: Instant, timeout: Option<Duration>) -> Option<Duration> {
        let Some(at) = self.alarms.next_at() else { return timeout };
        let wait = at.saturating_duration_since(now);
        Some(timeout.map_or(wait, |timeout| timeout.min(wait)))
    }

    fn fire_timers(&self, turn: &mut Turn<'_>) {
        while let Some(source) = self.alarms.pop_due(turn.now) {
            if let Some(source) = source.upgrade() {
                source.timer(turn);
            }
        }
    }

    /// One round only: what these tasks submit waits for the next turn, so that events are not starved.
    fn run_tasks(&self, tasks: &mut Vec<Task>, turn: &mut Turn<'_>) {
        if self.deferred.load(Ordering::SeqCst) {
            self.deferred.store(false, Ordering::SeqCst);
        }
        self.inbox.take(tasks);
        for task in tasks.drain(..) {
            match task {
                Task::Tell(source, notice) => source.notice(notice, turn),
                Task::Ready(token, ready) => self.tell_ready(token, ready, turn),
                Task::Run(run) => run(turn),
            }
        }
    }

    /// Tasks that wait for a turn.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn tasks(&self) -> usize {
        self.inbox.len()
    }

    /// Turns so far: an idle engine makes none.
    pub(crate) fn turns(&self) -> usize {
        self.looks.load(Ordering::Relaxed)
    }
}

/// The right to turn a reactor, given back when dropped.
pub(crate) struct Seat<'a> {
    /// Let go of before the place: whoever has that must not wait for this.
    turning: MutexGuard<'a, Turning>,
    place: Place<'a>,
}

struct Place<'a> {
    reactor: &'a Reactor,
    /// When somebody sat down, or the last turn was over.
    now: Instant,
    back_soon: bool,
}

impl<'a> Seat<'a> {
    /// For who has the place.
    fn new(reactor: &'a Reactor, now: Instant) -> Self {
        let turning = reactor.poll.lock();
        let back_soon = turning.tempo.is_back_soon();
        Seat { turning, place: Place { reactor, now, back_soon } }
    }

    /// One turn, with a wait until the deadline at most, and what comes for `recipient`. Returns the time when it was over.
    /// An error of kind `Interrupted` says that a signal handler ran in this thread.
    pub(crate) fn turn_until(
        &mut self,
        deadline: Option<Instant>,
        recipient: Option<&mut dyn Recipient>,
    ) -> io::Result<Instant> {
        let left = deadline.map(|at| at.saturating_duration_since(self.place.now));
        self.turn(left, recipient)?;
        Ok(self.place.now)
    }

    fn turn(&mut self, timeout: Option<Duration>, recipient: Option<&mut dyn Recipient>) -> io::Result<()> {
        let Seat { turning, place } = self;
        let reactor = place.reactor;
        reactor.write_tails();
        if reactor.turns.is_settling() {
            // Of two who sleep the last is called, and that should be this one.
            std::thread::yield_now();
        }
        let spin = may_spin() && turning.tempo.is_brisk(place.now);
        let turned = reactor.turn_alone(turning, place.now, timeout, spin, recipient);
        // Much may have been done since the waiting was over.
        let over = Instant::now();
        turning.tempo.note(place.now, over);
        place.now = over;
        place.back_soon = turning.tempo.is_back_soon();
        turned
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let reactor = self.reactor;
        let has_work = |leased| reactor.has_work_for_others(leased);
        reactor.turns.end_guest(&reactor.outside, self.now, self.back_soon, has_work);
    }
}
