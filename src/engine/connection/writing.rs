//! Writing: what the socket hands over for the peer, and when it leaves. On whichever thread won the right to (see
//! [`Outbound`](crate::engine::outbound::Outbound)).

use std::hint::cold_path;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;

use super::Connection;
use crate::engine::jobs::{self, Job, Jobs};
use crate::engine::outbound::{Room, Written};
use crate::engine::pace::{Flow, Writer};
use crate::engine::source::{Notice, Source, Turn};
use crate::limits::{FRAME_FRONT_BYTES, HEADER_INLINE_BYTES, SMALL_FRAME_BYTES, WIRE_WAIT, WIRE_WAIT_MAX};
use crate::message::Message;
use crate::wire::{ArrayHead, Encoder};

/// What stands in front of a body: the head of the frame and the pattern's header.
///
/// Whoever sends has the place for it, so that only what is claimed fills it, and nothing moves it.
pub(crate) struct Front {
    bytes: [u8; FRAME_FRONT_BYTES],
    len: usize,
}
const _: () = assert!(ArrayHead::MAX_BYTES + HEADER_INLINE_BYTES <= FRAME_FRONT_BYTES);

impl Front {
    pub(crate) fn new() -> Self {
        Front { bytes: [0; FRAME_FRONT_BYTES], len: 0 }
    }

    /// `None` if there is no room.
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len.checked_add(bytes.len())?;
        self.bytes.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// A message that is not made yet: its parts lie where the caller has them.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) header: &'a [u8],
    pub(crate) body: &'a [u8],
    /// The body as well, if it can be kept without a copy.
    pub(crate) shared: Option<&'a Bytes>,
    /// Whether the caller could wait for a full wire, if that pays.
    pub(crate) could_wait: bool,
}

impl Parts<'_> {
    fn len(&self) -> usize {
        self.header.len().saturating_add(self.body.len())
    }

    /// Puts into `front`, which is empty, what belongs there, if the body is written as it is; the bytes of the frame.
    /// `None` if it is not, or there is a longer header than is ever usual.
    #[inline]
    fn put_front(&self, encoder: &dyn Encoder, front: &mut Front) -> Option<usize> {
        let head = encoder.head(self.len())?;
        front.put(head.as_slice())?;
        if !self.header.is_empty() {
            front.put(self.header)?;
        }
        Some(head.as_slice().len().saturating_add(self.len()))
    }
}

/// The right, and the duty, to write one frame.
pub(crate) struct Claim {
    connection: Arc<Connection>,
    /// To wait for a bounded time where the wire is full and the peer reads, which costs less than copying what is left.
    waits: bool,
}

impl Claim {
    /// Writes the frame that was claimed for; called without any socket's lock.
    #[inline(never)]
    pub(crate) fn write(self, head: &[u8], body: &[u8], shared: Option<&Bytes>) {
        let mut frame = [0; SMALL_FRAME_BYTES];
        match frame.get_mut(..head.len().saturating_add(body.len())) {
            Some(frame) => {
                let (to_head, to_body) = frame.split_at_mut(head.len());
                to_head.copy_from_slice(head);
                to_body.copy_from_slice(body);
                self.write_small(frame);
            }
            None => self.write_parts(head, body, shared, None),
        }
    }

    /// Nearly always the wire takes a small frame as a whole, and nothing is to be done after it.
    #[inline]
    fn write_small(&self, frame: &[u8]) {
        let connection = &self.connection;
        let result = connection.stream.write(&[io::IoSlice::new(frame)]);
        let has_left = matches!(result, Ok(written) if written == frame.len());
        if !has_left {
            cold_path();
            self.write_parts(frame, &[], None, Some(result));
        } else if let Some(more) = connection.outbound.has_left(frame.len()) {
            let write = |slices: &[io::IoSlice<'_>]| connection.stream.write(slices);
            connection.finish_writing(&connection.outbound.write_on(more, write));
        }
    }

    /// `first` is what became of the first attempt, if there was one.
    #[inline(never)]
    fn write_parts(
        &self,
        head: &[u8],
        body: &[u8],
        shared: Option<&Bytes>,
        mut first: Option<io::Result<usize>>,
    ) {
        let connection = &self.connection;
        let write = |slices: &[io::IoSlice<'_>]| match first.take() {
            Some(result) => result,
            None => connection.stream.write(slices),
        };
        let mut began = None;
        let await_room = self.waits.then_some(|| {
            began.get_or_insert_with(Instant::now).elapsed() < WIRE_WAIT_MAX
                && connection.stream.await_room(WIRE_WAIT)
        });
        connection.finish_writing(&connection.outbound.write_claimed(head, body, shared, write, await_room));
    }
}

impl Connection {
    /// Appends a message for the peer; called under the socket's lock.
    pub(crate) fn push(&self, message: Message, flow: Flow, jobs: &mut Jobs) -> Room {
        let (room, writer) = self.outbound.push(flow, |queue| self.encoder.encode(message, queue));
        self.see_to_writing(writer, jobs);
        room
    }

