//! [`Inbox`]: what has arrived from one peer after the other, in that order.

use std::collections::VecDeque;

use super::{Effects, PipeId};
use crate::frames::{Frames, Taken};
use crate::limits::FRAMES_SPARE_MAX_BYTES;
use crate::message::Message;

/// A queue of messages that remembers from which pipe each came: what a departed peer sent stays first.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// One for each pipe, in the order in which they came; the last may be empty, and the first after its last message
    /// was taken.
    stretches: VecDeque<(PipeId, Frames)>,
}

impl Inbox {
    pub(super) fn push(&mut self, pipe: PipeId, message: Message, charge: usize) {
        self.stretch(pipe).push(message, charge);
    }

    /// Takes all of a block, and leaves an empty one behind.
    pub(super) fn push_block(&mut self, pipe: PipeId, block: &mut Frames) {
        self.stretch(pipe).append(block);
    }

    fn stretch(&mut self, pipe: PipeId) -> &mut Frames {
        let at = match self.stretches.back() {
            Some((last, _)) if *last == pipe => self.stretches.len() - 1,
            _ => {
                self.stretches.push_back((pipe, Frames::default()));
                self.stretches.len() - 1
            }
        };
        &mut self.stretches[at].1
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stretches.iter().all(|(_, frames)| frames.is_empty())
    }

    /// Takes the next message. A body can be looked at until the inbox is used again.
    pub(super) fn pop(&mut self, fx: &mut Effects) -> Option<Taken<'_>> {
        while let [(_, first), ..] = self.stretches.make_contiguous()
            && first.is_empty()
        {
            if self.stretches.len() == 1 {
                self.give_back();
                return None;
            }
            self.stretches.pop_front();
        }
        let (pipe, frames) = self.stretches.front_mut()?;
        let place = frames.advance()?;
        fx.release(*pipe, place.charge());
        Some(frames.look(place))
    }

    /// Gives the memory of a burst back, once all of it is taken and nobody looks at the last message any more.
    pub(super) fn give_back(&mut self) {
        if let Some((_, frames)) = self.stretches.front_mut()
            && frames.is_empty()
            && frames.capacity() > FRAMES_SPARE_MAX_BYTES
        {
            frames.shrink(FRAMES_SPARE_MAX_BYTES);
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.stretches.iter().map(|(_, frames)| frames.capacity()).sum()
    }
}
