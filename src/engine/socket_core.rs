//! [`Core`]: one socket. Its lock guards the pattern and everything that belongs to it; nothing blocks, writes to a
//! network or calls another socket while holding it (readiness descriptors excepted): that goes into [`Jobs`].

mod close;
mod counters;
mod direct;
mod endpoints;
mod orphans;
mod pipes;
mod receiving;
mod sending;
mod transfer;
mod waiting;

use std::collections::{BTreeMap, HashMap};
use std::hint::cold_path;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::Engine;
use super::connection::Connection;
use super::inproc::Mail;
use super::jobs::{self, Job, Jobs};
use super::outbound::Room;
use super::pace::Flow;
use super::reactor::Reactor;
use super::source::{Ready, Source, Turn};
use super::tempo::Tempo;
use super::waiters::{Guests, WaitQueue};
use crate::error::Error;
use crate::frames::Frames;
use crate::limits::WIRE_IDLE_AFTER;
use crate::message::WsMessageType;
use crate::options::Options;
use crate::protocol::{self, Effects, Mode, OptionRefusal, Pattern, PatternOption, Protocol};
use crate::sys;
use crate::transport::{SocketOptions, StreamOptions};

pub use counters::Statistics;
use endpoints::Endpoint;
use orphans::Orphans;
pub(crate) use pipes::Link;
use pipes::Pipes;
pub(crate) use waiting::{Bed, Patience};
use waiting::{Level, Watcher};

pub(crate) struct Core {
    me: Weak<Core>,
    protocol: Protocol,
    mode: Mode,
    /// The process that made this socket: in a forked child it is closed.
    generation: u64,
    /// Whether the pattern asks what time it is; if not, nobody looks.
    timed: bool,
    /// What those patterns are told that do not ask.
    born: Instant,
    /// Live copy of the option, in bytes; [`UNLIMITED`].
    recv_max: AtomicUsize,
    engine: OnceLock<Lease>,
    lease_returned: AtomicBool,
    /// Close is over: whoever takes a lease after that returns it.
    finished: AtomicBool,
    /// Where the pattern's deadlines are kept; set with the first one.
    timer_reactor: OnceLock<Arc<Reactor>>,
    /// Whether there are connections.
    has_network: AtomicBool,
    /// A connection may be left to who reads it directly.
    reads_directly: AtomicBool,
    /// What peers on inproc say without taking the lock.
    mail: Mail,
    /// How brisk receiving and sending are, for sockets without connections.
    tempo: [Mutex<Tempo>; 2],
    state: Mutex<State>,
    /// Told when a blocked caller has left a closed socket, and when a connection of it is gone.
    left: Condvar,
}

const UNLIMITED: usize = usize::MAX;

/// The engine a socket uses, and whether it is the counted default one.
struct Lease {
    engine: Engine,
    default: bool,
}

struct State {
    pattern: Box<dyn Pattern>,
    fx: Effects,
    pipes: Pipes,
    /// For what is taken out of a lane; empty between two calls.
    block: Frames,
    orphans: Orphans,
    endpoints: BTreeMap<u32, Endpoint>,
    /// Ids are never reused within a socket (R94).
    next_endpoint: u32,
    /// Every connection that is not over, by address: in handshake, open, or draining.
    connections: HashMap<usize, Arc<Connection>>,
    options: Options,
    stats: Statistics,
    recv_waiters: WaitQueue,
    send_waiters: WaitQueue,
    recv_guests: Guests,
    send_guests: Guests,
    watchers: Vec<Watcher>,
    next_watcher: u64,
    recv_level: Level,
    send_level: Level,
    /// When the engine will call for the pattern's deadline; never later than the deadline.
    armed: Option<Instant>,
    /// Callers inside a blocking call.
    blocked: usize,
    /// When a message for many peers had last been seen to.
    last_to_many: Option<Instant>,
    closed: bool,
}

