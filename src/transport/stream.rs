//! [`SocketStream`]: the stream of tcp and ipc, one operating-system socket.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::sync::OnceLock;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Registry, Token};
use socket2::{Domain, Socket, Type};

use super::{Candidate, SocketOptions, Stream, StreamOptions, interest};
use crate::limits::DIRECT_WAIT_MAX;
use crate::sys;

#[cfg(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd"
))]
const SEND_FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
/// macOS says the same by a socket option, set when the stream is made.
#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd"
)))]
const SEND_FLAGS: libc::c_int = libc::MSG_DONTWAIT;
/// Every call here says by a flag that it does not block, and these systems listen to it. So an accepted socket may
/// stay as it is: two system calls less for each.
const FLAGS_SUFFICE: bool = cfg!(any(target_os = "linux", target_os = "android"));

pub(crate) struct SocketStream {
    socket: Socket,
    unix: bool,
    /// A read that may sleep does, for a bounded time; found out when somebody wants to.
    can_sleep: OnceLock<bool>,
}

impl SocketStream {
    /// Takes over a connected socket, which is [configured](configure) already.
    pub(super) fn accepted(socket: Socket, unix: bool) -> io::Result<Self> {
        if !FLAGS_SUFFICE {
            socket.set_nonblocking(true)?;
        }
        Ok(SocketStream { socket, unix, can_sleep: OnceLock::new() })
    }

    /// Starts to connect; the stream becomes ready when that has succeeded or failed.
    pub(crate) fn connect(candidate: &Candidate, options: &StreamOptions) -> io::Result<Self> {
        let unix = candidate.remote.is_unix();
        let socket = Socket::new(candidate.remote.domain(), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        configure(&socket, unix, &options.socket);
        let stream = SocketStream { socket, unix, can_sleep: OnceLock::new() };
        if let Some(local) = &candidate.local {
            stream.socket.set_reuse_address(true)?;
            stream.socket.bind(local)?;
        }
        match stream.socket.connect(&candidate.remote) {
            Ok(()) => Ok(stream),
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(stream),
            Err(error) => Err(error),
        }
    }
}

/// Applies the options to the socket of a stream, or of a listener that hands them down. A refused one is no reason
/// to do without the connection.
pub(super) fn configure(socket: &Socket, unix: bool, options: &SocketOptions) {
    if let Some(bytes) = options.send_buffer {
        let _ = socket.set_send_buffer_size(bytes);
    }
    if let Some(bytes) = options.recv_buffer {
        let _ = socket.set_recv_buffer_size(bytes);
    }
    #[cfg(target_vendor = "apple")]
    let _ = socket.set_nosigpipe(true);
    if !unix {
        super::tcp::configure(socket, options);
    }
}

impl Stream for SocketStream {
    fn register(&self, registry: &Registry, token: Token, write: bool) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.socket.as_raw_fd()), token, interest(write))
    }

    fn reregister(&self, registry: &Registry, token: Token, write: bool) -> io::Result<()> {
        registry.reregister(&mut SourceFd(&self.socket.as_raw_fd()), token, interest(write))
    }

    fn leave_to_reader(&self, registry: &Registry, token: Token) -> bool {
        // All other calls say themselves that they do not block.
        let can_block = || {
            self.socket.set_nonblocking(false)?;
            self.socket.set_read_timeout(Some(DIRECT_WAIT_MAX))
        };
        *self.can_sleep.get_or_init(|| self.unix || can_block().is_ok())
            && sys::standby::ignore(registry.as_raw_fd(), self.socket.as_raw_fd(), token.0).is_ok()
    }

    fn receive(&self, buffer: &mut Vec<u8>, most: usize, sleeps: bool) -> io::Result<()> {
        buffer.clear();
        let timeout = if sleeps { DIRECT_WAIT_MAX } else { Duration::ZERO };
        // Linux wakes who sleeps in a read of a Unix socket also when the peer has read what was sent before.
        let polls = most == 0 || sleeps && self.unix;
        if polls && !sys::await_readable(&self.socket, timeout)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if most == 0 { Ok(()) } else { sys::receive(&self.socket, buffer, most, sleeps && !self.unix) }
    }

    fn deregister(&self, registry: &Registry) {
        // Fails only for a descriptor that is not registered, and then there is nothing to undo.
        let _ = registry.deregister(&mut SourceFd(&self.socket.as_raw_fd()));
    }

    fn watches_writability_on_demand(&self) -> bool {
        self.unix
    }

    fn short_read_is_all(&self) -> bool {
        true
    }

    fn finish_connect(&self) -> io::Result<bool> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        match self.socket.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn read(&self, block: &mut [u8]) -> io::Result<usize> {
        sys::read(&self.socket, block)
    }

    fn read_body(&self, buffer: &mut Vec<u8>, missing: usize, tail: &mut [u8]) -> io::Result<(usize, usize)> {
        sys::read_body(&self.socket, buffer, missing, tail)
    }

    fn read_ready(
        &self,
        space: &mut [MaybeUninit<u8>],
        tail: &mut [u8],
    ) -> io::Result<Option<(usize, usize)>> {
        sys::read_ready(&self.socket, space, tail)
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            [one] => self.socket.send_with_flags(one, SEND_FLAGS),
            many => self.socket.send_vectored_with_flags(many, SEND_FLAGS),
        }
    }

    fn await_room(&self, timeout: Duration) -> bool {
        sys::await_writable(&self.socket, timeout)
    }

    fn shutdown_write(&self) {
        // Fails only when the peer is gone already.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    fn shutdown(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn has_arrived(&self) -> bool {
        // What was written to a Unix socket lies in the peer's own queue and outlives us.
        self.unix || sys::unacknowledged_bytes(&self.socket) == 0
    }

    fn is_settled(&self) -> bool {
        self.has_arrived() && !sys::has_unread_input(&self.socket)
    }
}

