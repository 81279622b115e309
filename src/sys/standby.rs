//! Standing by: sleeping in a poll in which another thread may sleep too. Linux wakes one of them for each event, the one
//! that came last; mio's poll has room for one thread.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// What a descriptor in the poll has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Happened {
    /// As it was registered with.
    pub(crate) token: usize,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// An end of the stream, or an error.
    pub(crate) closed: bool,
}

impl From<&mio::event::Event> for Happened {
    fn from(event: &mio::event::Event) -> Happened {
        // mio has no name for the end of a stream that is ignored: it comes without a word.
        let is_named = event.is_readable() || event.is_writable();
        let closed = event.is_error() || event.is_read_closed() || event.is_write_closed() || !is_named;
        Happened {
            token: event.token().0,
            readable: event.is_readable() || closed,
            writable: event.is_writable() || event.is_error() || event.is_write_closed(),
            closed,
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use epoll::{IS_POSSIBLE, ignore, wait};

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) use nothing::{IS_POSSIBLE, ignore, wait};

#[cfg(any(target_os = "linux", target_os = "android"))]
mod epoll {
    use super::*;
    use crate::limits::STANDBY_EVENTS;

    pub(crate) const IS_POSSIBLE: bool = true;

    /// Sleeps until something happens that nobody else in the poll is woken for, or until `timeout` has passed, and
    /// tells `happened` of it. An event that is told to one is told to no other.
    pub(crate) fn wait(
        poll: RawFd,
        timeout: Option<Duration>,
        happened: impl FnMut(Happened),
    ) -> io::Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; STANDBY_EVENTS];
        // SAFETY: there is room for so many events as are asked for, and nothing is stored. A descriptor that is no poll
        // is an error.
        let count = unsafe {
            libc::epoll_wait(poll, events.as_mut_ptr(), STANDBY_EVENTS as libc::c_int, milliseconds(timeout))
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        events.iter().take(count).map(Happened::from).for_each(happened);
        Ok(())
    }

    /// From now on nothing that happens to a registered descriptor is told but an error or the end of its stream, until it
    /// is registered anew.
    pub(crate) fn ignore(poll: RawFd, descriptor: RawFd, token: usize) -> io::Result<()> {
        let mut nothing =
            libc::epoll_event { events: (libc::EPOLLRDHUP | libc::EPOLLET) as u32, u64: token as u64 };
        // SAFETY: one event, valid for the call. Descriptors that are none are an error.
        let done = unsafe { libc::epoll_ctl(poll, libc::EPOLL_CTL_MOD, descriptor, &raw mut nothing) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Rounded up: who wakes too early has nothing to do and sleeps again.
    fn milliseconds(timeout: Option<Duration>) -> libc::c_int {
        let Some(timeout) = timeout else { return -1 };
        libc::c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(libc::c_int::MAX)
    }

    impl From<&libc::epoll_event> for Happened {
        fn from(event: &libc::epoll_event) -> Happened {
            let is = |flags: libc::c_int| event.events & flags as u32 != 0;
            let closed = is(libc::EPOLLHUP | libc::EPOLLERR | libc::EPOLLRDHUP);
            Happened {
                token: event.u64 as usize,
                readable: closed || is(libc::EPOLLIN | libc::EPOLLPRI),
                writable: is(libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR),
                closed,
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use std::io::{Read, Write};
        use std::net::{Shutdown, TcpStream};
        use std::os::fd::AsRawFd;
        use std::os::unix::net::UnixStream;

        use mio::unix::SourceFd;
        use mio::{Interest, Poll, Token, Waker};

        use super::*;

        #[test]
        fn an_event_is_told_once_with_its_token() {
            let poll = Poll::new().expect("a poll");
            let waker = Waker::new(poll.registry(), Token(7)).expect("a waker");
            waker.wake().expect("it wakes");
            let mut told = Vec::new();
            wait(poll.as_raw_fd(), None, |happened| told.push(happened)).expect("it returns");
            let expected = Happened { token: 7, readable: true, writable: false, closed: false };
            assert_eq!(told, [expected]);
            told.clear();
            wait(poll.as_raw_fd(), Some(Duration::ZERO), |happened| told.push(happened)).expect("it returns");
            assert_eq!(told, []);
        }

        #[test]
        fn what_is_ignored_tells_of_its_end_only_until_it_is_registered_anew() {
            let mut poll = Poll::new().expect("a poll");
            let (near, mut far) = UnixStream::pair().expect("a pair of sockets");
            let descriptor = near.as_raw_fd();
            let mut source = SourceFd(&descriptor);
            poll.registry().register(&mut source, Token(7), Interest::READABLE).expect("registered");
            ignore(poll.as_raw_fd(), descriptor, 7).expect("it is registered");
            far.write_all(b"x").expect("room");
            let mut events = mio::Events::with_capacity(8);
            poll.poll(&mut events, Some(Duration::ZERO)).expect("a poll");
            assert!(events.is_empty());
            let told = |events: &mio::Events| -> Vec<_> {
                events
                    .iter()
                    .map(|event| (event.token(), event.is_readable(), event.is_read_closed()))
                    .collect()
            };
            poll.registry().reregister(&mut source, Token(7), Interest::READABLE).expect("registered");
            poll.poll(&mut events, Some(Duration::ZERO)).expect("a poll");
            assert_eq!(told(&events), [(Token(7), true, false)]);
            ignore(poll.as_raw_fd(), descriptor, 7).expect("it is registered");
            drop(far);
            poll.poll(&mut events, None).expect("a poll");
            assert_eq!(told(&events), [(Token(7), false, true)]);
            poll.registry().deregister(&mut source).expect("it is registered");
            assert!(ignore(poll.as_raw_fd(), descriptor, 7).is_err());
        }

        #[test]
        fn what_is_ignored_tells_of_the_end_of_its_stream() {
            let mut poll = Poll::new().expect("a poll");
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a place");
            let near = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
            let (mut far, _) = listener.accept().expect("who connected");
            let descriptor = near.as_raw_fd();
            let mut source = SourceFd(&descriptor);
            poll.registry().register(&mut source, Token(7), Interest::READABLE).expect("registered");
            ignore(poll.as_raw_fd(), descriptor, 7).expect("it is registered");
            far.write_all(b"x").expect("room");
            (&near).read_exact(&mut [0]).expect("it was written");
            let mut events = mio::Events::with_capacity(8);
            poll.poll(&mut events, Some(Duration::ZERO)).expect("a poll");
            assert!(events.is_empty());
            far.shutdown(Shutdown::Write).expect("a connection");
            poll.poll(&mut events, None).expect("a poll");
            let told: Vec<_> = events.iter().map(Happened::from).collect();
            assert_eq!(told, [Happened { token: 7, readable: true, writable: false, closed: true }]);
        }

        #[test]
        fn timeouts_are_rounded_up_and_may_be_endless() {
            let ns = Duration::from_nanos;
            assert_eq!(milliseconds(None), -1);
            assert_eq!(milliseconds(Some(ns(0))), 0);
            assert_eq!(milliseconds(Some(ns(1))), 1);
            assert_eq!(milliseconds(Some(ns(2_000_000))), 2);
            assert_eq!(milliseconds(Some(Duration::MAX)), libc::c_int::MAX);
        }

        #[test]
        fn an_end_is_readable_and_an_error_is_writable_too() {
            let from =
                |flags: libc::c_int| Happened::from(&libc::epoll_event { events: flags as u32, u64: 0 });
            let all = Happened { token: 0, readable: true, writable: true, closed: true };
            assert_eq!(from(libc::EPOLLERR), all);
            assert_eq!(from(libc::EPOLLHUP | libc::EPOLLIN), all);
            assert_eq!(from(libc::EPOLLIN | libc::EPOLLRDHUP), Happened { writable: false, ..all });
            let quiet = Happened { readable: false, closed: false, ..all };
            assert_eq!(from(libc::EPOLLOUT), quiet);
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod nothing {
    use super::*;

    pub(crate) const IS_POSSIBLE: bool = false;

    /// There is no such way here.
    pub(crate) fn ignore(_: RawFd, _: RawFd, _: usize) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Nobody stands by here.
    pub(crate) fn wait(_: RawFd, _: Option<Duration>, _: impl FnMut(Happened)) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
