//! Endpoints: they come back, they back off, they end when told to, and one bad peer is nobody else's
//! problem.

mod util;

use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use spmsg::limits::HANDSHAKE_MAX;
use spmsg::{Error, Protocol, Push, Socket};
use util::process::{Partner, argument, in_own_process, role, tell_and_wait};
use util::raw::{RawListener, RawPeer, header};
use util::{Carrier, bind, expect_os, recv, socket, wait_for_pipes, wait_until};

#[test]
fn r230_r235_traffic_resumes_after_the_listener_restarts() {
    for carrier in Carrier::ALL {
        let push = socket(Protocol::Push);
        let first = socket(Protocol::Pull);
        let (address, _place) = bind(&first, carrier);
        push.connect(&address).unwrap();
        push.send("before").unwrap();
        assert_eq!(recv(&first), b"before");
        for _ in 0..3 {
            first.close().err();
            wait_for_pipes(&push, 0);
            let next = socket(Protocol::Pull);
            next.bind(&address).unwrap();
            push.send("after").unwrap();
            assert_eq!(recv(&next), b"after");
            next.close().unwrap();
        }
    }
}

#[test]
fn r235_peer_killed_by_sigkill_is_noticed_and_its_successor_found() {
    let name = "r235_peer_killed_by_sigkill_is_noticed_and_its_successor_found";
    if role().as_deref() == Some("server") {
        let rep = socket(Protocol::Rep);
        let address = rep.bind(&argument()).unwrap().address().to_owned();
        std::thread::spawn(move || {
            while let Ok(request) = rep.recv_timeout(Duration::from_secs(600)) {
                rep.send(request).unwrap();
            }
        });
        return tell_and_wait(&address);
    }
    for carrier in Carrier::NETWORK {
        let place = carrier.fresh();
        let mut server = Partner::with(name, "server", &place.address);
        let address = server.told.clone();
        let req = socket(Protocol::Req);
        req.connect(&address).unwrap();
        for round in 0..3u8 {
            req.send(&[round]).unwrap();
            assert_eq!(recv(&req), [round]);
            server.kill();
            wait_for_pipes(&req, 0);
            // R136, R142: the request waits for the successor.
            req.send(&[round, round]).unwrap();
            server = Partner::with(name, "server", &address);
            assert_eq!(recv(&req), [round, round]);
        }
    }
}

#[test]
fn r231_r234_peer_that_accepts_and_closes_is_tried_at_a_bounded_rate() {
    for carrier in Carrier::NETWORK {
        let listener = RawListener::bind(carrier);
        let push = Push::builder().reconnect(Duration::from_millis(50)).build().unwrap();
        push.connect(&listener.address).unwrap();
        let start = Instant::now();
        let mut at = Vec::new();
        while at.len() < 12 {
            drop(listener.accept());
            at.push(start.elapsed());
        }
        assert!(at[1] < Duration::from_millis(45), "the first retry is immediate: {at:?}");
        // Ten waits of 50 ms lie between the second attempt and the twelfth.
        assert!(at[11] - at[1] >= Duration::from_millis(480), "{at:?}");
    }
}

#[test]
fn r231_waits_double_up_to_the_maximum() {
    let listener = RawListener::bind(Carrier::Tcp);
    let builder = Push::builder().reconnect(Duration::from_millis(20));
    let push = builder.reconnect_max(Duration::from_millis(160)).build().unwrap();
    push.connect(&listener.address).unwrap();
    let mut at = Vec::new();
    while at.len() < 7 {
        drop(listener.accept());
        at.push(Instant::now());
    }
    let gaps: Vec<_> = at.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    for (gap, least) in gaps.iter().zip([0, 20, 60, 140, 160, 160]) {
        assert!(*gap + 5 >= least, "{gaps:?}");
    }
}

#[test]
fn r232_back_off_starts_anew_after_a_useful_connection() {
    let listener = RawListener::bind(Carrier::Tcp);
    let builder = Push::builder().reconnect(Duration::from_millis(400));
    let push = builder.reconnect_max(Duration::from_secs(30)).build().unwrap();
    push.connect(&listener.address).unwrap();
    // Immediate, then 400 ms: the third would be 1200 ms later.
    drop(listener.accept());
    drop(listener.accept());
    let mut useful = listener.accept();
    useful.greet(Protocol::Pull);
    push.send("kept for a while").unwrap();
    assert_eq!(useful.expect_message(), b"kept for a while");
    useful.expect_quiet(Duration::from_millis(1100));
    let lost = Instant::now();
    drop(useful);
    listener.accept();
    assert!(lost.elapsed() < Duration::from_millis(900), "{:?}", lost.elapsed());
}

