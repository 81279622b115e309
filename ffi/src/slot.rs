//! [`Slot`]: the place of one socket number. Finding a socket is part of every call: it takes no lock, and two atomic
//! additions.

use std::ops::Deref;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::time::Instant;

use crate::table::Entry;

/// The socket that a number stands for, if any, and how many calls are using it.
///
/// Apart from its neighbours, two cache lines as processors fetch them, so that threads that use different sockets do not
/// slow each other down.
#[repr(align(128))]
pub(crate) struct Slot {
    entry: AtomicPtr<Entry>,
    users: AtomicUsize,
}

/// A call's hold on a socket: it is not freed before this is dropped.
pub(crate) struct Held<'a> {
    slot: &'a Slot,
    entry: &'a Entry,
}

/// A socket whose number stands for nothing any more; calls that found it before may still be in it.
pub(crate) struct Removed<'a> {
    slot: &'a Slot,
    entry: *mut Entry,
}

impl Slot {
    pub(crate) fn new() -> Slot {
        Slot { entry: AtomicPtr::new(std::ptr::null_mut()), users: AtomicUsize::new(0) }
    }

    /// Makes the number stand for `entry`; it stood for nothing before.
    pub(crate) fn fill(&self, entry: Entry) {
        let entry = Box::into_raw(Box::new(entry));
        let before = self.entry.swap(entry, Ordering::SeqCst);
        debug_assert!(before.is_null(), "the caller gives each number out once");
    }

    #[inline]
    pub(crate) fn find(&self) -> Option<Held<'_>> {
        // Counted before it looks: whoever removes the entry looks at the count afterwards.
        self.users.fetch_add(1, Ordering::SeqCst);
        let entry = self.entry.load(Ordering::SeqCst);
        // SAFETY: NULL or from `fill`, and freed only after it was removed and the count was seen at nothing since.
        match unsafe { entry.as_ref() } {
            Some(entry) => Some(Held { slot: self, entry }),
            None => {
                self.users.fetch_sub(1, Ordering::SeqCst);
                None
            }
        }
    }

    /// Takes the socket out; `None` if there is none, or another thread was quicker.
    pub(crate) fn remove(&self) -> Option<Removed<'_>> {
        let entry = self.entry.swap(std::ptr::null_mut(), Ordering::SeqCst);
        if entry.is_null() { None } else { Some(Removed { slot: self, entry }) }
    }
}

impl Deref for Held<'_> {
    type Target = Entry;

    #[inline]
    fn deref(&self) -> &Entry {
        self.entry
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        self.slot.users.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Removed<'_> {
    /// Frees the socket once no call uses it; `wait` sleeps a moment. After `deadline` it is left to the calls that are
    /// still in it, for good.
    pub(crate) fn free(self, deadline: Instant, wait: impl Fn()) {
        while self.slot.users.load(Ordering::SeqCst) > 0 {
            if Instant::now() >= deadline {
                return;
            }
            wait();
        }
        // SAFETY: from Box::into_raw in `fill`; removed once, and nobody that found it before still holds it.
        drop(unsafe { Box::from_raw(self.entry) });
    }
}

impl Deref for Removed<'_> {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        // SAFETY: from Box::into_raw in `fill`; this is its only owner, and lives.
        unsafe { &*self.entry }
    }
}
