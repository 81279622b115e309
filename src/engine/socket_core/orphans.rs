//! What peers left behind: messages that wait though their pipe is gone (R119), counted so that peers which come,
//! send and go cannot fill the memory.

use std::collections::HashMap;

use crate::limits::ORPHANED_MAX_BYTES;
use crate::protocol::PipeId;

#[derive(Default)]
pub(super) struct Orphans {
    by_pipe: HashMap<PipeId, Left>,
    total: usize,
}

struct Left {
    waiting: usize,
    /// What each message counts beyond its payload.
    overhead: usize,
}

impl Orphans {
    /// `pipe` is gone and `waiting` bytes of it are not taken yet.
    pub(super) fn add(&mut self, pipe: PipeId, waiting: usize, overhead: usize) {
        if waiting > 0 {
            self.total = self.total.saturating_add(waiting);
            self.by_pipe.insert(pipe, Left { waiting, overhead });
        }
    }

    /// A message of `bytes` that `pipe` left behind waits no longer.
    pub(super) fn release(&mut self, pipe: PipeId, bytes: usize) {
        let Some(left) = self.by_pipe.get_mut(&pipe) else { return };
        let gone = bytes.saturating_add(left.overhead).min(left.waiting);
        left.waiting -= gone;
        self.total = self.total.saturating_sub(gone);
        if left.waiting == 0 {
            self.by_pipe.remove(&pipe);
        }
    }

    /// Whether so much is left behind that no new peer may add to it.
    pub(super) fn is_full(&self) -> bool {
        self.total > ORPHANED_MAX_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_until_all_of_a_pipe_is_taken() {
        let (first, second) = (PipeId::new(0, 1), PipeId::new(0, 2));
        let mut orphans = Orphans::default();
        orphans.add(first, 0, 9);
        assert!(orphans.by_pipe.is_empty());
        orphans.add(first, ORPHANED_MAX_BYTES, 9);
        assert!(!orphans.is_full());
        orphans.add(second, 2 * (5 + 9), 9);
        assert!(orphans.is_full());
        orphans.release(second, 5);
        orphans.release(second, 5);
        assert!(!orphans.is_full());
        assert!(!orphans.by_pipe.contains_key(&second));
        orphans.release(second, 5);
        orphans.release(first, ORPHANED_MAX_BYTES);
        assert_eq!(orphans.total, 0);
    }
}
