//! What waits to be written to one connection: small frames in one contiguous buffer, large bodies by
//! reference.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use crate::limits::{BODY_BY_REFERENCE_BYTES, GATHER_SLICES_MAX, IDLE_BUFFER_KEEP_BYTES};

/// Bytes in order, ready for a gather write.
///
/// Small pieces are appended to one buffer, so that many messages leave in one slice; a body of
/// [`BODY_BY_REFERENCE_BYTES`] or more is a slice of its own.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    /// Everything before `tail`, in order.
    chunks: VecDeque<Bytes>,
    /// The contiguous buffer that small pieces go to; bytes before `tail_start` are written.
    tail: Vec<u8>,
    tail_start: usize,
    bytes: usize,
}

impl SendQueue {
    /// Bytes not yet written.
    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Appends a copy of `piece`.
    #[inline]
    pub(crate) fn put(&mut self, piece: &[u8]) {
        if self.tail.capacity() - self.tail.len() < piece.len() {
            self.reclaim_written();
        }
        self.tail.extend_from_slice(piece);
        self.bytes += piece.len();
    }

    /// Appends a copy of `piece`, changed by `change`.
    #[cfg(feature = "ws")]
    pub(crate) fn put_changed(&mut self, piece: &[u8], change: impl FnOnce(&mut [u8])) {
        self.put(piece);
        let start = self.tail.len() - piece.len();
        change(self.tail.get_mut(start..).unwrap_or_default());
    }

    /// Appends `body`, by reference when it is large.
    pub(crate) fn put_bytes(&mut self, body: &Bytes) {
        if body.len() < BODY_BY_REFERENCE_BYTES {
            return self.put(body);
        }
        self.seal_tail();
        self.bytes += body.len();
        self.chunks.push_back(body.clone());
    }

    /// Moves everything of `other` behind what is here.
    pub(crate) fn append(&mut self, other: &mut SendQueue) {
        if self.is_empty() {
            // The usual case: the writer is done and takes the whole queue; buffers change places, nothing is
            // copied.
            self.clear();
            std::mem::swap(self, other);
            return;
        }
        if other.chunks.is_empty() && other.bytes < BODY_BY_REFERENCE_BYTES {
            // A chunk would cost more than this copy, and both buffers stay in use.
            self.put(other.unwritten_tail());
            other.clear();
            return;
        }
        self.seal_tail();
        self.chunks.append(&mut other.chunks);
        self.bytes += other.bytes;
        std::mem::swap(&mut self.tail, &mut other.tail);
        self.tail_start = std::mem::take(&mut other.tail_start);
        other.clear();
    }

    /// All of it, if that is one slice.
    pub(crate) fn only_slice(&self) -> Option<&[u8]> {
        self.chunks.is_empty().then(|| self.unwritten_tail())
    }

    /// The front of the queue as slices for one gather write. `out` is cleared first.
    pub(crate) fn slices<'a>(&'a self, out: &mut smallvec::SmallVec<[IoSlice<'a>; GATHER_SLICES_MAX]>) {
        out.clear();
        out.extend(self.chunks.iter().take(GATHER_SLICES_MAX).map(|chunk| IoSlice::new(chunk)));
        let rest = self.unwritten_tail();
        if out.len() < GATHER_SLICES_MAX && !rest.is_empty() {
            out.push(IoSlice::new(rest));
        }
    }

