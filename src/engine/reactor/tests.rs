use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::thread::{self, ThreadId};

use mio::Interest;
use mio::unix::SourceFd;

use super::*;
use crate::engine::socket_core::Core;
use crate::engine::turns::tests::wait_until;
use crate::frames::Taken;
use crate::limits::STANDBY_AFTER_GUESTS;

/// Who was called for what came through a stream.
struct Seen {
    stream: UnixStream,
    by: Mutex<Vec<ThreadId>>,
}

impl Source for Seen {
    fn ready(self: Arc<Self>, _ready: Ready, _turn: &mut Turn<'_>) {
        let mut bytes = [0; 16];
        while matches!((&self.stream).read(&mut bytes), Ok(1..)) {
            self.by.lock().push(thread::current().id());
        }
    }

    fn timer(self: Arc<Self>, _turn: &mut Turn<'_>) {}
}

/// So long that whoever waits does not think of coming back soon.
const RARELY: Duration = Duration::from_millis(1);

#[test]
fn who_waits_now_and_then_is_woken_and_not_the_io_thread_that_stands_by() {
    let reactor = Reactor::new().expect("a reactor");
    let io = {
        let reactor = Arc::clone(&reactor);
        thread::spawn(move || reactor.run())
    };
    let (stream, mut peer) = UnixStream::pair().expect("a pair of sockets");
    stream.set_nonblocking(true).expect("a mode");
    let seen = Arc::new(Seen { stream, by: Mutex::new(Vec::new()) });
    let token = reactor.add_source(Arc::clone(&seen) as Arc<dyn Source>);
    let descriptor = seen.stream.as_raw_fd();
    reactor.registry().register(&mut SourceFd(&descriptor), token, Interest::READABLE).expect("registered");

    // As often as it would have to be without anything going wrong; other threads may get in between.
    let mut undisturbed = 0;
    wait_until("the guest alone is woken", || {
        let before = seen.by.lock().len();
        let Some(mut seat) = reactor.take_seat() else { return false };
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(RARELY);
                peer.write_all(b"x").expect("it is written");
            });
            while seen.by.lock().len() == before {
                seat.turn(None, None).expect("a turn");
            }
        });
        drop(seat);
        let by_guest = seen.by.lock().last() == Some(&thread::current().id());
        let is_undisturbed = reactor.turns.rarity() == Some(STANDBY_AFTER_GUESTS);
        undisturbed = if by_guest && is_undisturbed { undisturbed + 1 } else { 0 };
        undisturbed == STANDBY_AFTER_GUESTS
    });
    let before = seen.by.lock().len();
    peer.write_all(b"x").expect("it is written");
    wait_until("the I/O thread comes when there is no guest", || seen.by.lock().len() > before);
    assert_eq!(seen.by.lock().last(), Some(&io.thread().id()));

    reactor.stop();
    wait_until("the I/O thread ends", || io.is_finished());
    io.join().expect("the I/O thread ends without a panic");
    reactor.remove_source(token);
}

/// Serves whoever waits, each second time that it is called.
struct Answer {
    is_next: AtomicBool,
}

impl Source for Answer {
    fn ready(self: Arc<Self>, _ready: Ready, turn: &mut Turn<'_>) {
        if self.is_next.fetch_xor(true, Ordering::Relaxed)
            && let Some(recipient) = &mut turn.recipient
        {
            recipient.take_placed(0);
        }
    }

    fn timer(self: Arc<Self>, _turn: &mut Turn<'_>) {}
}

#[derive(Default)]
struct Waiting {
    is_served: bool,
    is_sink: bool,
}

impl Recipient for Waiting {
    fn waits_at(&self, _socket: &Core) -> bool {
        !self.is_served
    }

    fn is_served(&self) -> bool {
        self.is_served
    }

    fn can_answer(&self) -> bool {
        !self.is_sink
    }

    fn take(&mut self, _taken: Taken<'_>) {
        self.is_served = true;
    }

    fn place(&mut self) -> Option<&mut [std::mem::MaybeUninit<u8>]> {
        None
    }

    fn take_placed(&mut self, _len: usize) {
        self.is_served = true;
    }
}

#[test]
fn that_a_message_was_only_taken_is_remembered() {
    let reactor = Reactor::new().expect("a reactor");
    let token = reactor.add_source(Arc::new(Answer { is_next: AtomicBool::new(false) }));
    let (stream, mut peer) = UnixStream::pair().expect("a pair of sockets");
    let descriptor = stream.as_raw_fd();
    reactor.registry().register(&mut SourceFd(&descriptor), token, Interest::READABLE).expect("registered");
    let mut turning = reactor.poll.lock();
    for is_sink in [false, true] {
        for is_served in [false, true] {
            peer.write_all(b"x").expect("it is written");
            let mut waiting = Waiting { is_sink, ..Waiting::default() };
            let turned = reactor.turn_alone(&mut turning, Instant::now(), None, true, Some(&mut waiting));
            turned.expect("a turn");
            assert_eq!(waiting.is_served, is_served);
            assert_eq!(turning.tempo.has_only_taken(), is_sink && is_served);
        }
    }
    reactor.remove_source(token);
}
