//! From the first byte to the session: the carrier's handshake, the greeting, and the pipe that comes of them.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::{Connection, End, Phase, Reading};
use crate::engine::endpoint::Owner;
use crate::engine::jobs::{self, Jobs};
use crate::engine::socket_core::Link;
use crate::engine::source::{Notice, Task, Turn};
use crate::limits::HANDSHAKE_MAX;
use crate::transport::Handshake;

const SECURING_TOO_LONG: &str = "the peer did not finish the handshake of the secure connection in time";

impl Connection {
    /// The stream is connected from the start: goes on with the carrier's handshake, or with ours.
    pub(super) fn begin(self: &Arc<Self>, reading: &mut Reading) {
        reading.phase = Phase::Securing;
        match self.stream.handshake() {
            Ok(Handshake::None) => self.greet(reading),
            Ok(Handshake::Over) => {
                self.greet(reading);
                // No event tells of what was read along with the end of the handshake.
                Arc::clone(self).tell(Notice::Resume);
            }
            Ok(Handshake::Unfinished) => reading.timer = Some(self.add_timer(Instant::now() + HANDSHAKE_MAX)),
            Err(error) => {
                let (me, end) = (Arc::clone(self), self.not_secured(error));
                self.reactor.submit(Task::Run(Box::new(move |turn| me.end(end, turn))));
            }
        }
    }

    /// Before the session begins. True while that is so; `newly` is set when it just began.
    pub(super) fn connecting(self: &Arc<Self>, newly: &mut bool, turn: &mut Turn<'_>) -> bool {
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

    pub(super) fn not_secured_in_time(&self) -> End {
        self.not_secured(io::Error::new(io::ErrorKind::TimedOut, SECURING_TOO_LONG))
    }

    /// Sends our header at once, whatever the peer does (R3, R16), and gives the peer its time.
    fn greet(&self, reading: &mut Reading) {
        reading.phase = Phase::Greeting;
        reading.timer = Some(self.add_timer(Instant::now() + HANDSHAKE_MAX));
        self.outbound.push_control(&self.greeting);
        self.flush();
    }

    /// The peer's header is valid: offers the pipe to the pattern.
    pub(super) fn open(&self, reading: &mut Reading, now: Instant) -> Result<(), End> {
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
        jobs::run(jobs);
        attached.map(|_| ())
    }

    /// The operating system has had its time to connect.
    pub(crate) fn give_up_connecting(self: Arc<Self>, turn: &mut Turn<'_>) {
        if self.reading.lock().phase == Phase::Connecting {
            self.end(End::ConnectFailed(io::ErrorKind::TimedOut.into()), turn);
        }
    }
}
