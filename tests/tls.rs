//! tls+tcp over real sockets: who is let in and who is told why not, and that nothing is lost or left hanging.

#[path = "util/certs.rs"]
mod certs;
#[path = "util/secure.rs"]
mod secure;
mod util;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use certs::{Authority, Identity, Period, hand_client, hand_client_of, hand_server};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, HandshakeKind};
use secure::{
    Hand, Pipe, Renewable, authority_and_server, cross_large_messages, expect_all_before_close,
    expect_impostors_refused, expect_nothing_lost_by_close, failure, pipe_at, place, refused_at, with_tls,
};
use spmsg::{Engine, Error, Pair, Protocol, TlsAuth, TlsConfig, TlsError};
use util::raw::header;
use util::{DEADLINE, pattern, socket, wait_for_pipes, wait_until};

const ANY_PORT: &str = "tls+tcp://127.0.0.1:0";

fn pipe(listening: &TlsConfig, connecting: &TlsConfig) -> Pipe {
    pipe_at(ANY_PORT, listening, connecting)
}

#[track_caller]
fn refused(listening: &TlsConfig, connecting: &TlsConfig) -> (String, String) {
    refused_at(ANY_PORT, listening, connecting)
}

#[test]
fn r73_messages_of_all_sizes_go_both_ways() {
    let (authority, server) = authority_and_server();
    let made = pipe(&server.server().build().unwrap(), &authority.client().build().unwrap());
    let (bound, connected) = (&made.bound, &made.connected);
    assert!(made.listener.address().starts_with("tls+tcp://127.0.0.1:"), "{}", made.listener.address());
    for len in [0, 1, 62, 63, 16_383, 16_384, 16_385, 32_767, 32_768, 65_536, 200_000, 1_000_000] {
        connected.send(pattern(len)).unwrap();
        assert_eq!(bound.recv().unwrap().body(), pattern(len), "{len} bytes to the listening side");
        bound.send(pattern(len)).unwrap();
        assert_eq!(connected.recv().unwrap().body(), pattern(len), "{len} bytes to the connecting side");
    }
}

#[test]
fn r73_inside_tls_the_bytes_are_those_of_tcp() {
    let (authority, server) = authority_and_server();
    let pull = with_tls(Protocol::Pull, &server.server().build().unwrap());
    let listener = pull.bind(ANY_PORT).unwrap();
    let mut hand = Hand::connect(place(&listener), &Arc::new(hand_client(&authority, None)));
    hand.write_all(b"\0SP\0\0\x50\0\0\0\0\0\0\0\0\0\x05Hello").unwrap();
    assert_eq!(pull.recv().unwrap().body(), b"Hello");
    let mut theirs = [0; 8];
    hand.read_exact(&mut theirs).unwrap();
    assert_eq!(&theirs, b"\0SP\0\0\x51\0\0");
}

#[test]
fn small_messages_that_wait_share_records() {
    const SEND_BUFFER: usize = 128 * 1024;
    const FRAME: usize = 16;
    let (authority, server) = authority_and_server();
    let push = with_tls(Protocol::Push, &server.server().build().unwrap());
    // Then the system's buffer stays small too.
    push.set_options(|options| options.set_send_buffer(SEND_BUFFER).map(drop)).unwrap();
    let listener = push.bind(ANY_PORT).unwrap();
    let mut hand = Hand::connect(place(&listener), &Arc::new(hand_client(&authority, None)));
    hand.greet(Protocol::Pull);
    wait_for_pipes(&push, 1);
    let mut sent = 0;
    while push.try_send(&[7; FRAME - 8]).is_ok() {
        sent += FRAME;
    }
    // Half of what the socket holds, which certainly waits.
    let waiting = SEND_BUFFER / 2;
    let (mut plain, mut records) = (0, 0);
    while plain < sent {
        let mut head = [0; 5];
        hand.tcp.read_exact(&mut head).unwrap();
        let mut rest = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        hand.tcp.read_exact(&mut rest).unwrap();
        let record = [&head[..], &rest].concat();
        let mut record = &record[..];
        if plain >= sent - waiting {
            records += 1;
        }
        while !record.is_empty() {
            hand.tls.read_tls(&mut record).unwrap();
            plain += hand.tls.process_new_packets().unwrap().plaintext_bytes_to_read();
            let mut block = vec![0; 32 * 1024];
            let _ = hand.tls.reader().read(&mut block);
        }
    }
    assert!(records <= waiting / (16 * 1024) + 1, "{records} records for {} messages", waiting / FRAME);
}

