//! WebSocket between our own sockets, and with peers that speak it by hand.
#![cfg(feature = "ws")]

mod util;

use std::io::Write;
use std::time::{Duration, Instant};

use spmsg::{Message, Protocol, Socket, WsMessageType};
use util::process::{in_own_process, status_kb};
use util::ws::{Frame, SIZES, WsListener, WsPeer, field, request};
use util::ws_frames::{masked, plain};
use util::{DEADLINE, QUIET, pattern, recv, socket, wait_for_pipes, wait_until};

const PAIR: &str = "pair.sp.nanomsg.org";

#[track_caller]
fn bind(socket: &Socket) -> String {
    socket.bind("ws://127.0.0.1:0").expect("a port").address().to_owned()
}

/// Binds `first` to a fresh port, connects `second`, and waits until both have a pipe more.
#[track_caller]
fn link(first: &Socket, second: &Socket) -> String {
    let pipes = |socket: &Socket| socket.statistics().expect("an open socket").current_connections;
    let (before, other) = (pipes(first), pipes(second));
    let address = bind(first);
    second.connect(&address).expect("a bound address");
    wait_for_pipes(first, before + 1);
    wait_for_pipes(second, other + 1);
    address
}

#[track_caller]
fn unlimited(socket: &Socket) {
    socket.set_options(|options| Ok(options.set_recv_max(None).recv_max())).expect("open");
}

fn broken(socket: &Socket) -> u64 {
    socket.statistics().expect("open").broken_connections
}

/// A bound PAIR and a hand-made client of it.
fn pair_and_client() -> (Socket, WsPeer, String) {
    let pair = socket(Protocol::Pair);
    let address = bind(&pair);
    let peer = WsPeer::join(&address, PAIR);
    wait_for_pipes(&pair, 1);
    (pair, peer, address)
}

// Between our own

#[test]
fn r36_r37_r63_messages_of_every_size_pass_both_ways() {
    let (server, client) = (socket(Protocol::Pair), socket(Protocol::Pair));
    unlimited(&server);
    unlimited(&client);
    link(&server, &client);
    for size in SIZES.into_iter().chain([(1 << 20) + 1, 3_000_001]) {
        for (from, to) in [(&server, &client), (&client, &server)] {
            from.send(pattern(size)).expect("a peer");
            let got = to.recv().expect("a message");
            assert!(got.body() == pattern(size), "{size} bytes");
            assert_eq!(got.ws_type(), Some(WsMessageType::Binary));
        }
    }
}

#[test]
fn every_pattern_works_whoever_connects() {
    for listens in [true, false] {
        let join = |one: &Socket, two: &Socket| if listens { link(one, two) } else { link(two, one) };
        for (one, two) in [(Protocol::Req, Protocol::Rep), (Protocol::Surveyor, Protocol::Respondent)] {
            let (one, two) = (socket(one), socket(two));
            join(&one, &two);
            one.send("question").expect("a peer");
            assert_eq!(recv(&two), b"question");
            two.send("answer").expect("somebody asked");
            assert_eq!(recv(&one), b"answer");
        }
        for (one, two) in [
            (Protocol::Push, Protocol::Pull),
            (Protocol::Pub, Protocol::Sub),
            (Protocol::Bus, Protocol::Bus),
            (Protocol::Pair, Protocol::Pair),
            (Protocol::Pair1, Protocol::Pair1),
        ] {
            let (one, two) = (socket(one), socket(two));
            join(&one, &two);
            one.send("news").expect("a peer");
            assert_eq!(recv(&two), b"news", "{:?}", one.protocol());
        }
    }
}

#[test]
fn r71_one_body_goes_whole_to_many_servers() {
    let publisher = socket(Protocol::Pub);
    let subscribers: Vec<Socket> = (0..3).map(|_| socket(Protocol::Sub)).collect();
    for subscriber in &subscribers {
        link(subscriber, &publisher);
    }
    let body = Message::from(pattern(100_000));
    for _ in 0..3 {
        publisher.send(body.clone()).expect("an open socket");
        for subscriber in &subscribers {
            assert!(recv(subscriber) == pattern(100_000));
        }
    }
    assert!(body.body() == pattern(100_000));
}

