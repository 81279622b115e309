//! Waiting: blocked callers, polls over several sockets, readiness descriptors.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Core, State};
use crate::engine::jobs::{self, Job, Jobs};
use crate::engine::reactor::{Parked, Reactor, Seat};
use crate::engine::source::Recipient;
use crate::engine::tempo::{Tempo, may_spin};
use crate::engine::waiters::{Guests, WaitId, WaitQueue, Waker};
use crate::error::Error;
use crate::limits::{SPIN_FOR_MORE_ROOM, SPIN_LOOKS_PER_CLOCK, SPIN_MAX, THREADLESS_TURN};
use crate::protocol::Readiness;
use crate::sys::{Event, Park, Parker};

/// How long a call may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// Not at all: [`Error::WouldBlock`].
    Never,
    /// As long as the socket's timeout option says, read when the waiting begins.
    AsSet {
        /// Whether a signal handler ends the wait with [`Error::Interrupted`].
        interruptible: bool,
    },
    Until {
        /// `None` waits for ever; after it, [`Error::TimedOut`].
        deadline: Option<Instant>,
        /// As in `AsSet`.
        interruptible: bool,
    },
}

impl Patience {
    /// Until `timeout` from now, or for ever; a timeout that the clock cannot express is for ever.
    pub(crate) fn for_timeout(timeout: Option<Duration>, interruptible: bool) -> Self {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Patience::Until { deadline, interruptible }
    }

    pub(super) fn waits(self) -> bool {
        !matches!(self, Patience::Never)
    }

    /// The waiting begins, with the socket's timeout option.
    pub(super) fn begin(&mut self, timeout: Option<Duration>) {
        if let Patience::AsSet { interruptible } = *self {
            *self = Patience::for_timeout(timeout, interruptible);
        }
    }

    /// `None` waits for ever.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Patience::Until { deadline, .. } => deadline,
            Patience::Never | Patience::AsSet { .. } => None,
        }
    }

    pub(super) fn is_interruptible(self) -> bool {
        matches!(self, Patience::Until { interruptible: true, .. } | Patience::AsSet { interruptible: true })
    }
}

/// Where a blocked thread waits.
pub(crate) enum Bed<'a> {
    /// In the reactor's place, doing its work: what it waits for comes without anybody waking it.
    Seat(Seat<'a>, &'a Arc<Reactor>),
    /// Asleep; somebody else turns.
    Parker { parker: Arc<Parker>, _parked: Option<Parked<'a>> },
}

impl<'a> Bed<'a> {
    /// Fails only where sleeping takes descriptors and there are none.
    pub(crate) fn make(reactor: Option<&'a Arc<Reactor>>) -> Result<Bed<'a>, Error> {
        if let Some(reactor) = reactor {
            // What is waited for may be the answer to it.
            reactor.write_tails();
        }
        if let Some(reactor) = reactor
            && let Some(seat) = reactor.take_seat()
        {
            return Ok(Bed::Seat(seat, reactor));
        }
        let parker = Parker::current().map_err(|error| Error::os("wait for", "readiness", error))?;
        Ok(Bed::Parker { parker, _parked: reactor.map(|reactor| reactor.park()) })
    }

    pub(crate) fn waker(&self) -> Waker {
        match self {
            Bed::Seat(_, reactor) => Waker::Turner(Arc::clone(reactor)),
            Bed::Parker { parker, .. } => Waker::Thread(Arc::clone(parker)),
        }
    }

    /// Sleeps, or turns once, with what comes for `recipient`.
    pub(crate) fn sleep(&mut self, until: Option<Instant>, recipient: Option<&mut dyn Recipient>) -> Park {
        match self {
            Bed::Parker { parker, .. } => parker.park(until),
            Bed::Seat(seat, _) => match seat.turn_until(until, recipient) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Park::Interrupted,
                Ok(now) if until.is_some_and(|at| at <= now) => Park::TimedOut,
                _ => Park::Woken,
            },
        }
    }
}

/// Which way a caller waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Send,
    Recv,
}

/// A caller that waits, as the socket knows it.
pub(super) enum Waiting {
    Guest(Direction),
    /// At the one connection that can bring a message. Nobody can wake it, and what it reads it knows.
    Reader,
    Queued(Direction, WaitId),
}

