//! Messages on the wire of tcp and ipc, seen from both sides.

mod util;

use std::io::Read;
use std::net::Shutdown;

use spmsg::{Protocol, Socket};
use util::process::{descriptors, in_own_process};
use util::raw::{RawListener, RawPeer, Stream, header};
use util::{Carrier, QUIET, bind, pattern, raw_socket, recv, socket, wait_for_pipes, wait_until};

/// A bound socket and a raw peer of it, headers exchanged, the pipe there.
fn pair_up(socket: &Socket, carrier: Carrier) -> (RawPeer, String, util::Fresh) {
    let (address, place) = bind(socket, carrier);
    let peer = RawPeer::join(&address, socket.protocol().peer());
    wait_for_pipes(socket, 1);
    (peer, address, place)
}

/// What stands before a payload of `len` bytes, written out.
fn head(carrier: Carrier, len: u8) -> Vec<u8> {
    match carrier {
        Carrier::Ipc => vec![1, 0, 0, 0, 0, 0, 0, 0, len],
        _ => vec![0, 0, 0, 0, 0, 0, 0, len],
    }
}

#[test]
fn r18_r20_r24_messages_leave_as_length_and_payload() {
    for carrier in Carrier::NETWORK {
        for protocol in [Protocol::Push, Protocol::Pub, Protocol::Pair, Protocol::Bus] {
            let socket = socket(protocol);
            let (mut peer, ..) = pair_up(&socket, carrier);
            for body in [&b"A"[..], b"", b"\0\0", &[0x55; 200]] {
                socket.send(body).unwrap();
                peer.expect(&[&head(carrier, body.len() as u8), body].concat());
            }
            socket.send(vec![7; 0x01_02_03]).unwrap();
            assert_eq!(peer.expect_message(), vec![7; 0x01_02_03], "{protocol:?}");
        }
    }
}

#[test]
fn r19_length_counts_header_and_body_and_not_itself() {
    for carrier in Carrier::NETWORK {
        for protocol in [Protocol::Req, Protocol::Surveyor] {
            let socket = socket(protocol);
            let (mut peer, ..) = pair_up(&socket, carrier);
            socket.send("Hello").unwrap();
            peer.expect(&head(carrier, 9));
            let mut id = [0; 4];
            peer.stream.read_exact(&mut id).unwrap();
            assert!(id[0] & 0x80 != 0, "{id:02x?}");
            peer.expect(b"Hello");
            peer.send(&[&head(carrier, 9), &id[..], b"World"].concat());
            assert_eq!(recv(&socket), b"World");
        }
    }
}

#[test]
fn r20_empty_messages_are_delivered() {
    for carrier in Carrier::NETWORK {
        for protocol in [Protocol::Pull, Protocol::Sub, Protocol::Pair, Protocol::Bus] {
            let socket = socket(protocol);
            let (mut peer, ..) = pair_up(&socket, carrier);
            peer.send(&[head(carrier, 0), head(carrier, 0), head(carrier, 1), b"x".to_vec()].concat());
            assert_eq!([recv(&socket), recv(&socket), recv(&socket)], [&b""[..], b"", b"x"], "{protocol:?}");
        }
    }
}

#[test]
fn r21_frames_may_be_split_anywhere() {
    for carrier in Carrier::NETWORK {
        let pull = socket(Protocol::Pull);
        let (mut peer, address, _place) = pair_up(&pull, carrier);
        let mut other = RawPeer::join(&address, Protocol::Push);
        let frame = peer.frame(b"split");
        for at in 1..frame.len() {
            peer.send(&frame[..at]);
            // What came later on another connection is here, so the first part has been read.
            other.send_message(b"marker");
            assert_eq!(recv(&pull), b"marker");
            assert!(matches!(pull.try_recv(), Err(spmsg::Error::WouldBlock)), "{at} bytes are no message");
            peer.send(&frame[at..]);
            assert_eq!(recv(&pull), b"split");
        }
    }
}

