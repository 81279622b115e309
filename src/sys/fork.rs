//! Knows whether the process is a fork of the one that made a thing.
//!
//! Threads do not survive a fork and locks may be held by threads that are gone, so the child touches nothing of
//! the parent's: everything remembers the generation in which it was made, and global state is reached through
//! pointers that the child forgets (see [`forget_parent`]).

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Most places that can ask to be forgotten: the core's globals and the C interface's table.
const FORGETTERS_MAX: usize = 8;
static FORGETTERS: [AtomicPtr<()>; FORGETTERS_MAX] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; FORGETTERS_MAX];
/// Not a `Once`: one that another thread is inside of at the moment of a fork stays closed in the child for ever.
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// How many forks lie between the first process and this one, as far as the library was loaded. Only whether two of
/// these are equal means anything.
pub(crate) fn generation() -> u64 {
    if !INSTALLED.load(Ordering::Acquire) {
        // Two threads may both get here: then each fork counts twice, which is as good.
        // SAFETY: the handler is a plain function that lives as long as the process and only stores to atomics,
        // which is safe in the child of a threaded process.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        INSTALLED.store(true, Ordering::Release);
    }
    GENERATION.load(Ordering::Acquire)
}

/// Has `forget` called in the child of every later fork; asking again changes nothing. It runs where hardly anything is
/// allowed: it may store to atomics and must not lock, allocate or free.
pub(crate) fn forget_parent(forget: fn()) {
    generation();
    let forget = forget as *mut ();
    for place in &FORGETTERS {
        match place.compare_exchange(std::ptr::null_mut(), forget, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return,
            Err(other) if other == forget => return,
            Err(_) => (),
        }
    }
    debug_assert!(false, "more than {FORGETTERS_MAX} places want to be forgotten");
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
