//! Reading: from the wire through the decoder to the pattern, as far as the application has made room.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::parting;
use super::{Connection, End, Phase, Reading};
use crate::engine::jobs;
use crate::engine::source::{Notice, Turn};
use crate::frames::Frames;
use crate::limits::{BODY_TAIL_BYTES, MESSAGE_OVERHEAD_BYTES, READ_BYTES_PER_TURN};
use crate::message::Message;
use crate::wire::{Allowance, Event};

/// What one step of reading came to.
pub(super) enum Step {
    /// So many bytes were handled; there may be more.
    Progress(usize),
    /// Nothing to read, or no room for it.
    Pause,
    /// All was read and handled.
    Drained,
    End(End),
    /// As `End`, once the peer has been told these words.
    Part(Bytes, End),
}

impl Connection {
    pub(super) fn readable(self: &Arc<Self>, turn: &mut Turn<'_>) {
        let mut reading = self.reading.lock();
        let mut budget = READ_BYTES_PER_TURN;
        loop {
            match self.read_step(&mut reading, turn) {
                Step::Progress(bytes) => match budget.checked_sub(bytes.max(1)) {
                    Some(left) if !turn.is_to_end() => budget = left,
                    _ => {
                        drop(reading);
                        return Arc::clone(self).tell(Notice::Resume);
                    }
                },
                Step::Pause | Step::Drained => return,
                Step::Part(words, end) => {
                    drop(reading);
                    return self.part(&words, &end, turn);
                }
                Step::End(end) => {
                    let truncated = matches!(end, End::Eof) && reading.decoder.is_mid_frame();
                    drop(reading);
                    return self.end(if truncated { End::Truncated } else { end }, turn);
                }
            }
        }
    }

    fn read_step(&self, reading: &mut Reading, turn: &mut Turn<'_>) -> Step {
        match reading.phase {
            Phase::Connecting | Phase::Securing | Phase::Closed => return Step::Pause,
            Phase::Draining { .. } => return outcome(self.stream.read(turn.block)),
            Phase::Greeting | Phase::Open { .. } => (),
        }
        if self.inbound.is_full() {
            return Step::Pause;
        }
        if !reading.leftover.is_empty() {
            let held = std::mem::take(&mut reading.leftover);
            let mut input = held.get(reading.leftover_at..).unwrap_or_default();
            let step = self.decode(reading, &mut input, turn.now, turn.frames);
            if !input.is_empty() {
                reading.leftover_at = held.len() - input.len();
                reading.leftover = held;
            }
            return step;
        }
        match reading.decoder.body_buffer() {
            Err(error) => return parting::refuse(&mut *reading.decoder, error),
            Ok(Some((buffer, missing))) => {
                // The head of the next message comes along, so that a stream of large ones costs one call each.
                let tail = turn.block.get_mut(..BODY_TAIL_BYTES).unwrap_or_default();
                let (in_body, in_tail) = match self.stream.read_body(buffer, missing, tail) {
                    Ok(lengths) => lengths,
                    Err(error) => return outcome(Err(error)),
                };
                if let Some(Event::Message(mut message)) = reading.decoder.body_complete() {
                    self.sign(&mut message);
                    reading.last_was_large = true;
                    self.charge(&message);
                    let charge = message.payload_len();
                    turn.frames.push(message, charge);
                    self.hand_over(reading, turn.frames, turn.now);
                }
                return match in_tail {
                    0 => outcome(Ok(in_body)),
                    _ => self.decode_block(reading, in_tail, turn),
                };
            }
            Ok(None) => (),
        }
        // Behind a large message comes another one, most likely: read its head, and then its body in place.
        let window = if reading.last_was_large { BODY_TAIL_BYTES } else { turn.block.len() };
        match self.stream.read(turn.block.get_mut(..window).unwrap_or_default()) {
            Ok(bytes @ 1..) => match self.decode_block(reading, bytes, turn) {
                // Input that is left over is no progress of the stream, and needs another look at the room.
                Step::Progress(_)
                    if bytes < window
                        && reading.leftover.is_empty()
                        && !reading.hung_up
                        && self.stream.short_read_is_all() =>
                {
                    Step::Drained
                }
                step => step,
            },
            other => outcome(other),
        }
    }

