//! Carriers: how bytes reach the peer. [`listen`], [`connector`], [`route`] and [`session_of`] are the table: a new
//! carrier is one file that supplies [`Acceptor`], [`Connector`] and [`Stream`], and one line in each. Carriers know
//! nothing of sessions: a row joins one to the other.
//!
//! inproc is no carrier: its messages move from socket to socket, in the engine.

mod ipc;
pub(crate) mod resolve;
mod stream;
mod tcp;
#[cfg(feature = "tls")]
pub(crate) mod tls;
#[cfg(feature = "ws")]
mod ws;

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::time::Duration;

use mio::{Interest, Registry, Token};
use socket2::SockAddr;

use crate::address::{BindAddress, ConnectAddress};
use crate::wire::SessionKind;

pub(crate) use stream::SocketStream;

/// A connected (or connecting) stream of bytes. Every method may be called from any thread; one thread reads and one
/// writes at a time.
pub(crate) trait Stream: Send + Sync {
    /// Registers with the reactor; `write` asks for writability as well.
    fn register(&self, registry: &Registry, token: Token, write: bool) -> io::Result<()>;

    /// Changes the interest of a registered stream.
    fn reregister(&self, registry: &Registry, token: Token, write: bool) -> io::Result<()>;

    fn deregister(&self, registry: &Registry);

    /// Whether writability is watched only while something waits: on Unix sockets the event comes for each message
    /// that the peer reads, on tcp only when a full buffer drained.
    fn watches_writability_on_demand(&self) -> bool;

    /// After the descriptor became ready for the first time: whether the connection is up, or why not.
    fn finish_connect(&self) -> io::Result<bool>;

    /// Whether a read that brings less than was asked for has brought all there is, until the next event. Saves a call
    /// for each message of a conversation.
    fn short_read_is_all(&self) -> bool {
        false
    }

    /// Once the connection is up: the carrier's own handshake, before the first byte of the session. To be called
    /// again when the descriptor is ready, until it is over. `InvalidData` says why the peer is not wanted.
    fn handshake(&self) -> io::Result<Handshake> {
        Ok(Handshake::None)
    }

    /// Whom the handshake proved to be there.
    #[cfg(feature = "tls")]
    fn peer(&self) -> Option<&std::sync::Arc<crate::peer::PeerIdentity>> {
        None
    }

    /// Reads what is there, at most `block.len()` bytes; `Ok(0)` is the end of the stream.
    fn read(&self, block: &mut [u8]) -> io::Result<usize>;

    /// Reads into the spare capacity of `buffer`, at most `missing` bytes, and what comes behind those into `tail`; the
    /// two lengths. `tail` is used only if the spare capacity took all that was missing. Nothing at all is the end of
    /// the stream.
    fn read_body(&self, buffer: &mut Vec<u8>, missing: usize, tail: &mut [u8]) -> io::Result<(usize, usize)>;

    /// Fills `space` if so much is there now, and reads what comes behind into `tail`: how much that was, and how much more
    /// is there. `None` has read nothing; a carrier that cannot tell always says so.
    fn read_ready(
        &self,
        _space: &mut [MaybeUninit<u8>],
        _tail: &mut [u8],
    ) -> io::Result<Option<(usize, usize)>> {
        Ok(None)
    }

    /// Has the reactor ignore the stream until the next `reregister`, but for errors: from now on a thread reads it with
    /// `receive`. False where that is not possible.
    fn leave_to_reader(&self, _registry: &Registry, _token: Token) -> bool {
        false
    }

    /// For that thread: reads into the capacity of `buffer`, in place of what it held, what is there, at most so many bytes;
    /// or what comes within [`DIRECT_WAIT_MAX`](crate::limits::DIRECT_WAIT_MAX), if it `sleeps`. Nothing is the end of the
    /// stream; where nothing was asked for, that there is something to read.
    fn receive(&self, _buffer: &mut Vec<u8>, _most: usize, _sleeps: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// One gather write; never raises SIGPIPE. After `WouldBlock` the next write must begin with the same bytes: a
    /// carrier that transforms them may have begun.
    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Sleeps until the wire may have room again, at most so long; whether it may. A signal handler ends the wait.
    fn await_room(&self, timeout: Duration) -> bool;

    /// Says that nothing more will be written.
    fn shutdown_write(&self);

    /// Ends both directions, also for descriptors that a forked child has inherited.
    fn shutdown(&self);

    /// Whether the peer's system has acknowledged all that was written.
    fn has_arrived(&self) -> bool;

    /// Whether closing now loses nothing: all is acknowledged and no input is unread.
    fn is_settled(&self) -> bool;
}

/// How far a carrier's handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "no carrier without TLS has one"))]
pub(crate) enum Handshake {
    /// The carrier has none.
    None,
    /// Waits for the descriptor to be ready.
    Unfinished,
    /// The session may begin; bytes of it may have been read already.
    Over,
}

/// A listening descriptor.
pub(crate) trait Acceptor: Send + Sync {
    fn register(&self, registry: &Registry, token: Token) -> io::Result<()>;
    fn deregister(&self, registry: &Registry);
    fn accept(&self, options: &StreamOptions) -> io::Result<Box<dyn Stream>>;
    /// The address peers reach it by, with the port that the system chose.
    fn local_address(&self) -> String;
    /// Stops listening for good: the address can be bound again when this returns (R238), an ipc path is unlinked.
    fn close(&self);
}

/// The connecting side of an endpoint. What it keeps of the options is as it was when the endpoint was made.
pub(crate) trait Connector: Send + Sync {
    /// Starts to connect.
    fn connect(&self, candidate: &Candidate, options: &StreamOptions) -> io::Result<Box<dyn Stream>>;
}

/// Nothing but the operating system's stream.
struct Plain;

impl Connector for Plain {
    fn connect(&self, candidate: &Candidate, options: &StreamOptions) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(SocketStream::connect(candidate, options)?))
    }
}

