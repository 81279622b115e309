//! [`Alarm`]: a descriptor that becomes readable after a time in microseconds; what waits for descriptors counts in
//! milliseconds.

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use timer::Alarm;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) use nothing::Alarm;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod timer {
    use std::io;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
    use std::time::Duration;

    #[derive(Debug)]
    pub(crate) struct Alarm {
        descriptor: OwnedFd,
    }

    impl Alarm {
        pub(crate) fn new() -> io::Result<Alarm> {
            // SAFETY: takes no pointers.
            let raw = unsafe {
                libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC)
            };
            if raw < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: a new descriptor that nobody else owns.
            Ok(Alarm { descriptor: unsafe { OwnedFd::from_raw_fd(raw) } })
        }

        /// Goes off once, so long from now; what was set before is forgotten.
        pub(crate) fn set(&self, delay: Duration) {
            let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // Nothing at all would switch it off.
            let delay = delay.max(Duration::from_nanos(1));
            let once = libc::timespec {
                tv_sec: delay.as_secs() as libc::time_t,
                tv_nsec: delay.subsec_nanos() as libc::c_long,
            };
            let setting = libc::itimerspec { it_interval: never, it_value: once };
            // SAFETY: the descriptor is a timer, the setting is valid for the call and nothing is stored. It cannot fail.
            unsafe {
                libc::timerfd_settime(
                    self.descriptor.as_raw_fd(),
                    0,
                    &raw const setting,
                    std::ptr::null_mut(),
                )
            };
        }
    }

    impl AsRawFd for Alarm {
        fn as_raw_fd(&self) -> RawFd {
            self.descriptor.as_raw_fd()
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod nothing {
    use std::io;
    use std::os::fd::{AsRawFd, RawFd};
    use std::time::Duration;

    /// There is none on this system: what would wait is done at once.
    #[derive(Debug)]
    pub(crate) enum Alarm {}

    impl Alarm {
        pub(crate) fn new() -> io::Result<Alarm> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn set(&self, _delay: Duration) {
            match *self {}
        }
    }

    impl AsRawFd for Alarm {
        fn as_raw_fd(&self) -> RawFd {
            match *self {}
        }
    }
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use std::io;
    use std::os::fd::AsRawFd;
    use std::time::{Duration, Instant};

    use mio::unix::SourceFd;
    use mio::{Events, Interest, Poll, Token};

    use super::Alarm;

    #[test]
    fn goes_off_after_its_time_each_time_it_is_set() -> io::Result<()> {
        let (mut poll, alarm) = (Poll::new()?, Alarm::new()?);
        poll.registry().register(&mut SourceFd(&alarm.as_raw_fd()), Token(7), Interest::READABLE)?;
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::ZERO))?;
        assert!(events.is_empty());
        for _ in 0..3 {
            let start = Instant::now();
            alarm.set(Duration::from_micros(200));
            poll.poll(&mut events, Some(Duration::from_secs(10)))?;
            assert_eq!(events.iter().map(|event| event.token()).collect::<Vec<_>>(), [Token(7)]);
            assert!(start.elapsed() >= Duration::from_micros(200));
        }
        Ok(())
    }
}
