//! The receive limit, and lengths that nobody means.

mod util;

use std::time::Duration;

use spmsg::{Protocol, Socket};
use util::process::{in_own_process, status_kb};
use util::raw::RawPeer;
use util::{Carrier, bind, pattern, recv, socket, wait_for_pipes, wait_until};

const MIB: usize = 1 << 20;

fn set_recv_max(socket: &Socket, max: impl Into<Option<usize>>) {
    socket.set_options(|options| Ok(options.set_recv_max(max.into()).recv_max())).unwrap();
}

#[test]
fn r77_limit_counts_header_and_body() {
    for carrier in Carrier::NETWORK {
        let rep = socket(Protocol::Rep);
        set_recv_max(&rep, 8);
        let (address, _place) = bind(&rep, carrier);
        let mut fits = RawPeer::join(&address, Protocol::Req);
        fits.send_message(b"\x80\0\0\x01four");
        assert_eq!(recv(&rep), b"four");
        let mut exceeds = RawPeer::join(&address, Protocol::Req);
        exceeds.send_message(b"\x80\0\0\x01fives");
        exceeds.expect_end();
        rep.send("1234567890").unwrap();
        assert_eq!(fits.expect_message(), b"\x80\0\0\x011234567890", "sending has no limit");
    }
}

#[test]
fn r78_exceeding_the_limit_ends_that_connection_before_its_payload_and_nothing_else() {
    for carrier in Carrier::NETWORK {
        let pull = socket(Protocol::Pull);
        let (address, _place) = bind(&pull, carrier);
        let mut good = RawPeer::join(&address, Protocol::Push);
        let mut bad = RawPeer::join(&address, Protocol::Push);
        bad.send_message(b"before");
        assert_eq!(recv(&pull), b"before");
        // The head alone is enough: no byte of the payload is ever sent.
        let head = bad.head(MIB as u64 + 1);
        bad.send(&head);
        bad.expect_end();
        wait_for_pipes(&pull, 1);
        assert!(matches!(pull.try_recv(), Err(spmsg::Error::WouldBlock)), "no error, no message");
        good.send_message(b"served");
        assert_eq!(recv(&pull), b"served");
        assert_eq!(pull.statistics().unwrap().broken_connections, 1);
    }
}

#[test]
fn r79_default_limit_is_one_mebibyte_inclusive() {
    for carrier in Carrier::NETWORK {
        let pull = socket(Protocol::Pull);
        let (address, _place) = bind(&pull, carrier);
        let push = socket(Protocol::Push);
        push.connect(&address).unwrap();
        push.send(pattern(MIB)).unwrap();
        assert!(recv(&pull) == pattern(MIB));
        push.send(pattern(MIB + 1)).unwrap();
        push.send("next").unwrap();
        // The connection is lost and comes back; the message that did not fit never arrives.
        wait_until("the connection was cut", || pull.statistics().unwrap().broken_connections == 1);
        // What is sent before the sender knows may go the same way.
        wait_until("it comes back", || push.statistics().unwrap().established_connections == 2);
        push.send("after").unwrap();
        let mut got = recv(&pull);
        if got == b"next" {
            got = recv(&pull);
        }
        assert_eq!(got, b"after");
    }
}

#[test]
fn r80_no_limit_and_a_limit_of_zero() {
    for carrier in Carrier::NETWORK {
        let pull = socket(Protocol::Pull);
        let (address, _place) = bind(&pull, carrier);
        set_recv_max(&pull, None);
        let mut peer = RawPeer::join(&address, Protocol::Push);
        let large = pattern(3 * MIB + 17);
        std::thread::scope(|scope| {
            scope.spawn(|| peer.send_message(&large));
            assert!(recv(&pull) == large);
        });
        // Live: the next message of the same connection is measured by the new limit.
        set_recv_max(&pull, 0);
        peer.send_message(b"");
        assert_eq!(recv(&pull), b"");
        peer.send_message(b"x");
        peer.expect_end();
    }
}

#[test]
fn r81_memory_follows_the_bytes_and_not_the_claims() {
    if !in_own_process("r81_memory_follows_the_bytes_and_not_the_claims") {
        return;
    }
    let pull = socket(Protocol::Pull);
    set_recv_max(&pull, None);
    let (address, _place) = bind(&pull, Carrier::Tcp);
    let mut good = RawPeer::join(&address, Protocol::Push);
    good.send_message(b"warm");
    recv(&pull);
    let before = status_kb("VmHWM");
    let virtual_before = status_kb("VmPeak");
    let mut claimants: Vec<RawPeer> = [1 << 30, 1 << 40, 1 << 62]
        .into_iter()
        .cycle()
        .take(60)
        .map(|claim| {
            let mut peer = RawPeer::join(&address, Protocol::Push);
            let head = peer.head(claim);
            peer.send(&head);
            peer.send(&[0x5a; 40_000]);
            peer
        })
        .collect();
    wait_for_pipes(&pull, 61);
    good.send_message(b"served");
    assert_eq!(recv(&pull), b"served");
    // Each claimant has one growth step of 256 KiB at most, and the allocator its arenas: far from what was
    // claimed.
    let grown = status_kb("VmHWM") - before;
    assert!(grown < 40 * 1024, "{grown} kB more than before");
    let reserved = status_kb("VmPeak") - virtual_before;
    assert!(reserved < 512 * 1024, "{reserved} kB of address space more than before");
    for peer in &mut claimants {
        peer.send(&[0x5a; 1000]);
    }
    drop(claimants);
    wait_for_pipes(&pull, 1);
    assert!(matches!(pull.try_recv(), Err(spmsg::Error::WouldBlock)));
}

#[test]
fn r81_lengths_beyond_any_memory_are_refused_with_and_without_a_limit() {
    for carrier in Carrier::NETWORK {
        for max in [None, Some(MIB)] {
            let pull = socket(Protocol::Pull);
            set_recv_max(&pull, max);
            let (address, _place) = bind(&pull, carrier);
            let mut good = RawPeer::join(&address, Protocol::Push);
            for claim in [1 << 63, (1 << 63) - 1, u64::MAX, u64::MAX - 7, i64::MAX as u64 - 8] {
                let mut bad = RawPeer::join(&address, Protocol::Push);
                let head = bad.head(claim);
                bad.send(&head);
                bad.expect_end();
            }
            good.send_message(b"served");
            assert_eq!(recv(&pull), b"served");
        }
    }
}

#[test]
fn r97_truncated_messages_cost_nothing() {
    for carrier in Carrier::NETWORK {
        let pull = socket(Protocol::Pull);
        let (address, _place) = bind(&pull, carrier);
        let whole = RawPeer::join(&address, Protocol::Push).frame(&pattern(20_000));
        for kept in [1, 7, 8, 9, 10, 100, 16_384, whole.len() - 1] {
            let mut peer = RawPeer::join(&address, Protocol::Push);
            peer.send(&whole[..kept]);
        }
        wait_until("all are gone", || {
            let statistics = pull.statistics().unwrap();
            statistics.accepted_connections == 9 && statistics.current_connections == 0
        });
        assert!(matches!(pull.recv_timeout(Duration::from_millis(1)), Err(spmsg::Error::TimedOut)));
        RawPeer::join(&address, Protocol::Push).send_message(b"whole");
        assert_eq!(recv(&pull), b"whole");
    }
}
