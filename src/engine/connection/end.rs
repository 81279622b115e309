//! How a connection ended, and the one way out.

use std::io;
use std::sync::Arc;

use super::{Connection, Phase};
use crate::engine::endpoint::Owner;
use crate::engine::jobs::{self, Jobs};
use crate::engine::source::Turn;
use crate::limits::HANDSHAKE_MAX;
use crate::wire::WireError;

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

impl Connection {
    /// The one way out: leaves reactor, socket and owner.
    pub(super) fn end(self: &Arc<Self>, end: End, turn: &mut Turn<'_>) {
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
        jobs::run(jobs);
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