#[test]
fn large_messages_cross_both_ways_at_once() {
    let (authority, server) = authority_and_server();
    let made = pipe(&server.server().build().unwrap(), &authority.client().build().unwrap());
    cross_large_messages(&made, 60);
}

#[test]
fn certificates_that_are_no_good_are_refused_with_their_reason() {
    expect_impostors_refused(ANY_PORT);
}

#[test]
fn clients_must_show_a_good_certificate_where_one_is_required() {
    let (authority, server) = authority_and_server();
    let strict = server.server().ca_pem(&authority.pem).auth(TlsAuth::Required).build().unwrap();
    let refused_with = |client: TlsConfig, reason: &str, told: &str| {
        let (listening, connecting) = refused(&strict, &client);
        assert!(listening.contains(reason), "{listening}");
        assert!(connecting.contains(told), "{connecting}");
    };
    let with = |identity: &Identity| {
        authority.client().cert_pem(&identity.cert).key_pem(&identity.key).build().unwrap()
    };
    refused_with(authority.client().build().unwrap(), "showed no certificate", "it requires a certificate");
    let old = authority.issue_for("old client", &["client"], Period::Past);
    refused_with(with(&old), "has expired", "our certificate has expired");
    let stranger = Authority::new("Other Authority").issue("stranger", &["client"]);
    refused_with(with(&stranger), "authority that is not trusted here", "does not trust the authority");
    refused_with(with(&Identity::self_signed("self", &["client"])), "self-signed", "our certificate");

    let made = pipe(&strict, &with(&authority.issue("good client", &["client.example.org"])));
    made.connected.send("hello").unwrap();
    assert_eq!(made.bound.recv().unwrap().body(), b"hello");
}

#[test]
fn identity_is_known_per_pipe_and_per_message() {
    let (authority, server) = authority_and_server();
    let client = authority.issue("client 7", &["client.example.org", "10.0.0.7"]);
    let strict = server.server().ca_pem(&authority.pem).auth(TlsAuth::Required).build().unwrap();
    let made =
        pipe(&strict, &authority.client().cert_pem(&client.cert).key_pem(&client.key).build().unwrap());
    made.connected.send("from the client").unwrap();
    made.bound.send("from the server").unwrap();
    let (there, here) = (made.bound.recv().unwrap(), made.connected.recv().unwrap());
    let peer = there.peer().expect("a client that showed its certificate");
    assert_eq!(peer.subject(), "CN=client 7");
    assert_eq!(peer.names(), ["client.example.org", "10.0.0.7"]);
    assert_eq!(here.peer().expect("a verified server").subject(), "CN=server");
    let (clients, servers) = (made.listener.peers().unwrap(), made.dialer.peers().unwrap());
    assert_eq!((clients.len(), servers.len()), (1, 1));
    assert_eq!(&*clients[0], peer);
    assert_eq!(servers[0].fingerprint(), here.peer().unwrap().fingerprint());
    assert_ne!(servers[0].fingerprint(), peer.fingerprint());
}

#[test]
fn optional_certificates_are_checked_if_they_are_shown() {
    let (authority, server) = authority_and_server();
    let lenient = server.server().ca_pem(&authority.pem).auth(TlsAuth::Optional).build().unwrap();
    let anonymous = pipe(&lenient, &authority.client().build().unwrap());
    anonymous.connected.send("who am I").unwrap();
    assert!(anonymous.bound.recv().unwrap().peer().is_none());

    let client = authority.issue("client", &["client"]);
    let known =
        pipe(&lenient, &authority.client().cert_pem(&client.cert).key_pem(&client.key).build().unwrap());
    known.connected.send("who am I").unwrap();
    assert_eq!(known.bound.recv().unwrap().peer().expect("shown").subject(), "CN=client");

    let bad = Identity::self_signed("client", &["client"]);
    let bad = authority.client().cert_pem(&bad.cert).key_pem(&bad.key).build().unwrap();
    assert!(refused(&lenient, &bad).0.contains("self-signed"));
}