impl Core {
    pub(crate) fn new(protocol: Protocol, mode: Mode, options: Options, engine: Option<Engine>) -> Arc<Core> {
        let seed = fastrand::u32(..);
        let lease = OnceLock::new();
        if let Some(engine) = engine {
            let _ = lease.set(Lease { engine, default: false });
        }
        let core = Arc::new_cyclic(|me| Core {
            me: me.clone(),
            protocol,
            mode,
            generation: sys::generation(),
            timed: protocol.has_deadlines(mode),
            born: Instant::now(),
            recv_max: AtomicUsize::new(options.recv_max.unwrap_or(UNLIMITED)),
            engine: lease,
            lease_returned: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            timer_reactor: OnceLock::new(),
            has_network: AtomicBool::new(false),
            reads_directly: AtomicBool::new(false),
            mail: Mail::default(),
            tempo: Default::default(),
            state: Mutex::new(State {
                pattern: protocol::create(protocol, mode, seed),
                fx: Effects::default(),
                pipes: Pipes::new(fastrand::u32(..)),
                block: Frames::default(),
                orphans: Orphans::default(),
                endpoints: BTreeMap::new(),
                next_endpoint: 1,
                connections: HashMap::new(),
                stats: Statistics::default(),
                recv_waiters: WaitQueue::default(),
                send_waiters: WaitQueue::default(),
                recv_guests: Guests::default(),
                send_guests: Guests::default(),
                watchers: Vec::new(),
                next_watcher: 0,
                recv_level: Level::default(),
                send_level: Level::default(),
                armed: None,
                blocked: 0,
                last_to_many: None,
                closed: false,
                options,
            }),
            left: Condvar::new(),
        });
        let ttl = core.state.lock().options.max_ttl;
        // Every pattern takes this one.
        let _ = core.set_pattern_option("max_ttl", PatternOption::MaxTtl(ttl));
        core
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether this process is a forked child of the one that made the socket: then nothing of it may be touched.
    pub(crate) fn is_inherited(&self) -> bool {
        self.generation != sys::generation()
    }

    /// The engine; the default one is started now if this is the first need for it.
    pub(crate) fn engine(&self) -> io::Result<Engine> {
        if let Some(lease) = self.engine.get() {
            return Ok(lease.engine.clone());
        }
        let engine = Engine::acquire_default()?;
        if self.engine.set(Lease { engine: engine.clone(), default: true }).is_err() {
            // Another thread was quicker; one lease is enough.
            Engine::release_default();
        }
        Ok(engine)
    }

    fn is_threadless(&self) -> Option<&Engine> {
        self.engine.get().map(|lease| &lease.engine).filter(|engine| engine.threads() == 0)
    }

    /// The receive limit in bytes, `None` for unlimited.
    pub(crate) fn recv_max(&self) -> Option<usize> {
        Some(self.recv_max.load(Ordering::Relaxed)).filter(|max| *max != UNLIMITED)
    }

    /// NN_SNDBUF and NN_RCVBUF as they are now.
    pub(crate) fn buffer_bounds(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.options.send_buffer, state.options.recv_buffer)
    }

    pub(crate) fn stream_options(&self) -> StreamOptions {
        let state = self.state.lock();
        let options = &state.options;
        StreamOptions {
            socket: SocketOptions {
                nodelay: options.tcp_nodelay,
                send_buffer: options.send_buffer_set.then_some(options.send_buffer),
                recv_buffer: options.recv_buffer_set.then_some(options.recv_buffer),
            },
            ipv4_only: options.ipv4_only,
            #[cfg(feature = "tls")]
            tls: options.tls.clone(),
        }
    }

    /// What a new WebSocket connection sends messages as.
    pub(crate) fn ws_message_type(&self) -> WsMessageType {
        self.state.lock().options.ws_message_type
    }

    /// A copy of the options.
    pub(crate) fn options(&self) -> Result<Options, Error> {
        self.open_state(|state| state.options.clone())
    }

