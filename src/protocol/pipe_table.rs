//! [`PipeTable`]: what a pattern knows of each of its pipes, found without hashing.

use super::PipeId;

/// A dense table indexed by [`PipeId::slot`].
///
/// A lookup compares the whole id, so that the id of a pipe that is gone never finds the pipe that took its
/// slot. Slots are small numbers by contract: the table is as long as the largest one in use.
#[derive(Debug)]
pub(super) struct PipeTable<T> {
    slots: Vec<Option<(PipeId, T)>>,
}

impl<T> Default for PipeTable<T> {
    fn default() -> Self {
        PipeTable { slots: Vec::new() }
    }
}

impl<T> PipeTable<T> {
    /// Enters a pipe. Its slot must be free: the caller detaches a pipe before it reuses the slot.
    pub(super) fn insert(&mut self, pipe: PipeId, value: T) {
        let slot = pipe.slot();
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        debug_assert!(self.slots[slot].is_none(), "a slot holds one pipe at a time");
        self.slots[slot] = Some((pipe, value));
    }

    /// What is known of `pipe`; `None` when it is gone.
    pub(super) fn get(&self, pipe: PipeId) -> Option<&T> {
        match self.slots.get(pipe.slot()) {
            Some(Some((id, value))) if *id == pipe => Some(value),
            _ => None,
        }
    }

    /// Like [`get`](Self::get), to change it.
    pub(super) fn get_mut(&mut self, pipe: PipeId) -> Option<&mut T> {
        match self.slots.get_mut(pipe.slot()) {
            Some(Some((id, value))) if *id == pipe => Some(value),
            _ => None,
        }
    }

    /// Forgets a pipe, and gives the memory of trailing free slots a chance to be used again.
    pub(super) fn remove(&mut self, pipe: PipeId) -> Option<T> {
        let entry = self.slots.get_mut(pipe.slot())?.take_if(|(id, _)| *id == pipe)?;
        while let Some(None) = self.slots.last() {
            self.slots.pop();
        }
        Some(entry.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r161_an_old_id_does_not_find_the_pipe_that_took_its_slot() {
        let (old, new) = (PipeId::new(3, 7), PipeId::new(3, 8));
        let mut table = PipeTable::default();
        table.insert(old, 'a');
        assert_eq!(table.remove(old), Some('a'));
        table.insert(new, 'b');
        assert_eq!(table.get(old), None);
        assert_eq!(table.get_mut(old), None);
        assert_eq!(table.remove(old), None);
        assert_eq!(table.get(new), Some(&'b'));
    }

    #[test]
    fn trailing_free_slots_are_given_up() {
        let mut table = PipeTable::default();
        let ids: Vec<PipeId> = (0..5).map(|slot| PipeId::new(slot, slot + 100)).collect();
        for id in &ids {
            table.insert(*id, ());
        }
        table.remove(ids[3]);
        table.remove(ids[4]);
        assert_eq!(table.slots.len(), 3);
        assert_eq!(table.get(ids[2]), Some(&()));
    }
}