#[test]
fn connecting_side_that_asks_for_less_gets_in_and_knows_less() {
    let (authority, server) = authority_and_server();
    let stranger = Identity::self_signed("stranger", &["elsewhere.example.org"]);
    let sees = |server: &Identity, auth| {
        let made = pipe(&server.server().build().unwrap(), &authority.client().auth(auth).build().unwrap());
        made.bound.send("hello").unwrap();
        made.connected.recv().unwrap().peer().map(|peer| peer.subject().to_owned())
    };
    assert_eq!(sees(&stranger, TlsAuth::None), None);
    assert_eq!(sees(&server, TlsAuth::None), None, "nothing was verified");
    assert_eq!(sees(&stranger, TlsAuth::Optional), None);
    assert_eq!(sees(&server, TlsAuth::Optional), Some("CN=server".to_owned()));
}

#[test]
fn system_authorities_are_trusted_unless_others_are_named() {
    let (_, server) = authority_and_server();
    let (_, connecting) = refused(&server.server().build().unwrap(), &TlsConfig::default());
    assert!(connecting.contains("authority that is not trusted here"), "{connecting}");
}

#[test]
fn server_name_takes_the_place_of_the_host() {
    let authority = Authority::new("Test Authority");
    let server = authority.issue("db", &["db.example.org"]).server().build().unwrap();
    let client = |name| authority.client().server_name(name).build().unwrap();
    pipe(&server, &client("db.example.org"));
    let (_, reason) = refused(&server, &client("other.example.org"));
    assert!(reason.contains("expected other.example.org, it names"), "{reason}");
    assert!(matches!(TlsConfig::builder().server_name("a b").build(), Err(TlsError::ServerName(_))));
}

#[test]
fn endpoints_keep_the_configuration_they_were_made_with() {
    let authority = Authority::new("Test Authority");
    let bound = |name: &str| {
        let socket = with_tls(Protocol::Pull, &authority.issue(name, &[name]).server().build().unwrap());
        let listener = socket.bind(ANY_PORT).unwrap();
        (socket, listener)
    };
    let (one, two) = (bound("one.example.org"), bound("two.example.org"));
    let push = socket(Protocol::Push);
    for (name, listener) in [("one.example.org", &one.1), ("two.example.org", &two.1)] {
        let config = authority.client().server_name(name).build().unwrap();
        push.set_options(|options| Ok(options.set_tls(&config).linger())).unwrap();
        push.connect(listener.address()).unwrap();
    }
    wait_for_pipes(&push, 2);
}

