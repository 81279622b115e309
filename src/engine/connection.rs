//! [`Connection`]: one stream to one peer, from the first byte to the last.
//!
//! Its [`Phase`] is declared, with the transitions that exist. Reading, and every change of phase, happens on the
//! thread that turns the reactor; writing on whichever thread won the right to (see [`Outbound`]).

mod parting;

use std::io;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mio::Token;
use parking_lot::Mutex;

use super::credit::Credit;
use super::endpoint::Owner;
use super::jobs::{self, Job, Jobs};
use super::outbound::{Outbound, Room, Writer, Written};
use super::reactor::{Notice, Reactor, Ready, Source, Task, Turn};
use super::socket_core::{Core, Link};
use super::timers::TimerKey;
use crate::frames::Frames;
use crate::limits::{
    BODY_TAIL_BYTES, DRAIN_LOOK_FIRST, DRAIN_LOOK_MAX, HANDSHAKE_MAX, MESSAGE_OVERHEAD_BYTES,
    READ_BYTES_PER_TURN,
};
use crate::message::Message;
#[cfg(feature = "tls")]
use crate::peer::PeerIdentity;
use crate::protocol::PipeId;
use crate::transport::{Handshake, Stream};
use crate::wire::{Allowance, ArrayHead, Decoder, Encoder, Event, Session, WireError};

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
    /// The carrier's own handshake, for [`HANDSHAKE_MAX`] at most (R251); over at once where there is none.
    Securing,
    /// Our header is on its way, the peer's is awaited until [`HANDSHAKE_MAX`] has passed (R15).
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

/// How a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// The operating system could not connect.
    #[error("cannot connect: {0}")]
    ConnectFailed(io::Error),
    /// The carrier's handshake with a peer that connected to us.
    #[error("{0}")]
    NotSecured(io::Error),
    /// What arrived is not what the peer can have sent, or the peer says that it does not want us.
    #[error("the connection failed: {0}")]
    Untrusted(io::Error),
    #[error("the peer closed the connection")]
    Eof,
    /// What had arrived of the message is discarded (R97).
    #[error("the peer closed the connection in the middle of a message")]
    Truncated,
    #[error("the connection failed: {0}")]
    Io(io::Error),
    /// The peer broke the rules.
    #[error(transparent)]
    Wire(WireError),
    #[error("the peer did not send its SP header or upgrade to WebSocket within {} s", HANDSHAKE_MAX.as_secs())]
    Silent,
    /// The session's own goodbye: nobody is at fault.
    #[error("the peer said goodbye")]
    Goodbye,
    /// It kept to the wire's rules and not to those of its pattern (R129).
    #[error("the peer sent a message that its pattern does not allow")]
    Pattern,
    /// R122.
    #[error("refused: the socket has its one peer already")]
    Refused,
    /// See [`ORPHANED_MAX_BYTES`](crate::limits::ORPHANED_MAX_BYTES).
    #[error("turned away: peers that are gone left too much that nobody has received yet")]
    Overloaded,
    #[error("closed from this side")]
    Local,
}

impl End {
    /// Whether the peer, or the two together, did something that somebody should look into.
    pub(crate) fn is_suspicious(&self) -> bool {
        matches!(
            self,
            End::NotSecured(_)
                | End::Untrusted(_)
                | End::Truncated
                | End::Wire(_)
                | End::Silent
                | End::Pattern
                | End::Refused
                | End::Overloaded
        )
    }
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
    /// What waits for the application; a leaf lock.
    inbound: Mutex<Credit>,
    token: OnceLock<Token>,
    /// Set when the pattern has taken the pipe; never changes afterwards.
    pipe: OnceLock<PipeId>,
    /// Held while reading and delivering; only the turning thread takes it, and always before the socket's lock.
    reading: Mutex<Reading>,
}

/// The right, and the duty, to write one frame.
pub(crate) struct Claim {
    connection: Arc<Connection>,
    head: ArrayHead,
}

