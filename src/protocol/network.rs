//! An in-memory network for tests: patterns as nodes, bounded links, a clock that moves when told to.
//!
//! It carries out the drain rule as an engine does and checks what an engine relies on: nothing is
//! transmitted to a pipe that is full or gone, and no more bytes are released than were handed in.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::{
    Effects, Mode, OptionRefusal, Pattern, PatternOption, PipeId, Plain, Priorities, Protocol, Readiness,
    RecvRefusal, Refused, Rejected, SendRefusal, create,
};
use crate::frames::Frames;
use crate::limits::{FRAMES_KEEP_BYTES, PRIORITY_DEFAULT};
use crate::message::Message;

/// Messages a link holds per direction unless told otherwise.
const CAPACITY: usize = 4;
/// Bytes of a pipe that wait in a pattern before the network stops reading from that pipe.
const HELD_BOUND_BYTES: usize = 1024;
/// More timers than this within one step of the clock are a loop.
const TIMERS_BOUND: usize = 10_000;
/// The seed of nodes: the first id is the one after it.
pub(super) const SEED: u32 = 0x1234_5678;

pub(super) const SAME: Priorities = Priorities { send: PRIORITY_DEFAULT, recv: PRIORITY_DEFAULT };

/// How a message looks on arrival, and which of an engine's ways it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carriage {
    /// Everything is in the body, and it goes the short ways: blocks, bodies that are not made messages of.
    Wire,
    /// Header and body as they were sent.
    Inproc,
}

impl Carriage {
    pub(super) const BOTH: [Carriage; 2] = [Carriage::Wire, Carriage::Inproc];
}

