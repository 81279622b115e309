//! [`Receiver`]: the patterns that only receive, PULL and SUB. They differ in what they keep.

use std::time::Instant;

use super::fair_queue::FairQueue;
use super::{
    Effects, OptionRefusal, Pattern, PatternOption, PipeId, Priorities, Readiness, RecvRefusal, Refused,
    Rejected, SendRefusal, refuse,
};
use crate::frames::{Frames, Taken};
use crate::message::Message;

/// What a receiver keeps of what arrives; the rest is dropped on arrival.
pub(super) trait Selection: Default + Send {
    /// Whether that is all of it, so that nobody need look.
    fn keeps_everything(&self) -> bool;

    fn keeps(&self, body: &[u8]) -> bool;

    /// Concerns what arrives later; what is queued stays.
    fn set_option(&mut self, option: PatternOption<'_>) -> Result<(), OptionRefusal>;
}

/// Takes from all its pipes, fairly.
#[derive(Debug, Default)]
pub(super) struct Receiver<S> {
    selection: S,
    queue: FairQueue,
}

impl<S: Selection> Pattern for Receiver<S> {
    fn handle_attach(
        &mut self,
        _fx: &mut Effects,
        _now: Instant,
        pipe: PipeId,
        prio: Priorities,
    ) -> Result<(), Refused> {
        self.queue.attach(pipe, prio.recv);
        Ok(())
    }

    fn handle_detach(&mut self, _fx: &mut Effects, _now: Instant, pipe: PipeId) {
        self.queue.detach(pipe);
    }

    fn handle_message(&mut self, fx: &mut Effects, _now: Instant, pipe: PipeId, mut message: Message) {
        message.merge_header();
        let charge = message.payload_len();
        if self.selection.keeps(message.body()) {
            self.queue.push(pipe, message, charge);
        } else {
            fx.release(pipe, charge);
        }
    }

    fn handle_block(&mut self, fx: &mut Effects, pipe: PipeId, block: &mut Frames) -> bool {
        if self.selection.keeps_everything() {
            self.queue.push_block(pipe, block);
            return true;
        }
        while let Some((taken, charge)) = block.pop() {
            if self.selection.keeps(taken.body()) {
                self.queue.push_taken(pipe, taken, charge);
            } else {
                fx.release(pipe, charge);
            }
        }
        true
    }

    fn handle_writable(&mut self, _fx: &mut Effects, _now: Instant, _pipe: PipeId) {}

    fn handle_full(&mut self, _pipe: PipeId) {}

    fn handle_timeout(&mut self, _fx: &mut Effects, _now: Instant) {}

    fn send(&mut self, _fx: &mut Effects, _now: Instant, message: Message) -> Result<(), Rejected> {
        refuse(message, SendRefusal::Unsupported)
    }

    fn recv(&mut self, fx: &mut Effects, _now: Instant) -> Result<Message, RecvRefusal> {
        self.queue.pop(fx).map(|(_, taken)| taken.into_message()).ok_or(RecvRefusal::Empty)
    }

    fn recv_taken<'a>(
        &'a mut self,
        fx: &mut Effects,
        _now: Instant,
        _place: &'a mut Option<Message>,
    ) -> Result<Taken<'a>, RecvRefusal> {
        self.queue.pop(fx).map(|(_, taken)| taken).ok_or(RecvRefusal::Empty)
    }

    fn pass<'a>(&mut self, _pipe: PipeId, payload: &'a [u8]) -> Option<&'a [u8]> {
        (self.queue.is_empty() && self.selection.keeps(payload)).then_some(payload)
    }

    fn header_of(&self, _pipe: PipeId, _front: &[u8]) -> Option<usize> {
        // A topic may be longer than the front.
        (self.queue.is_empty() && self.selection.keeps_everything()).then_some(0)
    }

    fn tidy(&mut self) {
        self.queue.tidy();
    }

    fn readiness(&self) -> Readiness {
        Readiness { recv: !self.queue.is_empty(), send: false }
    }

    fn set_option(&mut self, _fx: &mut Effects, option: PatternOption<'_>) -> Result<(), OptionRefusal> {
        self.selection.set_option(option)
    }
}

#[cfg(test)]
mod tests {
    use super::super::network::burst;
    use super::super::pipeline::Pull;
    use crate::limits::FRAMES_KEEP_BYTES;

    #[test]
    fn memory_of_a_burst_is_given_back() {
        let mut pull = Pull::default();
        burst(&mut pull, b"x");
        assert!(pull.queue.capacity() <= FRAMES_KEEP_BYTES, "{}", pull.queue.capacity());
    }
}
