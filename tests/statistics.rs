//! The counters of a socket: when each one moves, and when it does not.

mod util;

use spmsg::{Protocol, Push, Socket, Statistics};
use util::raw::{RawListener, RawPeer, header};
use util::{Carrier, DEADLINE, bind, inproc_address, link, recv, socket, wait_for_pipes, wait_until};

fn counters(socket: &Socket) -> Statistics {
    socket.statistics().unwrap()
}

#[test]
fn all_begin_at_zero() {
    for protocol in Protocol::ALL {
        let fresh = counters(&Socket::new(protocol, spmsg::Mode::Cooked));
        assert_eq!((fresh.established_connections, fresh.accepted_connections), (0, 0));
        assert_eq!((fresh.dropped_connections, fresh.broken_connections), (0, 0));
        assert_eq!((fresh.connect_errors, fresh.bind_errors, fresh.accept_errors), (0, 0, 0));
        assert_eq!((fresh.current_connections, fresh.in_progress_connections), (0, 0));
        assert_eq!((fresh.messages_sent, fresh.bytes_sent), (0, 0));
        assert_eq!((fresh.messages_received, fresh.bytes_received), (0, 0));
        assert_eq!(fresh.current_endpoint_errors, 0);
    }
}

#[test]
fn messages_and_body_bytes_are_counted_and_headers_are_not() {
    for carrier in Carrier::ALL {
        let (rep, req) = (socket(Protocol::Rep), socket(Protocol::Req));
        let _place = link(&rep, &req, carrier);
        for len in [0, 5, 1000] {
            req.send(vec![1; len]).unwrap();
            rep.recv().unwrap();
            rep.send(vec![2; 2 * len]).unwrap();
            req.recv().unwrap();
        }
        let (asked, answered) = (counters(&req), counters(&rep));
        assert_eq!((asked.messages_sent, asked.bytes_sent), (3, 1005));
        assert_eq!((asked.messages_received, asked.bytes_received), (3, 2010));
        assert_eq!((answered.messages_sent, answered.bytes_sent), (3, 2010));
        assert_eq!((answered.messages_received, answered.bytes_received), (3, 1005));
    }
}

#[test]
fn a_publication_that_nobody_takes_is_sent_and_a_refused_send_is_not() {
    let publisher = socket(Protocol::Pub);
    publisher.send("nobody listens").unwrap();
    assert_eq!((counters(&publisher).messages_sent, counters(&publisher).bytes_sent), (1, 14));
    let push = socket(Protocol::Push);
    push.try_send("nobody there").unwrap_err();
    assert_eq!((counters(&push).messages_sent, counters(&push).bytes_sent), (0, 0));
}

#[test]
fn established_accepted_and_current_move_on_their_own_side() {
    for carrier in Carrier::ALL {
        let (bound, connector) = (socket(Protocol::Pair), socket(Protocol::Pair));
        let _place = link(&bound, &connector, carrier);
        let (b, c) = (counters(&bound), counters(&connector));
        assert_eq!((b.accepted_connections, b.established_connections, b.current_connections), (1, 0, 1));
        assert_eq!((c.accepted_connections, c.established_connections, c.current_connections), (0, 1, 1));
        assert_eq!((b.in_progress_connections, c.in_progress_connections), (0, 0));
    }
}

#[test]
fn connection_that_is_lost_is_broken_and_one_that_is_ended_here_is_dropped() {
    for carrier in Carrier::NETWORK {
        let (bound, connector) = (socket(Protocol::Pair), socket(Protocol::Pair));
        let (address, _place) = bind(&bound, carrier);
        let endpoint = connector.connect(&address).unwrap();
        wait_for_pipes(&bound, 1);
        wait_for_pipes(&connector, 1);
        endpoint.close().unwrap();
        wait_until("the other side lost it", || counters(&bound).broken_connections == 1);
        wait_until("this side dropped it", || counters(&connector).dropped_connections == 1);
        assert_eq!(counters(&bound).dropped_connections, 0);
        assert_eq!(counters(&bound).current_connections, 0);
        // A connection more on the same socket: by then the first one is over, and it did not break here.
        connector.connect(&address).unwrap();
        wait_for_pipes(&connector, 1);
        assert_eq!(counters(&connector).broken_connections, 0, "{carrier:?}");
    }
}

