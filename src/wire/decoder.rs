//! Length framing, the receiving half: the peer's SP header, then `[01] BE64-length payload` for ever.

#[cfg(test)]
mod tests;

use crate::frames::Frames;
use crate::limits::{
    BODY_BY_REFERENCE_BYTES, BODY_GROWTH_STEP_BYTES, BODY_TAIL_BYTES, FRAME_MAX_BYTES,
    REUSED_MEMORY_FACTOR_MAX, SP_HEADER_BYTES, SPARE_BODY_BYTES,
};
use crate::message::Message;
use crate::protocol::Protocol;

use super::encoder::TYPE_IN_BAND;
use super::{Allowance, Decoder, Event, WireError, header, missing_of_large};

/// Bytes of a frame's length.
const LENGTH_BYTES: usize = 8;
/// Bytes of the longest head: type byte and length.
const HEAD_MAX_BYTES: usize = 1 + LENGTH_BYTES;

pub(super) struct LengthDecoder {
    protocol: Protocol,
    typed: bool,
    state: State,
}

enum State {
    /// Collecting the peer's SP header.
    Greeting(Collected),
    /// Collecting the head of a frame.
    Head(Collected),
    /// Collecting a body of `total` bytes.
    Body { buffer: Vec<u8>, total: usize },
}

/// A few bytes that may arrive one at a time.
#[derive(Clone, Copy, Default)]
struct Collected {
    bytes: [u8; HEAD_MAX_BYTES],
    len: usize,
}

impl Collected {
    /// Takes bytes off `input` until `want` are here or there are no more, and shows those that are here.
    fn fill(&mut self, input: &mut &[u8], want: usize) -> &[u8] {
        let space = self.bytes.get_mut(self.len..want).unwrap_or_default();
        let (front, rest) = input.split_at(space.len().min(input.len()));
        for (space, byte) in space.iter_mut().zip(front) {
            *space = *byte;
        }
        *input = rest;
        self.len = self.len.saturating_add(front.len());
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl LengthDecoder {
    pub(super) fn new(protocol: Protocol, typed: bool) -> Self {
        LengthDecoder { protocol, typed, state: State::Greeting(Collected::default()) }
    }

    fn start_frame(&mut self) {
        self.state = State::Head(Collected::default());
    }

    fn is_between_frames(&self) -> bool {
        matches!(&self.state, State::Head(collected) if collected.len == 0)
    }

    /// A head in the front of `input`, if it is complete and one of those that there are: what it says, and what is
    /// behind it.
    #[inline]
    fn whole_head<'a>(&self, input: &'a [u8]) -> Option<(usize, &'a [u8])> {
        let rest = if self.typed { input.strip_prefix(&[TYPE_IN_BAND])? } else { input };
        let (length, behind) = rest.split_first_chunk::<LENGTH_BYTES>()?;
        Some((usize::try_from(u64::from_be_bytes(*length)).ok()?, behind))
    }
}

/// Bytes of the longest payload that is copied to where it is wanted.
fn longest_small(max_payload: Option<usize>) -> usize {
    let longest = BODY_BY_REFERENCE_BYTES - 1;
    max_payload.map_or(longest, |max| max.min(longest))
}

/// The payload length in the front of `head`, checked before anything is allocated (R25, R78); `None` while
/// bytes are missing.
fn check_head(head: &[u8], typed: bool, max_payload: Option<usize>) -> Result<Option<usize>, WireError> {
    let length = match head {
        _ if !typed => head,
        [TYPE_IN_BAND, length @ ..] => length,
        [other, ..] => return Err(WireError::MessageType(*other)),
        [] => return Ok(None),
    };
    let Some(length) = length.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let claimed = u64::from_be_bytes(*length);
    let limit = max_payload.map_or(FRAME_MAX_BYTES, |max| FRAME_MAX_BYTES.min(max as u64));
    match usize::try_from(claimed) {
        Ok(length) if claimed <= limit => Ok(Some(length)),
        _ => Err(WireError::TooLong { claimed, limit }),
    }
}

impl Decoder for LengthDecoder {
    fn next(&mut self, input: &mut &[u8], max_payload: Option<usize>) -> Result<Option<Event>, WireError> {
        if input.is_empty() && matches!(self.state, State::Head(_)) {
            return Ok(None);
        }
        let typed = self.typed;
        let head_len = if typed { HEAD_MAX_BYTES } else { LENGTH_BYTES };
        loop {
            match &mut self.state {
                State::Greeting(collected) => {
                    let Some(greeting) = collected.fill(input, SP_HEADER_BYTES).first_chunk() else {
                        return Ok(None);
                    };
                    header::check(*greeting, self.protocol)?;
                    self.start_frame();
                    return Ok(Some(Event::Ready));
                }
                State::Head(collected) => {
                    // Most heads arrive whole, and are then read where they are.
                    let in_place = match input.split_at_checked(head_len) {
                        Some((head, rest)) if collected.len == 0 => {
                            *input = rest;
                            head
                        }
                        _ => collected.fill(input, head_len),
                    };
                    let Some(length) = check_head(in_place, typed, max_payload)? else { return Ok(None) };
                    match input.split_at_checked(length) {
                        Some((payload, rest)) if length < BODY_BY_REFERENCE_BYTES => {
                            *input = rest;
                            self.start_frame();
                            return Ok(Some(Event::Message(Message::copy_from_slice(payload))));
                        }
                        _ => self.state = State::Body { buffer: Vec::new(), total: length },
                    }
                }
                State::Body { buffer, total } => {
                    let missing = total.saturating_sub(buffer.len());
                    let (front, rest) = input.split_at(missing.min(input.len()));
                    // What came along behind the body before waits alone: memory may be given for the whole.
                    let is_to_wait = *total >= SPARE_BODY_BYTES && front.len() <= BODY_TAIL_BYTES;
                    reserve(buffer, if is_to_wait { front.len() } else { missing }, front.len())?;
                    buffer.extend_from_slice(front);
                    *input = rest;
                    return Ok(self.body_complete());
                }
            }
        }
    }

