//! All interleavings of a sender and a receiver over one lane, which follow [`End`](super::End) and
//! `socket_core/transfer.rs`. A thread that waits for ever is a deadlock, which the checker reports.

use std::sync::Arc;

use loom::thread;

use super::{Lane, Mail, Taken};
use crate::engine::Credit;
use crate::engine::sync::{Condvar, Mutex};
use crate::frames::Frames;

/// Messages of one byte. One enters, one more is taken beyond the bound, and then the lane is full.
const BOUND: usize = 1;
const MESSAGES: usize = 3;
const PREEMPTIONS: usize = 3;

struct World {
    mail: Mail,
    taken: Taken,
    lane: Mutex<Lane>,
    /// What the receiver's pattern holds, under its socket's lock, and who is told when that changes.
    receiver: Mutex<usize>,
    arrived: Condvar,
    /// Whether the sender's pattern takes the pipe for full, under its socket's lock.
    sender_is_full: Mutex<bool>,
    writable: Condvar,
}

impl World {
    fn new() -> Arc<World> {
        let lane = Lane { frames: Frames::default(), credit: Credit::new(BOUND), seen: 0 };
        Arc::new(World {
            mail: Mail::default(),
            taken: Taken::default(),
            lane: Mutex::new(lane),
            receiver: Mutex::new(0),
            arrived: Condvar::new(),
            sender_is_full: Mutex::new(false),
            writable: Condvar::new(),
        })
    }

    fn send(&self) {
        let mut is_full = self.sender_is_full.lock();
        while *is_full {
            self.writable.wait(&mut is_full);
        }
        let mut lane = self.lane.lock();
        lane.frames.push_body(b"x");
        *is_full = lane.credit.charge(1) && !self.taken.catch_up(&mut lane);
        drop(lane);
        let must_be_told = self.mail.must_be_told();
        drop(is_full);
        if must_be_told {
            self.look_into_lane(&mut self.receiver.lock());
            self.arrived.notify_all();
        }
    }

    fn look_into_lane(&self, held: &mut usize) {
        let mut frames = Frames::default();
        std::mem::swap(&mut frames, &mut self.lane.lock().frames);
        while frames.pop().is_some() {
            *held += 1;
        }
    }

    fn try_recv(&self) -> bool {
        let mut held = self.receiver.lock();
        if self.mail.there_is() && *held == 0 {
            self.mail.looking();
            self.look_into_lane(&mut held);
        }
        let received = *held > 0;
        *held -= usize::from(received);
        let tell_sender = received && self.taken.add(1, &self.lane);
        self.mail.look_yourself(true);
        drop(held);
        if tell_sender {
            *self.sender_is_full.lock() = false;
            self.writable.notify_all();
        }
        received
    }

    fn recv(&self) {
        while !self.try_recv() {
            let mut held = self.receiver.lock();
            self.mail.look_yourself(false);
            if self.mail.there_is() {
                self.mail.looking();
                self.look_into_lane(&mut held);
            }
            while *held == 0 {
                self.arrived.wait(&mut held);
            }
        }
    }
}

#[test]
fn no_message_is_left_lying_and_no_sender_waits_for_room_that_there_is() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(PREEMPTIONS);
    model.check(|| {
        let world = World::new();
        let sender = Arc::clone(&world);
        let sender = thread::spawn(move || (0..MESSAGES).for_each(|_| sender.send()));
        (0..MESSAGES).for_each(|_| world.recv());
        sender.join().expect("the sender ends");
        assert!(!world.try_recv(), "each once");
        let mut lane = world.lane.lock();
        assert!(world.taken.catch_up(&mut lane));
        assert_eq!(lane.credit.waiting(), 0, "all is accounted for");
    });
}
