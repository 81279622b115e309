//! Reading: from the wire through the decoder to the pattern, as far as the application has made room.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::parting;
use super::{Connection, End, Phase, Reading};
use crate::engine::jobs;
use crate::engine::reactor::Reactor;
use crate::engine::source::{Notice, Recipient, Turn};
use crate::frames::Taken;
use crate::limits::{
    BODY_BY_REFERENCE_BYTES, BODY_TAIL_BYTES, MESSAGE_OVERHEAD_BYTES, READ_BYTES_PER_TURN, SPARE_BODY_BYTES,
};
use crate::message::{Message, WsMessageType};
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
        if reading.direct.is_at_work {
            // Who is at it has this called again.
            reading.direct.was_called = true;
            return;
        }
        reading.direct.came(turn.now);
        let mut budget = READ_BYTES_PER_TURN;
        loop {
            let step = self.read_step(&mut reading, turn);
            match step {
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
                    let end = reading.end_here(end);
                    drop(reading);
                    return self.end(end, turn);
                }
            }
        }
    }

    pub(super) fn read_step(&self, reading: &mut Reading, turn: &mut Turn<'_>) -> Step {
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
            let step = self.decode(reading, &mut input, turn);
            if !input.is_empty() {
                reading.leftover_at = held.len() - input.len();
                reading.leftover = held;
            }
            return step;
        }
        if let Some(step) = self.read_in_place(reading, turn) {
            return step;
        }
        if let Some(spare) = &reading.spare
            && reading.decoder.body_front().is_some()
        {
            reading.decoder.use_memory(spare.take());
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
                let complete = reading.decoder.body_complete();
                let is_complete = complete.is_some();
                if let Some(Event::Message(message)) = complete {
                    self.deliver_large(reading, message, turn);
                }
                // A frame may end without its message.
                let all = is_complete && in_tail < BODY_TAIL_BYTES && self.stream.short_read_is_all();
                return self
                    .decode_behind_large(reading, in_tail, all, turn)
                    .unwrap_or_else(|| outcome(Ok(in_body)));
            }
            Ok(None) => (),
        }
        // Behind a large message comes another one, most likely: read its head, and then its body in place.
        let window = if reading.last_was_large { BODY_TAIL_BYTES } else { turn.block.len() };
        match self.stream.read(turn.block.get_mut(..window).unwrap_or_default()) {
            Ok(bytes @ 1..) => {
                let input = turn.block.get(..bytes).unwrap_or_default();
                let turned = turn.turned(&self.reactor);
                let recipient = turn.recipient.as_deref_mut();
                let is_handed =
                    recipient.is_some_and(|recipient| self.hand_sole(reading, input, recipient, turned));
                let step =
                    if is_handed { Step::Progress(bytes) } else { self.decode_block(reading, bytes, turn) };
                match step {
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
                }
            }
            other => outcome(other),
        }
    }

    /// Reads a large body to where the caller who turns wants it, if all of it is there: copied by nobody. Never a part of
    /// one, which that caller would find in its buffer when it gets an error, or another message.
    fn read_in_place(&self, reading: &mut Reading, turn: &mut Turn<'_>) -> Option<Step> {
        let (front, missing) = reading.decoder.body_front()?;
        let Phase::Open { pipe, .. } = reading.phase else { return None };
        let turned = turn.turned(&self.reactor);
        let recipient = turn.recipient.as_deref_mut().filter(|recipient| recipient.waits_at(&self.core))?;
        if front.len() > BODY_TAIL_BYTES {
            return None;
        }
        let in_front = front.get(self.core.header_of(pipe, front)?..)?;
        let len = in_front.len().checked_add(missing)?;
        let (to_front, space) = recipient.place()?.get_mut(..len)?.split_at_mut(in_front.len());
        let tail = turn.block.get_mut(..BODY_TAIL_BYTES).unwrap_or_default();
        let (in_tail, behind) = match self.stream.read_ready(space, tail) {
            Ok(read) => read?,
            Err(error) => return Some(outcome(Err(error))),
        };
        to_front.write_copy_of_slice(in_front);
        self.outbound.heard();
        self.core.hand_placed(pipe, front, len, recipient, turned);
        reading.decoder.body_taken();
        reading.last_was_large = true;
        // The caller leaves with it and will be back: what is behind is copied less often if it stays where it is.
        turn.has_enough = true;
        self.decode_behind_large(reading, in_tail, behind == 0, turn).or(Some(Step::Progress(missing)))
    }

    /// Hands `input` to the caller that reads, if it is just the message that this one waits for: most answers are. False if
    /// it has to go the usual way. `turned` is the reactor that the caller turns.
    pub(super) fn hand_sole(
        &self,
        reading: &mut Reading,
        input: &[u8],
        recipient: &mut dyn Recipient,
        turned: Option<&Reactor>,
    ) -> bool {
        let Phase::Open { pipe, .. } = reading.phase else { return false };
        if !self.is_signed()
            && recipient.waits_at(&self.core)
            && let Some(payload) = reading.decoder.sole(input, self.core.recv_max())
            && self.core.hand(pipe, Taken::Body(payload, None), recipient, turned)
        {
            reading.last_was_large = false;
            self.outbound.heard();
            return true;
        }
        false
    }

    /// Hands over a message that has a buffer of its own.
    fn deliver_large(&self, reading: &mut Reading, mut message: Message, turn: &mut Turn<'_>) {
        self.sign(&mut message);
        self.keep_memory(reading, &message, turn);
        let turned = turn.turned(&self.reactor);
        if let Some(recipient) = &mut turn.recipient
            && recipient.waits_at(&self.core)
            && let Phase::Open { pipe, .. } = reading.phase
            && self.core.hand(pipe, Taken::Message(&mut message), &mut **recipient, turned)
        {
            self.outbound.heard();
            turn.has_enough = true;
            return;
        }
        self.charge(&message);
        let charge = message.payload_len();
        turn.frames.push(message, charge);
        self.hand_over(reading, turn);
    }

    /// Holds on to the memory of a message that has a buffer of its own, for the next one.
    fn keep_memory(&self, reading: &mut Reading, message: &Message, turn: &Turn<'_>) {
        // A text is read like small ones, as it has to be looked at.
        let is_text = message.ws_type() == Some(WsMessageType::Text);
        reading.last_was_large = message.len() >= BODY_BY_REFERENCE_BYTES && !is_text;
        if message.len() >= SPARE_BODY_BYTES
            && let Some(body) = message.shared_body()
        {
            reading.spare.get_or_insert_default().keep(body, turn.now, &self.reactor);
        }
    }

    /// Decodes what came along behind a large body; `all` says that the stream has no more. `None` goes on reading.
    fn decode_behind_large(
        &self,
        reading: &mut Reading,
        in_tail: usize,
        all: bool,
        turn: &mut Turn<'_>,
    ) -> Option<Step> {
        let step = (in_tail > 0).then(|| self.decode_block(reading, in_tail, turn));
        match step {
            None | Some(Step::Progress(_)) if all && reading.leftover.is_empty() && !reading.hung_up => {
                Some(Step::Drained)
            }
            step => step,
        }
    }

    /// Decodes the first `bytes` of the turning thread's block, and keeps what there is no room for.
    pub(super) fn decode_block(&self, reading: &mut Reading, bytes: usize, turn: &mut Turn<'_>) -> Step {
        let block = std::mem::take(&mut turn.block);
        let mut input: &[u8] = block.get(..bytes).unwrap_or_default();
        // A large message just delivered may have used up the room.
        let full = self.inbound.is_full();
        let step = if full { Step::Pause } else { self.decode(reading, &mut input, turn) };
        if !input.is_empty() {
            reading.leftover = input.to_vec();
            reading.leftover_at = 0;
        }
        turn.block = block;
        step
    }

    /// Takes messages off the front of `input` as long as there is room for them.
    fn decode(&self, reading: &mut Reading, input: &mut &[u8], turn: &mut Turn<'_>) -> Step {
        let taken = input.len();
        let max = self.core.recv_max();
        let mut replied = false;
        let mut last = None;
        loop {
            self.decode_small(reading, input, max, turn);
            match reading.decoder.next(input, max) {
                Ok(Some(Event::Message(mut message))) => {
                    self.sign(&mut message);
                    let full = self.charge(&message);
                    self.keep_memory(reading, &message, turn);
                    let charge = message.payload_len();
                    turn.frames.push(message, charge);
                    if full {
                        break;
                    }
                }
                Ok(Some(Event::Ready)) => {
                    if std::mem::take(&mut replied) {
                        self.flush();
                    }
                    if let Err(end) = self.open(reading, turn.now) {
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
        self.hand_over(reading, turn);
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
        turn: &mut Turn<'_>,
    ) {
        if self.is_signed() {
            return;
        }
        let below = self.inbound.room();
        let allowance = Allowance { below, overhead: MESSAGE_OVERHEAD_BYTES };
        let is_first = turn.frames.is_empty();
        let counted = reading.decoder.next_block(input, max, allowance, turn.frames);
        if counted == 0 {
            return;
        }
        reading.last_was_large = false;
        let handed = if is_first { self.hand(reading, turn) } else { 0 };
        if handed < counted {
            self.inbound.charge(counted - handed);
        }
    }

    /// Hands the first message to the caller who turns and waits for it, if there is one: then it never waits, and does not
    /// count. Returns what it would have.
    fn hand(&self, reading: &Reading, turn: &mut Turn<'_>) -> usize {
        let turned = turn.turned(&self.reactor);
        if let Some(recipient) = &mut turn.recipient
            && recipient.waits_at(&self.core)
            && let Phase::Open { pipe, .. } = reading.phase
            && let Some(payload) = turn.frames.front_body()
            && self.core.hand(pipe, payload, &mut **recipient, turned)
            && let Some(place) = turn.frames.advance()
        {
            self.outbound.heard();
            return place.charge().saturating_add(MESSAGE_OVERHEAD_BYTES);
        }
        0
    }

    /// Whether each message has to say who sent it.
    #[cfg_attr(not(feature = "tls"), expect(clippy::unused_self))]
    pub(super) fn is_signed(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.stream.peer().is_some();
        #[cfg(not(feature = "tls"))]
        false
    }

    /// Notes in a message who sent it, if the connection proved that.
    #[cfg_attr(not(feature = "tls"), expect(unused_variables, clippy::unused_self))]
    fn sign(&self, message: &mut Message) {
        #[cfg(feature = "tls")]
        if let Some(peer) = self.stream.peer() {
            message.set_peer(peer);
        }
    }

    fn hand_over(&self, reading: &Reading, turn: &mut Turn<'_>) {
        if !turn.frames.is_empty() {
            turn.has_more = true;
            self.outbound.heard();
            if let Phase::Open { pipe, .. } = reading.phase {
                let turned = turn.turned(&self.reactor);
                jobs::run(self.core.deliver(pipe, turn.frames, turned, turn.now));
            }
        }
        turn.frames.clear();
    }
}

impl Reading {
    /// How a connection ends whose stream ends so.
    pub(super) fn end_here(&self, end: End) -> End {
        if matches!(end, End::Eof) && self.decoder.is_mid_frame() { End::Truncated } else { end }
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
