//! Close: what was accepted is delivered, nobody is waited for in vain, everybody who waits is told.

mod util;

use std::io::Read;
use std::time::{Duration, Instant};

use spmsg::{Error, Protocol, Push, Socket};
use util::process::{in_own_process, threads};
use util::raw::{RawListener, RawPeer};
use util::{Carrier, DEADLINE, bind, pattern, recv, socket, wait_for_pipes, wait_until};

/// Sends until `total` bytes were accepted, in messages of `size` bytes.
fn send_total(socket: &Socket, total: usize, size: usize) {
    for number in 0..total / size {
        socket.send(vec![number as u8; size]).unwrap();
    }
}

/// Reads frames slowly until the end, and returns how many payload bytes came.
fn read_slowly(peer: &mut RawPeer) -> usize {
    let mut bytes = Vec::new();
    let mut block = vec![0; 64 * 1024];
    loop {
        match peer.stream.read(&mut block).expect("a regular end") {
            0 => break,
            got => bytes.extend_from_slice(&block[..got]),
        }
        // What makes the reader slow; the outcome does not depend on it.
        std::thread::sleep(Duration::from_millis(2));
    }
    let head = peer.head(0).len();
    let (mut rest, mut payload) = (&bytes[..], 0);
    while !rest.is_empty() {
        let length: [u8; 8] = rest[head - 8..head].try_into().unwrap();
        let len = u64::from_be_bytes(length) as usize;
        payload += rest[head..head + len].len();
        rest = &rest[head + len..];
    }
    payload
}

#[test]
fn r241_r242_close_delivers_what_was_accepted_to_a_slow_reader() {
    for carrier in Carrier::NETWORK {
        let listener = RawListener::bind(carrier);
        let push =
            Push::builder().send_buffer(4 << 20).linger(DEADLINE).send_timeout(DEADLINE).build().unwrap();
        push.connect(&listener.address).unwrap();
        let mut peer = listener.accept();
        peer.greet(Protocol::Pull);
        send_total(push.socket(), 2_000_000, 10_000);
        let closer = std::thread::spawn(move || push.close());
        assert_eq!(read_slowly(&mut peer), 2_000_000, "{carrier:?}");
        closer.join().unwrap().unwrap();
    }
}

#[test]
fn r242_closing_with_unread_input_loses_no_output() {
    for carrier in Carrier::NETWORK {
        let pair = socket(Protocol::Pair);
        let (address, _place) = bind(&pair, carrier);
        pair.set_options(|options| {
            options.set_linger(DEADLINE).set_send_buffer(4 << 20)?;
            options.set_recv_buffer(1000).map(|_| ())
        })
        .unwrap();
        let mut peer = RawPeer::join(&address, Protocol::Pair);
        wait_for_pipes(&pair, 1);
        // Input that nobody takes: it fills us and stays in the kernel.
        for _ in 0..10 {
            peer.send_message(&pattern(5000));
        }
        send_total(&pair, 2_000_000, 20_000);
        let closer = std::thread::spawn(move || pair.close());
        assert_eq!(read_slowly(&mut peer), 2_000_000, "{carrier:?}");
        drop(peer);
        closer.join().unwrap().unwrap();
    }
}

#[test]
fn r237_closing_an_endpoint_delivers_what_was_accepted_in_the_background() {
    for carrier in Carrier::NETWORK {
        let listener = RawListener::bind(carrier);
        let push = Push::builder().send_buffer(4 << 20).linger(DEADLINE).build().unwrap();
        let endpoint = push.connect(&listener.address).unwrap();
        let mut peer = listener.accept();
        peer.greet(Protocol::Pull);
        send_total(push.socket(), 2_000_000, 10_000);
        let start = Instant::now();
        endpoint.close().unwrap();
        assert!(start.elapsed() < Duration::from_secs(2), "the caller does not wait");
        assert_eq!(push.statistics().unwrap().current_connections, 0);
        assert_eq!(read_slowly(&mut peer), 2_000_000, "{carrier:?}");
    }
}

#[test]
fn r242_linger_bounds_close_when_the_peer_never_reads() {
    for carrier in Carrier::NETWORK {
        for linger in [0, 300] {
            let listener = RawListener::bind(carrier);
            let builder = Push::builder().send_buffer(128 << 20).linger(Duration::from_millis(linger));
            let push = builder.send_timeout(DEADLINE).build().unwrap();
            push.connect(&listener.address).unwrap();
            let mut peer = listener.accept();
            peer.greet(Protocol::Pull);
            // More than any kernel takes off our hands.
            send_total(push.socket(), 100_000_000, 1_000_000);
            let start = Instant::now();
            push.close().unwrap();
            let took = start.elapsed().as_millis() as u64;
            assert!(
                (linger..linger + 1500).contains(&took),
                "{carrier:?}: {took} ms with a linger of {linger} ms"
            );
        }
    }
}

#[test]
fn r242_close_never_waits_for_peers_that_are_not_there() {
    let listener = RawListener::bind(Carrier::Tcp);
    let connectors = [
        "tcp://127.0.0.1:1".to_owned(),
        "tcp://no-such-host.invalid:5555".to_owned(),
        "ipc:///nonexistent/folder/s".to_owned(),
        util::inproc_address(),
        // It accepts and says nothing.
        listener.address.clone(),
    ];
    for address in connectors {
        let req = Socket::builder(Protocol::Req, spmsg::Mode::Cooked).linger(DEADLINE).build().unwrap();
        req.connect(&address).unwrap();
        req.send("for whoever comes").unwrap();
        let silent = (address == listener.address).then(|| listener.accept());
        let start = Instant::now();
        req.close().unwrap();
        assert!(start.elapsed() < Duration::from_secs(2), "{address}: {:?}", start.elapsed());
        drop(silent);
    }
}