    /// Changes options; live ones take effect now.
    pub(crate) fn set_options<R>(
        &self,
        change: impl FnOnce(&mut Options) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let (result, ttl) = self.open_state(|state| {
            let result = change(&mut state.options);
            self.recv_max.store(state.options.recv_max.unwrap_or(UNLIMITED), Ordering::Relaxed);
            (result, state.options.max_ttl)
        })?;
        let result = result?;
        self.set_pattern_option("max_ttl", PatternOption::MaxTtl(ttl))?;
        Ok(result)
    }

    pub(crate) fn set_pattern_option(
        &self,
        name: &'static str,
        option: PatternOption<'_>,
    ) -> Result<(), Error> {
        let refused = self.act(|state, _, _| state.pattern.set_option(&mut state.fx, option))?;
        refused.map_err(|refusal| match (refusal, option) {
            (OptionRefusal::NoSuchTopic, PatternOption::Unsubscribe(topic)) => {
                Error::NotSubscribed(topic.len())
            }
            _ => Error::NoSuchOption { protocol: self.protocol, option: name },
        })
    }

    pub(crate) fn mail(&self) -> &Mail {
        &self.mail
    }

    /// Looks at an open socket's state.
    #[inline]
    fn open_state<R>(&self, look: impl FnOnce(&mut State) -> R) -> Result<R, Error> {
        if self.is_inherited() {
            cold_path();
            return Err(Error::Closed);
        }
        let mut state = self.state.lock();
        if state.closed {
            cold_path();
            return Err(Error::Closed);
        }
        self.mail.look_yourself(false);
        if !self.mail.there_is() {
            // Nothing to see first, and nothing to be done afterwards.
            return Ok(look(&mut state));
        }
        cold_path();
        let mut jobs = Jobs::new();
        self.see_all(&mut state, &mut jobs);
        let seen = look(&mut state);
        drop(state);
        jobs::run(jobs);
        Ok(seen)
    }

    /// The time, if the pattern asks for it.
    fn now(&self) -> Instant {
        if self.timed { Instant::now() } else { self.born }
    }

    /// Has the pattern do something on an open socket, and carries out what it wants.
    fn act<R>(&self, action: impl FnOnce(&mut State, &mut Jobs, Instant) -> R) -> Result<R, Error> {
        if self.is_inherited() {
            return Err(Error::Closed);
        }
        let mut jobs = Jobs::new();
        let now = self.now();
        let mut state = self.state.lock();
        if state.closed {
            return Err(Error::Closed);
        }
        self.see_all(&mut state, &mut jobs);
        let result = action(&mut state, &mut jobs, now);
        self.settle(&mut state, now, &mut jobs);
        drop(state);
        let to_many = jobs.wires() > 1;
        jobs::run(jobs);
        if to_many {
            self.state.lock().last_to_many = Some(Instant::now());
        }
        Ok(result)
    }

    /// After every call of the pattern: the drain rule, then whoever waits, then the deadline.
    fn settle(&self, state: &mut State, now: Instant, jobs: &mut Jobs) {
        self.settle_turning(state, None, now, jobs);
    }

    /// The same by whoever turns that reactor.
    fn settle_turning(&self, state: &mut State, turned: Option<&Reactor>, now: Instant, jobs: &mut Jobs) {
        state.carry_out(now, jobs);
        state.announce(turned, jobs);
        if self.timed {
            self.arm(state);
        }
    }

    /// Sees to being called at the pattern's deadline. An earlier call that is already arranged does: it looks again.
    fn arm(&self, state: &mut State) {
        let Some(at) = state.pattern.next_timeout() else { return };
        if state.armed.is_some_and(|armed| armed <= at) {
            return;
        }
        let reactor = match self.timer_reactor.get() {
            Some(reactor) => reactor,
            None => match self.engine() {
                Ok(engine) => self.timer_reactor.get_or_init(|| engine.reactor()),
                // Without an engine nobody calls, but a caller that waits for the deadline wakes by itself.
                Err(_) => return,
            },
        };
        reactor.add_timer(at, self.me.clone() as Weak<dyn Source>);
        state.armed = Some(at);
    }

