//! tcp: IPv4 and IPv6, literals and names, an optional local address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use mio::{Registry, Token};
use parking_lot::Mutex;
use socket2::{Domain, Socket, TcpKeepalive};

use super::resolve::Query;
use super::stream::{self, SocketStream, listening_socket};
use super::{Acceptor, Candidate, Route, SocketOptions, Stream, StreamOptions, interest};
use crate::address::{BindHost, IpLiteral, LocalHost, RemoteHost, TcpBind, TcpConnect};
use crate::limits::{KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES, LISTEN_BACKLOG};
use crate::sys;

/// Whether an accepted socket begins with the options of the listening one.
const HANDED_DOWN: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Options of every tcp stream, accepted or connecting. Keepalive finds a peer whose host vanished.
pub(super) fn configure(socket: &Socket, options: &SocketOptions) {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    #[cfg(not(target_os = "openbsd"))]
    let keepalive = keepalive.with_retries(KEEPALIVE_PROBES);
    // A system that refuses one of these still carries messages.
    let _ = socket.set_tcp_keepalive(&keepalive);
    let _ = socket.set_tcp_nodelay(options.nodelay);
}

pub(crate) struct TcpAcceptor {
    /// Taken by close, so that the port is free at once.
    socket: Mutex<Option<Socket>>,
    local: SocketAddr,
    /// What accepted sockets have from the listening one: five system calls less for each.
    handed_down: Option<SocketOptions>,
}

/// Binds and listens.
pub(super) fn listen(address: &TcpBind, options: &StreamOptions) -> io::Result<TcpAcceptor> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in bind_addresses(address, options)? {
        match listen_at(address, options) {
            Ok(acceptor) => return Ok(acceptor),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen_at(address: SocketAddr, options: &StreamOptions) -> io::Result<TcpAcceptor> {
    let socket = listening_socket(Domain::for_address(address))?;
    // A listener can be bound again at once after it was closed; two live ones still collide.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // The wildcard serves both families unless the program asked for one (R96).
        let both = !options.ipv4_only && address.ip().is_unspecified();
        socket.set_only_v6(!both)?;
    }
    socket.bind(&address.into())?;
    let handed_down = HANDED_DOWN.then_some(options.socket);
    if let Some(options) = &handed_down {
        stream::configure(&socket, false, options);
    }
    socket.listen(LISTEN_BACKLOG)?;
    let local = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok(TcpAcceptor { socket: Mutex::new(Some(socket)), local, handed_down })
}

fn bind_addresses(address: &TcpBind, options: &StreamOptions) -> io::Result<Vec<SocketAddr>> {
    match &address.host {
        BindHost::Any if options.ipv4_only => Ok(vec![(Ipv4Addr::UNSPECIFIED, address.port).into()]),
        // Without IPv6 in the kernel the wildcard is IPv4's.
        BindHost::Any => Ok(vec![
            (Ipv6Addr::UNSPECIFIED, address.port).into(),
            (Ipv4Addr::UNSPECIFIED, address.port).into(),
        ]),
        BindHost::Ip(literal) => Ok(vec![socket_address(literal, address.port)?]),
        BindHost::Name(name) => {
            let found = (&**name, address.port).to_socket_addrs()?;
            Ok(found.filter(|found| found.is_ipv4() || !options.ipv4_only).collect())
        }
    }
}

/// A literal with its scope, for link-local addresses, turned into an interface index.
fn socket_address(literal: &IpLiteral, port: u16) -> io::Result<SocketAddr> {
    match (literal.ip, &literal.scope) {
        (IpAddr::V6(ip), Some(scope)) => {
            let index = scope.parse().ok().or_else(|| sys::interface_index(scope));
            let index = index.ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, format!("there is no network interface {scope}"))
            })?;
            Ok(SocketAddrV6::new(ip, port, 0, index).into())
        }
        (ip, _) => Ok((ip, port).into()),
    }
}

impl TcpAcceptor {
    /// Where it listens, with the port that the system chose.
    #[cfg(any(feature = "tls", test))]
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// One connection, not yet wrapped.
    pub(super) fn accept_socket(&self, options: &StreamOptions) -> io::Result<SocketStream> {
        let (socket, _) = self.socket.lock().as_ref().ok_or(io::ErrorKind::NotConnected)?.accept()?;
        // The program may have changed them since.
        if self.handed_down != Some(options.socket) {
            stream::configure(&socket, false, &options.socket);
        }
        SocketStream::accepted(socket, false)
    }
}

impl Acceptor for TcpAcceptor {
    fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        let socket = self.socket.lock();
        let socket = socket.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        registry.register(&mut SourceFd(&socket.as_raw_fd()), token, interest(false))
    }

    fn deregister(&self, registry: &Registry) {
        if let Some(socket) = &*self.socket.lock() {
            // Fails only for a descriptor that is not registered, and then there is nothing to undo.
            let _ = registry.deregister(&mut SourceFd(&socket.as_raw_fd()));
        }
    }

    fn accept(&self, options: &StreamOptions) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(self.accept_socket(options)?))
    }

    fn local_address(&self) -> String {
        format!("tcp://{}", self.local)
    }

    fn close(&self) {
        if let Some(socket) = self.socket.lock().take() {
            // Also where a forked child holds the descriptor: nobody connects to it any more.
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// How to reach the peer.
pub(super) fn route(address: &TcpConnect, options: &StreamOptions) -> io::Result<Route> {
    let local = address.local.clone();
    match &address.remote {
        RemoteHost::Ip(literal) => {
            let remote = socket_address(literal, address.port)?;
            Ok(Route::Direct(vec![candidate(local.as_ref(), remote)?]))
        }
        RemoteHost::Name(name) => Ok(Route::Lookup(Query {
            host: name.to_string(),
            port: address.port,
            local,
            ipv4_only: options.ipv4_only,
        })),
    }
}

/// A remote address with the local one to come from; the local wildcard leaves the choice to the system, whatever
/// the family (R95).
pub(super) fn candidate(local: Option<&LocalHost>, remote: SocketAddr) -> io::Result<Candidate> {
    let local = match local {
        None | Some(LocalHost::Any) => None,
        Some(LocalHost::Ip(literal)) => Some(socket_address(literal, 0)?.into()),
    };
    Ok(Candidate { local, remote: remote.into() })
}
