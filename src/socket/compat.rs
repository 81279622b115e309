//! What a nanomsg-compatible interface needs beyond the Rust one: nanomsg's address dialect, waits that a
//! signal handler ends, readiness descriptors, and closing many sockets under one deadline.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use super::{Endpoint, Socket};
use crate::address::{AddressError, Dialect};
use crate::engine::Patience;
use crate::error::{Error, SendError};
use crate::message::Message;
#[cfg(feature = "tls")]
pub use crate::transport::tls::TlsPart;
#[cfg(feature = "tls")]
use crate::transport::tls::{TlsAuth, TlsError};

/// How long a call waits.
///
/// ```
/// use spmsg::compat::{self, Wait};
/// let pull = spmsg::Pull::new()?;
/// assert!(matches!(compat::recv(pull.socket(), Wait::No), Err(spmsg::Error::WouldBlock)));
/// # Ok::<(), spmsg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all ([`Error::WouldBlock`]).
    No,
    /// As the socket's timeout option says; a signal handler ends it as below. Costs nothing unless there
    /// is waiting.
    AsSet,
    /// At most so long ([`Error::TimedOut`]), `None` for ever; a signal handler that runs in the waiting
    /// thread ends it ([`Error::Interrupted`]).
    For(Option<Duration>),
}

impl From<Wait> for Patience {
    fn from(wait: Wait) -> Self {
        match wait {
            Wait::No => Patience::Never,
            Wait::AsSet => Patience::AsSet { interruptible: true },
            Wait::For(timeout) => Patience::for_timeout(timeout, true),
        }
    }
}

/// Listens at an address as nanomsg reads it: at most 127 bytes, no host names, no port 0.
///
/// # Errors
/// As [`Socket::bind`].
///
/// ```
/// use spmsg::compat;
/// let pull = spmsg::Pull::new()?;
/// assert!(compat::bind(pull.socket(), b"tcp://127.0.0.1:0").is_err(), "nanomsg has no port 0");
/// # Ok::<(), spmsg::Error>(())
/// ```
pub fn bind(socket: &Socket, address: &[u8]) -> Result<Endpoint, Error> {
    said(socket, address, socket.bind_as(address, Dialect::Nanomsg))
}

/// Connects to an address as nanomsg reads it.
///
/// # Errors
/// As [`Socket::connect`].
///
/// ```
/// use spmsg::compat;
/// let pull = spmsg::Pull::new()?;
/// assert_eq!(compat::connect(pull.socket(), b"inproc://compat-doc")?.id(), 1);
/// # Ok::<(), spmsg::Error>(())
/// ```
pub fn connect(socket: &Socket, address: &[u8]) -> Result<Endpoint, Error> {
    said(socket, address, socket.connect_as(address, Dialect::Nanomsg))
}

/// A reason of the library's own, which a number cannot tell, is printed if the socket prints its errors.
fn said<T>(socket: &Socket, address: &[u8], result: Result<T, Error>) -> Result<T, Error> {
    if let Err(Error::Os { source, .. }) = &result
        && source.get_ref().is_some()
    {
        socket.core().report(&String::from_utf8_lossy(address), source);
    }
    result
}

/// Ends an endpoint by its number.
///
/// # Errors
/// [`Error::NoSuchEndpoint`], [`Error::Closed`].
///
/// ```
/// use spmsg::compat;
/// let pull = spmsg::Pull::new()?;
/// let endpoint = pull.connect("inproc://shutdown-doc")?;
/// compat::shutdown(pull.socket(), endpoint.id())?;
/// assert!(compat::shutdown(pull.socket(), endpoint.id()).is_err());
/// # Ok::<(), spmsg::Error>(())
/// ```
pub fn shutdown(socket: &Socket, id: u32) -> Result<(), Error> {
    socket.core().shutdown(id)
}