/// What a dialer with `client` says first to whom it connects at `host`.
fn hello(client: &TlsConfig, host: &str, look: impl FnOnce(rustls::server::ClientHello<'_>)) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dialling = with_tls(Protocol::Pair, client);
    let port = listener.local_addr().unwrap().port();
    dialling.connect(&format!("tls+tcp://{host}:{port}")).unwrap();
    let (mut tcp, _) = listener.accept().unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut acceptor = rustls::server::Acceptor::default();
    loop {
        acceptor.read_tls(&mut tcp).unwrap();
        if let Some(accepted) = acceptor.accept().map_err(|(error, _)| error).unwrap() {
            return look(accepted.client_hello());
        }
    }
}

#[test]
fn r74_no_application_protocol_is_offered_or_required() {
    let client = TlsConfig::builder().auth(TlsAuth::None).build().unwrap();
    hello(&client, "127.0.0.1", |hello| assert!(hello.alpn().is_none()));
    let (authority, server) = authority_and_server();
    let pull = with_tls(Protocol::Pull, &server.server().build().unwrap());
    let listener = pull.bind(ANY_PORT).unwrap();
    let mut offers = hand_client(&authority, None);
    offers.alpn_protocols = vec![b"h2".to_vec()];
    let mut hand = Hand::connect(place(&listener), &Arc::new(offers));
    hand.greet(Protocol::Push);
    assert_eq!(hand.tls.alpn_protocol(), None);
}

#[test]
fn r75_the_servers_name_is_told_and_never_an_address() {
    let client = TlsConfig::builder().auth(TlsAuth::None).build().unwrap();
    hello(&client, "127.0.0.1", |hello| assert_eq!(hello.server_name(), None));
    hello(&client, "localhost", |hello| assert_eq!(hello.server_name(), Some("localhost")));
    let named = TlsConfig::builder().auth(TlsAuth::None).server_name("db.example.org").build().unwrap();
    hello(&named, "127.0.0.1", |hello| assert_eq!(hello.server_name(), Some("db.example.org")));
}

#[test]
fn r76_an_end_without_close_notify_is_a_lost_connection_and_nothing_worse() {
    let (authority, server) = authority_and_server();
    let client = Arc::new(hand_client(&authority, None));
    let pull = with_tls(Protocol::Pull, &server.server().build().unwrap());
    let listener = pull.bind(ANY_PORT).unwrap();
    for number in 1..=2 {
        let mut hand = Hand::connect(place(&listener), &client);
        hand.greet(Protocol::Push);
        hand.send(b"whole");
        drop(hand);
        assert_eq!(pull.recv().unwrap().body(), b"whole");
        wait_until("the loss", || pull.statistics().unwrap().broken_connections == number);
    }
    assert_eq!(listener.last_failure().unwrap(), None, "between messages it is an ordinary end");
}

#[test]
fn r76_r97_a_cut_record_costs_its_message_and_connection_only() {
    let (authority, server) = authority_and_server();
    let client = Arc::new(hand_client(&authority, None));
    let pull = with_tls(Protocol::Pull, &server.server().build().unwrap());
    let listener = pull.bind(ANY_PORT).unwrap();
    let mut hand = Hand::connect(place(&listener), &client);
    hand.greet(Protocol::Push);
    hand.send(b"whole");
    let frame = [&5_u64.to_be_bytes()[..], b"never"].concat();
    let record = hand.record(&frame);
    hand.tcp.write_all(&record[..record.len() - 1]).unwrap();
    drop(hand);
    assert_eq!(pull.recv().unwrap().body(), b"whole");
    wait_until("the loss", || pull.statistics().unwrap().broken_connections == 1);
    let mut next = Hand::connect(place(&listener), &client);
    next.greet(Protocol::Push);
    next.send(b"next");
    assert_eq!(pull.recv().unwrap().body(), b"next");
}

#[test]
fn a_forged_record_ends_its_connection() {
    let (authority, server) = authority_and_server();
    let pull = with_tls(Protocol::Pull, &server.server().build().unwrap());
    let listener = pull.bind(ANY_PORT).unwrap();
    let mut hand = Hand::connect(place(&listener), &Arc::new(hand_client(&authority, None)));
    hand.greet(Protocol::Push);
    let mut record = hand.record(b"\0\0\0\0\0\0\0\x05never");
    *record.last_mut().unwrap() ^= 1;
    hand.tcp.write_all(&record).unwrap();
    let reason = failure(&listener);
    assert!(reason.contains("damaged or forged"), "{reason}");
    assert!(matches!(pull.try_recv(), Err(Error::WouldBlock)));
    let mut end = Vec::new();
    assert!(hand.read_to_end(&mut end).is_err(), "the alert says why");
}

#[test]
fn what_does_not_speak_tls_is_refused() {
    let (authority, server) = authority_and_server();
    let bound = with_tls(Protocol::Pair, &server.server().build().unwrap());
    let listener = bound.bind(ANY_PORT).unwrap();
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &header(Protocol::Pair.number()), &[0x80; 70_000]] {
        let before = bound.statistics().unwrap().broken_connections;
        let mut tcp = TcpStream::connect(place(&listener)).unwrap();
        tcp.set_read_timeout(Some(DEADLINE)).unwrap();
        // The other side may be gone before all of it is written.
        let _ = tcp.write_all(garbage);
        let _ = tcp.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = tcp.read_to_end(&mut answer);
        assert!(answer.len() <= 7, "an alert at most, no SP: {answer:02x?}");
        wait_until("the refusal", || bound.statistics().unwrap().broken_connections > before);
    }
    let reason = failure(&listener);
    assert!(reason.contains("does not speak TLS") || reason.contains("closed"), "{reason}");
    // It goes on for others.
    let made = with_tls(Protocol::Pair, &authority.client().build().unwrap());
    made.connect(listener.address()).unwrap();
    wait_for_pipes(&made, 1);
}

#[test]
fn plain_and_tls_do_not_mix_up() {
    let (authority, server) = authority_and_server();
    let plain = socket(Protocol::Pair);
    let plain_listener = plain.bind("tcp://127.0.0.1:0").unwrap();
    let tls = with_tls(Protocol::Pair, &authority.client().build().unwrap());
    let dialer = tls.connect(&plain_listener.address().replace("tcp://", "tls+tcp://")).unwrap();
    let reason = failure(&dialer);
    assert!(reason.contains("does not speak TLS") || reason.contains("closed"), "{reason}");
    assert!(failure(&plain_listener).contains("does not speak SP"));

    let bound = with_tls(Protocol::Pair, &server.server().build().unwrap());
    let listener = bound.bind(ANY_PORT).unwrap();
    let simple = socket(Protocol::Pair);
    let simple_dialer = simple.connect(&listener.address().replace("tls+tcp://", "tcp://")).unwrap();
    assert!(failure(&listener).contains("does not speak TLS"));
    wait_until("the loss", || simple.statistics().unwrap().broken_connections > 0);
    drop(simple_dialer);
    assert_eq!(simple.statistics().unwrap().current_connections, 0);
}

