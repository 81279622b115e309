//! nn_poll: waiting for several sockets.

use std::ffi::{c_int, c_short};
use std::time::Duration;

use spmsg::compat::Wait;
use spmsg::{Error, Interest, PollItem};

use crate::errno::Errno;
use crate::guard::guard;
use crate::pointer::Array;
use crate::slot::Held;
use crate::symbol::{NN_POLLIN, NN_POLLOUT};
use crate::table::{self, Entry};

/// What to wait for on one socket, and what was ready.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct nn_pollfd {
    /// Number of the socket. Ignored if no events are asked for.
    pub fd: c_int,
    /// NN_POLLIN, NN_POLLOUT.
    pub events: c_short,
    /// Those of them that are ready.
    pub revents: c_short,
}

impl nn_pollfd {
    /// `None` when nothing is asked for; bits that do not exist ask for nothing.
    fn interest(&self) -> Option<Interest> {
        let events = c_int::from(self.events);
        let interest = Interest { recv: events & NN_POLLIN != 0, send: events & NN_POLLOUT != 0 };
        (interest != Interest::default()).then_some(interest)
    }
}

fn events(ready: Interest) -> c_short {
    let recv = if ready.recv { NN_POLLIN as c_short } else { 0 };
    let send = if ready.send { NN_POLLOUT as c_short } else { 0 };
    recv | send
}

/// Waits until a send or receive would not block on one of the sockets, or until `timeout` milliseconds
/// have passed; a negative timeout is for ever. Without sockets it sleeps.
///
/// Returns how many entries are ready, 0 after the timeout, and writes `revents` of all. A socket that is
/// closed meanwhile is ready for everything asked for. Errors: EBADF, ENOPROTOOPT for a direction the
/// socket lacks, EINVAL, EFAULT, EINTR.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_poll(fds: *mut nn_pollfd, nfds: c_int, timeout: c_int) -> c_int {
    guard(|| {
        if nfds < 0 {
            return Err(Errno(libc::EINVAL));
        }
        // SAFETY: the caller's array, as the interface demands.
        let array = unsafe { Array::new(fds, nfds) }?;
        let wanted = wanted(&array)?;
        let mut items: Vec<PollItem<'_>> =
            wanted.iter().map(|wanted| PollItem::new(&wanted.entry.socket, wanted.interest)).collect();
        let timeout = u64::try_from(timeout).ok().map(Duration::from_millis);
        let ready = spmsg::poll(&mut items, timeout, true)?;
        if ready > 0 && closed_by_exit(&wanted, timeout) {
            return Ok(report(&array, &[], &[]));
        }
        Ok(report(&array, &wanted, &items))
    })
}

/// An entry that asks for something.
struct Wanted {
    index: usize,
    entry: Held<'static>,
    interest: Interest,
}

fn wanted(array: &Array<nn_pollfd>) -> Result<Vec<Wanted>, Errno> {
    let mut wanted = Vec::new();
    for (index, fd) in array.iter().enumerate() {
        let Some(interest) = fd.interest() else { continue };
        let entry = table::find(fd.fd)?;
        let protocol = entry.socket.protocol();
        if interest.recv && !protocol.can_recv() || interest.send && !protocol.can_send() {
            return Err(Errno(libc::ENOPROTOOPT));
        }
        wanted.push(Wanted { index, entry, interest });
    }
    Ok(wanted)
}

/// Writes `revents` of all entries; returns how many are ready.
fn report(array: &Array<nn_pollfd>, wanted: &[Wanted], items: &[PollItem<'_>]) -> c_int {
    let mut found = wanted.iter().zip(items).peekable();
    let mut ready = 0;
    for (index, fd) in array.iter().enumerate() {
        let item = found.next_if(|(wanted, _)| wanted.index == index);
        let revents = item.map_or(0, |(_, item)| events(item.ready()));
        ready += c_int::from(revents != 0);
        array.set(index, nn_pollfd { revents, ..fd });
    }
    ready
}

/// Whether nothing is ready but what the exit handler has closed, and the timeout is over: see
/// [`table::closed`].
fn closed_by_exit(wanted: &[Wanted], timeout: Option<Duration>) -> bool {
    let closed = |wanted: &Wanted| matches!(wanted.entry.socket.options(), Err(Error::Closed));
    if !wanted.iter().any(closed) {
        return false;
    }
    let entries: Vec<&Entry> = wanted.iter().map(|wanted| &*wanted.entry).collect();
    table::closed(&entries, Wait::For(timeout)) == Errno(libc::ETIMEDOUT)
}