/// Sends, waiting as `wait` says.
///
/// # Errors
/// As [`Socket::send`], and [`Error::Interrupted`].
///
/// ```
/// use spmsg::compat::{self, Wait};
/// let publisher = spmsg::Pub::new()?;
/// compat::send(publisher.socket(), "abc".into(), Wait::AsSet)?;
/// # Ok::<(), spmsg::Error>(())
/// ```
pub fn send(socket: &Socket, message: Message, wait: Wait) -> Result<(), SendError> {
    socket.core().send(message, wait.into())
}

/// Receives, waiting as `wait` says.
///
/// # Errors
/// As [`Socket::recv`], and [`Error::Interrupted`].
///
/// ```
/// use std::time::Duration;
/// use spmsg::compat::{self, Wait};
/// let pull = spmsg::Pull::new()?;
/// let waited = compat::recv(pull.socket(), Wait::For(Some(Duration::from_millis(1))));
/// assert!(matches!(waited, Err(spmsg::Error::TimedOut)));
/// # Ok::<(), spmsg::Error>(())
/// ```
pub fn recv(socket: &Socket, wait: Wait) -> Result<Message, Error> {
    socket.core().recv(wait.into())
}

/// Sends a copy of `body`, waiting as `wait` says; a small one is copied once, to where it leaves from. One of 256 KiB or
/// more, to a single peer, may hold the call up 10 ms longer where the wire is full, unless it must not wait at all.
///
/// # Errors
/// As [`Socket::send`], and [`Error::Interrupted`].
///
/// ```
/// use spmsg::compat::{self, Wait};
/// let publisher = spmsg::Pub::new()?;
/// compat::send_body(publisher.socket(), b"abc", Wait::AsSet)?;
/// # Ok::<(), spmsg::Error>(())
/// ```
#[inline]
pub fn send_body(socket: &Socket, body: &[u8], wait: Wait) -> Result<(), Error> {
    socket.core().send_body(body, wait.into())
}

/// Receives, waiting as `wait` says, and has `take` look at the body where it lies; the result is what `take` returns.
/// `take` runs while the socket is locked: it must not use the socket, and should only copy.
///
/// # Errors
/// As [`Socket::recv`], and [`Error::Interrupted`].
///
/// ```
/// use spmsg::compat::{self, Wait};
/// let (push, pull) = (spmsg::Push::new()?, spmsg::Pull::new()?);
/// pull.bind("inproc://recv-body-doc")?;
/// push.connect("inproc://recv-body-doc")?;
/// push.send("abc")?;
/// assert_eq!(compat::recv_body(pull.socket(), Wait::No, |body| body.len())?, 3);
/// # Ok::<(), spmsg::Error>(())
/// ```
pub fn recv_body<R>(socket: &Socket, wait: Wait, take: impl FnOnce(&[u8]) -> R) -> Result<R, Error> {
    socket.core().recv_with(wait.into(), |taken| take(taken.body()))
}

/// Receives a body into `place`, waiting as `wait` says. Returns the length of the whole body in bytes: so many of `place` are
/// initialised then, or all of it if the body is longer, and the rest of the body is dropped. What lies behind the body, and
/// everything when the result is an error, is as it was. A large body that comes while this waits is read there straight
/// from the system.
///
/// # Errors
/// As [`Socket::recv`], and [`Error::Interrupted`].
///
/// ```
/// use std::mem::MaybeUninit;
/// use spmsg::compat::{self, Wait};
/// let (push, pull) = (spmsg::Push::new()?, spmsg::Pull::new()?);
/// pull.bind("inproc://recv-into-doc")?;
/// push.connect("inproc://recv-into-doc")?;
/// push.send("abc")?;
/// let mut place = [MaybeUninit::uninit(); 100];
/// assert_eq!(compat::recv_into(pull.socket(), &mut place, Wait::No)?, 3);
/// # Ok::<(), spmsg::Error>(())
/// ```
#[inline]
pub fn recv_into(socket: &Socket, place: &mut [MaybeUninit<u8>], wait: Wait) -> Result<usize, Error> {
    socket.core().recv_into(wait.into(), place)
}