#[test]
fn r251_silent_peers_are_given_up() {
    let (authority, server) = authority_and_server();
    let bound = with_tls(Protocol::Pair, &server.server().build().unwrap());
    let listener = bound.bind(ANY_PORT).unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let dialling = with_tls(Protocol::Pair, &authority.client().build().unwrap());
    let dialer = dialling.connect(&format!("tls+tcp://{}", silent.local_addr().unwrap())).unwrap();
    let begun = Instant::now();
    let mut mute = TcpStream::connect(place(&listener)).unwrap();
    // A drop now and then is no reason to wait longer.
    mute.write_all(&[0x16, 3, 1]).unwrap();
    mute.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut answer = Vec::new();
    let _ = mute.read_to_end(&mut answer);
    assert!(begun.elapsed() >= spmsg::limits::HANDSHAKE_MAX, "{:?}", begun.elapsed());
    assert_eq!(answer, b"");
    assert!(failure(&listener).contains("in time"));
    assert!(failure(&dialer).contains("in time"));
    assert!(dialling.statistics().unwrap().connect_errors >= 1);
}

#[test]
fn r251_tls_1_2_and_1_3_are_spoken() {
    let (authority, server) = authority_and_server();
    let pull = with_tls(Protocol::Pull, &server.server().build().unwrap());
    let listener = pull.bind(ANY_PORT).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = Arc::new(hand_client_of(&authority, None, &[version]));
        let mut hand = Hand::connect(place(&listener), &config);
        hand.greet(Protocol::Push);
        hand.send(&pattern(100_000));
        assert_eq!(pull.recv().unwrap().body(), pattern(100_000));
        assert_eq!(hand.tls.protocol_version(), Some(version.version));
    }
}

#[test]
fn r251_an_address_as_server_name_is_tolerated() {
    let (authority, server) = authority_and_server();
    let pull = with_tls(Protocol::Pull, &server.server().build().unwrap());
    let listener = pull.bind(ANY_PORT).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let config = Arc::new(hand_client(&authority, None));
    let mut tls = ClientConnection::new(config, name).unwrap();
    let mut hello = Vec::new();
    tls.write_tls(&mut hello).unwrap();
    let at = hello.windows(9).position(|window| window == b"localhost").expect("a server name");
    hello[at..at + 9].copy_from_slice(b"127.0.0.1");
    let mut tcp = TcpStream::connect(place(&listener)).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    tcp.write_all(&hello).unwrap();
    let mut kind = [0];
    tcp.read_exact(&mut kind).unwrap();
    assert_eq!(kind, [0x16], "a handshake record, and no alert");
}

#[test]
fn close_delivers_what_was_accepted_to_a_slow_reader() {
    let (authority, server) = authority_and_server();
    let push = with_tls(Protocol::Push, &server.server().build().unwrap());
    push.set_options(|options| options.set_send_buffer(4 << 20).map(drop)).unwrap();
    let listener = push.bind(ANY_PORT).unwrap();
    let mut hand = Hand::connect(place(&listener), &Arc::new(hand_client(&authority, None)));
    hand.greet(Protocol::Pull);
    wait_for_pipes(&push, 1);
    expect_all_before_close(push, hand, Hand::recv, |hand| hand);
}

#[test]
fn close_of_either_side_loses_nothing() {
    let (authority, server) = authority_and_server();
    let (server, client) = (server.server(), authority.client());
    expect_nothing_lost_by_close(|| pipe(&server.clone().build().unwrap(), &client.clone().build().unwrap()));
}

