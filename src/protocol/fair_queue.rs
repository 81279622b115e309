//! [`FairQueue`]: what has arrived and waits for the application, served fairly (R116).

use std::collections::VecDeque;

use super::pipe_table::PipeTable;
use super::{CLASSES, Effects, PipeId, class_of};
use crate::frames::{Frames, Taken};
use crate::limits::{FRAMES_KEEP_BYTES, FRAMES_SPARE_MAX_BYTES};
use crate::message::Message;

/// One queue per pipe, in sixteen priority classes.
///
/// The best class that holds a message serves; inside it each pipe gives one message per turn, in the order
/// in which the pipes became readable. The queue of a detached pipe stays until it is taken (R119). Blocks of small
/// messages are taken over whole, so that nothing is allocated per message, and an idle pipe holds no more than
/// [`FRAMES_KEEP_BYTES`]. When a message leaves, the bytes it was charged with are released, also when its pipe is gone
/// by then.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    /// The lane of each attached pipe.
    lanes_by_pipe: PipeTable<u32>,
    lanes: Vec<Lane>,
    free_lanes: Vec<u32>,
    /// Per class: lanes that hold messages, next in turn first.
    turns: [VecDeque<u32>; CLASSES],
    /// Bit n is set while class n holds a message.
    occupied: u16,
    /// The lane that gave its last message, whose buffer may still be looked at.
    emptied: Option<u32>,
    /// The buffer of a lane that needs it no longer, for the next one that does.
    spare: Frames,
}

#[derive(Debug)]
struct Lane {
    pipe: PipeId,
    class: usize,
    attached: bool,
    frames: Frames,
}

impl FairQueue {
    pub(super) fn attach(&mut self, pipe: PipeId, recv_priority: u8) {
        self.tidy();
        let lane = Lane { pipe, class: class_of(recv_priority), attached: true, frames: Frames::default() };
        let index = match self.free_lanes.pop() {
            Some(index) => {
                self.lanes[index as usize] = lane;
                index
            }
            None => {
                self.lanes.push(lane);
                (self.lanes.len() - 1) as u32
            }
        };
        self.lanes_by_pipe.insert(pipe, index);
    }

    /// The pipe is gone; what it sent stays deliverable.
    pub(super) fn detach(&mut self, pipe: PipeId) {
        self.tidy();
        let Some(index) = self.lanes_by_pipe.remove(pipe) else { return };
        let lane = &mut self.lanes[index as usize];
        lane.attached = false;
        if lane.frames.is_empty() {
            lane.frames = Frames::default();
            self.free_lanes.push(index);
        }
    }

    /// Queues a message that arrived with `charge` payload bytes. One of a pipe that is gone is dropped.
    #[inline]
    pub(super) fn push(&mut self, pipe: PipeId, message: Message, charge: usize) {
        self.add(pipe, |frames| frames.push(message, charge));
    }

    /// The same for one of a block.
    #[inline]
    pub(super) fn push_taken(&mut self, pipe: PipeId, taken: Taken<'_>, charge: usize) {
        self.add(pipe, |frames| match taken {
            Taken::Body(body, kind) => frames.push_body_as(body, kind),
            Taken::Message(message) => frames.push(std::mem::take(message), charge),
        });
    }

    /// Queues all of a block, and leaves an empty one behind.
    pub(super) fn push_block(&mut self, pipe: PipeId, block: &mut Frames) {
        if block.is_empty() {
            return;
        }
        self.add(pipe, |frames| frames.append(block));
        block.clear();
        if block.capacity() < self.spare.capacity() {
            std::mem::swap(block, &mut self.spare);
        }
    }

    #[inline]
    fn add(&mut self, pipe: PipeId, add: impl FnOnce(&mut Frames)) {
        let Some(&index) = self.lanes_by_pipe.get(pipe) else { return };
        if self.emptied == Some(index) {
            self.emptied = None;
        }
        let lane = &mut self.lanes[index as usize];
        let was_empty = lane.frames.is_empty();
        add(&mut lane.frames);
        if was_empty {
            self.turns[lane.class].push_back(index);
            self.occupied |= 1 << lane.class;
        }
    }

