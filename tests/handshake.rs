//! The header exchange on real sockets: what we send at once, what we accept, what costs a peer its
//! connection.

mod util;

use std::time::{Duration, Instant};

use spmsg::{Mode, Protocol, Socket};
use util::raw::{RawListener, RawPeer, header};
use util::{Carrier, QUIET, bind, recv, socket, wait_for_pipes, wait_until};

#[test]
fn r1_r2_r3_r13_r26_listener_sends_its_own_header_at_once() {
    for carrier in Carrier::NETWORK {
        for protocol in Protocol::ALL {
            for mode in [Mode::Cooked, Mode::Raw] {
                let socket = Socket::new(protocol, mode);
                let (address, _place) = bind(&socket, carrier);
                let mut silent = RawPeer::connect(&address);
                silent.expect(&header(protocol.number()));
            }
        }
    }
}

#[test]
fn r1_r2_r3_r13_r26_connector_sends_its_own_header_at_once() {
    for carrier in Carrier::NETWORK {
        for protocol in Protocol::ALL {
            for mode in [Mode::Cooked, Mode::Raw] {
                let listener = RawListener::bind(carrier);
                let socket = Socket::new(protocol, mode);
                socket.connect(&listener.address).unwrap();
                let mut silent = listener.accept();
                silent.expect(&header(protocol.number()));
            }
        }
    }
}

#[test]
fn r16_our_header_comes_well_within_a_second() {
    let pull = socket(Protocol::Pull);
    let (address, _place) = bind(&pull, Carrier::Tcp);
    let before = Instant::now();
    RawPeer::connect(&address).expect(&header(81));
    assert!(before.elapsed() < Duration::from_millis(900), "{:?}", before.elapsed());
}

#[test]
fn r4_header_may_come_byte_by_byte() {
    for carrier in Carrier::NETWORK {
        let pull = socket(Protocol::Pull);
        let (address, _place) = bind(&pull, carrier);
        let mut peer = RawPeer::connect(&address);
        peer.expect(&header(81));
        for byte in header(80) {
            peer.send(&[byte]);
            // The next byte must not join this one in the kernel's buffer: let the I/O thread look.
            std::thread::sleep(Duration::from_millis(2));
        }
        peer.send_message(b"work");
        assert_eq!(recv(&pull), b"work");
    }
}

#[test]
fn r4_messages_may_be_glued_to_the_header() {
    for carrier in Carrier::NETWORK {
        let pull = socket(Protocol::Pull);
        let (address, _place) = bind(&pull, carrier);
        let mut peer = RawPeer::connect(&address);
        let glued = [header(80).to_vec(), peer.frame(b"one"), peer.frame(b""), peer.frame(b"three")].concat();
        peer.send(&glued);
        peer.expect(&header(81));
        assert_eq!([recv(&pull), recv(&pull), recv(&pull)], [&b"one"[..], b"", b"three"]);
    }
}

#[test]
fn r5_no_message_leaves_before_the_peers_header_is_checked() {
    for carrier in Carrier::NETWORK {
        let listener = RawListener::bind(carrier);
        let req = socket(Protocol::Req);
        req.connect(&listener.address).unwrap();
        req.send("question").unwrap();
        let mut peer = listener.accept();
        peer.expect(&header(48));
        peer.send(&header(49)[..7]);
        peer.expect_quiet(QUIET);
        peer.send(&header(49)[7..]);
        assert!(peer.expect_message().ends_with(b"question"));
    }
}