#[test]
fn peer_that_leaves_after_it_was_served_to_the_end_breaks_nothing() {
    for carrier in Carrier::NETWORK {
        let listener = RawListener::bind(carrier);
        let push = Push::builder().send_buffer(8 << 20).linger(DEADLINE).build().unwrap();
        let endpoint = push.connect(&listener.address).unwrap();
        let mut peer = listener.accept();
        peer.greet(Protocol::Pull);
        wait_for_pipes(push.socket(), 1);
        push.send(vec![1; 4_000_000]).unwrap();
        endpoint.close().unwrap();
        wait_until("it is dropped", || counters(push.socket()).dropped_connections == 1);
        assert_eq!(peer.expect_message().len(), 4_000_000);
        peer.expect_end();
        drop(peer);
        // The one I/O thread has seen that end before it sees this connection.
        push.connect(&listener.address).unwrap();
        let mut next = listener.accept();
        next.greet(Protocol::Pull);
        wait_for_pipes(push.socket(), 1);
        assert_eq!(counters(push.socket()).broken_connections, 0, "{carrier:?}");
        assert_eq!(counters(push.socket()).dropped_connections, 1);
    }
}

#[test]
fn inproc_never_breaks_or_drops_and_waits_in_progress() {
    let name = inproc_address();
    let connector = socket(Protocol::Pair);
    connector.connect(&name).unwrap();
    assert_eq!(counters(&connector).in_progress_connections, 1);
    let bound = socket(Protocol::Pair);
    let endpoint = bound.bind(&name).unwrap();
    assert_eq!(counters(&connector).in_progress_connections, 0);
    endpoint.close().unwrap();
    let (b, c) = (counters(&bound), counters(&connector));
    assert_eq!(c.in_progress_connections, 1, "again");
    assert_eq!((b.dropped_connections, b.broken_connections), (0, 0));
    assert_eq!((c.dropped_connections, c.broken_connections), (0, 0));
    bound.bind(&name).unwrap();
    assert_eq!((counters(&bound).accepted_connections, counters(&connector).established_connections), (2, 2));
}

#[test]
fn failed_attempts_are_connect_errors_until_one_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("ipc://{}/s", folder.path().display());
    let connector = socket(Protocol::Pair);
    connector.connect(&address).unwrap();
    wait_until("two attempts failed", || counters(&connector).connect_errors >= 2);
    assert_eq!(counters(&connector).current_endpoint_errors, 1);
    assert_eq!(counters(&connector).established_connections, 0);
    let bound = socket(Protocol::Pair);
    bound.bind(&address).unwrap();
    wait_for_pipes(&connector, 1);
    let c = counters(&connector);
    assert_eq!((c.current_endpoint_errors, c.established_connections, c.in_progress_connections), (0, 1, 0));
    assert_eq!(counters(&bound).accepted_connections, 1);
}

#[test]
fn refused_second_peer_is_accepted_and_broken_and_never_current() {
    let pair = socket(Protocol::Pair);
    let (address, _place) = bind(&pair, Carrier::Tcp);
    let _first = RawPeer::join(&address, Protocol::Pair);
    wait_for_pipes(&pair, 1);
    let mut second = RawPeer::join(&address, Protocol::Pair);
    second.expect_end();
    let mut wrong = RawPeer::connect(&address);
    wrong.send(&header(81));
    wrong.expect(&header(16));
    wrong.expect_end();
    wait_until("both are counted", || counters(&pair).broken_connections == 2);
    let p = counters(&pair);
    assert_eq!((p.accepted_connections, p.current_connections, p.dropped_connections), (3, 1, 0));
}

#[test]
fn failed_binds_are_counted_and_failed_connects_are_not() {
    let (first, second) = (socket(Protocol::Pair), socket(Protocol::Pair));
    let (address, _place) = bind(&first, Carrier::Tcp);
    second.bind(&address).unwrap_err();
    assert_eq!(counters(&second).bind_errors, 1);
    second.connect("nonsense").unwrap_err();
    assert_eq!(counters(&second).bind_errors, 1);
    assert_eq!(counters(&first).bind_errors, 0);
}

#[test]
fn send_priority_is_the_best_that_can_be_written_to() {
    let (three, two) = (socket(Protocol::Pull), socket(Protocol::Pull));
    let names = [inproc_address(), inproc_address()];
    three.bind(&names[0]).unwrap();
    two.bind(&names[1]).unwrap();
    let push = Push::new().unwrap();
    let connect = |priority: u8, name: &str| {
        push.set_options(|options| options.set_send_priority(priority).map(|_| ())).unwrap();
        push.connect(name).unwrap()
    };
    let now = || push.statistics().unwrap().current_send_priority;
    connect(3, &names[0]);
    assert_eq!(now(), 3);
    let better = connect(2, &names[1]);
    assert_eq!(now(), 2);
    push.send("to the better").unwrap();
    assert_eq!(recv(&two), b"to the better");
    better.close().unwrap();
    assert_eq!(now(), 3);
    three.close().unwrap();
    assert_eq!(now(), -1);
    assert_eq!(counters(&two).current_send_priority, 0, "a PULL has none");
}
