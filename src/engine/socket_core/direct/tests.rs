//! With a peer that speaks when it is told to.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use socket2::{SockAddr, Socket, Type};

use super::*;
use crate::address::{BindAddress, Dialect, Rules};
use crate::engine::Engine;
use crate::engine::source::Task;
use crate::engine::turns::tests::wait_until;
use crate::engine::waiters::Waker;
use crate::limits::{
    BODY_BY_REFERENCE_BYTES, BODY_TAIL_BYTES, DIRECT_LEASE, DIRECT_READ_BYTES, TRIAL_PENALTY_MAX,
};
use crate::message::Message;
use crate::options::Options;
use crate::sys::Parker;
use crate::{Mode, Protocol};

fn patience() -> Patience {
    Patience::for_timeout(Some(Duration::from_secs(30)), false)
}

/// A socket that converses, and the other end of its connection.
struct Talk {
    core: Arc<Core>,
    engine: Engine,
    peer: Socket,
    place: SockAddr,
    /// The protocol of the peer, as its header says.
    number: u8,
    _folder: tempfile::TempDir,
}

impl Talk {
    /// One over tcp and one over ipc, each used to direct reading.
    fn both(protocol: Protocol, number: u8) -> [Talk; 2] {
        [true, false].map(|is_tcp| {
            let engine = Engine::new(1).expect("descriptors");
            let core = Core::new(protocol, Mode::Cooked, Options::default(), Some(engine.clone()));
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("socket");
            let address =
                if is_tcp { "tcp://127.0.0.1:0".to_owned() } else { format!("ipc://{}", path.display()) };
            let rules = Rules { ipv4_only: true, dialect: Dialect::Rust };
            let address = BindAddress::parse(address, &rules).expect("an address");
            let (_, bound) = core.bind(&address).expect("a place");
            let place = match bound.strip_prefix("tcp://") {
                Some(bound) => bound.parse::<std::net::SocketAddr>().expect("what was bound").into(),
                None => SockAddr::unix(path).expect("a path"),
            };
            let peer = connect(&place, number);
            let mut talk = Talk { core, engine, peer, place, number, _folder: folder };
            talk.wait_for_pipes(1);
            talk.converse();
            talk
        })
    }

    fn pairs() -> [Talk; 2] {
        Talk::both(Protocol::Pair, 16)
    }

    /// Until direct reading is what the connection is used to.
    fn converse(&mut self) {
        wait_until("it reads directly", || {
            self.exchange();
            !self.is_watched()
        });
    }

    fn connection(&self) -> Arc<Connection> {
        Arc::clone(self.core.state.lock().pipes.only_stream().expect("one connection"))
    }

    fn is_watched(&self) -> bool {
        self.connection().is_watched()
    }

    fn wait_for_pipes(&self, count: usize) {
        wait_until("pipes come or go", || self.core.state.lock().pipes.len() == count);
    }

    fn wait_for_callers(&self, count: usize) {
        wait_until("callers wait", || self.core.state.lock().blocked == count);
    }

    fn recv(&self) -> Result<Message, Error> {
        self.core.recv(patience())
    }

    fn is_there_a_message(&self) -> bool {
        self.core.state.lock().pattern.readiness().recv
    }

    fn frame(&self, body: &[u8]) -> Vec<u8> {
        let kind: &[u8] = if self.place.is_unix() { &[1] } else { &[] };
        [kind, &(body.len() as u64).to_be_bytes(), body].concat()
    }

    fn say(&self, body: &[u8]) {
        (&self.peer).write_all(&self.frame(body)).expect("room");
    }

    /// A question, which the peer takes.
    fn ask(&self) {
        self.core.send_body(b"?", patience()).expect("room");
        let mut question = self.frame(b"?");
        (&self.peer).read_exact(&mut question).expect("it comes");
        assert_eq!(question, self.frame(b"?"));
    }

    /// A question, somebody who waits for the answer, and what happens meanwhile.
    fn ask_and(&self, happens: impl FnOnce()) -> Result<Message, Error> {
        self.ask();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| self.recv());
            self.wait_for_callers(1);
            happens();
            waiting.join().expect("no panic")
        })
    }

    /// A message that somebody waits for and nobody asked for.
    fn tell(&self) {
        let message = thread::scope(|scope| {
            let waiting = scope.spawn(|| self.recv());
            self.wait_for_callers(1);
            self.say(b"news");
            waiting.join().expect("no panic")
        });
        assert_eq!(message.expect("a message").body(), b"news");
    }

    fn exchange(&self) {
        let answer = self.ask_and(|| self.say(b"!"));
        assert_eq!(answer.expect("an answer").body(), b"!");
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = self.core.begin_close();
    }
}

