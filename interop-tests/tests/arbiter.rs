//! What is blamed on nng must be nng's: an nng that works is never taken for one that hangs.

use std::cell::Cell;

use interop_tests::arbiter::play;
use interop_tests::cell::Stage;
use interop_tests::pattern::Pattern;
use interop_tests::peer::Peer;
use interop_tests::place::Wire;
use interop_tests::setting::Setting;
use interop_tests::talk::Account;

fn with_nng(wire: Wire) -> Setting {
    let all = Setting::all_over(wire, Peer::SpmsgRust, Peer::Nng).into_iter();
    let mut pairs = all.filter(|s| s.pattern == Pattern::Pair && s.connector() == Peer::Nng);
    pairs.next().unwrap_or_else(|| panic!("no such setting over {}", wire.name()))
}

/// Were it believed to hang, it would be played again, and pass.
#[test]
fn a_failure_stands_if_nng_comes_back() {
    Peer::require(&[Peer::SpmsgRust, Peer::Nng]);
    for wire in [Wire::Tcp, Wire::Ipc, Wire::Ws] {
        let calls = Cell::new(0);
        let played = play(&mut Stage::default(), &with_nng(wire), |_, scene| {
            scene.settle(Pattern::Pair)?;
            calls.set(calls.get() + 1);
            if calls.get() == 1 { Err("ours".to_owned()) } else { Ok(Account::default()) }
        });
        assert_eq!(played.err().as_deref(), Some("ours"), "{}", wire.name());
        assert_eq!(calls.get(), 1);
    }
}

/// A process that is gone connects as little as one that hangs.
#[test]
fn an_nng_that_hangs_is_replaced_and_the_cell_played_again() {
    Peer::require(&[Peer::SpmsgRust, Peer::Nng]);
    let setting = with_nng(Wire::Tcp);
    let calls = Cell::new(0);
    let played = play(&mut Stage::default(), &setting, |_, scene| {
        scene.settle(Pattern::Pair)?;
        calls.set(calls.get() + 1);
        if calls.get() > 1 {
            return Ok(Account::default());
        }
        let nng = if setting.active_binds { &mut scene.passive } else { &mut scene.active };
        nng.kill()?;
        Err("it hangs".to_owned())
    });
    assert_eq!(played.map(|account| account.again), Ok(1));
    assert_eq!(calls.get(), 2);
}