impl Claim {
    /// Writes the frame that was claimed for; called without any socket's lock.
    pub(crate) fn write(self, body: &[u8]) {
        let connection = &self.connection;
        let write = |slices: &[io::IoSlice<'_>]| connection.stream.write(slices);
        let written = connection.outbound.write_claimed(self.head.as_slice(), body, write);
        let mut jobs = Jobs::new();
        connection.after_writing(&written, &mut jobs);
        jobs::run(&mut jobs);
    }
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
    timer: Option<TimerKey>,
    /// Bytes of the session's replies that may still wait to be written.
    replies_waiting: usize,
    /// How long the connection was a pipe, if it parted with last words.
    lived: Option<Duration>,
}

const SECURING_TOO_LONG: &str = "the peer did not finish the handshake of the secure connection in time";

/// What one step of reading came to.
enum Step {
    /// So many bytes were handled; there may be more.
    Progress(usize),
    /// Nothing to read, or no room for it.
    Pause,
    /// All was read and handled.
    Drained,
    End(End),
    /// As `End`, once the peer has been told these words.
    Part(Bytes, End),
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
            inbound: Mutex::new(Credit::with_slack(recv_bound)),
            token: OnceLock::new(),
            pipe: OnceLock::new(),
            reading: Mutex::new(Reading {
                phase: Phase::Connecting,
                decoder: session.decoder,
                leftover: Vec::new(),
                leftover_at: 0,
                hung_up: false,
                last_was_large: false,
                timer: None,
                replies_waiting: 0,
                lived: None,
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
            reading.phase = Phase::Securing;
            match self.stream.handshake() {
                Ok(Handshake::None) => self.greet(&mut reading),
                Ok(Handshake::Over) => {
                    self.greet(&mut reading);
                    // No event tells of what was read along with the end of the handshake.
                    Arc::clone(self).tell(Notice::Resume);
                }
                Ok(Handshake::Unfinished) => {
                    reading.timer = Some(self.add_timer(Instant::now() + HANDSHAKE_MAX))
                }
                Err(error) => {
                    let (me, end) = (Arc::clone(self), self.not_secured(error));
                    self.reactor.submit(Task::Run(Box::new(move |turn| me.end(end, turn))));
                }
            }
        }
        Ok(())
    }

    /// Goes on with the carrier's handshake. True when it is over.
    fn secure(&self, reading: &mut Reading) -> Result<bool, End> {
        match self.stream.handshake() {
            Ok(Handshake::None | Handshake::Over) => {
                if let Some(timer) = reading.timer.take() {
                    self.reactor.cancel_timer(timer);
                }
                self.owner.connected(&self.core);
                self.greet(reading);
                Ok(true)
            }
            Ok(Handshake::Unfinished) => {
                if reading.timer.is_none() {
                    reading.timer = Some(self.add_timer(Instant::now() + HANDSHAKE_MAX));
                }
                Ok(false)
            }
            Err(error) => Err(self.not_secured(error)),
        }
    }

    /// For a peer that we connect to it is one more reason why that is not possible.
    fn not_secured(&self, error: io::Error) -> End {
        match self.owner {
            Owner::Listener(_) => End::NotSecured(error),
            Owner::Dialer(_) => End::ConnectFailed(error),
        }
    }

    /// Sends our header at once, whatever the peer does (R3, R16), and gives the peer its time.
    fn greet(&self, reading: &mut Reading) {
        reading.phase = Phase::Greeting;
        reading.timer = Some(self.add_timer(Instant::now() + HANDSHAKE_MAX));
        self.outbound.push_control(&self.greeting);
        self.flush();
    }

    fn add_timer(&self, at: Instant) -> TimerKey {
        self.reactor.add_timer(at, self.me.clone() as Weak<dyn Source>)
    }

    /// Appends a message for the peer; called under the socket's lock.
    pub(crate) fn push(&self, message: Message, jobs: &mut Jobs) -> Room {
        let (room, writer) = self.outbound.push(|queue| self.encoder.encode(message, queue));
        self.see_to_writing(writer, jobs);
        room
    }

    /// The same for a copy of a body without header.
    pub(crate) fn push_body(&self, body: &[u8], jobs: &mut Jobs) -> Room {
        let (room, writer) = self.outbound.push(|queue| self.encoder.encode_body(body, queue));
        self.see_to_writing(writer, jobs);
        room
    }

    /// Claims the wire for a large body that the caller writes itself, from where it lies; called under the socket's
    /// lock. `None` if something is before it.
    pub(crate) fn claim(&self, len: usize) -> Option<(Claim, Room)> {
        let head = self.encoder.head(len)?;
        let connection = self.me.upgrade()?;
        let room = self.outbound.claim(head.as_slice().len().saturating_add(len))?;
        Some((Claim { connection, head }, room))
    }

