//! Many messages of mixed sizes, many senders and receivers: nothing is lost, doubled, damaged or out of
//! order.
//!
//! Each test runs four times, in processes of its own: with one and two I/O threads, and with and without
//! looking for events before sleeping. All of it together moves ten million messages in an optimised build
//! (`cargo test --release --test load`, about ten seconds) and fewer in others; `SPMSG_LOAD_MESSAGES` in
//! the environment says how many.

mod util;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use spmsg::{Error, Interest, Message, PollItem, Protocol, SendError, Socket, poll};
use util::ledger::{Ledger, Scribe, len_of};
use util::{Carrier, DEADLINE, Fresh, bind, link, process, socket, wait_for_pipes, wait_until};

/// Says how many messages all tests of this file move together.
const TOTAL_VARIABLE: &str = "SPMSG_LOAD_MESSAGES";
const TOTAL_OPTIMISED: u64 = 10_000_000;
/// Several times slower each, and the point is the same.
const TOTAL_UNOPTIMISED: u64 = 600_000;

/// I/O threads, and whether threads that wait look for events first.
const SETTINGS: [(&str, &str); 4] = [("1", "1"), ("1", "0"), ("2", "1"), ("2", "0")];

/// How long a call of the patient kind waits before it looks around.
const SHORT: Duration = Duration::from_millis(5);
/// No message for so long means that none will come.
const STALLED: Duration = Duration::from_secs(20);

/// A process of this test that runs longer hangs.
const HANGS_AFTER: Duration = Duration::from_secs(300);

/// Runs `scenario` in each setting and over each carrier, with `percent` of all messages together.
#[track_caller]
fn in_each_setting(name: &str, percent: u64, scenario: fn(Carrier, u64)) {
    if process::role().is_some() {
        let total =
            std::env::var(TOTAL_VARIABLE).ok().map(|text| text.parse().expect("a number of messages"));
        let total = total.unwrap_or(if cfg!(debug_assertions) { TOTAL_UNOPTIMISED } else { TOTAL_OPTIMISED });
        std::thread::spawn(|| {
            std::thread::sleep(HANGS_AFTER);
            eprintln!("still not done after {HANGS_AFTER:?}");
            std::process::exit(1);
        });
        let runs = (SETTINGS.len() * Carrier::ALL.len()) as u64;
        let count = (total * percent).div_ceil(100 * runs);
        for carrier in Carrier::ALL {
            let start = Instant::now();
            scenario(carrier, count);
            println!("{carrier:?}: {count} messages in {:?}", start.elapsed());
        }
        return;
    }
    for (threads, spin) in SETTINGS {
        let mut command = process::command(name, "load");
        command.env(spmsg::IO_THREADS_VARIABLE, threads).env("SPMSG_SPIN", spin);
        let output = command.output().expect("the test program starts again");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let told = text(&output.stdout);
        println!("{threads} I/O threads, spinning {spin}\n{told}");
        assert!(
            output.status.success(),
            "with {threads} I/O threads and spinning {spin}, {name} ended with {}:\n{told}\n{}",
            output.status,
            text(&output.stderr)
        );
    }
}

/// Sends with one of four kinds of call, each of which must take every message over once.
fn send_somehow(socket: &Socket, mut message: Message, turn: u64) {
    match turn % 4 {
        0 => return socket.send(message).expect("the peer receives"),
        1 => match socket.try_send(message) {
            Ok(()) => return,
            Err(SendError { error: Error::WouldBlock, message: back }) => message = back,
            Err(refused) => panic!("{refused}"),
        },
        _ => (),
    }
    let end = Instant::now() + STALLED;
    loop {
        let result = if turn % 4 == 2 {
            socket.send_timeout(message, SHORT)
        } else {
            let mut items = [PollItem::new(socket, Interest { recv: false, send: true })];
            poll(&mut items, Some(SHORT), false).expect("a socket that sends");
            socket.try_send(message)
        };
        message = match result {
            Ok(()) => return,
            Err(SendError { error: Error::TimedOut | Error::WouldBlock, message: back }) => back,
            Err(refused) => panic!("{refused}"),
        };
        assert!(Instant::now() < end, "{:?} could not send for {STALLED:?}", socket.protocol());
    }
}