/// Somebody who polls several sockets.
pub(super) struct Watcher {
    id: u64,
    send: bool,
    recv: bool,
    waker: Waker,
}

/// A direction's level, and its descriptor once somebody has asked for one.
#[derive(Default)]
pub(super) struct Level {
    event: Option<Arc<Event>>,
    is_set: bool,
}

impl Level {
    /// Writes the descriptor only when the level changes.
    pub(super) fn set(&mut self, ready: bool) {
        if ready == self.is_set {
            return;
        }
        self.is_set = ready;
        if let Some(event) = &self.event {
            if ready { event.set() } else { event.clear() }
        }
    }

    pub(super) fn is_set(&self) -> bool {
        self.is_set
    }

    /// Whether somebody may look at it at any time.
    pub(super) fn has_descriptor(&self) -> bool {
        self.event.is_some()
    }

    fn descriptor(&mut self) -> io::Result<RawFd> {
        if self.event.is_none() {
            let event = Event::new()?;
            if self.is_set {
                event.set();
            }
            self.event = Some(Arc::new(event));
        }
        Ok(self.event.as_ref().map_or(-1, |event| event.as_raw_fd()))
    }
}

impl Core {
    /// Sleeps until the direction may be able to proceed. Spurious returns are fine: the caller tries again, and takes
    /// back what is returned before or while it does ([`State::unregister`]), unless `recipient` was served: then it is
    /// back already, and it does not matter what is returned.
    ///
    /// `patience` becomes a fixed deadline with the first call.
    /// `moves` is what the socket's [`Mail`](crate::engine::inproc::Mail) said before the caller tried.
    #[inline]
    pub(super) fn wait(
        &self,
        direction: Direction,
        moves: usize,
        patience: &mut Patience,
        mut recipient: Option<&mut dyn Recipient>,
    ) -> Result<Option<Waiting>, Error> {
        // Only who receives has a recipient.
        if let Some(recipient) = recipient.as_deref_mut()
            && let Some(reactor) = self.reactor_of_network()
            && let ControlFlow::Break(waited) = self.wait_directly(reactor, patience, recipient)?
        {
            return Ok(waited);
        }
        self.wait_for_all(direction, moves, patience, recipient)
    }

    /// Waits for whatever may let the direction proceed: turns the reactor if there is only one, or sleeps.
    #[inline(never)]
    fn wait_for_all(
        &self,
        direction: Direction,
        moves: usize,
        patience: &mut Patience,
        mut recipient: Option<&mut dyn Recipient>,
    ) -> Result<Option<Waiting>, Error> {
        let has_network = self.has_network.load(Ordering::Acquire);
        // Where there are connections the reactor keeps the tempo.
        let began = if has_network { None } else { Some(Instant::now()) };
        if let Some(began) = began {
            patience.begin(self.open_state(|state| state.timeout(direction))?);
            if self.spin_for(direction, moves, began, patience.deadline()) {
                self.tempo(direction).lock().note(began, Instant::now());
                return Ok(None);
            }
        }
        let mut bed = Bed::make(if has_network { self.only_reactor() } else { None })?;
        let (timeout, registered) = self.open_state(|state| {
            // What happened since the caller looked would not be announced to it.
            let registered = if state.can_proceed(direction) {
                None
            } else {
                Some((state.register(direction, &bed), state.pattern.next_timeout()))
            };
            (state.timeout(direction), registered)
        })?;
        patience.begin(timeout);
        let Some((waiting, wake_at)) = registered else { return Ok(None) };
        self.watch_input();
        let deadline = patience.deadline();
        let slept = if deadline.is_some_and(|at| at <= Instant::now()) {
            Park::TimedOut
        } else {
            // The engine calls at the pattern's own deadline, but it may be slow, or there may be none.
            let until = [deadline, wake_at].into_iter().flatten().min();
            self.sleep(&mut bed, until, recipient.as_deref_mut().map(|r| r as _))
        };
        drop(bed);
        if recipient.is_some_and(|recipient| !recipient.waits_at(self)) {
            return Ok(None);
        }
        if let Some(began) = began {
            self.tempo(direction).lock().note(began, Instant::now());
        }
        let error = match slept {
            Park::Interrupted if patience.is_interruptible() => Error::Interrupted,
            Park::TimedOut if deadline.is_some_and(|at| at <= Instant::now()) => Error::TimedOut,
            _ => return Ok(Some(waiting)),
        };
        self.leave(waiting)?;
        Err(error)
    }

