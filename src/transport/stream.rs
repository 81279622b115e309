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

use super::{Candidate, Stream, StreamOptions, interest};
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

pub(crate) struct SocketStream {
    socket: Socket,
    unix: bool,
    /// A read that may sleep does, for a bounded time; found out when somebody wants to.
    can_sleep: OnceLock<bool>,
}

impl SocketStream {
    /// Takes over a connected socket.
    pub(crate) fn accepted(socket: Socket, unix: bool, options: &StreamOptions) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let stream = SocketStream { socket, unix, can_sleep: OnceLock::new() };
        stream.configure(options);
        Ok(stream)
    }

    /// Starts to connect; the stream becomes ready when that has succeeded or failed.
    pub(crate) fn connect(candidate: &Candidate, options: &StreamOptions) -> io::Result<Self> {
        let unix = candidate.remote.is_unix();
        let socket = Socket::new(candidate.remote.domain(), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        let stream = SocketStream { socket, unix, can_sleep: OnceLock::new() };
        stream.configure(options);
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

    /// Applies the options. A refused one is no reason to do without the connection.
    fn configure(&self, options: &StreamOptions) {
        if let Some(bytes) = options.send_buffer {
            let _ = self.socket.set_send_buffer_size(bytes);
        }
        if let Some(bytes) = options.recv_buffer {
            let _ = self.socket.set_recv_buffer_size(bytes);
        }
        #[cfg(target_vendor = "apple")]
        let _ = self.socket.set_nosigpipe(true);
        if !self.unix {
            super::tcp::configure(&self.socket, options);
        }
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

    fn receive(&self, buffer: &mut Vec<u8>, sleeps: bool) -> io::Result<()> {
        buffer.clear();
        // Linux wakes who sleeps in a read of a Unix socket also when the peer has read what was sent before.
        if sleeps && self.unix && !sys::await_readable(&self.socket, DIRECT_WAIT_MAX)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        sys::receive(&self.socket, buffer, sleeps && !self.unix)
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
