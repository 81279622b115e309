//! nn_device: forwarding between raw sockets.

use std::convert::Infallible;
use std::ffi::c_int;

use spmsg::compat::Wait;
use spmsg::{Device, Error};

use crate::errno::Errno;
use crate::guard::guard;
use crate::table::{self, Entry};

/// Forwards messages, routing headers included, between two raw sockets, or with -1 as one of them from the
/// other back to itself, until a receive or send fails. The sockets stay open.
///
/// Always returns -1. Errors: EBADF, also when a socket is closed; EINVAL for sockets that do not fit;
/// ENOTSUP for a loop-back that cannot work; ETIMEDOUT by the sockets' timeouts; EINTR in one direction and
/// in loop-back.
#[unsafe(no_mangle)]
pub extern "C" fn nn_device(s1: c_int, s2: c_int) -> c_int {
    guard(|| match (s1 < 0, s2 < 0) {
        (true, true) => Err(Errno(libc::EBADF)),
        (true, false) => Err(loopback(s2)),
        (false, true) => Err(loopback(s1)),
        (false, false) => Err(between(s1, s2)),
    })
}

fn loopback(number: c_int) -> Errno {
    table::find(number).map_or_else(|error| error, |entry| run(&entry, &entry))
}

fn between(s1: c_int, s2: c_int) -> Errno {
    let (first, second) = match (table::find(s1), table::find(s2)) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(error), _) | (_, Err(error)) => return error,
    };
    let protocol = first.socket.protocol();
    // A socket with itself is a loop-back, but here it must be able to be one.
    if s1 == s2 && !(protocol.can_send() && protocol.can_recv()) {
        return Errno(libc::EINVAL);
    }
    run(&first, &second)
}

fn run(first: &Entry, second: &Entry) -> Errno {
    let ended: Result<Infallible, Error> =
        Device::new(&first.socket, &second.socket).and_then(|device| device.run_interruptible());
    match ended {
        Ok(never) => match never {},
        Err(Error::Closed) => table::closed(&[first, second], Wait::For(None)),
        Err(error) => error.into(),
    }
}