#[test]
fn r234_busy_pair_and_wrong_type_do_not_spin() {
    let pair = socket(Protocol::Pair);
    let (address, _place) = bind(&pair, Carrier::Tcp);
    let first = socket(Protocol::Pair);
    first.connect(&address).unwrap();
    wait_for_pipes(&pair, 1);
    let (second, wrong) = (socket(Protocol::Pair), socket(Protocol::Pull));
    let start = Instant::now();
    second.connect(&address).unwrap();
    wrong.connect(&address).unwrap();
    wait_until("both were refused some times", || {
        [&second, &wrong].iter().all(|socket| socket.statistics().unwrap().broken_connections >= 4)
    });
    let attempts = second.statistics().unwrap().established_connections;
    let most = 2 + start.elapsed().as_millis() as u64 / 100;
    assert!(attempts <= most, "{attempts} attempts in {:?}", start.elapsed());
    // R122, R123: the first is undisturbed, and the second gets its turn.
    first.send("undisturbed").unwrap();
    assert_eq!(recv(&pair), b"undisturbed");
    first.close().unwrap();
    second.send("my turn").unwrap();
    assert_eq!(recv(&pair), b"my turn");
}

#[test]
fn r236_listener_survives_running_out_of_descriptors() {
    if !in_own_process("r236_listener_survives_running_out_of_descriptors") {
        return;
    }
    let pull = socket(Protocol::Pull);
    let (address, _place) = bind(&pull, Carrier::Tcp);
    let mut early = RawPeer::join(&address, Protocol::Push);
    wait_for_pipes(&pull, 1);
    // The first wait of a thread makes its own descriptor.
    pull.recv_timeout(Duration::from_millis(1)).unwrap_err();
    let place = address.strip_prefix("tcp://").unwrap().to_socket_addrs().unwrap().next().unwrap();
    // The limit is lowered from outside, then everything below it is used up, save what the client's side
    // needs.
    let limit = format!("--nofile={n}:{n}", n = 64);
    let pid = std::process::id().to_string();
    let lowered = std::process::Command::new("prlimit").args(["--pid", &pid, &limit]).status();
    assert!(lowered.expect("prlimit is missing: apt-get install util-linux").success());
    let mut fill = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        fill.push(file);
    }
    fill.truncate(fill.len() - 1);
    let late = TcpStream::connect(place).expect("one descriptor is left for the client's end");
    wait_until("accept failed", || pull.statistics().unwrap().accept_errors >= 2);
    let (errors, turned) = (pull.statistics().unwrap().accept_errors, Instant::now());
    early.send_message(b"served meanwhile");
    assert_eq!(recv(&pull), b"served meanwhile");
    wait_until("time passes", || turned.elapsed() >= Duration::from_millis(300));
    let more = pull.statistics().unwrap().accept_errors - errors;
    assert!((1..=8).contains(&more), "{more} failed accepts in 300 ms: it neither spins nor gives up");
    drop(fill);
    wait_until("the late peer is accepted", || pull.statistics().unwrap().accepted_connections == 2);
    drop(late);
    RawPeer::join(&address, Protocol::Push).send_message(b"recovered");
    assert_eq!(recv(&pull), b"recovered");
}

/// More than a listener begins to talk with in a turn.
const CROWD: usize = 150;

#[test]
fn a_crowd_that_connects_at_once_is_served_by_and_by() {
    for carrier in Carrier::NETWORK {
        let rep = socket(Protocol::Rep);
        let (address, _place) = bind(&rep, carrier);
        let mut crowd: Vec<RawPeer> = (0..CROWD).map(|_| RawPeer::connect(&address)).collect();
        let request = |number: usize| [&[0x80, 0, 0, 1][..], &number.to_be_bytes()].concat();
        for (number, peer) in crowd.iter_mut().enumerate() {
            peer.send(&header(Protocol::Req.number()));
            peer.send_message(&request(number));
        }
        for _ in 0..CROWD {
            let body = recv(&rep);
            rep.send(body).unwrap();
        }
        for (number, peer) in crowd.iter_mut().enumerate() {
            peer.expect(&header(Protocol::Rep.number()));
            assert_eq!(peer.expect_message(), request(number));
        }
        assert_eq!(rep.statistics().unwrap().accepted_connections, CROWD as u64);
    }
}

