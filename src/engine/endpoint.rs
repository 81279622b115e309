//! Endpoints: a [`Listener`] accepts connections, a [`Dialer`] keeps one alive for ever; an [`Owner`] is either.

use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::backoff::Backoff;
use super::connection::{Connection, End};
use super::listener::Listener;
use super::reactor::Reactor;
use super::socket_core::Core;
use super::source::{Notice, Ready, Source, Task, Turn};
use super::timers::TimerKey;
use crate::address::ConnectAddress;
use crate::limits::{CONNECT_MAX, IPC_BUSY_RETRY};
use crate::message::WsMessageType;
use crate::protocol::Priorities;
use crate::transport::{self, Candidate, Connector, Route};
use crate::wire::{Facts, Session, SessionKind};

/// What a pipe inherits from its endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndpointInfo {
    pub(crate) id: u32,
    pub(crate) priorities: Priorities,
}

/// Who made a connection, and hears of its fate.
pub(crate) enum Owner {
    Listener(Arc<Listener>),
    Dialer(Arc<Dialer>),
}

impl Owner {
    pub(crate) fn endpoint(&self) -> EndpointInfo {
        match self {
            Owner::Listener(listener) => listener.info,
            Owner::Dialer(dialer) => dialer.info,
        }
    }

    /// The endpoint's address, for reports.
    pub(crate) fn address(&self) -> String {
        match self {
            Owner::Listener(listener) => listener.local_address(),
            Owner::Dialer(dialer) => dialer.address.to_string(),
        }
    }

    /// The operating system has connected, and the carrier's handshake is over.
    pub(crate) fn connected(&self, core: &Core) {
        if let Owner::Dialer(dialer) = self {
            dialer.disarm();
            core.count_connected();
            core.endpoint_recovered(dialer.info.id);
        }
    }

    pub(crate) fn ended(&self, connection: &Arc<Connection>, end: &End, lived: Option<Duration>) {
        if let Owner::Dialer(dialer) = self {
            dialer.connection_ended(connection, end, lived);
        }
    }
}

pub(super) fn open_session(
    kind: &SessionKind,
    core: &Core,
    ws_message_type: WsMessageType,
) -> io::Result<Session> {
    let secret = if kind.needs_secret() { transport::secret()? } else { Default::default() };
    Ok(kind.open(core.protocol(), &Facts { secret, ws_message_type }))
}

/// Where a dialer stands.
enum Dial {
    /// The name is being looked up.
    Resolving,
    /// One candidate is being tried; the rest comes next.
    Trying {
        connection: Arc<Connection>,
        rest: Vec<Candidate>,
    },
    /// Between attempts.
    Waiting,
    Closed,
}

/// Connects, and connects again, until it is closed (R230).
pub(crate) struct Dialer {
    me: Weak<Dialer>,
    core: Arc<Core>,
    info: EndpointInfo,
    reactor: Arc<Reactor>,
    address: ConnectAddress,
    connector: Box<dyn Connector>,
    session: SessionKind,
    /// As it was when the endpoint was made.
    ws_message_type: WsMessageType,
    state: Mutex<DialState>,
}

struct DialState {
    dial: Dial,
    backoff: Backoff,
    /// The next attempt, or the end of the time that the current one has.
    timer: Option<TimerKey>,
    random: fastrand::Rng,
}

impl Dialer {
    /// Makes the endpoint; attempts run on the reactor's thread, the first one at once. Fails when the engine
    /// cannot start, or the carrier lacks what it needs.
    pub(crate) fn start(
        core: &Arc<Core>,
        info: EndpointInfo,
        address: ConnectAddress,
        reconnect: Duration,
        reconnect_max: Duration,
    ) -> io::Result<Arc<Dialer>> {
        let connector = transport::connector(&address, &core.stream_options())?;
        let session = transport::session_of(&address)?;
        let reactor = core.engine()?.reactor();
        let dialer = Arc::new_cyclic(|me| Dialer {
            me: me.clone(),
            core: Arc::clone(core),
            info,
            reactor,
            address,
            connector,
            session,
            ws_message_type: core.ws_message_type(),
            state: Mutex::new(DialState {
                dial: Dial::Waiting,
                backoff: Backoff::new(reconnect, reconnect_max),
                timer: None,
                random: fastrand::Rng::new(),
            }),
        });
        dialer.on_reactor(|dialer| dialer.attempt());
        Ok(dialer)
    }

    /// Attempts and their ends are handled on one thread, so none can overtake the other.
    fn on_reactor(self: &Arc<Self>, run: impl FnOnce(&Arc<Dialer>) + Send + 'static) {
        let me = Arc::clone(self);
        self.reactor.submit(Task::Run(Box::new(move |_| run(&me))));
    }

