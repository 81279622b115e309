//! [`Inbound`]: what waits for the application, counted by whoever reads and by whoever receives.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::engine::credit::Credit;

/// The thread that reads looks without the lock, a leaf: what it sees is never too good, as only that thread takes room.
pub(super) struct Inbound {
    credit: Mutex<Credit>,
    /// As of the last change of the credit.
    full: AtomicBool,
    room: AtomicUsize,
}

impl Inbound {
    pub(super) fn new(bound: usize) -> Self {
        let credit = Credit::with_slack(bound);
        let (full, room) = (AtomicBool::new(credit.is_full()), AtomicUsize::new(credit.room()));
        Inbound { credit: Mutex::new(credit), full, room }
    }

    /// Whether nothing more may be read now.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// Messages of a sum below this enter, all of them.
    pub(super) fn room(&self) -> usize {
        self.room.load(Ordering::Acquire)
    }

    pub(super) fn waiting(&self) -> usize {
        self.credit.lock().waiting()
    }

    /// `bytes` were read. Returns whether it is full now.
    pub(super) fn charge(&self, bytes: usize) -> bool {
        self.change(|credit| credit.charge(bytes))
    }

    /// The application took `bytes`. Returns true when this ended fullness: then somebody has to read on.
    pub(super) fn release(&self, bytes: usize) -> bool {
        self.change(|credit| credit.release(bytes))
    }

    fn change(&self, change: impl FnOnce(&mut Credit) -> bool) -> bool {
        let mut credit = self.credit.lock();
        let said = change(&mut credit);
        self.full.store(credit.is_full(), Ordering::Release);
        self.room.store(credit.room(), Ordering::Release);
        said
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        fn says_what_the_credit_says(bound: u8, ops: Vec<(bool, u8)>) -> bool {
            let (inbound, mut credit) = (Inbound::new(bound.into()), Credit::with_slack(bound.into()));
            ops.into_iter().all(|(takes, bytes)| {
                let bytes = bytes.into();
                let same = if takes {
                    inbound.charge(bytes) == credit.charge(bytes)
                } else {
                    inbound.release(bytes) == credit.release(bytes)
                };
                same && inbound.is_full() == credit.is_full()
                    && inbound.room() == credit.room()
                    && inbound.waiting() == credit.waiting()
            })
        }
    }
}
