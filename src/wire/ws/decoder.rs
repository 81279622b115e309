//! The receiving half: the upgrade, then frames; fragments become messages, control frames are answered.

use bytes::Bytes;

use crate::frames::Frames as Block;
use crate::limits::{
    BODY_BY_REFERENCE_BYTES, BODY_GROWTH_STEP_BYTES, FRAME_MAX_BYTES, INLINE_BODY_BYTES, WS_CONTROL_MAX_BYTES,
};
use crate::message::{Message, WsMessageType};
use crate::protocol::Protocol;
use crate::wire::{Allowance, Decoder, Event, WireError, missing_of_large};

use super::frame::{self, CloseCode, HEAD_MAX_BYTES, Head, Mask, Masks, Opcode, Parsed};
use super::upgrade::{Client, Refusal, Server};

pub(super) struct WsDecoder {
    stage: Stage,
    frames: Frames,
    /// The answer to a request that was refused.
    refusal: Option<Refusal>,
}

enum Stage {
    Asked(Server),
    /// The request was answered; nothing was told about it yet.
    Answered,
    Asking(Client),
    Open,
    /// The peer closed; nothing that comes now means anything.
    Closed,
}

/// Frames of the peer, and the message that they are about to make.
struct Frames {
    /// For our replies: we are the client.
    masks: Option<Masks>,
    state: State,
    assembly: Option<Assembly>,
}

enum State {
    /// Between frames, or within a head.
    Head(Collected<HEAD_MAX_BYTES>),
    /// Within a control frame.
    Control(Head, Collected<WS_CONTROL_MAX_BYTES>),
    /// Within a frame of the message in assembly: its payload goes from `start` to `end` there, and is
    /// unmasked up to `unmasked`.
    Body { head: Head, start: usize, unmasked: usize, end: usize },
}

/// A few bytes that may arrive one at a time.
#[derive(Clone, Copy)]
struct Collected<const MOST: usize> {
    bytes: [u8; MOST],
    len: usize,
}

impl<const MOST: usize> Collected<MOST> {
    fn new() -> Self {
        Collected { bytes: [0; MOST], len: 0 }
    }

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

/// A message of which not everything is here.
struct Assembly {
    message_type: WsMessageType,
    buffer: Vec<u8>,
    /// So much of a text is known to be UTF-8.
    checked: usize,
    fragmented: bool,
}

impl WsDecoder {
    pub(super) fn server(protocol: Protocol, path: Option<Box<str>>) -> Self {
        Self::new(Stage::Asked(Server::new(protocol, path)), None)
    }

    pub(super) fn client(protocol: Protocol, key: &str, masks: Masks) -> Self {
        Self::new(Stage::Asking(Client::new(protocol, key)), Some(masks))
    }

    fn new(stage: Stage, masks: Option<Masks>) -> Self {
        let frames = Frames { masks, state: State::Head(Collected::new()), assembly: None };
        WsDecoder { stage, frames, refusal: None }
    }
}

impl Decoder for WsDecoder {
    fn next(&mut self, input: &mut &[u8], max_payload: Option<usize>) -> Result<Option<Event>, WireError> {
        match &mut self.stage {
            Stage::Asked(server) => match server.next(input) {
                Ok(None) => Ok(None),
                Ok(Some(response)) => {
                    self.stage = Stage::Answered;
                    Ok(Some(Event::Reply(response)))
                }
                Err(refusal) => {
                    self.refusal = Some(refusal);
                    Err(refusal.into())
                }
            },
            Stage::Asking(client) => {
                if !client.next(input)? {
                    return Ok(None);
                }
                self.stage = Stage::Open;
                Ok(Some(Event::Ready))
            }
            Stage::Answered => {
                self.stage = Stage::Open;
                Ok(Some(Event::Ready))
            }
            Stage::Open => {
                let event = self.frames.next(input, max_payload)?;
                if let Some(Event::Close(_)) = event {
                    self.stage = Stage::Closed;
                }
                Ok(event)
            }
            Stage::Closed => {
                *input = &[];
                Ok(None)
            }
        }
    }

    fn next_block(
        &mut self,
        input: &mut &[u8],
        max_payload: Option<usize>,
        room: Allowance,
        block: &mut Block,
    ) -> usize {
        match self.stage {
            Stage::Open => self.frames.next_block(input, max_payload, room, block),
            _ => 0,
        }
    }

