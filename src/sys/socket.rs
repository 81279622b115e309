//! What std and socket2 do not offer about sockets.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use socket2::MaybeUninitSlice;

/// Reads what is there, without sleeping.
pub(crate) fn read(socket: &socket2::Socket, bytes: &mut [u8]) -> io::Result<usize> {
    socket.recv_with_flags(as_space(bytes), libc::MSG_DONTWAIT)
}

/// For recv, which only ever writes initialised bytes.
pub(crate) fn as_space(bytes: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: initialised bytes may be looked at as maybe-initialised ones, and the caller keeps them initialised.
    unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast::<MaybeUninit<u8>>(), bytes.len()) }
}

/// Reads into the capacity of `buffer`, in place of what it held, what is there, at most so many bytes; or what comes, if it
/// `sleeps` and the socket may block.
pub(crate) fn receive(
    socket: &socket2::Socket,
    buffer: &mut Vec<u8>,
    most: usize,
    sleeps: bool,
) -> io::Result<()> {
    buffer.clear();
    let space = buffer.spare_capacity_mut();
    let room = space.len().min(most);
    let space = space.get_mut(..room).unwrap_or_default();
    let got = socket.recv_with_flags(space, if sleeps { 0 } else { libc::MSG_DONTWAIT })?;
    // SAFETY: recv has filled so many bytes of the capacity, which is no less.
    unsafe { buffer.set_len(got.min(room)) };
    Ok(())
}

/// Reads into the spare capacity of `buffer` without clearing it first, at most `missing` bytes, and what comes behind
/// those into `tail`. Returns both lengths.
pub(crate) fn read_body(
    socket: &socket2::Socket,
    buffer: &mut Vec<u8>,
    missing: usize,
    tail: &mut [u8],
) -> io::Result<(usize, usize)> {
    let spare = buffer.spare_capacity_mut();
    let len = spare.len().min(missing);
    // What follows the body may be read along only if the body ends within the spare capacity.
    let tail_len = if len == missing { tail.len() } else { 0 };
    let Some(space) = spare.get_mut(..len) else { return Ok((0, 0)) };
    let got = read_two(socket, space, tail.get_mut(..tail_len).unwrap_or_default())?;
    let in_body = got.min(len);
    // SAFETY: recv filled the first `in_body` bytes of the spare capacity, and `in_body` is at most its length.
    unsafe { buffer.set_len(buffer.len() + in_body) };
    Ok((in_body, got - in_body))
}

fn read_two(socket: &socket2::Socket, space: &mut [MaybeUninit<u8>], tail: &mut [u8]) -> io::Result<usize> {
    let tail = as_space(tail);
    let (got, _) = socket.recv_vectored_with_flags(
        &mut [MaybeUninitSlice::new(space), MaybeUninitSlice::new(tail)],
        libc::MSG_DONTWAIT,
    )?;
    Ok(got)
}

/// Fills `space` if the kernel holds so much, and reads what comes behind into `tail`. Returns how much that was, and how
/// much more there was. `None` has read nothing.
pub(crate) fn read_ready(
    socket: &socket2::Socket,
    space: &mut [MaybeUninit<u8>],
    tail: &mut [u8],
) -> io::Result<Option<(usize, usize)>> {
    let there = unread_bytes(socket);
    if there < space.len() {
        return Ok(None);
    }
    let got = read_two(socket, space, tail)?;
    match got.checked_sub(space.len()) {
        Some(in_tail) => Ok(Some((in_tail, there.saturating_sub(got)))),
        // A system that had less than it said.
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Bytes that a read would find now.
fn unread_bytes(socket: &impl AsFd) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request stores one int through the pointer, which is valid.
    let done = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    count_of(done, bytes)
}

/// What a request stored that counts bytes; none if the system refused it.
fn count_of(done: libc::c_int, bytes: libc::c_int) -> usize {
    if done < 0 { 0 } else { usize::try_from(bytes).unwrap_or(0) }
}

/// Sleeps until there is room for a write, at most so long, in whole milliseconds. Whether there is, or an error to be
/// found by writing; a signal handler that ran ends the wait too.
pub(crate) fn await_writable(socket: &impl AsFd, timeout: Duration) -> bool {
    matches!(await_ready(socket, libc::POLLOUT, timeout), Ok(true))
}

/// Sleeps until there is something to read, the end included, at most so long, in whole milliseconds; whether there is.
pub(crate) fn await_readable(socket: &impl AsFd, timeout: Duration) -> io::Result<bool> {
    await_ready(socket, libc::POLLIN, timeout)
}

fn await_ready(socket: &impl AsFd, events: libc::c_short, timeout: Duration) -> io::Result<bool> {
    let mut entry = libc::pollfd { fd: socket.as_fd().as_raw_fd(), events, revents: 0 };
    let ms = libc::c_int::try_from(timeout.as_millis()).unwrap_or(libc::c_int::MAX);
    // SAFETY: one pollfd entry, valid for the call.
    let ready = unsafe { libc::poll(&raw mut entry, 1, ms) };
    if ready < 0 { Err(io::Error::last_os_error()) } else { Ok(ready > 0) }
}

/// Bytes that the peer's kernel has not acknowledged (tcp) or its program not read (Unix sockets).
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn unacknowledged_bytes(socket: &impl AsFd) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request stores one int through the pointer, which is valid.
    let done = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    count_of(done, bytes)
}

