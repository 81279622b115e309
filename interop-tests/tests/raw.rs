//! Raw sockets: ours, theirs, both, for every pattern. The puppets make and read the headers themselves: a
//! raw question carries an id, a raw answer goes back with the header that its question came with, a raw
//! BUS shows which pipe a message came by (R210, R211, R214, R215, R217, R218).

use interop_tests::Trouble;
use interop_tests::cell::{Cell, Stage, run_all};
use interop_tests::peer::Peer;
use interop_tests::setting::Setting;
use interop_tests::talk::{self, Account, Run};

fn conversation(stage: &mut Stage, setting: Setting, seed: u64) -> Result<Account, Trouble> {
    let pattern = setting.pattern;
    let mut scene = setting.begin(stage)?;
    scene.settle(pattern)?;
    let account = scene.converse(pattern, &Run::one_turn(pattern, seed))?;
    if account.resent == 0 {
        talk::expect_silence(pattern, &mut scene.active, &mut scene.passive)?;
    }
    Ok(account)
}

/// Who binds has no part in this: each setting has one of the two ways, in turn.
fn raw(ours: Peer, foreign: Peer) {
    Peer::require(&[ours, foreign]);
    let settings = Setting::all(ours, foreign).into_iter().enumerate();
    let cells = settings
        .filter(|(i, _)| matches!(i % 4, 0 | 3))
        .flat_map(|(_, s)| [s.with_raw(true, false), s.with_raw(false, true), s.with_raw(true, true)])
        .zip(1_u64..)
        .map(|(setting, seed)| Cell::new(setting.name(), move |stage| conversation(stage, setting, seed)))
        .collect();
    run_all(&format!("raw sockets: {} and {}", ours.name(), foreign.name()), cells);
}

#[test]
fn r211_r214_r215_r217_r218_raw_sockets_of_spmsg_c_and_nanomsg() {
    raw(Peer::SpmsgC, Peer::Nanomsg);
}

#[test]
fn r211_r214_r215_r217_r218_raw_sockets_of_spmsg_rust_and_nanomsg() {
    raw(Peer::SpmsgRust, Peer::Nanomsg);
}

#[test]
fn r211_r214_r215_r217_r218_raw_sockets_of_spmsg_c_and_nng() {
    raw(Peer::SpmsgC, Peer::Nng);
}

#[test]
fn r211_r214_r215_r217_r218_raw_sockets_of_spmsg_rust_and_nng() {
    raw(Peer::SpmsgRust, Peer::Nng);
}

#[test]
fn r211_r214_r215_r217_r218_raw_sockets_of_spmsg_c_and_mangos() {
    raw(Peer::SpmsgC, Peer::Mangos);
}

#[test]
fn r211_r214_r215_r217_r218_raw_sockets_of_spmsg_rust_and_mangos() {
    raw(Peer::SpmsgRust, Peer::Mangos);
}