#[test]
fn r64_types_are_the_sockets_or_the_messages() {
    let (server, client) = (socket(Protocol::Pair), socket(Protocol::Pair));
    server
        .set_options(|options| Ok(options.set_ws_message_type(WsMessageType::Text).ws_message_type()))
        .expect("open");
    link(&server, &client);
    server.send("text").expect("a peer");
    assert_eq!(client.recv().expect("a message").ws_type(), Some(WsMessageType::Text));
    let mut message = Message::from(&[0xff][..]);
    message.set_ws_type(Some(WsMessageType::Binary));
    server.send(message).expect("a peer");
    assert_eq!(client.recv().expect("a message").ws_type(), Some(WsMessageType::Binary));
    client.send("binary").expect("a peer");
    assert_eq!(server.recv().expect("a message").ws_type(), Some(WsMessageType::Binary));
}

#[test]
fn both_halves_move_much_at_once_and_a_slow_reader_holds_the_sender() {
    let (server, client) = (socket(Protocol::Pair), socket(Protocol::Pair));
    link(&server, &client);
    let (count, size) = (300, 200_000);
    std::thread::scope(|scope| {
        for (from, to) in [(&server, &client), (&client, &server)] {
            scope.spawn(move || (0..count).for_each(|at| from.send(vec![at as u8; size]).expect("a peer")));
            scope.spawn(move || {
                for at in 0..count {
                    let got = to.recv().expect("a message");
                    assert!(got.len() == size && got.body().iter().all(|byte| *byte == at as u8));
                }
            });
        }
    });
    for socket in [&server, &client] {
        let limit = Duration::from_millis(50);
        socket.set_options(|options| Ok(options.set_send_timeout(Some(limit)).send_timeout())).expect("open");
        let held = (0..1000).find_map(|_| socket.send(vec![7; size]).err());
        assert!(held.is_some(), "200 MB were accepted with nobody reading");
    }
}

#[test]
fn r69_close_delivers_everything_and_says_no_goodbye() {
    let pair = socket(Protocol::Pair);
    let address = bind(&pair);
    let mut peer = WsPeer::join(&address, PAIR);
    wait_for_pipes(&pair, 1);
    let bodies: Vec<Vec<u8>> = (0..20).map(|at| pattern(50_000 + at)).collect();
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        while let Ok(Frame { first: 0x82, mask: None, payload }) = peer.try_frame() {
            got.push(payload);
        }
        got
    });
    for body in &bodies {
        pair.send(body.clone()).expect("a peer");
    }
    pair.close().expect("open");
    assert!(reader.join().expect("no panic") == bodies);
}

#[test]
fn r230_clients_come_back_when_the_server_does() {
    let client = socket(Protocol::Push);
    let mut address = "ws://127.0.0.1:0".to_owned();
    for round in 0..3 {
        let server = socket(Protocol::Pull);
        address = server.bind(&address).expect("free again").address().to_owned();
        if round == 0 {
            client.connect(&address).expect("an address");
        }
        wait_for_pipes(&server, 1);
        wait_until("the client sends", || client.try_send("again").is_ok());
        assert_eq!(recv(&server), b"again");
        server.close().expect("open");
        wait_for_pipes(&client, 0);
    }
}

// Requests

#[test]
fn r42_r56_r248_refusals_arrive_whole_and_no_pipe_is_made() {
    let pair = socket(Protocol::Pair);
    let address = bind(&pair);
    let good = request("/", PAIR);
    let rows = [
        (request("/", "bus.sp.nanomsg.org"), 400),
        (request("/", "chat"), 400),
        (good.replace("GET", "POST"), 405),
        (good.replace("websocket", "h2c"), 426),
        (good.replace(": 13", ": 12"), 426),
        (good.replace("HTTP/1.1", "HTTP/1.0"), 505),
        ("nonsense\r\n\r\n".into(), 400),
        ("\0SP\0\0\x10\0\0".into(), 400),
        (format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(20_000)), 431),
    ];
    for (at, (request, status)) in (1..).zip(rows) {
        let mut peer = WsPeer::connect(&address);
        peer.send(request.as_bytes());
        // What is still on its way must not make the system throw the answer away.
        let _ = peer.stream.write_all(&[b'z'; 100_000]);
        let head = peer.head();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head} for {request}");
        assert_eq!(field(&head, "Content-Length"), "0");
        wait_until("the refusal is counted", || broken(&pair) == at);
        peer.shutdown();
    }
    let statistics = pair.statistics().expect("open");
    assert_eq!((statistics.current_connections, statistics.dropped_connections), (0, 0));
    let mut peer = WsPeer::join(&address, PAIR);
    wait_for_pipes(&pair, 1);
    pair.send("served").expect("a peer");
    assert_eq!(peer.frame().payload, b"served");
}