fn connect(place: &SockAddr, number: u8) -> Socket {
    let mut peer = Socket::new(place.domain(), Type::STREAM, None).expect("a socket");
    peer.connect(place).expect("a listener");
    peer.write_all(&[0, b'S', b'P', 0, 0, number, 0, 0]).expect("room");
    peer.read_exact(&mut [0; 8]).expect("a header");
    peer
}

/// A connection after the first is gone.
fn another(talk: &Talk) -> Socket {
    let peer = connect(&talk.place, talk.number);
    talk.wait_for_pipes(1);
    peer
}

#[test]
fn an_answer_from_the_only_peer_is_read_without_turning() {
    for talk in Talk::pairs() {
        let turns = || talk.engine.reactor().turns();
        // On a loaded machine some wait too long for that.
        wait_until("twenty answers cost less than twenty turns", || {
            let before = turns();
            (0..20).for_each(|_| talk.exchange());
            turns() - before < 20
        });
        let stats = talk.core.statistics().expect("an open socket");
        assert_eq!(stats.messages_received, stats.messages_sent);
    }
}

#[test]
fn whoever_else_wants_to_know_of_input_has_it_watched() {
    let looks: [fn(&Talk); 4] = [
        |talk| assert!(talk.core.recv(Patience::Never).is_err(), "there is nothing"),
        |talk| assert!(!talk.core.readiness().expect("an open socket").recv),
        |talk| {
            let waker = Waker::Thread(Parker::current().expect("descriptors"));
            let watcher = talk.core.watch(true, false, waker).expect("nothing is there");
            talk.core.unwatch(watcher);
        },
        |talk| assert!(talk.core.descriptor(true).is_ok()),
    ];
    for mut talk in Talk::pairs() {
        for look in looks {
            talk.converse();
            look(&talk);
            assert!(talk.is_watched());
            talk.say("unasked".as_bytes());
            wait_until("it is read", || talk.is_there_a_message());
            assert_eq!(talk.recv().expect("a message").body(), b"unasked");
        }
        // Somebody may look at the descriptor at any time.
        (0..3).for_each(|_| talk.exchange());
        assert!(talk.is_watched());
    }
}

#[test]
fn what_comes_while_nobody_is_there_is_read_when_the_lease_is_over() {
    for talk in Talk::pairs() {
        talk.say(b"unasked");
        wait_until("it is read", || talk.is_there_a_message());
        assert!(talk.is_watched());
        assert_eq!(talk.recv().expect("a message").body(), b"unasked");
    }
}

#[test]
fn the_longer_they_converse_the_longer_is_the_lease() {
    for mut talk in Talk::pairs() {
        wait_until("the lease is longer", || {
            talk.exchange();
            talk.connection().lease() > DIRECT_LEASE
        });
        wait_until("it is over", || talk.connection().lease() == Duration::ZERO && talk.is_watched());
        talk.converse();
        assert!(talk.connection().lease() >= DIRECT_LEASE, "another one");
    }
}

#[test]
fn a_pause_between_two_conversations_is_no_failure() {
    for mut talk in Talk::pairs() {
        talk.converse();
        talk.ask();
        let later = Instant::now() + DIRECT_LEASE;
        assert!(talk.connection().read_directly(later).is_none());
        talk.connection().watch_input();
        let reader = talk.connection().read_directly(later).expect("the next one reads directly");
        reader.give_up();
    }
}

/// Has the peer say it until it was read directly, as on a loaded machine somebody may wait too long for that.
fn is_read_directly(talk: &mut Talk, frames: &[u8], bodies: &[&[u8]]) {
    wait_until("it is read directly", || {
        talk.converse();
        let first = talk.ask_and(|| (&talk.peer).write_all(frames).expect("room"));
        assert_eq!(first.expect("an answer").body(), bodies[0]);
        let is_watched = talk.is_watched();
        for body in &bodies[1..] {
            assert_eq!(&talk.recv().expect("the next").body(), body);
        }
        !is_watched
    });
}

#[test]
fn several_messages_at_once_are_read_directly() {
    for mut talk in Talk::pairs() {
        let frames: Vec<u8> = [&b"a"[..], b"b", b""].iter().flat_map(|body| talk.frame(body)).collect();
        is_read_directly(&mut talk, &frames, &[b"a", b"b", b""]);
    }
}

#[test]
fn a_large_answer_is_read_directly_and_so_is_the_next() {
    for mut talk in Talk::pairs() {
        // The wire has room for it while nobody reads.
        let body = vec![7; BODY_BY_REFERENCE_BYTES + 2 * BODY_TAIL_BYTES];
        let frame = talk.frame(&body);
        is_read_directly(&mut talk, &frame, &[&body]);
        wait_until("as the one before was", || {
            let answer = talk.ask_and(|| talk.say(&body));
            assert_eq!(answer.expect("an answer").body(), body);
            !talk.is_watched()
        });
    }
}