/// Receives with one of four kinds of call; `None` when the socket is closed.
fn recv_somehow(socket: &Socket, turn: u64) -> Option<Message> {
    loop {
        let result = match turn % 4 {
            0 => socket.recv(),
            1 => socket.recv_timeout(SHORT),
            2 => socket.try_recv().or_else(|_| socket.recv()),
            _ => {
                let mut items = [PollItem::new(socket, Interest { recv: true, send: false })];
                poll(&mut items, Some(SHORT), false).expect("a socket that receives");
                socket.try_recv()
            }
        };
        match result {
            Ok(message) => return Some(message),
            Err(Error::Closed) => return None,
            Err(Error::TimedOut | Error::WouldBlock) => (),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Waits until `ledger` has `total` messages, as long as some come.
fn await_taken(ledger: &Ledger, total: u64) {
    let (mut last, mut moved) = (0, Instant::now());
    while ledger.taken() < total && moved.elapsed() < STALLED {
        std::thread::sleep(Duration::from_millis(1));
        if ledger.taken() != last {
            (last, moved) = (ledger.taken(), Instant::now());
        }
    }
}

/// Closes sockets also when an assertion fails, so that threads blocked in them end and the failure shows.
struct Closing<'a>(&'a [Socket]);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|socket| socket.close().expect("nobody else closes it"));
    }
}

/// Everything of `socket`, until it is closed.
fn take_all(socket: &Socket, ledger: &Ledger) {
    let mut reader = ledger.reader();
    let mut turn = 0;
    while let Some(message) = recv_somehow(socket, turn) {
        reader.take(message.body());
        turn += 1;
    }
}

/// Two sockets of two threads each on both sides, everyone connected with everyone.
fn pipeline(carrier: Carrier, count: u64) {
    const THREADS: usize = 2;
    let pulls = [(); 2].map(|()| socket(Protocol::Pull));
    let pushes = [(); 2].map(|()| socket(Protocol::Push));
    let _places: Vec<Fresh> = pulls.iter().map(|pull| fan_in(pull, &pushes, carrier)).collect();
    let senders = THREADS * pushes.len();
    let each = count / senders as u64 + 1;
    let ledger = Ledger::new(senders, each);
    std::thread::scope(|scope| {
        let _closing = Closing(&pulls);
        for pull in pulls.iter().flat_map(|pull| [pull; THREADS]) {
            scope.spawn(|| take_all(pull, &ledger));
        }
        for (sender, push) in pushes.iter().flat_map(|push| [push; THREADS]).enumerate() {
            scope.spawn(move || {
                let mut scribe = Scribe::new();
                for number in 0..each {
                    send_somehow(push, scribe.write(sender as u16, number), number);
                }
            });
        }
        await_taken(&ledger, each * senders as u64);
    });
    ledger.assert_complete(&vec![each; senders]);
}

fn fan_in(bound: &Socket, connecting: &[Socket], carrier: Carrier) -> Fresh {
    let before = bound.statistics().expect("an open socket").current_connections;
    let (address, place) = bind(bound, carrier);
    for socket in connecting {
        let pipes = socket.statistics().expect("an open socket").current_connections;
        socket.connect(&address).expect("a bound address");
        wait_for_pipes(socket, pipes + 1);
    }
    wait_for_pipes(bound, before + connecting.len() as u64);
    place
}

#[test]
fn r110_r187_every_pushed_message_arrives_once_and_in_order() {
    in_each_setting("r110_r187_every_pushed_message_arrives_once_and_in_order", 55, pipeline);
}

/// Both ends send and receive at the same time: the other end has exactly the sequence that was sent.
fn pair(carrier: Carrier, count: u64) {
    let ends = [(); 2].map(|()| socket(Protocol::Pair));
    let _place = link(&ends[0], &ends[1], carrier);
    let each = count / 2 + 1;
    std::thread::scope(|scope| {
        for (here, end) in ends.iter().enumerate() {
            scope.spawn(move || {
                let mut scribe = Scribe::new();
                for number in 0..each {
                    send_somehow(end, scribe.write(here as u16, number), number / 3);
                }
            });
            scope.spawn(move || {
                let scribe = Scribe::new();
                for number in 0..each {
                    let message = recv_somehow(end, number / 5).expect("nobody closes it");
                    scribe.check(message.body(), 1 - here as u16, number);
                }
                assert!(matches!(end.try_recv(), Err(Error::WouldBlock)), "nothing is left over");
            });
        }
    });
}