#[test]
fn a_reader_that_does_not_read_costs_a_bounded_amount() {
    let (authority, server) = authority_and_server();
    let push = with_tls(Protocol::Push, &server.server().build().unwrap());
    push.set_options(|options| options.set_send_buffer(128 * 1024).map(drop)).unwrap();
    push.set_options(|options| Ok(options.set_linger(Duration::ZERO).linger())).unwrap();
    let listener = push.bind(ANY_PORT).unwrap();
    let mut hand = Hand::connect(place(&listener), &Arc::new(hand_client(&authority, None)));
    hand.greet(Protocol::Pull);
    wait_for_pipes(&push, 1);
    let before = util::process::status_kb("VmRSS");
    let mut sent = 0;
    while push.send_timeout(vec![1; 32 * 1024], Duration::from_millis(500)).is_ok() {
        sent += 32 * 1024;
        assert!(sent < 64 << 20, "the kernel's buffers are smaller than that");
    }
    let grown = util::process::status_kb("VmRSS").saturating_sub(before);
    // The test's other threads grow at the same time; a queue without bound would have held all of it.
    assert!(push.try_send("one more").is_err());
    assert!(grown < 60_000, "{grown} kB for {sent} bytes");
    drop(hand);
}

#[test]
fn sessions_are_resumed_from_both_sides() {
    let (authority, server) = authority_and_server();
    let pull = with_tls(Protocol::Pull, &server.server().build().unwrap());
    let listener = pull.bind(ANY_PORT).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = Arc::new(hand_client_of(&authority, None, &[version]));
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let mut hand = Hand::connect(place(&listener), &client);
            hand.greet(Protocol::Push);
            kinds.push(hand.tls.handshake_kind().unwrap());
        }
        assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed], "{version:?}");
    }

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = Arc::new(hand_server(&server));
    let push = with_tls(Protocol::Push, &authority.client().build().unwrap());
    push.connect(&format!("tls+tcp://{}", listener.local_addr().unwrap())).unwrap();
    let mut kinds = Vec::new();
    for number in 0..2 {
        let mut hand = Hand::accept(&listener, &config);
        hand.greet(Protocol::Pull);
        kinds.push(hand.tls.handshake_kind().unwrap());
        wait_for_pipes(&push, 1);
        push.send("who is it").unwrap();
        assert_eq!(hand.recv(), b"who is it");
        drop(hand);
        wait_until("the loss", || push.statistics().unwrap().broken_connections == number + 1);
    }
    assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
}

#[test]
fn early_data_is_never_accepted() {
    let (authority, server) = authority_and_server();
    let pull = with_tls(Protocol::Pull, &server.server().build().unwrap());
    let listener = pull.bind(ANY_PORT).unwrap();
    let mut client = hand_client(&authority, None);
    client.enable_early_data = true;
    let client = Arc::new(client);
    for _ in 0..2 {
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = ClientConnection::new(Arc::clone(&client), name).unwrap();
        assert!(tls.early_data().is_none(), "the tickets do not allow it");
        let tcp = TcpStream::connect(place(&listener)).unwrap();
        let mut hand = Hand::new(Connection::Client(tls), tcp).shake();
        hand.greet(Protocol::Push);
    }
}

