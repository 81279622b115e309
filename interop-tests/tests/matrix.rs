//! The matrix: every pattern, both roles, both who-binds, over every transport, against each foreign
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

fn matrix(one: Peer, two: Peer) {
    Peer::require(&[one, two]);
    let title = format!("conversations: {} and {}", one.name(), two.name());
    converse(&title, Setting::all(one, two));
}

/// The same inside TLS, each side with a certificate that the other one verifies.
fn secure_matrix(wire: Wire, one: Peer, two: Peer) {
    Peer::require(&[one, two]);
    let title = format!("conversations over {}: {} and {}", wire.name(), one.name(), two.name());
    converse(&title, Setting::all_over(wire, one, two));
}

fn converse(title: &str, settings: Vec<Setting>) {
    let cells = settings
        .into_iter()
        .zip(1_u64..)
        .map(|(setting, seed)| Cell::new(setting.name(), move |stage| conversation(stage, setting, seed)))
        .collect();
    run_all(title, cells);
}

#[test]
fn r10_r18_r24_r79_r101_spmsg_c_and_nanomsg() {
    matrix(Peer::SpmsgC, Peer::Nanomsg);
}

#[test]
fn r10_r18_r24_r79_r101_spmsg_rust_and_nanomsg() {
    matrix(Peer::SpmsgRust, Peer::Nanomsg);
}

#[test]
fn r10_r18_r24_r79_r101_spmsg_c_and_nng() {
    matrix(Peer::SpmsgC, Peer::Nng);
}

#[test]
fn r10_r18_r24_r79_r101_r127_spmsg_rust_and_nng() {
    matrix(Peer::SpmsgRust, Peer::Nng);
}

#[test]
fn r10_r18_r24_r79_r101_spmsg_c_and_mangos() {
    matrix(Peer::SpmsgC, Peer::Mangos);
}

#[test]
fn r10_r18_r24_r79_r101_r127_spmsg_rust_and_mangos() {
    matrix(Peer::SpmsgRust, Peer::Mangos);
}

#[test]
fn r10_r18_r24_r79_r101_spmsg_c_and_spmsg_rust() {
    matrix(Peer::SpmsgC, Peer::SpmsgRust);
}

#[test]
fn r73_r74_spmsg_c_and_mangos_over_tls() {
    secure_matrix(Wire::Tls, Peer::SpmsgC, Peer::Mangos);
}

#[test]
fn r73_r74_spmsg_rust_and_mangos_over_tls() {
    secure_matrix(Wire::Tls, Peer::SpmsgRust, Peer::Mangos);
}

#[test]
fn r73_r74_r251_spmsg_c_and_nng_over_tls() {
    secure_matrix(Wire::Tls, Peer::SpmsgC, Peer::Nng);
}

#[test]
fn r73_r74_r251_spmsg_rust_and_nng_over_tls() {
    secure_matrix(Wire::Tls, Peer::SpmsgRust, Peer::Nng);
}

#[test]
fn r73_r74_spmsg_c_and_spmsg_rust_over_tls() {
    secure_matrix(Wire::Tls, Peer::SpmsgC, Peer::SpmsgRust);
}

#[test]
fn r73_r74_spmsg_c_and_mangos_over_wss() {
    secure_matrix(Wire::Wss, Peer::SpmsgC, Peer::Mangos);
}

#[test]
fn r73_r74_spmsg_rust_and_mangos_over_wss() {
    secure_matrix(Wire::Wss, Peer::SpmsgRust, Peer::Mangos);
}

#[test]
fn r73_r74_r251_spmsg_c_and_nng_over_wss() {
    secure_matrix(Wire::Wss, Peer::SpmsgC, Peer::Nng);
}

#[test]
fn r73_r74_r251_spmsg_rust_and_nng_over_wss() {
    secure_matrix(Wire::Wss, Peer::SpmsgRust, Peer::Nng);
}

#[test]
fn r73_r74_spmsg_c_and_spmsg_rust_over_wss() {
    secure_matrix(Wire::Wss, Peer::SpmsgC, Peer::SpmsgRust);
}

/// If this fails, the fault is in the test's own means or in a foreign peer.
#[test]
fn the_foreign_peers_agree() {
    matrix(Peer::Nanomsg, Peer::Mangos);
    matrix(Peer::Nanomsg, Peer::Nng);
    matrix(Peer::Nng, Peer::Mangos);
}
