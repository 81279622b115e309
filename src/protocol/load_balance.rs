//! [`LoadBalance`]: which pipe takes the next message (R113 to R115).

use super::pipe_table::PipeTable;
use super::{CLASSES, PipeId, class_of};
use crate::limits::PRIORITY_BEST;

/// Pipes in sixteen priority classes, each class a ring of the pipes that are writable now.
///
/// The best class with a writable pipe serves; inside it the turn passes on with every message. A pipe that
/// becomes writable again joins at the end of the ring. Every step is O(1) and allocates nothing.
#[derive(Debug, Default)]
pub(super) struct LoadBalance {
    seats: PipeTable<Seat>,
    /// Per class: whose turn it is.
    turns: [Option<PipeId>; CLASSES],
    /// Bit n is set while class n has a writable pipe.
    occupied: u16,
    had_a_pipe: bool,
}

#[derive(Debug)]
struct Seat {
    class: usize,
    ring: Ring,
}

/// Where a pipe stands: a doubly linked ring through the table, so that a full pipe leaves it in O(1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ring {
    /// Full: not in the ring.
    Out,
    /// Writable, between these two (itself, when it is alone).
    In { before: PipeId, after: PipeId },
}

impl LoadBalance {
    /// Enters a pipe, writable, at the end of its class.
    pub(super) fn attach(&mut self, pipe: PipeId, send_priority: u8) {
        self.had_a_pipe = true;
        self.seats.insert(pipe, Seat { class: class_of(send_priority), ring: Ring::Out });
        self.writable(pipe);
    }

    pub(super) fn detach(&mut self, pipe: PipeId) {
        self.full(pipe);
        self.seats.remove(pipe);
    }

    /// The pipe has room: it joins its ring, last in turn. Changes nothing if it is in already or gone.
    pub(super) fn writable(&mut self, pipe: PipeId) {
        let Some(Seat { class, ring: Ring::Out }) = self.seats.get(pipe) else { return };
        let class = *class;
        let Some(first) = self.turns[class] else {
            self.set_ring(pipe, Ring::In { before: pipe, after: pipe });
            self.turns[class] = Some(pipe);
            self.occupied |= 1 << class;
            return;
        };
        let Some(last) = self.neighbours(first).map(|(before, _)| before) else { return };
        self.set_ring(pipe, Ring::In { before: last, after: first });
        self.set_after(last, pipe);
        self.set_before(first, pipe);
    }

    /// The pipe has no room: it leaves its ring until it is writable.
    pub(super) fn full(&mut self, pipe: PipeId) {
        let Some(Seat { class, ring: Ring::In { before, after } }) = self.seats.get(pipe) else { return };
        let (class, before, after) = (*class, *before, *after);
        self.set_ring(pipe, Ring::Out);
        if after == pipe {
            self.turns[class] = None;
            self.occupied &= !(1 << class);
            return;
        }
        self.set_after(before, after);
        self.set_before(after, before);
        if self.turns[class] == Some(pipe) {
            self.turns[class] = Some(after);
        }
    }

    /// The pipe whose turn it is, and passes the turn on. `None` when no pipe is writable.
    pub(super) fn choose(&mut self) -> Option<PipeId> {
        let class = self.best_class()?;
        let pipe = self.turns[class]?;
        self.turns[class] = self.neighbours(pipe).map(|(_, after)| after);
        Some(pipe)
    }

    /// Whether some pipe is writable.
    pub(super) fn is_writable(&self) -> bool {
        self.occupied != 0
    }

    /// NN_STAT_CURRENT_SND_PRIORITY: the best priority with a writable pipe, -1 without, 0 before the first
    /// pipe.
    pub(super) fn send_priority(&self) -> i64 {
        match self.best_class() {
            Some(class) => class as i64 + i64::from(PRIORITY_BEST),
            None if self.had_a_pipe => -1,
            None => 0,
        }
    }

    fn best_class(&self) -> Option<usize> {
        (self.occupied != 0).then(|| self.occupied.trailing_zeros() as usize)
    }

    fn neighbours(&self, pipe: PipeId) -> Option<(PipeId, PipeId)> {
        match self.seats.get(pipe)?.ring {
            Ring::In { before, after } => Some((before, after)),
            Ring::Out => None,
        }
    }

    fn set_ring(&mut self, pipe: PipeId, ring: Ring) {
        if let Some(seat) = self.seats.get_mut(pipe) {
            seat.ring = ring;
        }
    }

    fn set_before(&mut self, pipe: PipeId, neighbour: PipeId) {
        if let Some(Seat { ring: Ring::In { before, .. }, .. }) = self.seats.get_mut(pipe) {
            *before = neighbour;
        }
    }

