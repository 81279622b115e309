//! PAIR version 1 on real sockets: the count of hops, what it costs to send none, devices.

mod util;

use spmsg::{Device, Error, Message, Mode, Pair, Pair1, Protocol, Socket};
use util::raw::{RawListener, RawPeer};
use util::{Carrier, QUIET, bind, link, pattern, raw_socket, recv, socket, wait_for_pipes, wait_until};

fn payload(hops: u32, body: &[u8]) -> Vec<u8> {
    [&hops.to_be_bytes(), body].concat()
}

fn broken(socket: &Socket) -> u64 {
    socket.statistics().expect("an open socket").broken_connections
}

#[test]
fn r127_a_conversation_shows_bodies_only() {
    for carrier in Carrier::ALL {
        let (a, b) = (socket(Protocol::Pair1), socket(Protocol::Pair1));
        let _place = link(&a, &b, carrier);
        for len in [0, 1, 3, 4, 5, 100, 70_000] {
            a.send(pattern(len)).unwrap();
            assert_eq!(recv(&b), pattern(len), "{carrier:?}");
            b.send(pattern(len)).unwrap();
            assert_eq!(recv(&a), pattern(len), "{carrier:?}");
        }
        let mut marked = Message::from("x");
        marked.set_header(&[0, 0, 0, 1]);
        assert!(matches!(a.try_send(marked).unwrap_err().error, Error::Header { len: 4, .. }));
    }
}

#[test]
fn r127_r128_counts_on_the_wire() {
    for carrier in Carrier::NETWORK {
        let pair = Pair1::from(socket(Protocol::Pair1));
        let (address, _place) = bind(pair.socket(), carrier);
        let mut peer = RawPeer::join(&address, Protocol::Pair1);
        wait_for_pipes(pair.socket(), 1);
        pair.send("x").unwrap();
        assert_eq!(peer.expect_message(), payload(1, b"x"));
        for hops in 0..=255_u32 {
            peer.send_message(&payload(hops, &hops.to_be_bytes()));
        }
        peer.send_message(&payload(0, b"last"));
        for hops in 0..=8_u32 {
            assert_eq!(recv(pair.socket()), hops.to_be_bytes());
        }
        assert_eq!(recv(pair.socket()), b"last", "9 to 255 hops are dropped");
        assert_eq!((broken(pair.socket()), pair.statistics().unwrap().current_connections), (0, 1));

        pair.set_options(|options| options.set_max_ttl(255).map(drop)).unwrap();
        peer.send_message(&payload(255, b"from far away"));
        assert_eq!(recv(pair.socket()), b"from far away");
    }
}

#[test]
fn r129_a_payload_without_a_count_costs_the_connection() {
    for carrier in Carrier::NETWORK {
        for mode in [Mode::Cooked, Mode::Raw] {
            let pair = if mode == Mode::Raw { raw_socket } else { socket }(Protocol::Pair1);
            let (address, _place) = bind(&pair, carrier);
            for (at, bad) in [&b""[..], b"\0\0\x01", &[0, 0, 1, 0], &[255; 5000]].into_iter().enumerate() {
                let mut peer = RawPeer::join(&address, Protocol::Pair1);
                let (before, after) = (payload(1, b"before"), payload(1, b"after"));
                peer.send(&[before, bad.to_vec(), after].map(|payload| peer.frame(&payload)).concat());
                peer.expect_end();
                wait_until("it is counted", || broken(&pair) == at as u64 + 1);
                wait_for_pipes(&pair, 0);
                assert_eq!(recv(&pair), b"before", "{carrier:?} {mode:?} {bad:02x?}");
            }
            let mut good = RawPeer::join(&address, Protocol::Pair1);
            good.send_message(&payload(1, b"good"));
            assert_eq!(recv(&pair), b"good", "nothing that came after the bad ones was delivered");
        }
    }
}

#[test]
fn r129_a_connector_tries_again() {
    for carrier in Carrier::NETWORK {
        let listener = RawListener::bind(carrier);
        let pair = socket(Protocol::Pair1);
        pair.connect(&listener.address).unwrap();
        for _ in 0..3 {
            let mut peer = listener.accept();
            peer.greet(Protocol::Pair1);
            peer.send_message(b"?");
            peer.expect_end();
        }
        let mut peer = listener.accept();
        peer.greet(Protocol::Pair1);
        peer.send_message(&payload(0, b"sorry"));
        assert_eq!(recv(&pair), b"sorry");
    }
}

/// Closes them at the end, also when the test fails, so that devices between them end.
struct Closing<'a>(Vec<&'a Socket>);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        for socket in &self.0 {
            let _ = socket.close();
        }
    }
}

