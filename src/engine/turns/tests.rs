use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::world::{BackSoon, Choice, Polls, Task, World};

const BACK_SOON: Choice =
    Choice { back_soon: BackSoon::Always, leases: true, forgets: false, stands_by: false };
const NOT_BACK_SOON: Choice = Choice { back_soon: BackSoon::Never, ..BACK_SOON };
const NOW_AND_THEN: Choice = Choice { stands_by: true, ..NOT_BACK_SOON };

pub(in crate::engine) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < end, "in vain: {what}");
        thread::yield_now();
    }
}

/// An I/O thread in a world where no lease runs out.
fn start(choice: Choice) -> (Arc<World>, JoinHandle<()>) {
    let world = World::new(choice);
    world.system.change(|polls| polls.time_stands_still = true);
    let duty = Arc::clone(&world);
    let handle = thread::spawn(move || duty.run());
    (world, handle)
}

fn finish(world: &World, handle: JoinHandle<()>) {
    world.stop();
    wait_until("the I/O thread ends", || handle.is_finished());
    handle.join().expect("the I/O thread ends without a panic");
}

fn until(world: &World, what: &str, is_so: impl Fn(&Polls) -> bool) {
    wait_until(what, || world.system.look(&is_so));
}

fn until_handled(world: &World, count: usize) {
    wait_until("it is handled", || world.handled() == count);
}

/// After a first guest the I/O thread is outside.
fn lure_outside(world: &World) {
    until(world, "it sleeps inside", |polls| polls.sleeps_inside);
    drop(world.take_seat().expect("a sleeping I/O thread is relieved"));
    until(world, "it sleeps outside", |polls| polls.sleeps_outside);
}

#[test]
fn a_guest_relieves_an_io_thread_inside_which_comes_back_for_events_when_the_guest_has_left() {
    let (world, handle) = start(NOT_BACK_SOON);
    until(&world, "it sleeps inside", |polls| polls.sleeps_inside);
    let seat = world.take_seat().expect("a sleeping I/O thread is relieved");
    until(&world, "it sleeps outside", |polls| polls.sleeps_outside && !polls.sleeps_inside);
    assert!(world.take_seat().is_none(), "one guest at a time");
    world.system.event();
    assert_eq!(world.handled(), 0, "a guest is there to handle it");
    seat.turn();
    assert_eq!(world.handled(), 1);
    drop(seat);
    world.system.event();
    until_handled(&world, 2);
    finish(&world, handle);
}

#[test]
fn an_event_that_a_guest_leaves_behind_is_handled() {
    let (world, handle) = start(NOT_BACK_SOON);
    until(&world, "it sleeps inside", |polls| polls.sleeps_inside);
    let seat = world.take_seat().expect("a sleeping I/O thread is relieved");
    world.system.event();
    drop(seat);
    until_handled(&world, 1);
    finish(&world, handle);
}

#[test]
fn with_guests_lately_it_sleeps_outside_and_no_guest_wakes_it() {
    let (world, handle) = start(BACK_SOON);
    lure_outside(&world);
    let calls = world.system.look(|polls| polls.calls);
    for handled in 0..100 {
        let seat = world.take_seat().expect("nobody is inside");
        world.system.event();
        seat.turn();
        assert_eq!(world.handled(), handled + 1);
    }
    assert_eq!(world.system.look(|polls| polls.calls), calls);
    finish(&world, handle);
}

#[test]
fn when_guests_are_forgotten_it_sleeps_inside_again() {
    let (world, handle) = start(NOT_BACK_SOON);
    lure_outside(&world);
    world.forgotten.store(true, Ordering::Relaxed);
    world.system.event();
    until_handled(&world, 1);
    until(&world, "it sleeps inside", |polls| polls.sleeps_inside);
    finish(&world, handle);
}

#[test]
fn work_without_anybody_brings_it_at_once_even_during_a_lease() {
    let (world, handle) = start(BACK_SOON);
    lure_outside(&world);
    assert!(world.system.look(|polls| polls.lease));
    world.submit(Task { can_wait: false });
    until_handled(&world, 1);
    finish(&world, handle);
}

#[test]
fn work_that_a_guest_leaves_behind_brings_it_at_once() {
    let (world, handle) = start(BACK_SOON);
    lure_outside(&world);
    let seat = world.take_seat().expect("nobody is inside");
    world.submit(Task { can_wait: false });
    assert_eq!(world.handled(), 0, "the guest may still do it");
    drop(seat);
    until_handled(&world, 1);
    finish(&world, handle);
}