#[test]
fn r237_closing_a_listener_ends_a_crowd_that_is_just_connecting() {
    for carrier in Carrier::NETWORK {
        let pull = socket(Protocol::Pull);
        let mut place = carrier.fresh();
        for _ in 0..5 {
            let endpoint = pull.bind(&place.address).expect("free again");
            place.address = endpoint.address().to_owned();
            let crowd: Vec<RawPeer> = (0..CROWD).map(|_| RawPeer::connect(&place.address)).collect();
            endpoint.close().unwrap();
            for mut peer in crowd {
                // Sooner than who does not say its header is given up in any case.
                peer.stream.set_read_timeout(HANDSHAKE_MAX / 2);
                // Whom the listener has begun to talk with has its header.
                let mut greeting = Vec::new();
                match peer.stream.read_to_end(&mut greeting) {
                    Ok(_) => (),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
                }
                assert!(header(Protocol::Pull.number()).starts_with(&greeting), "{greeting:02x?}");
            }
            wait_for_pipes(&pull, 0);
        }
    }
}

#[test]
fn r94_r237_closing_an_endpoint_ends_its_connections_and_no_other() {
    for carrier in Carrier::NETWORK {
        let pull = socket(Protocol::Pull);
        let (kept_place, ended_place) = (carrier.fresh(), carrier.fresh());
        let kept = pull.bind(&kept_place.address).unwrap();
        let ended = pull.bind(&ended_place.address).unwrap();
        assert_eq!((kept.id(), ended.id()), (1, 2), "R94");
        let mut stays = RawPeer::join(kept.address(), Protocol::Push);
        let mut goes = RawPeer::join(ended.address(), Protocol::Push);
        let mut greeting = RawPeer::connect(ended.address());
        greeting.expect(&header(81));
        wait_for_pipes(&pull, 2);
        ended.close().unwrap();
        goes.expect_end();
        greeting.expect_end();
        assert!(matches!(ended.close(), Err(Error::NoSuchEndpoint(2))));
        stays.send_message(b"stays");
        assert_eq!(recv(&pull), b"stays");
        assert_eq!(pull.bind(&carrier.fresh().address).unwrap().id(), 3, "R94: never used again");
    }
}

#[test]
fn r238_address_is_free_when_close_returns() {
    for carrier in Carrier::ALL {
        let (pull, push) = (socket(Protocol::Pull), socket(Protocol::Push));
        let place = carrier.fresh();
        let mut endpoint = pull.bind(&place.address).unwrap();
        let address = endpoint.address().to_owned();
        push.connect(&address).unwrap();
        for round in 0..20u8 {
            push.send(&[round]).unwrap();
            assert_eq!(recv(&pull), [round]);
            endpoint.close().unwrap();
            endpoint = pull.bind(&address).expect("free at once");
            wait_until("the connector is back", || {
                let statistics = push.statistics().unwrap();
                statistics.established_connections > u64::from(round) + 1
                    && statistics.current_connections == 1
            });
            wait_for_pipes(&pull, 1);
        }
        pull.close().unwrap();
        socket(Protocol::Pull).bind(&address).expect("free when the socket's close returns");
    }
}

#[test]
fn r91_busy_and_foreign_addresses_are_errors_of_bind() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let pull = socket(Protocol::Pull);
    expect_os(pull.bind(&format!("tcp://{}", taken.local_addr().unwrap())), ErrorKind::AddrInUse);
    expect_os(pull.bind("tcp://192.0.2.1:0"), ErrorKind::AddrNotAvailable);
    assert_eq!(pull.bind("tcp://127.0.0.1:0").unwrap().id(), 1, "failed calls take no id");
}

#[test]
fn r93_r230_nobody_there_is_no_error_and_tried_until_somebody_is() {
    // A port that was just free: bound, noted, released.
    let reserved = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", reserved.local_addr().unwrap());
    drop(reserved);
    let push = socket(Protocol::Push);
    push.connect(&address).unwrap();
    push.connect("tcp://no-such-host.invalid:1").unwrap();
    wait_until("attempts fail", || push.statistics().unwrap().connect_errors >= 3);
    let pull = socket(Protocol::Pull);
    pull.bind(&address).unwrap();
    push.send("found").unwrap();
    assert_eq!(recv(&pull), b"found");
}

