//! Devices on real sockets: brokers, hubs, one-way forwarders, chains of them.

mod util;

use std::time::Duration;

use spmsg::{Device, Error, Mode, Protocol, Socket};
use util::{Carrier, QUIET, bind, raw_socket, recv, socket, wait_for_pipes};

/// The two roles of each pattern: who asks or sends first.
const PAIRS: [(Protocol, Protocol); 6] = [
    (Protocol::Req, Protocol::Rep),
    (Protocol::Surveyor, Protocol::Respondent),
    (Protocol::Push, Protocol::Pull),
    (Protocol::Pub, Protocol::Sub),
    (Protocol::Pair, Protocol::Pair),
    (Protocol::Bus, Protocol::Bus),
];

/// A raw socket for a device: no timeouts, they would end it.
fn device_socket(protocol: Protocol) -> Socket {
    let socket = Socket::new(protocol, Mode::Raw);
    if protocol == Protocol::Sub {
        socket.subscribe("").unwrap();
    }
    socket
}

/// Runs a device between `front` and `back` while `body` runs, then closes both.
fn with_device(front: &Socket, back: &Socket, body: impl FnOnce()) {
    std::thread::scope(|scope| {
        let device = scope.spawn(|| Device::new(front, back).unwrap().run());
        let _stop = Closing([front, back]);
        body();
        drop(_stop);
        assert!(matches!(device.join().unwrap(), Err(Error::Closed)));
    });
}

/// Ends the device also when the test fails, or the scope would wait for ever.
struct Closing<'a>([&'a Socket; 2]);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        for socket in self.0 {
            // Loop-back devices have one socket twice.
            let _ = socket.close();
        }
    }
}

#[test]
fn r224_every_pattern_passes_through_a_device_over_every_transport() {
    for carrier in Carrier::ALL {
        for (asks, answers) in PAIRS {
            // The device's front speaks to those who ask, so it is of the answering kind.
            let (front, back) = (device_socket(answers), device_socket(asks));
            let ((front_address, _f), (back_address, _b)) = (bind(&front, carrier), bind(&back, carrier));
            let (client, server) = (socket(asks), socket(answers));
            client.connect(&front_address).unwrap();
            server.connect(&back_address).unwrap();
            for (socket, count) in [(&client, 1), (&server, 1), (&front, 1), (&back, 1)] {
                wait_for_pipes(socket, count);
            }
            with_device(&front, &back, || {
                for body in [&b"through"[..], b"", &[7; 5000]] {
                    client.send(body).unwrap();
                    assert_eq!(recv(&server), body, "{asks:?} over {carrier:?}");
                    if server.protocol().can_send() {
                        server.send(body).unwrap();
                        assert_eq!(recv(&client), body, "{answers:?} over {carrier:?}");
                    }
                }
            });
        }
    }
}

#[test]
fn r223_sockets_that_do_not_fit_are_refused() {
    let refused = |first: &Socket, second: &Socket| {
        let result = Device::new(first, second);
        assert!(matches!(result, Err(Error::Device(_))), "{first:?} {second:?}: {result:?}");
    };
    for (one, other) in PAIRS {
        refused(&socket(one), &raw_socket(other));
        refused(&raw_socket(one), &socket(other));
        refused(&socket(one), &socket(other));
        Device::new(&raw_socket(one), &raw_socket(other)).expect("complementary raw sockets fit");
    }
    for one in Protocol::ALL {
        for other in Protocol::ALL {
            if one.peer() != other && one != other {
                refused(&raw_socket(one), &raw_socket(other));
            }
        }
    }
    // What both receive neither can send.
    refused(&raw_socket(Protocol::Pull), &raw_socket(Protocol::Pull));
    refused(&raw_socket(Protocol::Sub), &raw_socket(Protocol::Sub));
}

#[test]
fn r225_loop_back_on_bus_reaches_everybody_but_the_origin() {
    for carrier in Carrier::ALL {
        let hub = device_socket(Protocol::Bus);
        let (address, _place) = bind(&hub, carrier);
        let nodes: Vec<Socket> = (0..4)
            .map(|_| {
                let node = socket(Protocol::Bus);
                node.connect(&address).unwrap();
                node
            })
            .collect();
        wait_for_pipes(&hub, 4);
        nodes.iter().for_each(|node| wait_for_pipes(node, 1));
        with_device(&hub, &hub, || {
            for (from, sender) in nodes.iter().enumerate() {
                sender.send(&[from as u8]).unwrap();
                for (at, node) in nodes.iter().enumerate() {
                    if at != from {
                        assert_eq!(recv(node), [from as u8], "{carrier:?}");
                    }
                }
            }
            // What came last at every node was the last message, so nothing of one's own was among it.
            assert!(matches!(nodes[3].recv_timeout(QUIET), Err(Error::TimedOut)));
        });
    }
}

