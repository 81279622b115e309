//! The few things there is one of in a process: the default engine and the inproc names.

use std::sync::atomic::{AtomicPtr, Ordering};

use parking_lot::Mutex;

use super::Shared;
use crate::engine::inproc;
use crate::sys;

/// Reached through [`process`] only.
#[derive(Default)]
pub(crate) struct Process {
    /// The default engine and how many sockets use it.
    pub(crate) engine: Mutex<Option<Shared>>,
    pub(crate) inproc: inproc::Registry,
}

fn forget() {
    PROCESS.store(std::ptr::null_mut(), Ordering::Release);
}

static PROCESS: AtomicPtr<Process> = AtomicPtr::new(std::ptr::null_mut());

/// This process's globals. A forked child gets new ones: the parent's may be locked by threads that do not exist
/// in the child, so they are forgotten, not freed.
#[allow(unsafe_code)]
pub(crate) fn process() -> &'static Process {
    let mut current = PROCESS.load(Ordering::Acquire);
    if current.is_null() {
        sys::forget_parent(forget);
        let fresh = Box::into_raw(Box::<Process>::default());
        match PROCESS.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => current = fresh,
            Err(others) => {
                // SAFETY: `fresh` came from Box::into_raw above and was not shared.
                drop(unsafe { Box::from_raw(fresh) });
                current = others;
            }
        }
    }
    // SAFETY: the pointer came from Box::into_raw, is never null here, and what it points to is never freed.
    unsafe { &*current }
}
