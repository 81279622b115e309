//! inproc: sockets of one process, paired by name; messages move from socket to socket, uncopied.
//!
//! It is synchronous: when bind or connect returns, what can be paired is paired; when a send returns, the message is
//! at the receiver. The caller's thread does all of it, one socket's lock at a time, through [`Job`]s.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::Mutex;

use crate::engine::{Core, Credit, EndpointInfo, Job, Jobs, Link, Room, process};
use crate::limits::EMPTY_MESSAGE_CHARGE_BYTES;
use crate::message::Message;
use crate::protocol::PipeId;

/// A name, compared byte for byte (R82).
pub(crate) type Name = [u8];

/// Who is bound to which name, and who wants to be connected.
#[derive(Default)]
pub(crate) struct Registry {
    names: Mutex<HashMap<Arc<Name>, Partners>>,
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

/// Two lanes, one for each direction.
struct Channel {
    sides: [Side; 2],
}

struct Side {
    core: Arc<Core>,
    endpoint: EndpointInfo,
    name: Arc<Name>,
    pipe: OnceLock<PipeId>,
    /// What was sent to this side; a leaf lock.
    lane: Mutex<Lane>,
}

struct Lane {
    queue: VecDeque<Message>,
    /// Counts what the socket's pattern holds as well, until the application takes it.
    credit: Credit,
}

/// One end of a channel, as the socket there sees it.
#[derive(Clone)]
pub(crate) struct End {
    channel: Arc<Channel>,
    side: usize,
}

impl End {
    /// An end that belongs to no socket's table, for tests of the table itself.
    #[cfg(test)]
    pub(crate) fn loose() -> End {
        use crate::options::Options;
        use crate::protocol::{Mode, Priorities, Protocol};
        let side = || {
            let core = Core::new(Protocol::Pair, Mode::Cooked, Options::default(), None);
            let endpoint = EndpointInfo { id: 1, priorities: Priorities { send: 8, recv: 8 } };
            let lane = Mutex::new(Lane { queue: VecDeque::new(), credit: Credit::new(1) });
            Side { core, endpoint, name: b"loose"[..].into(), pipe: OnceLock::new(), lane }
        };
        End { channel: Arc::new(Channel { sides: [side(), side()] }), side: 0 }
    }

    fn here(&self) -> &Side {
        &self.channel.sides[self.side]
    }

    /// The other end.
    fn peer(&self) -> End {
        End { channel: Arc::clone(&self.channel), side: 1 - self.side }
    }

    /// Sends towards the other end; called under this end's socket's lock.
    pub(crate) fn push(&self, mut message: Message, jobs: &mut Jobs) -> Room {
        // Of no meaning here, and not to be mistaken for the next WebSocket's.
        message.set_ws_type(None);
        let peer = self.peer();
        let full = {
            let mut lane = peer.here().lane.lock();
            let full = lane.credit.charge(charge(message.payload_len()));
            lane.queue.push_back(message);
            full
        };
        jobs.push(Job::Pump(peer));
        if full { Room::Full } else { Room::Free }
    }

    /// The application at this end took a message of `bytes`; called under this end's socket's lock.
    pub(crate) fn release(&self, bytes: usize, jobs: &mut Jobs) {
        if self.here().lane.lock().credit.release(charge(bytes)) {
            let peer = self.peer();
            if let Some(pipe) = peer.here().pipe.get() {
                jobs.push(Job::Writable(Arc::clone(&peer.here().core), *pipe));
            }
        }
    }

    /// Bytes that wait at this end for the application.
    pub(crate) fn waiting(&self) -> usize {
        self.here().lane.lock().credit.waiting()
    }

    /// The endpoint that this end belongs to.
    pub(crate) fn endpoint(&self) -> u32 {
        self.here().endpoint.id
    }

    /// This end's socket has let go of the pipe: tells the other.
    pub(crate) fn leave(&self, jobs: &mut Jobs) {
        jobs.push(Job::PeerGone(self.peer()));
    }
}

/// Empty messages count too, or they could fill the memory.
fn charge(bytes: usize) -> usize {
    bytes.max(EMPTY_MESSAGE_CHARGE_BYTES)
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

/// Makes a channel between two sockets; false when either refuses.
fn attach(name: &Arc<Name>, bound: &Party, connector: &Party, now: Instant, jobs: &mut Jobs) -> bool {
    let side = |(core, endpoint): &Party| Side {
        core: Arc::clone(core),
        endpoint: *endpoint,
        name: Arc::clone(name),
        pipe: OnceLock::new(),
        lane: Mutex::new(Lane { queue: VecDeque::new(), credit: Credit::new(core.buffer_bounds().1) }),
    };
    let channel = Arc::new(Channel { sides: [side(bound), side(connector)] });
    let ends = [0, 1].map(|side| End { channel: Arc::clone(&channel), side });
    let Ok(first) = bound.0.attach(Link::Inproc(ends[0].clone()), bound.1, now, jobs) else {
        return false;
    };
    let _ = channel.sides[0].pipe.set(first);
    let Ok(second) = connector.0.attach(Link::Inproc(ends[1].clone()), connector.1, now, jobs) else {
        bound.0.retract(first, now, jobs);
        return false;
    };
    let _ = channel.sides[1].pipe.set(second);
    bound.0.count_inproc(true);
    connector.0.count_inproc(false);
    // What either sent while the other was not there yet.
    jobs.extend(ends.map(Job::Pump));
    true
}

/// Hands what lies in the lane of `end` to the socket there.
pub(crate) fn pump(end: &End, jobs: &mut Jobs) {
    let side = end.here();
    if let Some(pipe) = side.pipe.get() {
        side.core.deliver_with(*pipe, jobs, || side.lane.lock().queue.pop_front());
    }
}

/// The socket at the other end let go: so does this one, after what was sent to it.
pub(crate) fn peer_gone(end: &End, jobs: &mut Jobs) {
    pump(end, jobs);
    let side = end.here();
    let Some(pipe) = side.pipe.get() else { return };
    if side.core.detach(*pipe, Instant::now(), jobs) {
        side.core.inproc_unpaired(side.endpoint);
    }
    // The connecting side waits for a partner again, and others may now fit.
    set_paired(&side.name, &(Arc::clone(&side.core), side.endpoint), false);
    let peer = end.peer();
    set_paired(&side.name, &(Arc::clone(&peer.here().core), peer.here().endpoint), false);
    jobs.push(Job::Pair(Arc::clone(&side.name)));
}
