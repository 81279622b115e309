//! wss over real sockets: WebSocket inside TLS. What either half does alone is in `ws.rs` and `tls.rs`.
#![cfg(all(feature = "tls", feature = "ws"))]

#[path = "util/certs.rs"]
#[allow(dead_code)]
mod certs;
#[path = "util/secure.rs"]
mod secure;
mod util;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use certs::{Authority, hand_client, hand_server};
use secure::{
    Hand, Pipe, Renewable, authority_and_server, cross_large_messages, expect_all_before_close,
    expect_impostors_refused, expect_nothing_lost_by_close, failure, pipe_at, place, refused_at, with_tls,
};
use spmsg::{Message, Protocol, Socket, TlsAuth, WsMessageType};
use util::ws::{SIZES, WsPeer, accept, field, request};
use util::ws_frames::{masked, plain};
use util::{pattern, recv, socket, wait_for_pipes, wait_until};

const ANY_PORT: &str = "wss://127.0.0.1:0";
const PAIR: &str = "pair.sp.nanomsg.org";

/// Both sides of a conversation, of one authority.
fn pipe() -> Pipe {
    let (authority, server) = authority_and_server();
    pipe_at(ANY_PORT, &server.server().build().unwrap(), &authority.client().build().unwrap())
}

/// A client by hand that was upgraded at `listener` with `token`.
fn join(place: &str, authority: &Authority, token: &str) -> WsPeer<Hand> {
    let mut peer = WsPeer { stream: Hand::connect(place, &Arc::new(hand_client(authority, None))) };
    peer.send(request("/", token).as_bytes());
    let head = peer.head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    peer
}

/// Somebody to connect to, who speaks both by hand.
struct HandServer {
    authority: Authority,
    listener: TcpListener,
    config: Arc<rustls::ServerConfig>,
}

impl HandServer {
    fn bind() -> HandServer {
        let (authority, server) = authority_and_server();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        HandServer { authority, listener, config: Arc::new(hand_server(&server)) }
    }