/// Unknown on this system: the caller waits for the peer's end of stream instead.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn unacknowledged_bytes(_socket: &impl AsFd) -> usize {
    usize::MAX
}

/// Whether the kernel holds input that was not read: closing now would make it reset the connection.
pub(crate) fn has_unread_input(socket: &socket2::Socket) -> bool {
    let mut byte = [MaybeUninit::uninit()];
    matches!(socket.recv_with_flags(&mut byte, libc::MSG_PEEK | libc::MSG_DONTWAIT), Ok(1..))
}

/// The index of a network interface, for `%eth0` behind a link-local address.
pub(crate) fn interface_index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: a NUL-terminated string that outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => None,
        index => Some(index),
    }
}

/// The system's text of an error as strerror gives it, without what std adds.
pub(crate) fn error_text(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(code) => text.trim_end_matches(&format!(" (os error {code})")).to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_is_not_all_there_is_not_read() {
        let (near, mut far) = socket2::Socket::pair(socket2::Domain::UNIX, socket2::Type::STREAM, None)
            .expect("a pair of sockets");
        near.set_nonblocking(true).expect("a mode");
        let (mut space, mut tail) = ([MaybeUninit::uninit(); 4], [0; 2]);
        let mut read = || read_ready(&near, &mut space, &mut tail).expect("an open socket");
        assert_eq!(read(), None);
        far.write_all(b"abc").expect("room");
        assert_eq!(read(), None);
        far.write_all(b"defghi").expect("room");
        assert_eq!(read(), Some((2, 3)));
        assert_eq!(read(), None, "three are left");
        far.write_all(b"j").expect("room");
        assert_eq!(read(), Some((0, 0)));
        assert_eq!(&tail, b"ef");
    }

    #[test]
    fn what_is_received_takes_the_place_of_what_was_and_is_slept_for_if_that_may_be() {
        let (near, mut far) = socket2::Socket::pair(socket2::Domain::UNIX, socket2::Type::STREAM, None)
            .expect("a pair of sockets");
        near.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let mut buffer = Vec::with_capacity(4);
        let nothing = receive(&near, &mut buffer, 9, false).map_err(|error| error.kind());
        assert_eq!(nothing, Err(io::ErrorKind::WouldBlock));
        std::thread::scope(|scope| {
            scope.spawn(|| far.write_all(b"abcdef").expect("room"));
            receive(&near, &mut buffer, 9, true).expect("it comes");
        });
        assert_eq!(buffer, b"abcd");
        receive(&near, &mut buffer, 1, false).expect("the rest");
        assert_eq!(buffer, b"e");
        receive(&near, &mut buffer, 9, false).expect("the last");
        assert_eq!(buffer, b"f");
        assert!(receive(&near, &mut buffer, 9, false).is_err());
        assert_eq!(buffer, b"");
        drop(far);
        receive(&near, &mut buffer, 9, true).expect("the end");
        assert_eq!(buffer, b"");
    }

    #[test]
    fn input_is_waited_for_as_long_as_said() {
        let (near, mut far) = UnixStream::pair().expect("a pair of sockets");
        assert!(!await_readable(&near, Duration::from_millis(1)).expect("a socket"));
        far.write_all(b"x").expect("room");
        assert!(await_readable(&near, Duration::MAX).expect("a socket"));
    }

    #[test]
    fn a_full_wire_is_waited_for_as_long_as_said_and_a_free_or_broken_one_not_at_all() {
        let (mut near, mut far) = UnixStream::pair().expect("a pair of sockets");
        near.set_nonblocking(true).expect("a mode");
        let for_ever = Duration::MAX;
        assert!(await_writable(&near, for_ever));
        let block = [0; 4096];
        let mut written = 0;
        while let Ok(bytes) = near.write(&block) {
            written += bytes;
        }
        assert!(!await_writable(&near, Duration::from_millis(1)));
        let mut all = vec![0; written];
        far.read_exact(&mut all).expect("what was written");
        assert!(await_writable(&near, for_ever));
        while near.write(&block).is_ok() {}
        drop(far);
        assert!(await_writable(&near, for_ever), "the error is to be found by writing");
    }
}