    fn next_block(
        &mut self,
        input: &mut &[u8],
        max_payload: Option<usize>,
        room: Allowance,
        frames: &mut Frames,
    ) -> usize {
        if !self.is_between_frames() {
            return 0;
        }
        let longest = longest_small(max_payload);
        let mut counted = 0usize;
        while let Some((length, behind)) = self.whole_head(input)
            && length <= longest
            && let Some((payload, rest)) = behind.split_at_checked(length)
        {
            let sum = counted.saturating_add(length).saturating_add(room.overhead);
            if sum >= room.below {
                break;
            }
            counted = sum;
            frames.push_body(payload);
            *input = rest;
        }
        counted
    }

    #[inline]
    fn sole<'a>(&self, input: &'a [u8], max_payload: Option<usize>) -> Option<&'a [u8]> {
        let (length, payload) = self.whole_head(input)?;
        let is_sole = payload.len() == length && length <= longest_small(max_payload);
        (is_sole && self.is_between_frames()).then_some(payload)
    }

    fn body_buffer(&mut self) -> Result<Option<(&mut Vec<u8>, usize)>, WireError> {
        let State::Body { buffer, total } = &mut self.state else { return Ok(None) };
        let Some(missing) = missing_of_large(buffer.len(), *total) else { return Ok(None) };
        // Not for the last few bytes of a step: a read should be worth its system call.
        reserve(buffer, missing, BODY_BY_REFERENCE_BYTES)?;
        Ok(Some((buffer, missing)))
    }

    fn use_memory(&mut self, mut memory: Vec<u8>) {
        let State::Body { buffer, total } = &mut self.state else { return };
        if (*total..=total.saturating_mul(REUSED_MEMORY_FACTOR_MAX)).contains(&memory.capacity()) {
            memory.clear();
            memory.extend_from_slice(buffer);
            *buffer = memory;
        }
    }

    fn body_complete(&mut self) -> Option<Event> {
        let State::Body { buffer, total } = &mut self.state else { return None };
        if buffer.len() < *total {
            return None;
        }
        debug_assert_eq!(buffer.len(), *total, "more was read than was missing");
        let body = std::mem::take(buffer);
        self.start_frame();
        Some(Event::Message(Message::from(body)))
    }

    fn body_front(&self) -> Option<(&[u8], usize)> {
        let State::Body { buffer, total } = &self.state else { return None };
        Some((buffer, missing_of_large(buffer.len(), *total)?))
    }

    fn body_taken(&mut self) {
        self.start_frame();
    }

    fn is_mid_frame(&self) -> bool {
        match &self.state {
            State::Greeting(collected) | State::Head(collected) => collected.len > 0,
            State::Body { .. } => true,
        }
    }
}

/// Makes room for at least `needed` of the `missing` bytes: in steps, so that a claimed length commits
/// nothing by itself (R81), and fallibly, so that running out of memory costs this connection only.
fn reserve(buffer: &mut Vec<u8>, missing: usize, needed: usize) -> Result<(), WireError> {
    if buffer.spare_capacity_mut().len() >= needed {
        return Ok(());
    }
    let step = missing.min(needed.max(BODY_GROWTH_STEP_BYTES));
    buffer.try_reserve_exact(step).map_err(|_| WireError::OutOfMemory(missing))
}
