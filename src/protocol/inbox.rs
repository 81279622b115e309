//! [`Inbox`]: what has arrived from one peer after the other, in that order.

use std::collections::VecDeque;

use super::{Effects, PipeId};
use crate::frames::{Frames, Taken};
use crate::limits::FRAMES_SPARE_MAX_BYTES;
use crate::message::Message;

/// A queue of messages that remembers from which pipe each came: what a departed peer sent stays first.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// The pipe that sent last, and what of it waits.
    last: Option<PipeId>,
    frames: Frames,
    /// What waits of those before it, in their order; none of them is empty, save the first after its last message was
    /// taken.
    earlier: VecDeque<(PipeId, Frames)>,
}

impl Inbox {
    pub(super) fn push(&mut self, pipe: PipeId, message: Message, charge: usize) {
        self.frames_of(pipe).push(message, charge);
    }

    /// Takes all of a block, and leaves an empty one behind.
    pub(super) fn push_block(&mut self, pipe: PipeId, block: &mut Frames) {
        self.frames_of(pipe).append(block);
    }

    fn frames_of(&mut self, pipe: PipeId) -> &mut Frames {
        if let Some(last) = self.last.replace(pipe)
            && last != pipe
            && !self.frames.is_empty()
        {
            self.earlier.push_back((last, std::mem::take(&mut self.frames)));
        }
        &mut self.frames
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.earlier.iter().all(|(_, frames)| frames.is_empty())
    }

    /// Takes the next message. A body can be looked at until the inbox is used again.
    pub(super) fn pop(&mut self, fx: &mut Effects) -> Option<Taken<'_>> {
        while self.earlier.front().is_some_and(|(_, frames)| frames.is_empty()) {
            self.earlier.pop_front();
        }
        let (pipe, frames) = match self.earlier.front_mut() {
            Some((pipe, frames)) => (*pipe, frames),
            None => (self.last?, &mut self.frames),
        };
        let place = frames.advance()?;
        fx.release(pipe, place.charge());
        Some(frames.look(place))
    }

    /// Gives the memory of a burst back, once all of it is taken and nobody looks at the last message any more.
    pub(super) fn give_back(&mut self) {
        if self.frames.is_empty() && self.frames.capacity() > FRAMES_SPARE_MAX_BYTES {
            self.frames.shrink(FRAMES_SPARE_MAX_BYTES);
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.frames.capacity() + self.earlier.iter().map(|(_, frames)| frames.capacity()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_only_when_nothing_waits_in_it() {
        let (mut inbox, mut fx, pipe) = (Inbox::default(), Effects::default(), PipeId::new(0, 1));
        for _ in 0..FRAMES_SPARE_MAX_BYTES {
            inbox.push(pipe, Message::from("x"), 1);
        }
        inbox.give_back();
        let taken = std::iter::from_fn(|| inbox.pop(&mut fx).map(|taken| taken.body().len())).sum::<usize>();
        assert_eq!(taken, FRAMES_SPARE_MAX_BYTES);
        assert!(inbox.capacity() > FRAMES_SPARE_MAX_BYTES);
        inbox.give_back();
        assert!(inbox.capacity() <= FRAMES_SPARE_MAX_BYTES);
    }
}
