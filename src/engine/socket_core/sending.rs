//! What the application sends.

use std::hint::cold_path;
use std::io;

use bytes::Bytes;

use super::waiting::{Direction, Patience};
use super::{Core, Link};
use crate::engine::connection::{Claim, Front, Parts};
use crate::engine::jobs::{self, Jobs};
use crate::engine::outbound::Room;
use crate::engine::pace::Flow;
use crate::error::{Error, SendError};
use crate::limits::{BODY_BY_REFERENCE_BYTES, FRAME_COPY_MAX_BYTES, WIRE_WAIT_BODY_BYTES};
use crate::message::Message;
use crate::protocol::{Plain, Rejected, SendRefusal};

impl Core {
    /// Sends, waiting as `patience` says. A message that is not sent comes back.
    #[inline(always)]
    pub(crate) fn send(&self, message: impl Into<Message>, patience: Patience) -> Result<(), SendError> {
        // Not handed through: that would cost as much as sending it.
        let mut message = message.into();
        match self.send_from(&mut message, patience) {
            Ok(()) => Ok(()),
            Err(error) => Err(SendError { error, message }),
        }
    }

    /// Sends what is in `message`; where that fails it is in there afterwards.
    fn send_from(&self, message: &mut Message, mut patience: Patience) -> Result<(), Error> {
        if message.is_plain() {
            // A small body is copied straight to where it leaves from; a large one is written from where it lies.
            match self.offer_body(message.body(), message.shared_body(), &mut patience)? {
                Offer::Taken => return Ok(()),
                Offer::Full => return Err(Error::WouldBlock),
                Offer::Message => (),
            }
        }
        self.send_message(std::mem::take(message), patience).map_err(|refused| {
            *message = refused.message;
            refused.error
        })
    }

    fn send_message(&self, mut message: Message, mut patience: Patience) -> Result<(), SendError> {
        loop {
            let moves = self.mail.moves();
            match self.try_send(message) {
                Ok(()) => return Ok(()),
                Err(SendError { error: Error::WouldBlock, message: back }) if patience.waits() => {
                    message = back;
                    if let Err(error) = self.wait_for_room(moves, &mut patience) {
                        return Err(SendError { error, message });
                    }
                }
                Err(refused) => return Err(refused),
            }
        }
    }

    fn wait_for_room(&self, moves: usize, patience: &mut Patience) -> Result<(), Error> {
        match self.wait(Direction::Send, moves, patience, None)? {
            Some(waiting) => self.leave(waiting),
            None => Ok(()),
        }
    }

    fn try_send(&self, message: Message) -> Result<(), SendError> {
        let len = message.len();
        let mut slot = Some(message);
        let sent = self.act(|state, _, now| {
            let message = slot.take().unwrap_or_default();
            state.pattern.send(&mut state.fx, now, message).map(|()| state.stats.sent(len))
        });
        let Rejected { message, reason } = match sent {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(rejected)) => rejected,
            Err(error) => return Err(SendError { error, message: slot.unwrap_or_default() }),
        };
        let error = match reason {
            SendRefusal::Full => Error::WouldBlock,
            SendRefusal::State => Error::State("nothing to answer: receive a request or survey first"),
            SendRefusal::Unsupported => Error::Unsupported { protocol: self.protocol, operation: "send" },
            SendRefusal::Header => Error::Header { protocol: self.protocol, len: message.header().len() },
        };
        Err(SendError { error, message })
    }

    /// Sends a copy of `body`, waiting as `patience` says. A small one is copied straight to where it leaves from.
    #[inline]
    pub(crate) fn send_body(&self, body: &[u8], mut patience: Patience) -> Result<(), Error> {
        match self.offer_body(body, None, &mut patience)? {
            Offer::Taken => Ok(()),
            Offer::Message => self.send_message(copy_of(body)?, patience).map_err(|refused| refused.error),
            Offer::Full => Err(Error::WouldBlock),
        }
    }

    /// Offers the body until there is room, as long as `patience` lasts. `shared` is the body as well, if others may hold
    /// it.
    #[inline]
    fn offer_body(
        &self,
        body: &[u8],
        shared: Option<&Bytes>,
        patience: &mut Patience,
    ) -> Result<Offer, Error> {
        match self.try_send_body(body, shared, *patience)? {
            Offer::Full => self.offer_body_again(body, shared, patience),
            done => Ok(done),
        }
    }

    /// The body stays where it is meanwhile: what is copied before there is room is copied to a place of its own, in vain
    /// if the wait fails or the wire is idle by then.
    #[cold]
    fn offer_body_again(
        &self,
        body: &[u8],
        shared: Option<&Bytes>,
        patience: &mut Patience,
    ) -> Result<Offer, Error> {
        while patience.waits() {
            let moves = self.mail.moves();
            match self.try_send_body(body, shared, *patience)? {
                Offer::Full => self.wait_for_room(moves, patience)?,
                done => return Ok(done),
            }
        }
        Ok(Offer::Full)
    }

    fn try_send_body(&self, body: &[u8], shared: Option<&Bytes>, patience: Patience) -> Result<Offer, Error> {
        if self.is_inherited() {
            cold_path();
            return Err(Error::Closed);
        }
        let mut jobs = Jobs::new();
        let now = self.now();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.closed {
            cold_path();
            return Err(Error::Closed);
        }
        let pipe = match state.pattern.choose_plain(&mut state.fx, now, body) {
            Plain::To(pipe) => pipe,
            Plain::Full => return Ok(Offer::Full),
            Plain::Message => return Ok(Offer::Message),
        };
        let header = state.pattern.plain_header();
        let Some(link) = state.pipes.get(pipe) else { return Ok(Offer::Taken) };
        // With several peers, another could be written to meanwhile.
        let could_wait = body.len() >= WIRE_WAIT_BODY_BYTES && patience.waits() && state.pipes.len() == 1;
        let mut front = Front::new();
        let (room, claim) =
            link.push_parts(Parts { header, body, shared, could_wait }, &mut front, &mut jobs)?;
        if room == Room::Full {
            state.pattern.handle_full(pipe);
        }
        let is_watched = state.send_level.has_descriptor() || state.recv_level.has_descriptor();
        if room == Room::Full || self.timed || is_watched || !state.fx.is_empty() {
            self.settle(state, now, &mut jobs);
        }
        state.stats.sent(body.len());
        drop(guard);
        if let Some(claim) = claim {
            claim.write(front.as_slice(), body, shared);
        }
        jobs::run(jobs);
        Ok(Offer::Taken)
    }
}