    /// Decodes the first `bytes` of the turning thread's block, and keeps what there is no room for.
    fn decode_block(&self, reading: &mut Reading, bytes: usize, turn: &mut Turn<'_>) -> Step {
        let Turn { now, block, frames, .. } = turn;
        let mut input: &[u8] = block.get(..bytes).unwrap_or_default();
        // A large message just delivered may have used up the room.
        let full = self.inbound.is_full();
        let step = if full { Step::Pause } else { self.decode(reading, &mut input, *now, frames) };
        if !input.is_empty() {
            reading.leftover = input.to_vec();
            reading.leftover_at = 0;
        }
        step
    }

    /// Takes messages off the front of `input` as long as there is room for them.
    fn decode(&self, reading: &mut Reading, input: &mut &[u8], now: Instant, frames: &mut Frames) -> Step {
        let taken = input.len();
        let max = self.core.recv_max();
        let mut replied = false;
        let mut last = None;
        loop {
            self.decode_small(reading, input, max, frames);
            match reading.decoder.next(input, max) {
                Ok(Some(Event::Message(mut message))) => {
                    self.sign(&mut message);
                    let full = self.charge(&message);
                    reading.last_was_large = false;
                    let charge = message.payload_len();
                    frames.push(message, charge);
                    if full {
                        break;
                    }
                }
                Ok(Some(Event::Ready)) => {
                    if std::mem::take(&mut replied) {
                        self.flush();
                    }
                    if let Err(end) = self.open(reading, now) {
                        return Step::End(end);
                    }
                }
                Ok(Some(Event::Reply(reply))) => replied |= self.reply(reading, &reply),
                Ok(Some(Event::Close(words))) => {
                    last = Some(Step::Part(words, End::Goodbye));
                    break;
                }
                Ok(None) => break,
                Err(error) => {
                    last = Some(parting::refuse(&mut *reading.decoder, error));
                    break;
                }
            }
        }
        if replied {
            self.flush();
        }
        self.hand_over(reading, frames, now);
        last.unwrap_or_else(|| Step::Progress(taken - input.len()))
    }

    fn charge(&self, message: &Message) -> bool {
        self.inbound.charge(message.payload_len().saturating_add(MESSAGE_OVERHEAD_BYTES))
    }

    /// All the small messages in the front of `input` that there is room for.
    fn decode_small(
        &self,
        reading: &mut Reading,
        input: &mut &[u8],
        max: Option<usize>,
        frames: &mut Frames,
    ) {
        #[cfg(feature = "tls")]
        if self.stream.peer().is_some() {
            // Each message says who sent it.
            return;
        }
        let below = self.inbound.room();
        let allowance = Allowance { below, overhead: MESSAGE_OVERHEAD_BYTES };
        let counted = reading.decoder.next_block(input, max, allowance, frames);
        if counted > 0 {
            reading.last_was_large = false;
            self.inbound.charge(counted);
        }
    }

    /// Notes in a message who sent it, if the connection proved that.
    #[cfg_attr(not(feature = "tls"), expect(unused_variables, clippy::unused_self))]
    fn sign(&self, message: &mut Message) {
        #[cfg(feature = "tls")]
        if let Some(peer) = self.stream.peer() {
            message.set_peer(peer);
        }
    }

    fn hand_over(&self, reading: &Reading, frames: &mut Frames, now: Instant) {
        if frames.is_empty() {
            return;
        }
        self.outbound.heard();
        if let Phase::Open { pipe, .. } = reading.phase {
            jobs::run(&mut self.core.deliver(pipe, frames, &self.reactor, now));
        }
        frames.clear();
    }
}

/// A read as a step: nothing there, the end, an error, or progress.
fn outcome(read: io::Result<usize>) -> Step {
    match read {
        Ok(0) => Step::End(End::Eof),
        Ok(bytes) => Step::Progress(bytes),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock => Step::Pause,
            io::ErrorKind::Interrupted => Step::Progress(0),
            io::ErrorKind::InvalidData => Step::End(End::Untrusted(error)),
            _ => Step::End(End::Io(error)),
        },
    }
}
