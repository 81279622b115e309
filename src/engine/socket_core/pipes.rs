//! The pipes of a socket: dense slots, keys that are not reused (R165).

use std::sync::Arc;

use crate::engine::connection::Connection;
use crate::engine::inproc;
use crate::engine::jobs::Jobs;
use crate::engine::outbound::Room;
use crate::engine::pace::Flow;
use crate::limits::{MESSAGE_OVERHEAD_BYTES, TELL_AT_PART_OF_BOUND};
use crate::message::Message;
use crate::protocol::PipeId;

/// What a pipe is made of.
#[derive(Clone)]
pub(crate) enum Link {
    Stream(Arc<Connection>),
    Inproc(inproc::End),
}

impl Link {
    /// Takes a message towards the peer.
    pub(super) fn push(&self, message: Message, flow: Flow, jobs: &mut Jobs) -> Room {
        match self {
            Link::Stream(connection) => connection.push(message, flow, jobs),
            Link::Inproc(end) => end.push(message, jobs),
        }
    }

    /// Whether much may be sent within the process before there is no room.
    pub(super) fn is_half_free(&self) -> bool {
        matches!(self, Link::Inproc(end) if end.is_half_free())
    }

    pub(super) fn is_network(&self) -> bool {
        matches!(self, Link::Stream(_))
    }
}

pub(super) struct Pipe {
    pub(super) id: PipeId,
    pub(super) endpoint: u32,
    pub(super) link: Link,
    /// What the application took and the connection was not told yet, as the connection counts it.
    freed: usize,
    /// The connection is told when it is so much: less than what makes a difference to it.
    tell_at: usize,
}

impl Pipe {
    /// `bytes` from the peer do not wait here any longer.
    fn release(&mut self, bytes: usize, jobs: &mut Jobs) {
        match &self.link {
            Link::Inproc(end) => end.release(bytes, jobs),
            Link::Stream(connection) => {
                self.freed += bytes.saturating_add(MESSAGE_OVERHEAD_BYTES);
                if self.freed >= self.tell_at {
                    connection.release(std::mem::take(&mut self.freed), jobs);
                }
            }
        }
    }

    /// Bytes from the peer that wait here, and what each message counts beyond its payload.
    pub(super) fn waiting(&self) -> (usize, usize) {
        match &self.link {
            Link::Stream(connection) => {
                (connection.waiting().saturating_sub(self.freed), MESSAGE_OVERHEAD_BYTES)
            }
            Link::Inproc(end) => (end.waiting(), 0),
        }
    }
}

pub(super) struct Pipes {
    slots: Vec<Option<Pipe>>,
    free: Vec<u32>,
    next_key: u32,
    /// Keys given out; once they wrap, live ones are avoided.
    given: u64,
}

impl Pipes {
    pub(super) fn new(first_key: u32) -> Self {
        Pipes { slots: Vec::new(), free: Vec::new(), next_key: first_key, given: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// `recv_bound` is the bound of what waits from a network peer, in bytes.
    pub(super) fn add(&mut self, endpoint: u32, link: Link, recv_bound: usize) -> PipeId {
        let key = self.fresh_key();
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        let id = PipeId::new(slot, key);
        let tell_at = recv_bound / TELL_AT_PART_OF_BOUND;
        self.slots[id.slot()] = Some(Pipe { id, endpoint, link, freed: 0, tell_at });
        id
    }

    fn fresh_key(&mut self) -> u32 {
        loop {
            self.next_key = self.next_key.wrapping_add(1) & PipeId::KEY_MASK;
            self.given += 1;
            let wrapped = self.given > u64::from(PipeId::KEY_MASK);
            if !wrapped || !self.iter().any(|pipe| pipe.id.key() == self.next_key) {
                return self.next_key;
            }
        }
    }

    pub(super) fn get(&self, id: PipeId) -> Option<&Link> {
        self.slots.get(id.slot())?.as_ref().filter(|pipe| pipe.id == id).map(|pipe| &pipe.link)
    }

    /// `bytes` from the pipe's peer do not wait here any longer. False if the pipe is gone.
    pub(super) fn release(&mut self, id: PipeId, bytes: usize, jobs: &mut Jobs) -> bool {
        let pipe = self.slots.get_mut(id.slot()).and_then(Option::as_mut).filter(|pipe| pipe.id == id);
        let found = pipe.is_some();
        if let Some(pipe) = pipe {
            pipe.release(bytes, jobs);
        }
        found
    }

    pub(super) fn remove(&mut self, id: PipeId) -> Option<Pipe> {
        let slot = self.slots.get_mut(id.slot())?;
        let pipe = slot.take_if(|pipe| pipe.id == id)?;
        self.free.push(id.slot() as u32);
        Some(pipe)
    }

    /// The only pipe there is, if that is one of inproc.
    pub(super) fn only_inproc(&self) -> Option<(PipeId, &inproc::End)> {
        if self.len() != 1 {
            return None;
        }
        match self.iter().next()? {
            Pipe { id, link: Link::Inproc(end), .. } => Some((*id, end)),
            _ => None,
        }
    }

    /// The only pipe there is, if that is a connection.
    pub(super) fn only_stream(&self) -> Option<&Arc<Connection>> {
        if self.len() != 1 {
            return None;
        }
        match &self.iter().next()?.link {
            Link::Stream(connection) => Some(connection),
            Link::Inproc(_) => None,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Pipe> {
        self.slots.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::inproc::End;

    fn link() -> Link {
        Link::Inproc(End::loose())
    }

    #[test]
    fn r165_keys_are_31_bits_wide_start_at_random_and_are_not_reused_soon() {
        let mut pipes = Pipes::new(PipeId::KEY_MASK - 1);
        let first = pipes.add(1, link(), 0);
        let second = pipes.add(1, link(), 0);
        assert_eq!(
            (first.key(), second.key()),
            (PipeId::KEY_MASK, 0),
            "the start is the caller's, the wrap is at 31 bits"
        );
        pipes.remove(first);
        let third = pipes.add(1, link(), 0);
        assert_eq!(third.slot(), first.slot(), "slots are reused");
        assert_ne!(third.key(), first.key(), "keys are not");
        assert!(pipes.get(first).is_none(), "an old id never finds the new pipe");
    }

    #[test]
    fn r165_keys_of_living_pipes_are_avoided_after_a_wrap() {
        let mut pipes = Pipes::new(10);
        let living = pipes.add(1, link(), 0);
        pipes.given = u64::from(PipeId::KEY_MASK) + 1;
        pipes.next_key = living.key() - 1;
        assert_eq!(pipes.add(1, link(), 0).key(), living.key() + 1);
    }
}