/// What became of a body that was offered to the pattern.
enum Offer {
    Taken,
    /// There is no room.
    Full,
    /// The pattern has to see a message.
    Message,
}

/// A message with a copy of a body, if there is memory for it.
fn copy_of(body: &[u8]) -> Result<Message, Error> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(body.len()).map_err(|_| no_memory(body))?;
    copy.extend_from_slice(body);
    Ok(Message::from(copy))
}

fn no_memory(body: &[u8]) -> Error {
    Error::os("send", format!("{} bytes", body.len()), io::ErrorKind::OutOfMemory.into())
}

impl Link {
    /// Takes a message towards the peer that is not made yet: most often the bytes are copied, or written by the caller,
    /// from where they lie. The caller has to write if it gets a claim.
    #[inline]
    fn push_parts(
        &self,
        parts: Parts<'_>,
        front: &mut Front,
        jobs: &mut Jobs,
    ) -> Result<(Room, Option<Claim>), Error> {
        match self {
            Link::Stream(connection) if parts.body.len() < BODY_BY_REFERENCE_BYTES => {
                Ok(connection.push_parts(parts, front, jobs))
            }
            Link::Inproc(end) if parts.body.len() <= FRAME_COPY_MAX_BYTES => {
                if parts.header.is_empty() {
                    return Ok((end.push_body(parts.body, jobs), None));
                }
                let mut message = Message::copy_from_slice(parts.body);
                message.set_header(parts.header);
                Ok((end.push(message, jobs), None))
            }
            Link::Stream(_) | Link::Inproc(_) => self.push_large(parts, front, jobs),
        }
    }

    #[inline(never)]
    fn push_large(
        &self,
        parts: Parts<'_>,
        front: &mut Front,
        jobs: &mut Jobs,
    ) -> Result<(Room, Option<Claim>), Error> {
        if let Link::Stream(connection) = self
            && let Some((room, claim)) = connection.claim(parts, front)
        {
            return Ok((room, Some(claim)));
        }
        // The turn of the pipe is taken, so the message has to be made under the lock.
        let mut message = match parts.shared {
            Some(shared) => Message::from(shared.clone()),
            None => self.copy_of(parts.body)?,
        };
        message.set_header(parts.header);
        Ok((self.push(message, Flow::Unknown, jobs), None))
    }

    /// The same, in memory that suits the link.
    fn copy_of(&self, body: &[u8]) -> Result<Message, Error> {
        match self {
            Link::Stream(_) => copy_of(body),
            Link::Inproc(end) => end.copy_of(body).map_err(|_| no_memory(body)),
        }
    }
}