/// More messages with these bytes than a lane keeps memory for arrive on one pipe and are taken, and nobody looks at the
/// last any more.
pub(super) fn burst(pattern: &mut dyn Pattern, bytes: &[u8]) {
    let (mut fx, now, pipe) = (Effects::default(), Instant::now(), PipeId::new(0, 1));
    pattern.handle_attach(&mut fx, now, pipe, SAME).expect("the first pipe is welcome");
    for _ in 0..FRAMES_KEEP_BYTES {
        pattern.handle_message(&mut fx, now, pipe, Message::copy_from_slice(bytes));
    }
    // Not once more than there are messages: that would tidy up as well.
    for _ in 0..FRAMES_KEEP_BYTES {
        pattern.recv(&mut fx, now).expect("as many messages as arrived");
    }
    pattern.tidy();
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkId(usize);

pub(super) struct Network {
    now: Instant,
    carriage: Carriage,
    nodes: Vec<Node>,
    links: Vec<Link>,
}

struct Node {
    pattern: Box<dyn Pattern>,
    /// Which link a pipe belongs to, and which of its ends it is.
    pipes: BTreeMap<PipeId, (LinkId, usize)>,
    free_slots: Vec<u32>,
    next_slot: u32,
    next_key: u32,
}

struct Link {
    ends: Option<[(NodeId, PipeId); 2]>,
    /// Index n: what travels to end n.
    lanes: [Lane; 2],
}

struct Lane {
    queue: VecDeque<Message>,
    capacity: usize,
    reading: bool,
    held_bytes: usize,
}

impl Network {
    pub(super) fn new(carriage: Carriage) -> Self {
        Network { now: Instant::now(), carriage, nodes: Vec::new(), links: Vec::new() }
    }

    pub(super) fn add(&mut self, protocol: Protocol, mode: Mode) -> NodeId {
        self.add_pattern(create(protocol, mode, SEED))
    }

    pub(super) fn cooked(&mut self, protocol: Protocol) -> NodeId {
        self.add(protocol, Mode::Cooked)
    }

    pub(super) fn raw(&mut self, protocol: Protocol) -> NodeId {
        self.add(protocol, Mode::Raw)
    }

    /// A peer that shows and sends bytes as they are on the wire.
    pub(super) fn probe(&mut self) -> NodeId {
        self.add_pattern(Box::<Probe>::default())
    }

    fn add_pattern(&mut self, pattern: Box<dyn Pattern>) -> NodeId {
        let node = Node {
            pattern,
            pipes: BTreeMap::new(),
            free_slots: Vec::new(),
            next_slot: 0,
            next_key: PipeId::KEY_MASK - 1,
        };
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }

    pub(super) fn connect(&mut self, a: NodeId, b: NodeId) -> LinkId {
        self.connect_with(a, b, SAME, CAPACITY).expect("both ends accept the pipe")
    }

    /// `prio` holds for both ends, `capacity` in messages for both directions.
    pub(super) fn connect_with(
        &mut self,
        a: NodeId,
        b: NodeId,
        prio: Priorities,
        capacity: usize,
    ) -> Result<LinkId, Refused> {
        let link = LinkId(self.links.len());
        let lane = || Lane { queue: VecDeque::new(), capacity, reading: true, held_bytes: 0 };
        let ends = [a, b].map(|node| (node, self.nodes[node.0].new_pipe()));
        self.links.push(Link { ends: Some(ends), lanes: [lane(), lane()] });
        for (side, (node, pipe)) in ends.into_iter().enumerate() {
            self.nodes[node.0].pipes.insert(pipe, (link, side));
            let now = self.now;
            let attached = self.call(node, |pattern, fx| pattern.handle_attach(fx, now, pipe, prio));
            if let Err(refused) = attached {
                self.nodes[node.0].forget(pipe);
                self.disconnect(link);
                return Err(refused);
            }
        }
        self.pump();
        Ok(link)
    }

    /// Breaks the link; what travels on it is lost.
    pub(super) fn disconnect(&mut self, link: LinkId) {
        let Some(ends) = self.links[link.0].ends.take() else { return };
        for (node, pipe) in ends {
            if self.nodes[node.0].pipes.contains_key(&pipe) {
                self.nodes[node.0].forget(pipe);
                let now = self.now;
                self.call(node, |pattern, fx| pattern.handle_detach(fx, now, pipe));
            }
        }
        self.pump();
    }

    pub(super) fn is_up(&self, link: LinkId) -> bool {
        self.links[link.0].ends.is_some()
    }

    /// `node` stops reading from the link.
    pub(super) fn stall(&mut self, link: LinkId, node: NodeId) {
        self.set_reading(link, node, false);
    }

    pub(super) fn resume(&mut self, link: LinkId, node: NodeId) {
        self.set_reading(link, node, true);
        self.pump();
    }

    fn set_reading(&mut self, link: LinkId, node: NodeId, reading: bool) {
        let side = self.side(link, node);
        self.links[link.0].lanes[side].reading = reading;
    }

    fn side(&self, link: LinkId, node: NodeId) -> usize {
        let ends = self.links[link.0].ends.expect("the link is up");
        ends.iter().position(|(end, _)| *end == node).expect("the node is an end of the link")
    }

    /// The node's pipe of this link.
    pub(super) fn pipe(&self, link: LinkId, node: NodeId) -> PipeId {
        self.links[link.0].ends.expect("the link is up")[self.side(link, node)].1
    }

    /// Bytes that came over the link to `node` and were not released.
    pub(super) fn held(&self, link: LinkId, node: NodeId) -> usize {
        self.links[link.0].lanes[self.side(link, node)].held_bytes
    }

    pub(super) fn send(&mut self, node: NodeId, message: impl Into<Message>) -> Result<(), SendRefusal> {
        let (mut message, now) = (message.into(), self.now);
        let before = message.clone();
        let short_cut =
            self.carriage == Carriage::Wire && message.is_body_alone() && message.ws_type().is_none();
        let sent = self.call(node, |pattern, fx| {
            if short_cut && let Plain::To(pipe) = pattern.choose_plain(fx, now, message.body()) {
                message.set_header(pattern.plain_header());
                fx.transmit(pipe, message);
                return Ok(());
            }
            pattern.send(fx, now, message)
        });
        self.pump();
        sent.map_err(|rejected| {
            assert_eq!(rejected.message, before, "a refused message comes back unchanged");
            rejected.reason
        })
    }

    pub(super) fn send_with(
        &mut self,
        node: NodeId,
        header: &[u8],
        body: impl Into<Message>,
    ) -> Result<(), SendRefusal> {
        let mut message = body.into();
        message.set_header(header);
        self.send(node, message)
    }

    pub(super) fn recv(&mut self, node: NodeId) -> Result<Message, RecvRefusal> {
        let now = self.now;
        let short_cut = self.carriage == Carriage::Wire;
        let received = self.call(node, |pattern, fx| {
            if !short_cut {
                return pattern.recv(fx, now);
            }
            let mut place = None;
            let taken = pattern.recv_taken(fx, now, &mut place)?;
            let message = taken.into_message();
            if !pattern.readiness().recv {
                pattern.tidy();
            }
            Ok(message)
        });
        self.pump();
        received
    }

    /// The body of the next message, which must be there and have no header.
    pub(super) fn text(&mut self, node: NodeId) -> String {
        let message = self.recv(node).expect("a message waits");
        assert!(message.header().is_empty(), "a header nobody asked for: {message:?}");
        String::from_utf8_lossy(message.body()).into_owned()
    }

    /// The bodies of all messages that wait, joined with spaces.
    pub(super) fn texts(&mut self, node: NodeId) -> String {
        let mut texts = Vec::new();
        while self.readiness(node).recv {
            texts.push(self.text(node));
        }
        texts.join(" ")
    }

    /// Header and body of the next message, which must be there.
    pub(super) fn parts(&mut self, node: NodeId) -> (Vec<u8>, Vec<u8>) {
        let message = self.recv(node).expect("a message waits");
        (message.header().to_vec(), message.body().to_vec())
    }

    pub(super) fn readiness(&self, node: NodeId) -> Readiness {
        self.nodes[node.0].pattern.readiness()
    }

    pub(super) fn send_priority(&self, node: NodeId) -> i64 {
        self.nodes[node.0].pattern.send_priority()
    }

    pub(super) fn next_timeout(&self, node: NodeId) -> Option<Duration> {
        self.nodes[node.0].pattern.next_timeout().map(|due| due.saturating_duration_since(self.now))
    }

    pub(super) fn set(&mut self, node: NodeId, option: PatternOption<'_>) -> Result<(), OptionRefusal> {
        self.call(node, |pattern, fx| pattern.set_option(fx, option))
    }

    /// Moves the clock and fires every timer on the way.
    pub(super) fn advance(&mut self, by: Duration) {
        let target = self.now + by;
        for _ in 0..TIMERS_BOUND {
            let due = |(index, node): (usize, &Node)| Some((node.pattern.next_timeout()?, NodeId(index)));
            let next = self.nodes.iter().enumerate().filter_map(due).min_by_key(|(due, _)| *due);
            let Some((due, node)) = next.filter(|(due, _)| *due <= target) else {
                self.now = target;
                return;
            };
            self.now = self.now.max(due);
            let now = self.now;
            self.call(node, |pattern, fx| pattern.handle_timeout(fx, now));
            self.pump();
        }
        panic!("timers fire without end");
    }

    /// Forwards everything that waits at `from` to `to`, as a device does.
    pub(super) fn relay(&mut self, from: NodeId, to: NodeId) {
        while self.readiness(from).recv {
            let message = self.recv(from).expect("readable means receivable");
            self.send(to, message).expect("the other side of the device can send");
        }
    }

    fn call<R>(&mut self, node: NodeId, work: impl FnOnce(&mut dyn Pattern, &mut Effects) -> R) -> R {
        let mut fx = Effects::default();
        let result = work(self.nodes[node.0].pattern.as_mut(), &mut fx);
        self.drain(node, fx);
        result
    }

    fn drain(&mut self, node: NodeId, fx: Effects) {
        let node = &mut self.nodes[node.0];
        for (pipe, message) in fx.transmit {
            let (link, side) = node.pipes[&pipe];
            let lane = &mut self.links[link.0].lanes[1 - side];
            assert!(lane.queue.len() < lane.capacity, "transmit to a full pipe");
            lane.queue.push_back(message);
            if lane.queue.len() == lane.capacity {
                node.pattern.handle_full(pipe);
            }
        }
        let mut broken = Vec::new();
        for pipe in fx.close {
            broken.extend(node.pipes.get(&pipe).map(|(link, _)| *link));
        }
        for (pipe, bytes) in fx.release {
            // What a pipe left behind is released as well, and counts for nobody here.
            let Some(&(link, side)) = node.pipes.get(&pipe) else { continue };
            let held = &mut self.links[link.0].lanes[side].held_bytes;
            *held = held.checked_sub(bytes).expect("no more is released than was handed in");
        }
        for link in broken {
            self.disconnect(link);
        }
    }

    /// Delivers until nothing moves.
    fn pump(&mut self) {
        while (0..self.links.len()).any(|link| self.deliver(link, 0) || self.deliver(link, 1)) {}
    }

    fn deliver(&mut self, link: usize, side: usize) -> bool {
        let Link { ends: Some(ends), lanes } = &mut self.links[link] else { return false };
        let ((from, from_pipe), (to, to_pipe)) = (ends[1 - side], ends[side]);
        let lane = &mut lanes[side];
        if !lane.reading || lane.held_bytes >= HELD_BOUND_BYTES {
            return false;
        }
        let was_full = lane.queue.len() == lane.capacity;
        let Some(mut message) = lane.queue.pop_front() else { return false };
        if self.carriage == Carriage::Wire {
            message.merge_header();
        }
        lane.held_bytes += message.payload_len();
        let now = self.now;
        if was_full {
            self.call(from, |pattern, fx| pattern.handle_writable(fx, now, from_pipe));
        }
        if self.carriage == Carriage::Inproc {
            self.call(to, |pattern, fx| pattern.handle_message(fx, now, to_pipe, message));
            return true;
        }
        let mut block = Frames::default();
        let payload = message.payload_len();
        block.push(message, payload);
        self.call(to, |pattern, fx| {
            if !pattern.handle_block(fx, to_pipe, &mut block)
                && let Some((taken, _)) = block.pop()
            {
                pattern.handle_message(fx, now, to_pipe, taken.into_message());
            }
        });
        true
    }
}

impl Node {
    fn new_pipe(&mut self) -> PipeId {
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.next_slot += 1;
            self.next_slot - 1
        });
        self.next_key = self.next_key.wrapping_add(1) & PipeId::KEY_MASK;
        PipeId::new(slot, self.next_key)
    }

    fn forget(&mut self, pipe: PipeId) {
        self.pipes.remove(&pipe);
        self.free_slots.push(pipe.slot() as u32);
    }
}

