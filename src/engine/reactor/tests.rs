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

/// Serves whoever waits when it is looked at for the last time.
struct Answer {
    looks_left: AtomicUsize,
    is_awaited: AtomicBool,
}

impl Source for Answer {
    fn ready(self: Arc<Self>, _ready: Ready, turn: &mut Turn<'_>) {
        if self.looks_left.fetch_sub(1, Ordering::Relaxed) == 1
            && let Some(recipient) = &mut turn.recipient
        {
            recipient.take_placed(0);
            turn.has_read = true;
        }
    }

    fn timer(self: Arc<Self>, _turn: &mut Turn<'_>) {}

    fn brings_answer(&self, _recipient: &dyn Recipient) -> bool {
        self.is_awaited.load(Ordering::Relaxed)
    }
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
fn an_answer_is_looked_for_where_it_will_come_from() {
    let reactor = Reactor::new().expect("a reactor");
    let answer = Arc::new(Answer { looks_left: AtomicUsize::new(0), is_awaited: AtomicBool::new(true) });
    let token = reactor.add_source(Arc::clone(&answer) as Arc<dyn Source>);
    let (stream, mut peer) = UnixStream::pair().expect("a pair of sockets");
    let descriptor = stream.as_raw_fd();
    reactor.registry().register(&mut SourceFd(&descriptor), token, Interest::READABLE).expect("registered");
    let mut turning = reactor.poll.lock();

    // Who has brought one is remembered.
    let turn = |turning: &mut Turning, is_sink| {
        let mut waiting = Waiting { is_sink, ..Waiting::default() };
        let turned = reactor.turn_alone(turning, Instant::now(), None, true, Some(&mut waiting));
        turned.expect("a turn");
        waiting.is_served
    };
    peer.write_all(b"x").expect("it is written");
    answer.looks_left.store(2, Ordering::Relaxed);
    assert!(!turn(&mut turning, false));
    assert_eq!(turning.near, None);
    peer.write_all(b"x").expect("it is written");
    assert!(turn(&mut turning, false));
    assert_eq!(turning.near, Some(token));
    // Whether a wait was for what is only taken is remembered too.
    assert!(!turning.tempo.has_only_taken());
    answer.is_awaited.store(false, Ordering::Relaxed);
    for (looks_left, is_served) in [(2, false), (1, true)] {
        peer.write_all(b"x").expect("it is written");
        answer.looks_left.store(looks_left, Ordering::Relaxed);
        assert_eq!(turn(&mut turning, true), is_served);
        assert_eq!(turning.tempo.has_only_taken(), is_served);
    }
    answer.is_awaited.store(true, Ordering::Relaxed);

    // Looks at it, and whether something was found.
    let mut spin = |looks_left: usize, recipient: Option<&mut Waiting>, near: Option<Token>| {
        let Turning { poll, events, block, frames, .. } = &mut *turning;
        let recipient: Option<&mut dyn Recipient> = recipient.map(|waiting| waiting as _);
        // It ends for something that is found, not for the time.
        let now = Instant::now() + Duration::from_secs(3600);
        let relief = reactor.turns.relief();
        let mut turn = Turn {
            now,
            block,
            frames,
            relief,
            recipient,
            has_read: false,
            has_more: false,
            has_enough: false,
        };
        answer.looks_left.store(looks_left, Ordering::Relaxed);
        let found = reactor.spin(poll, events, near, &mut turn).expect("a poll");
        (looks_left - answer.looks_left.load(Ordering::Relaxed), found, events.iter().count())
    };
    let enough = SPIN_LOOKS_PER_POLL - 1;
    let served = spin(enough, Some(&mut Waiting::default()), Some(token));
    assert_eq!(served, (enough, true, 0), "nothing else is asked");
    reactor.waker.wake().expect("it is rung");
    let called = spin(1000, Some(&mut Waiting::default()), Some(token));
    assert_eq!(called, (enough, true, 1), "what comes from elsewhere is seen as well");
    for (recipient, near, is_awaited) in [
        (None, Some(token), true),
        (Some(&mut Waiting::default()), None, true),
        (Some(&mut Waiting::default()), Some(token), false),
    ] {
        answer.is_awaited.store(is_awaited, Ordering::Relaxed);
        reactor.waker.wake().expect("it is rung");
        assert_eq!(spin(1000, recipient, near), (0, true, 1), "{near:?} {is_awaited}");
    }
    answer.is_awaited.store(true, Ordering::Relaxed);
    reactor.nudged.store(true, Ordering::Relaxed);
    assert_eq!(spin(1000, Some(&mut Waiting::default()), Some(token)).0, 1, "there is something else to do");
    reactor.remove_source(token);
}