    fn see_to_writing(&self, writer: Writer, jobs: &mut Jobs) {
        let job = match writer {
            Writer::Nobody => return,
            Writer::Caller => Job::Flush,
            Writer::Engine => Job::FlushSoon,
        };
        if let Some(me) = self.me.upgrade() {
            jobs.push(job(me));
        }
    }

    pub(crate) fn flush_soon(&self) {
        self.reactor.write_soon(self.me.clone() as Weak<dyn Source>);
    }

    /// Bytes that wait for the application, with what each message counts beyond its payload.
    pub(crate) fn waiting(&self) -> usize {
        self.inbound.lock().waiting()
    }

    /// The application took what counted `bytes` and came from here; called under the socket's lock.
    pub(crate) fn release(&self, bytes: usize, jobs: &mut Jobs) {
        let room = self.inbound.lock().release(bytes);
        if room && let Some(me) = self.me.upgrade() {
            jobs.push(Job::Resume(me));
        }
    }

    /// Whom the peer proved to be.
    #[cfg(feature = "tls")]
    pub(crate) fn peer(&self) -> Option<&Arc<PeerIdentity>> {
        self.stream.peer()
    }

    fn flush(&self) {
        let mut jobs = Jobs::new();
        self.flush_into(&mut jobs);
        jobs::run(&mut jobs);
    }

    /// The endpoint that made this connection.
    pub(crate) fn endpoint(&self) -> u32 {
        self.owner.endpoint().id
    }

    /// Writes what waits, as far as the wire takes it.
    pub(crate) fn flush_into(&self, jobs: &mut Jobs) {
        let written = self.outbound.write_out(|slices| self.stream.write(slices));
        self.after_writing(&written, jobs);
    }

    fn after_writing(&self, written: &Written, jobs: &mut Jobs) {
        if written.look_later {
            self.flush_soon();
        }
        if written.blocked && self.stream.watches_writability_on_demand() {
            self.watch_writability(true);
        }
        if written.room
            && let Some(pipe) = self.pipe.get()
        {
            self.core.pipe_writable(*pipe, jobs);
        }
        if let (Some(_), Some(me)) = (&written.error, self.me.upgrade()) {
            // The reading side finds the end of the stream, after what the peer sent before it went.
            me.tell(Notice::Resume);
        }
    }

    /// Has the turning thread do something.
    pub(crate) fn tell(self: Arc<Self>, notice: Notice) {
        let reactor = Arc::clone(&self.reactor);
        reactor.submit(Task::Tell(self, notice));
    }

    fn watch_writability(&self, on: bool) {
        if let Some(token) = self.token.get() {
            // The descriptor is registered as long as the connection is not closed; after that nobody waits.
            let _ = self.stream.reregister(self.reactor.registry(), *token, on);
        }
    }

    fn writable(self: &Arc<Self>, turn: &mut Turn<'_>) {
        if self.outbound.writable() {
            self.flush();
            if self.stream.watches_writability_on_demand() && self.outbound.pending() == 0 {
                self.watch_writability(false);
                // A sender may have filled the wire in between, and its watch was just switched off.
                if self.outbound.is_blocked() {
                    self.watch_writability(true);
                }
            }
        }
        self.continue_drain(turn);
    }

    /// Before the session begins. True while that is so; `newly` is set when it just began.
    fn connecting(self: &Arc<Self>, newly: &mut bool, turn: &mut Turn<'_>) -> bool {
        let mut reading = self.reading.lock();
        let connected = match reading.phase {
            Phase::Connecting => self.stream.finish_connect().map_err(End::ConnectFailed),
            Phase::Securing => Ok(true),
            _ => return false,
        };
        let secured = match connected {
            Ok(true) => {
                if self.stream.watches_writability_on_demand() {
                    self.watch_writability(false);
                }
                reading.phase = Phase::Securing;
                self.secure(&mut reading)
            }
            other => other,
        };
        match secured {
            Ok(over) => {
                *newly = over;
                !over
            }
            Err(end) => {
                drop(reading);
                self.end(end, turn);
                true
            }
        }
    }

