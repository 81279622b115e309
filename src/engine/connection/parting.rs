//! What a session says by itself: replies while the connection is open, and last words before it ends.

use std::sync::Arc;

use bytes::Bytes;

use super::reading::Step;
use super::{Connection, End, Phase, Reading};
use crate::engine::jobs::{self, Jobs};
use crate::engine::source::Turn;
use crate::limits::{DRAIN_LOOK_FIRST, PARTING_MAX, REPLIES_WAITING_MAX_BYTES};
use crate::wire::{Decoder, WireError};

impl Connection {
    /// Queues a reply of the session. False when it was left out: so much waits already that the peer is not
    /// reading, and only its latest question counts anyway (RFC 6455 section 5.5.3).
    pub(super) fn reply(&self, reading: &mut Reading, reply: &[u8]) -> bool {
        if !self.has_room_for_reply(reading, reply.len()) {
            // What this very block asked for may just not have been written yet.
            self.flush();
            if !self.has_room_for_reply(reading, reply.len()) {
                return false;
            }
        }
        reading.replies_waiting += reply.len();
        self.outbound.push_control(reply);
        true
    }

    fn has_room_for_reply(&self, reading: &mut Reading, bytes: usize) -> bool {
        // Never more of them than of everything.
        reading.replies_waiting = reading.replies_waiting.min(self.outbound.pending());
        reading.replies_waiting.saturating_add(bytes) <= REPLIES_WAITING_MAX_BYTES
    }

    /// Ends the connection as far as the socket is concerned, and gives the last words some time to arrive.
    pub(super) fn part(self: &Arc<Self>, words: &Bytes, end: &End, turn: &mut Turn<'_>) {
        let mut jobs = Jobs::new();
        {
            let mut reading = self.reading.lock();
            let phase = reading.phase;
            if !matches!(phase, Phase::Greeting | Phase::Open { .. }) {
                return;
            }
            if let Some(timer) = reading.timer.take() {
                self.reactor.cancel_timer(timer);
            }
            reading.leftover = Vec::new();
            let deadline = turn.now + PARTING_MAX;
            reading.phase = Phase::Draining { deadline, next_look: DRAIN_LOOK_FIRST, ended: false };
            if let Phase::Open { pipe, since } = phase {
                reading.lived = Some(turn.now.saturating_duration_since(since));
                self.core.detach(pipe, turn.now, &mut jobs);
            }
        }
        jobs::run(jobs);
        self.core.count_end(end, true);
        if end.is_suspicious() {
            self.core.connection_failed(self.endpoint(), &self.owner.address(), end);
        }
        self.outbound.push_control(words);
        self.flush();
        self.continue_drain(turn);
    }
}

/// The end for an error of the peer, with what it is told.
pub(super) fn refuse(decoder: &mut dyn Decoder, error: WireError) -> Step {
    let words = decoder.last_words(&error);
    if words.is_empty() { Step::End(End::Wire(error)) } else { Step::Part(words, End::Wire(error)) }
}