#[test]
fn r42_a_refused_peer_sees_the_end_of_the_stream() {
    let pair = socket(Protocol::Pair);
    let address = bind(&pair);
    let mut peer = WsPeer::connect(&address);
    peer.send(request("/", "bus.sp.nanomsg.org").as_bytes());
    assert!(peer.head().starts_with("HTTP/1.1 400 Incompatible Socket Type\r\n"));
    peer.expect_end();
}

#[test]
fn r57_a_listener_serves_its_path_alone() {
    let pull = socket(Protocol::Pull);
    let address = pull.bind("ws://127.0.0.1:0/jobs").expect("a port").address().to_owned();
    assert!(address.ends_with("/jobs"), "{address}");
    let push = socket(Protocol::Push);
    push.connect(&format!("{address}/?from=here")).expect("an address");
    push.send("job").expect("a peer");
    assert_eq!(recv(&pull), b"job");
    let mut other = WsPeer::connect(&address);
    other.send(request("/other", "pull.sp.nanomsg.org").as_bytes());
    assert!(other.head().starts_with("HTTP/1.1 404 "));
    other.expect_end();
}

#[test]
fn r43_a_browser_without_token_is_served_by_pair() {
    let pair = socket(Protocol::Pair);
    let address = bind(&pair);
    let mut peer = WsPeer::connect(&address);
    let request = request("/", PAIR).replace("Sec-WebSocket-Protocol: pair.sp.nanomsg.org\r\n", "");
    peer.send(request.as_bytes());
    let head = peer.head();
    assert!(head.starts_with("HTTP/1.1 101 ") && !head.contains("Protocol:"), "{head}");
    peer.send(&masked(0x81, b"typed"));
    assert_eq!(recv(&pair), b"typed");
}

#[test]
fn r122_a_second_client_of_a_pair_is_upgraded_and_dropped() {
    let (pair, mut first, address) = pair_and_client();
    let mut second = WsPeer::join(&address, PAIR);
    second.expect_end();
    pair.send("still here").expect("a peer");
    assert_eq!(first.frame().payload, b"still here");
}

#[test]
fn r55_an_upgrade_that_never_ends_is_cut_after_ten_seconds() {
    let pair = socket(Protocol::Pair);
    let address = bind(&pair);
    let listener = WsListener::bind();
    let client = socket(Protocol::Pair);
    client.connect(&listener.address).expect("an address");
    let mut silent_server = listener.accept();
    silent_server.head();
    let start = Instant::now();
    let mut silent = WsPeer::connect(&address);
    let mut slow = WsPeer::connect(&address);
    slow.send(b"GET / HTTP/1.1\r\nHost: ");
    silent.expect_end();
    slow.expect_end();
    let took = start.elapsed();
    assert!((Duration::from_millis(9_500)..DEADLINE).contains(&took), "{took:?}");
    silent_server.expect_end();
    let _next = listener.accept();
}

// Clients

#[test]
fn r38_r39_r44_r46_r47_r48_a_client_asks_as_it_should_and_waits_for_the_answer() {
    let listener = WsListener::bind();
    let push = socket(Protocol::Push);
    push.connect(&format!("{}/a/b?c=d", listener.address)).expect("an address");
    let mut keys = std::collections::HashSet::new();
    let host = listener.address.strip_prefix("ws://").expect("ws").to_owned();
    for _ in 0..3 {
        let mut peer = listener.accept();
        let head = peer.head();
        assert!(head.starts_with("GET /a/b?c=d HTTP/1.1\r\n"), "{head}");
        assert_eq!(field(&head, "Host"), host);
        assert_eq!(field(&head, "Sec-WebSocket-Protocol"), "pull.sp.nanomsg.org");
        assert!(keys.insert(field(&head, "Sec-WebSocket-Key")), "a key twice");
        peer.expect_quiet(QUIET);
        assert!(push.try_send("nobody is there").is_err());
    }
}

#[test]
fn r51_r53_r54_r248_a_client_tries_again_whatever_the_server_says() {
    let listener = WsListener::bind();
    let push = socket(Protocol::Push);
    push.connect(&listener.address).expect("an address");
    let answers = [
        "HTTP/1.1 400 Unrecognized Socket Type\r\nSec-WebSocket-Version: 13\r\n",
        "HTTP/1.1 301 Moved Permanently\r\nLocation: /elsewhere\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 500",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: Bz3qJYTGdOe8gUSpLosEdiLKDrk=\r\n\
         Sec-WebSocket-Protocol: pull.sp.nanomsg.org\r\n\r\n",
        "\0SP\0\0\x51\0\0",
        "",
    ];
    for answer in answers {
        let mut peer = listener.accept();
        peer.head();
        peer.send(answer.as_bytes());
        if answer.is_empty() {
            peer.shutdown();
        }
        peer.expect_end();
    }
    let mut peer = listener.accept();
    peer.accept_upgrade("pull.sp.nanomsg.org");
    push.send("at last").expect("a peer");
    let frame = peer.frame();
    assert_eq!((frame.first, &frame.payload[..]), (0x82, &b"at last"[..]));
    assert!(frame.mask.is_some());
}

