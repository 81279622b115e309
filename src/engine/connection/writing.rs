//! Writing: what the socket hands over for the peer, and when it leaves. On whichever thread won the right to (see
//! [`Outbound`](crate::engine::outbound::Outbound)).

use std::io;
use std::sync::{Arc, Weak};
use std::time::Instant;

use smallvec::SmallVec;

use super::Connection;
use crate::engine::jobs::{self, Job, Jobs};
use crate::engine::outbound::{Room, Written};
use crate::engine::pace::{Flow, Writer};
use crate::engine::source::{Notice, Source, Turn};
use crate::limits::{FRAME_FRONT_BYTES, HEADER_INLINE_BYTES, SMALL_FRAME_BYTES, WIRE_WAIT, WIRE_WAIT_MAX};
use crate::message::Message;
use crate::wire::ArrayHead;

/// The head of a frame and the pattern's header.
type Front = SmallVec<[u8; FRAME_FRONT_BYTES]>;
const _: () = assert!(ArrayHead::MAX_BYTES + HEADER_INLINE_BYTES <= FRAME_FRONT_BYTES);

/// The right, and the duty, to write one frame.
pub(crate) struct Claim {
    connection: Arc<Connection>,
    /// What stands in front of the body.
    front: Front,
    /// To wait for a bounded time where the wire is full and the peer reads, which costs less than copying what is left.
    waits: bool,
}

impl Claim {
    /// Writes the frame that was claimed for; called without any socket's lock.
    pub(crate) fn write(self, body: &[u8]) {
        let head = &*self.front;
        let mut frame = [0; SMALL_FRAME_BYTES];
        match frame.get_mut(..head.len().saturating_add(body.len())) {
            Some(frame) => {
                let (to_head, to_body) = frame.split_at_mut(head.len());
                to_head.copy_from_slice(head);
                to_body.copy_from_slice(body);
                self.write_parts(frame, &[]);
            }
            None => self.write_parts(head, body),
        }
    }

    fn write_parts(&self, head: &[u8], body: &[u8]) {
        let connection = &self.connection;
        let write = |slices: &[io::IoSlice<'_>]| connection.stream.write(slices);
        let mut began = None;
        let await_room = self.waits.then_some(|| {
            began.get_or_insert_with(Instant::now).elapsed() < WIRE_WAIT_MAX
                && connection.stream.await_room(WIRE_WAIT)
        });
        let written = connection.outbound.write_claimed(head, body, write, await_room);
        let mut jobs = Jobs::new();
        connection.after_writing(&written, &mut jobs);
        jobs::run(&mut jobs);
    }
}

fn front(head: ArrayHead, header: &[u8]) -> Front {
    let mut front = Front::from_slice(head.as_slice());
    front.extend_from_slice(header);
    front
}

impl Connection {
    /// Appends a message for the peer; called under the socket's lock.
    pub(crate) fn push(&self, message: Message, flow: Flow, jobs: &mut Jobs) -> Room {
        let (room, writer) = self.outbound.push(flow, |queue| self.encoder.encode(message, queue));
        self.see_to_writing(writer, jobs);
        room
    }

    /// The same for copies of `header` and `body`. A head says that the wire was idle and the caller has claimed it instead:
    /// it writes the frame itself, with what [`claimed`](Connection::claimed) returns.
    #[inline]
    pub(crate) fn push_parts(
        &self,
        header: &[u8],
        body: &[u8],
        jobs: &mut Jobs,
    ) -> (Room, Option<ArrayHead>) {
        let payload = header.len().saturating_add(body.len());
        let mut head = None;
        let frame = || {
            head = self.encoder.head(payload);
            head.map(|head| head.as_slice().len().saturating_add(payload))
        };
        let (room, writer) =
            self.outbound.offer(frame, |queue| self.encoder.encode_parts(header, body, queue));
        if let Some(writer) = writer {
            self.see_to_writing(writer, jobs);
            head = None;
        }
        (room, head)
    }

    /// For who has claimed the wire.
    pub(crate) fn claimed(self: &Arc<Self>, head: ArrayHead, header: &[u8]) -> Claim {
        Claim { connection: Arc::clone(self), front: front(head, header), waits: false }
    }

    /// Claims the wire for a large body that the caller writes itself, from where it lies, behind `header`; called under
    /// the socket's lock. `None` if something is before it. It `could_wait` for a full wire, if that pays.
    pub(crate) fn claim(
        self: &Arc<Self>,
        header: &[u8],
        body: &[u8],
        could_wait: bool,
    ) -> Option<(Claim, Room)> {
        let front = front(self.encoder.head(header.len().saturating_add(body.len()))?, header);
        let (room, waits) = self.outbound.claim(front.len().saturating_add(body.len()), could_wait)?;
        Some((Claim { connection: Arc::clone(self), front, waits }, room))
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
        self.reactor.write_soon(self.me.clone() as Weak<dyn Source>);
    }

    pub(super) fn flush(&self) {
        let mut jobs = Jobs::new();
        self.flush_into(&mut jobs);
        jobs::run(&mut jobs);
    }

    /// Writes what waits, as far as the wire takes it.
    pub(crate) fn flush_into(&self, jobs: &mut Jobs) {
        let written = self.outbound.write_out(|slices| self.stream.write(slices));
        self.after_writing(&written, jobs);
    }

    fn after_writing(&self, written: &Written, jobs: &mut Jobs) {
        if written.tidy_later {
            self.reactor.tidy_later(self.me.clone() as Weak<dyn Source>);
        }
        if written.blocked && self.stream.watches_writability_on_demand() {
            self.watch_writability(true);
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