    fn tempo(&self, direction: Direction) -> &Mutex<Tempo> {
        &self.tempo[usize::from(direction == Direction::Send)]
    }

    /// In a brisk conversation within the process: looks for what the peer does for a bounded time, and returns whether
    /// it did something.
    fn spin_for(
        &self,
        direction: Direction,
        moves: usize,
        began: Instant,
        deadline: Option<Instant>,
    ) -> bool {
        if !may_spin() || !self.tempo(direction).lock().is_brisk(began) {
            return false;
        }
        if self.state.lock().pipes.len() == 0 {
            return false;
        }
        let mut end = began + SPIN_MAX;
        if let Some(deadline) = deadline {
            end = end.min(deadline);
        }
        let moved = || self.mail.moves() != moves || direction == Direction::Recv && self.mail.there_is();
        while !moved() {
            for _ in 0..SPIN_LOOKS_PER_CLOCK {
                if moved() {
                    break;
                }
                std::hint::spin_loop();
            }
            if Instant::now() >= end && !moved() {
                self.tempo(direction).lock().spun(false);
                return false;
            }
        }
        self.tempo(direction).lock().spun(true);
        if direction == Direction::Send {
            self.spin_for_more_room(end);
        }
        true
    }

    /// There is room for one message. A moment later there is room for many small ones, and each wait costs the receiver
    /// too.
    fn spin_for_more_room(&self, end: Instant) {
        let end = end.min(Instant::now() + SPIN_FOR_MORE_ROOM);
        let is_much = || self.state.lock().pipes.iter().any(|pipe| pipe.link.is_half_free());
        while !is_much() && Instant::now() < end {
            (0..SPIN_LOOKS_PER_CLOCK).for_each(|_| std::hint::spin_loop());
        }
    }

    /// The reactor that brings what this socket waits for, if it is one: a thread that blocks may turn it.
    pub(crate) fn shared_reactor(&self) -> Option<&Arc<Reactor>> {
        if self.is_inherited() { None } else { self.reactor_of_network() }
    }

    /// The only reactor, if there are connections.
    #[inline]
    fn reactor_of_network(&self) -> Option<&Arc<Reactor>> {
        if self.has_network.load(Ordering::Acquire) { self.only_reactor() } else { None }
    }

    fn only_reactor(&self) -> Option<&Arc<Reactor>> {
        self.engine.get()?.engine.only_reactor()
    }

    pub(crate) fn sleep(
        &self,
        bed: &mut Bed<'_>,
        until: Option<Instant>,
        recipient: Option<&mut dyn Recipient>,
    ) -> Park {
        let Some(engine) = self.is_threadless() else { return bed.sleep(until, recipient) };
        // Nobody else moves bytes: this thread does, and looks for wake-ups by other threads in between.
        let left = until.map(|at| at.saturating_duration_since(Instant::now()));
        match engine.turn(Some(left.map_or(THREADLESS_TURN, |left| left.min(THREADLESS_TURN)))) {
            Ok(()) if until.is_some_and(|at| at <= Instant::now()) => Park::TimedOut,
            Ok(()) => Park::Woken,
            Err(_) => bed.sleep(until, recipient),
        }
    }

    /// Takes back a registration; the caller will not try again.
    pub(super) fn leave(&self, waiting: Waiting) -> Result<(), Error> {
        let mut jobs = Jobs::new();
        let mut state = self.state.lock();
        let was_woken = state.unregister(waiting);
        if state.closed {
            drop(state);
            self.left.notify_all();
            return Err(Error::Closed);
        }
        if was_woken {
            state.announce(None, &mut jobs);
        }
        drop(state);
        jobs::run(jobs);
        Ok(())
    }

    /// The readiness descriptor of a direction (NN_SNDFD, NN_RCVFD): readable exactly while the operation could
    /// proceed, the same for the life of the socket.
    pub(crate) fn descriptor(&self, recv: bool) -> Result<RawFd, Error> {
        let descriptor = self.open_state(|state| {
            let ready = state.pattern.readiness();
            state.recv_level.set(ready.recv);
            state.send_level.set(ready.send);
            let level = if recv { &mut state.recv_level } else { &mut state.send_level };
            level.descriptor()
        })?;
        self.watch_input();
        descriptor.map_err(|error| Error::os("create", "a readiness descriptor", error))
    }