#[test]
fn renegotiation_is_refused() {
    let (_, server) = authority_and_server();
    let pull = with_tls(Protocol::Pull, &server.server().build().unwrap());
    let listener = pull.bind(ANY_PORT).unwrap();
    let mut client = Command::new("openssl")
        .args(["s_client", "-tls1_2", "-connect", place(&listener)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is needed: apt-get install openssl");
    let mut orders = client.stdin.take().unwrap();
    // Our header must not fall into the renegotiation, or openssl speaks of that. Without it we part in a while.
    let mut stdout = client.stdout.take().unwrap();
    let mut printed = Vec::new();
    while !printed.ends_with(b"\0SP\0\0\x51\0\0") {
        let mut byte = [0];
        assert_eq!(
            stdout.read(&mut byte).unwrap(),
            1,
            "no header in {:?}",
            String::from_utf8_lossy(&printed)
        );
        printed.extend(byte);
    }
    // s_client reads a line at a time: one that is only R asks for new keys.
    orders.write_all(b"R\n").unwrap();
    let mut said = String::new();
    client.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    drop(orders);
    client.wait().unwrap();
    assert!(said.contains("no renegotiation"), "{said}");
    wait_until("the end", || pull.statistics().unwrap().broken_connections == 1);
}

#[test]
fn renewed_certificates_are_used_without_dropping_connections() {
    let server = Renewable::bind(ANY_PORT, "first");
    let (config, key) = (&server.config, server.key_file());
    let (old, subject) = server.join();
    assert_eq!(subject, "CN=first");

    server.write("second");
    config.reload().unwrap();
    let (new, subject) = server.join();
    assert_eq!(subject, "CN=second");

    std::fs::write(&key, Identity::self_signed("x", &["x"]).key).unwrap();
    assert!(matches!(config.reload(), Err(TlsError::Mismatch)));
    std::fs::remove_file(&key).unwrap();
    assert!(matches!(config.reload(), Err(TlsError::File { .. })));
    assert_eq!(server.join().1, "CN=second", "what cannot be used changes nothing");

    let third = server.authority.issue("third", &["127.0.0.1"]);
    config.replace(&third.server().build().unwrap()).unwrap();
    assert_eq!(server.join().1, "CN=third");
    server.expect_served([&old, &new]);
}

#[test]
fn a_session_of_before_the_renewal_is_not_resumed() {
    let (authority, server) = authority_and_server();
    let config = server.server().build().unwrap();
    let pull = with_tls(Protocol::Pull, &config);
    let listener = pull.bind(ANY_PORT).unwrap();
    let client = Arc::new(hand_client(&authority, None));
    Hand::connect(place(&listener), &client).greet(Protocol::Push);
    config.replace(&authority.issue("renewed", &["localhost"]).server().build().unwrap()).unwrap();
    let mut hand = Hand::connect(place(&listener), &client);
    hand.greet(Protocol::Push);
    assert_eq!(hand.tls.handshake_kind(), Some(HandshakeKind::Full));
}

#[test]
fn configuration_that_cannot_work_is_refused_there_and_then() {
    let (authority, server) = authority_and_server();
    let pair = socket(Protocol::Pair);
    let error = pair.bind(ANY_PORT).unwrap_err();
    assert!(error.to_string().contains("certificate and its private key are needed"), "{error}");
    util::expect_os(Err::<(), _>(error), std::io::ErrorKind::InvalidInput);

    let other = Identity::self_signed("other", &["other"]);
    let mixed = TlsConfig::builder().cert_pem(&server.cert).key_pem(&other.key).build();
    assert!(matches!(mixed, Err(TlsError::Mismatch)));
    assert!(matches!(TlsConfig::builder().cert_pem(&server.cert).build(), Err(TlsError::NoCertificate)));
    assert!(matches!(TlsConfig::builder().key_pem("no key").build(), Err(TlsError::Malformed { .. })));
    assert!(matches!(TlsConfig::builder().ca_pem(&server.key).build(), Err(TlsError::Malformed { .. })));
    let missing = TlsConfig::builder().cert_file("/nowhere/cert.pem").build().unwrap_err();
    assert!(missing.to_string().contains("/nowhere/cert.pem"), "{missing}");

    // Who asks clients for certificates must say whose.
    let nobody = server.server().auth(TlsAuth::Required).build().unwrap();
    let error = with_tls(Protocol::Pair, &nobody).bind(ANY_PORT).unwrap_err();
    assert!(error.to_string().contains("authority"), "{error}");
    drop(authority);
}

#[test]
fn keys_are_never_shown() {
    let (_, server) = authority_and_server();
    let config = server.server().build().unwrap();
    let shown = format!("{config:?} {:?} {:?}", server.server(), with_tls(Protocol::Pair, &config).options());
    let secret: String = server.key.lines().filter(|line| !line.starts_with('-')).collect();
    assert!(!shown.contains("PRIVATE") && !shown.contains(&secret[..20]), "{shown}");
    assert!(shown.contains("key: true"), "{shown}");
}

#[test]
fn what_comes_along_with_the_end_of_the_handshake_is_read() {
    let (authority, server) = authority_and_server();
    let (server, client) = (server.server().build().unwrap(), authority.client().build().unwrap());
    // On threads of their own the sides overtake each other in every way.
    let engines = [Engine::new(1).unwrap(), Engine::new(1).unwrap()];
    for round in 0..300 {
        let bound = Pair::builder().tls(&server).engine(&engines[0]).build().unwrap();
        let connected = Pair::builder().tls(&client).engine(&engines[1]).build().unwrap();
        connected.connect(bound.bind(ANY_PORT).unwrap().address()).unwrap();
        wait_for_pipes(bound.socket(), 1);
        wait_for_pipes(connected.socket(), 1);
        let broken = [&bound, &connected].map(|side| side.statistics().unwrap().broken_connections);
        assert_eq!(broken, [0, 0], "round {round}: an attempt failed, and only the next one came up");
    }
}