#[test]
fn r22_frames_of_one_write_all_arrive_in_order() {
    for carrier in Carrier::NETWORK {
        let pull = socket(Protocol::Pull);
        let (mut peer, ..) = pair_up(&pull, carrier);
        let sizes = [0, 1, 8, 62, 63, 0, 1000, 16_383, 16_384, 16_385, 32_767, 32_768, 100_000, 0, 3];
        let block: Vec<u8> = sizes.iter().flat_map(|size| peer.frame(&pattern(*size))).collect();
        peer.send(&block);
        for size in sizes {
            assert_eq!(recv(&pull), pattern(size));
        }
    }
}

#[test]
fn r23_length_and_payload_leave_in_one_write() {
    // On a Unix socket a read that waits returns what one write brought.
    let push = socket(Protocol::Push);
    let (mut peer, ..) = pair_up(&push, Carrier::Ipc);
    let mut buffer = vec![0; 64 * 1024];
    for round in 0..200 {
        let body = vec![round as u8; 1 + round * 50];
        push.send(body.clone()).unwrap();
        assert_eq!(peer.stream.read(&mut buffer).unwrap(), 9 + body.len());
    }
}

#[test]
fn r25_wrong_ipc_type_byte_ends_that_connection_only() {
    let pull = socket(Protocol::Pull);
    let (mut good, address, _place) = pair_up(&pull, Carrier::Ipc);
    for kind in [0, 2, 3, 0x7f, 0xff] {
        let mut bad = RawPeer::join(&address, Protocol::Push);
        bad.send_message(b"fine so far");
        assert_eq!(recv(&pull), b"fine so far");
        bad.send(&[kind, 0, 0, 0, 0, 0, 0, 0, 1, b'x']);
        bad.expect_end();
        good.send_message(b"served");
        assert_eq!(recv(&pull), b"served");
    }
}

/// sendmsg with one descriptor as ancillary data.
fn send_with_descriptor(peer: &RawPeer, bytes: &[u8], descriptor: i32) {
    let Stream::Unix(stream) = &peer.stream else { panic!("descriptors travel over Unix sockets only") };
    // struct cmsghdr { size_t len; int level; int type; } and one int, padded to the word size.
    let word = size_of::<usize>();
    let mut control = Vec::new();
    control.extend_from_slice(&(word + 12).to_ne_bytes());
    control.extend_from_slice(&libc::SOL_SOCKET.to_ne_bytes());
    control.extend_from_slice(&libc::SCM_RIGHTS.to_ne_bytes());
    control.extend_from_slice(&descriptor.to_ne_bytes());
    control.resize(control.len().next_multiple_of(word), 0);
    let slices = [std::io::IoSlice::new(bytes)];
    let message = socket2::MsgHdr::new().with_buffers(&slices).with_control(&control);
    let sent = socket2::SockRef::from(stream).sendmsg(&message, 0).expect("the descriptor can be sent");
    assert_eq!(sent, bytes.len());
}

#[test]
fn r27_descriptors_that_a_peer_sends_are_closed() {
    if !in_own_process("r27_descriptors_that_a_peer_sends_are_closed") {
        return;
    }
    let pull = socket(Protocol::Pull);
    let (peer, ..) = pair_up(&pull, Carrier::Ipc);
    // The reading end of a pipe whose writing end reports when the last copy of the other is gone.
    let (reader, mut writer) = std::io::pipe().unwrap();
    // The first wait of a thread makes its own descriptor.
    pull.recv_timeout(QUIET).unwrap_err();
    let before = descriptors();
    for _ in 0..50 {
        let frame = peer.frame(b"with a gift");
        send_with_descriptor(&peer, &frame, std::os::fd::AsRawFd::as_raw_fd(&reader));
        assert_eq!(recv(&pull), b"with a gift");
    }
    assert_eq!(descriptors(), before);
    drop(reader);
    let error = std::io::Write::write(&mut writer, b"anybody?").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe, "a copy is still open");
}

