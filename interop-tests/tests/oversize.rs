//! A message one byte over the receive limit costs its connection, is never delivered, and the next one
//! arrives after the connector came back (R77-R79).

use std::time::Duration;

use interop_tests::Trouble;
use interop_tests::arbiter;
use interop_tests::cell::{Cell, Stage, run_all};
use interop_tests::pattern::Pattern;
use interop_tests::peer::Peer;
use interop_tests::setting::{Scene, Setting};
use interop_tests::talk::{self, Account, Run};

fn too_large(stage: &mut Stage, scene: &mut Scene, setting: &Setting, seed: u64) -> Result<Account, Trouble> {
    let pattern = setting.pattern;
    scene.settle(pattern)?;
    scene.active.order("wait-joined 1 9000")?;
    let before = scene.converse(pattern, &Run::short(seed))?;
    let over = Run { seed: seed ^ 0x0ff0, count: 1, sizes: vec![pattern.largest_body(0) + 1] };
    scene.active.order(&over.command("burst", 0, 1, Duration::from_secs(5)))?;
    see_refusal(scene, setting)?;
    if !setting.active.sends_well_after_refusal(pattern) {
        scene.replace(stage, setting, true)?;
    }
    if setting.active_binds && !setting.passive.connects_well_after_oversize() {
        go_on_with_another(stage, setting, scene, seed)?;
    }
    scene.settle(pattern)?;
    let after = scene.converse(pattern, &Run::full(pattern, 0, seed ^ 0xbeef))?;
    Ok(before.plus(after))
}

/// The connection was closed: there is another one in its place, or, with a sender that does not always come
/// back, none. Where it stays usable the old one must be gone, or messages may be lost in it.
fn see_refusal(scene: &mut Scene, setting: &Setting) -> Result<(), Trouble> {
    if setting.pattern != Pattern::ReqRep && setting.active.sends_well_after_refusal(setting.pattern) {
        let is_deaf = setting.active_binds && !setting.passive.connects_well_after_oversize();
        let what = if is_deaf { "wait-joined" } else { "wait-rejoined" };
        return scene.active.order(&format!("{what} 2 9000")).map(drop);
    }
    let answer = scene.active.request("wait-joined 2 4000")?;
    let is_gone = !setting.active.sends_well_after_refusal(setting.pattern) && answer.contains(" 0 now");
    if answer == "ok" || is_gone { Ok(()) } else { Err(format!("the refusal is not seen: {answer}")) }
}

/// The refusal is seen; that this sender goes on is shown with a receiver that is able to come back. A REQ
/// must forget the oversize request first, or it would be asked again and spoil the new one too (R137,
/// R142).
fn go_on_with_another(
    stage: &mut Stage,
    setting: &Setting,
    scene: &mut Scene,
    seed: u64,
) -> Result<(), Trouble> {
    let instead = Run { seed: seed ^ 0x0a0a, count: 1, sizes: vec![77] };
    if setting.pattern == Pattern::ReqRep {
        scene.active.order(&instead.command("burst", 0, 1, Duration::from_secs(5)))?;
    }
    scene.replace(stage, setting, false)?;
    if setting.pattern == Pattern::ReqRep {
        talk::answer_pending(&mut scene.active, &mut scene.passive, &instead)?;
    }
    Ok(())
}