#[test]
fn r68_a_client_answers_a_close_and_comes_back() {
    let listener = WsListener::bind();
    let pull = socket(Protocol::Pull);
    pull.connect(&listener.address).expect("an address");
    for code in [None, Some(1000_u16), Some(1001), Some(1009), Some(1002)] {
        let mut peer = listener.accept();
        peer.accept_upgrade("push.sp.nanomsg.org");
        let code = code.map(|code| code.to_be_bytes().to_vec()).unwrap_or_default();
        peer.send(&[plain(0x82, b"before"), plain(0x88, &code)].concat());
        assert_eq!(recv(&pull), b"before");
        let answer = peer.frame();
        assert_eq!((answer.first, &answer.payload), (0x88, &code));
        assert!(answer.mask.is_some());
        peer.expect_end();
    }
    assert_eq!(broken(&pull), 0, "a goodbye is no failure");
}

#[test]
fn r59_r62_a_client_masks_each_frame_anew_and_fragments() {
    let listener = WsListener::bind();
    let push = socket(Protocol::Push);
    push.connect(&listener.address).expect("an address");
    let mut peer = listener.accept();
    peer.accept_upgrade("pull.sp.nanomsg.org");
    let mut masks = std::collections::HashSet::new();
    for _ in 0..100 {
        push.send("the same text").expect("a peer");
        let frame = peer.frame();
        assert_eq!(frame.payload, b"the same text");
        masks.insert(frame.mask.expect("a mask"));
    }
    assert!(masks.len() >= 99, "{} masks", masks.len());
    push.send(pattern(200_000)).expect("a peer");
    let (count, body) = peer.message();
    assert!(count == 4 && body == pattern(200_000), "{count} frames");
}

#[test]
fn r62_a_server_sends_large_messages_in_frames_of_one_mebibyte() {
    let (pair, mut peer, _) = pair_and_client();
    for (size, expected) in [(1 << 20, 1), ((1 << 20) + 1, 2), (3 << 20, 3)] {
        pair.send(pattern(size)).expect("a peer");
        let (count, body) = peer.message();
        assert!(count == expected && body == pattern(size), "{size} bytes in {count} frames");
    }
}

/// The next fragment's head is read along with what is missing of a large one.
#[test]
fn large_fragments_close_behind_each_other_are_one_message() {
    let (pair, mut peer, _) = pair_and_client();
    for size in [20_000, 100_000, 200_000, 300_000] {
        let parts: [&[u8]; 3] = [&pattern(size), &pattern(size + 1), b"end"];
        let [first, next, last] = parts;
        peer.send(&[masked(0x02, first), masked(0x00, next), masked(0x80, last)].concat());
        assert!(pair.recv().expect("a message").body() == parts.concat(), "fragments of {size} bytes");
    }
}

#[test]
fn r67_nothing_is_asked_on_an_idle_connection() {
    let (_pair, mut client, _) = pair_and_client();
    let listener = WsListener::bind();
    let other = socket(Protocol::Pair);
    other.connect(&listener.address).expect("an address");
    let mut server = listener.accept();
    server.accept_upgrade(PAIR);
    wait_for_pipes(&other, 1);
    client.expect_quiet(Duration::from_secs(2));
    server.expect_quiet(Duration::from_secs(2));
}

// Hostile peers

#[test]
fn r70_too_long_a_message_is_answered_with_1009_though_it_keeps_coming() {
    let (pair, mut peer, _) = pair_and_client();
    let mut flood = peer.stream.try_clone().expect("a descriptor");
    let sender = std::thread::spawn(move || {
        let mut frame = vec![0x82, 0xff];
        frame.extend((1_u64 << 40).to_be_bytes());
        frame.extend([0; 4]);
        // Fails when the connection is closed.
        let _ = flood.write_all(&frame);
        while flood.write_all(&[0; 10_000]).is_ok() {}
    });
    let frame = peer.frame();
    assert_eq!((frame.first, &frame.payload[..]), (0x88, &1009_u16.to_be_bytes()[..]));
    wait_for_pipes(&pair, 0);
    peer.shutdown();
    sender.join().expect("no panic");
    assert_eq!(broken(&pair), 1);
}

