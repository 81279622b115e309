//! [`Distributor`]: one copy to every pipe that can take it now (R117). Never blocks; the others miss it.

use super::pipe_table::PipeTable;
use super::{Effects, PipeId};
use crate::message::Message;

/// The writable pipes, packed, so that a broadcast touches nothing else.
#[derive(Debug, Default)]
pub(super) struct Distributor {
    places: PipeTable<Place>,
    writable: Vec<PipeId>,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Full,
    /// Writable: stands at this index of the packed list.
    At(usize),
}

impl Distributor {
    /// Enters a pipe, writable.
    pub(super) fn attach(&mut self, pipe: PipeId) {
        self.places.insert(pipe, Place::Full);
        self.writable(pipe);
    }

    pub(super) fn detach(&mut self, pipe: PipeId) {
        self.full(pipe);
        self.places.remove(pipe);
    }

    /// The pipe has room. Changes nothing if that was known or the pipe is gone.
    pub(super) fn writable(&mut self, pipe: PipeId) {
        let Some(place @ Place::Full) = self.places.get_mut(pipe) else { return };
        *place = Place::At(self.writable.len());
        self.writable.push(pipe);
    }

    /// The pipe has no room: it is left out until it is writable.
    pub(super) fn full(&mut self, pipe: PipeId) {
        let Some(place) = self.places.get_mut(pipe) else { return };
        let Place::At(index) = std::mem::replace(place, Place::Full) else { return };
        self.writable.swap_remove(index);
        if let Some(moved) = self.writable.get(index)
            && let Some(place) = self.places.get_mut(*moved)
        {
            *place = Place::At(index);
        }
    }

    /// Sends to every writable pipe but the one with the key `except`.
    pub(super) fn send(&self, fx: &mut Effects, message: Message, except: Option<u32>) {
        let Some((last, others)) = self.writable.split_last() else { return };
        let wanted = |pipe: &PipeId| Some(pipe.key()) != except;
        for pipe in others.iter().filter(|pipe| wanted(pipe)) {
            fx.transmit(*pipe, message.clone());
        }
        if wanted(last) {
            fx.transmit(*last, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use quickcheck::quickcheck;

    use super::*;

    fn id(slot: u32) -> PipeId {
        PipeId::new(slot, slot + 100)
    }

    fn reached(pipes: &Distributor, except: Option<u32>) -> Vec<usize> {
        let mut fx = Effects::default();
        pipes.send(&mut fx, Message::from("news"), except);
        assert!(fx.transmit.iter().all(|(_, message)| message.body() == b"news"));
        let mut slots: Vec<usize> = fx.transmit.iter().map(|(pipe, _)| pipe.slot()).collect();
        slots.sort_unstable();
        slots
    }

    #[test]
    fn r117_every_pipe_but_the_full_and_the_excluded() {
        let mut pipes = Distributor::default();
        for slot in 0..4 {
            pipes.attach(id(slot));
        }
        assert_eq!(reached(&pipes, None), [0, 1, 2, 3]);
        pipes.full(id(1));
        assert_eq!(reached(&pipes, Some(id(3).key())), [0, 2]);
        assert_eq!(reached(&pipes, Some(id(0).key())), [2, 3]);
        pipes.writable(id(1));
        pipes.detach(id(0));
        assert_eq!(reached(&pipes, None), [1, 2, 3]);
    }

    quickcheck! {
        fn r117_agrees_with_a_map_of_flags(ops: Vec<(u8, u32)>) -> bool {
            let (mut pipes, mut model) = (Distributor::default(), BTreeMap::new());
            ops.into_iter().all(|(op, slot)| {
                let slot = slot % 6;
                match op % 4 {
                    0 if !model.contains_key(&slot) => {
                        pipes.attach(id(slot));
                        model.insert(slot, true);
                    }
                    1 => {
                        pipes.detach(id(slot));
                        model.remove(&slot);
                    }
                    2 => {
                        pipes.full(id(slot));
                        model.entry(slot).and_modify(|writable| *writable = false);
                    }
                    _ => {
                        pipes.writable(id(slot));
                        model.entry(slot).and_modify(|writable| *writable = true);
                    }
                }
                let due = model.iter().filter(|(_, writable)| **writable).map(|(slot, _)| *slot as usize);
                reached(&pipes, None) == Vec::from_iter(due)
            })
        }
    }
}