#[test]
fn r97_complete_messages_before_the_end_are_delivered_and_a_partial_one_is_not() {
    for carrier in Carrier::NETWORK {
        let pull = socket(Protocol::Pull);
        let (mut peer, ..) = pair_up(&pull, carrier);
        for number in 0..5u8 {
            peer.send_message(&[number; 10_000]);
        }
        let half = peer.frame(&pattern(50_000));
        peer.send(&half[..30_000]);
        drop(peer);
        wait_for_pipes(&pull, 0);
        for number in 0..5u8 {
            assert_eq!(recv(&pull), [number; 10_000]);
        }
        assert!(matches!(pull.try_recv(), Err(spmsg::Error::WouldBlock)));
    }
}

#[test]
fn r98_nothing_but_messages_is_ever_sent() {
    for carrier in Carrier::NETWORK {
        let push = socket(Protocol::Push);
        let (mut peer, ..) = pair_up(&push, carrier);
        push.send("last").unwrap();
        push.close().unwrap();
        assert_eq!(peer.expect_message(), b"last");
        assert_eq!(peer.read_to_end(), b"");
    }
}

#[test]
fn r252_half_closed_stream_counts_as_lost_after_its_messages() {
    for carrier in Carrier::NETWORK {
        let pair = socket(Protocol::Pair);
        let (mut peer, address, _place) = pair_up(&pair, carrier);
        peer.send_message(b"bye");
        peer.stream.shutdown(Shutdown::Write);
        peer.expect_end();
        wait_for_pipes(&pair, 0);
        assert_eq!(recv(&pair), b"bye");
        // The place of the peer is free.
        let mut next = RawPeer::join(&address, Protocol::Pair);
        next.send_message(b"hello");
        assert_eq!(recv(&pair), b"hello");
    }
}

#[test]
fn r252_connector_replaces_a_half_closed_stream() {
    let listener = RawListener::bind(Carrier::Tcp);
    let push = socket(Protocol::Push);
    push.connect(&listener.address).unwrap();
    let mut first = listener.accept();
    first.greet(Protocol::Pull);
    wait_for_pipes(&push, 1);
    first.stream.shutdown(Shutdown::Write);
    first.expect_end();
    let mut second = listener.accept();
    second.greet(Protocol::Pull);
    push.send("to the second").unwrap();
    assert_eq!(second.expect_message(), b"to the second");
}

#[test]
fn r179_r182_sub_sends_nothing_and_pub_survives_data() {
    let listener = RawListener::bind(Carrier::Tcp);
    let sub = socket(Protocol::Sub);
    sub.connect(&listener.address).unwrap();
    let mut peer = listener.accept();
    peer.greet(Protocol::Pub);
    sub.subscribe("topic").unwrap();
    peer.expect_quiet(QUIET);

    let publisher = socket(Protocol::Pub);
    let (mut odd, address, _place) = pair_up(&publisher, Carrier::Tcp);
    odd.send_message(b"subscribers do not talk");
    let mut good = RawPeer::join(&address, Protocol::Sub);
    wait_until("the good subscriber is a pipe", || publisher.statistics().unwrap().accepted_connections == 2);
    wait_until("a publication arrives", || {
        publisher.send("news").unwrap();
        good.stream.set_read_timeout(std::time::Duration::from_millis(50));
        let mut bytes = [0; 12];
        good.stream.read_exact(&mut bytes).is_ok_and(|()| bytes == *b"\0\0\0\0\0\0\0\x04news")
    });
}

#[test]
fn r189_push_survives_data() {
    for raw in [false, true] {
        let push = if raw { raw_socket(Protocol::Push) } else { socket(Protocol::Push) };
        let (address, _place) = bind(&push, Carrier::Tcp);
        let mut odd = RawPeer::join(&address, Protocol::Pull);
        odd.send_message(b"pullers do not talk");
        odd.send(&header(80));
        drop(odd);
        wait_until("the odd peer has come and gone", || push.statistics().unwrap().broken_connections == 1);
        let mut good = RawPeer::join(&address, Protocol::Pull);
        push.send("work").unwrap();
        assert_eq!(good.expect_message(), b"work");
    }
}