#[test]
fn r110_a_pair_carries_two_whole_sequences_at_once() {
    in_each_setting("r110_a_pair_carries_two_whole_sequences_at_once", 20, pair);
}

const SUBSCRIBERS: usize = 3;

/// A publisher that keeps what is under way below its buffers loses nothing; each subscriber has the whole
/// sequence.
fn publish_within_the_buffers(carrier: Carrier, count: u64) {
    const BUFFER: usize = 4 << 20;
    const UNDER_WAY: u64 = 2 << 20;
    // What a message may count beyond its body.
    const ASIDE: u64 = 16;
    let publisher = socket(Protocol::Pub);
    let subscribers = [(); SUBSCRIBERS].map(|()| socket(Protocol::Sub));
    publisher.set_options(|options| options.set_send_buffer(BUFFER).map(|_| ())).expect("above zero");
    for subscriber in &subscribers {
        subscriber.set_options(|options| options.set_recv_buffer(BUFFER).map(|_| ())).expect("above zero");
    }
    let _place = fan_in(&publisher, &subscribers, carrier);
    let each = count / SUBSCRIBERS as u64 + 1;
    let taken = [(); SUBSCRIBERS].map(|()| AtomicU64::new(0));
    let slowest = || taken.iter().map(|bytes| bytes.load(Ordering::Acquire)).min().expect("some subscribers");
    let cost = |number| len_of(number) as u64 + ASIDE;
    std::thread::scope(|scope| {
        for (subscriber, taken) in subscribers.iter().zip(&taken) {
            scope.spawn(move || {
                let scribe = Scribe::new();
                for number in 0..each {
                    let message = recv_somehow(subscriber, number / 7).expect("nobody closes it");
                    scribe.check(message.body(), 0, number);
                    taken.fetch_add(cost(number), Ordering::Release);
                }
                assert!(matches!(subscriber.try_recv(), Err(Error::WouldBlock)), "nothing is left over");
            });
        }
        let mut scribe = Scribe::new();
        let mut sent = 0;
        for number in 0..each {
            sent += cost(number);
            if sent > slowest() + UNDER_WAY {
                wait_until("every subscriber goes on", || sent <= slowest() + UNDER_WAY / 2);
            }
            // Publishing never waits (R117).
            publisher.try_send(scribe.write(0, number)).expect("a publisher can always send");
        }
    });
}

#[test]
fn r110_r117_subscribers_who_keep_up_miss_nothing() {
    in_each_setting("r110_r117_subscribers_who_keep_up_miss_nothing", 10, publish_within_the_buffers);
}

/// A publisher that does not wait for anybody: messages are left out, but those that come are in order and
/// whole.
fn publish_regardless(carrier: Carrier, count: u64) {
    // Sender 0 has the messages; what is said as 1 afterwards, until everybody has heard some of it, marks
    // the end.
    const MARKS: u64 = 1 << 16;
    let publisher = socket(Protocol::Pub);
    let subscribers = [(); SUBSCRIBERS].map(|()| socket(Protocol::Sub));
    let _place = fan_in(&publisher, &subscribers, carrier);
    let ledgers = [(); SUBSCRIBERS].map(|()| Ledger::new(2, count.max(MARKS)));
    std::thread::scope(|scope| {
        let _closing = Closing(&subscribers);
        for (subscriber, ledger) in subscribers.iter().zip(&ledgers) {
            scope.spawn(|| take_all(subscriber, ledger));
        }
        let mut scribe = Scribe::new();
        for number in 0..count {
            publisher.send(scribe.write(0, number)).expect("a publisher can always send");
        }
        let mut marks = 0..MARKS;
        wait_until("everybody hears of the end", || {
            let mark = marks.next().expect("fewer than the milliseconds of the deadline");
            publisher.send(scribe.write(1, mark)).expect("a publisher can always send");
            ledgers.iter().all(|ledger| ledger.has_any(1))
        });
    });
    for ledger in &ledgers {
        assert!(ledger.has_any(0), "a subscriber hears what its buffers hold");
    }
}