    fn place(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// A socket that connects here, at `target`.
    fn dialling(&self, protocol: Protocol, target: &str) -> Socket {
        let socket = with_tls(protocol, &self.authority.client().build().unwrap());
        socket.connect(&format!("wss://{}{target}", self.place())).unwrap();
        socket
    }

    fn accept(&self) -> WsPeer<Hand> {
        WsPeer { stream: Hand::accept(&self.listener, &self.config) }
    }
}

// Messages

#[test]
fn r73_messages_of_every_size_go_both_ways_and_keep_their_type() {
    let made = pipe();
    assert!(made.listener.address().starts_with("wss://127.0.0.1:"), "{}", made.listener.address());
    for size in SIZES {
        for (from, to) in [(&made.bound, &made.connected), (&made.connected, &made.bound)] {
            from.send(pattern(size)).unwrap();
            let got = to.recv().unwrap();
            assert!(got.body() == pattern(size), "{size} bytes");
            assert_eq!(got.ws_type(), Some(WsMessageType::Binary));
            let mut text = Message::from("ä".repeat(size / 2));
            text.set_ws_type(Some(WsMessageType::Text));
            from.send(text).unwrap();
            let got = to.recv().unwrap();
            assert!(got.body() == "ä".repeat(size / 2).as_bytes(), "{size} bytes of text");
            assert_eq!(got.ws_type(), Some(WsMessageType::Text));
        }
    }
}

#[test]
fn r73_large_messages_cross_both_ways_at_once() {
    cross_large_messages(&pipe(), 40);
}

#[test]
fn every_pattern_works_whoever_connects() {
    let (authority, server) = authority_and_server();
    let (server, client) = (server.server().build().unwrap(), authority.client().build().unwrap());
    let join = |one: Protocol, two: Protocol, first_listens: bool| {
        let (listening, connecting) = if first_listens { (one, two) } else { (two, one) };
        let (bound, connected) = (with_tls(listening, &server), with_tls(connecting, &client));
        connected.connect(bound.bind(ANY_PORT).unwrap().address()).unwrap();
        wait_for_pipes(&bound, 1);
        wait_for_pipes(&connected, 1);
        if first_listens { (bound, connected) } else { (connected, bound) }
    };
    for first_listens in [true, false] {
        for (one, two) in [(Protocol::Req, Protocol::Rep), (Protocol::Surveyor, Protocol::Respondent)] {
            let (one, two) = join(one, two, first_listens);
            one.send("question").unwrap();
            assert_eq!(recv(&two), b"question");
            two.send("answer").unwrap();
            assert_eq!(recv(&one), b"answer");
        }
        for (one, two) in [
            (Protocol::Push, Protocol::Pull),
            (Protocol::Pub, Protocol::Sub),
            (Protocol::Bus, Protocol::Bus),
            (Protocol::Pair1, Protocol::Pair1),
        ] {
            let (one, two) = join(one, two, first_listens);
            one.send("news").unwrap();
            assert_eq!(recv(&two), b"news", "{:?}", one.protocol());
        }
    }
}

// What is inside

#[test]
fn r73_a_listener_speaks_inside_tls_as_one_of_ws_does() {
    let (authority, server) = authority_and_server();
    let pair = with_tls(Protocol::Pair, &server.server().build().unwrap());
    let listener = pair.bind(ANY_PORT).unwrap();
    let mut peer = join(place(&listener), &authority, PAIR);
    peer.send(&masked(0x82, b"Hello"));
    assert_eq!(recv(&pair), b"Hello");
    pair.send("World").unwrap();
    let frame = peer.frame();
    assert_eq!((frame.first, frame.mask, &frame.payload[..]), (0x82, None, &b"World"[..]));

    let mut refused =
        WsPeer { stream: Hand::connect(place(&listener), &Arc::new(hand_client(&authority, None))) };
    refused.send(request("/", "bus.sp.nanomsg.org").as_bytes());
    assert!(refused.head().starts_with("HTTP/1.1 400 "));
    refused.expect_end();
}

#[test]
fn r47_r48_r73_a_client_speaks_inside_tls_as_one_of_ws_does() {
    let server = HandServer::bind();
    let push = server.dialling(Protocol::Push, "/a/b?c=d");
    let mut peer = server.accept();
    let request = peer.head();
    assert!(request.starts_with("GET /a/b?c=d HTTP/1.1\r\n"), "{request}");
    assert_eq!(field(&request, "Host"), server.place());
    assert_eq!(field(&request, "Sec-WebSocket-Protocol"), "pull.sp.nanomsg.org");
    peer.send(
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: pull.sp.nanomsg.org\r\n\r\n",
            accept(&field(&request, "Sec-WebSocket-Key"))
        )
        .as_bytes(),
    );
    push.send("job").unwrap();
    let frame = peer.frame();
    assert_eq!((frame.first, &frame.payload[..]), (0x82, &b"job"[..]));
    assert!(frame.mask.is_some(), "masked inside TLS as well");
}

#[test]
fn r57_a_listener_serves_its_path_alone() {
    let (authority, server) = authority_and_server();
    let pull = with_tls(Protocol::Pull, &server.server().build().unwrap());
    let listener = pull.bind("wss://127.0.0.1:0/jobs").unwrap();
    assert!(listener.address().ends_with("/jobs"), "{}", listener.address());
    let push = with_tls(Protocol::Push, &authority.client().build().unwrap());
    push.connect(&format!("{}?from=here", listener.address())).unwrap();
    push.send("job").unwrap();
    assert_eq!(recv(&pull), b"job");
    let lost = with_tls(Protocol::Push, &authority.client().build().unwrap());
    let dialer = lost.connect(&listener.address().replace("/jobs", "/other")).unwrap();
    let reason = failure(&dialer);
    assert!(reason.contains("404"), "{reason}");
    assert_eq!(lost.statistics().unwrap().current_connections, 0);
}

