//! The matrix: every pattern, both roles, both who-binds, over tcp and ipc, against each foreign
//! implementation.
//!
//! Each cell moves at least 100 messages, empty ones and ones at the receive limit among them, and checks
//! content, count and order on arrival, and that nothing else arrives.

use interop_tests::Trouble;
use interop_tests::cell::{Cell, Stage, run_all};
use interop_tests::pattern::Pattern;
use interop_tests::peer::Peer;
use interop_tests::place::Wire;
use interop_tests::setting::Setting;
use interop_tests::talk::{self, Account, Run};

fn conversation(stage: &mut Stage, setting: Setting, seed: u64) -> Result<Account, Trouble> {
    let pattern = setting.pattern;
    let mut scene = setting.begin(stage)?;
    scene.settle(pattern)?;
    let mut account = scene.converse(pattern, &Run::full(pattern, 0, seed))?;
    if account.messages < 100 {
        return Err(format!("only {} messages moved", account.messages));
    }
    if matches!(pattern, Pattern::PubSub | Pattern::Bus) {
        let burst = Run { seed: seed ^ 0x7777, count: 500, sizes: vec![64, 300] };
        account = account.plus(talk::thinned_burst(&mut scene.active, &mut scene.passive, &burst)?);
    }
    if account.resent == 0 {
        // What was sent twice because it was late may still come twice; its arrivals were counted.
        talk::expect_silence(pattern, &mut scene.active, &mut scene.passive)?;
    }
    Ok(account)
}

fn matrix(one: Peer, two: Peer, wire: Wire) {
    Peer::require(&[one, two]);
    let cells = Setting::all(one, two, wire)
        .into_iter()
        .zip(1_u64..)
        .map(|(setting, seed)| Cell::new(setting.name(), move |stage| conversation(stage, setting, seed)))
        .collect();
    run_all(&format!("{} and {} over {}", one.name(), two.name(), wire.name()), cells);
}

#[test]
fn r10_r18_r79_r101_spmsg_c_and_nanomsg_over_tcp() {
    matrix(Peer::SpmsgC, Peer::Nanomsg, Wire::Tcp);
}

#[test]
fn r10_r18_r79_r101_spmsg_rust_and_nanomsg_over_tcp() {
    matrix(Peer::SpmsgRust, Peer::Nanomsg, Wire::Tcp);
}

#[test]
fn r10_r24_r79_r101_spmsg_c_and_nanomsg_over_ipc() {
    matrix(Peer::SpmsgC, Peer::Nanomsg, Wire::Ipc);
}

#[test]
fn r10_r24_r79_r101_spmsg_rust_and_nanomsg_over_ipc() {
    matrix(Peer::SpmsgRust, Peer::Nanomsg, Wire::Ipc);
}

#[test]
fn r10_r18_r79_r101_spmsg_c_and_mangos_over_tcp() {
    matrix(Peer::SpmsgC, Peer::Mangos, Wire::Tcp);
}

#[test]
fn r10_r18_r79_r101_spmsg_rust_and_mangos_over_tcp() {
    matrix(Peer::SpmsgRust, Peer::Mangos, Wire::Tcp);
}

#[test]
fn r10_r24_r79_r101_spmsg_c_and_mangos_over_ipc() {
    matrix(Peer::SpmsgC, Peer::Mangos, Wire::Ipc);
}

#[test]
fn r10_r24_r79_r101_spmsg_rust_and_mangos_over_ipc() {
    matrix(Peer::SpmsgRust, Peer::Mangos, Wire::Ipc);
}

/// If this fails, the fault is in the test's own means or in a foreign peer.
#[test]
fn the_foreign_peers_agree_over_tcp() {
    matrix(Peer::Nanomsg, Peer::Mangos, Wire::Tcp);
}

/// See above.
#[test]
fn the_foreign_peers_agree_over_ipc() {
    matrix(Peer::Nanomsg, Peer::Mangos, Wire::Ipc);
}