#[test]
fn r244_many_endpoints_of_all_transports_on_one_socket() {
    let pull = socket(Protocol::Pull);
    let bound: Vec<_> = Carrier::ALL.map(|carrier| bind(&pull, carrier)).into_iter().collect();
    let push = socket(Protocol::Push);
    for (address, _) in &bound {
        push.connect(address).unwrap();
        push.connect(address).unwrap();
    }
    wait_for_pipes(&pull, 6);
    wait_for_pipes(&push, 6);
    for number in 0..60u8 {
        push.send(&[number]).unwrap();
    }
    let mut got: Vec<u8> = (0..60).map(|_| recv(&pull)[0]).collect();
    got.sort_unstable();
    assert_eq!(got, (0..60).collect::<Vec<u8>>());
}

fn has_ipv6() -> bool {
    TcpListener::bind("[::1]:0").is_ok()
}

#[test]
fn r95_r96_ipv6_works_where_the_system_has_it() {
    let pull = socket(Protocol::Pull);
    if !has_ipv6() {
        assert!(matches!(pull.bind("tcp://[::1]:0"), Err(Error::Os { .. })), "the system's own refusal");
        return;
    }
    let address = pull.bind("tcp://[::1]:0").unwrap().address().to_owned();
    assert!(address.starts_with("tcp://[::1]:"));
    let push = socket(Protocol::Push);
    push.connect(&address).unwrap();
    push.send("six").unwrap();
    assert_eq!(recv(&pull), b"six");
    // The wildcard serves both families.
    let any = pull.bind("tcp://*:0").unwrap().address().to_owned();
    let port = any.rsplit(':').next().unwrap();
    for host in ["127.0.0.1", "[::1]"] {
        let push = socket(Protocol::Push);
        push.connect(&format!("tcp://{host}:{port}")).unwrap();
        push.send(host).unwrap();
        assert_eq!(recv(&pull), host.as_bytes());
    }
}

#[test]
fn names_are_looked_up_and_every_address_is_tried() {
    // Listening on IPv4 only: where localhost is ::1 as well, the first attempt is refused.
    let pull = socket(Protocol::Pull);
    let address = pull.bind("tcp://127.0.0.1:0").unwrap().address().to_owned();
    let port = address.rsplit(':').next().unwrap();
    let push = Push::builder().reconnect(Duration::from_secs(60)).build().unwrap();
    push.connect(&format!("tcp://localhost:{port}")).unwrap();
    push.send_timeout("by name", util::DEADLINE).unwrap();
    assert_eq!(recv(&pull), b"by name");
    let bound = pull.bind("tcp://localhost:0").expect("names can be bound").address().to_owned();
    let push = socket(Protocol::Push);
    push.connect(&bound).unwrap();
    push.send("to a name").unwrap();
    assert_eq!(recv(&pull), b"to a name");
}

#[test]
fn local_part_chooses_the_address_to_come_from() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for (local, expected) in [("127.0.0.1;", "127.0.0.1"), ("127.0.0.2;", "127.0.0.2"), ("*;", "127.0.0.1")] {
        let push = socket(Protocol::Push);
        push.connect(&format!("tcp://{local}127.0.0.1:{port}")).unwrap();
        let (_stream, from) = listener.accept().unwrap();
        assert_eq!(from.ip().to_string(), expected);
        // Before its stream, whose loss would have it come again.
        push.close().unwrap();
    }
    let push = socket(Protocol::Push);
    push.connect(&format!("tcp://192.0.2.1;127.0.0.1:{port}")).unwrap();
    wait_until("a foreign local address fails", || push.statistics().unwrap().connect_errors >= 2);
}

#[test]
fn sockets_leave_no_descriptor_and_no_thread_behind() {
    if !in_own_process("sockets_leave_no_descriptor_and_no_thread_behind") {
        return;
    }
    let round = || {
        for carrier in Carrier::ALL {
            let sockets: Vec<Socket> = [Protocol::Pull, Protocol::Push].map(socket).into();
            let _place = util::link(&sockets[0], &sockets[1], carrier);
            sockets[1].send(vec![1; 100_000]).unwrap();
            assert_eq!(recv(&sockets[0]).len(), 100_000);
        }
    };
    round();
    let before = util::process::descriptors();
    for _ in 0..50 {
        round();
    }
    wait_until("descriptors are back", || util::process::descriptors() <= before);
    assert_eq!(util::process::threads("spmsg-"), Vec::<String>::new());
}