    /// Whether send and receive could proceed now; `None` when the socket is closed.
    pub(crate) fn readiness(&self) -> Option<Readiness> {
        // Who asks will ask again, or wait.
        self.watch_input();
        self.open_state(|state| state.pattern.readiness()).ok()
    }

    /// Has `waker` woken when one of the directions becomes ready, or the socket closed. Returns a number for
    /// [`unwatch`](Core::unwatch), or `None` when that is so already.
    pub(crate) fn watch(&self, recv: bool, send: bool, waker: Waker) -> Option<u64> {
        let watcher = self.open_state(|state| {
            let ready = state.pattern.readiness();
            if ready.recv && recv || ready.send && send {
                return None;
            }
            state.next_watcher += 1;
            let id = state.next_watcher;
            state.watchers.push(Watcher { id, send, recv, waker });
            Some(id)
        });
        self.watch_input();
        watcher.unwrap_or(None)
    }

    pub(crate) fn unwatch(&self, id: u64) {
        // A closed socket has forgotten everybody.
        let _ = self.open_state(|state| state.watchers.retain(|watcher| watcher.id != id));
    }
}

impl State {
    fn waiters(&mut self, direction: Direction) -> &mut WaitQueue {
        match direction {
            Direction::Send => &mut self.send_waiters,
            Direction::Recv => &mut self.recv_waiters,
        }
    }

    pub(super) fn timeout(&self, direction: Direction) -> Option<Duration> {
        match direction {
            Direction::Send => self.options.send_timeout,
            Direction::Recv => self.options.recv_timeout,
        }
    }

    fn guests(&mut self, direction: Direction) -> &mut Guests {
        match direction {
            Direction::Send => &mut self.send_guests,
            Direction::Recv => &mut self.recv_guests,
        }
    }

    fn register(&mut self, direction: Direction, bed: &Bed<'_>) -> Waiting {
        self.blocked += 1;
        if let Bed::Seat(_, reactor) = bed {
            self.guests(direction).add(reactor);
            return Waiting::Guest(direction);
        }
        Waiting::Queued(direction, self.waiters(direction).add(bed.waker()))
    }

    #[inline]
    pub(super) fn register_reader(&mut self) -> Waiting {
        self.blocked += 1;
        Waiting::Reader
    }

    /// Takes back a registration. True says that a wake-up may have been meant for this caller: if it is not used, it goes
    /// to the next one.
    #[inline]
    pub(super) fn unregister(&mut self, waiting: Waiting) -> bool {
        self.blocked -= 1;
        match waiting {
            Waiting::Guest(direction) => {
                self.guests(direction).remove();
                true
            }
            Waiting::Reader => false,
            Waiting::Queued(direction, id) => !self.waiters(direction).remove(id),
        }
    }

    pub(super) fn can_proceed(&self, direction: Direction) -> bool {
        let ready = self.pattern.readiness();
        match direction {
            Direction::Send => ready.send,
            Direction::Recv => ready.recv,
        }
    }

    pub(super) fn tell_watchers(&mut self, ready: Readiness, jobs: &mut Jobs) {
        let wanted = |watcher: &mut Watcher| ready.recv && watcher.recv || ready.send && watcher.send;
        jobs.extend(self.watchers.extract_if(.., wanted).map(|watcher| Job::Wake(watcher.waker)));
    }

    /// The socket is closed: everybody is told, and descriptors turn readable first, so that pollers wake.
    pub(super) fn tell_everybody(&mut self, jobs: &mut Jobs) {
        let guests = [&self.recv_guests, &self.send_guests];
        jobs.extend(guests.iter().filter_map(|guests| guests.waker(None)?).map(Job::Wake));
        let State { recv_waiters, send_waiters, watchers, .. } = self;
        jobs.extend(recv_waiters.take_all().map(Job::Wake));
        jobs.extend(send_waiters.take_all().map(Job::Wake));
        jobs.extend(watchers.drain(..).map(|watcher| Job::Wake(watcher.waker)));
        self.recv_level.set(true);
        self.send_level.set(true);
    }

    /// Closes the readiness descriptors.
    pub(super) fn drop_descriptors(&mut self) {
        self.recv_level = super::Level::default();
        self.send_level = super::Level::default();
    }
}