#[test]
fn r242_close_is_prompt_when_nothing_waits() {
    for carrier in Carrier::ALL {
        let (first, second) = (socket(Protocol::Pair), socket(Protocol::Pair));
        let _place = util::link(&first, &second, carrier);
        first.send("taken").unwrap();
        assert_eq!(recv(&second), b"taken");
        let start = Instant::now();
        first.close().unwrap();
        second.close().unwrap();
        assert!(start.elapsed() < Duration::from_millis(500), "{carrier:?}: {:?}", start.elapsed());
    }
}

#[test]
fn r239_close_from_another_thread_ends_blocked_calls() {
    for carrier in Carrier::ALL {
        for sending in [false, true] {
            let pair = socket(Protocol::Pair);
            let (_address, _place) = bind(&pair, carrier);
            std::thread::scope(|scope| {
                let blocked: Vec<_> = (0..8)
                    .map(|_| {
                        scope.spawn(|| {
                            if sending { pair.send("x").map_err(Error::from) } else { pair.recv().map(drop) }
                        })
                    })
                    .collect();
                // They need not sleep yet: a call that begins after close has the same answer.
                pair.close().unwrap();
                for caller in blocked {
                    assert!(matches!(caller.join().unwrap(), Err(Error::Closed)));
                }
            });
        }
    }
}

#[test]
fn r240_everything_fails_on_a_closed_socket() {
    let pair = socket(Protocol::Pair);
    let (_, _place) = bind(&pair, Carrier::Tcp);
    let endpoint = pair.connect("tcp://127.0.0.1:1").unwrap();
    pair.close().unwrap();
    assert!(matches!(pair.close(), Err(Error::Closed)));
    assert!(matches!(pair.bind("tcp://127.0.0.1:0"), Err(Error::Closed)));
    assert!(matches!(pair.connect("tcp://127.0.0.1:1"), Err(Error::Closed)));
    let refused = pair.send("kept").unwrap_err();
    assert!(matches!(refused.error, Error::Closed));
    assert_eq!(refused.message.body(), b"kept");
    assert!(matches!(pair.recv(), Err(Error::Closed)));
    assert!(matches!(pair.try_recv(), Err(Error::Closed)));
    assert!(matches!(pair.options(), Err(Error::Closed)));
    assert!(matches!(pair.statistics(), Err(Error::Closed)));
    assert!(matches!(endpoint.close(), Err(Error::Closed)));
}

#[test]
fn r240_one_of_many_closers_wins() {
    for _ in 0..20 {
        let (first, second) = (socket(Protocol::Pair), socket(Protocol::Pair));
        let _place = util::link(&first, &second, Carrier::Tcp);
        let won = std::thread::scope(|scope| {
            let closers: Vec<_> = (0..4).map(|_| scope.spawn(|| first.close())).collect();
            closers
                .into_iter()
                .filter(|_| true)
                .map(|closer| closer.join().unwrap())
                .filter(Result::is_ok)
                .count()
        });
        assert_eq!(won, 1);
    }
}

#[test]
fn close_that_races_with_bind_and_connect_leaves_nothing_behind() {
    if !in_own_process("close_that_races_with_bind_and_connect_leaves_nothing_behind") {
        return;
    }
    for round in 0..600 {
        let carrier = Carrier::ALL[round % 3];
        let place = carrier.fresh();
        let raced = socket(Protocol::Pull);
        let barrier = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            let (raced, address, barrier) = (&raced, &place.address, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for _ in 0..round % 7 {
                    std::hint::spin_loop();
                }
                raced.close().unwrap();
            });
            scope.spawn(move || {
                barrier.wait();
                if round % 2 == 0 || carrier == Carrier::Tcp {
                    // Either outcome is right; a bind that comes too late says so.
                    assert!(matches!(raced.bind(address), Ok(_) | Err(Error::Closed)));
                } else {
                    assert!(matches!(raced.connect(address), Ok(_) | Err(Error::Closed)));
                }
            });
        });
        socket(Protocol::Pull).bind(&place.address).expect("the address is free");
    }
    assert_eq!(threads("spmsg-"), Vec::<String>::new());
}

#[test]
fn dropping_is_closing() {
    for carrier in Carrier::NETWORK {
        let pull = socket(Protocol::Pull);
        let (address, _place) = bind(&pull, carrier);
        for round in 0..10u8 {
            let push = socket(Protocol::Push);
            push.connect(&address).unwrap();
            push.send(vec![round; 300_000]).unwrap();
            drop(push);
            assert_eq!(recv(&pull), vec![round; 300_000]);
        }
    }
}

#[test]
fn r118_r119_messages_of_a_peer_that_left_are_still_delivered() {
    for carrier in Carrier::ALL {
        let pull = socket(Protocol::Pull);
        let (address, _place) = bind(&pull, carrier);
        for sender in 0..3u8 {
            let push = socket(Protocol::Push);
            push.connect(&address).unwrap();
            for number in 0..10u8 {
                push.send(&[sender, number]).unwrap();
            }
            push.close().unwrap();
        }
        wait_until("all peers are gone", || {
            let statistics = pull.statistics().unwrap();
            statistics.accepted_connections == 3 && statistics.current_connections == 0
        });
        let mut got: Vec<Vec<u8>> = (0..30).map(|_| recv(&pull)).collect();
        got.sort();
        let expected: Vec<Vec<u8>> = (0..3).flat_map(|s| (0..10).map(move |n| vec![s, n])).collect();
        assert_eq!(got, expected, "{carrier:?}");
    }
}