#[test]
fn r63_r66_fragments_and_pings_may_lie_anywhere_in_records() {
    let (authority, server) = authority_and_server();
    let pair = with_tls(Protocol::Pair, &server.server().build().unwrap());
    let listener = pair.bind(ANY_PORT).unwrap();
    let mut peer = join(place(&listener), &authority, PAIR);
    let fragments = [
        masked(0x02, &pattern(30_000)),
        masked(0x89, b"still there?"),
        masked(0x00, b""),
        masked(0x80, &pattern(30_000)),
    ];
    let stream = fragments.concat();
    for piece in [1, 7, 1_000, 20_000, stream.len()] {
        // A record to each piece.
        stream.chunks(piece.max(stream.len() / 2_000)).for_each(|piece| peer.send(piece));
        assert!(recv(&pair) == [pattern(30_000), pattern(30_000)].concat(), "records of {piece} bytes");
        let pong = peer.frame();
        assert_eq!((pong.first, &pong.payload[..]), (0x8a, &b"still there?"[..]));
    }
}

#[test]
fn r62_large_messages_leave_in_fragments_whoever_sends() {
    let (authority, server) = authority_and_server();
    let pair = with_tls(Protocol::Pair, &server.server().build().unwrap());
    let listener = pair.bind(ANY_PORT).unwrap();
    let mut client = join(place(&listener), &authority, PAIR);
    wait_for_pipes(&pair, 1);
    pair.send(pattern(3 << 20)).unwrap();
    let (count, body) = client.message();
    assert!(count == 3 && body == pattern(3 << 20), "{count} frames");

    let server = HandServer::bind();
    let push = server.dialling(Protocol::Push, "");
    let mut peer = server.accept();
    peer.accept_upgrade("pull.sp.nanomsg.org");
    push.send(pattern(200_000)).unwrap();
    let (count, body) = peer.message();
    assert!(count == 4 && body == pattern(200_000), "{count} frames");
}

#[test]
fn r70_too_long_a_message_is_answered_with_1009() {
    let (authority, server) = authority_and_server();
    let pair = with_tls(Protocol::Pair, &server.server().build().unwrap());
    let listener = pair.bind(ANY_PORT).unwrap();
    let mut peer = join(place(&listener), &authority, PAIR);
    peer.send(&[&[0x82, 0xff][..], &(1_u64 << 40).to_be_bytes(), &[0; 4]].concat());
    let frame = peer.frame();
    assert_eq!((frame.first, &frame.payload[..]), (0x88, &1009_u16.to_be_bytes()[..]));
    peer.expect_end();
    wait_for_pipes(&pair, 0);
}

// Ends

#[test]
fn r68_a_close_is_answered_and_the_client_comes_back() {
    let server = HandServer::bind();
    let pull = server.dialling(Protocol::Pull, "");
    for code in [1000_u16, 1001, 1009] {
        let mut peer = server.accept();
        peer.accept_upgrade("push.sp.nanomsg.org");
        peer.send(&[plain(0x82, b"before"), plain(0x88, &code.to_be_bytes())].concat());
        assert_eq!(recv(&pull), b"before");
        let answer = peer.frame();
        assert_eq!((answer.first, &answer.payload[..]), (0x88, &code.to_be_bytes()[..]));
        assert!(answer.mask.is_some());
        // close_notify, in front of the end of the stream.
        peer.expect_end();
    }
    assert_eq!(pull.statistics().unwrap().broken_connections, 0, "a goodbye is no failure");
}

#[test]
fn r69_close_delivers_everything_to_a_slow_reader() {
    let (authority, server) = authority_and_server();
    let push = with_tls(Protocol::Push, &server.server().build().unwrap());
    push.set_options(|options| options.set_send_buffer(4 << 20).map(drop)).unwrap();
    let listener = push.bind(ANY_PORT).unwrap();
    let peer = join(place(&listener), &authority, "push.sp.nanomsg.org");
    wait_for_pipes(&push, 1);
    // A Close frame would be something as well.
    expect_all_before_close(push, peer, |peer| peer.frame().payload, |peer| &mut peer.stream);
}