    fn readable(self: &Arc<Self>, turn: &mut Turn<'_>) {
        let mut reading = self.reading.lock();
        let mut budget = READ_BYTES_PER_TURN;
        loop {
            match self.read_step(&mut reading, turn) {
                Step::Progress(bytes) => match budget.checked_sub(bytes.max(1)) {
                    Some(left) => budget = left,
                    None => {
                        drop(reading);
                        return Arc::clone(self).tell(Notice::Resume);
                    }
                },
                Step::Pause | Step::Drained => return,
                Step::Part(words, end) => {
                    drop(reading);
                    return self.part(&words, &end, turn);
                }
                Step::End(end) => {
                    let truncated = matches!(end, End::Eof) && reading.decoder.is_mid_frame();
                    drop(reading);
                    return self.end(if truncated { End::Truncated } else { end }, turn);
                }
            }
        }
    }

    fn read_step(&self, reading: &mut Reading, turn: &mut Turn<'_>) -> Step {
        match reading.phase {
            Phase::Connecting | Phase::Securing | Phase::Closed => return Step::Pause,
            Phase::Draining { .. } => return outcome(self.stream.read(turn.block)),
            Phase::Greeting | Phase::Open { .. } => (),
        }
        if self.inbound.lock().is_full() {
            return Step::Pause;
        }
        if !reading.leftover.is_empty() {
            let held = std::mem::take(&mut reading.leftover);
            let mut input = held.get(reading.leftover_at..).unwrap_or_default();
            let step = self.decode(reading, &mut input, turn.now, turn.frames);
            if !input.is_empty() {
                reading.leftover_at = held.len() - input.len();
                reading.leftover = held;
            }
            return step;
        }
        match reading.decoder.body_buffer() {
            Err(error) => return parting::refuse(&mut *reading.decoder, error),
            Ok(Some((buffer, missing))) => {
                // The head of the next message comes along, so that a stream of large ones costs one call each.
                let tail = turn.block.get_mut(..BODY_TAIL_BYTES).unwrap_or_default();
                let (in_body, in_tail) = match self.stream.read_body(buffer, missing, tail) {
                    Ok(lengths) => lengths,
                    Err(error) => return outcome(Err(error)),
                };
                if let Some(Event::Message(mut message)) = reading.decoder.body_complete() {
                    self.sign(&mut message);
                    reading.last_was_large = true;
                    self.charge(&message);
                    let charge = message.payload_len();
                    turn.frames.push(message, charge);
                    self.hand_over(reading, turn.frames, turn.now);
                }
                return match in_tail {
                    0 => outcome(Ok(in_body)),
                    _ => self.decode_block(reading, in_tail, turn),
                };
            }
            Ok(None) => (),
        }
        // Behind a large message comes another one, most likely: read its head, and then its body in place.
        let window = if reading.last_was_large { BODY_TAIL_BYTES } else { turn.block.len() };
        match self.stream.read(turn.block.get_mut(..window).unwrap_or_default()) {
            Ok(bytes @ 1..) => match self.decode_block(reading, bytes, turn) {
                // Input that is left over is no progress of the stream, and needs another look at the room.
                Step::Progress(_)
                    if bytes < window
                        && reading.leftover.is_empty()
                        && !reading.hung_up
                        && self.stream.short_read_is_all() =>
                {
                    Step::Drained
                }
                step => step,
            },
            other => outcome(other),
        }
    }

    /// Decodes the first `bytes` of the turning thread's block, and keeps what there is no room for.
    fn decode_block(&self, reading: &mut Reading, bytes: usize, turn: &mut Turn<'_>) -> Step {
        let Turn { now, block, frames } = turn;
        let mut input: &[u8] = block.get(..bytes).unwrap_or_default();
        // A large message just delivered may have used up the room.
        let full = self.inbound.lock().is_full();
        let step = if full { Step::Pause } else { self.decode(reading, &mut input, *now, frames) };
        reading.leftover = input.to_vec();
        reading.leftover_at = 0;
        step
    }