#[test]
fn r110_r117_subscribers_who_fall_behind_have_gaps_and_nothing_worse() {
    in_each_setting(
        "r110_r117_subscribers_who_fall_behind_have_gaps_and_nothing_worse",
        3,
        publish_regardless,
    );
}

/// Sixteen clients of two servers: each request is served once, each reply is that of the request.
fn requests(carrier: Carrier, count: u64) {
    const CLIENTS: usize = 16;
    let servers = [(); 2].map(|()| socket(Protocol::Rep));
    let clients = [(); CLIENTS].map(|()| socket(Protocol::Req));
    let _places: Vec<Fresh> = servers.iter().map(|server| fan_in(server, &clients, carrier)).collect();
    let each = count / CLIENTS as u64 + 1;
    let ledger = Ledger::new(CLIENTS, each);
    std::thread::scope(|scope| {
        let _closing = Closing(&servers);
        for server in &servers {
            scope.spawn(|| {
                let mut reader = ledger.reader();
                while let Some(request) = recv_somehow(server, reader_turn(&ledger)) {
                    reader.take(request.body());
                    server.send(request.into_bytes()).expect("the client waits");
                }
            });
        }
        let clients: Vec<_> = clients
            .iter()
            .enumerate()
            .map(|(number, client)| {
                scope.spawn(move || {
                    let mut scribe = Scribe::new();
                    for request in 0..each {
                        send_somehow(client, scribe.write(number as u16, request), request);
                        let reply = client.recv().expect("a reply");
                        scribe.check(reply.body(), number as u16, request);
                    }
                })
            })
            .collect();
        let results: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        assert!(results.iter().all(Result::is_ok), "every client got every reply");
    });
    ledger.assert_complete(&[each; CLIENTS]);
}

/// Changes the kind of call from time to time.
fn reader_turn(ledger: &Ledger) -> u64 {
    ledger.taken() / 10
}

#[test]
fn r110_every_request_is_served_once_and_answered() {
    in_each_setting("r110_every_request_is_served_once_and_answered", 2, requests);
}

/// Most messages from one of the sockets that come and go.
const AT_MOST: u64 = 2000;

/// Senders come, send a random number of messages and close; what they were told is accepted arrives.
fn senders_go(carrier: Carrier, count: u64) {
    const THREADS: u64 = 3;
    let pulls = [(); 2].map(|()| socket(Protocol::Pull));
    let places = pulls.each_ref().map(|pull| bind(pull, carrier));
    // Every thread ends as soon as its share is sent: between one and AT_MOST messages from each socket.
    let share = count / THREADS + 1;
    let sockets_each = (2 * share / AT_MOST + 64) as usize;
    let ledger = Ledger::new(sockets_each * THREADS as usize, AT_MOST);
    let seeds = [(); THREADS as usize].map(|()| fastrand::u64(..));
    println!("seeds {seeds:?}");
    let (mut sent, addresses) = (Vec::new(), places.each_ref().map(|(address, _)| address.as_str()));
    std::thread::scope(|scope| {
        let _closing = Closing(&pulls);
        for pull in &pulls {
            scope.spawn(|| take_all(pull, &ledger));
        }
        let threads: Vec<_> = seeds
            .into_iter()
            .enumerate()
            .map(|(at, seed)| {
                let first = (at * sockets_each) as u16;
                let random = fastrand::Rng::with_seed(seed);
                scope.spawn(move || one_after_the_other(addresses, first, sockets_each, share, random))
            })
            .collect();
        sent.extend(threads.into_iter().flat_map(|thread| thread.join().expect("its sends succeed")));
        await_taken(&ledger, sent.iter().sum());
    });
    ledger.assert_complete(&sent);
}