#[test]
fn close_of_either_side_loses_nothing() {
    expect_nothing_lost_by_close(pipe);
}

#[test]
fn r230_clients_come_back_when_the_server_does() {
    let (authority, identity) = authority_and_server();
    let client = with_tls(Protocol::Push, &authority.client().build().unwrap());
    let mut address = ANY_PORT.to_owned();
    for round in 0..3 {
        let server = with_tls(Protocol::Pull, &identity.server().build().unwrap());
        address = server.bind(&address).expect("free again").address().to_owned();
        if round == 0 {
            client.connect(&address).unwrap();
        }
        wait_for_pipes(&server, 1);
        wait_until("the client sends", || client.try_send("again").is_ok());
        assert_eq!(recv(&server), b"again");
        server.close().unwrap();
        wait_for_pipes(&client, 0);
    }
}

#[test]
fn r76_an_end_without_close_notify_is_a_lost_connection_and_nothing_worse() {
    let (authority, server) = authority_and_server();
    let pull = with_tls(Protocol::Pull, &server.server().build().unwrap());
    let listener = pull.bind(ANY_PORT).unwrap();
    for number in 1..=2 {
        let mut peer = join(place(&listener), &authority, "pull.sp.nanomsg.org");
        peer.send(&masked(0x82, b"whole"));
        drop(peer);
        assert_eq!(recv(&pull), b"whole");
        wait_until("the loss", || pull.statistics().unwrap().broken_connections == number);
    }
}

#[test]
fn r55_r251_an_upgrade_that_never_comes_is_given_up() {
    let (authority, server) = authority_and_server();
    let pair = with_tls(Protocol::Pair, &server.server().build().unwrap());
    let listener = pair.bind(ANY_PORT).unwrap();
    let begun = Instant::now();
    let mut silent = Hand::connect(place(&listener), &Arc::new(hand_client(&authority, None)));
    silent.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let mut answer = Vec::new();
    // The connection may end with or without an alert.
    let _ = silent.read_to_end(&mut answer);
    assert_eq!(answer, b"");
    assert!(begun.elapsed() >= Duration::from_millis(9_500), "{:?}", begun.elapsed());
    assert!(failure(&listener).contains("upgrade to WebSocket within 10 s"));
}

// Who is let in

#[test]
fn certificates_that_are_no_good_are_refused_with_their_reason() {
    expect_impostors_refused(ANY_PORT);
}

#[test]
fn r75_the_name_in_the_address_is_the_one_that_must_be_certified() {
    let authority = Authority::new("Test Authority");
    let server = with_tls(Protocol::Pull, &authority.issue("s", &["localhost"]).server().build().unwrap());
    let listener = server.bind(ANY_PORT).unwrap();
    let by_name = listener.address().replace("127.0.0.1", "localhost");
    let push = with_tls(Protocol::Push, &authority.client().build().unwrap());
    push.connect(&format!("{by_name}/any/path?and=query")).unwrap();
    push.send("found").unwrap();
    assert_eq!(recv(&server), b"found");
    let stray = with_tls(Protocol::Push, &authority.client().build().unwrap());
    let reason = failure(&stray.connect(listener.address()).unwrap());
    assert!(reason.contains("another host"), "{reason}");
    let config = authority.client().server_name("localhost").build().unwrap();
    let named = with_tls(Protocol::Push, &config);
    named.connect(listener.address()).unwrap();
    named.send("by its name").unwrap();
    assert_eq!(recv(&server), b"by its name");
}

