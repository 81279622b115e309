//! Closed from this side: what was accepted is delivered before the connection goes.

use std::sync::Arc;
use std::time::Instant;

use super::{Connection, End, Phase};
use crate::engine::jobs::Jobs;
use crate::engine::source::Turn;
use crate::limits::{DRAIN_LOOK_FIRST, DRAIN_LOOK_MAX};

impl Connection {
    /// Closed from this side: delivers what was accepted until `deadline`, then goes.
    pub(super) fn drain(self: &Arc<Self>, deadline: Instant, turn: &mut Turn<'_>) {
        {
            let mut reading = self.reading.lock();
            match reading.phase {
                Phase::Open { .. } => {
                    reading.phase = Phase::Draining { deadline, next_look: DRAIN_LOOK_FIRST, ended: false };
                    reading.leftover = Vec::new();
                    self.core.count_dropped();
                }
                Phase::Draining { deadline: earlier, next_look, ended } => {
                    let deadline = earlier.min(deadline);
                    reading.phase = Phase::Draining { deadline, next_look, ended };
                    return;
                }
                Phase::Closed => return,
                // Nothing was ever accepted for this peer.
                Phase::Connecting | Phase::Securing | Phase::Greeting => {
                    drop(reading);
                    return self.end(End::Local, turn);
                }
            }
        }
        self.flush();
        self.continue_drain(turn);
    }

    /// While draining: looks whether all has arrived, throws input away, and sees to being called again.
    pub(super) fn continue_drain(self: &Arc<Self>, turn: &mut Turn<'_>) {
        let mut reading = self.reading.lock();
        let Phase::Draining { deadline, next_look, ended } = reading.phase else { return };
        let flushed = self.outbound.pending() == 0;
        // Looked at before the end of stream is sent: that has to be acknowledged as well, and is not worth waiting for.
        if turn.now >= deadline || (flushed && self.stream.is_settled()) {
            drop(reading);
            return self.end(End::Local, turn);
        }
        if flushed && !ended {
            self.stream.shutdown_write();
        }
        if let Some(timer) = reading.timer.take() {
            self.reactor.cancel_timer(timer);
        }
        // Another thread may be writing: nobody says when it is done, so look again in any case.
        reading.timer = Some(self.add_timer((turn.now + next_look).min(deadline)));
        let next_look = (next_look * 2).min(DRAIN_LOOK_MAX);
        reading.phase = Phase::Draining { deadline, next_look, ended: ended || flushed };
        drop(reading);
        self.readable(turn);
    }

    /// At the end of the process, when nobody turns the reactor any more: writes what waits, and tells whether all of it
    /// has arrived.
    pub(crate) fn deliver_without_reactor(&self) -> bool {
        // What jobs this brings concerns senders, and there are none.
        self.flush_into(&mut Jobs::new());
        self.outbound.pending() == 0 && self.stream.has_arrived()
    }
}
