//! [`Blocks`]: memory for copies of large bodies that go from one thread to another.
//!
//! What a thread has read is in its processor's cache, and for another processor such memory is slow to write to: four
//! times slower than memory that neither has used for a while. An allocator hands out next what was freed last. So in
//! a stream of large bodies blocks are used in turn, and there are enough of them that each has left the caches.

use std::collections::{TryReserveError, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::limits::{BLOCKS_CYCLE_BYTES, BLOCKS_CYCLE_GAP_MAX, BLOCKS_RETURN_WAIT, REUSED_MEMORY_FACTOR_MAX};

#[derive(Default)]
pub(crate) struct Blocks {
    ring: Mutex<Ring>,
}

#[derive(Default)]
struct Ring {
    /// What was returned, oldest first.
    free: VecDeque<Vec<u8>>,
    /// Of all blocks, free and lent.
    bytes: usize,
    /// How much has come in close succession, until it is enough for a stream.
    streamed: usize,
    last: Option<Instant>,
}

/// A block with a body in it.
struct Lent {
    body: Vec<u8>,
    home: Weak<Blocks>,
}

impl Blocks {
    /// A copy of `body`. Fails without memory for it.
    pub(crate) fn copy_of(self: &Arc<Self>, body: &[u8]) -> Result<Bytes, TryReserveError> {
        let now = Instant::now();
        let mut block = self.ring.lock().next(body.len(), now).unwrap_or_default();
        let had = block.capacity();
        block.try_reserve_exact(body.len())?;
        if block.capacity() != had {
            self.ring.lock().bytes += block.capacity() - had;
        }
        block.extend_from_slice(body);
        Ok(Bytes::from_owner(Lent { body: block, home: Arc::downgrade(self) }))
    }
}

impl Ring {
    /// A block for `len` bytes, if there are so many that it is their turn again.
    fn next(&mut self, len: usize, now: Instant) -> Option<Vec<u8>> {
        let last = self.last.replace(now);
        if last.is_none_or(|at| now.saturating_duration_since(at) >= BLOCKS_CYCLE_GAP_MAX) {
            let freed: usize = self.free.drain(..).map(|block| block.capacity()).sum();
            self.bytes = self.bytes.saturating_sub(freed);
            self.streamed = 0;
        }
        if !self.is_stream() {
            self.streamed += len;
        }
        if self.bytes < BLOCKS_CYCLE_BYTES {
            return None;
        }
        let block = self.free.pop_front()?;
        if (len..=len.saturating_mul(REUSED_MEMORY_FACTOR_MAX)).contains(&block.capacity()) {
            return Some(block);
        }
        self.bytes = self.bytes.saturating_sub(block.capacity());
        None
    }

    fn is_stream(&self) -> bool {
        self.streamed >= BLOCKS_CYCLE_BYTES
    }

    /// The block, if it is not wanted back.
    fn give_back(&mut self, mut block: Vec<u8>) -> Option<Vec<u8>> {
        let others = self.bytes.saturating_sub(block.capacity());
        if others >= BLOCKS_CYCLE_BYTES || !self.is_stream() {
            self.bytes = others;
            return Some(block);
        }
        block.clear();
        self.free.push_back(block);
        None
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(home) = self.home.upgrade() else { return };
        let block = std::mem::take(&mut self.body);
        // A forked child may have inherited the lock of a thread that it does not have: then the block is freed.
        let unwanted = match home.ring.try_lock_for(BLOCKS_RETURN_WAIT) {
            Some(mut ring) => ring.give_back(block),
            None => Some(block),
        };
        drop(unwanted);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BODY: usize = 64 * 1024;

    fn bytes(blocks: &Blocks) -> (usize, usize) {
        let ring = blocks.ring.lock();
        (ring.bytes, ring.free.iter().map(Vec::capacity).sum())
    }

    #[test]
    fn a_stream_uses_blocks_in_turn() {
        let blocks = Arc::new(Blocks::default());
        let body = vec![7; BODY];
        let mut addresses = Vec::new();
        for turn in 0..3 {
            addresses.clear();
            for _ in 0..2 * BLOCKS_CYCLE_BYTES / BODY {
                // As if no time had passed, on a slow machine too.
                blocks.ring.lock().last = Some(Instant::now());
                let copy = blocks.copy_of(&body).expect("there is memory");
                assert!(copy == body, "{turn}");
                addresses.push(copy.as_ptr().addr());
            }
        }
        let (one_turn, next) = addresses.split_at(BLOCKS_CYCLE_BYTES / BODY);
        assert_eq!(one_turn, next);
        assert!(bytes(&blocks).0 <= BLOCKS_CYCLE_BYTES + BODY);
    }

    #[test]
    fn what_comes_slowly_gets_no_blocks_and_ends_the_stream() {
        let now = Instant::now();
        let mut ring = Ring {
            bytes: BLOCKS_CYCLE_BYTES,
            streamed: BLOCKS_CYCLE_BYTES,
            last: Some(now),
            ..Ring::default()
        };
        assert!(ring.give_back(Vec::with_capacity(BODY)).is_none());
        let later = now + Duration::from_millis(1);
        let block = ring.next(BODY, later).expect("it is its turn");
        assert!(ring.give_back(block).is_none());
        assert!(ring.next(BODY, later + BLOCKS_CYCLE_GAP_MAX).is_none());
        assert_eq!((ring.free.len(), ring.bytes), (0, BLOCKS_CYCLE_BYTES - BODY));
        assert!(ring.give_back(Vec::with_capacity(BODY)).is_some());
    }

    #[test]
    fn a_block_fits_the_body() {
        let now = Instant::now();
        for (capacity, fits) in [(BODY - 1, false), (BODY, true), (2 * BODY, true), (2 * BODY + 1, false)] {
            let mut ring = Ring { bytes: 2 * BLOCKS_CYCLE_BYTES, last: Some(now), ..Ring::default() };
            ring.free.push_back(Vec::with_capacity(capacity));
            assert_eq!(ring.next(BODY, now).is_some(), fits, "{capacity}");
            assert_eq!(ring.bytes, 2 * BLOCKS_CYCLE_BYTES - if fits { 0 } else { capacity });
        }
    }

    #[test]
    fn what_is_held_for_long_is_not_kept_afterwards() {
        let blocks = Arc::new(Blocks::default());
        let held: Vec<_> = (0..3 * BLOCKS_CYCLE_BYTES / BODY)
            .map(|_| blocks.copy_of(&[0; BODY]).expect("there is memory"))
            .collect();
        assert_eq!(bytes(&blocks), (3 * BLOCKS_CYCLE_BYTES, 0));
        drop(held);
        let (all, free) = bytes(&blocks);
        assert_eq!(all, free);
        assert!(all <= BLOCKS_CYCLE_BYTES + BODY, "{all}");
    }

    #[test]
    fn a_block_outlives_its_home() {
        let blocks = Arc::new(Blocks::default());
        let copy = blocks.copy_of(&[9; BODY]).expect("there is memory");
        drop(blocks);
        assert!(copy.iter().all(|byte| *byte == 9));
    }
}
