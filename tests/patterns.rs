//! Every pattern over every transport, whichever side binds; priorities, turns, and who waits for whom.

mod util;

use std::time::Duration;

use spmsg::{Error, Protocol, Pub, Pull, Push, Socket, Sub};
use util::raw::{RawListener, RawPeer};
use util::{Carrier, DEADLINE, QUIET, bind, link, pattern, recv, socket, wait_for_pipes, wait_until};

const PAIRS: [(Protocol, Protocol); 6] = [
    (Protocol::Req, Protocol::Rep),
    (Protocol::Surveyor, Protocol::Respondent),
    (Protocol::Push, Protocol::Pull),
    (Protocol::Pub, Protocol::Sub),
    (Protocol::Pair, Protocol::Pair),
    (Protocol::Bus, Protocol::Bus),
];

const SIZES: [usize; 11] = [0, 1, 62, 63, 1000, 16_383, 16_384, 32_767, 32_768, 200_000, 1_000_000];

#[test]
fn r101_every_pattern_over_every_transport_whichever_side_binds() {
    for carrier in Carrier::ALL {
        for (one, other) in PAIRS {
            for one_binds in [true, false] {
                let (first, second) = (socket(one), socket(other));
                let _place =
                    if one_binds { link(&first, &second, carrier) } else { link(&second, &first, carrier) };
                for size in SIZES {
                    first.send(pattern(size)).unwrap();
                    assert!(recv(&second) == pattern(size), "{one:?} over {carrier:?}, {size} bytes");
                    if other.can_send() {
                        second.send(pattern(size)).unwrap();
                        assert!(recv(&first) == pattern(size), "{other:?} over {carrier:?}, {size} bytes");
                    }
                }
            }
        }
    }
}

#[test]
fn r102_r103_calls_that_cannot_proceed_say_so() {
    for carrier in Carrier::ALL {
        let pair = socket(Protocol::Pair);
        let (_address, _place) = bind(&pair, carrier);
        assert!(matches!(pair.try_recv(), Err(Error::WouldBlock)));
        assert!(matches!(pair.recv_timeout(Duration::from_millis(10)), Err(Error::TimedOut)));
        let refused = pair.try_send("back").unwrap_err();
        assert!(matches!(refused.error, Error::WouldBlock));
        assert_eq!(refused.message.body(), b"back", "R103: without side effects");
        let refused = pair.send_timeout("back", Duration::from_millis(10)).unwrap_err();
        assert!(matches!(refused.error, Error::TimedOut));
    }
}

#[test]
fn r104_direction_that_a_pattern_lacks_is_an_error() {
    for protocol in [Protocol::Pub, Protocol::Push] {
        assert!(matches!(socket(protocol).recv(), Err(Error::Unsupported { .. })));
    }
    for protocol in [Protocol::Sub, Protocol::Pull] {
        assert!(matches!(socket(protocol).send("x").unwrap_err().error, Error::Unsupported { .. }));
    }
}

#[test]
fn r110_one_pipe_keeps_the_order() {
    for carrier in Carrier::ALL {
        let (pull, push) = (socket(Protocol::Pull), socket(Protocol::Push));
        let _place = link(&pull, &push, carrier);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..20_000u32 {
                    // Sizes on both sides of every threshold.
                    let size = SIZES[number as usize % 7];
                    let mut body = number.to_be_bytes().to_vec();
                    body.resize(4 + size, 0);
                    push.send(body).unwrap();
                }
            });
            for number in 0..20_000u32 {
                assert_eq!(recv(&pull)[..4], number.to_be_bytes(), "{carrier:?}");
            }
        });
    }
}

#[test]
fn r112_slow_receiver_stops_the_sender_within_bounded_bytes() {
    for carrier in Carrier::NETWORK {
        let pull = Pull::builder().recv_buffer(50_000).build().unwrap();
        let (address, _place) = bind(pull.socket(), carrier);
        let push = Push::builder().send_buffer(50_000).build().unwrap();
        push.connect(&address).unwrap();
        let mut sent = 0u32;
        // Nobody receives: four user-space bounds of 50 kB and two kernel buffers of that size, doubled by
        // Linux.
        while push.send_timeout(vec![0; 10_000], QUIET).is_ok() {
            sent += 1;
            assert!(sent < 200, "{carrier:?}: two megabytes were taken and there is no end");
        }
        assert!(sent >= 10, "{carrier:?}: {sent}");
        for _ in 0..sent {
            assert_eq!(pull.recv_timeout(DEADLINE).unwrap().len(), 10_000);
        }
        push.send_timeout("room again", DEADLINE).unwrap();
        assert_eq!(pull.recv_timeout(DEADLINE).unwrap().body(), b"room again");
    }
}

