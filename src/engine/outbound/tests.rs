use super::*;
use crate::limits::BODY_BY_REFERENCE_BYTES;

const HEAD: &[u8] = b"head";
const BODY: &[u8] = b"a body of some bytes";

/// A wire that takes so many bytes before it is full.
struct Wire {
    room: usize,
    taken: Vec<u8>,
}

impl Wire {
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(self.room).collect();
        if bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room -= bytes.len();
        self.taken.extend_from_slice(&bytes);
        Ok(bytes.len())
    }
}

/// Claims and writes a frame; `more` is the room that each wait brings, and the first that brings none is the last.
fn write_claimed(outbound: &Outbound, room: usize, more: &[usize]) -> (Written, Vec<u8>) {
    assert_eq!(outbound.claim(HEAD.len() + BODY.len(), true), Some((Room::Free, true)));
    let wire = std::cell::RefCell::new(Wire { room, taken: Vec::new() });
    let mut waits = more.iter();
    let await_room = || waits.next().inspect(|more| wire.borrow_mut().room += **more).is_some();
    let written =
        outbound.write_claimed(HEAD, BODY, None, |slices| wire.borrow_mut().write(slices), Some(await_room));
    (written, wire.into_inner().taken)
}

fn frame() -> Vec<u8> {
    [HEAD, BODY].concat()
}

#[test]
fn a_claimed_frame_is_written_as_the_wire_takes_it_while_that_is_waited_for() {
    for first in 0..frame().len() {
        let outbound = Outbound::new(1 << 20);
        let (written, taken) = write_claimed(&outbound, first, &[1, 3, frame().len()]);
        assert!(!written.blocked && written.error.is_none());
        assert_eq!((taken, outbound.pending()), (frame(), 0));
    }
}

#[test]
fn what_the_wire_does_not_take_in_time_follows_later() {
    for first in 0..frame().len() {
        let outbound = Outbound::new(1 << 20);
        let (written, mut taken) = write_claimed(&outbound, first, &[]);
        assert!(written.blocked && written.error.is_none());
        assert_eq!((taken.len(), outbound.pending()), (first, frame().len() - first));
        assert!(outbound.claim(1, true).is_none(), "something is before it");
        assert!(outbound.writable());
        let mut wire = Wire { room: usize::MAX, taken: Vec::new() };
        assert!(!outbound.write_out(|slices| wire.write(slices)).blocked);
        taken.append(&mut wire.taken);
        assert_eq!((taken, outbound.pending()), (frame(), 0));
        assert_eq!(outbound.claim(1, true), Some((Room::Free, false)), "waiting was in vain");
    }
}

