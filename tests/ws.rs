//! WebSocket between our own sockets, and with peers that speak it by hand.
#![cfg(feature = "ws")]

mod util;

use std::time::Duration;

use spmsg::{Message, Protocol, Socket, WsMessageType};
use util::{pattern, recv, socket, wait_for_pipes};

/// Binds `first` to a fresh port, connects `second`, and waits until both have a pipe.
#[track_caller]
fn link(first: &Socket, second: &Socket) -> String {
    let address = first.bind("ws://127.0.0.1:0").expect("a port").address().to_owned();
    second.connect(&address).expect("a bound address");
    wait_for_pipes(first, 1);
    wait_for_pipes(second, 1);
    address
}

#[test]
fn r36_r37_r63_messages_of_every_size_pass_both_ways() {
    let (server, client) = (socket(Protocol::Pair), socket(Protocol::Pair));
    for socket in [&server, &client] {
        socket
            .set_options(|options| {
                options.set_recv_max(None);
                Ok(())
            })
            .expect("open");
    }
    link(&server, &client);
    let sizes = [
        0,
        1,
        62,
        63,
        125,
        126,
        127,
        16_383,
        16_384,
        65_535,
        65_536,
        65_537,
        1 << 20,
        (1 << 20) + 1,
        3_000_001,
    ];
    for size in sizes {
        for (from, to) in [(&server, &client), (&client, &server)] {
            from.send(pattern(size)).expect("a peer");
            let got = to.recv().expect("a message");
            assert!(got.body() == pattern(size), "{size} bytes");
            assert_eq!(got.ws_type(), Some(WsMessageType::Binary));
        }
    }
    let _ = (Message::new(), Duration::ZERO, recv);
}