/// A peer without rules: sends to all its pipes what it is told to, and shows whole payloads.
#[derive(Default)]
struct Probe {
    pipes: Vec<PipeId>,
    arrived: VecDeque<(PipeId, Message)>,
}

impl Pattern for Probe {
    fn handle_attach(
        &mut self,
        _: &mut Effects,
        _: Instant,
        pipe: PipeId,
        _: Priorities,
    ) -> Result<(), Refused> {
        self.pipes.push(pipe);
        Ok(())
    }

    fn handle_detach(&mut self, _: &mut Effects, _: Instant, gone: PipeId) {
        self.pipes.retain(|pipe| *pipe != gone);
    }

    fn handle_message(&mut self, fx: &mut Effects, _: Instant, pipe: PipeId, mut message: Message) {
        fx.release(pipe, message.payload_len());
        message.merge_header();
        self.arrived.push_back((pipe, message));
    }

    fn handle_writable(&mut self, _: &mut Effects, _: Instant, _: PipeId) {}

    fn handle_full(&mut self, _: PipeId) {}

    fn handle_timeout(&mut self, _: &mut Effects, _: Instant) {}

    fn send(&mut self, fx: &mut Effects, _: Instant, message: Message) -> Result<(), Rejected> {
        for pipe in &self.pipes {
            fx.transmit(*pipe, message.clone());
        }
        Ok(())
    }

    fn recv(&mut self, _: &mut Effects, _: Instant) -> Result<Message, RecvRefusal> {
        self.arrived.pop_front().map(|(_, message)| message).ok_or(RecvRefusal::Empty)
    }

    fn readiness(&self) -> Readiness {
        Readiness { recv: !self.arrived.is_empty(), send: true }
    }

    fn set_option(&mut self, _: &mut Effects, _: PatternOption<'_>) -> Result<(), OptionRefusal> {
        Err(OptionRefusal::Unknown)
    }
}
