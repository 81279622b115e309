//! One side is killed without warning and started again, bound or connecting, ours or theirs: the other one
//! is left alone and the conversation goes on (R230, R235). A request that a dead replier had taken is asked
//! again (R142); a reply to a requester that died is dropped (R160).

use std::time::Duration;

use interop_tests::Trouble;
use interop_tests::arbiter;
use interop_tests::cell::{Cell, Stage, run_all};
use interop_tests::pattern::Pattern;
use interop_tests::peer::Peer;
use interop_tests::puppet::Puppet;
use interop_tests::setting::{Scene, Setting};
use interop_tests::talk::{self, Account, Run};

const REPLY_TIME: Duration = Duration::from_secs(15);

fn killed_and_restarted(
    stage: &mut Stage,
    scene: &mut Scene,
    setting: &Setting,
    is_active: bool,
    seed: u64,
) -> Result<Account, Trouble> {
    let pattern = setting.pattern;
    scene.settle(pattern)?;
    let mut account = scene.converse(pattern, &Run::short(seed))?;
    let pending = Run { seed: seed ^ 0x0a0a, count: 1, sizes: vec![77] };
    if pattern == Pattern::ReqRep {
        ask_and_leave_open(scene, &pending)?;
    }
    scene.replace(stage, setting, is_active)?;
    if pattern == Pattern::ReqRep {
        settle_open_request(scene, is_active, &pending)?;
    }
    scene.settle(pattern)?;
    account = account.plus(scene.converse(pattern, &Run::full(pattern, 0, seed ^ 0xbeef))?);
    if account.resent == 0 {
        talk::expect_silence(pattern, &mut scene.active, &mut scene.passive)?;
    }
    Ok(account)
}

/// A request is sent and received, and not answered yet.
fn ask_and_leave_open(scene: &mut Scene, pending: &Run) -> Result<(), Trouble> {
    scene.active.order(&pending.command("burst", 0, 1, REPLY_TIME))?;
    expect_message(&mut scene.passive, 77)
}

fn expect_message(puppet: &mut Puppet, len: usize) -> Result<(), Trouble> {
    let answer = puppet.request("recv 5000")?;
    if answer.starts_with(&format!("msg {len} ")) {
        return Ok(());
    }
    Err(format!("wanted a message of {len} bytes, got {answer}"))
}

/// A REQ asks the restarted REP again and gets its answer; a REP's answer to a dead REQ succeeds and goes
/// nowhere.
fn settle_open_request(scene: &mut Scene, active_died: bool, pending: &Run) -> Result<(), Trouble> {
    if active_died {
        return scene.passive.order("send 6c617465 5000").map(drop);
    }
    talk::answer_pending(&mut scene.active, &mut scene.passive, pending)
}

fn restart(ours: Peer, foreign: Peer, ours_dies: bool) {
    Peer::require(&[ours, foreign]);
    let cells = Setting::all(ours, foreign)
        .into_iter()
        .filter(|s| !ours_dies || s.connector().is_ours() || s.connector().connects_again(s.wire))
        .zip(1_u64..)
        .map(|(setting, seed)| {
            let is_active = setting.active.is_ours() == ours_dies;
            Cell::new(setting.name(), move |stage| {
                arbiter::play(stage, &setting, |stage, scene| {
                    killed_and_restarted(stage, scene, &setting, is_active, seed)
                })
            })
        })
        .collect();
    let dies = if ours_dies { ours } else { foreign };
    let column = format!("{} and {}, {} dies", ours.name(), foreign.name(), dies.name());
    run_all(&format!("killed and restarted: {column}"), cells);
}

#[test]
fn r142_r160_r230_r235_nanomsg_killed_and_restarted_under_spmsg_c() {
    restart(Peer::SpmsgC, Peer::Nanomsg, false);
}

#[test]
fn r142_r160_r230_r235_nanomsg_killed_and_restarted_under_spmsg_rust() {
    restart(Peer::SpmsgRust, Peer::Nanomsg, false);
}

#[test]
fn r142_r160_r230_r235_nng_killed_and_restarted_under_spmsg_c() {
    restart(Peer::SpmsgC, Peer::Nng, false);
}

#[test]
fn r142_r160_r230_r235_nng_killed_and_restarted_under_spmsg_rust() {
    restart(Peer::SpmsgRust, Peer::Nng, false);
}

#[test]
fn r142_r160_r230_r235_mangos_killed_and_restarted_under_spmsg_c() {
    restart(Peer::SpmsgC, Peer::Mangos, false);
}

#[test]
fn r142_r160_r230_r235_mangos_killed_and_restarted_under_spmsg_rust() {
    restart(Peer::SpmsgRust, Peer::Mangos, false);
}

#[test]
fn spmsg_c_killed_and_restarted_under_foreign_peers() {
    for foreign in Peer::FOREIGN {
        restart(Peer::SpmsgC, foreign, true);
    }
}

#[test]
fn spmsg_rust_killed_and_restarted_under_foreign_peers() {
    for foreign in Peer::FOREIGN {
        restart(Peer::SpmsgRust, foreign, true);
    }
}
