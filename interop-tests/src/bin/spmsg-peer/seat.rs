//! One socket of the puppet, and what a raw one needs: the headers that its questions and answers carry.

use std::sync::Arc;
use std::time::{Duration, Instant};

use spmsg::{Error, Message, Mode, Protocol, Socket};

/// How a probe begins.
pub const PROBE: &str = "spmsg-interop probe ";

/// What follows `err ` in an answer.
pub type Failure = String;

/// A socket in use.
pub struct Seat {
    /// The socket.
    pub socket: Arc<Socket>,
    received: Vec<u8>,
    next: Vec<u8>,
    last_id: u32,
}

/// spmsg's errors under the names that nanomsg has for them.
pub fn failure(error: &Error) -> Failure {
    let name = match error {
        Error::TimedOut => "ETIMEDOUT",
        Error::WouldBlock => "EAGAIN",
        Error::Closed => "EBADF",
        Error::State(_) => "EFSM",
        Error::Unsupported { .. } => "ENOTSUP",
        Error::Os { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => "EADDRINUSE",
        _ => "other",
    };
    format!("{name} {error}")
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

impl Seat {
    /// A new socket.
    pub fn new(protocol: Protocol, mode: Mode) -> Seat {
        let socket = Arc::new(Socket::new(protocol, mode));
        // No hop was made yet.
        let next = if protocol == Protocol::Pair1 { vec![0; 4] } else { Vec::new() };
        Seat { socket, received: Vec::new(), next, last_id: 0 }
    }

    /// Whether headers are the application's business.
    pub fn is_raw(&self) -> bool {
        self.socket.mode() == Mode::Raw
    }

    /// Whether it answers what it receives.
    pub fn answers(&self) -> bool {
        matches!(self.socket.protocol(), Protocol::Rep | Protocol::Respondent)
    }

    fn asks(&self) -> bool {
        matches!(self.socket.protocol(), Protocol::Req | Protocol::Surveyor)
    }

    /// Receive anything; a raw socket's header must be one of its kind.
    pub fn receive(&mut self, deadline: Instant) -> Result<Vec<u8>, Error> {
        let message = self.socket.recv_timeout(left(deadline))?;
        self.received = message.header().to_vec();
        assert!(self.header_is_right(), "not the header of such a socket: {:02x?}", self.received);
        Ok(message.body().to_vec())
    }

    /// Receive whatever is not a probe: those only prove that a path exists.
    pub fn receive_content(&mut self, deadline: Instant) -> Result<Vec<u8>, Error> {
        loop {
            let body = self.receive(deadline)?;
            if !body.starts_with(PROBE.as_bytes()) {
                return Ok(body);
            }
            if Instant::now() >= deadline {
                return Err(Error::TimedOut);
            }
        }
    }

    /// Send, and name the failure.
    pub fn transmit(&mut self, body: Vec<u8>, deadline: Instant) -> Result<(), Failure> {
        let mut message = Message::from(body);
        if self.is_raw() {
            message.set_header(&self.next);
        }
        self.socket.send_timeout(message, left(deadline)).map_err(|refused| failure(&refused.error))
    }

    /// A raw question needs an id of ours, its top bit set.
    pub fn prepare_question(&mut self) {
        if self.is_raw() && self.asks() {
            self.last_id = self.last_id.wrapping_add(1) | 0x8000_0000;
            self.next = self.last_id.to_be_bytes().to_vec();
        }
    }

    /// A raw answer takes the way of the question that was received last.
    pub fn prepare_answer(&mut self) {
        if self.is_raw() {
            self.next.clone_from(&self.received);
        }
    }

    /// Whether what a raw socket received answers its last question; a cooked one has seen to that itself.
    pub fn is_current(&self) -> bool {
        !self.is_raw() || self.received == self.last_id.to_be_bytes()
    }

    fn header_is_right(&self) -> bool {
        let header = &self.received;
        match self.socket.protocol() {
            _ if !self.is_raw() => header.is_empty(),
            Protocol::Rep | Protocol::Respondent => is_stack(header),
            Protocol::Req | Protocol::Surveyor => header.len() == 4,
            Protocol::Bus => header.len() == 8,
            Protocol::Pair1 => header.len() == 4,
            _ => header.is_empty(),
        }
    }
}

/// The key of a pipe, hops, and last the id, the only word with its top bit set.
fn is_stack(header: &[u8]) -> bool {
    let tops: Vec<bool> = header.chunks(4).map(|word| word[0] & 0x80 != 0).collect();
    let (last, before) = tops.split_last().unwrap_or((&false, &[]));
    header.len().is_multiple_of(4) && !before.is_empty() && *last && !before.contains(&true)
}
