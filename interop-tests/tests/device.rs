//! Devices: a foreign one between two of our sockets, ours between two foreign sockets, for every pattern,
//! and a hub on one raw BUS socket (R219, R224-R226).

use interop_tests::Trouble;
use interop_tests::cell::{Cell, Stage, run_all};
use interop_tests::pattern::Pattern;
use interop_tests::peer::Peer;
use interop_tests::place::{Place, Wire};
use interop_tests::puppet::Puppet;
use interop_tests::talk::{self, Account, Run};

/// Open the device's two raw sockets: the front is the active side's peer, the back the passive side's.
fn open_device(device: &mut Puppet, pattern: Pattern, front: &Place, back: &Place) -> Result<(), Trouble> {
    let (active, passive) = pattern.types();
    device.order(&format!("open {passive} raw"))?;
    if pattern == Pattern::PubSub {
        device.order("opt subscribe -")?; // a raw SUB filters too (R184)
    }
    device.order(&format!("bind {}", front.address()))?;
    device.order(&format!("open {active} raw"))?;
    device.order(&format!("bind {}", back.address()))?;
    device.order("device 0 1").map(drop)
}

fn through_device(
    stage: &mut Stage,
    pattern: Pattern,
    device: Peer,
    ends: (Peer, Peer),
    wires: (Wire, Wire),
    seed: u64,
) -> Result<Account, Trouble> {
    let (front, back) = (Place::reserve(wires.0)?, Place::reserve(wires.1)?);
    let mut middle = stage.spawn(device, "device")?;
    open_device(&mut middle, pattern, &front, &back)?;
    let mut active = stage.spawn(ends.0, pattern.types().0)?;
    let mut passive = stage.spawn(ends.1, pattern.types().1)?;
    talk::open(pattern, &mut active, &mut passive)?;
    passive.order(&format!("connect {}", back.address()))?;
    active.order(&format!("connect {}", front.address()))?;
    if pattern == Pattern::Survey {
        passive.order("wait-pipes 1 9000")?;
    }
    talk::settle(pattern, &mut active, &mut passive)?;
    let account = talk::converse(pattern, &mut active, &mut passive, &Run::full(pattern, 1, seed))?;
    if account.resent == 0 {
        talk::expect_silence(pattern, &mut active, &mut passive)?;
    }
    Ok(account)
}

/// One raw BUS socket in loop-back: what one member says reaches the other and never comes back to its
/// origin.
fn through_hub(stage: &mut Stage, hub: Peer, ends: (Peer, Peer), seed: u64) -> Result<Account, Trouble> {
    let place = Place::reserve(Wire::Tcp)?;
    let mut middle = stage.spawn(hub, "hub")?;
    middle.order("open bus raw")?;
    middle.order(&format!("bind {}", place.address()))?;
    middle.order("device 0")?;
    let (mut one, mut two) = (stage.spawn(ends.0, "one")?, stage.spawn(ends.1, "two")?);
    talk::open(Pattern::Bus, &mut one, &mut two)?;
    one.order(&format!("connect {}", place.address()))?;
    two.order(&format!("connect {}", place.address()))?;
    talk::settle(Pattern::Bus, &mut one, &mut two)?;
    let account = talk::converse(Pattern::Bus, &mut one, &mut two, &Run::full(Pattern::Bus, 1, seed))?;
    if account.resent == 0 {
        talk::expect_silence(Pattern::Bus, &mut one, &mut two)?;
    }
    Ok(account)
}

fn devices(device: Peer, ends: (Peer, Peer)) {
    Peer::require(&[device, ends.0, ends.1]);
    let between = format!("between {} and {}", ends.0.name(), ends.1.name());
    let mut cells = Vec::new();
    let all_speak = |p: &Pattern| [device, ends.0, ends.1].iter().all(|peer| peer.speaks(*p));
    for (pattern, seed) in Pattern::ALL.into_iter().filter(all_speak).zip(1_u64..) {
        for wires in Wire::ALL.iter().map(|wire| (*wire, Wire::Tcp)) {
            let types = pattern.types();
            let name = format!("{}-{} {} {}", wires.0.name(), wires.1.name(), types.0, types.1);
            cells.push(Cell::new(name, move |stage: &mut Stage| {
                through_device(stage, pattern, device, ends, wires, seed)
            }));
        }
    }
    cells.push(Cell::new("tcp bus hub", move |stage: &mut Stage| through_hub(stage, device, ends, 99)));
    run_all(&format!("devices: {} {between}", device.name()), cells);
}

#[test]
fn r219_r224_r225_r226_a_device_of_nanomsg_between_ours() {
    devices(Peer::Nanomsg, (Peer::SpmsgC, Peer::SpmsgC));
    devices(Peer::Nanomsg, (Peer::SpmsgRust, Peer::SpmsgRust));
}

#[test]
fn r130_r219_r224_r225_r226_a_device_of_nng_between_ours() {
    devices(Peer::Nng, (Peer::SpmsgC, Peer::SpmsgC));
    devices(Peer::Nng, (Peer::SpmsgRust, Peer::SpmsgRust));
}

#[test]
fn r130_r219_r224_r225_r226_a_device_of_mangos_between_ours() {
    devices(Peer::Mangos, (Peer::SpmsgC, Peer::SpmsgC));
    devices(Peer::Mangos, (Peer::SpmsgRust, Peer::SpmsgRust));
}

/// Every two of the foreign ones, each in one of the two parts once.
fn our_device(device: Peer) {
    devices(device, (Peer::Nanomsg, Peer::Mangos));
    devices(device, (Peer::Mangos, Peer::Nng));
    devices(device, (Peer::Nng, Peer::Nanomsg));
}

#[test]
fn r219_r224_r225_r226_our_device_between_foreign_sockets() {
    our_device(Peer::SpmsgC);
}

#[test]
fn r130_r219_r224_r225_r226_our_rust_device_between_foreign_sockets() {
    our_device(Peer::SpmsgRust);
}
