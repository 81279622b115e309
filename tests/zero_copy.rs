//! The application gets the very buffer that the body was read into: allocations are counted.

// Counting allocations takes an allocator.
#![allow(unsafe_code)]

mod util;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use spmsg::compat::{self, Wait};
use spmsg::limits::BODY_GROWTH_STEP_BYTES;
use spmsg::{Error, Message, Pair, Protocol, Pull, Push};
use util::{Carrier, bind, pattern, socket, wait_for_pipes};

const BODY: usize = BODY_GROWTH_STEP_BYTES;
/// Allocations from here up are of whole bodies and of nothing else.
const LARGE: usize = BODY;

static FRESH: AtomicUsize = AtomicUsize::new(0);
static GROWN: AtomicUsize = AtomicUsize::new(0);

/// Counts large allocations.
struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        FRESH.fetch_add(usize::from(layout.size() >= LARGE), Ordering::Relaxed);
        // SAFETY: the caller's promise holds for the system's allocator as well.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        GROWN.fetch_add(usize::from(size >= LARGE), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test counts at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Large allocations and large growths during `run`.
fn count<R>(run: impl FnOnce() -> R) -> (R, usize, usize) {
    let before = (FRESH.load(Ordering::Relaxed), GROWN.load(Ordering::Relaxed));
    let result = run();
    (result, FRESH.load(Ordering::Relaxed) - before.0, GROWN.load(Ordering::Relaxed) - before.1)
}

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[test]
fn large_body_is_written_from_the_senders_buffer_and_read_into_the_receivers() {
    let _alone = alone();
    for carrier in Carrier::NETWORK {
        let (pull, push) = (socket(Protocol::Pull), socket(Protocol::Push));
        let _place = util::link(&pull, &push, carrier);
        let body = pattern(BODY);
        let (message, fresh, grown) = count(|| {
            push.send(body).unwrap();
            pull.recv().unwrap()
        });
        // The receiver's buffer grows in bounded steps as bytes arrive (R81), and one step is enough here. The sender
        // makes none at all.
        assert_eq!((fresh, grown), (1, 0), "{carrier:?}");
        let read_into = message.body().as_ptr();
        let (bytes, fresh, grown) = count(|| message.clone().into_bytes());
        assert_eq!((fresh, grown), (0, 0));
        assert_eq!(bytes.as_ptr(), read_into, "clone and into_bytes show the same bytes");
        assert!(bytes == pattern(BODY));
        drop(message);
        let (vec, fresh, grown) = count(|| Vec::from(bytes));
        assert_eq!((vec.as_ptr(), fresh, grown), (read_into, 0, 0), "the sole owner takes the buffer itself");
    }
}

#[test]
fn what_finds_no_room_is_not_copied() {
    let _alone = alone();
    for carrier in Carrier::ALL {
        let (pull, push) = (socket(Protocol::Pull), socket(Protocol::Push));
        let lonely = socket(Protocol::Pair);
        let _place = util::link(&pull, &push, carrier);
        let body = pattern(BODY);
        while push.send_timeout(&body[..], util::QUIET).is_ok() {}
        for full in [&push, &lonely] {
            let (results, fresh, grown) = count(|| {
                [Wait::No, Wait::For(Some(Duration::from_millis(1)))]
                    .map(|wait| compat::send_body(full, &body, wait))
            });
            assert!(matches!(results, [Err(Error::WouldBlock), Err(Error::TimedOut)]), "{carrier:?}");
            assert_eq!((fresh, grown), (0, 0), "{carrier:?}");
        }
        // Nothing is lost by it, and what is sent when there is room arrives.
        let sender = std::thread::scope(|scope| {
            let sender = scope.spawn(|| compat::send_body(&push, b"the last", Wait::AsSet));
            while pull.recv().unwrap().body() != b"the last" {}
            sender.join().unwrap()
        });
        assert!(sender.is_ok(), "{carrier:?}");
    }
}

#[test]
fn forwarding_a_large_body_copies_nothing() {
    let _alone = alone();
    let (source, first) = (Push::new().unwrap(), Pull::new().unwrap());
    let (second, sink) = (Pair::new().unwrap(), Pair::new().unwrap());
    let _place = util::link(first.socket(), source.socket(), Carrier::Tcp);
    let _name = util::link(second.socket(), sink.socket(), Carrier::Inproc);
    source.send(pattern(BODY)).unwrap();
    let message = first.recv().unwrap();
    let read_into = message.body().as_ptr();
    let (received, fresh, grown) = count(|| {
        second.send(message).unwrap();
        sink.recv().unwrap()
    });
    assert_eq!((received.body().as_ptr(), fresh, grown), (read_into, 0, 0));
}

#[test]
fn publication_to_many_network_subscribers_is_not_copied() {
    let _alone = alone();
    let publisher = socket(Protocol::Pub);
    let (address, _place) = bind(&publisher, Carrier::Tcp);
    let subscribers: Vec<_> = (0..3)
        .map(|_| {
            let subscriber = socket(Protocol::Sub);
            subscriber.connect(&address).unwrap();
            subscriber
        })
        .collect();
    wait_for_pipes(&publisher, 3);
    let body = Message::from(pattern(BODY));
    let ((), fresh, grown) = count(|| {
        publisher.send(body).unwrap();
        for subscriber in &subscribers {
            assert_eq!(subscriber.recv().unwrap().len(), BODY);
        }
    });
    assert_eq!((fresh, grown), (3, 0), "one buffer for each receiver, none for the sender");
}