/// One PUSH after the other, numbered from `first`, until `left` messages are sent; how many each of the
/// `sockets` sent.
fn one_after_the_other(
    addresses: [&str; 2],
    first: u16,
    sockets: usize,
    mut left: u64,
    mut random: fastrand::Rng,
) -> Vec<u64> {
    let mut scribe = Scribe::new();
    let mut sent = vec![0; sockets];
    for (sender, sent) in (first..).zip(&mut sent) {
        if left == 0 {
            break;
        }
        let push = socket(Protocol::Push);
        push.set_options(|options| Ok(options.set_linger(DEADLINE).linger())).expect("an open socket");
        addresses.iter().for_each(|address| drop(push.connect(address).expect("a bound address")));
        *sent = random.u64(1..=AT_MOST).min(left);
        left -= *sent;
        for number in 0..*sent {
            send_somehow(&push, scribe.write(sender, number), number);
        }
        push.close().expect("it was open");
    }
    assert_eq!(left, 0, "enough sockets for all messages");
    sent
}

#[test]
fn r119_r187_r242_senders_that_close_lose_nothing() {
    in_each_setting("r119_r187_r242_senders_that_close_lose_nothing", 5, senders_go);
}

/// Receivers close with messages on the way. Those may be lost, and go to nobody else (R118), but what
/// comes is in order and comes once; and of what is sent after the last has closed nothing is missing.
fn receivers_go(carrier: Carrier, count: u64) {
    const RECEIVERS: usize = 3;
    let pushes = [(); 2].map(|()| socket(Protocol::Push));
    let places = pushes.each_ref().map(|push| bind(push, carrier));
    let addresses = places.each_ref().map(|(address, _)| address.as_str());
    let each = count / 4 + 1;
    // Two senders while receivers come and go, two afterwards.
    let (storm, calm) = (Ledger::new(2, each), Ledger::new(4, each));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in [(); RECEIVERS].map(|()| fastrand::u64(..)) {
            println!("seed {seed}");
            let (storm, over) = (&storm, &over);
            scope.spawn(move || come_and_go(addresses, storm, over, fastrand::Rng::with_seed(seed)));
        }
        push_all(&pushes, 0, each);
        over.store(true, Ordering::Release);
    });
    println!("{} of {} arrived while receivers closed", storm.taken(), 2 * each);
    pushes.iter().for_each(|push| wait_for_pipes(push, 0));
    let pulls = [(); RECEIVERS].map(|()| socket(Protocol::Pull));
    for pull in &pulls {
        addresses.iter().for_each(|address| drop(pull.connect(address).expect("a bound address")));
        wait_for_pipes(pull, 2);
    }
    std::thread::scope(|scope| {
        let _closing = Closing(&pulls);
        pulls.iter().for_each(|pull| drop(scope.spawn(|| take_all(pull, &calm))));
        push_all(&pushes, 2, each);
        await_taken(&calm, 2 * each);
    });
    calm.assert_complete(&[0, 0, each, each]);
}

/// Each socket sends from a thread of its own, as senders from `first` up.
fn push_all(pushes: &[Socket], first: u16, each: u64) {
    std::thread::scope(|scope| {
        for (sender, push) in (first..).zip(pushes) {
            scope.spawn(move || {
                let mut scribe = Scribe::new();
                for number in 0..each {
                    send_somehow(push, scribe.write(sender, number), number);
                }
            });
        }
    });
}

/// One PULL after the other, each of which closes when it has taken a random number of messages.
fn come_and_go(addresses: [&str; 2], ledger: &Ledger, over: &AtomicBool, mut random: fastrand::Rng) {
    while !over.load(Ordering::Acquire) {
        let pull = socket(Protocol::Pull);
        addresses.iter().for_each(|address| drop(pull.connect(address).expect("a bound address")));
        let mut reader = ledger.reader();
        for _ in 0..random.u64(1..3000) {
            match pull.recv_timeout(SHORT) {
                Ok(message) => reader.take(message.body()),
                Err(Error::TimedOut) if over.load(Ordering::Acquire) => break,
                Err(Error::TimedOut) => (),
                Err(error) => panic!("{error}"),
            }
        }
        pull.close().expect("it was open");
    }
}

#[test]
fn r110_r118_r187_receivers_that_close_disturb_nobody_else() {
    in_each_setting("r110_r118_r187_receivers_that_close_disturb_nobody_else", 5, receivers_go);
}
