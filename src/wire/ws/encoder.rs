//! The sending half: one WebSocket message for each SP message.

use crate::limits::{BODY_BY_REFERENCE_BYTES, WS_FRAME_MAX_BYTES, WS_MASKED_FRAME_MAX_BYTES};
use crate::message::{Message, WsMessageType};
use crate::wire::{Encoder, SendQueue};

use super::frame::{self, HEAD_MAX_BYTES, Head, Mask, Masks, Opcode};

pub(super) struct WsEncoder {
    /// Clients mask, servers do not (R59).
    masks: Option<Masks>,
    message_type: WsMessageType,
}

impl WsEncoder {
    pub(super) fn new(masks: Option<Masks>, message_type: WsMessageType) -> Self {
        WsEncoder { masks, message_type }
    }
}

impl Encoder for WsEncoder {
    fn encode(&self, message: Message, queue: &mut SendQueue) {
        let most = if self.masks.is_some() { WS_MASKED_FRAME_MAX_BYTES } else { WS_FRAME_MAX_BYTES };
        let total = message.payload_len();
        let mut opcode = Opcode::Data(message.ws_type().unwrap_or(self.message_type));
        let mut at = 0_usize;
        loop {
            let end = total.min(at.saturating_add(most));
            let mask = self.masks.as_ref().map(Masks::next);
            let head = Head { fin: end == total, opcode, mask, len: (end - at) as u64 };
            match mask {
                Some(mask) => put_masked(&message, at, end, &head, mask, queue),
                None => put_plain(&message, at, end, &head, queue),
            }
            if end == total {
                return;
            }
            opcode = Opcode::Continuation;
            at = end;
        }
    }

    fn encode_parts(&self, header: &[u8], body: &[u8], queue: &mut SendQueue) {
        if !header.is_empty() || body.len() >= BODY_BY_REFERENCE_BYTES {
            let mut message = Message::copy_from_slice(body);
            message.set_header(header);
            return self.encode(message, queue);
        }
        let mask = self.masks.as_ref().map(Masks::next);
        let head = Head { fin: true, opcode: Opcode::Data(self.message_type), mask, len: body.len() as u64 };
        queue.put(head.write().as_ref());
        match mask {
            Some(mask) => queue.put_changed(body, |copy| frame::apply(mask, 0, copy)),
            None => queue.put(body),
        }
    }
}

// What is copied is less than any frame may hold.
const _: () = assert!(BODY_BY_REFERENCE_BYTES <= WS_MASKED_FRAME_MAX_BYTES);
const _: () = assert!(BODY_BY_REFERENCE_BYTES <= WS_FRAME_MAX_BYTES);

/// The bytes `at..end` of header and body behind one another, as a part of each.
fn parts(message: &Message, at: usize, end: usize) -> (&[u8], std::ops::Range<usize>) {
    let header = message.header();
    let cut = |at: usize| at.saturating_sub(header.len());
    let from_header = header.get(at.min(header.len())..end.min(header.len()));
    (from_header.unwrap_or_default(), cut(at)..cut(end))
}

/// Appends one frame; a large body goes in by reference.
fn put_plain(message: &Message, at: usize, end: usize, head: &Head, queue: &mut SendQueue) {
    let (header, body) = parts(message, at, end);
    queue.put(head.write().as_ref());
    queue.put(header);
    match message.shared_body() {
        Some(shared) => queue.put_bytes(&shared.slice(body)),
        None => queue.put(message.body().get(body).unwrap_or_default()),
    }
}

/// Appends one frame, masked in the copy that the queue holds: the message may be sent again, or to others
/// (R71).
fn put_masked(message: &Message, at: usize, end: usize, head: &Head, mask: Mask, queue: &mut SendQueue) {
    let (header, body) = parts(message, at, end);
    let body = message.body().get(body).unwrap_or_default();
    let written = head.write();
    if body.len() < BODY_BY_REFERENCE_BYTES {
        queue.put(written.as_ref());
        queue.put_changed(header, |copy| frame::apply(mask, 0, copy));
        queue.put_changed(body, |copy| frame::apply(mask, header.len(), copy));
        return;
    }
    let mut copy = Vec::with_capacity(HEAD_MAX_BYTES + header.len() + body.len());
    copy.extend_from_slice(written.as_ref());
    copy.extend_from_slice(header);
    copy.extend_from_slice(body);
    frame::apply(mask, 0, copy.get_mut(written.as_ref().len()..).unwrap_or_default());
    queue.put_bytes(&copy.into());
}