/// Headers that PULL must refuse, and why.
fn refused_by_pull() -> Vec<(&'static str, Vec<u8>)> {
    let valid = header(80);
    let changed = |at: usize, byte: u8| {
        let mut bytes = valid;
        bytes[at] = byte;
        bytes.to_vec()
    };
    vec![
        ("R6: http", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("R6: garbage", vec![0xff; 4096]),
        ("R6: first byte", changed(0, 1)),
        ("R6: S", changed(1, b's')),
        ("R6: P", changed(2, 0)),
        ("R7: version 1", changed(3, 1)),
        ("R7: version 255", changed(3, 255)),
        ("R8: reserved", changed(6, 0x12)),
        ("R8: reserved", changed(7, 1)),
        ("R9: a number nobody has", header(0xffff).to_vec()),
        ("R9: PULL itself", header(81).to_vec()),
        ("R9: PUB", header(32).to_vec()),
        ("R9: bytes swapped", vec![0, b'S', b'P', 0, 80, 0, 0, 0]),
    ]
}

#[test]
fn r6_r7_r8_r9_bad_header_ends_that_connection_and_no_other() {
    for carrier in Carrier::NETWORK {
        let pull = socket(Protocol::Pull);
        let (address, _place) = bind(&pull, carrier);
        let mut good = RawPeer::join(&address, Protocol::Push);
        for (at, (why, bytes)) in refused_by_pull().into_iter().enumerate() {
            let mut bad = RawPeer::connect(&address);
            bad.expect(&header(81));
            bad.send(&bytes);
            bad.expect_end();
            good.send_message(why.as_bytes());
            assert_eq!(recv(&pull), why.as_bytes());
            // R14: no error is seen by the user, and the pipe that is fine is the only one.
            wait_until("the bad connection is counted", || {
                pull.statistics().unwrap().broken_connections == at as u64 + 1
            });
            assert_eq!(pull.statistics().unwrap().current_connections, 1, "{why}");
            assert!(matches!(pull.try_recv(), Err(spmsg::Error::WouldBlock)));
        }
    }
}

#[test]
fn r6_messages_behind_a_bad_header_are_not_looked_at() {
    let pull = socket(Protocol::Pull);
    let (address, _place) = bind(&pull, Carrier::Tcp);
    let mut bad = RawPeer::connect(&address);
    bad.send(&[&header(81)[..], &bad.frame(b"sneaked in")].concat());
    bad.expect(&header(81));
    bad.expect_end();
    let mut good = RawPeer::join(&address, Protocol::Push);
    good.send_message(b"first");
    assert_eq!(recv(&pull), b"first");
}

#[test]
fn r9_r12_each_protocol_accepts_exactly_one_peer() {
    for protocol in Protocol::ALL {
        let socket = socket(protocol);
        let (address, _place) = bind(&socket, Carrier::Tcp);
        // STAR as well: nobody here speaks it.
        for number in Protocol::ALL.iter().map(|other| other.number()).chain([1600]) {
            let mut peer = RawPeer::connect(&address);
            peer.expect(&header(protocol.number()));
            peer.send(&header(number));
            if number == protocol.peer().number() {
                wait_for_pipes(&socket, 1);
                drop(peer);
                wait_for_pipes(&socket, 0);
            } else {
                peer.expect_end();
            }
        }
    }
}

#[test]
fn r14_connector_goes_on_after_a_bad_header() {
    for carrier in Carrier::NETWORK {
        let listener = RawListener::bind(carrier);
        let push = socket(Protocol::Push);
        push.connect(&listener.address).unwrap();
        for bytes in [header(33), *b"HTTP/1.1", header(80)] {
            let mut bad = listener.accept();
            bad.expect(&header(80));
            bad.send(&bytes);
            bad.expect_end();
        }
        let mut good = listener.accept();
        good.greet(Protocol::Pull);
        push.send("after all").unwrap();
        assert_eq!(good.expect_message(), b"after all");
    }
}

#[test]
fn r15_r17_silent_peers_are_cut_after_ten_seconds_and_disturb_nobody() {
    let pull = socket(Protocol::Pull);
    let (address, _place) = bind(&pull, Carrier::Tcp);
    let listener = RawListener::bind(Carrier::Tcp);
    let push = socket(Protocol::Push);
    push.connect(&listener.address).unwrap();

    let start = Instant::now();
    let mut silent: Vec<_> = (0..20).map(|_| RawPeer::connect(&address)).collect();
    let mut halfway = RawPeer::connect(&address);
    halfway.send(&header(80)[..5]);
    let mut accepted = listener.accept();
    accepted.expect(&header(80));

    // R17: everybody else is served meanwhile.
    let mut good = RawPeer::join(&address, Protocol::Push);
    good.send_message(b"served");
    assert_eq!(recv(&pull), b"served");
    assert!(start.elapsed() < Duration::from_secs(5));

    for peer in silent.iter_mut().chain([&mut halfway]) {
        peer.expect(&header(81));
        peer.expect_end();
    }
    accepted.expect_end();
    let took = start.elapsed();
    assert!((Duration::from_millis(9_500)..Duration::from_secs(15)).contains(&took), "{took:?}");
    wait_until("all are counted", || pull.statistics().unwrap().broken_connections == 21);
    // The connecting side tries again, and the peer that spoke in time is still there.
    listener.accept().greet(Protocol::Pull);
    good.send_message(b"still served");
    assert_eq!(recv(&pull), b"still served");
}

#[test]
fn r15_bytes_that_trickle_do_not_extend_the_time() {
    let pull = socket(Protocol::Pull);
    let (address, _place) = bind(&pull, Carrier::Ipc);
    let start = Instant::now();
    let mut slow = RawPeer::connect(&address);
    slow.expect(&header(81));
    for byte in &header(80)[..4] {
        slow.send(&[*byte]);
        slow.expect_quiet(Duration::from_secs(2));
    }
    slow.expect_end();
    let took = start.elapsed();
    assert!((Duration::from_millis(9_500)..Duration::from_secs(15)).contains(&took), "{took:?}");
}