/// A socket for listening at `address`, not yet listening.
pub(super) fn listening_socket(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Instant;

    use super::*;
    use crate::address::{BindHost, IpLiteral, TcpBind};
    use crate::transport::{StreamOptions, tcp};

    const DEADLINE: Duration = Duration::from_secs(10);

    fn options(socket: SocketOptions) -> StreamOptions {
        StreamOptions {
            socket,
            ipv4_only: true,
            #[cfg(feature = "tls")]
            tls: crate::transport::tls::TlsConfig::default(),
        }
    }

    /// A listener made with `at_listen`, and what it accepts when the options are `at_accept`, with the peer.
    fn accept(at_listen: SocketOptions, at_accept: SocketOptions) -> (SocketStream, std::net::TcpStream) {
        let host = BindHost::Ip(IpLiteral { ip: Ipv4Addr::LOCALHOST.into(), scope: None });
        let acceptor = tcp::listen(&TcpBind { host, port: 0 }, &options(at_listen)).unwrap();
        let peer = std::net::TcpStream::connect(acceptor.local()).unwrap();
        let deadline = Instant::now() + DEADLINE;
        loop {
            match acceptor.accept_socket(&options(at_accept)) {
                Ok(stream) => return (stream, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    assert!(Instant::now() < deadline, "nothing to accept");
                    std::thread::yield_now();
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    const PLAIN: SocketOptions = SocketOptions { nodelay: true, send_buffer: None, recv_buffer: None };

    #[test]
    fn accepted_sockets_have_the_options_of_the_time_they_are_accepted() {
        let other = SocketOptions { nodelay: false, send_buffer: Some(20_000), recv_buffer: Some(30_000) };
        for (at_listen, at_accept) in [(PLAIN, PLAIN), (other, other), (PLAIN, other), (other, PLAIN)] {
            let (stream, _peer) = accept(at_listen, at_accept);
            let socket = &stream.socket;
            assert_eq!(socket.tcp_nodelay().unwrap(), at_accept.nodelay);
            assert!(socket.keepalive().unwrap());
            #[cfg(target_os = "linux")]
            {
                use crate::limits::{KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES};
                assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE);
                assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
                assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
                // Linux doubles what it is told; an option once set is not unset again.
                if let Some(bytes) = at_accept.send_buffer {
                    assert_eq!(socket.send_buffer_size().unwrap(), 2 * bytes);
                }
                if let Some(bytes) = at_accept.recv_buffer {
                    assert_eq!(socket.recv_buffer_size().unwrap(), 2 * bytes);
                }
            }
        }
    }

    #[test]
    fn no_call_on_an_accepted_socket_blocks() {
        let (stream, peer) = accept(PLAIN, PLAIN);
        let is_refused =
            |got: io::Result<usize>| got.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        assert!(is_refused(stream.read(&mut [0; 8])));
        assert!(is_refused(stream.read_body(&mut Vec::with_capacity(8), 8, &mut [0; 8]).map(|(got, _)| got)));
        assert!(stream.receive(&mut Vec::with_capacity(8), 8, false).is_err());
        assert!(stream.read_ready(&mut [MaybeUninit::uninit(); 8], &mut []).unwrap().is_none());
        let bytes = [0; 65_536];
        let full = |slices: &[IoSlice<'_>]| (0..10_000).any(|_| is_refused(stream.write(slices)));
        assert!(full(&[IoSlice::new(&bytes)]));
        assert!(full(&[IoSlice::new(&bytes), IoSlice::new(&bytes)]));
        assert!(!stream.is_settled());
        drop(peer);
    }
}