#[test]
fn what_nobody_asked_for_is_read_directly_too() {
    for talk in Talk::pairs() {
        wait_until("one message after the other is", || {
            talk.tell();
            assert!(!talk.connection().awaits_answer());
            !talk.is_watched()
        });
    }
}

#[test]
fn what_nobody_asks_for_never_lies_long() {
    for talk in Talk::pairs() {
        let (mut began, mut directly) = (Instant::now(), 0);
        wait_until("many have come", || {
            talk.tell();
            if directly == 0 {
                // The lease of the conversation before goes on until it is over.
                began = Instant::now();
                directly = u32::from(talk.connection().lease() <= DIRECT_LEASE && !talk.is_watched());
            }
            assert!(directly == 0 || talk.connection().lease() <= DIRECT_LEASE);
            directly > 0 && began.elapsed() > DIRECT_LEASE * 4
        });
    }
}

#[test]
fn who_breaks_the_rules_is_left_by_who_reads() {
    for mut talk in Talk::pairs() {
        for front in [&b""[..], b"whole"] {
            talk.converse();
            let mut peer = None;
            let answer = talk.ask_and(|| {
                let mut frames = if front.is_empty() { Vec::new() } else { talk.frame(front) };
                let kind = frames.len();
                frames.extend(talk.frame(b""));
                // Longer than anybody may send.
                frames[kind + usize::from(talk.place.is_unix())] = 0x7f;
                (&talk.peer).write_all(&frames).expect("room");
                talk.wait_for_pipes(0);
                peer.insert(another(&talk)).write_all(&talk.frame(b"from another")).expect("room");
            });
            let mut bodies = vec![answer.expect("a message").body().to_vec()];
            if !front.is_empty() {
                bodies.push(talk.recv().expect("the next").body().to_vec());
            }
            assert_eq!(bodies.concat(), [front, b"from another"].concat());
            talk.peer = peer.expect("another");
        }
    }
}

#[test]
fn what_comes_in_pieces_or_is_too_much_comes_all_the_same() {
    for mut talk in Talk::pairs() {
        let long = vec![7; DIRECT_READ_BYTES];
        for bodies in [&[&b"a"[..], b"b"][..], &[&long], &[&long, b"b", &long], &[b""]] {
            let frames: Vec<u8> = bodies.iter().flat_map(|body| talk.frame(body)).collect();
            for cut in [0, 1, frames.len() / 2, frames.len() - 1] {
                talk.converse();
                let (first, rest) = frames.split_at(cut);
                let answer = talk.ask_and(|| {
                    (&talk.peer).write_all(first).expect("room");
                    thread::yield_now();
                    (&talk.peer).write_all(rest).expect("room");
                });
                assert_eq!(answer.expect("the first").body(), bodies[0]);
                for body in &bodies[1..] {
                    assert_eq!(&talk.recv().expect("the next").body(), body);
                }
                assert!(!talk.is_there_a_message());
            }
        }
    }
}

#[test]
fn who_waits_too_long_waits_where_everything_reaches_it() {
    for talk in Talk::pairs() {
        let answer = talk.ask_and(|| {
            wait_until("it is watched", || talk.is_watched());
            talk.wait_for_callers(1);
            talk.say(b"late");
        });
        assert_eq!(answer.expect("an answer").body(), b"late");
        assert!(!talk.connection().is_read_directly());
    }
}

#[test]
fn who_waits_longer_than_one_sleep_stays_at_the_connection() {
    for mut talk in Talk::pairs() {
        // On a loaded machine one of them waits too long.
        wait_until("a message that takes two sleeps is read directly", || {
            talk.converse();
            let answer = talk.ask_and(|| {
                let waiting = Instant::now();
                wait_until("it is late", || waiting.elapsed() > DIRECT_WAIT_MAX * 3 / 2);
                talk.say(b"late");
            });
            assert_eq!(answer.expect("an answer").body(), b"late");
            !talk.is_watched()
        });
    }
}

#[test]
fn who_waited_long_for_the_last_message_does_not_read_the_next_directly() {
    for mut talk in Talk::pairs() {
        let late = talk.ask_and(|| {
            let waiting = Instant::now();
            wait_until("it is watched, and late", || talk.is_watched() && waiting.elapsed() >= DIRECT_LEASE);
            talk.say(b"late");
        });
        assert_eq!(late.expect("an answer").body(), b"late");
        // Trials that were in vain are not the reason.
        talk.connection().forget_trials();
        talk.ask();
        assert!(talk.connection().read_directly(Instant::now()).is_none());
        talk.say(b"sooner");
        assert_eq!(talk.recv().expect("an answer").body(), b"sooner");
        talk.converse();
    }
}