#[test]
fn r130_a_device_adds_one_hop_in_either_direction() {
    for carrier in Carrier::NETWORK {
        let (front, back) =
            (Socket::new(Protocol::Pair1, Mode::Raw), Socket::new(Protocol::Pair1, Mode::Raw));
        let ((front_address, _f), (back_address, _b)) = (bind(&front, carrier), bind(&back, carrier));
        let mut left = RawPeer::join(&front_address, Protocol::Pair1);
        let mut right = RawPeer::join(&back_address, Protocol::Pair1);
        for socket in [&front, &back] {
            socket.set_options(|options| options.set_max_ttl(255).map(drop)).unwrap();
            wait_for_pipes(socket, 1);
        }
        std::thread::scope(|scope| {
            let _stop = Closing(vec![&front, &back]);
            let device = scope.spawn(|| Device::new(&front, &back).unwrap().run());
            for hops in [0, 1, 8, 254] {
                left.send_message(&payload(hops, b"there"));
                assert_eq!(right.expect_message(), payload(hops + 1, b"there"));
                right.send_message(&payload(hops, b"and back"));
                assert_eq!(left.expect_message(), payload(hops + 1, b"and back"));
            }
            // The last possible hop is behind it: it goes no further, and the device goes on.
            left.send_message(&payload(255, b"too far"));
            left.send_message(&payload(3, b"next"));
            assert_eq!(right.expect_message(), payload(4, b"next"));
            assert!(!device.is_finished());
        });
    }
}

#[test]
fn r130_r128_a_chain_of_devices_works_up_to_the_time_to_live() {
    for (devices, arrives) in [(1, true), (7, true), (8, false)] {
        let device_socket = |_| Socket::new(Protocol::Pair1, Mode::Raw);
        let (fronts, backs): (Vec<_>, Vec<_>) =
            (0..devices).map(|at| (device_socket(at), device_socket(at))).unzip();
        let (from, to) = (socket(Protocol::Pair1), socket(Protocol::Pair1));
        let mut places = Vec::new();
        let nexts = fronts.iter().chain([&to]);
        for (sends, receives) in [&from].into_iter().chain(&backs).zip(nexts) {
            let carrier = if places.len() % 2 == 0 { Carrier::Inproc } else { Carrier::Tcp };
            places.push(link(receives, sends, carrier));
        }
        std::thread::scope(|scope| {
            let _stop = Closing(fronts.iter().chain(&backs).collect());
            for (front, back) in fronts.iter().zip(&backs) {
                scope.spawn(|| Device::new(front, back).unwrap().run());
            }
            from.send("far").unwrap();
            if !arrives {
                assert!(matches!(to.recv_timeout(QUIET), Err(Error::TimedOut)));
                to.set_options(|options| options.set_max_ttl(9).map(drop)).unwrap();
                from.send("far").unwrap();
            }
            assert_eq!(recv(&to), b"far", "{devices} devices");
        });
    }
}

#[test]
fn r12_r223_the_versions_of_pair_do_not_meet() {
    for carrier in Carrier::ALL {
        let (old, new) = (Pair::from(socket(Protocol::Pair)), Pair1::from(socket(Protocol::Pair1)));
        let (address, _place) = bind(new.socket(), carrier);
        old.connect(&address).unwrap();
        if carrier != Carrier::Inproc {
            wait_until("it is refused again and again", || broken(new.socket()) >= 2);
        }
        assert!(matches!(old.try_send("?").unwrap_err().error, Error::WouldBlock), "{carrier:?}");
        let right = Pair1::from(socket(Protocol::Pair1));
        right.connect(&address).unwrap();
        right.send("the right one").unwrap();
        assert_eq!(recv(new.socket()), b"the right one", "{carrier:?}");
    }
    let device = |a, b| Device::new(&raw_socket(a), &raw_socket(b)).map(drop);
    assert!(matches!(device(Protocol::Pair, Protocol::Pair1), Err(Error::Device(_))));
    assert!(matches!(device(Protocol::Pair1, Protocol::Pair), Err(Error::Device(_))));
    device(Protocol::Pair1, Protocol::Pair1).unwrap();
}

#[test]
fn r122_r123_r124_r125_one_peer_at_a_time() {
    for carrier in Carrier::ALL {
        let pair = socket(Protocol::Pair1);
        let (address, _place) = bind(&pair, carrier);
        assert!(matches!(pair.try_send("nobody").unwrap_err().error, Error::WouldBlock));
        let first = socket(Protocol::Pair1);
        first.connect(&address).unwrap();
        wait_for_pipes(&pair, 1);
        let second = socket(Protocol::Pair1);
        second.connect(&address).unwrap();
        if carrier != Carrier::Inproc {
            wait_until("the second is refused", || broken(&pair) >= 1);
        }
        pair.send("for the first").unwrap();
        assert_eq!(recv(&first), b"for the first");
        first.close().unwrap();
        second.send("now me").unwrap();
        assert_eq!(recv(&pair), b"now me", "{carrier:?}");
        pair.send("for the second").unwrap();
        assert_eq!(recv(&second), b"for the second", "{carrier:?}");
    }
}
