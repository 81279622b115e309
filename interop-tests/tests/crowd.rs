//! One socket of ours with three peers at once, a nanomsg, an nng and a mangos, for every pattern that takes
//! several: it binds and they connect, or it connects to three that bind. What is spread comes to exactly
//! one, what is published comes to all, what comes in comes from all, and every answer finds its asker
//! (R114, R116, R156, R172, R190, R206).

use interop_tests::cell::{Cell, Stage, run_all};
use interop_tests::crowd::Plan;
use interop_tests::pattern::Pattern;
use interop_tests::peer::Peer;
use interop_tests::place::Wire;

fn crowds(hub: Peer) {
    Peer::require(&[hub]);
    Peer::require(&Peer::FOREIGN);
    let mut cells = Vec::new();
    for wire in Wire::ALL.iter().copied() {
        for pattern in Pattern::ALL {
            let roles: &[bool] = match pattern {
                Pattern::Pair | Pattern::Pair1 => &[],
                Pattern::Bus => &[true],
                _ => &[true, false],
            };
            for (hub_is_active, hub_binds) in roles.iter().flat_map(|a| [(*a, true), (*a, false)]) {
                let plan = Plan { pattern, hub, hub_is_active, hub_binds, wire };
                let seed = cells.len() as u64 + 1;
                cells.push(Cell::new(plan.name(), move |stage: &mut Stage| plan.run(stage, seed)));
            }
        }
    }
    run_all(&format!("three at once: {}", hub.name()), cells);
}

#[test]
fn three_foreign_peers_at_once_around_spmsg_c() {
    crowds(Peer::SpmsgC);
}

#[test]
fn three_foreign_peers_at_once_around_spmsg_rust() {
    crowds(Peer::SpmsgRust);
}
