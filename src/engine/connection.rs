//! [`Connection`]: one stream to one peer, from the first byte to the last.
//!
//! Its [`Phase`] is declared here, with the transitions that exist. Reading happens on the thread that turns the reactor,
//! or on one that waits for just this connection (`direct`), every change of phase on the former; writing on whichever
//! thread won the right to (see [`Outbound`]). What happens in each part of its life is in the modules below: `handshake`,
//! `reading`, `direct`, `writing`, `draining`, `parting`, `end`.

mod direct;
mod draining;
mod end;
mod handshake;
mod inbound;
mod parting;
mod reading;
mod spare;
mod writing;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mio::Token;
use parking_lot::Mutex;

use self::direct::Direct;
pub(crate) use self::direct::Directly;
pub(crate) use self::end::End;
use self::inbound::Inbound;
pub(crate) use self::writing::{Claim, Front, Parts};
use super::endpoint::Owner;
use super::jobs::{Job, Jobs};
use super::outbound::Outbound;
use super::reactor::Reactor;
use super::socket_core::Core;
use super::source::{Notice, Ready, Source, Task, Turn};
use super::timers::TimerKey;
#[cfg(feature = "tls")]
use crate::peer::PeerIdentity;
use crate::protocol::PipeId;
use crate::transport::Stream;
use crate::wire::{Decoder, Encoder, Session};
use spare::Spare;

/// Where a connection stands.
///
/// ```text
/// Connecting -> Securing -> Greeting -> Open -> Draining -> Closed
///      \____________\___________\_________\________________/^        (failure, or closed with nothing to deliver)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The operating system is connecting.
    Connecting,
    /// The carrier's own handshake, for [`HANDSHAKE_MAX`](crate::limits::HANDSHAKE_MAX) at most (R251); over at once
    /// where there is none.
    Securing,
    /// Our header is on its way, the peer's is awaited as long (R15).
    Greeting,
    /// A pipe of the socket.
    Open {
        pipe: PipeId,
        since: Instant,
    },
    /// No pipe any more; what was accepted is being delivered, input is thrown away.
    Draining {
        deadline: Instant,
        next_look: Duration,
        /// The end of stream was sent. Once: each time would be an event, and the event a reason to try again.
        ended: bool,
    },
    Closed,
}
pub(crate) struct Connection {
    me: Weak<Connection>,
    core: Arc<Core>,
    owner: Owner,
    reactor: Arc<Reactor>,
    stream: Box<dyn Stream>,
    encoder: Box<dyn Encoder>,
    greeting: Bytes,
    outbound: Outbound,
    /// What waits for the application.
    inbound: Inbound,
    token: OnceLock<Token>,
    /// Set when the pattern has taken the pipe; never changes afterwards.
    pipe: OnceLock<PipeId>,
    /// [`Notice::Resume`] is on its way.
    will_resume: AtomicBool,
    /// The reactor looks for input; otherwise somebody reads directly, or did a moment ago.
    is_watched: AtomicBool,
    /// Held while reading and delivering, by the turning thread or who reads directly, and always before the socket's lock.
    reading: Mutex<Reading>,
}
struct Reading {
    phase: Phase,
    decoder: Box<dyn Decoder>,
    /// Read from the kernel but not decoded, because the application has not made room; decoded up to
    /// `leftover_at`.
    leftover: Vec<u8>,
    leftover_at: usize,
    /// The end of the stream is there to be read.
    hung_up: bool,
    /// The last message had been read into a buffer of its own.
    last_was_large: bool,
    /// Made for the first large body.
    spare: Option<Arc<Spare>>,
    timer: Option<TimerKey>,
    /// Bytes of the session's replies that may still wait to be written.
    replies_waiting: usize,
    /// How long the connection was a pipe, if it parted with last words.
    lived: Option<Duration>,
    direct: Direct,
}
impl Connection {
    /// Takes over a stream. `connected` is false while the operating system is still connecting.
    pub(crate) fn start(
        core: Arc<Core>,
        owner: Owner,
        reactor: Arc<Reactor>,
        stream: Box<dyn Stream>,
        session: Session,
        connected: bool,
    ) -> io::Result<Arc<Connection>> {
        let (send_bound, recv_bound) = core.buffer_bounds();
        let connection = Arc::new_cyclic(|me| Connection {
            me: me.clone(),
            core,
            owner,
            reactor,
            stream,
            encoder: session.encoder,
            greeting: session.greeting,
            outbound: Outbound::new(send_bound),
            inbound: Inbound::new(recv_bound),
            token: OnceLock::new(),
            pipe: OnceLock::new(),
            will_resume: AtomicBool::new(false),
            is_watched: AtomicBool::new(true),
            reading: Mutex::new(Reading {
                phase: Phase::Connecting,
                decoder: session.decoder,
                leftover: Vec::new(),
                leftover_at: 0,
                hung_up: false,
                last_was_large: false,
                spare: None,
                timer: None,
                replies_waiting: 0,
                lived: None,
                direct: Direct::default(),
            }),
        });
        connection.enter_reactor(connected)?;
        Ok(connection)
    }

