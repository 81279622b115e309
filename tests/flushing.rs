//! A peer that ends its side of a connection, at once or later: what it sent before is received, all of it.

mod util;

use std::io::Write;
use std::net::Shutdown;

use spmsg::{Error, Protocol, Socket};
use util::raw::{RawPeer, Stream};
use util::{Carrier, DEADLINE, bind, recv, socket, wait_for_pipes, wait_until};

const LENS: [usize; 11] = [0, 1, 62, 63, 1000, 16_383, 16_384, 32_767, 32_768, 65_536, 300_000];

fn small_buffers(protocol: Protocol) -> Socket {
    let socket = socket(protocol);
    // Much less than what is sent, so that reading stops midway and goes on after the end of the stream is
    // there. The kernel's buffer follows, and below this size tcp waits for timers of its own.
    socket.set_options(|options| options.set_recv_buffer(100_000).map(|_| ())).expect("an open socket");
    socket
}

/// Sends `messages` as a peer of `protocol`, then `end`s its side of the stream.
fn send_and_end(address: &str, protocol: Protocol, messages: &[Vec<u8>], end: impl FnOnce(Stream)) {
    let mut peer = RawPeer::join(address, protocol);
    let frames: Vec<u8> = messages.iter().flat_map(|message| peer.frame(message)).collect();
    peer.stream.write_all(&frames).expect("the socket reads sooner or later");
    end(peer.stream);
}

fn messages() -> Vec<Vec<u8>> {
    LENS.iter().cycle().take(5 * LENS.len()).enumerate().map(|(at, len)| vec![at as u8; *len]).collect()
}

#[test]
fn r110_r119_all_frames_before_a_half_close_are_delivered() {
    for carrier in Carrier::NETWORK {
        let pull = small_buffers(Protocol::Pull);
        let (address, _place) = bind(&pull, carrier);
        let messages = messages();
        std::thread::scope(|scope| {
            let (done, finished) = std::sync::mpsc::channel::<()>();
            let (address, messages) = (&address, &messages);
            scope.spawn(move || {
                send_and_end(address, Protocol::Push, messages, |stream| {
                    stream.shutdown(Shutdown::Write);
                    // The other half stays open until everything has been received.
                    let _ = finished.recv_timeout(DEADLINE);
                })
            });
            messages.iter().for_each(|message| assert!(recv(&pull) == *message));
            wait_for_pipes(&pull, 0);
            assert!(matches!(pull.try_recv(), Err(Error::WouldBlock)));
            drop(done);
        });
    }
}

#[test]
fn r110_r119_all_frames_before_the_end_of_the_stream_are_delivered() {
    for carrier in Carrier::NETWORK {
        for count in [1, 2, messages().len()] {
            let pull = small_buffers(Protocol::Pull);
            let (address, _place) = bind(&pull, carrier);
            let messages = &messages()[..count];
            std::thread::scope(|scope| {
                scope.spawn(|| send_and_end(&address, Protocol::Push, messages, drop));
                messages.iter().for_each(|message| assert!(recv(&pull) == *message));
            });
            wait_for_pipes(&pull, 0);
            wait_until("the end is counted", || pull.statistics().unwrap().broken_connections == 1);
        }
    }
}

#[test]
fn r119_a_request_before_a_half_close_arrives() {
    for carrier in Carrier::NETWORK {
        let server = socket(Protocol::Rep);
        let (address, _place) = bind(&server, carrier);
        let mut peer = RawPeer::join(&address, Protocol::Req);
        peer.send_message(b"\x80\0\0\x01question");
        peer.stream.shutdown(Shutdown::Write);
        assert_eq!(recv(&server), b"question");
        // The answer may find the connection ended, and is dropped then; the server goes on in any case.
        server.send("answer").unwrap();
        let mut next = RawPeer::join(&address, Protocol::Req);
        next.send_message(b"\x80\0\0\x02question");
        assert_eq!(recv(&server), b"question");
        server.send("answer").unwrap();
        assert_eq!(next.expect_message(), b"\x80\0\0\x02answer");
    }
}