    fn body_buffer(&mut self) -> Result<Option<(&mut Vec<u8>, usize)>, WireError> {
        self.frames.body_buffer()
    }

    fn body_complete(&mut self) -> Option<Event> {
        // Texts are never read in place, and nothing else can fail here.
        self.frames.finish_frame().ok().flatten()
    }

    fn is_mid_frame(&self) -> bool {
        match &self.stage {
            Stage::Asked(server) => !server.is_empty(),
            Stage::Asking(client) => !client.is_empty(),
            Stage::Answered | Stage::Closed => false,
            Stage::Open => self.frames.is_mid_message(),
        }
    }

    fn last_words(&mut self, error: &WireError) -> Bytes {
        if let Some(refusal) = self.refusal {
            return refusal.response();
        }
        let Stage::Open = self.stage else { return Bytes::new() };
        let code = match error {
            WireError::TooLong { .. } => CloseCode::TooLong,
            WireError::NotText => CloseCode::InvalidText,
            WireError::OutOfMemory(_) => CloseCode::Internal,
            _ => CloseCode::Protocol,
        };
        frame::close(code, self.frames.reply_mask())
    }
}

impl Frames {
    fn next(&mut self, input: &mut &[u8], max_payload: Option<usize>) -> Result<Option<Event>, WireError> {
        loop {
            match &mut self.state {
                State::Head(collected) => {
                    let Some(head) = take_head(collected, input)? else { return Ok(None) };
                    if let Some(message) = self.begin_frame(head, input, max_payload)? {
                        return Ok(Some(Event::Message(message)));
                    }
                }
                State::Control(head, collected) => {
                    let head = *head;
                    // At most 125, or it would have been refused.
                    let want = head.len as usize;
                    if collected.fill(input, want).len() < want {
                        return Ok(None);
                    }
                    let mut collected = *collected;
                    let payload = collected.bytes.get_mut(..want).unwrap_or_default();
                    if let Some(mask) = head.mask {
                        frame::apply(mask, 0, payload);
                    }
                    self.state = State::Head(Collected::new());
                    if let Some(event) = self.control(head.opcode, payload)? {
                        return Ok(Some(event));
                    }
                }
                State::Body { end, .. } => {
                    let end = *end;
                    let Some(assembly) = &mut self.assembly else { return Err(frame_error("no message")) };
                    let missing = end.saturating_sub(assembly.buffer.len());
                    let (front, rest) = input.split_at(missing.min(input.len()));
                    assembly.reserve(missing, front.len())?;
                    assembly.buffer.extend_from_slice(front);
                    *input = rest;
                    if let Some(event) = self.finish_frame()? {
                        return Ok(Some(event));
                    }
                    if input.is_empty() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Messages in one frame each that are there as a whole. Whatever is wrong or large is left to `next`.
    fn next_block(
        &mut self,
        input: &mut &[u8],
        max_payload: Option<usize>,
        room: Allowance,
        block: &mut Block,
    ) -> usize {
        let between = matches!(&self.state, State::Head(collected) if collected.len == 0);
        if !between || self.assembly.is_some() {
            return 0;
        }
        let below = max_payload.map_or(BODY_BY_REFERENCE_BYTES, |max| max.saturating_add(1));
        let below = below.min(BODY_BY_REFERENCE_BYTES);
        let mut counted = 0_usize;
        while let Ok(Parsed::Head(head, size)) = frame::parse(input)
            && let Head { fin: true, opcode: Opcode::Data(message_type), mask, len } = head
            && mask.is_some() != self.masks.is_some()
            && let Some(len) = usize::try_from(len).ok().filter(|len| *len < below)
            && let Some((payload, rest)) = input.get(size..).and_then(|behind| behind.split_at_checked(len))
        {
            let sum = counted.saturating_add(len).saturating_add(room.overhead);
            if sum >= room.below {
                break;
            }
            let is_good = block.push_changed(payload, message_type, |copy| {
                if let Some(mask) = mask {
                    frame::apply(mask, 0, copy);
                }
                message_type != WsMessageType::Text || std::str::from_utf8(copy).is_ok()
            });
            if !is_good {
                break;
            }
            counted = sum;
            *input = rest;
        }
        counted
    }

    /// Checks a head against the rules and what came before. A whole small message that is already there is
    /// returned.
    fn begin_frame(
        &mut self,
        head: Head,
        input: &mut &[u8],
        max_payload: Option<usize>,
    ) -> Result<Option<Message>, WireError> {
        self.state = State::Head(Collected::new());
        if head.mask.is_some() == self.masks.is_some() {
            let who =
                if self.masks.is_some() { "a server's frame is masked" } else { "a frame is not masked" };
            return Err(frame_error(who));
        }
        if head.opcode.is_control() {
            self.state = State::Control(head, Collected::new());
            return Ok(None);
        }
        let start = self.assembly.as_ref().map_or(0, |assembly| assembly.buffer.len());
        let limit = max_payload.map_or(FRAME_MAX_BYTES, |max| FRAME_MAX_BYTES.min(max as u64));
        let claimed = head.len.saturating_add(start as u64);
        let end = match usize::try_from(claimed) {
            Ok(end) if claimed <= limit => end,
            _ => return Err(WireError::TooLong { claimed, limit }),
        };
        match (head.opcode, &mut self.assembly) {
            (Opcode::Data(message_type), None) => {
                let whole = input.split_at_checked(end).filter(|_| end < BODY_BY_REFERENCE_BYTES && head.fin);
                if let Some((payload, rest)) = whole {
                    *input = rest;
                    return whole_message(payload, head.mask, message_type).map(Some);
                }
                let (buffer, fragmented) = (Vec::new(), !head.fin);
                self.assembly = Some(Assembly { message_type, buffer, checked: 0, fragmented });
            }
            (Opcode::Continuation, Some(_)) => (),
            (Opcode::Continuation, None) => return Err(frame_error("a continuation of nothing")),
            (_, _) => return Err(frame_error("a message begins within another")),
        }
        self.state = State::Body { head, start, unmasked: start, end };
        Ok(None)
    }

    /// Unmasks what arrived of the current frame. At its end: the message, if this was the last one.
    fn finish_frame(&mut self) -> Result<Option<Event>, WireError> {
        let State::Body { head, start, unmasked, end } = &mut self.state else { return Ok(None) };
        let Some(assembly) = &mut self.assembly else { return Ok(None) };
        assembly.unmask(head.mask, *start, unmasked);
        let complete = assembly.buffer.len() >= *end;
        let last = complete && head.fin;
        if complete {
            debug_assert_eq!(assembly.buffer.len(), *end, "more was read than was missing");
            self.state = State::Head(Collected::new());
        }
        assembly.check_text(last)?;
        if !last {
            return Ok(None);
        }
        Ok(self.assembly.take().map(|assembly| Event::Message(assembly.into_message())))
    }

    fn body_buffer(&mut self) -> Result<Option<(&mut Vec<u8>, usize)>, WireError> {
        let State::Body { head, start, unmasked, end } = &mut self.state else { return Ok(None) };
        let Some(assembly) = &mut self.assembly else { return Ok(None) };
        let here = assembly.buffer.len().saturating_sub(*start);
        let Some(missing) = missing_of_large(here, end.saturating_sub(*start)) else { return Ok(None) };
        if assembly.message_type == WsMessageType::Text {
            return Ok(None);
        }
        // While it is in the processor's cache.
        assembly.unmask(head.mask, *start, unmasked);
        assembly.reserve(missing, BODY_BY_REFERENCE_BYTES)?;
        Ok(Some((&mut assembly.buffer, missing)))
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8]) -> Result<Option<Event>, WireError> {
        match opcode {
            Opcode::Ping => Ok(Some(Event::Reply(frame::control(Opcode::Pong, payload, self.reply_mask())))),
            Opcode::Close => {
                let (code, reason) = match payload {
                    [] => (payload, payload),
                    [_] => return Err(frame_error("half a close code")),
                    _ => payload.split_at(2),
                };
                if let Ok(code) = code.try_into()
                    && !frame::is_close_code(u16::from_be_bytes(code))
                {
                    return Err(frame_error("a close code that must not be sent"));
                }
                std::str::from_utf8(reason).map_err(|_| WireError::NotText)?;
                Ok(Some(Event::Close(frame::control(Opcode::Close, code, self.reply_mask()))))
            }
            // An answer to nothing: we do not ask (R67).
            _ => Ok(None),
        }
    }

    fn reply_mask(&self) -> Option<Mask> {
        self.masks.as_ref().map(Masks::next)
    }

    fn is_mid_message(&self) -> bool {
        let between = matches!(&self.state, State::Head(collected) if collected.len == 0);
        !between || self.assembly.is_some()
    }
}

fn frame_error(what: &'static str) -> WireError {
    WireError::Frame(what)
}

/// The head at the front of `input`, behind what was collected of it; `None` while bytes are missing.
fn take_head(
    collected: &mut Collected<HEAD_MAX_BYTES>,
    input: &mut &[u8],
) -> Result<Option<Head>, WireError> {
    // Most heads arrive whole, and are then read where they are.
    if collected.len == 0
        && let Parsed::Head(head, size) = frame::parse(input).map_err(frame_error)?
    {
        *input = input.get(size..).unwrap_or_default();
        return Ok(Some(head));
    }
    let mut want = 2;
    loop {
        let bytes = collected.fill(input, want);
        let have = bytes.len();
        match frame::parse(bytes).map_err(frame_error)? {
            Parsed::Head(head, _) => return Ok(Some(head)),
            Parsed::Needs(_) if have < want => return Ok(None),
            Parsed::Needs(more) => want = more,
        }
    }
}

/// A message that came in one piece.
fn whole_message(
    payload: &[u8],
    mask: Option<Mask>,
    message_type: WsMessageType,
) -> Result<Message, WireError> {
    let mut message = match mask {
        None => Message::copy_from_slice(payload),
        Some(mask) => {
            let mut small = [0; INLINE_BODY_BYTES];
            match small.get_mut(..payload.len()) {
                Some(copy) => {
                    copy.copy_from_slice(payload);
                    frame::apply(mask, 0, copy);
                    Message::copy_from_slice(copy)
                }
                None => {
                    let mut copy = payload.to_vec();
                    frame::apply(mask, 0, &mut copy);
                    Message::from(copy)
                }
            }
        }
    };
    if message_type == WsMessageType::Text && std::str::from_utf8(message.body()).is_err() {
        return Err(WireError::NotText);
    }
    message.set_ws_type(Some(message_type));
    Ok(message)
}

impl Assembly {
    /// Makes room for at least `needed` of the `missing` bytes of a frame: in steps, so that a claimed length
    /// commits nothing by itself (R81), and fallibly. A buffer that has grown before doubles at most, so that
    /// many small fragments cost no more copying than a few large ones (R250).
    fn reserve(&mut self, missing: usize, needed: usize) -> Result<(), WireError> {
        let have = self.buffer.len();
        if self.buffer.capacity() - have >= needed {
            return Ok(());
        }
        let step = missing.min(needed.max(BODY_GROWTH_STEP_BYTES));
        let step = if self.fragmented { step.max(have) } else { step };
        self.buffer.try_reserve_exact(step).map_err(|_| WireError::OutOfMemory(missing))
    }

    fn unmask(&mut self, mask: Option<Mask>, start: usize, unmasked: &mut usize) {
        if let (Some(mask), Some(fresh)) = (mask, self.buffer.get_mut(*unmasked..)) {
            frame::apply(mask, unmasked.saturating_sub(start), fresh);
        }
        *unmasked = self.buffer.len();
    }

    /// Looks at what came of a text since the last look (R64). A character may still be incomplete, except at
    /// the end.
    fn check_text(&mut self, last: bool) -> Result<(), WireError> {
        if self.message_type == WsMessageType::Binary {
            return Ok(());
        }
        let unchecked = self.buffer.get(self.checked..).unwrap_or_default();
        match std::str::from_utf8(unchecked) {
            Ok(_) => self.checked = self.buffer.len(),
            Err(error) if last || error.error_len().is_some() => return Err(WireError::NotText),
            Err(error) => self.checked = self.checked.saturating_add(error.valid_up_to()),
        }
        Ok(())
    }

    fn into_message(mut self) -> Message {
        if self.fragmented {
            // Only payload is counted against the bounds, so nothing else may be held.
            self.buffer.shrink_to_fit();
        }
        let mut message = Message::from(self.buffer);
        message.set_ws_type(Some(self.message_type));
        message
    }
}