    /// Takes messages off the front of `input` as long as there is room for them.
    fn decode(&self, reading: &mut Reading, input: &mut &[u8], now: Instant, frames: &mut Frames) -> Step {
        let taken = input.len();
        let max = self.core.recv_max();
        let mut replied = false;
        let mut last = None;
        loop {
            self.decode_small(reading, input, max, frames);
            match reading.decoder.next(input, max) {
                Ok(Some(Event::Message(mut message))) => {
                    self.sign(&mut message);
                    let full = self.charge(&message);
                    reading.last_was_large = false;
                    let charge = message.payload_len();
                    frames.push(message, charge);
                    if full {
                        break;
                    }
                }
                Ok(Some(Event::Ready)) => {
                    if std::mem::take(&mut replied) {
                        self.flush();
                    }
                    if let Err(end) = self.open(reading, now) {
                        return Step::End(end);
                    }
                }
                Ok(Some(Event::Reply(reply))) => replied |= self.reply(reading, &reply),
                Ok(Some(Event::Close(words))) => {
                    last = Some(Step::Part(words, End::Goodbye));
                    break;
                }
                Ok(None) => break,
                Err(error) => {
                    last = Some(parting::refuse(&mut *reading.decoder, error));
                    break;
                }
            }
        }
        if replied {
            self.flush();
        }
        self.hand_over(reading, frames, now);
        last.unwrap_or_else(|| Step::Progress(taken - input.len()))
    }

    fn charge(&self, message: &Message) -> bool {
        self.inbound.lock().charge(message.payload_len().saturating_add(MESSAGE_OVERHEAD_BYTES))
    }

    /// All the small messages in the front of `input` that there is room for.
    fn decode_small(
        &self,
        reading: &mut Reading,
        input: &mut &[u8],
        max: Option<usize>,
        frames: &mut Frames,
    ) {
        #[cfg(feature = "tls")]
        if self.stream.peer().is_some() {
            // Each message says who sent it.
            return;
        }
        let below = self.inbound.lock().room();
        let allowance = Allowance { below, overhead: MESSAGE_OVERHEAD_BYTES };
        let counted = reading.decoder.next_block(input, max, allowance, frames);
        if counted > 0 {
            reading.last_was_large = false;
            self.inbound.lock().charge(counted);
        }
    }

    /// Notes in a message who sent it, if the connection proved that.
    #[cfg_attr(not(feature = "tls"), expect(unused_variables, clippy::unused_self))]
    fn sign(&self, message: &mut Message) {
        #[cfg(feature = "tls")]
        if let Some(peer) = self.stream.peer() {
            message.set_peer(peer);
        }
    }

    fn hand_over(&self, reading: &Reading, frames: &mut Frames, now: Instant) {
        if frames.is_empty() {
            return;
        }
        self.outbound.heard();
        if let Phase::Open { pipe, .. } = reading.phase {
            jobs::run(&mut self.core.deliver(pipe, frames, now));
        }
        frames.clear();
    }

    /// The peer's header is valid: offers the pipe to the pattern.
    fn open(&self, reading: &mut Reading, now: Instant) -> Result<(), End> {
        let Some(me) = self.me.upgrade() else { return Err(End::Local) };
        let mut jobs = Jobs::new();
        let attached = self.core.attach(Link::Stream(me), self.owner.endpoint(), now, &mut jobs);
        if let Ok(pipe) = attached {
            reading.phase = Phase::Open { pipe, since: now };
            let _ = self.pipe.set(pipe);
            if let Some(timer) = reading.timer.take() {
                self.reactor.cancel_timer(timer);
            }
        }
        jobs::run(&mut jobs);
        attached.map(|_| ())
    }

    /// Closed from this side: delivers what was accepted until `deadline`, then goes.
    fn drain(self: &Arc<Self>, deadline: Instant, turn: &mut Turn<'_>) {
        {
            let mut reading = self.reading.lock();
            match reading.phase {
                Phase::Open { .. } => {
                    reading.phase = Phase::Draining { deadline, next_look: DRAIN_LOOK_FIRST, ended: false };
                    reading.leftover = Vec::new();
                    self.core.count_dropped();
                }
                Phase::Draining { deadline: earlier, next_look, ended } => {
                    let deadline = earlier.min(deadline);
                    reading.phase = Phase::Draining { deadline, next_look, ended };
                    return;
                }
                Phase::Closed => return,
                // Nothing was ever accepted for this peer.
                Phase::Connecting | Phase::Securing | Phase::Greeting => {
                    drop(reading);
                    return self.end(End::Local, turn);
                }
            }
        }
        self.flush();
        self.continue_drain(turn);
    }