#[test]
fn r111_r181_slow_subscriber_loses_messages_and_others_do_not() {
    for carrier in Carrier::NETWORK {
        let publisher = Pub::new().unwrap();
        let (address, _place) = bind(publisher.socket(), carrier);
        // It reads nothing, ever.
        let mut slow = RawPeer::join(&address, Protocol::Sub);
        let keeps_up = Sub::builder().recv_timeout(DEADLINE).build().unwrap();
        keeps_up.subscribe("").unwrap();
        keeps_up.connect(&address).unwrap();
        wait_for_pipes(publisher.socket(), 2);
        let count = 2000u32;
        for number in 0..count {
            let mut body = number.to_be_bytes().to_vec();
            body.resize(20_000, 0);
            publisher.send(body).unwrap();
            // R180: publishing never waits; this receiver gets every single one although the other is stuck.
            assert_eq!(keeps_up.recv().unwrap().body()[..4], number.to_be_bytes());
        }
        // What the slow one gets is the beginning, whole messages in order, with a gap somewhere.
        publisher.close().unwrap();
        let mut last = None;
        let mut got = 0;
        let mut block = vec![0; slow.head(0).len() + 20_000];
        while std::io::Read::read_exact(&mut slow.stream, &mut block).is_ok() {
            let at = block.len() - 20_000;
            let number = u32::from_be_bytes(block[at..at + 4].try_into().unwrap());
            assert!(last.is_none_or(|last| last < number));
            last = Some(number);
            got += 1;
        }
        assert!(got > 0 && got < count, "{carrier:?}: {got} of 40 MB");
    }
}

/// Three pullers and a pusher connected to all of them over `carrier`.
fn one_to_three(carrier: Carrier, priorities: [u8; 3]) -> (Push, Vec<Socket>, Vec<util::Fresh>) {
    let push = Push::builder().send_timeout(DEADLINE).build().unwrap();
    let (mut pulls, mut places) = (Vec::new(), Vec::new());
    for (at, priority) in priorities.into_iter().enumerate() {
        let pull = socket(Protocol::Pull);
        let (address, place) = bind(&pull, carrier);
        push.set_options(|options| options.set_send_priority(priority).map(|_| ())).unwrap();
        push.connect(&address).unwrap();
        wait_for_pipes(push.socket(), at as u64 + 1);
        pulls.push(pull);
        places.push(place);
    }
    (push, pulls, places)
}

#[test]
fn r113_r115_best_priority_first_and_the_next_when_it_is_gone() {
    for carrier in Carrier::ALL {
        let (push, pulls, _places) = one_to_three(carrier, [2, 1, 3]);
        for expected in [1, 0, 2] {
            for _ in 0..10 {
                push.send("x").unwrap();
                assert_eq!(recv(&pulls[expected]), b"x", "{carrier:?}");
            }
            let before = push.statistics().unwrap().current_connections;
            pulls[expected].close().unwrap();
            wait_for_pipes(push.socket(), before - 1);
        }
        assert!(matches!(push.try_send("nobody").unwrap_err().error, Error::WouldBlock));
    }
}

#[test]
fn r114_equal_pipes_take_turns() {
    for carrier in Carrier::ALL {
        let (push, pulls, _places) = one_to_three(carrier, [8, 8, 8]);
        for round in 0..10u8 {
            for turn in 0..3u8 {
                push.send(&[round, turn]).unwrap();
            }
        }
        for (at, pull) in pulls.iter().enumerate() {
            for round in 0..10u8 {
                assert_eq!(recv(pull), [round, at as u8], "{carrier:?}");
            }
            assert!(matches!(pull.try_recv(), Err(Error::WouldBlock)));
        }
    }
}

#[test]
fn r115_full_pipe_is_skipped_for_a_worse_class() {
    let push = Push::builder().send_buffer(20_000).build().unwrap();
    let connect = |priority: u8, address: &str| {
        push.set_options(|options| options.set_send_priority(priority).map(|_| ())).unwrap();
        push.connect(address).unwrap();
    };
    let stuck = RawListener::bind(Carrier::Tcp);
    connect(1, &stuck.address);
    let mut peer = stuck.accept();
    peer.greet(Protocol::Pull);
    wait_for_pipes(push.socket(), 1);
    let pull = socket(Protocol::Pull);
    let (address, _place) = bind(&pull, Carrier::Tcp);
    connect(9, &address);
    wait_for_pipes(push.socket(), 2);
    wait_until("the better class is full and the worse one is used", || {
        push.send_timeout(vec![1; 10_000], DEADLINE).unwrap();
        pull.try_recv().is_ok()
    });
}

