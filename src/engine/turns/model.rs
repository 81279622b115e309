//! All interleavings of an I/O thread with blocked callers, events and work, up to a number of preemptions. A thread
//! that waits for ever is a deadlock, which the checker reports.

use std::sync::Arc;

use loom::thread::{self, JoinHandle};

use super::world::{BackSoon, Choice, Task, World};

/// Switches of threads where none is needed; bugs of hand-overs need one or two.
const PREEMPTIONS: usize = 2;

fn all_choices() -> Vec<Choice> {
    let mut choices = Vec::new();
    for bits in 0..8 {
        let [back_soon, leases, forgets] = [1, 2, 4].map(|bit| bits & bit != 0);
        let back_soon = if back_soon { BackSoon::Always } else { BackSoon::Never };
        choices.push(Choice { back_soon, leases, forgets, stands_by: false });
    }
    for (back_soon, forgets) in
        [(BackSoon::Never, false), (BackSoon::Never, true), (BackSoon::Alternately, false)]
    {
        choices.push(Choice { back_soon, leases: true, forgets, stands_by: true });
    }
    choices
}

fn check(case: impl Fn(&Arc<World>) + Send + Sync + 'static) {
    let case = Arc::new(case);
    for choice in all_choices() {
        let case = Arc::clone(&case);
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(PREEMPTIONS);
        model.check(move || {
            let world = World::new(choice);
            let duty = run(&world, |world| world.run());
            case(&world);
            world.stop();
            duty.join().expect("the I/O thread ends");
        });
    }
}

fn run(world: &Arc<World>, work: impl FnOnce(&World) + Send + 'static) -> JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || work(&world))
}

fn finish(handle: JoinHandle<()>) {
    handle.join().expect("the thread ends");
}

#[test]
fn an_event_reaches_the_blocked_caller() {
    check(|world| {
        let caller = run(world, |world| world.wait_for(1));
        world.system.event();
        finish(caller);
    });
}

#[test]
fn work_that_nobody_waits_for_is_done() {
    check(|world| {
        let caller = run(world, |world| world.wait_for(1));
        world.system.event();
        world.submit(Task { can_wait: false });
        world.watch_for(2);
        finish(caller);
    });
}

#[test]
fn work_that_comes_as_the_guest_leaves_is_done() {
    for can_wait in [false, true] {
        check(move |world| {
            let seat = world.take_seat();
            let submitter = run(world, move |world| world.submit(Task { can_wait }));
            drop(seat);
            world.watch_for(1);
            finish(submitter);
        });
    }
}

#[test]
fn work_that_can_wait_is_done_too() {
    check(|world| {
        let caller = run(world, |world| world.wait_for(1));
        world.submit(Task { can_wait: true });
        world.submit(Task { can_wait: true });
        world.watch_for(2);
        finish(caller);
    });
}

#[test]
fn an_event_that_comes_when_the_guest_has_left_is_handled() {
    check(|world| {
        drop(world.take_seat());
        let source = run(world, |world| world.system.event());
        drop(world.take_seat());
        world.watch_for(1);
        finish(source);
    });
}

#[test]
fn of_two_blocked_callers_one_is_parked_and_both_are_served() {
    check(|world| {
        let caller = run(world, |world| world.wait_for(1));
        world.system.event();
        world.wait_for(1);
        finish(caller);
    });
}

#[test]
fn a_programs_own_turn_may_come_in_between() {
    check(|world| {
        let caller = run(world, |world| world.wait_for(2));
        world.system.event();
        world.turn();
        world.submit(Task { can_wait: true });
        finish(caller);
    });
}