#[test]
fn peers_of_other_transports_are_refused_and_disturb_nobody() {
    let (authority, server) = authority_and_server();
    let (listening, connecting) = (server.server().build().unwrap(), authority.client().build().unwrap());
    let refused = |listens: &str, connects: &str| {
        let bound = with_tls(Protocol::Pair, &listening);
        let listener = bound.bind(&format!("{listens}://127.0.0.1:0")).unwrap();
        let stray = with_tls(Protocol::Pair, &connecting);
        let dialer = stray.connect(&format!("{connects}://{}", place(&listener))).unwrap();
        let told = failure(&listener);
        let failures = || {
            let statistics = stray.statistics().unwrap();
            statistics.connect_errors + statistics.broken_connections
        };
        wait_until("the loss", || failures() >= 1);
        for side in [&bound, &stray] {
            assert_eq!(side.statistics().unwrap().current_connections, 0, "{connects} at {listens}");
        }
        let seen = dialer.last_failure().unwrap().unwrap_or_default();
        drop(dialer);
        stray.close().unwrap();
        let good = with_tls(Protocol::Pair, &connecting);
        good.connect(listener.address()).unwrap();
        good.send("served").unwrap();
        assert_eq!(recv(&bound), b"served");
        (told, seen)
    };
    let (told, _) = refused("wss", "ws");
    assert!(told.contains("does not speak TLS"), "{told}");
    let (told, _) = refused("wss", "tcp");
    assert!(told.contains("does not speak TLS"), "{told}");
    let (told, seen) = refused("ws", "wss");
    assert!(told.contains("upgrade to WebSocket was refused: 400"), "{told}");
    assert!(seen.contains("does not speak TLS"), "{seen}");
    let (told, _) = refused("wss", "tls+tcp");
    assert!(told.contains("upgrade to WebSocket was refused: 400"), "{told}");
    let (told, _) = refused("tls+tcp", "wss");
    assert!(told.contains("does not speak SP"), "{told}");
}

#[test]
fn identity_is_known_per_pipe_and_per_message_beside_its_type() {
    let (authority, server) = authority_and_server();
    let client = authority.issue("client 7", &["client.example.org"]);
    let strict = server.server().ca_pem(&authority.pem).auth(TlsAuth::Required).build().unwrap();
    let config = authority.client().cert_pem(&client.cert).key_pem(&client.key).build().unwrap();
    let made = pipe_at(ANY_PORT, &strict, &config);
    for kind in [WsMessageType::Text, WsMessageType::Binary] {
        let mut message = Message::from("from the client");
        message.set_ws_type(Some(kind));
        made.connected.send(message).unwrap();
        let got = made.bound.recv().unwrap();
        assert_eq!(got.ws_type(), Some(kind));
        let peer = got.peer().expect("a client that showed its certificate");
        assert_eq!((peer.subject(), peer.names()), ("CN=client 7", &["client.example.org".to_owned()][..]));
        assert_eq!(&*made.listener.peers().unwrap()[0], peer);
    }
    made.bound.send("from the server").unwrap();
    let got = made.connected.recv().unwrap();
    assert_eq!(got.peer().expect("a verified server").subject(), "CN=server");

    let (told, seen) = refused_at(ANY_PORT, &strict, &authority.client().build().unwrap());
    assert!(told.contains("showed no certificate"), "{told}");
    assert!(seen.contains("it requires a certificate"), "{seen}");
}

#[test]
fn renewed_certificates_are_used_without_dropping_connections() {
    let server = Renewable::bind(ANY_PORT, "first");
    let (old, subject) = server.join();
    assert_eq!(subject, "CN=first");
    server.write("second");
    server.config.reload().unwrap();
    let (new, subject) = server.join();
    assert_eq!(subject, "CN=second");
    server.expect_served([&old, &new]);
}

#[test]
fn a_listener_without_certificate_is_refused_there_and_then() {
    let error = socket(Protocol::Pair).bind(ANY_PORT).unwrap_err();
    assert!(error.to_string().contains("certificate and its private key are needed"), "{error}");
}

#[test]
fn a_reader_that_does_not_read_costs_a_bounded_amount() {
    let made = pipe();
    for side in [&made.bound, &made.connected] {
        side.set_options(|options| Ok(options.set_linger(Duration::ZERO).linger())).unwrap();
        let body = vec![7; 100_000];
        let held = (0..1000).find_map(|_| side.send_timeout(body.clone(), Duration::from_millis(300)).err());
        assert!(held.is_some(), "100 MB were accepted with nobody reading");
    }
}