#[test]
fn work_that_can_wait_and_events_are_left_to_the_lease() {
    let (world, handle) = start(BACK_SOON);
    lure_outside(&world);
    let calls = world.system.look(|polls| polls.calls);
    let seat = world.take_seat().expect("nobody is inside");
    world.submit(Task { can_wait: true });
    drop(seat);
    world.submit(Task { can_wait: true });
    world.system.event();
    assert_eq!((world.handled(), world.system.look(|polls| polls.calls)), (0, calls));
    world.system.change(|polls| polls.time_stands_still = false);
    until_handled(&world, 3);
    finish(&world, handle);
}

#[test]
fn without_leases_work_that_can_wait_does_not() {
    let (world, handle) = start(Choice { leases: false, ..BACK_SOON });
    lure_outside(&world);
    let seat = world.take_seat().expect("nobody is inside");
    world.submit(Task { can_wait: true });
    drop(seat);
    until_handled(&world, 1);
    world.submit(Task { can_wait: true });
    until_handled(&world, 2);
    finish(&world, handle);
}

#[test]
fn whoever_parks_has_somebody_turning() {
    let (world, handle) = start(BACK_SOON);
    lure_outside(&world);
    // Parked before the guest leaves: what it waits for comes without the lease.
    let seat = world.take_seat().expect("nobody is inside");
    let parked = world.turns.park(&world.system);
    drop(seat);
    world.system.event();
    until_handled(&world, 1);
    assert!(world.take_seat().is_none(), "with others parked the I/O thread stays");
    drop(parked);
    // Parked afterwards: it is called.
    until(&world, "it sleeps outside", |polls| polls.sleeps_outside);
    drop(world.take_seat().expect("nobody is parked"));
    assert!(world.system.look(|polls| polls.lease && !polls.armed));
    let parked = world.turns.park(&world.system);
    world.system.event();
    until_handled(&world, 2);
    drop(parked);
    finish(&world, handle);
}

#[test]
fn stop_is_noticed_in_every_kind_of_wait() {
    let (world, handle) = start(BACK_SOON);
    until(&world, "it sleeps inside", |polls| polls.sleeps_inside);
    finish(&world, handle);

    let (world, handle) = start(BACK_SOON);
    lure_outside(&world);
    finish(&world, handle);

    let (world, handle) = start(NOT_BACK_SOON);
    lure_outside(&world);
    finish(&world, handle);

    let (world, handle) = start(NOW_AND_THEN);
    lure_into_standby(&world);
    finish(&world, handle);

    // While a guest turns.
    let (world, handle) = start(BACK_SOON);
    lure_outside(&world);
    let seat = world.take_seat().expect("nobody is inside");
    finish(&world, handle);
    drop(seat);
}

/// After a first guest that left for long the I/O thread stands by.
fn lure_into_standby(world: &World) {
    until(world, "it sleeps inside", |polls| polls.sleeps_inside);
    drop(world.take_seat().expect("a sleeping I/O thread is relieved"));
    until(world, "it stands by", |polls| polls.stands_by);
}

#[test]
fn standing_by_it_comes_for_what_nobody_else_is_there_for() {
    let (world, handle) = start(NOW_AND_THEN);
    lure_into_standby(&world);
    assert!(!world.system.look(|polls| polls.armed));
    world.system.event();
    until_handled(&world, 1);
    until(&world, "it stands by again", |polls| polls.stands_by);
    world.submit(Task { can_wait: true });
    until_handled(&world, 2);
    until(&world, "it stands by again", |polls| polls.stands_by);
    let seat = world.take_seat().expect("nobody is inside");
    world.submit(Task { can_wait: false });
    assert_eq!(world.handled(), 2, "the guest may still do it");
    drop(seat);
    until_handled(&world, 3);
    finish(&world, handle);
}

#[test]
fn standing_by_it_leaves_to_a_guest_what_it_was_woken_with() {
    let (world, handle) = start(NOW_AND_THEN);
    for _ in 0..100 {
        let resting = |polls: &Polls| polls.stands_by || polls.sleeps_inside || polls.sleeps_outside;
        until(&world, "it rests", resting);
        let Some(seat) = world.take_seat() else { continue };
        let handled = world.handled();
        world.system.event();
        while world.handled() == handled {
            seat.turn();
        }
    }
    finish(&world, handle);
}

