//! [`Event`]: a descriptor that is readable exactly while it is set. An eventfd on Linux, a pipe elsewhere.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// A level that other threads, and programs with their own event loop, can wait for. Close-on-exec, non-blocking.
#[derive(Debug)]
pub(crate) struct Event {
    read: OwnedFd,
    /// The writing end where reading and writing are two descriptors.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    write: OwnedFd,
}

/// How a [`wait`](Event::wait) ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    Set,
    TimedOut,
    /// A signal handler ran in this thread.
    Interrupted,
}

impl Event {
    /// A new event that is not set. Fails when the process is out of descriptors.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn new() -> io::Result<Event> {
        use std::os::fd::FromRawFd;
        // SAFETY: eventfd takes two integers and touches no memory of ours.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just created and nobody else owns it.
        Ok(Event { read: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// A new event that is not set. Fails when the process is out of descriptors.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn new() -> io::Result<Event> {
        let (reader, writer) = io::pipe()?;
        for fd in [reader.as_raw_fd(), writer.as_raw_fd()] {
            // SAFETY: fcntl with these commands takes integers; the descriptor is open.
            let done = unsafe {
                let flags = libc::fcntl(fd, libc::F_GETFL);
                libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK)
            };
            if done < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Event { read: reader.into(), write: writer.into() })
    }

    fn writer(&self) -> RawFd {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return self.read.as_raw_fd();
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        return self.write.as_raw_fd();
    }

    /// Makes the descriptor readable. Errors are impossible but for a descriptor that the program closed behind our
    /// back; then nobody can wait for it any more and there is nothing to tell anybody.
    pub(crate) fn set(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: the buffer is 8 readable bytes for the length given; the descriptor is ours and non-blocking.
        let _ = unsafe { libc::write(self.writer(), one.as_ptr().cast(), one.len()) };
    }

    /// Makes the descriptor unreadable.
    pub(crate) fn clear(&self) {
        let mut sink = [0u8; 64];
        loop {
            // SAFETY: the buffer is 64 writable bytes for the length given; the descriptor is non-blocking.
            let got = unsafe { libc::read(self.read.as_raw_fd(), sink.as_mut_ptr().cast(), sink.len()) };
            // An eventfd gives its 8 bytes at once; a pipe may hold more than one read takes.
            if got < sink.len() as isize {
                return;
            }
        }
    }

    /// Sleeps until the event is set, `timeout` has passed (`None`: for ever) or a signal handler ran.
    ///
    /// poll(2) is used on purpose: it returns EINTR even for handlers installed with SA_RESTART, and programs
    /// written for nanomsg handle Ctrl-C that way.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Waited {
        let mut entry = libc::pollfd { fd: self.read.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd entry, valid for the call.
        let ready = unsafe { poll_one(&mut entry, timeout) };
        match ready {
            0 => Waited::TimedOut,
            n if n > 0 => Waited::Set,
            _ => Waited::Interrupted,
        }
    }
}

/// ppoll where there is one, for its nanoseconds: a timeout in whole milliseconds would end late by up to one.
///
/// # Safety
/// `entry` must be valid for the duration of the call.
#[cfg(any(target_os = "linux", target_os = "android"))]
unsafe fn poll_one(entry: &mut libc::pollfd, timeout: Option<Duration>) -> libc::c_int {
    let spec = timeout.map(|t| libc::timespec {
        tv_sec: libc::time_t::try_from(t.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: t.subsec_nanos() as libc::c_long,
    });
    let spec = spec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: one entry as promised by the caller; the timespec outlives the call; no signal mask.
    unsafe { libc::ppoll(entry, 1, spec, std::ptr::null()) }
}

/// # Safety
/// `entry` must be valid for the duration of the call.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
unsafe fn poll_one(entry: &mut libc::pollfd, timeout: Option<Duration>) -> libc::c_int {
    let ms = timeout.map_or(-1, |t| i32::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
    // SAFETY: one entry as promised by the caller.
    unsafe { libc::poll(entry, 1, ms) }
}

impl AsRawFd for Event {
    fn as_raw_fd(&self) -> RawFd {
        self.read.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_level_that_set_and_clear_move() {
        let event = Event::new().expect("a descriptor");
        assert_eq!(event.wait(Some(Duration::ZERO)), Waited::TimedOut);
        event.set();
        event.set();
        assert_eq!(event.wait(None), Waited::Set);
        assert_eq!(event.wait(None), Waited::Set, "waiting does not take the level away");
        event.clear();
        assert_eq!(event.wait(Some(Duration::ZERO)), Waited::TimedOut);
    }
}
