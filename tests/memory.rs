//! What waits is bounded, what is not needed any more is given back, and who is idle costs little:
//! allocations are counted.

// Counting allocations takes an allocator.
#![allow(unsafe_code)]

mod util;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use spmsg::{Message, Protocol, Socket, limits};
use util::raw::RawPeer;
use util::{Carrier, QUIET, bind, link, socket, wait_for_pipes, wait_until};

/// Bytes that are allocated now, and the most that ever were since [`mark`].
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// Bytes that the allocator was ever asked for.
static ASKED: AtomicUsize = AtomicUsize::new(0);

struct Counting;

fn add(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
    ASKED.fetch_add(bytes, Ordering::Relaxed);
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promise holds for the system's allocator as well.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The old and the new block may exist at the same time.
        add(size);
        // SAFETY: as above.
        let moved = unsafe { System.realloc(pointer, layout, size) };
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        moved
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test counts at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// From here on [`grown`] and [`most`] count.
fn mark() -> usize {
    let live = LIVE.load(Ordering::Relaxed);
    PEAK.store(live, Ordering::Relaxed);
    live
}

fn grown(since: usize) -> usize {
    LIVE.load(Ordering::Relaxed).saturating_sub(since)
}

fn most(since: usize) -> usize {
    PEAK.load(Ordering::Relaxed).saturating_sub(since)
}

const BUFFER: usize = limits::BUFFER_DEFAULT_BYTES;
const LENS: [usize; 6] = [0, 8, 64, 1024, 64 * 1024, 1 << 20];

/// Sends until nothing more is accepted, neither now nor a little later.
fn fill(push: &Socket, len: usize) {
    let body = vec![7; len];
    while push.send_timeout(&body[..], QUIET).is_ok() {}
}

/// What one direction may hold for messages of `len` bytes: what counts up to the bound, one message that
/// entered the empty queue however long it is, and one beyond the bound.
fn held(len: usize) -> usize {
    BUFFER + 2 * len
}

/// What the queue for the application takes beyond the bodies.
fn aside(len: usize, carrier: Carrier) -> usize {
    let counts = match carrier {
        Carrier::Inproc => len.max(limits::EMPTY_MESSAGE_CHARGE_BYTES),
        Carrier::Ipc | Carrier::Tcp => len + limits::MESSAGE_OVERHEAD_BYTES,
    };
    (BUFFER / counts + 2) * limits::MESSAGE_MEMORY_BYTES
}

/// Asserts what is held now, and what was held at any time: then some queue may have been growing into
/// twice its size, a body into its next step, and a message was in the sender's hands.
#[track_caller]
fn assert_within(bound: usize, len: usize, before: usize, what: &str) {
    let (now, peak) = (grown(before), most(before));
    println!("{what}, {len} bytes each: {now} now, {peak} at most; bound {bound}");
    assert!(now <= bound, "{what}, {len} bytes each: {now} bytes are held, more than {bound}");
    let moment = 2 * bound;
    assert!(peak <= moment, "{what}, {len} bytes each: {peak} bytes for a moment, more than {moment}");
}

#[test]
fn r112_a_receiver_that_never_reads_fills_the_buffers_and_no_more() {
    let _alone = alone();
    for (carrier, len) in Carrier::ALL.into_iter().flat_map(|carrier| LENS.map(|len| (carrier, len))) {
        let (pull, push) = (socket(Protocol::Pull), socket(Protocol::Push));
        let _place = link(&pull, &push, carrier);
        let before = mark();
        fill(&push, len);
        let ends = if carrier == Carrier::Inproc { 1 } else { 2 };
        let bound = ends * (held(len) + limits::CONNECTION_MEMORY_BYTES) + aside(len, carrier);
        assert_within(bound, len, before, &format!("both ends over {carrier:?}"));
    }
}

#[test]
fn r112_a_foreign_peer_that_never_reads_fills_the_send_buffer_and_no_more() {
    let _alone = alone();
    for (carrier, len) in Carrier::NETWORK.into_iter().flat_map(|carrier| LENS.map(|len| (carrier, len))) {
        let push = socket(Protocol::Push);
        let (address, _place) = bind(&push, carrier);
        let _peer = RawPeer::join(&address, Protocol::Pull);
        wait_for_pipes(&push, 1);
        let before = mark();
        fill(&push, len);
        let bound = held(len) + limits::CONNECTION_MEMORY_BYTES;
        assert_within(bound, len, before, &format!("the sender over {carrier:?}"));
    }
}

#[test]
fn a_burst_of_100_mb_is_given_back() {
    const BURST: usize = 100_000_000;
    const ROOM: usize = 1 << 30;
    let _alone = alone();
    for (carrier, len) in
        Carrier::ALL.into_iter().flat_map(|carrier| [100, 1000, 65_536].map(|l| (carrier, l)))
    {
        let (pull, push) = (socket(Protocol::Pull), socket(Protocol::Push));
        pull.set_options(|options| options.set_recv_buffer(ROOM).map(|_| ())).unwrap();
        let _place = link(&pull, &push, carrier);
        let before = mark();
        let body = vec![1; len];
        let messages = BURST / len;
        (0..messages).for_each(|_| push.send(&body[..]).unwrap());
        wait_until("all of it waits in the receiver", || grown(before) > BURST - BURST / 50);
        (0..messages).for_each(|_| assert_eq!(pull.recv().unwrap().len(), len));
        let kept = 2 * limits::CONNECTION_MEMORY_BYTES;
        wait_until("the memory is given back", || grown(before) <= kept);
        println!("{carrier:?}, {len} bytes each: {} of {} stay", grown(before), most(before));
    }
}

#[test]
fn a_stream_of_large_bodies_uses_memory_again_and_gives_it_back() {
    const BODY: usize = 1 << 20;
    const COUNT: usize = 100;
    let _alone = alone();
    for carrier in Carrier::NETWORK {
        let (pull, push) = (socket(Protocol::Pull), socket(Protocol::Push));
        let _place = link(&pull, &push, carrier);
        let before = mark();
        let asked = ASKED.load(Ordering::Relaxed);
        let message = Message::from(vec![9; BODY]);
        for _ in 0..COUNT {
            push.send(message.clone()).unwrap();
            assert_eq!(pull.recv().unwrap().len(), BODY);
        }
        let asked = ASKED.load(Ordering::Relaxed) - asked;
        println!("{carrier:?}: {asked} bytes asked for, {} at once", most(before));
        assert!(asked < COUNT * BODY / 2, "{carrier:?}: {asked} bytes for {COUNT} bodies of {BODY}");
        drop(message);
        let kept = 2 * limits::CONNECTION_MEMORY_BYTES;
        wait_until("the memory is given back", || grown(before) <= kept);
    }
}

/// What 1000 connections of `socket`, which is bound to `address`, cost each; before and after they were
/// used.
fn cost_of_a_thousand(socket: &Socket, address: &str, talk: impl Fn(&mut RawPeer)) -> [usize; 2] {
    const PEERS: usize = 1000;
    let mut peers = Vec::with_capacity(PEERS);
    let before = mark();
    peers.extend((0..PEERS).map(|_| RawPeer::join(address, socket.protocol().peer())));
    wait_for_pipes(socket, PEERS as u64);
    let unused = grown(before) / PEERS;
    peers.iter_mut().for_each(talk);
    [unused, grown(before) / PEERS]
}

#[test]
fn a_thousand_idle_connections_cost_less_than_4_kb_each() {
    const EACH: usize = 4000;
    let _alone = alone();
    for carrier in Carrier::NETWORK {
        let pull = socket(Protocol::Pull);
        let (address, _place) = bind(&pull, carrier);
        let costs = cost_of_a_thousand(&pull, &address, |peer| {
            let frames = peer.frame(&[1; 1000]).repeat(50);
            peer.send(&frames);
            (0..50).for_each(|_| assert_eq!(pull.recv().unwrap().len(), 1000));
        });
        println!("a PULL over {carrier:?}: {costs:?}");
        assert!(costs.iter().all(|cost| *cost < EACH), "a PULL over {carrier:?}: {costs:?}");

        let server = socket(Protocol::Rep);
        let (address, _place) = bind(&server, carrier);
        let costs = cost_of_a_thousand(&server, &address, |peer| {
            peer.send_message(b"\x80\0\0\x01question");
            server.recv().unwrap();
            server.send(vec![2; 1000]).unwrap();
            assert_eq!(peer.expect_message().len(), 4 + 1000);
        });
        println!("a REP over {carrier:?}: {costs:?}");
        assert!(costs.iter().all(|cost| *cost < EACH), "a REP over {carrier:?}: {costs:?}");
    }
}