    /// The next message in turn and the pipe it came from. A body can be looked at until the queue is used again.
    #[inline]
    pub(super) fn pop(&mut self, fx: &mut Effects) -> Option<(PipeId, Taken<'_>)> {
        self.tidy();
        if self.occupied == 0 {
            return None;
        }
        let class = self.occupied.trailing_zeros() as usize;
        let turns = &mut self.turns[class];
        let index = *turns.front()?;
        let lane = &mut self.lanes[index as usize];
        let pipe = lane.pipe;
        let place = lane.frames.advance()?;
        fx.release(pipe, place.charge());
        if lane.frames.is_empty() {
            turns.pop_front();
            if turns.is_empty() {
                self.occupied &= !(1 << class);
            }
            self.emptied = Some(index);
        } else if turns.len() > 1 {
            turns.pop_front();
            turns.push_back(index);
        }
        Some((pipe, self.lanes[index as usize].frames.look(place)))
    }

    /// Drops everything that waits.
    pub(super) fn clear(&mut self, fx: &mut Effects) {
        while self.pop(fx).is_some() {}
    }

    pub(super) fn is_empty(&self) -> bool {
        self.occupied == 0
    }

    /// Retires the lane that was emptied last, now that nobody looks at its buffer any more.
    #[inline]
    pub(super) fn tidy(&mut self) {
        if let Some(index) = self.emptied.take() {
            self.retire(index);
        }
    }

