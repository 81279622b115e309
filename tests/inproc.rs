//! inproc: names, pairing, and that everything has happened when a call returns.

mod util;

use std::io::ErrorKind;

use spmsg::{Error, Message, Pair, Protocol, Pull, Push, Socket};
use util::{expect_os, inproc_address, recv, socket, wait_for_pipes};

fn pipes(socket: &Socket) -> u64 {
    socket.statistics().unwrap().current_connections
}

#[test]
fn r82_names_are_compared_byte_for_byte_within_the_process() {
    let base = inproc_address();
    let names = [
        base.clone(),
        base.to_uppercase().replace("INPROC", "inproc"),
        format!("{base}/"),
        format!(" {base}"),
    ];
    let variants = [&names[0], &names[1], &names[2]];
    let bound: Vec<Socket> = variants
        .iter()
        .map(|name| {
            let pull = socket(Protocol::Pull);
            pull.bind(name).unwrap();
            pull
        })
        .collect();
    for (pull, name) in bound.iter().zip(variants) {
        let push = socket(Protocol::Push);
        push.connect(name).unwrap();
        push.send(name.as_str()).unwrap();
        assert_eq!(recv(pull), name.as_bytes());
    }
    assert!(matches!(socket(Protocol::Pull).bind(&names[3]), Err(Error::Address(_))));
}

#[test]
fn r82_empty_name_is_a_name() {
    let (pull, push) = (socket(Protocol::Pull), socket(Protocol::Push));
    pull.bind("inproc://").unwrap();
    push.connect("inproc://").unwrap();
    push.try_send("nameless").unwrap();
    assert_eq!(recv(&pull), b"nameless");
}

#[test]
fn r83_connect_may_come_before_bind() {
    let name = inproc_address();
    let (pull, push) = (socket(Protocol::Pull), socket(Protocol::Push));
    push.connect(&name).unwrap();
    assert!(matches!(push.try_send("nobody").unwrap_err().error, Error::WouldBlock));
    pull.bind(&name).unwrap();
    assert_eq!((pipes(&push), pipes(&pull)), (1, 1), "at once");
    push.try_send("now").unwrap();
    assert_eq!(recv(&pull), b"now");
}

#[test]
fn r84_second_bind_is_in_use_and_rebinding_attaches_waiting_connectors() {
    let name = inproc_address();
    let push = socket(Protocol::Push);
    push.connect(&name).unwrap();
    for round in 0..3u8 {
        let pull = socket(Protocol::Pull);
        let endpoint = pull.bind(&name).unwrap();
        expect_os(socket(Protocol::Pull).bind(&name), ErrorKind::AddrInUse);
        expect_os(pull.bind(&name), ErrorKind::AddrInUse);
        push.try_send(&[round]).unwrap();
        assert_eq!(recv(&pull), [round]);
        if round == 1 {
            endpoint.close().unwrap();
            assert_eq!((pipes(&push), pipes(&pull)), (0, 0));
            pull.bind(&name).expect("free at once");
            push.try_send("again").unwrap();
            assert_eq!(recv(&pull), b"again");
        }
        pull.close().unwrap();
        assert_eq!(pipes(&push), 0, "gone when close returns");
    }
}

#[test]
fn r84_connector_can_be_closed_and_connected_anew() {
    let name = inproc_address();
    let (pull, push) = (socket(Protocol::Pull), socket(Protocol::Push));
    pull.bind(&name).unwrap();
    for round in 0..3u8 {
        let endpoint = push.connect(&name).unwrap();
        push.try_send(&[round]).unwrap();
        endpoint.close().unwrap();
        assert_eq!((pipes(&push), pipes(&pull)), (0, 0));
        assert_eq!(recv(&pull), [round], "what was sent before is there");
        assert!(matches!(endpoint.close(), Err(Error::NoSuchEndpoint(_))));
    }
}