/// The same for answers: the asker refuses one that is too large. A REQ then asks again over its next
/// connection (R142), and takes the right answer; a survey is over.
fn too_large_answer(
    stage: &mut Stage,
    scene: &mut Scene,
    setting: &Setting,
    seed: u64,
) -> Result<Account, Trouble> {
    let pattern = setting.pattern;
    scene.settle(pattern)?;
    let before = scene.converse(pattern, &Run::short(seed))?;
    let pending = Run { seed: seed ^ 0x0a0a, count: 1, sizes: vec![77] };
    scene.active.order(&pending.command("burst", 0, 1, Duration::from_secs(5)))?;
    let question = scene.passive.request("recv 5000")?;
    if !question.starts_with("msg 77 ") {
        return Err(format!("the question did not come: {question}"));
    }
    let over = Run { seed: seed ^ 0x0ff0, count: 1, sizes: vec![pattern.largest_body(0) + 1] };
    scene.passive.order(&over.command("burst", 0, 1, Duration::from_secs(5)))?;
    scene.passive.order("wait-joined 2 9000")?;
    if !setting.active_binds && !setting.active.connects_well_after_oversize() {
        scene.replace(stage, setting, true)?;
    } else if pattern == Pattern::ReqRep {
        talk::answer_pending(&mut scene.active, &mut scene.passive, &pending)?;
    }
    scene.settle(pattern)?;
    let after = scene.converse(pattern, &Run::full(pattern, 0, seed ^ 0xbeef))?;
    Ok(before.plus(after))
}

type Play = fn(&mut Stage, &mut Scene, &Setting, u64) -> Result<Account, Trouble>;

fn cell(setting: Setting, seed: u64, play: Play) -> Cell {
    Cell::new(setting.name(), move |stage| {
        arbiter::play(stage, &setting, |stage, scene| play(stage, scene, &setting, seed))
    })
}

fn oversize_answers(one: Peer, two: Peer) {
    Peer::require(&[one, two]);
    let cells = Setting::all_both_roles(one, two)
        .into_iter()
        .filter(|setting| matches!(setting.pattern, Pattern::ReqRep | Pattern::Survey))
        .filter(|setting| setting.connector().connects_again(setting.wire))
        .filter(|setting| setting.active_binds || setting.active.limits_fragments(setting.wire))
        .zip(1_u64..)
        .map(|(setting, seed)| cell(setting, seed, too_large_answer))
        .collect();
    run_all(&format!("an answer of one byte too many: {} and {}", one.name(), two.name()), cells);
}

fn oversize(one: Peer, two: Peer) {
    Peer::require(&[one, two]);
    let cells = Setting::all_both_roles(one, two)
        .into_iter()
        .filter(|setting| setting.connector().connects_again(setting.wire))
        .filter(|setting| !setting.active_binds || setting.passive.limits_fragments(setting.wire))
        .zip(1_u64..)
        .map(|(setting, seed)| cell(setting, seed, too_large))
        .collect();
    run_all(&format!("one byte too many: {} and {}", one.name(), two.name()), cells);
}

#[test]
fn r77_r78_r79_one_byte_too_many_between_spmsg_c_and_nanomsg() {
    oversize(Peer::SpmsgC, Peer::Nanomsg);
}

#[test]
fn r77_r78_r79_one_byte_too_many_between_spmsg_rust_and_nanomsg() {
    oversize(Peer::SpmsgRust, Peer::Nanomsg);
}

#[test]
fn r77_r78_r79_one_byte_too_many_between_spmsg_c_and_mangos() {
    oversize(Peer::SpmsgC, Peer::Mangos);
}

#[test]
fn r77_r78_r79_one_byte_too_many_between_spmsg_rust_and_mangos() {
    oversize(Peer::SpmsgRust, Peer::Mangos);
}

#[test]
fn r77_r78_r79_one_byte_too_many_between_spmsg_c_and_nng() {
    oversize(Peer::SpmsgC, Peer::Nng);
}

#[test]
fn r77_r78_r79_one_byte_too_many_between_spmsg_rust_and_nng() {
    oversize(Peer::SpmsgRust, Peer::Nng);
}

#[test]
fn r77_r78_r142_answers_of_one_byte_too_many_from_and_to_spmsg_c() {
    for foreign in Peer::FOREIGN {
        oversize_answers(Peer::SpmsgC, foreign);
    }
}

#[test]
fn r77_r78_r142_answers_of_one_byte_too_many_from_and_to_spmsg_rust() {
    for foreign in Peer::FOREIGN {
        oversize_answers(Peer::SpmsgRust, foreign);
    }
}