/// The descriptor that is readable exactly while a receive (`recv`) or a send could proceed; made at the
/// first call, the same for the life of the socket, closed with it. Only to be polled, never read or
/// closed.
///
/// # Errors
/// [`Error::Unsupported`] for a direction the pattern lacks, [`Error::Os`] without descriptors,
/// [`Error::Closed`].
///
/// ```
/// use spmsg::compat;
/// let pull = spmsg::Pull::new()?;
/// assert_eq!(compat::descriptor(pull.socket(), true)?, compat::descriptor(pull.socket(), true)?);
/// assert!(compat::descriptor(pull.socket(), false).is_err());
/// # Ok::<(), spmsg::Error>(())
/// ```
pub fn descriptor(socket: &Socket, recv: bool) -> Result<RawFd, Error> {
    socket.check_directions(super::Interest { recv, send: !recv })?;
    socket.core().descriptor(recv)
}

/// Closes many sockets: all begin at once, and none is waited for longer than its linger time from now.
pub fn close_all<'a>(sockets: impl IntoIterator<Item = &'a Socket>) {
    for (socket, deadline) in begin_all(sockets) {
        socket.core().finish_close(deadline);
    }
}

/// The same for the end of the process, which other threads may spend inside calls: what was accepted
/// leaves, but nobody waits for those threads. The exit may even have begun in a signal handler that
/// interrupted such a call.
pub fn close_all_at_exit<'a>(sockets: impl IntoIterator<Item = &'a Socket>) {
    for (socket, deadline) in begin_all(sockets) {
        socket.core().finish_close_at_exit(deadline);
    }
}

fn begin_all<'a>(sockets: impl IntoIterator<Item = &'a Socket>) -> Vec<(&'a Socket, Instant)> {
    let begin = |socket: &'a Socket| Some((socket, socket.core().begin_close().ok()?));
    sockets.into_iter().filter_map(begin).collect()
}

/// Reads authorities, certificate or key for TLS from a PEM file, as a path in bytes. It is used at once, also for new
/// connections of endpoints that exist; a certificate and a key that do not fit each other wait until they do, and
/// the pair before them stays in use. A failure is printed if the socket prints its errors.
///
/// # Errors
/// [`Error::Os`]: of the system if the file cannot be read, `InvalidInput` if it cannot be parsed; then nothing is
/// changed. [`Error::Closed`].
#[cfg(feature = "tls")]
pub fn set_tls_file(socket: &Socket, part: TlsPart, path: &[u8]) -> Result<(), Error> {
    use std::os::unix::ffi::OsStrExt;
    let config = socket.options()?.tls().clone();
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path));
    config.set_file(part, path).map_err(|error| tls_refused(socket, error))
}

/// Sets the name that servers' certificates must have, for endpoints made afterwards; an empty one means the host of
/// the address.
///
/// # Errors
/// [`Error::Os`] of kind `InvalidInput` for what is no name, [`Error::Closed`].
///
/// ```
/// use spmsg::compat;
/// let pair = spmsg::Pair::new()?;
/// compat::set_tls_server_name(pair.socket(), "db.example.org")?;
/// assert!(compat::set_tls_server_name(pair.socket(), "a b").is_err());
/// # Ok::<(), spmsg::Error>(())
/// ```
#[cfg(feature = "tls")]
pub fn set_tls_server_name(socket: &Socket, name: &str) -> Result<(), Error> {
    let config = socket.options()?.tls().clone();
    let name = Some(name).filter(|name| !name.is_empty());
    let config = config.with_server_name(name).map_err(|error| tls_refused(socket, error))?;
    socket.set_options(|options| {
        options.set_tls(&config);
        Ok(())
    })
}