#[test]
fn r85_wrong_peer_type_is_never_connected_and_nobody_is_told() {
    for protocol in Protocol::ALL {
        let name = inproc_address();
        let bound = socket(protocol);
        bound.bind(&name).unwrap();
        for other in Protocol::ALL {
            let connector = socket(other);
            connector.connect(&name).unwrap();
            let fits = u64::from(other == protocol.peer());
            assert_eq!((pipes(&bound), pipes(&connector)), (fits, fits), "{protocol:?} and {other:?}");
        }
    }
}

#[test]
fn r86_second_pair_connector_is_refused_until_the_first_leaves() {
    let name = inproc_address();
    let (bound, first, second) = (socket(Protocol::Pair), socket(Protocol::Pair), socket(Protocol::Pair));
    bound.bind(&name).unwrap();
    first.connect(&name).unwrap();
    second.connect(&name).unwrap();
    assert_eq!((pipes(&bound), pipes(&first), pipes(&second)), (1, 1, 0));
    assert!(matches!(second.try_send("busy?").unwrap_err().error, Error::WouldBlock));
    bound.try_send("one").unwrap();
    assert_eq!(recv(&first), b"one");
    first.close().unwrap();
    assert_eq!((pipes(&bound), pipes(&second)), (1, 1), "R123: accepted at once");
    second.try_send("two").unwrap();
    assert_eq!(recv(&bound), b"two");
}

#[test]
fn r86_pair_with_two_names_takes_one_peer() {
    let (bound, first, second) = (socket(Protocol::Pair), socket(Protocol::Pair), socket(Protocol::Pair));
    let names = [inproc_address(), inproc_address()];
    bound.bind(&names[0]).unwrap();
    bound.bind(&names[1]).unwrap();
    first.connect(&names[0]).unwrap();
    second.connect(&names[1]).unwrap();
    assert_eq!((pipes(&first), pipes(&second)), (1, 0));
    drop(first);
    assert_eq!((pipes(&bound), pipes(&second)), (1, 1));
}

#[test]
fn r87_receive_limit_is_not_enforced() {
    let name = inproc_address();
    let pull = Pull::builder().recv_max(8).build().unwrap();
    let push = Push::new().unwrap();
    pull.bind(&name).unwrap();
    push.connect(&name).unwrap();
    push.send(vec![7; 2 << 20]).unwrap();
    assert_eq!(pull.recv().unwrap().len(), 2 << 20);
}

#[test]
fn twenty_messages_of_ten_bytes_fit_a_receive_buffer_of_200() {
    let name = inproc_address();
    let pull = Pull::builder().recv_buffer(200).build().unwrap();
    let push = Push::new().unwrap();
    pull.bind(&name).unwrap();
    push.connect(&name).unwrap();
    for round in 0..3 {
        let taken = (0..).take_while(|_| push.try_send(b"0123456789").is_ok()).count();
        assert_eq!(taken, 20, "round {round}");
        // One out, one in.
        pull.recv().unwrap();
        push.try_send(b"0123456789").unwrap();
        assert!(matches!(push.try_send(b"0123456789").unwrap_err().error, Error::WouldBlock));
        for _ in 0..20 {
            assert_eq!(pull.try_recv().unwrap().body(), b"0123456789");
        }
        assert!(matches!(pull.try_recv(), Err(Error::WouldBlock)));
    }
}

#[test]
fn send_and_receive_are_synchronous() {
    let name = inproc_address();
    let (a, b) = (Pair::new().unwrap(), Pair::new().unwrap());
    a.bind(&name).unwrap();
    b.connect(&name).unwrap();
    for number in 0..1000u32 {
        a.try_send(&number.to_be_bytes()).unwrap();
        assert_eq!(b.try_recv().unwrap().body(), number.to_be_bytes());
        b.try_send(&number.to_le_bytes()).unwrap();
        assert_eq!(a.try_recv().unwrap().body(), number.to_le_bytes());
    }
}