#[test]
fn the_end_of_the_peer_is_noticed_by_who_reads_and_without_one() {
    for mut talk in Talk::pairs() {
        talk.peer.shutdown(Shutdown::Both).expect("a connection");
        talk.wait_for_pipes(0);
        talk.peer = another(&talk);
        talk.converse();
        let mut peer = None;
        let answer = talk.ask_and(|| {
            talk.peer.shutdown(Shutdown::Both).expect("a connection");
            talk.wait_for_pipes(0);
            peer.insert(another(&talk)).write_all(&talk.frame(b"from another")).expect("room");
        });
        assert_eq!(answer.expect("a message").body(), b"from another");
        talk.peer = peer.expect("another");
        talk.exchange();
    }
}

#[test]
fn a_close_ends_direct_reading() {
    for talk in Talk::pairs() {
        let answer = talk.ask_and(|| {
            let deadline = talk.core.begin_close().expect("an open socket");
            talk.core.finish_close(deadline);
        });
        assert!(matches!(answer, Err(Error::Closed)));
    }
}

#[test]
fn callers_beside_the_one_that_reads_are_served_too() {
    for talk in Talk::pairs() {
        let mut bodies = thread::scope(|scope| {
            let answer = |_| scope.spawn(|| talk.recv().expect("an answer").body().to_vec());
            talk.ask();
            let callers = [0; 3].map(answer);
            talk.wait_for_callers(3);
            for body in ["a", "b", "c"] {
                talk.say(body.as_bytes());
            }
            callers.map(|caller| caller.join().expect("no panic"))
        });
        bodies.sort();
        assert_eq!(bodies, [b"a", b"b", b"c"]);
        assert!(talk.is_watched());
    }
}

#[test]
fn a_second_peer_is_heard() {
    for mut talk in Talk::both(Protocol::Bus, 112) {
        for _ in 0..10 {
            talk.converse();
            let mut another = None;
            let answer = talk.ask_and(|| {
                let peer = another.insert(connect(&talk.place, talk.number));
                talk.wait_for_pipes(2);
                peer.write_all(&talk.frame(b"from another")).expect("room");
            });
            assert_eq!(answer.expect("a message").body(), b"from another");
            talk.say(b"from the first");
            assert_eq!(talk.recv().expect("a message").body(), b"from the first");
            drop(another);
            talk.wait_for_pipes(1);
        }
    }
}

#[test]
fn a_full_wire_is_watched() {
    let body = vec![7; 8 << 20];
    for talk in Talk::pairs() {
        // The caller writes it, as far as the wire takes it.
        talk.core.send_body(&body, Patience::Never).expect("room");
        assert!(talk.is_watched());
        let reader = || talk.connection().read_directly(Instant::now());
        assert!((0..=TRIAL_PENALTY_MAX).all(|_| reader().is_none()), "it stays so");
        let frame = talk.frame(&body);
        let mut read = vec![0; frame.len()];
        (&talk.peer).read_exact(&mut read).expect("what waits follows when the wire has room");
        assert_eq!(read, frame);
        talk.exchange();
    }
}

#[test]
fn answers_that_leave_one_by_one_fill_the_wire_and_none_is_lost() {
    let body = [7; 200];
    // Over tcp a peer whose memory is full of small segments takes no acknowledgements either.
    let [_, talk] = Talk::pairs();
    assert!(talk.place.is_unix());
    let mut sent = Vec::new();
    loop {
        talk.say(b"?");
        assert_eq!(talk.recv().expect("a question").body(), b"?");
        match talk.core.send_body(&body, Patience::Never) {
            Ok(()) => sent.extend(talk.frame(&body)),
            Err(error) => break assert!(matches!(error, Error::WouldBlock), "{error}"),
        }
    }
    let mut read = vec![0; sent.len()];
    (&talk.peer).read_exact(&mut read).expect("what waits follows when the wire has room");
    assert!(read == sent, "each frame once and whole");
    talk.exchange();
}

#[test]
fn two_never_read_at_once() {
    for mut talk in Talk::pairs() {
        talk.converse();
        talk.ask();
        let connection = talk.connection();
        let mut reader = None;
        wait_until("it may be read", || {
            reader = connection.read_directly(Instant::now());
            reader.is_some()
        });
        assert!(connection.read_directly(Instant::now()).is_none());
        // Somebody wants to know of input: its event comes, and once only.
        connection.watch_input();
        talk.say(b"!");
        for _ in 0..2 {
            // The second turn has looked for events in any case.
            let done = Arc::new(AtomicBool::new(false));
            let told = Arc::clone(&done);
            talk.engine.reactor().submit(Task::Run(Box::new(move |_| told.store(true, Ordering::SeqCst))));
            wait_until("a turn", || done.load(Ordering::SeqCst));
        }
        assert!(!talk.is_there_a_message(), "the reader would find it");
        reader.expect("a reader").give_up();
        wait_until("it is read", || talk.is_there_a_message());
    }
}
