//! Threads of the library: named, and deaf to the program's signals.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread that has every signal blocked, so that the program's handlers run in the program's threads.
pub(crate) fn spawn_masked(name: String, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset initialises `all`; pthread_sigmask reads it and initialises `before`.
    let masked = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr())
    };
    let spawned = Builder::new().name(name).spawn(body);
    if masked == 0 {
        // SAFETY: `before` was filled in by the successful call above.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    }
    spawned
}