/// What a descriptor is watched for.
fn interest(write: bool) -> Interest {
    if write { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }
}

/// What the socket's options say about new connections; read when each is made.
#[derive(Clone, Debug)]
pub(crate) struct StreamOptions {
    pub(crate) socket: SocketOptions,
    pub(crate) ipv4_only: bool,
    #[cfg(feature = "tls")]
    pub(crate) tls: tls::TlsConfig,
}

/// What is set at an operating-system socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketOptions {
    pub(crate) nodelay: bool,
    /// SO_SNDBUF, only if the program set the option.
    pub(crate) send_buffer: Option<usize>,
    /// SO_RCVBUF, only if the program set the option.
    pub(crate) recv_buffer: Option<usize>,
}

/// One way to reach a peer: from an optional local address to a remote one.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) local: Option<SockAddr>,
    pub(crate) remote: SockAddr,
}

/// How to find the peer of a connecting endpoint.
pub(crate) enum Route {
    /// Try these.
    Direct(Vec<Candidate>),
    /// Look up the name first, off the I/O thread, and at each attempt anew.
    Lookup(resolve::Query),
}

/// The table of listening transports.
pub(crate) fn listen(
    address: &BindAddress,
    options: &StreamOptions,
) -> io::Result<(Box<dyn Acceptor>, SessionKind)> {
    match address {
        BindAddress::Tcp(address) => Ok((Box::new(tcp::listen(address, options)?), SessionKind::Length)),
        BindAddress::Ipc(name) => Ok((Box::new(ipc::listen(name)?), SessionKind::TypedLength)),
        #[cfg(feature = "ws")]
        BindAddress::Ws(address) => {
            let carrier = Box::new(tcp::listen(&address.tcp, options)?);
            Ok((ws::acceptor("ws", carrier, address), ws::server(address)))
        }
        #[cfg(feature = "tls")]
        BindAddress::Tls(address) => {
            Ok((Box::new(tls::listen(address, "tls+tcp", options)?), SessionKind::Length))
        }
        #[cfg(all(feature = "tls", feature = "ws"))]
        BindAddress::Wss(address) => {
            let carrier = Box::new(tls::listen(&address.tcp, "wss", options)?);
            Ok((ws::acceptor("wss", carrier, address), ws::server(address)))
        }
        BindAddress::Inproc(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// The table of what connects.
pub(crate) fn connector(
    address: &ConnectAddress,
    #[cfg_attr(not(feature = "tls"), expect(unused_variables))] options: &StreamOptions,
) -> io::Result<Box<dyn Connector>> {
    match address {
        ConnectAddress::Tcp(_) | ConnectAddress::Ipc(_) => Ok(Box::new(Plain)),
        #[cfg(feature = "ws")]
        ConnectAddress::Ws(_) => Ok(Box::new(Plain)),
        #[cfg(feature = "tls")]
        ConnectAddress::Tls(address) => Ok(Box::new(tls::connector(address, options)?)),
        #[cfg(all(feature = "tls", feature = "ws"))]
        ConnectAddress::Wss(address) => Ok(Box::new(tls::connector(&address.tcp, options)?)),
        ConnectAddress::Inproc(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// The table of where to connect to.
pub(crate) fn route(address: &ConnectAddress, options: &StreamOptions) -> io::Result<Route> {
    match address {
        ConnectAddress::Tcp(address) => tcp::route(address, options),
        ConnectAddress::Ipc(name) => ipc::route(name),
        #[cfg(feature = "ws")]
        ConnectAddress::Ws(address) => tcp::route(&address.tcp, options),
        #[cfg(feature = "tls")]
        ConnectAddress::Tls(address) => tcp::route(address, options),
        #[cfg(all(feature = "tls", feature = "ws"))]
        ConnectAddress::Wss(address) => tcp::route(&address.tcp, options),
        ConnectAddress::Inproc(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// What a connecting transport's bytes mean.
pub(crate) fn session_of(address: &ConnectAddress) -> io::Result<SessionKind> {
    match address {
        ConnectAddress::Tcp(_) => Ok(SessionKind::Length),
        ConnectAddress::Ipc(_) => Ok(SessionKind::TypedLength),
        #[cfg(feature = "ws")]
        ConnectAddress::Ws(address) => Ok(ws::client(address)),
        #[cfg(feature = "tls")]
        ConnectAddress::Tls(_) => Ok(SessionKind::Length),
        #[cfg(all(feature = "tls", feature = "ws"))]
        ConnectAddress::Wss(address) => Ok(ws::client(address)),
        ConnectAddress::Inproc(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Bytes that nobody can guess, for one connection; see [`SessionKind::needs_secret`].
#[cfg(feature = "ws")]
pub(crate) use ws::secret;

/// No session without the feature `ws` asks for any.
#[cfg(not(feature = "ws"))]
pub(crate) fn secret() -> io::Result<[u8; 16]> {
    Err(io::ErrorKind::Unsupported.into())
}
