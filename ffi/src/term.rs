//! The end of the library and of the process, and the I/O threads.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::errno::Errno;
use crate::guard::guard;
use crate::table;

/// Closes all sockets, as nn_close would, under one deadline. Afterwards nn_socket fails with ETERM and
/// everything else that takes a socket with EBADF; message buffers stay valid. Does nothing before the
/// first nn_socket.
#[unsafe(no_mangle)]
pub extern "C" fn nn_term() {
    guard(|| {
        if let Some(table) = table::existing() {
            table.terminate();
        }
        Ok(())
    });
}

/// Allows sockets again after nn_term, for which it waits if it is running.
#[unsafe(no_mangle)]
pub extern "C" fn nn_init() {
    guard(|| {
        table::table().restart();
        Ok(())
    });
}

/// Sets how many I/O threads serve the sockets, now and whenever they start: 1 (the default) to 64. The
/// environment variable SPMSG_IO_THREADS wins at the start. An extension of spmsg.
///
/// Returns 0. Errors: EINVAL, and the system's when it is out of descriptors or threads.
#[unsafe(no_mangle)]
pub extern "C" fn spmsg_io_threads(n: c_int) -> c_int {
    guard(|| match usize::try_from(n) {
        Ok(threads @ 1..=spmsg::limits::IO_THREADS_MAX) => match spmsg::set_io_threads(threads) {
            Ok(()) => Ok(0),
            Err(error) => Err(Errno(error.raw_os_error().unwrap_or(libc::EAGAIN))),
        },
        _ => Err(Errno(libc::EINVAL)),
    })
}

/// Switches spinning off (0) or on (anything else) for the whole process, from the next wait on, whatever the environment
/// variable SPMSG_SPIN says: a call that waits in a brisk conversation looks for its message for at most 50 us before it
/// sleeps. On by default, save with one processor. An extension of spmsg.
#[unsafe(no_mangle)]
pub extern "C" fn spmsg_spin(on: c_int) {
    guard(|| {
        spmsg::set_spinning(on != 0);
        Ok(())
    });
}

/// Sees to it that a normal exit delivers what was accepted though nobody called nn_close. A forked child
/// inherits the handler but not the table, so it flushes its own sockets and nothing of the parent's.
pub(crate) fn flush_at_exit() {
    // Not a `Once`: one that another thread is inside of at the moment of a fork stays closed in the child for ever.
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    if !REGISTERED.swap(true, Ordering::AcqRel) {
        // SAFETY: the handler is a function of this library; if the library is unloaded first, it runs
        // then. Without memory for it nothing is flushed.
        unsafe { libc::atexit(at_exit) };
    }
}

extern "C" fn at_exit() {
    guard(|| {
        if let Some(table) = table::existing() {
            table.flush_at_exit();
        }
        Ok(())
    });
}
