//! inproc: sockets of one process, paired by name; messages move from socket to socket, uncopied.
//!
//! It is synchronous: when bind or connect returns, what can be paired is paired; when a send returns, the message is
//! at the receiver. The caller's thread does all of it, one socket's lock at a time, through [`Job`]s.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;

use crate::engine::{Core, EndpointInfo, Job, Jobs, Link, process};

mod blocks;
mod lane;

use blocks::Blocks;
use lane::channel;
pub(crate) use lane::{End, Mail};

/// A name, compared byte for byte (R82).
pub(crate) type Name = [u8];

/// Who is bound to which name, and who wants to be connected.
#[derive(Default)]
pub(crate) struct Registry {
    names: Mutex<HashMap<Arc<Name>, Partners>>,
    /// Of all channels; goes with the last one.
    blocks: Mutex<Weak<Blocks>>,
}

#[derive(Default)]
struct Partners {
    bound: Option<(Arc<Core>, EndpointInfo)>,
    connectors: Vec<Connector>,
}

struct Connector {
    core: Arc<Core>,
    endpoint: EndpointInfo,
    paired: bool,
}

/// Binds `core` to `name`. False when the name is taken (R84).
pub(crate) fn bind(core: &Arc<Core>, endpoint: EndpointInfo, name: &Arc<Name>, jobs: &mut Jobs) -> bool {
    let mut names = process().inproc.names.lock();
    let partners = names.entry(Arc::clone(name)).or_default();
    if partners.bound.is_some() {
        return false;
    }
    partners.bound = Some((Arc::clone(core), endpoint));
    jobs.push(Job::Pair(Arc::clone(name)));
    true
}

/// Has `core` paired with whoever is or will be bound to `name` (R83).
pub(crate) fn connect(core: &Arc<Core>, endpoint: EndpointInfo, name: &Arc<Name>, jobs: &mut Jobs) {
    let mut names = process().inproc.names.lock();
    let connector = Connector { core: Arc::clone(core), endpoint, paired: false };
    names.entry(Arc::clone(name)).or_default().connectors.push(connector);
    jobs.push(Job::Pair(Arc::clone(name)));
}

/// Forgets an endpoint; its pipes are let go by the socket.
pub(crate) fn forget(core: &Arc<Core>, endpoint: EndpointInfo, name: &Arc<Name>) {
    let mut names = process().inproc.names.lock();
    let Some(partners) = names.get_mut(name) else { return };
    let is_it = |other: &Arc<Core>, info: &EndpointInfo| Arc::ptr_eq(other, core) && info.id == endpoint.id;
    let removed = partners.bound.take_if(|(other, info)| is_it(other, info));
    let (gone, kept) = std::mem::take(&mut partners.connectors)
        .into_iter()
        .partition::<Vec<_>, _>(|connector| is_it(&connector.core, &connector.endpoint));
    partners.connectors = kept;
    if partners.bound.is_none() && partners.connectors.is_empty() {
        names.remove(name);
    }
    // A core that dies here must not do so under the lock.
    drop(names);
    drop((removed, gone));
}

/// Pairs the connectors of `name` that wait with whoever is bound to it.
pub(crate) fn pair(name: &Arc<Name>, now: Instant, jobs: &mut Jobs) {
    // Each waiting connector is tried once: one that is refused waits until something changes.
    let mut tried: Vec<(*const Core, u32)> = Vec::new();
    while let Some((bound, connector)) = claim(name, &mut tried) {
        if !attach(name, &bound, &connector, now, jobs) {
            set_paired(name, &connector, false);
        }
    }
}

type Party = (Arc<Core>, EndpointInfo);

/// The bound socket and a connector that is not paired, marked as paired.
fn claim(name: &Arc<Name>, tried: &mut Vec<(*const Core, u32)>) -> Option<(Party, Party)> {
    let mut names = process().inproc.names.lock();
    let partners = names.get_mut(name)?;
    let (bound, info) = partners.bound.as_ref()?;
    let connector = partners.connectors.iter_mut().find(|connector| {
        // A wrong peer type is never connected, and nobody is told (R85).
        let fits = connector.core.protocol().peer() == bound.protocol();
        !connector.paired && fits && !tried.contains(&(Arc::as_ptr(&connector.core), connector.endpoint.id))
    })?;
    connector.paired = true;
    tried.push((Arc::as_ptr(&connector.core), connector.endpoint.id));
    Some(((Arc::clone(bound), *info), (Arc::clone(&connector.core), connector.endpoint)))
}

fn set_paired(name: &Arc<Name>, (core, endpoint): &Party, paired: bool) {
    let mut names = process().inproc.names.lock();
    if let Some(partners) = names.get_mut(name) {
        for connector in &mut partners.connectors {
            if Arc::ptr_eq(&connector.core, core) && connector.endpoint.id == endpoint.id {
                connector.paired = paired;
            }
        }
    }
}

fn blocks() -> Arc<Blocks> {
    let mut shared = process().inproc.blocks.lock();
    shared.upgrade().unwrap_or_else(|| {
        let blocks = Arc::<Blocks>::default();
        *shared = Arc::downgrade(&blocks);
        blocks
    })
}

/// Makes a channel between two sockets; false when either refuses.
fn attach(name: &Arc<Name>, bound: &Party, connector: &Party, now: Instant, jobs: &mut Jobs) -> bool {
    let ends = channel(name, bound, connector);
    let Ok(first) = bound.0.attach(Link::Inproc(ends[0].clone()), bound.1, now, jobs) else {
        return false;
    };
    ends[0].is_pipe(first);
    let Ok(second) = connector.0.attach(Link::Inproc(ends[1].clone()), connector.1, now, jobs) else {
        bound.0.retract(first, now, jobs);
        return false;
    };
    ends[1].is_pipe(second);
    bound.0.count_inproc(true);
    connector.0.count_inproc(false);
    // What either sent while the other was not there yet.
    jobs.extend(ends.map(Job::Pump));
    // Room that was made before both knew what the other calls the pipe was announced to nobody.
    jobs.push(Job::Writable(Arc::clone(&bound.0), first));
    jobs.push(Job::Writable(Arc::clone(&connector.0), second));
    true
}

/// Hands what lies in the lane of `end` to the socket there.
pub(crate) fn pump(end: &End, jobs: &mut Jobs) {
    if let Some(pipe) = end.pipe() {
        end.core().deliver_lane(pipe, end, jobs);
    }
}

/// The socket at the other end let go: so does this one, after what was sent to it.
pub(crate) fn peer_gone(end: &End, jobs: &mut Jobs) {
    pump(end, jobs);
    let Some(pipe) = end.pipe() else { return };
    if end.core().detach(pipe, Instant::now(), jobs) {
        end.core().inproc_unpaired(end.info());
    }
    // The connecting side waits for a partner again, and others may now fit.
    let (name, peer) = (end.name(), end.peer());
    set_paired(name, &(Arc::clone(end.core()), end.info()), false);
    set_paired(name, &(Arc::clone(peer.core()), peer.info()), false);
    jobs.push(Job::Pair(Arc::clone(name)));
}