    /// Bytes of memory that the lanes hold.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.lanes.iter().map(|lane| lane.frames.capacity()).sum()
    }

    fn retire(&mut self, index: u32) {
        let lane = &mut self.lanes[index as usize];
        lane.frames.clear();
        if lane.frames.capacity() > FRAMES_KEEP_BYTES {
            if lane.frames.capacity() > self.spare.capacity() {
                std::mem::swap(&mut lane.frames, &mut self.spare);
            }
            lane.frames.shrink(FRAMES_KEEP_BYTES);
            self.spare.shrink(FRAMES_SPARE_MAX_BYTES);
        }
        if !lane.attached {
            lane.frames = Frames::default();
            self.free_lanes.push(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    fn id(slot: u32, generation: u32) -> PipeId {
        PipeId::new(slot, slot + 1000 * generation)
    }

    fn push(queue: &mut FairQueue, pipe: PipeId, text: &str) {
        queue.push(pipe, Message::from(text), text.len());
    }

    fn pop(queue: &mut FairQueue) -> Option<String> {
        let mut fx = Effects::default();
        let (_, taken) = queue.pop(&mut fx)?;
        Some(String::from_utf8_lossy(taken.into_message().body()).into_owned())
    }

    fn drain(queue: &mut FairQueue) -> String {
        std::iter::from_fn(|| pop(queue)).collect::<Vec<_>>().join(" ")
    }

    /// A block in a buffer of this many bytes, a power of two.
    fn holding(bytes: usize) -> Frames {
        let mut frames = Frames::default();
        while frames.capacity() < bytes {
            frames.push_body(&[0; 60]);
        }
        frames
    }

    #[test]
    fn r116_one_message_per_pipe_per_turn() {
        let mut queue = FairQueue::default();
        for slot in 0..3 {
            queue.attach(id(slot, 0), 8);
            for n in 0..3 {
                push(&mut queue, id(slot, 0), &format!("{slot}{n}"));
            }
        }
        assert_eq!(drain(&mut queue), "00 10 20 01 11 21 02 12 22");
        assert!(queue.is_empty());
    }

    #[test]
    fn r116_the_best_class_goes_first() {
        let mut queue = FairQueue::default();
        queue.attach(id(0, 0), 16);
        queue.attach(id(1, 0), 1);
        push(&mut queue, id(0, 0), "worst");
        push(&mut queue, id(1, 0), "best1");
        push(&mut queue, id(1, 0), "best2");
        assert_eq!(drain(&mut queue), "best1 best2 worst");
    }

    #[test]
    fn r119_the_queue_of_a_detached_pipe_stays_when_its_slot_is_taken() {
        let mut queue = FairQueue::default();
        queue.attach(id(0, 0), 8);
        push(&mut queue, id(0, 0), "old1");
        push(&mut queue, id(0, 0), "old2");
        queue.detach(id(0, 0));
        push(&mut queue, id(0, 0), "late");
        queue.attach(id(0, 1), 8);
        push(&mut queue, id(0, 1), "new1");
        assert_eq!(drain(&mut queue), "old1 new1 old2");
        assert_eq!(queue.free_lanes.len(), 1);
    }

    #[test]
    fn r112_the_charge_is_released_also_when_the_pipe_is_gone() {
        let mut queue = FairQueue::default();
        let mut fx = Effects::default();
        queue.attach(id(0, 0), 8);
        queue.attach(id(1, 0), 8);
        queue.push(id(0, 0), Message::from("short"), 9);
        queue.push(id(1, 0), Message::new(), 4);
        queue.detach(id(1, 0));
        queue.clear(&mut fx);
        assert_eq!(fx.release, [(id(0, 0), 9), (id(1, 0), 4)]);
    }

    #[test]
    fn memory_of_a_burst_is_given_back() {
        let mut queue = FairQueue::default();
        queue.attach(id(0, 0), 8);
        for _ in 0..FRAMES_SPARE_MAX_BYTES {
            push(&mut queue, id(0, 0), "x");
        }
        queue.clear(&mut Effects::default());
        assert!(queue.capacity() <= FRAMES_KEEP_BYTES, "{}", queue.capacity());
        assert!(queue.spare.capacity() <= FRAMES_SPARE_MAX_BYTES);
        push(&mut queue, id(0, 0), "again");
        assert_eq!(drain(&mut queue), "again");
    }

    #[test]
    fn an_idle_lane_keeps_little_and_the_largest_buffer_is_spare() {
        const KEEP: usize = FRAMES_KEEP_BYTES;
        let mut queue = FairQueue::default();
        queue.attach(id(0, 0), 8);
        for (burst, kept, spare) in [(KEEP, KEEP, 0), (4 * KEEP, 0, 4 * KEEP), (2 * KEEP, KEEP, 4 * KEEP)] {
            // A block of a buffer of its own each time: what the queue gives for it is not used again.
            queue.lanes[0].frames = Frames::default();
            queue.add(id(0, 0), |frames| *frames = holding(burst));
            queue.clear(&mut Effects::default());
            assert_eq!((queue.capacity(), queue.spare.capacity()), (kept, spare), "after {burst} bytes");
        }
    }

    #[test]
    fn a_block_is_queued_whole_and_its_buffer_comes_round() {
        let mut queue = FairQueue::default();
        queue.attach(id(0, 0), 8);
        let mut block = Frames::default();
        let mut buffers = Vec::new();
        for round in 0..6 {
            for n in 0..1000 {
                block.push_body(format!("{round} {n}").as_bytes());
            }
            if round >= 2 {
                buffers.push(block.capacity());
            }
            queue.push_block(id(0, 0), &mut block);
            assert!(block.is_empty());
            let texts: Vec<_> = (0..1000).map(|n| format!("{round} {n}")).collect();
            assert_eq!(drain(&mut queue), texts.join(" "));
        }
        assert!(buffers.iter().all(|capacity| *capacity == buffers[0]), "{buffers:?}");
        queue.detach(id(0, 0));
        block.push_body(b"late");
        queue.push_block(id(0, 0), &mut block);
        assert!(block.is_empty() && queue.is_empty());
    }

    #[test]
    fn a_block_leaves_with_the_larger_of_two_buffers() {
        for (of_the_lane, spare) in [(64, 512), (512, 64)] {
            let mut queue = FairQueue::default();
            queue.attach(id(0, 0), 8);
            queue.push_block(id(0, 0), &mut holding(of_the_lane));
            queue.clear(&mut Effects::default());
            queue.spare = holding(spare);
            queue.spare.clear();
            let mut block = holding(128);
            queue.push_block(id(0, 0), &mut block);
            assert_eq!((block.capacity(), queue.spare.capacity()), (512, 64), "{of_the_lane} and {spare}");
        }
    }

    #[test]
    fn a_burst_stays_whole_when_another_pipe_runs_dry() {
        let mut queue = FairQueue::default();
        queue.attach(id(0, 0), 8);
        queue.attach(id(1, 0), 8);
        push(&mut queue, id(1, 0), "other");
        let burst: Vec<String> = (0..2000).map(|n| n.to_string()).collect();
        burst.iter().for_each(|text| push(&mut queue, id(0, 0), text));
        assert_eq!(pop(&mut queue).as_deref(), Some("other"));
        assert_eq!(drain(&mut queue), burst.join(" "));
    }

    /// The naive model: queues in a list, the one that was served goes to the end, best class first.
    #[derive(Default)]
    struct Model {
        /// Pipe, class, messages; the order is that of the turns. Empty queues are not kept.
        queues: Vec<(PipeId, usize, VecDeque<usize>)>,
    }

    impl Model {
        fn push(&mut self, pipe: PipeId, class: usize, n: usize) {
            match self.queues.iter_mut().find(|(owner, ..)| *owner == pipe) {
                Some((_, _, messages)) => messages.push_back(n),
                None => self.queues.push((pipe, class, VecDeque::from([n]))),
            }
        }

        fn pop(&mut self) -> Option<(PipeId, usize)> {
            let best = self.queues.iter().map(|(_, class, _)| *class).min()?;
            let at = self.queues.iter().position(|(_, class, _)| *class == best)?;
            let (pipe, class, mut messages) = self.queues.remove(at);
            let n = messages.pop_front()?;
            if !messages.is_empty() {
                self.queues.push((pipe, class, messages));
            }
            Some((pipe, n))
        }
    }

    fn number(message: &Message) -> usize {
        message.body().first_chunk().map_or(0, |bytes| usize::from_le_bytes(*bytes))
    }

    quickcheck! {
        fn r116_r119_agrees_with_a_list_of_queues(ops: Vec<(u8, u32, u8)>) -> bool {
            let (mut queue, mut model) = (FairQueue::default(), Model::default());
            let mut attached: [Option<(PipeId, usize)>; 4] = [None; 4];
            let mut held = 0;
            for (n, (op, slot, priority)) in ops.into_iter().enumerate() {
                let slot = slot % 4;
                let place = &mut attached[slot as usize];
                match (op % 8, *place) {
                    (0, None) => {
                        let pipe = id(slot, n as u32);
                        queue.attach(pipe, priority % 18);
                        *place = Some((pipe, class_of(priority % 18)));
                    }
                    (1, Some((pipe, _))) => {
                        queue.detach(pipe);
                        *place = None;
                    }
                    (2..=5, Some((pipe, class))) => {
                        queue.push(pipe, Message::from(&n.to_le_bytes()), n);
                        model.push(pipe, class, n);
                        held += 1;
                    }
                    (6 | 7, _) => {
                        let mut fx = Effects::default();
                        let popped = queue.pop(&mut fx).map(|(pipe, taken)| (pipe, number(&taken.into_message())));
                        if popped != model.pop() {
                            return false;
                        }
                        held -= usize::from(popped.is_some());
                        if fx.release != Vec::from_iter(popped) {
                            return false;
                        }
                    }
                    _ => {}
                }
                if queue.is_empty() != (held == 0) {
                    return false;
                }
            }
            true
        }
    }
}
