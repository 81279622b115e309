//! Knows whether the process is a fork of the one that made a thing.
//!
//! Threads do not survive a fork and locks may be held by threads that are gone, so the child touches nothing of
//! the parent's: everything remembers the generation in which it was made, and global state is reached through
//! pointers that the child forgets (see [`forget_parent`]).

use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Most places that can ask to be forgotten: the core's globals and the C interface's table.
const FORGETTERS_MAX: usize = 4;
static FORGETTERS: [AtomicPtr<()>; FORGETTERS_MAX] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; FORGETTERS_MAX];
static FORGETTERS_LEN: AtomicUsize = AtomicUsize::new(0);
static INSTALL: Once = Once::new();

/// How many forks lie between the first process and this one, as far as the library was loaded.
pub(crate) fn generation() -> u64 {
    INSTALL.call_once(|| {
        // SAFETY: the handler is a plain function that lives as long as the process and only stores to atomics,
        // which is safe in the child of a threaded process.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
    GENERATION.load(Ordering::Acquire)
}

/// Has `forget` called in the child of every later fork. It runs where hardly anything is allowed: it may store to
/// atomics and must not lock, allocate or free.
pub(crate) fn forget_parent(forget: fn()) {
    let at = FORGETTERS_LEN.fetch_add(1, Ordering::AcqRel);
    if let Some(place) = FORGETTERS.get(at) {
        place.store(forget as *mut (), Ordering::Release);
    }
    debug_assert!(at < FORGETTERS_MAX);
}

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::AcqRel);
    for place in &FORGETTERS {
        let forget = place.load(Ordering::Acquire);
        if !forget.is_null() {
            // SAFETY: only `forget_parent` stores here, and only values of type fn().
            let forget = unsafe { std::mem::transmute::<*mut (), fn()>(forget) };
            forget();
        }
    }
}