    /// `written` bytes of the front have left.
    pub(crate) fn advance(&mut self, mut written: usize) {
        debug_assert!(written <= self.bytes);
        if written == self.bytes {
            return self.clear();
        }
        self.bytes = self.bytes.saturating_sub(written);
        while let Some(front) = self.chunks.front_mut() {
            if written < front.len() {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.chunks.pop_front();
        }
        self.tail_start = self.tail_start.saturating_add(written).min(self.tail.len());
    }

    /// Forgets everything; the buffer stays for the next messages.
    pub(crate) fn clear(&mut self) {
        if !self.chunks.is_empty() {
            self.chunks.clear();
        }
        self.tail.clear();
        self.tail_start = 0;
        self.bytes = 0;
    }

    /// Whether an empty queue has a large buffer.
    pub(crate) fn holds_much(&self) -> bool {
        self.tail.capacity() > IDLE_BUFFER_KEEP_BYTES
    }

    /// Keeps a small buffer for the next messages and gives a large one back. What waits stays.
    pub(crate) fn shrink(&mut self) {
        self.tail.shrink_to(IDLE_BUFFER_KEEP_BYTES);
        self.chunks.shrink_to(0);
    }

    fn unwritten_tail(&self) -> &[u8] {
        self.tail.get(self.tail_start..).unwrap_or_default()
    }

    /// Called when the contiguous buffer would grow: moves the unwritten bytes to its front if at least half of it is
    /// written. Without that, a queue that is never quite empty grows for ever.
    #[cold]
    fn reclaim_written(&mut self) {
        if self.tail_start >= self.tail.len() - self.tail_start {
            self.tail.drain(..self.tail_start);
            self.tail_start = 0;
        }
    }

    /// Makes the contiguous buffer a chunk, so that something can stand behind it.
    fn seal_tail(&mut self) {
        if self.tail_start < self.tail.len() {
            let mut sealed = Bytes::from(std::mem::take(&mut self.tail));
            sealed.advance(self.tail_start);
            self.chunks.push_back(sealed);
        }
        self.tail.clear();
        self.tail_start = 0;
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::{Arbitrary, Gen, quickcheck};
    use smallvec::SmallVec;

    use super::*;

    const BIG: usize = BODY_BY_REFERENCE_BYTES;

    /// Address and content of each slice of the next gather write.
    fn slices(queue: &SendQueue) -> Vec<(*const u8, Vec<u8>)> {
        let mut out = SmallVec::from_iter([IoSlice::new(b"left from the last write")]);
        queue.slices(&mut out);
        out.iter().map(|slice| (slice.as_ptr(), slice.to_vec())).collect()
    }

    fn content(queue: &SendQueue) -> Vec<u8> {
        slices(queue).into_iter().flat_map(|(_, bytes)| bytes).collect()
    }

    #[test]
    fn small_pieces_leave_in_one_slice() {
        let mut queue = SendQueue::default();
        assert!(queue.is_empty() && slices(&queue).is_empty());
        (0..100).for_each(|at| queue.put(&[at; 10]));
        queue.put_bytes(&Bytes::from(vec![100; BIG - 1]));
        assert_eq!(slices(&queue).len(), 1);
        assert_eq!(queue.len(), 1000 + BIG - 1);
    }

    #[test]
    fn large_body_is_a_slice_of_its_own_and_not_copied() {
        let mut queue = SendQueue::default();
        let body = Bytes::from(vec![7; BIG]);
        queue.put(b"before");
        queue.put_bytes(&body);
        queue.put(b"behind");
        let slices = slices(&queue);
        assert_eq!(slices.iter().map(|(_, bytes)| bytes.len()).collect::<Vec<_>>(), [6, BIG, 6]);
        assert_eq!(slices.get(1).map(|(address, _)| *address), Some(body.as_ptr()));
    }

    #[test]
    fn partly_written_body_goes_on_where_it_stopped() {
        let mut queue = SendQueue::default();
        let body = Bytes::from((0..BIG).map(|at| at as u8).collect::<Vec<_>>());
        queue.put(b"head");
        queue.put_bytes(&body);
        queue.advance(4 + 1000);
        assert_eq!(queue.len(), BIG - 1000);
        assert_eq!(content(&queue), body[1000..]);
        queue.advance(BIG - 1000);
        assert!(queue.is_empty() && slices(&queue).is_empty());
        assert!(body.is_unique(), "the queue let go of the body");
    }

    #[test]
    fn one_gather_write_has_a_bounded_number_of_slices() {
        let mut queue = SendQueue::default();
        let body = Bytes::from(vec![7; BIG]);
        (0..GATHER_SLICES_MAX).for_each(|_| queue.put_bytes(&body));
        queue.put(b"tail");
        assert_eq!(slices(&queue).len(), GATHER_SLICES_MAX);
        assert_eq!(content(&queue).len(), GATHER_SLICES_MAX * BIG);
        queue.advance(GATHER_SLICES_MAX * BIG);
        assert_eq!(content(&queue), b"tail");
    }

    #[test]
    fn append_to_an_empty_queue_changes_buffers_and_copies_nothing() {
        let (mut writer, mut outbound) = (SendQueue::default(), SendQueue::default());
        writer.put(b"earlier");
        let spare = writer.tail.as_ptr();
        writer.advance(7);
        outbound.put(b"frames");
        let address = outbound.tail.as_ptr();
        writer.append(&mut outbound);
        assert_eq!(slices(&writer), [(address, b"frames".to_vec())]);
        assert!(outbound.is_empty());
        outbound.put(b"next");
        assert_eq!(outbound.tail.as_ptr(), spare, "the writer's buffer is used again");
    }

    #[test]
    fn append_of_much_copies_nothing_and_of_little_makes_no_chunk() {
        let (mut writer, mut outbound) = (SendQueue::default(), SendQueue::default());
        writer.put(b"first");
        outbound.put(b"little");
        writer.append(&mut outbound);
        assert_eq!(slices(&writer).len(), 1);
        outbound.put(&[7; BIG + 1]);
        let address = outbound.tail.as_ptr();
        outbound.advance(1);
        writer.append(&mut outbound);
        let got = slices(&writer);
        assert_eq!(got.len(), 2);
        assert_eq!(got.get(1).map(|(at, _)| *at), Some(address.wrapping_add(1)));
        assert_eq!(writer.len(), 11 + BIG);
        assert!(outbound.is_empty() && content(&outbound).is_empty());
    }

    #[test]
    fn queue_that_is_never_empty_does_not_grow() {
        let mut queue = SendQueue::default();
        queue.put(&[1; 100]);
        for _ in 0..10_000 {
            queue.put(&[2; 100]);
            queue.advance(100);
        }
        assert_eq!(queue.len(), 100);
        assert!(queue.tail.capacity() <= 1000, "{} bytes for 200", queue.tail.capacity());
    }

    #[test]
    fn bytes_are_moved_only_when_the_buffer_would_grow_otherwise() {
        let mut queue = SendQueue { tail: Vec::with_capacity(100), ..SendQueue::default() };
        let capacity = queue.tail.capacity();
        queue.put(&vec![1; capacity - 20]);
        queue.advance(capacity - 40);
        queue.put(&[2]);
        assert_eq!(queue.tail_start, capacity - 40, "there is more room than needed");
        queue.put(&[3; 19]);
        assert_eq!(queue.tail_start, capacity - 40, "there is just enough");
        queue.put(&[4]);
        assert_eq!((queue.tail_start, queue.tail.capacity()), (0, capacity));
        assert_eq!(content(&queue), [&[1; 20][..], &[2], &[3; 19], &[4]].concat());
    }

    #[test]
    fn drained_queue_keeps_a_small_buffer_only() {
        let mut queue = SendQueue::default();
        queue.put(&vec![1; 1 << 20]);
        queue.advance(1 << 20);
        assert!(queue.holds_much(), "more may come");
        queue.shrink();
        assert!(!queue.holds_much() && queue.tail.capacity() <= IDLE_BUFFER_KEEP_BYTES);
        queue.put(&[1; 100]);
        queue.put_bytes(&Bytes::from(vec![7; BIG]));
        queue.clear();
        assert!(queue.is_empty() && slices(&queue).is_empty());
    }

    #[derive(Clone, Debug)]
    enum Op {
        Put(usize),
        PutBytes(usize),
        /// What the other queue is given and how much of that it writes itself, before it is appended.
        Append(Vec<Op>),
        Advance(usize),
    }

    impl Op {
        fn simple(g: &mut Gen) -> Op {
            let size = *g.choose(&[0, 1, 9, 500, BIG - 1, BIG, BIG + 1, 3 * BIG]).unwrap();
            match u8::arbitrary(g) % 4 {
                0 => Op::PutBytes(size),
                1 => Op::Advance(size + usize::arbitrary(g) % 100),
                _ => Op::Put(size % (BIG + 1)),
            }
        }
    }

    impl Arbitrary for Op {
        fn arbitrary(g: &mut Gen) -> Self {
            match u8::arbitrary(g) % 8 {
                0 => Op::Append((0..u8::arbitrary(g) % 6).map(|_| Op::simple(g)).collect()),
                _ => Op::simple(g),
            }
        }
    }

    /// The queue, and beside it the plain bytes it has to hold.
    #[derive(Default)]
    struct Modelled {
        queue: SendQueue,
        model: Vec<u8>,
        next: u8,
    }

    impl Modelled {
        fn apply(&mut self, op: Op) {
            match op {
                Op::Put(size) => {
                    let piece = self.piece(size);
                    self.queue.put(&piece);
                    self.model.extend(piece);
                }
                Op::PutBytes(size) => {
                    let piece = self.piece(size);
                    self.queue.put_bytes(&Bytes::from(piece.clone()));
                    self.model.extend(piece);
                }
                Op::Append(ops) => {
                    let mut other = Modelled { next: self.next, ..Modelled::default() };
                    ops.into_iter().for_each(|op| other.apply(op));
                    self.queue.append(&mut other.queue);
                    self.model.append(&mut other.model);
                    self.next = other.next;
                    other.check();
                }
                Op::Advance(most) => {
                    let written = most.min(self.model.len());
                    self.queue.advance(written);
                    self.model.drain(..written);
                }
            }
            self.check();
        }

        /// Bytes that differ from piece to piece and within each.
        fn piece(&mut self, size: usize) -> Vec<u8> {
            self.next = self.next.wrapping_add(1);
            let mut piece = Vec::with_capacity(size);
            let cycle: [u8; 251] = std::array::from_fn(|at| self.next.wrapping_add(at as u8));
            while piece.len() < size {
                let part = cycle.len().min(size - piece.len());
                piece.extend_from_slice(&cycle[..part]);
            }
            piece
        }

        fn check(&self) {
            assert_eq!(self.queue.len(), self.model.len());
            assert_eq!(self.queue.is_empty(), self.model.is_empty());
            let mut slices = SmallVec::new();
            self.queue.slices(&mut slices);
            let mut expected: &[u8] = &self.model;
            for slice in &slices {
                assert!(!slice.is_empty());
                expected = expected.strip_prefix(&slice[..]).expect("the bytes of the model");
            }
            assert!(slices.len() == GATHER_SLICES_MAX || expected.is_empty(), "bytes are missing");
        }
    }

    quickcheck! {
        fn queue_holds_what_a_plain_vector_holds(ops: Vec<Op>) -> bool {
            let mut modelled = Modelled::default();
            ops.into_iter().for_each(|op| modelled.apply(op));
            let total = modelled.model.len();
            modelled.apply(Op::Advance(total));
            modelled.queue.is_empty()
        }
    }
}