    /// While draining: looks whether all has arrived, throws input away, and sees to being called again.
    fn continue_drain(self: &Arc<Self>, turn: &mut Turn<'_>) {
        let mut reading = self.reading.lock();
        let Phase::Draining { deadline, next_look, ended } = reading.phase else { return };
        let flushed = self.outbound.pending() == 0;
        // Looked at before the end of stream is sent: that has to be acknowledged as well, and is not worth waiting for.
        if turn.now >= deadline || (flushed && self.stream.is_settled()) {
            drop(reading);
            return self.end(End::Local, turn);
        }
        if flushed && !ended {
            self.stream.shutdown_write();
        }
        if let Some(timer) = reading.timer.take() {
            self.reactor.cancel_timer(timer);
        }
        // Another thread may be writing: nobody says when it is done, so look again in any case.
        reading.timer = Some(self.add_timer((turn.now + next_look).min(deadline)));
        let next_look = (next_look * 2).min(DRAIN_LOOK_MAX);
        reading.phase = Phase::Draining { deadline, next_look, ended: ended || flushed };
        drop(reading);
        self.readable(turn);
    }

    /// At the end of the process, when nobody turns the reactor any more: writes what waits, and tells whether all of it
    /// has arrived.
    pub(crate) fn deliver_without_reactor(&self) -> bool {
        // What jobs this brings concerns senders, and there are none.
        self.flush_into(&mut Jobs::new());
        self.outbound.pending() == 0 && self.stream.has_arrived()
    }

    /// The operating system has had its time to connect.
    pub(crate) fn give_up_connecting(self: Arc<Self>, turn: &mut Turn<'_>) {
        if self.reading.lock().phase == Phase::Connecting {
            self.end(End::ConnectFailed(io::ErrorKind::TimedOut.into()), turn);
        }
    }

    /// The one way out: leaves reactor, socket and owner.
    fn end(self: &Arc<Self>, end: End, turn: &mut Turn<'_>) {
        let (phase, mut lived) = {
            let mut reading = self.reading.lock();
            if let Some(timer) = reading.timer.take() {
                self.reactor.cancel_timer(timer);
            }
            reading.leftover = Vec::new();
            (std::mem::replace(&mut reading.phase, Phase::Closed), reading.lived)
        };
        if phase == Phase::Closed {
            return;
        }
        self.outbound.kill();
        self.stream.deregister(self.reactor.registry());
        if let Some(token) = self.token.get() {
            self.reactor.remove_source(*token);
        }
        self.stream.shutdown();
        let mut jobs = Jobs::new();
        if let Phase::Open { pipe, since } = phase {
            lived = Some(turn.now.saturating_duration_since(since));
            self.core.detach(pipe, turn.now, &mut jobs);
        }
        jobs::run(&mut jobs);
        // A connection that is closed from this side, or parted with last words, was counted then; how its peer leaves is
        // no failure.
        let end = if let Phase::Draining { .. } = phase { End::Local } else { end };
        let dialling = matches!(phase, Phase::Connecting | Phase::Securing);
        let was_connected = !dialling || matches!(self.owner, Owner::Listener(_));
        self.core.count_end(&end, was_connected);
        if end.is_suspicious() {
            self.core.connection_failed(self.endpoint(), &self.owner.address(), &end);
        }
        self.owner.ended(self, &end, lived);
        self.core.remove_connection(self);
    }
}

/// A read as a step: nothing there, the end, an error, or progress.
fn outcome(read: io::Result<usize>) -> Step {
    match read {
        Ok(0) => Step::End(End::Eof),
        Ok(bytes) => Step::Progress(bytes),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock => Step::Pause,
            io::ErrorKind::Interrupted => Step::Progress(0),
            io::ErrorKind::InvalidData => Step::End(End::Untrusted(error)),
            _ => Step::End(End::Io(error)),
        },
    }
}

impl Source for Connection {
    fn ready(self: Arc<Self>, ready: Ready, turn: &mut Turn<'_>) {
        let mut newly = false;
        if self.connecting(&mut newly, turn) {
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
            Notice::Resume => self.readable(turn),
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

    fn timer(self: Arc<Self>, turn: &mut Turn<'_>) {
        let phase = {
            let mut reading = self.reading.lock();
            reading.timer = None;
            reading.phase
        };
        match phase {
            Phase::Securing => {
                let late = io::Error::new(io::ErrorKind::TimedOut, SECURING_TOO_LONG);
                self.end(self.not_secured(late), turn);
            }
            Phase::Greeting => self.end(End::Silent, turn),
            Phase::Draining { .. } => self.continue_drain(turn),
            Phase::Connecting | Phase::Open { .. } | Phase::Closed => (),
        }
    }
}