    /// The same for copies of `parts`. A claim says that the wire was idle and the caller writes the frame itself, behind
    /// what is in `front`.
    #[inline]
    pub(crate) fn push_parts(
        self: &Arc<Self>,
        parts: Parts<'_>,
        front: &mut Front,
        jobs: &mut Jobs,
    ) -> (Room, Option<Claim>) {
        let (room, writer) = self.outbound.offer(
            || parts.put_front(&*self.encoder, front),
            |queue| self.encoder.encode_parts(parts.header, parts.body, queue),
        );
        match writer {
            Some(writer) => {
                self.see_to_writing(writer, jobs);
                (room, None)
            }
            None => (room, Some(Claim { connection: Arc::clone(self), waits: false })),
        }
    }

    /// Claims the wire for a large body that the caller writes itself, from where it lies, behind what is in `front`;
    /// called under the socket's lock. `None` if something is before it.
    pub(crate) fn claim(self: &Arc<Self>, parts: Parts<'_>, front: &mut Front) -> Option<(Room, Claim)> {
        let bytes = parts.put_front(&*self.encoder, front)?;
        let (room, waits) = self.outbound.claim(bytes, parts.could_wait)?;
        Some((room, Claim { connection: Arc::clone(self), waits }))
    }

    fn see_to_writing(&self, writer: Writer, jobs: &mut Jobs) {
        let job = match writer {
            Writer::Nobody => return,
            Writer::Caller => Job::Flush,
            Writer::Engine => Job::FlushSoon,
        };
        if let Some(me) = self.me.upgrade() {
            jobs.push(job(me));
        }
    }

    pub(crate) fn flush_soon(&self) {
        self.reactor.write_soon(self.me.clone() as Weak<dyn Source>, self.outbound.tail_wait());
        self.outbound.engine_called(Instant::now());
    }

    pub(super) fn flush(&self) {
        let mut jobs = Jobs::new();
        self.flush_into(&mut jobs);
        jobs::run(jobs);
    }

    /// Writes what waits, as far as the wire takes it.
    pub(crate) fn flush_into(&self, jobs: &mut Jobs) {
        let written = self.outbound.write_out(|slices| self.stream.write(slices));
        self.after_writing(&written, jobs);
    }

    fn finish_writing(&self, written: &Written) {
        let mut jobs = Jobs::new();
        self.after_writing(written, &mut jobs);
        jobs::run(jobs);
    }

    fn after_writing(&self, written: &Written, jobs: &mut Jobs) {
        if written.tidy_later {
            self.reactor.tidy_later(self.me.clone() as Weak<dyn Source>);
        }
        if written.blocked {
            self.watch_input();
            if self.stream.watches_writability_on_demand() {
                self.watch_writability(true);
            }
        }
        if written.room
            && let Some(pipe) = self.pipe.get()
        {
            self.core.pipe_writable(*pipe, jobs);
        }
        if written.error.is_some()
            && let Some(me) = self.me.upgrade()
        {
            // The reading side finds the end of the stream, after what the peer sent before it went.
            me.tell(Notice::Resume);
        }
    }

    pub(super) fn watch_writability(&self, on: bool) {
        if let Some(token) = self.token.get() {
            // The descriptor is registered as long as the connection is not closed; after that nobody waits.
            let _ = self.stream.reregister(self.reactor.registry(), *token, on);
        }
    }

    pub(super) fn writable(self: &Arc<Self>, turn: &mut Turn<'_>) {
        if self.outbound.writable() {
            self.flush();
            if self.stream.watches_writability_on_demand() && self.outbound.pending() == 0 {
                self.watch_writability(false);
                // A sender may have filled the wire in between, and its watch was just switched off.
                if self.outbound.is_blocked() {
                    self.watch_writability(true);
                }
            }
        }
        self.continue_drain(turn);
    }
}