#[test]
fn r66_a_flood_of_pings_that_nobody_reads_does_not_grow_the_memory() {
    if !in_own_process("r66_a_flood_of_pings_that_nobody_reads_does_not_grow_the_memory") {
        return;
    }
    let (pair, mut peer, _) = pair_and_client();
    let ping = masked(0x89, &pattern(125));
    let block = ping.repeat(1000);
    peer.send(&block);
    let before = status_kb("VmRSS");
    for _ in 0..500 {
        peer.send(&block);
    }
    peer.send(&masked(0x82, b"read to the end"));
    assert_eq!(recv(&pair), b"read to the end");
    let grown = status_kb("VmRSS").saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} kB for 65 MB of pings");
    // The answers that were kept are whole, and the connection is as good as before.
    pair.send("end of answers").expect("a peer");
    let mut answers = 0;
    loop {
        let frame = peer.frame();
        if frame.first == 0x82 {
            assert_eq!(frame.payload, b"end of answers");
            break;
        }
        assert_eq!((frame.first, frame.payload), (0x8a, pattern(125)));
        answers += 1;
    }
    assert!(answers > 0);
    peer.send(&masked(0x89, b"and now?"));
    assert_eq!(peer.frame().payload, b"and now?");
}

#[test]
fn r66_a_client_answers_every_ping_that_it_can() {
    let (_pair, mut peer, _) = pair_and_client();
    let mut reading = WsPeer { stream: peer.stream.try_clone().expect("a descriptor") };
    let count = 20_000_u32;
    let sender = std::thread::spawn(move || {
        for number in 0..count {
            peer.send(&masked(0x89, &number.to_be_bytes()));
        }
    });
    for number in 0..count {
        assert_eq!(reading.frame().payload, number.to_be_bytes());
    }
    sender.join().expect("no panic");
}

#[test]
fn r250_tiny_fragments_without_end_are_bounded_in_time_and_memory() {
    if !in_own_process("r250_tiny_fragments_without_end_are_bounded_in_time_and_memory") {
        return;
    }
    let (pair, mut peer, _) = pair_and_client();
    let start = Instant::now();
    let before = status_kb("VmRSS");
    peer.send(&masked(0x02, b"a"));
    for _ in 0..200 {
        peer.send(&masked(0x00, b"a").repeat(1000));
    }
    peer.send(&masked(0x80, b"a"));
    assert_eq!(pair.recv().expect("a message").len(), 200_002);
    assert!(start.elapsed() < DEADLINE);
    let grown = status_kb("VmRSS").saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} kB for 200 kB of payload");
    // More of them than the limit allows.
    peer.send(&masked(0x02, b""));
    let mut writer = peer.stream.try_clone().expect("a descriptor");
    let sender =
        std::thread::spawn(move || while writer.write_all(&masked(0x00, b"a").repeat(1000)).is_ok() {});
    assert_eq!(peer.frame().payload, 1009_u16.to_be_bytes());
    peer.shutdown();
    sender.join().expect("no panic");
}

#[test]
fn r60_r65_whoever_breaks_the_rules_costs_himself_alone() {
    let pull = socket(Protocol::Pull);
    let address = bind(&pull);
    let token = "pull.sp.nanomsg.org";
    let mut good = WsPeer::join(&address, token);
    for frame in [plain(0x82, b"x"), masked(0xf2, b"x"), masked(0x83, b"x"), masked(0x80, b"x")] {
        let mut bad = WsPeer::join(&address, token);
        bad.send(&[masked(0x82, b"before"), frame, masked(0x82, b"behind")].concat());
        assert_eq!(recv(&pull), b"before");
        assert_eq!(bad.frame().payload, 1002_u16.to_be_bytes());
        bad.expect_end();
    }
    wait_for_pipes(&pull, 1);
    assert!(pull.try_recv().is_err());
    good.send(&masked(0x82, b"served"));
    assert_eq!(recv(&pull), b"served");
}

#[test]
fn r97_a_message_that_the_peers_end_cut_off_is_discarded() {
    let (pair, mut peer, _) = pair_and_client();
    peer.send(&[masked(0x82, b"whole"), masked(0x02, b"half")].concat());
    peer.shutdown();
    assert_eq!(recv(&pair), b"whole");
    wait_for_pipes(&pair, 0);
    assert!(pair.try_recv().is_err());
    assert_eq!(broken(&pair), 1);
}