#[test]
fn socket_connects_to_itself() {
    let name = inproc_address();
    let bus = socket(Protocol::Bus);
    bus.bind(&name).unwrap();
    bus.connect(&name).unwrap();
    assert_eq!(pipes(&bus), 2);
    bus.try_send("echo").unwrap();
    // The message goes out by both pipes and comes in by both.
    assert_eq!([recv(&bus), recv(&bus)], [b"echo", b"echo"]);
    assert!(matches!(bus.try_recv(), Err(Error::WouldBlock)));
    bus.close().unwrap();

    let pair = socket(Protocol::Pair);
    let name = inproc_address();
    pair.bind(&name).unwrap();
    pair.connect(&name).unwrap();
    assert_eq!(pipes(&pair), 0, "PAIR has room for one pipe, a channel to itself needs two");
}

#[test]
fn connector_that_has_its_peer_elsewhere_is_refused_in_peace() {
    let (one, two, both) = (socket(Protocol::Pair), socket(Protocol::Pair), socket(Protocol::Pair));
    let names = [inproc_address(), inproc_address()];
    one.bind(&names[0]).unwrap();
    two.bind(&names[1]).unwrap();
    both.connect(&names[0]).unwrap();
    both.connect(&names[1]).unwrap();
    assert_eq!((pipes(&one), pipes(&two), pipes(&both)), (1, 0, 1));
    one.close().unwrap();
    assert_eq!((pipes(&two), pipes(&both)), (1, 1), "the other place is taken when the first peer leaves");
    both.try_send("moved").unwrap();
    assert_eq!(recv(&two), b"moved");
}

#[test]
fn several_sockets_and_several_connectors_share_a_name() {
    let name = inproc_address();
    let pull = socket(Protocol::Pull);
    pull.bind(&name).unwrap();
    let (one, two) = (socket(Protocol::Push), socket(Protocol::Push));
    one.connect(&name).unwrap();
    one.connect(&name).unwrap();
    two.connect(&name).unwrap();
    assert_eq!((pipes(&pull), pipes(&one), pipes(&two)), (3, 2, 1));
    for push in [&one, &one, &two] {
        push.try_send("x").unwrap();
    }
    assert_eq!([recv(&pull), recv(&pull), recv(&pull)], [b"x", b"x", b"x"]);
}

#[test]
fn body_crosses_uncopied() {
    let name = inproc_address();
    let (a, b) = (Pair::new().unwrap(), Pair::new().unwrap());
    a.bind(&name).unwrap();
    b.connect(&name).unwrap();
    let body = util::pattern(1 << 20);
    let address = body.as_ptr();
    a.send(body).unwrap();
    let message: Message = b.recv().unwrap();
    assert_eq!(message.body().as_ptr(), address);
    b.send(message).unwrap();
    let back = a.recv().unwrap().into_bytes();
    assert_eq!(back.as_ptr(), address);
    assert!(back == util::pattern(1 << 20));
}

#[test]
fn one_body_serves_all_subscribers() {
    let name = inproc_address();
    let publisher = socket(Protocol::Pub);
    publisher.bind(&name).unwrap();
    let subscribers: Vec<Socket> = (0..5)
        .map(|_| {
            let subscriber = socket(Protocol::Sub);
            subscriber.connect(&name).unwrap();
            subscriber
        })
        .collect();
    wait_for_pipes(&publisher, 5);
    let body = util::pattern(100_000);
    let address = body.as_ptr();
    publisher.send(body).unwrap();
    for subscriber in &subscribers {
        assert_eq!(subscriber.recv().unwrap().body().as_ptr(), address);
    }
}

#[test]
fn needs_no_thread_for_messages() {
    if !util::process::in_own_process("needs_no_thread_for_messages") {
        return;
    }
    let name = inproc_address();
    let (pull, push) = (socket(Protocol::Pull), socket(Protocol::Push));
    pull.bind(&name).unwrap();
    push.connect(&name).unwrap();
    push.send("x").unwrap();
    assert_eq!(recv(&pull), b"x");
    assert_eq!(util::process::threads("spmsg-"), Vec::<String>::new());
}