#[test]
fn what_the_wire_does_not_take_of_a_shared_body_is_not_copied() {
    let shared = Bytes::from(vec![7; 2 * BODY_BY_REFERENCE_BYTES]);
    for taken in [0, HEAD.len(), HEAD.len() + 1, HEAD.len() + BODY_BY_REFERENCE_BYTES] {
        let outbound = Outbound::new(1 << 20);
        assert!(outbound.claim(HEAD.len() + shared.len(), false).is_some());
        let mut wire = Wire { room: taken, taken: Vec::new() };
        let write = |slices: &[IoSlice<'_>]| wire.write(slices);
        let written = outbound.write_claimed(HEAD, &shared, Some(&shared), write, None::<fn() -> bool>);
        assert!(written.blocked && written.error.is_none());
        assert!(outbound.writable());
        let mut ends = Vec::new();
        outbound.write_out(|slices| {
            ends.extend(slices.last().map(|slice| slice.as_ptr_range().end));
            wire.room = usize::MAX;
            wire.write(slices)
        });
        assert_eq!(wire.taken, [HEAD, &shared].concat());
        assert_eq!(ends, [shared.as_ptr_range().end], "it leaves from where it lies");
    }
}

#[test]
fn an_error_ends_it_and_nothing_is_left() {
    let outbound = Outbound::new(1 << 20);
    assert_eq!(outbound.claim(HEAD.len() + BODY.len(), false), Some((Room::Free, false)));
    let broken = |_: &[IoSlice<'_>]| Err(io::ErrorKind::BrokenPipe.into());
    let written = outbound.write_claimed(HEAD, BODY, None, broken, None::<fn() -> bool>);
    assert_eq!(written.error.map(|error| error.kind()), Some(io::ErrorKind::BrokenPipe));
    assert!(outbound.claim(1, false).is_none());
}

/// Offers a frame of eight bytes.
fn offer(outbound: &Outbound) -> (Room, Option<Writer>) {
    outbound.offer(|| Some(8), |queue| queue.put(&[7; 8]))
}

#[test]
fn a_wire_that_rests_is_claimed_and_a_busy_one_takes_a_copy() {
    let outbound = Outbound::new(1 << 20);
    assert_eq!(offer(&outbound), (Room::Free, None));
    assert_eq!(outbound.pending(), 8, "in flight with who claimed it");
    assert_eq!(offer(&outbound), (Room::Free, Some(Writer::Nobody)), "whoever writes takes it along");
    let mut wire = Wire { room: usize::MAX, taken: Vec::new() };
    let written =
        outbound.write_claimed(&[1; 8], &[], None, |slices| wire.write(slices), None::<fn() -> bool>);
    assert!(written.error.is_none() && !written.blocked);
    assert_eq!((wire.taken, outbound.pending()), ([[1; 8], [7; 8]].concat(), 0));
}

#[test]
fn behind_a_frame_that_left_whole_only_what_came_meanwhile_is_to_be_done() {
    let outbound = Outbound::new(1 << 20);
    assert_eq!(offer(&outbound), (Room::Free, None));
    assert!(outbound.has_left(8).is_none());
    assert_eq!(outbound.pending(), 0);
    outbound.heard();
    assert_eq!(offer(&outbound), (Room::Free, None));
    assert_eq!(offer(&outbound), (Room::Free, Some(Writer::Nobody)));
    let mut wire = Wire { room: usize::MAX, taken: Vec::new() };
    let more = outbound.has_left(8).expect("the second one");
    let written = outbound.write_on(more, |slices| wire.write(slices));
    assert!(!written.blocked && !written.room && written.error.is_none());
    assert_eq!((std::mem::take(&mut wire.taken), outbound.pending()), (vec![7; 8], 0));
    let full = Outbound::new(4);
    assert_eq!(offer(&full), (Room::Free, None));
    assert_eq!(offer(&full), (Room::Full, Some(Writer::Nobody)));
    let more = full.has_left(8).expect("the second one, and room for a third");
    assert!(full.write_on(more, |slices| wire.write(slices)).room);
}

#[test]
fn a_frame_that_must_be_changed_and_one_in_a_burst_are_copied() {
    let outbound = Outbound::new(1 << 20);
    let (_, writer) = outbound.offer(|| None, |queue| queue.put(&[7; 8]));
    assert_eq!((writer, outbound.pending()), (Some(Writer::Caller), 8));
    let mut wire = Wire { room: usize::MAX, taken: Vec::new() };
    outbound.write_out(|slices| wire.write(slices));
    // Unless this thread is held up for longer than a wire has to rest.
    let in_flow = (0..1000).any(|_| {
        let outbound = Outbound::new(1 << 20);
        outbound.push_control(b"x");
        outbound.write_out(|slices| wire.write(slices));
        offer(&outbound) == (Room::Free, Some(Writer::Engine)) && outbound.pending() == 8
    });
    assert!(in_flow);
}

#[test]
fn what_is_heard_is_answered_at_once_until_something_is_written() {
    let outbound = Outbound::new(1 << 20);
    let mut wire = Wire { room: usize::MAX, taken: Vec::new() };
    for _ in 0..100 {
        outbound.push_control(b"x");
        outbound.write_out(|slices| wire.write(slices));
        outbound.heard();
        assert!(!outbound.awaits_answer());
        assert_eq!(offer(&outbound).1, None);
        outbound.write_claimed(&[1; 8], &[], None, |slices| wire.write(slices), None::<fn() -> bool>);
        assert!(outbound.awaits_answer());
    }
    // Unless this thread is held up for longer than a wire has to rest.
    let in_flow = (0..1000).any(|_| {
        let outbound = Outbound::new(1 << 20);
        outbound.heard();
        outbound.push_control(b"x");
        outbound.write_out(|slices| wire.write(slices));
        offer(&outbound).1 == Some(Writer::Engine)
    });
    assert!(in_flow);
}