#[test]
fn guests_that_come_back_soon_end_the_standby() {
    let (world, handle) = start(Choice { back_soon: BackSoon::Alternately, ..NOW_AND_THEN });
    lure_into_standby(&world);
    drop(world.take_seat().expect("nobody is inside"));
    world.system.event();
    until_handled(&world, 1);
    until(&world, "it sleeps outside", |polls| polls.sleeps_outside && !polls.stands_by);
    finish(&world, handle);
}

#[test]
fn the_place_a_guest_waits_for_goes_to_nobody_else() {
    let (world, handle) = start(BACK_SOON);
    world.forgotten.store(true, Ordering::Relaxed);
    world.system.change(|polls| polls.time_stands_still = false);
    let guests: Vec<_> = (0..4)
        .map(|_| {
            let world = Arc::clone(&world);
            thread::spawn(move || (0..500).filter(|_| world.take_seat().is_some()).count())
        })
        .collect();
    wait_until("no guest waits for ever", || guests.iter().all(JoinHandle::is_finished));
    let seated: usize = guests.into_iter().map(|guest| guest.join().expect("no guest panics")).sum();
    assert!(seated > 0);
    finish(&world, handle);
}

#[test]
fn the_io_thread_leaves_the_place_to_a_guest_that_waits_for_it() {
    use super::{Post, Station, Turner};
    let world = World::new(BACK_SOON);
    let turns = &world.turns;
    assert_eq!(turns.next_post(&world.system, Instant::now(), false), Post::Duty(Station::Inside));
    thread::scope(|scope| {
        let guest = scope.spawn(|| turns.begin_guest(&world.system, || true, || ()));
        wait_until("the guest waits", || turns.who.lock().wanted == 1);
        assert!(!turns.begin_guest(&world.system, || true, || ()), "the place is taken");
        turns.end_duty(Station::Inside, &world.system);
        assert_eq!(turns.next_post(&world.system, Instant::now(), false), Post::Away);
        assert!(guest.join().expect("no panic"));
        assert_eq!(turns.who.lock().turner, Turner::Guest);
    });
}

#[test]
fn an_io_thread_at_work_is_asked_to_leave_the_place() {
    use super::{Post, Station, Turner};
    let world = World::new(BACK_SOON);
    let turns = &world.turns;
    assert_eq!(turns.next_post(&world.system, Instant::now(), false), Post::Duty(Station::Inside));
    thread::scope(|scope| {
        // One wait may be over too early for a slow machine; who blocks comes again.
        let guest = scope.spawn(|| while !turns.begin_guest(&world.system, || false, || ()) {});
        wait_until("it is asked", || turns.relief().load(Ordering::SeqCst));
        turns.end_duty(Station::Inside, &world.system);
        guest.join().expect("no panic");
        assert_eq!(turns.who.lock().turner, Turner::Guest);
    });
}

#[test]
fn nobody_waits_long_for_an_io_thread_at_work() {
    use super::{Post, Station};
    let world = World::new(BACK_SOON);
    let turns = &world.turns;
    assert_eq!(turns.next_post(&world.system, Instant::now(), false), Post::Duty(Station::Inside));
    assert!(!turns.begin_guest(&world.system, || false, || ()));
    assert!(!turns.relief().load(Ordering::SeqCst));
    turns.end_duty(Station::Outside, &world.system);
    assert!(world.system.look(|polls| polls.armed), "nobody wants the place any more");
}

#[test]
fn all_work_is_done_and_all_callers_are_served_with_everybody_at_it() {
    everybody_at_it(BACK_SOON);
    everybody_at_it(NOW_AND_THEN);
    everybody_at_it(Choice { back_soon: BackSoon::Alternately, ..NOW_AND_THEN });
}

fn everybody_at_it(choice: Choice) {
    const ROUNDS: usize = 300;
    let (world, handle) = start(choice);
    world.system.change(|polls| polls.time_stands_still = false);
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let world = Arc::clone(&world);
            thread::spawn(move || (1..=ROUNDS).for_each(|round| world.wait_for(3 * round)))
        })
        .collect();
    for round in 1..=ROUNDS {
        world.system.event();
        world.submit(Task { can_wait: true });
        world.turn();
        world.submit(Task { can_wait: false });
        world.watch_for(3 * round);
    }
    wait_until("the callers are served", || callers.iter().all(JoinHandle::is_finished));
    for caller in callers {
        caller.join().expect("no caller panics");
    }
    assert_eq!(world.handled(), 3 * ROUNDS);
    finish(&world, handle);
}
