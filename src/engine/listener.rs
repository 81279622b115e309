//! [`Listener`]: accepts connections.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use mio::Token;
use parking_lot::Mutex;

use super::connection::Connection;
use super::endpoint::{EndpointInfo, Owner, open_session};
use super::reactor::Reactor;
use super::socket_core::Core;
use super::source::{Ready, Source, Task, Turn};
use crate::address::BindAddress;
use crate::limits::{ACCEPT_PAUSE, ACCEPTED_MAX, ACCEPTS_PER_TURN, STARTS_PER_TURN};
use crate::transport::{self, Acceptor, Stream};
use crate::wire::SessionKind;

/// Accepts until it is closed, whatever accept says (R236).
///
/// What the kernel has connected is taken from it first, quickly, and given a [`Connection`] by and by: when many
/// connect at once the kernel's own queue runs over, and those whose end of the handshake it drops try again a second
/// later, or are reset.
pub(crate) struct Listener {
    me: Weak<Listener>,
    pub(super) info: EndpointInfo,
    core: Arc<Core>,
    reactor: Arc<Reactor>,
    acceptor: Box<dyn Acceptor>,
    session: SessionKind,
    token: OnceLock<Token>,
    /// Held while accepting: a connection is either accepted before close or not at all.
    accepting: Mutex<Accepting>,
}

#[derive(Default)]
struct Accepting {
    closed: bool,
    /// Connected, and without a [`Connection`] so far.
    accepted: VecDeque<Box<dyn Stream>>,
    /// A task to go on is on its way.
    goes_on: bool,
}

impl Listener {
    /// Binds and listens; connections are accepted from now on.
    pub(crate) fn start(
        core: &Arc<Core>,
        info: EndpointInfo,
        address: &BindAddress,
    ) -> io::Result<Arc<Listener>> {
        let (acceptor, session) = transport::listen(address, &core.stream_options())?;
        let reactor = core.engine()?.reactor();
        let listener = Arc::new_cyclic(|me| Listener {
            me: me.clone(),
            info,
            core: Arc::clone(core),
            reactor,
            acceptor,
            session,
            token: OnceLock::new(),
            accepting: Mutex::default(),
        });
        let token = listener.reactor.add_source(Arc::clone(&listener) as Arc<dyn Source>);
        let _ = listener.token.set(token);
        if let Err(error) = listener.acceptor.register(listener.reactor.registry(), token) {
            listener.close();
            return Err(error);
        }
        Ok(listener)
    }

    pub(crate) fn local_address(&self) -> String {
        self.acceptor.local_address()
    }

    /// Stops listening; when this returns the address can be bound again. Who has not got a [`Connection`] so far sees
    /// the end, like who waits in the kernel.
    pub(crate) fn close(&self) {
        let refused = {
            let mut accepting = self.accepting.lock();
            if std::mem::replace(&mut accepting.closed, true) {
                return;
            }
            std::mem::take(&mut accepting.accepted)
        };
        drop(refused);
        self.acceptor.deregister(self.reactor.registry());
        self.acceptor.close();
        if let Some(token) = self.token.get() {
            self.reactor.remove_source(*token);
        }
    }

    fn called(self: &Arc<Self>) {
        // Who is about to go on sees what there is.
        if !self.accepting.lock().goes_on {
            self.serve();
        }
    }

    /// A share of the work, so that others are served too.
    fn serve(self: &Arc<Self>) {
        let emptied = self.empty_backlog();
        for _ in 0..STARTS_PER_TURN {
            let Some(stream) = self.accepting.lock().accepted.pop_front() else { break };
            self.start_connection(stream);
        }
        let mut accepting = self.accepting.lock();
        match emptied {
            Ok(true) if accepting.accepted.is_empty() => accepting.accepted.shrink_to_fit(),
            Err(error) if accepting.accepted.is_empty() => {
                drop(accepting);
                self.pause(&error);
            }
            _ => {
                // The edge is used up, so come back by oneself.
                accepting.goes_on = true;
                drop(accepting);
                let me = Arc::clone(self);
                self.reactor.submit(Task::Run(Box::new(move |_| me.go_on())));
            }
        }
    }

    fn go_on(self: &Arc<Self>) {
        self.accepting.lock().goes_on = false;
        self.serve();
    }

    /// Takes from the kernel what it has connected; whether that is all. After an error other than that nothing is
    /// there, there may be more.
    fn empty_backlog(&self) -> io::Result<bool> {
        let options = self.core.stream_options();
        let mut accepting = self.accepting.lock();
        if accepting.closed {
            return Ok(true);
        }
        let room = ACCEPTED_MAX.saturating_sub(accepting.accepted.len());
        for _ in 0..room.min(ACCEPTS_PER_TURN) {
            match self.acceptor.accept(&options) {
                Ok(stream) => accepting.accepted.push_back(stream),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(true),
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => (),
                    _ => return Err(error),
                },
            }
        }
        Ok(false)
    }

    fn start_connection(self: &Arc<Self>, stream: Box<dyn Stream>) {
        self.core.count_accepted();
        let Ok(engine) = self.core.engine() else { return };
        // Without randomness no connection, as without memory.
        let Ok(session) = open_session(&self.session, &self.core, self.core.ws_message_type()) else {
            return;
        };
        let owner = Owner::Listener(Arc::clone(self));
        // Refused by the system or by a socket that is being closed: the stream is dropped, the peer sees its end.
        let _ = Connection::start(Arc::clone(&self.core), owner, engine.reactor(), stream, session, true);
    }

    /// Out of descriptors or memory: trying again at once would spin, so wait a little.
    fn pause(&self, error: &io::Error) {
        self.core.count_accept_error();
        self.core.endpoint_failed(self.info.id, &self.local_address(), error);
        self.reactor.add_timer(Instant::now() + ACCEPT_PAUSE, self.me.clone() as Weak<dyn Source>);
    }
}

impl Source for Listener {
    fn ready(self: Arc<Self>, _ready: Ready, _turn: &mut Turn<'_>) {
        self.called();
    }

    fn timer(self: Arc<Self>, _turn: &mut Turn<'_>) {
        self.core.endpoint_recovered(self.info.id);
        self.called();
    }
}