    fn enter_reactor(self: &Arc<Self>, connected: bool) -> io::Result<()> {
        let token = self.reactor.add_source(Arc::clone(self) as Arc<dyn Source>);
        let _ = self.token.set(token);
        let mut reading = self.reading.lock();
        if !self.core.add_connection(self) {
            reading.phase = Phase::Closed;
            self.reactor.remove_source(token);
            return Err(io::ErrorKind::NotConnected.into());
        }
        // A connecting stream reports its success as writability.
        let write = !connected || !self.stream.watches_writability_on_demand();
        if let Err(error) = self.stream.register(self.reactor.registry(), token, write) {
            reading.phase = Phase::Closed;
            self.reactor.remove_source(token);
            self.core.remove_connection(self);
            return Err(error);
        }
        if connected {
            self.begin(&mut reading);
        }
        Ok(())
    }

    fn add_timer(&self, at: Instant) -> TimerKey {
        self.reactor.add_timer(at, self.me.clone() as Weak<dyn Source>)
    }

    /// Bytes that wait for the application, with what each message counts beyond its payload.
    pub(crate) fn waiting(&self) -> usize {
        self.inbound.waiting()
    }

    /// The application took what counted `bytes` and came from here; called under the socket's lock.
    pub(crate) fn release(&self, bytes: usize, jobs: &mut Jobs) {
        let room = self.inbound.release(bytes);
        if room && let Some(me) = self.me.upgrade() {
            jobs.push(Job::Resume(me));
        }
    }

    /// Whom the peer proved to be.
    #[cfg(feature = "tls")]
    pub(crate) fn peer(&self) -> Option<&Arc<PeerIdentity>> {
        self.stream.peer()
    }

    /// The endpoint that made this connection.
    pub(crate) fn endpoint(&self) -> u32 {
        self.owner.endpoint().id
    }

    /// Has the turning thread do something.
    pub(crate) fn tell(self: Arc<Self>, notice: Notice) {
        // Told again for every message that a turn leaves to the next, these would become more and more.
        if notice == Notice::Resume && self.will_resume.swap(true, Ordering::SeqCst) {
            return;
        }
        let reactor = Arc::clone(&self.reactor);
        reactor.submit(Task::Tell(self, notice));
    }
}

impl Source for Connection {
    fn ready(self: Arc<Self>, ready: Ready, turn: &mut Turn<'_>) {
        let mut newly = false;
        // Whatever has been a pipe is past that.
        if self.pipe.get().is_none() && self.connecting(&mut newly, turn) {
            return;
        }
        if ready.write {
            self.writable(turn);
        }
        if ready.closed {
            self.reading.lock().hung_up = true;
        }
        // Behind the end of its handshake a carrier may hold bytes of the session already.
        if ready.read || newly {
            self.readable(turn);
        }
    }

    fn notice(self: Arc<Self>, notice: Notice, turn: &mut Turn<'_>) {
        match notice {
            Notice::Resume => {
                // First: room that is made from now on tells again. A swap and no store, so that room of which somebody
                // said nothing, because this was on its way, is seen from here on.
                self.will_resume.swap(false, Ordering::SeqCst);
                // Often told in this very turn.
                if turn.is_to_end() { self.tell(notice) } else { self.readable(turn) }
            }
            Notice::Drain(deadline) => self.drain(deadline, turn),
            Notice::Break => self.end(End::Pattern, turn),
            Notice::Abort => self.end(End::Local, turn),
        }
    }

    fn write_tail(self: Arc<Self>, now: Option<Instant>) -> Option<Instant> {
        let later = self.outbound.look_again(now);
        if later.is_none() {
            self.flush();
        }
        later
    }

    fn tidy(self: Arc<Self>, now: Option<Instant>) -> Option<Instant> {
        self.outbound.tidy(now)
    }

    fn timer(self: Arc<Self>, turn: &mut Turn<'_>) {
        let phase = {
            let mut reading = self.reading.lock();
            reading.timer = None;
            reading.phase
        };
        match phase {
            Phase::Securing => self.end(self.not_secured_in_time(), turn),
            Phase::Greeting => self.end(End::Silent, turn),
            Phase::Draining { .. } => self.continue_drain(turn),
            Phase::Open { .. } => self.end_lease(turn.now),
            Phase::Connecting | Phase::Closed => (),
        }
    }
}
