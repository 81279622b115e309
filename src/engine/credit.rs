//! [`Credit`]: how many bytes may wait in one direction of one pipe. Pure.

/// A byte bound with nanomsg's rule: a message enters when nothing waits or the sum stays below the bound; one more
/// message is taken beyond it, and then the direction is full until that one would have entered too.
///
/// So a bound of 200 takes twenty messages of 10 bytes, and any single message passes an empty queue.
#[derive(Debug)]
pub(crate) struct Credit {
    bound: usize,
    /// Fullness ends when less than this waits: the bound itself, or less where stopping and going on costs more than
    /// taking a message.
    resume_below: usize,
    waiting: usize,
    /// Size of the message that did not enter, while there is one.
    beyond: Option<usize>,
}

impl Credit {
    pub(crate) fn new(bound: usize) -> Self {
        Credit { bound, resume_below: bound, waiting: 0, beyond: None }
    }

    /// The same bound, but once full it stays so until half of it is free.
    pub(crate) fn with_slack(bound: usize) -> Self {
        Credit { bound, resume_below: bound / 2, waiting: 0, beyond: None }
    }

    /// Bytes that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether nothing more may be taken now.
    pub(crate) fn is_full(&self) -> bool {
        self.beyond.is_some()
    }

    /// Whether at most half of the bound waits.
    pub(crate) fn is_half_free(&self) -> bool {
        self.waiting <= self.bound / 2
    }

    /// Messages of a sum below this enter, all of them.
    pub(crate) fn room(&self) -> usize {
        if self.is_full() { 0 } else { self.bound.saturating_sub(self.waiting) }
    }

    /// `bytes` are taken. Returns whether the direction is full now.
    pub(crate) fn charge(&mut self, bytes: usize) -> bool {
        let enters = self.waiting == 0 || self.waiting.saturating_add(bytes) < self.bound;
        self.waiting = self.waiting.saturating_add(bytes);
        if !enters {
            self.beyond = Some(bytes);
        }
        self.is_full()
    }

    /// `bytes` wait no longer. Returns true when this ended fullness: whoever stopped may go on.
    pub(crate) fn release(&mut self, bytes: usize) -> bool {
        self.waiting = self.waiting.saturating_sub(bytes);
        match self.beyond {
            Some(last) if self.waiting <= last || self.waiting < self.resume_below => {
                self.beyond = None;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;
    use std::collections::VecDeque;

    #[test]
    fn twenty_messages_of_ten_bytes_fit_a_bound_of_200() {
        let mut credit = Credit::new(200);
        let mut taken = 0;
        while !credit.is_full() {
            credit.charge(10);
            taken += 1;
        }
        assert_eq!(taken, 20);
        assert!(credit.release(10), "one message less makes room");
        assert!(credit.charge(10), "for exactly one");
    }

    #[test]
    fn a_message_above_the_bound_passes_an_empty_queue() {
        let mut credit = Credit::new(200);
        assert!(!credit.charge(256));
        assert!(credit.charge(1), "and nothing more than one beyond it");
        assert!(!credit.release(1), "the large one still waits, so the small one is still beyond");
        assert!(credit.release(255));
    }

    #[test]
    fn with_slack_it_resumes_when_half_is_free() {
        let mut credit = Credit::with_slack(100);
        while !credit.charge(10) {}
        let mut released = 0;
        while !credit.release(10) {
            released += 1;
        }
        assert_eq!(released, 5, "of ten that waited, the sixth brings it below fifty");
        assert!(!credit.is_full());
    }

    quickcheck! {
        /// The naive model: a queue below the bound, a slot behind it.
        fn agrees_with_a_queue_and_a_slot(bound: u8, operations: Vec<(bool, u8)>) -> bool {
            let bound = usize::from(bound).max(1);
            let mut credit = Credit::new(bound);
            let (mut queue, mut slot) = (VecDeque::new(), None);
            for (add, size) in operations {
                let size = usize::from(size);
                let queued: usize = queue.iter().sum();
                if add && slot.is_none() {
                    let enters = queued == 0 || queued + size < bound;
                    if enters { queue.push_back(size) } else { slot = Some(size) }
                    credit.charge(size);
                } else if !add && let Some(size) = queue.pop_front() {
                    let queued: usize = queue.iter().sum();
                    if let Some(waiting) = slot && (queued == 0 || queued + waiting < bound) {
                        queue.push_back(waiting);
                        slot = None;
                    }
                    credit.release(size);
                }
                if credit.is_full() != slot.is_some() {
                    return false;
                }
            }
            true
        }
    }
}