    fn deadline_reached(&self, now: Instant) {
        // A socket that was closed meanwhile has no deadlines.
        let _ = self.act(|state, _, _| {
            state.armed = None;
            if state.pattern.next_timeout().is_some_and(|at| at <= now) {
                state.pattern.handle_timeout(&mut state.fx, now);
            }
        });
    }
}

impl Source for Core {
    fn ready(self: Arc<Self>, _ready: Ready, _turn: &mut Turn<'_>) {}

    fn timer(self: Arc<Self>, turn: &mut Turn<'_>) {
        self.deadline_reached(turn.now);
    }
}

impl State {
    /// The drain rule: does everything the pattern asked for, and tells it which pipes are full.
    #[inline]
    fn carry_out(&mut self, now: Instant, jobs: &mut Jobs) {
        self.release_all(jobs);
        // Most often that was all.
        if !self.fx.is_empty() {
            self.carry_out_all(now, jobs);
        }
    }

    #[inline]
    fn release_all(&mut self, jobs: &mut Jobs) {
        while let Some((pipe, bytes)) = self.fx.release.pop() {
            if !self.pipes.release(pipe, bytes, jobs) {
                self.orphans.release(pipe, bytes);
            }
        }
    }

    fn carry_out_all(&mut self, now: Instant, jobs: &mut Jobs) {
        loop {
            let flow = self.flow();
            while let Some((pipe, message)) = self.fx.transmit.pop_front() {
                if let Some(link) = self.pipes.get(pipe)
                    && link.push(message, flow, jobs) == Room::Full
                {
                    self.pattern.handle_full(pipe);
                }
            }
            if flow != Flow::Unknown {
                self.last_to_many = Some(Instant::now());
            }
            self.release_all(jobs);
            // Losing a pipe may make the pattern want more.
            match self.fx.close.pop() {
                Some(pipe) => self.cut_off(pipe, now, jobs),
                None => return,
            }
        }
    }

    /// How close the messages for many peers follow each other. The wires cannot tell: to write to all of them takes
    /// longer than any of them has to be idle.
    fn flow(&self) -> Flow {
        if self.fx.transmit.len() < 2 {
            return Flow::Unknown;
        }
        let dense = self.last_to_many.is_some_and(|at| at.elapsed() < WIRE_IDLE_AFTER);
        if dense { Flow::Dense } else { Flow::Sparse }
    }

    /// Wakes one caller for each direction that can proceed, sets the descriptors, tells polls. `turned` is the reactor
    /// whose turn this is, if it is one.
    #[inline]
    fn announce(&mut self, turned: Option<&Reactor>, jobs: &mut Jobs) {
        let is_awaited = self.blocked > 0 || !self.watchers.is_empty();
        if is_awaited || self.recv_level.has_descriptor() || self.send_level.has_descriptor() {
            self.announce_to_all(turned, jobs);
        }
    }

    fn announce_to_all(&mut self, turned: Option<&Reactor>, jobs: &mut Jobs) {
        let ready = self.pattern.readiness();
        if ready.recv {
            wake_one(&self.recv_guests, &mut self.recv_waiters, turned, jobs);
        }
        if ready.send {
            wake_one(&self.send_guests, &mut self.send_waiters, turned, jobs);
        }
        self.recv_level.set(ready.recv);
        self.send_level.set(ready.send);
        if !self.watchers.is_empty() {
            self.tell_watchers(ready, jobs);
        }
    }
}

/// A guest comes first: it is awake already.
#[inline]
fn wake_one(guests: &Guests, waiters: &mut WaitQueue, turned: Option<&Reactor>, jobs: &mut Jobs) {
    let waker = match guests.waker(turned) {
        Some(of_guest) => of_guest,
        None => waiters.take_one(),
    };
    if let Some(waker) = waker {
        jobs.push(Job::Wake(waker));
    }
}
