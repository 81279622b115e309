use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::thread::{self, ThreadId};

use mio::Interest;
use mio::unix::SourceFd;

use super::*;
use crate::engine::turns::tests::wait_until;
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
