//! [`Sleep`]: a thread sleeps while a word has a value, until another thread wakes it, a time has passed,
//! or a signal handler ran. A futex on Linux, which takes no descriptor; an [`Event`](super::Event)
//! elsewhere.

/// How a sleep ended. `Woken` may be spurious.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slept {
    Woken,
    TimedOut,
    /// A signal handler ran in this thread, also one installed with SA_RESTART: programs written for
    /// nanomsg handle Ctrl-C that way.
    Interrupted,
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) use futex::Sleep;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) use event::Sleep;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod futex {
    use std::io;
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    use super::Slept;

    /// What "for ever" is to the kernel. A futex wait without a time is begun again after a handler with
    /// SA_RESTART, one with a time is not.
    const FOR_EVER: Duration = Duration::from_secs(1 << 30);

    #[derive(Debug)]
    pub(crate) struct Sleep;

    /// The kernel's timespec of this system call, whatever the C library's is.
    #[repr(C)]
    struct Timespec {
        seconds: libc::c_long,
        nanoseconds: libc::c_long,
    }

    impl Sleep {
        pub(crate) fn new() -> io::Result<Sleep> {
            Ok(Sleep)
        }

        /// Nothing of a futex belongs to a process.
        pub(crate) fn is_inherited(&self) -> bool {
            false
        }

        pub(crate) fn wait(&self, word: &AtomicU32, value: u32, timeout: Option<Duration>) -> Slept {
            let time = timeout.unwrap_or(FOR_EVER).min(FOR_EVER);
            let time = Timespec {
                seconds: time.as_secs() as libc::c_long,
                nanoseconds: time.subsec_nanos() as libc::c_long,
            };
            let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
            // SAFETY: the word and the time are valid for the call, which only reads them.
            let done =
                unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, &raw const time) };
            if done == 0 {
                return Slept::Woken;
            }
            match io::Error::last_os_error().raw_os_error() {
                Some(libc::ETIMEDOUT) if timeout.is_some() => Slept::TimedOut,
                Some(libc::EINTR) => Slept::Interrupted,
                // EAGAIN: the word has another value by now.
                _ => Slept::Woken,
            }
        }

        /// The sleeper may be gone by now, and its word with it: the kernel only compares addresses.
        pub(crate) fn wake(&self, word: &AtomicU32) {
            let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
            // SAFETY: the address is not followed by the kernel, and is the caller's anyway.
            unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, 1) };
        }

        /// Called by the sleeper that found itself notified. A wake-up that is still on its way disturbs
        /// nobody.
        pub(crate) fn settle(&self, _slept: Slept) {}
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod event {
    use std::io;
    use std::mem::ManuallyDrop;
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    use super::Slept;
    use crate::sys::event::Event;
    use crate::sys::generation;

    #[derive(Debug)]
    pub(crate) struct Sleep {
        event: ManuallyDrop<Event>,
        generation: u64,
    }

    impl Sleep {
        pub(crate) fn new() -> io::Result<Sleep> {
            Ok(Sleep { event: ManuallyDrop::new(Event::new()?), generation: generation() })
        }

        /// After a fork the parent's thread sleeps on the very same descriptor.
        pub(crate) fn is_inherited(&self) -> bool {
            self.generation != generation()
        }

        pub(crate) fn wait(&self, _word: &AtomicU32, _value: u32, timeout: Option<Duration>) -> Slept {
            self.event.wait(timeout)
        }

        pub(crate) fn wake(&self, _word: &AtomicU32) {
            self.event.set();
        }

        /// Called by the sleeper that found itself notified. The waker writes after it changed the word:
        /// without waiting for that write it would end the next sleep.
        pub(crate) fn settle(&self, slept: Slept) {
            if slept != Slept::Woken {
                while self.event.wait(None) != Slept::Woken {}
            }
            self.event.clear();
        }
    }

    impl Drop for Sleep {
        fn drop(&mut self) {
            // A child's copy of the number may be another file by now: the program may have closed them all.
            if !self.is_inherited() {
                // SAFETY: dropped here only, and not used afterwards.
                unsafe { ManuallyDrop::drop(&mut self.event) };
            }
        }
    }
}
