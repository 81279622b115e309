//! [`Event`]: a descriptor that is readable exactly while it is set. An eventfd on Linux, a pipe elsewhere.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

#[cfg(any(test, not(any(target_os = "linux", target_os = "android"))))]
use super::sleep::Slept;

/// A level that other threads, and programs with their own event loop, can wait for. Close-on-exec,
/// non-blocking.
///
/// Plain numbers and no `OwnedFd`: programs know the descriptor, and one that closes it by mistake must not
/// end in the abort that std keeps for that.
#[derive(Debug)]
pub(crate) struct Event {
    read: RawFd,
    /// The writing end where reading and writing are two descriptors.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    write: RawFd,
}

impl Event {
    /// A new event that is not set. Fails when the process is out of descriptors.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn new() -> io::Result<Event> {
        // SAFETY: eventfd takes two integers and touches no memory of ours.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Event { read: fd })
    }

    /// A new event that is not set. Fails when the process is out of descriptors.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn new() -> io::Result<Event> {
        use std::os::fd::IntoRawFd;
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
        Ok(Event { read: reader.into_raw_fd(), write: writer.into_raw_fd() })
    }

    fn writer(&self) -> RawFd {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return self.read;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        return self.write;
    }

    /// Makes the descriptor readable. Errors are impossible but for a descriptor that the program closed
    /// behind our back; then nobody can wait for it any more and there is nothing to tell anybody.
    pub(crate) fn set(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: the buffer is 8 readable bytes for the length given; the descriptor is ours and
        // non-blocking.
        let _ = unsafe { libc::write(self.writer(), one.as_ptr().cast(), one.len()) };
    }

    /// Makes the descriptor unreadable.
    pub(crate) fn clear(&self) {
        let mut sink = [0u8; 64];
        loop {
            // SAFETY: the buffer is 64 writable bytes for the length given; the descriptor is non-blocking.
            let got = unsafe { libc::read(self.read, sink.as_mut_ptr().cast(), sink.len()) };
            // An eventfd gives its 8 bytes at once; a pipe may hold more than one read takes.
            if got < sink.len() as isize {
                return;
            }
        }
    }

    /// Sleeps until the event is set, `timeout` has passed (`None`: for ever) or a signal handler ran:
    /// poll(2) says so even for handlers installed with SA_RESTART.
    #[cfg(any(test, not(any(target_os = "linux", target_os = "android"))))]
    pub(crate) fn wait(&self, timeout: Option<std::time::Duration>) -> Slept {
        let ms = timeout.map_or(-1, |t| i32::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
        let mut entry = libc::pollfd { fd: self.read, events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd entry, valid for the call.
        match unsafe { libc::poll(&raw mut entry, 1, ms) } {
            0 => Slept::TimedOut,
            n if n > 0 => Slept::Woken,
            _ => Slept::Interrupted,
        }
    }
}

impl AsRawFd for Event {
    fn as_raw_fd(&self) -> RawFd {
        self.read
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the descriptors were created for this event and are not used after it.
        unsafe {
            libc::close(self.read);
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            libc::close(self.write);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn is_a_level_that_set_and_clear_move() {
        let event = Event::new().expect("a descriptor");
        assert_eq!(event.wait(Some(Duration::ZERO)), Slept::TimedOut);
        event.set();
        event.set();
        assert_eq!(event.wait(None), Slept::Woken);
        assert_eq!(event.wait(None), Slept::Woken, "waiting does not take the level away");
        event.clear();
        assert_eq!(event.wait(Some(Duration::ZERO)), Slept::TimedOut);
    }
}
