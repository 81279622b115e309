//! Waiting for several sockets at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Socket;
use crate::engine::{Bed, Core};
use crate::error::Error;
use crate::protocol::Readiness;
use crate::sys::Park;

/// What to wait for.
///
/// ```
/// let either = spmsg::Interest { recv: true, send: true };
/// assert_ne!(either, spmsg::Interest::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// A receive that would not block.
    pub recv: bool,
    /// A send that would not block.
    pub send: bool,
}

/// One socket of a [`poll`].
///
/// ```
/// use std::time::Duration;
/// use spmsg::{Interest, Pull, PollItem, poll};
/// let pull = Pull::new()?;
/// let mut items = [PollItem::new(pull.socket(), Interest { recv: true, send: false })];
/// assert_eq!(poll(&mut items, Some(Duration::from_millis(1)), false)?, 0);
/// assert!(!items[0].ready().recv);
/// # Ok::<(), spmsg::Error>(())
/// ```
#[derive(Debug)]
pub struct PollItem<'a> {
    socket: &'a Socket,
    interest: Interest,
    ready: Interest,
}

impl<'a> PollItem<'a> {
    /// Waits for `interest` on `socket`.
    pub fn new(socket: &'a Socket, interest: Interest) -> Self {
        PollItem { socket, interest, ready: Interest::default() }
    }

    /// What of the interest was ready when [`poll`] returned. A closed socket is ready for everything, and counts even
    /// without any interest: the next call says that it is closed.
    pub fn ready(&self) -> Interest {
        self.ready
    }

    fn look(&mut self) -> bool {
        let Some(Readiness { recv, send }) = self.socket.core().readiness() else {
            self.ready = self.interest;
            return true;
        };
        self.ready = Interest { recv: recv && self.interest.recv, send: send && self.interest.send };
        self.ready != Interest::default()
    }
}

/// Waits until at least one of the sockets is ready, and returns how many are; 0 after `timeout` (`None`: for ever).
///
/// With no items it sleeps. `interruptible` has a signal handler end the wait.
///
/// # Errors
/// [`Error::Unsupported`] for a direction that a socket's pattern lacks, [`Error::Interrupted`], or [`Error::Os`] when
/// the process is out of descriptors.
///
/// ```
/// use spmsg::{Interest, Pair, PollItem, poll};
/// let (a, b) = (Pair::new()?, Pair::new()?);
/// a.bind("inproc://poll-example")?;
/// b.connect("inproc://poll-example")?;
/// b.send("wake up")?;
/// let mut items = [PollItem::new(a.socket(), Interest { recv: true, send: false })];
/// assert_eq!(poll(&mut items, None, false)?, 1);
/// assert!(items[0].ready().recv);
/// # Ok::<(), spmsg::Error>(())
/// ```
pub fn poll(
    items: &mut [PollItem<'_>],
    timeout: Option<Duration>,
    interruptible: bool,
) -> Result<usize, Error> {
    for item in items.iter() {
        item.socket.check_directions(item.interest)?;
    }
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let ready = items.iter_mut().map(PollItem::look).filter(|ready| *ready).count();
        if ready > 0 {
            return Ok(ready);
        }
        if deadline.is_some_and(|at| at <= Instant::now()) {
            return Ok(0);
        }
        match sleep(items, deadline)? {
            Park::Interrupted if interruptible => return Err(Error::Interrupted),
            _ => (),
        }
    }
}

/// Sleeps unless one of the sockets has become ready meanwhile.
fn sleep(items: &[PollItem<'_>], deadline: Option<Instant>) -> Result<Park, Error> {
    let reactor = items.iter().find_map(|item| item.socket.core().shared_reactor());
    let mut bed = Bed::make(reactor)?;
    let mut watched: Vec<(&Arc<Core>, u64)> = Vec::with_capacity(items.len());
    let mut outcome = None;
    for item in items {
        let core = item.socket.core();
        match core.watch(item.interest.recv, item.interest.send, bed.waker()) {
            Some(id) => watched.push((core, id)),
            None => {
                outcome = Some(Park::Woken);
                break;
            }
        }
    }
    let outcome = outcome.unwrap_or_else(|| {
        // With a threadless engine this thread turns it; without sockets it only sleeps.
        match watched.first() {
            Some((core, _)) => core.sleep(&mut bed, deadline, None),
            None => bed.sleep(deadline, None),
        }
    });
    for (core, id) in watched {
        core.unwatch(id);
    }
    Ok(outcome)
}