/// Sets what is asked of TLS peers, for endpoints made afterwards; `None` for the default of each side.
///
/// # Errors
/// [`Error::Closed`].
///
/// ```
/// use spmsg::{TlsAuth, compat};
/// let pair = spmsg::Pair::new()?;
/// compat::set_tls_auth(pair.socket(), Some(TlsAuth::Required))?;
/// # Ok::<(), spmsg::Error>(())
/// ```
#[cfg(feature = "tls")]
pub fn set_tls_auth(socket: &Socket, auth: Option<TlsAuth>) -> Result<(), Error> {
    socket.set_options(|options| {
        let config = options.tls().with_auth(auth);
        options.set_tls(&config);
        Ok(())
    })
}

#[cfg(feature = "tls")]
fn tls_refused(socket: &Socket, error: TlsError) -> Error {
    socket.core().report("tls", &error);
    // The system's own number, for callers that know only numbers.
    let source = match &error {
        TlsError::File { source, .. } => source.raw_os_error().map(io::Error::from_raw_os_error),
        _ => None,
    };
    Error::os("use", "a TLS option", source.unwrap_or_else(|| error.into()))
}

/// How many forks lie between the process that loaded the library and this one: what was made under another
/// number belongs to an ancestor.
///
/// ```
/// assert_eq!(spmsg::compat::fork_generation(), spmsg::compat::fork_generation());
/// ```
pub fn fork_generation() -> u64 {
    crate::sys::generation()
}

/// Has `forget` called in the child of every later fork. It may only store to atomics.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// static FORKED: AtomicBool = AtomicBool::new(false);
/// spmsg::compat::on_fork(|| FORKED.store(true, Ordering::Relaxed));
/// assert!(!FORKED.load(Ordering::Relaxed));
/// ```
pub fn on_fork(forget: fn()) {
    crate::sys::forget_parent(forget);
}

/// The operating system's text of an error number.
///
/// ```
/// assert_eq!(spmsg::compat::os_error_text(libc::EINVAL), "Invalid argument");
/// ```
pub fn os_error_text(code: i32) -> String {
    crate::sys::error_text(&io::Error::from_raw_os_error(code))
}

/// What an [`Error`] means to a caller that knows only numbers: one variant for each errno of nanomsg's
/// interface.
#[derive(Debug)]
pub enum Cause<'a> {
    /// EBADF.
    Closed,
    /// EAGAIN.
    WouldBlock,
    /// ETIMEDOUT.
    TimedOut,
    /// EINTR.
    Interrupted,
    /// EFSM.
    State,
    /// ENOTSUP.
    Unsupported,
    /// ENOPROTOOPT.
    NoSuchOption,
    /// EINVAL.
    Invalid,
    /// ENAMETOOLONG.
    NameTooLong,
    /// EPROTONOSUPPORT.
    UnknownTransport,
    /// ENODEV.
    NoSuchDevice,
    /// The system's own number.
    Os(&'a io::Error),
}

/// The [`Cause`] of an error. A new variant of [`Error`] does not compile before it has one.
pub fn cause(error: &Error) -> Cause<'_> {
    match error {
        Error::Closed => Cause::Closed,
        Error::WouldBlock => Cause::WouldBlock,
        Error::TimedOut => Cause::TimedOut,
        Error::Interrupted => Cause::Interrupted,
        Error::State(_) => Cause::State,
        Error::Unsupported { .. } => Cause::Unsupported,
        Error::NoSuchOption { .. } => Cause::NoSuchOption,
        Error::Header { .. }
        | Error::OptionValue { .. }
        | Error::NotSubscribed(_)
        | Error::NoSuchEndpoint(_)
        | Error::Device(_)
        | Error::Address(AddressError::Malformed { .. }) => Cause::Invalid,
        Error::Address(AddressError::TooLong { .. } | AddressError::IpcPathTooLong { .. }) => {
            Cause::NameTooLong
        }
        Error::Address(AddressError::UnknownTransport { .. }) => Cause::UnknownTransport,
        Error::Address(AddressError::NoSuchDevice { .. }) => Cause::NoSuchDevice,
        Error::Os { source, .. } => Cause::Os(source),
    }
}
