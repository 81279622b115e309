//! Waiting for several sockets at once.

mod util;

use std::time::{Duration, Instant};

use spmsg::{Error, Interest, PollItem, Protocol, Socket, poll};
use util::{Carrier, DEADLINE, bind, inproc_address, link, recv, socket, wait_for_pipes};

const RECV: Interest = Interest { recv: true, send: false };
const SEND: Interest = Interest { recv: false, send: true };
const BOTH: Interest = Interest { recv: true, send: true };

/// What is ready now.
fn now(socket: &Socket, interest: Interest) -> Interest {
    let mut items = [PollItem::new(socket, interest)];
    let ready = poll(&mut items, Some(Duration::ZERO), false).unwrap();
    assert_eq!(ready, usize::from(items[0].ready() != Interest::default()));
    items[0].ready()
}

#[test]
fn r120_readiness_of_fresh_sockets() {
    let none = Interest::default();
    for (protocol, ready) in [
        (Protocol::Pair, none),
        (Protocol::Rep, none),
        (Protocol::Respondent, none),
        (Protocol::Req, SEND),
        (Protocol::Bus, SEND),
        (Protocol::Surveyor, BOTH),
    ] {
        assert_eq!(now(&socket(protocol), BOTH), ready, "{protocol:?}");
    }
    assert_eq!(now(&socket(Protocol::Pub), SEND), SEND);
    assert_eq!(now(&socket(Protocol::Push), SEND), none);
    assert_eq!(now(&socket(Protocol::Sub), RECV), none);
    assert_eq!(now(&socket(Protocol::Pull), RECV), none);
}

#[test]
fn r104_direction_that_a_pattern_lacks_is_an_error() {
    for (protocol, interest) in
        [(Protocol::Push, RECV), (Protocol::Pub, BOTH), (Protocol::Pull, SEND), (Protocol::Sub, SEND)]
    {
        let socket = socket(protocol);
        let result = poll(&mut [PollItem::new(&socket, interest)], Some(Duration::ZERO), false);
        assert!(matches!(result, Err(Error::Unsupported { .. })), "{protocol:?}: {result:?}");
    }
}

#[test]
fn readiness_is_a_level_that_follows_messages() {
    for carrier in Carrier::ALL {
        let (pull, push) = (socket(Protocol::Pull), socket(Protocol::Push));
        let _place = link(&pull, &push, carrier);
        assert_eq!(now(&push, SEND), SEND);
        assert_eq!(now(&pull, RECV), Interest::default());
        push.send("one").unwrap();
        push.send("two").unwrap();
        let mut items = [PollItem::new(&pull, RECV)];
        for expected in [b"one", b"two"] {
            assert_eq!(poll(&mut items, Some(DEADLINE), false).unwrap(), 1);
            assert_eq!(recv(&pull), expected);
        }
        assert_eq!(now(&pull, RECV), Interest::default());
        pull.close().unwrap();
        wait_for_pipes(&push, 0);
        assert_eq!(now(&push, SEND), Interest::default());
    }
}

#[test]
fn the_socket_that_becomes_ready_ends_the_wait() {
    for carrier in Carrier::ALL {
        let sockets: Vec<_> = (0..5).map(|_| (socket(Protocol::Pull), socket(Protocol::Push))).collect();
        let _places: Vec<_> = sockets.iter().map(|(pull, push)| link(pull, push, carrier)).collect();
        for chosen in [4, 0, 2] {
            std::thread::scope(|scope| {
                let waiting = scope.spawn(|| {
                    let mut items: Vec<_> =
                        sockets.iter().map(|(pull, _)| PollItem::new(pull, RECV)).collect();
                    let ready = poll(&mut items, Some(DEADLINE), false).unwrap();
                    (ready, items.iter().position(|item| item.ready().recv))
                });
                sockets[chosen].1.send("now").unwrap();
                assert_eq!(waiting.join().unwrap(), (1, Some(chosen)));
            });
            assert_eq!(recv(&sockets[chosen].0), b"now");
        }
    }
}

#[test]
fn room_for_a_message_ends_the_wait() {
    let name = inproc_address();
    let pull = spmsg::Pull::builder().recv_buffer(10).build().unwrap();
    pull.bind(&name).unwrap();
    let push = socket(Protocol::Push);
    push.connect(&name).unwrap();
    while push.try_send(b"0123456789").is_ok() {}
    assert_eq!(now(&push, SEND), Interest::default());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| poll(&mut [PollItem::new(&push, SEND)], Some(DEADLINE), false).unwrap());
        while pull.try_recv().is_ok() {}
        assert_eq!(waiting.join().unwrap(), 1);
    });
}

#[test]
fn timeout_is_kept_and_zero_does_not_wait() {
    let pull = socket(Protocol::Pull);
    let start = Instant::now();
    assert_eq!(poll(&mut [PollItem::new(&pull, RECV)], Some(Duration::from_millis(60)), false).unwrap(), 0);
    let took = start.elapsed();
    assert!((Duration::from_millis(60)..Duration::from_secs(5)).contains(&took), "{took:?}");
    let start = Instant::now();
    assert_eq!(poll(&mut [], Some(Duration::from_millis(20)), false).unwrap(), 0);
    assert!(start.elapsed() >= Duration::from_millis(20), "without sockets it sleeps");
}

#[test]
fn closing_a_socket_ends_the_wait_even_without_interest() {
    for interest in [RECV, Interest::default()] {
        for carrier in Carrier::ALL {
            let pull = socket(Protocol::Pull);
            let (_address, _place) = bind(&pull, carrier);
            std::thread::scope(|scope| {
                let waiting = scope.spawn(|| {
                    let mut items = [PollItem::new(&pull, interest)];
                    (poll(&mut items, Some(DEADLINE), false).unwrap(), items[0].ready())
                });
                pull.close().unwrap();
                assert_eq!(waiting.join().unwrap(), (1, interest));
            });
        }
    }
}

#[test]
fn r183_messages_that_match_no_subscription_are_not_announced() {
    let (publisher, subscriber) = (socket(Protocol::Pub), socket(Protocol::Sub));
    subscriber.unsubscribe("").unwrap();
    subscriber.subscribe("yes").unwrap();
    let _place = link(&publisher, &subscriber, Carrier::Tcp);
    for _ in 0..100 {
        publisher.send("no").unwrap();
    }
    publisher.send("yes").unwrap();
    assert_eq!(poll(&mut [PollItem::new(&subscriber, RECV)], Some(DEADLINE), false).unwrap(), 1);
    assert_eq!(recv(&subscriber), b"yes", "what was announced is there");
    assert_eq!(now(&subscriber, RECV), Interest::default());
}