#[test]
fn r116_receiving_takes_turns_within_a_class_and_prefers_the_better_one() {
    for carrier in Carrier::ALL {
        let pull = Pull::builder().recv_timeout(DEADLINE).build().unwrap();
        let mut pushers = Vec::new();
        let mut places = Vec::new();
        for priority in [5, 5, 2] {
            pull.set_options(|options| options.set_recv_priority(priority).map(|_| ())).unwrap();
            let (address, place) = bind(pull.socket(), carrier);
            let push = socket(Protocol::Push);
            push.connect(&address).unwrap();
            wait_for_pipes(&push, 1);
            pushers.push(push);
            places.push(place);
        }
        wait_for_pipes(pull.socket(), 3);
        for (at, push) in pushers.iter().enumerate() {
            for _ in 0..3 {
                push.send(&[at as u8]).unwrap();
            }
        }
        // All nine are here before the first is taken: a tenth message over the same streams would come
        // behind them.
        pushers.iter().for_each(|push| push.close().unwrap());
        wait_for_pipes(pull.socket(), 0);
        let order: Vec<u8> = (0..9).map(|_| pull.recv().unwrap().body()[0]).collect();
        assert_eq!(order[..3], [2, 2, 2], "{carrier:?}");
        assert!(
            order[3..] == [0, 1, 0, 1, 0, 1] || order[3..] == [1, 0, 1, 0, 1, 0],
            "{carrier:?}: {order:?}"
        );
    }
}

#[test]
fn r136_r142_request_goes_to_another_peer_when_its_own_is_lost() {
    for carrier in Carrier::ALL {
        let req = socket(Protocol::Req);
        req.send("who is there?").unwrap();
        let first = socket(Protocol::Rep);
        let (address, _place) = bind(&first, carrier);
        req.connect(&address).unwrap();
        assert_eq!(recv(&first), b"who is there?");
        let second = socket(Protocol::Rep);
        let (address, _place) = bind(&second, carrier);
        req.connect(&address).unwrap();
        wait_for_pipes(&second, 1);
        first.close().unwrap();
        assert_eq!(recv(&second), b"who is there?");
        second.send("me").unwrap();
        assert_eq!(recv(&req), b"me");
    }
}

#[test]
fn r162_reply_to_a_peer_that_does_not_read_holds_nobody_up() {
    let rep = socket(Protocol::Rep);
    let (address, _place) = bind(&rep, Carrier::Tcp);
    let mut stuck = RawPeer::join(&address, Protocol::Req);
    let good = socket(Protocol::Req);
    good.connect(&address).unwrap();
    for number in 0..100u8 {
        stuck.send_message(&[0x80, 0, 0, number]);
        assert_eq!(recv(&rep), b"");
        rep.send(vec![number; 500_000]).unwrap();
    }
    good.send("still there?").unwrap();
    assert_eq!(recv(&rep), b"still there?");
    rep.send("yes").unwrap();
    assert_eq!(recv(&good), b"yes");
}

#[test]
fn r196_r197_r198_survey_collects_from_everybody_until_its_deadline() {
    for carrier in Carrier::ALL {
        let surveyor = socket(Protocol::Surveyor);
        surveyor.set_survey_deadline(Duration::from_millis(300)).unwrap();
        let (address, _place) = bind(&surveyor, carrier);
        let nodes: Vec<Socket> = (0..5)
            .map(|_| {
                let node = socket(Protocol::Respondent);
                node.connect(&address).unwrap();
                node
            })
            .collect();
        wait_for_pipes(&surveyor, 5);
        surveyor.send("who?").unwrap();
        for (at, node) in nodes.iter().enumerate() {
            assert_eq!(recv(node), b"who?");
            node.send(&[at as u8]).unwrap();
        }
        let mut got: Vec<u8> = (0..5).map(|_| recv(&surveyor)[0]).collect();
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2, 3, 4], "{carrier:?}");
        assert!(matches!(surveyor.recv(), Err(Error::TimedOut)), "R196");
        assert!(matches!(surveyor.recv(), Err(Error::State(_))), "R197");
    }
}