    fn set_after(&mut self, pipe: PipeId, neighbour: PipeId) {
        if let Some(Seat { ring: Ring::In { after, .. }, .. }) = self.seats.get_mut(pipe) {
            *after = neighbour;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use quickcheck::quickcheck;

    use super::*;

    fn id(slot: u32) -> PipeId {
        PipeId::new(slot, slot + 100)
    }

    fn chosen(balance: &mut LoadBalance, times: usize) -> Vec<usize> {
        (0..times).filter_map(|_| balance.choose()).map(PipeId::slot).collect()
    }

    #[test]
    fn r114_idle_pipes_take_turns_in_the_order_of_connection() {
        let mut balance = LoadBalance::default();
        for slot in [2, 0, 1] {
            balance.attach(id(slot), 8);
        }
        assert_eq!(chosen(&mut balance, 7), [2, 0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn r115_a_full_pipe_is_skipped_and_rejoins_last() {
        let mut balance = LoadBalance::default();
        for slot in 0..3 {
            balance.attach(id(slot), 8);
        }
        balance.full(id(0));
        assert_eq!(chosen(&mut balance, 3), [1, 2, 1]);
        balance.writable(id(0));
        assert_eq!(chosen(&mut balance, 4), [2, 1, 0, 2]);
    }

    #[test]
    fn r113_a_worse_class_serves_while_every_better_pipe_is_full() {
        let mut balance = LoadBalance::default();
        balance.attach(id(0), 16);
        balance.attach(id(1), 1);
        balance.attach(id(2), 1);
        assert_eq!(chosen(&mut balance, 3), [1, 2, 1]);
        balance.full(id(1));
        balance.full(id(2));
        assert_eq!(chosen(&mut balance, 2), [0, 0]);
        balance.writable(id(2));
        assert_eq!(chosen(&mut balance, 2), [2, 2]);
    }

    #[test]
    fn send_priority_names_the_best_class_with_a_writable_pipe() {
        let mut balance = LoadBalance::default();
        assert_eq!(balance.send_priority(), 0);
        balance.attach(id(0), 3);
        assert_eq!(balance.send_priority(), 3);
        balance.attach(id(1), 2);
        assert_eq!(balance.send_priority(), 2);
        balance.full(id(1));
        assert_eq!(balance.send_priority(), 3);
        balance.detach(id(0));
        balance.detach(id(1));
        assert_eq!(balance.send_priority(), -1);
    }

    #[test]
    fn events_of_a_pipe_that_is_gone_change_nothing() {
        let mut balance = LoadBalance::default();
        balance.attach(id(0), 8);
        balance.detach(id(0));
        balance.attach(PipeId::new(0, 999), 8);
        balance.full(id(0));
        balance.detach(id(0));
        balance.writable(id(0));
        assert_eq!(balance.choose(), Some(PipeId::new(0, 999)));
    }

    /// The naive model: a list of writable pipes per class.
    #[derive(Default)]
    struct Model {
        class: [Option<usize>; 6],
        rings: [VecDeque<u32>; CLASSES],
    }

    impl Model {
        fn leave(&mut self, slot: u32) {
            self.rings.iter_mut().for_each(|ring| ring.retain(|other| *other != slot));
        }

        fn choose(&mut self) -> Option<PipeId> {
            let ring = self.rings.iter_mut().find(|ring| !ring.is_empty())?;
            ring.rotate_left(1);
            ring.back().copied().map(id)
        }
    }

    quickcheck! {
        fn r113_r115_agrees_with_a_list_per_class(ops: Vec<(u8, u32, u8)>) -> bool {
            let (mut balance, mut model) = (LoadBalance::default(), Model::default());
            ops.into_iter().all(|(op, slot, priority)| {
                let slot = slot % 6;
                let class = model.class[slot as usize];
                match (op % 6, class) {
                    (0, None) => {
                        balance.attach(id(slot), priority % 18);
                        model.class[slot as usize] = Some(class_of(priority % 18));
                        model.rings[class_of(priority % 18)].push_back(slot);
                    }
                    (1, Some(_)) => {
                        balance.detach(id(slot));
                        model.class[slot as usize] = None;
                        model.leave(slot);
                    }
                    (2, _) => {
                        balance.full(id(slot));
                        model.leave(slot);
                    }
                    (3, _) => {
                        balance.writable(id(slot));
                        if let Some(class) = class && !model.rings[class].contains(&slot) {
                            model.rings[class].push_back(slot);
                        }
                    }
                    _ => return balance.choose() == model.choose(),
                }
                balance.is_writable() == model.rings.iter().any(|ring| !ring.is_empty())
            })
        }
    }
}