#[test]
fn r226_chain_of_devices_works_up_to_the_time_to_live() {
    // Seven devices and the last REP: the request arrives with eight words, the default limit.
    for (devices, arrives) in [(1, true), (7, true), (8, false)] {
        let stages: Vec<_> =
            (0..devices).map(|_| (device_socket(Protocol::Rep), device_socket(Protocol::Req))).collect();
        let fronts: Vec<_> = stages.iter().map(|(front, _)| bind(front, Carrier::Inproc).0).collect();
        let rep = socket(Protocol::Rep);
        let (last, _place) = bind(&rep, Carrier::Tcp);
        for (at, (_, back)) in stages.iter().enumerate() {
            back.connect(fronts.get(at + 1).unwrap_or(&last)).unwrap();
        }
        let req = socket(Protocol::Req);
        req.connect(&fronts[0]).unwrap();
        wait_for_pipes(&rep, 1);
        std::thread::scope(|scope| {
            let running: Vec<_> = stages
                .iter()
                .map(|(front, back)| {
                    (scope.spawn(|| Device::new(front, back).unwrap().run()), Closing([front, back]))
                })
                .collect();
            req.send("far").unwrap();
            if arrives {
                assert_eq!(recv(&rep), b"far", "{devices} devices");
                rep.send("and back").unwrap();
                assert_eq!(recv(&req), b"and back", "R170: replies are not checked");
            } else {
                assert!(matches!(rep.recv_timeout(QUIET), Err(Error::TimedOut)));
                rep.set_options(|options| options.set_max_ttl(9).map(|_| ())).unwrap();
                // The devices' own fronts had at most eight words; only the last hop was one too many.
                req.send("again").unwrap();
                assert_eq!(recv(&rep), b"again");
            }
            for (device, stop) in running {
                drop(stop);
                assert!(matches!(device.join().unwrap(), Err(Error::Closed)));
            }
        });
    }
}

#[test]
fn r227_timeouts_of_the_sockets_end_a_device() {
    let front =
        Socket::builder(Protocol::Pull, Mode::Raw).recv_timeout(Duration::from_millis(30)).build().unwrap();
    let back = device_socket(Protocol::Push);
    assert!(matches!(Device::new(&front, &back).unwrap().run(), Err(Error::TimedOut)));
    // A message that cannot go on waits for the other socket's timeout.
    let front = device_socket(Protocol::Pull);
    let back =
        Socket::builder(Protocol::Push, Mode::Raw).send_timeout(Duration::from_millis(30)).build().unwrap();
    let push = socket(Protocol::Push);
    let _place = util::link(&front, &push, Carrier::Inproc);
    push.send("stuck").unwrap();
    assert!(matches!(Device::new(&front, &back).unwrap().run(), Err(Error::TimedOut)));
}

#[test]
fn r228_device_holds_one_message_of_its_own() {
    let front = Socket::builder(Protocol::Pull, Mode::Raw).recv_buffer(1).build().unwrap();
    let back = device_socket(Protocol::Push);
    let push = socket(Protocol::Push);
    let (address, _place) = bind(&front, Carrier::Inproc);
    push.connect(&address).unwrap();
    with_device(&front, &back, || {
        let mut sent = 0;
        // Nobody takes anything: one message in the device, what front's buffer takes, and no more.
        while push.send_timeout("x", QUIET).is_ok() {
            sent += 1;
        }
        assert!((2..=3).contains(&sent), "{sent} messages were taken");
        let pull = socket(Protocol::Pull);
        let (sink, _place) = bind(&pull, Carrier::Inproc);
        back.connect(&sink).unwrap();
        for _ in 0..sent {
            assert_eq!(recv(&pull), b"x");
        }
    });
}

#[test]
fn r229_closing_either_socket_ends_a_device() {
    for (one, other) in PAIRS {
        for close_first in [true, false] {
            for carrier in [Carrier::Inproc, Carrier::Tcp] {
                let (front, back) = (device_socket(other), device_socket(one));
                let _addresses = (bind(&front, carrier), bind(&back, carrier));
                std::thread::scope(|scope| {
                    let device = scope.spawn(|| Device::new(&front, &back).unwrap().run());
                    if close_first { &front } else { &back }.close().unwrap();
                    assert!(matches!(device.join().unwrap(), Err(Error::Closed)));
                });
            }
        }
    }
}

#[test]
fn broker_serves_many_clients_and_servers() {
    let (front, back) = (device_socket(Protocol::Rep), device_socket(Protocol::Req));
    let ((front_address, _f), (back_address, _b)) = (bind(&front, Carrier::Tcp), bind(&back, Carrier::Ipc));
    let servers: Vec<Socket> = (0..3).map(|_| socket(Protocol::Rep)).collect();
    for server in &servers {
        server.connect(&back_address).unwrap();
    }
    wait_for_pipes(&back, 3);
    with_device(&front, &back, || {
        std::thread::scope(|scope| {
            for server in &servers {
                scope.spawn(|| {
                    while let Ok(request) = server.recv() {
                        server.send(request).unwrap();
                    }
                });
            }
            let clients: Vec<_> = (0..4u8)
                .map(|client| {
                    let address = &front_address;
                    scope.spawn(move || {
                        let req = socket(Protocol::Req);
                        req.connect(address).unwrap();
                        for number in 0..100u8 {
                            req.send(&[client, number]).unwrap();
                            assert_eq!(recv(&req), [client, number]);
                        }
                    })
                })
                .collect();
            let results: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
            let served = |server: &Socket| server.statistics().unwrap().messages_received;
            let shares: Vec<u64> = servers.iter().map(served).collect();
            servers.iter().for_each(|server| server.close().unwrap());
            assert!(results.iter().all(Result::is_ok));
            assert_eq!(shares.iter().sum::<u64>(), 400);
            assert!(shares.iter().all(|share| *share > 50), "{shares:?}");
        });
    });
}