    /// Looks up or tries the first candidate.
    fn attempt(self: &Arc<Self>) {
        if matches!(self.state.lock().dial, Dial::Closed) {
            return;
        }
        match transport::route(&self.address, &self.core.stream_options()) {
            Ok(Route::Direct(candidates)) => self.try_next(candidates),
            Ok(Route::Lookup(query)) => {
                self.state.lock().dial = Dial::Resolving;
                let me = self.me.clone();
                let done = move |found| {
                    if let Some(dialer) = Weak::upgrade(&me) {
                        dialer.on_reactor(|dialer| dialer.resolved(found));
                    }
                };
                if let Err(error) = transport::resolve::lookup(query, done) {
                    self.failed(&error);
                }
            }
            Err(error) => self.failed(&error),
        }
    }

    fn resolved(self: &Arc<Self>, found: io::Result<Vec<Candidate>>) {
        match found {
            Ok(candidates) => self.try_next(candidates),
            Err(error) => self.failed(&error),
        }
    }

    /// Starts to connect to the first candidate that the system does not refuse at once.
    fn try_next(self: &Arc<Self>, mut candidates: Vec<Candidate>) {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        while !candidates.is_empty() {
            let candidate = candidates.remove(0);
            if matches!(self.state.lock().dial, Dial::Closed) {
                return;
            }
            self.core.count_connecting();
            match self.connect(&candidate) {
                Ok(connection) => {
                    let mut state = self.state.lock();
                    if matches!(state.dial, Dial::Closed) {
                        drop(state);
                        return connection.tell(Notice::Abort);
                    }
                    self.arm(&mut state, CONNECT_MAX);
                    state.dial = Dial::Trying { connection, rest: candidates };
                    return;
                }
                Err(error) => {
                    self.core.count_connect_error();
                    last = error;
                }
            }
        }
        self.failed(&last);
    }

    fn connect(self: &Arc<Self>, candidate: &Candidate) -> io::Result<Arc<Connection>> {
        let stream = self.connector.connect(candidate, &self.core.stream_options())?;
        let session = open_session(&self.session, &self.core, self.ws_message_type)?;
        let owner = Owner::Dialer(Arc::clone(self));
        let reactor = Arc::clone(&self.reactor);
        Connection::start(Arc::clone(&self.core), owner, reactor, stream, session, false)
    }

    /// A connection of this endpoint is over: the next candidate, or the next attempt.
    fn connection_ended(self: &Arc<Self>, connection: &Arc<Connection>, end: &End, lived: Option<Duration>) {
        let mut state = self.state.lock();
        let rest = match &mut state.dial {
            Dial::Trying { connection: current, rest } if Arc::ptr_eq(current, connection) => {
                std::mem::take(rest)
            }
            _ => return,
        };
        state.dial = Dial::Waiting;
        state.backoff.connection_ended(lived);
        drop(state);
        match end {
            End::ConnectFailed(_) if !rest.is_empty() => self.try_next(rest),
            End::ConnectFailed(error) => self.failed(error),
            _ => self.wait_for_next(),
        }
    }

    /// No candidate could be connected.
    fn failed(self: &Arc<Self>, error: &io::Error) {
        self.core.endpoint_failed(self.info.id, &self.address.to_string(), error);
        // A Unix listener whose backlog is full says so at once: it is alive and will soon accept.
        if error.kind() == io::ErrorKind::WouldBlock {
            let mut state = self.state.lock();
            return self.arm_waiting(&mut state, IPC_BUSY_RETRY);
        }
        self.wait_for_next();
    }

    fn wait_for_next(&self) {
        let mut state = self.state.lock();
        let chance = state.random.u32(..);
        let wait = state.backoff.next_wait(chance);
        self.arm_waiting(&mut state, wait);
    }

    fn arm_waiting(&self, state: &mut DialState, wait: Duration) {
        if !matches!(state.dial, Dial::Closed) {
            state.dial = Dial::Waiting;
            self.arm(state, wait);
        }
    }

    fn arm(&self, state: &mut DialState, wait: Duration) {
        if let Some(timer) = state.timer.take() {
            self.reactor.cancel_timer(timer);
        }
        let at = Instant::now() + wait;
        state.timer = Some(self.reactor.add_timer(at, self.me.clone() as Weak<dyn Source>));
    }

    fn disarm(&self) {
        if let Some(timer) = self.state.lock().timer.take() {
            self.reactor.cancel_timer(timer);
        }
    }

    /// Ends the endpoint; its connection is ended by the socket.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        if let Some(timer) = state.timer.take() {
            self.reactor.cancel_timer(timer);
        }
        let before = std::mem::replace(&mut state.dial, Dial::Closed);
        drop(state);
        drop(before);
    }
}

impl Source for Dialer {
    fn ready(self: Arc<Self>, _ready: Ready, _turn: &mut Turn<'_>) {}

    fn timer(self: Arc<Self>, turn: &mut Turn<'_>) {
        let overdue = {
            let mut state = self.state.lock();
            state.timer = None;
            match &state.dial {
                Dial::Waiting => None,
                Dial::Trying { connection, .. } => Some(Arc::clone(connection)),
                Dial::Resolving | Dial::Closed => return,
            }
        };
        match overdue {
            None => self.attempt(),
            Some(connection) => connection.give_up_connecting(turn),
        }
    }
}
