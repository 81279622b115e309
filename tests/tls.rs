//! tls+tcp over real sockets.

#[path = "util/certs.rs"]
mod certs;
mod util;

use std::time::Duration;

use certs::{Authority, Identity, Period};
use spmsg::{Endpoint, Error, Pair, Protocol, Pull, Push, Socket, TlsAuth, TlsConfig};
use util::{DEADLINE, pattern, socket, wait_for_pipes, wait_until};

const ANY_PORT: &str = "tls+tcp://127.0.0.1:0";

/// A socket with `config` whose blocking calls end.
fn with_tls(protocol: Protocol, config: &TlsConfig) -> Socket {
    let socket = socket(protocol);
    socket
        .set_options(|options| {
            Ok(options.set_tls(config).set_reconnect(Duration::from_millis(20)).set_linger(DEADLINE).linger())
        })
        .unwrap();
    socket
}

/// An authority, and a server certificate for 127.0.0.1 and localhost.
fn authority_and_server() -> (Authority, Identity) {
    let authority = Authority::new("Test Authority");
    let server = authority.issue("server", &["127.0.0.1", "localhost"]);
    (authority, server)
}

/// A bound and a connected socket with a pipe between them.
fn pair_of(
    protocol: Protocol,
    listening: &TlsConfig,
    connecting: &TlsConfig,
) -> (Socket, Socket, Endpoint, Endpoint) {
    let (bound, connected) = (with_tls(protocol.peer(), listening), with_tls(protocol, connecting));
    let listener = bound.bind(ANY_PORT).unwrap();
    let dialer = connected.connect(listener.address()).unwrap();
    wait_for_pipes(&bound, 1);
    wait_for_pipes(&connected, 1);
    (bound, connected, listener, dialer)
}

#[test]
fn r73_messages_go_both_ways() {
    let (authority, server) = authority_and_server();
    let (bound, connected, listener, _) =
        pair_of(Protocol::Pair, &server.server().build().unwrap(), &authority.client().build().unwrap());
    assert!(listener.address().starts_with("tls+tcp://127.0.0.1:"), "{}", listener.address());
    for len in [0, 1, 62, 63, 16_383, 16_384, 16_385, 200_000, 1_000_000] {
        connected.send(pattern(len)).unwrap();
        assert_eq!(bound.recv().unwrap().body(), pattern(len), "{len} bytes to the listening side");
        bound.send(pattern(len)).unwrap();
        assert_eq!(connected.recv().unwrap().body(), pattern(len), "{len} bytes to the connecting side");
    }
}
