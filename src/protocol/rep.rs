//! REP and RESPONDENT (R152 to R170, R204, R214 to R216): one machine, as a survey differs from a request
//! only in what the asking side does with it.

use std::collections::HashMap;
use std::mem;
use std::time::Instant;

use smallvec::SmallVec;

use super::fair_queue::FairQueue;
use super::pipe_table::PipeTable;
use super::route::{split_stack, stack_len, word_at};
use super::{
    Effects, Mode, OptionRefusal, Pattern, PatternOption, PipeId, Plain, Priorities, Readiness, RecvRefusal,
    Refused, Rejected, SendRefusal, common_option, refuse,
};
use crate::frames::{Frames, Taken};
use crate::limits::{BODY_BY_REFERENCE_BYTES, HEADER_INLINE_BYTES, HEADER_WORD_BYTES, TTL_DEFAULT_WORDS};
use crate::message::Message;

/// The answering side, cooked and raw. Requests wait in the fair queue with their stack as header.
#[derive(Debug)]
pub(super) struct Rep {
    outlets: PipeTable<Outlet>,
    queue: FairQueue,
    max_ttl: u8,
    role: Role,
}

/// Whether a pipe can take an answer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outlet {
    Writable,
    Full,
}

#[derive(Debug)]
enum Role {
    Cooked(Exchange),
    /// Headers carry the pipe's key, so pipes are found by it.
    Raw {
        pipes_by_key: HashMap<u32, PipeId>,
    },
}

/// The conversation of a cooked socket: the request received last, to be answered or abandoned by receiving the next (R158).
/// It survives its pipe, and every receive that fails (R159).
#[derive(Debug, Default)]
struct Exchange {
    /// Whose request it is; nobody's, and sending is refused, once it is answered (R156, R157).
    asked_by: Option<PipeId>,
    /// What goes before the answer.
    stack: SmallVec<[u8; HEADER_INLINE_BYTES]>,
}

impl Exchange {
    /// The request with this stack is received.
    fn begin(&mut self, pipe: PipeId, stack: &[u8]) {
        self.asked_by = Some(pipe);
        self.stack = SmallVec::from_slice(stack);
    }
}

impl Rep {
    pub(super) fn new(mode: Mode) -> Self {
        let role = match mode {
            Mode::Cooked => Role::Cooked(Exchange::default()),
            Mode::Raw => Role::Raw { pipes_by_key: HashMap::new() },
        };
        Rep { outlets: PipeTable::default(), queue: FairQueue::default(), max_ttl: TTL_DEFAULT_WORDS, role }
    }

    fn set_outlet(&mut self, pipe: PipeId, outlet: Outlet) {
        if let Some(entry) = self.outlets.get_mut(pipe) {
            *entry = outlet;
        }
    }

    fn take_in(&mut self, fx: &mut Effects, pipe: PipeId, mut message: Message, charge: usize) {
        if split_stack(&mut message, self.max_ttl) {
            self.queue.push(pipe, message, charge);
        } else {
            fx.release(pipe, charge);
        }
    }
}

impl Pattern for Rep {
    fn handle_attach(
        &mut self,
        _fx: &mut Effects,
        _now: Instant,
        pipe: PipeId,
        prio: Priorities,
    ) -> Result<(), Refused> {
        self.outlets.insert(pipe, Outlet::Writable);
        self.queue.attach(pipe, prio.recv);
        if let Role::Raw { pipes_by_key } = &mut self.role {
            pipes_by_key.insert(pipe.key(), pipe);
        }
        Ok(())
    }

    fn handle_detach(&mut self, _fx: &mut Effects, _now: Instant, pipe: PipeId) {
        self.outlets.remove(pipe);
        self.queue.detach(pipe);
        if let Role::Raw { pipes_by_key } = &mut self.role {
            pipes_by_key.remove(&pipe.key());
        }
    }

    /// Malformed and too deep requests are dropped silently, their connection kept (R153, R166).
    fn handle_message(&mut self, fx: &mut Effects, _now: Instant, pipe: PipeId, message: Message) {
        let charge = message.payload_len();
        self.take_in(fx, pipe, message, charge);
    }

    /// Payloads wait as they came: the stack is found again when they are received.
    fn handle_block(&mut self, fx: &mut Effects, pipe: PipeId, block: &mut Frames) -> bool {
        if matches!(self.role, Role::Raw { .. }) {
            return false;
        }
        let is_good = |payload: &[u8]| stack_len(payload, self.max_ttl).is_some();
        if block.bodies().is_some_and(|mut bodies| bodies.all(is_good)) {
            self.queue.push_block(pipe, block);
            return true;
        }
        while let Some((taken, charge)) = block.pop() {
            match taken {
                Taken::Message(message) => self.take_in(fx, pipe, mem::take(message), charge),
                Taken::Body(payload, kind) if stack_len(payload, self.max_ttl).is_some() => {
                    self.queue.push_taken(pipe, Taken::Body(payload, kind), charge);
                }
                Taken::Body(..) => fx.release(pipe, charge),
            }
        }
        true
    }

    fn handle_writable(&mut self, _fx: &mut Effects, _now: Instant, pipe: PipeId) {
        self.set_outlet(pipe, Outlet::Writable);
    }

    fn handle_full(&mut self, pipe: PipeId) {
        self.set_outlet(pipe, Outlet::Full);
    }

    fn handle_timeout(&mut self, _fx: &mut Effects, _now: Instant) {}

    /// An answer that cannot be handed to the pipe of its request now is dropped, and the send succeeds: one
    /// requester that does not read must not stall the answers to all others (R160 to R162, R216).
    fn send(&mut self, fx: &mut Effects, _now: Instant, mut message: Message) -> Result<(), Rejected> {
        let destination = match &mut self.role {
            Role::Cooked(Exchange { asked_by: None, .. }) => return refuse(message, SendRefusal::State),
            Role::Cooked(_) if !message.header().is_empty() => return refuse(message, SendRefusal::Header),
            Role::Cooked(Exchange { asked_by, stack }) => {
                message.set_header(stack);
                asked_by.take()
            }
            Role::Raw { pipes_by_key } => {
                pop_key(&mut message).and_then(|key| pipes_by_key.get(&key).copied())
            }
        };
        if let Some(pipe) = destination
            && self.outlets.get(pipe) == Some(&Outlet::Writable)
        {
            fx.transmit(pipe, message);
        }
        Ok(())
    }

    /// There may be no memory for what must be kept of a large body, and then the request must not be lost.
    fn choose_plain(&mut self, _fx: &mut Effects, _now: Instant, body: &[u8]) -> Plain {
        let Role::Cooked(exchange) = &mut self.role else { return Plain::Message };
        let is_writable = |pipe: &PipeId| self.outlets.get(*pipe) == Some(&Outlet::Writable);
        let Some(pipe) = exchange.asked_by.filter(is_writable) else { return Plain::Message };
        if exchange.stack.spilled() || body.len() >= BODY_BY_REFERENCE_BYTES {
            return Plain::Message;
        }
        exchange.asked_by = None;
        Plain::To(pipe)
    }

    fn plain_header(&self) -> &[u8] {
        match &self.role {
            Role::Cooked(exchange) => &exchange.stack,
            Role::Raw { .. } => &[],
        }
    }

    fn recv(&mut self, fx: &mut Effects, now: Instant) -> Result<Message, RecvRefusal> {
        let mut place = None;
        self.recv_taken(fx, now, &mut place).map(Taken::into_message)
    }

    fn recv_taken<'a>(
        &'a mut self,
        fx: &mut Effects,
        _now: Instant,
        place: &'a mut Option<Message>,
    ) -> Result<Taken<'a>, RecvRefusal> {
        let Rep { queue, role, .. } = self;
        let (pipe, taken) = queue.pop(fx).ok_or(RecvRefusal::Empty)?;
        let exchange = match role {
            Role::Cooked(exchange) => exchange,
            Role::Raw { .. } => {
                let mut message = taken.into_message();
                message.prepend_header(pipe.key().to_be_bytes());
                return Ok(Taken::Message(place.insert(message)));
            }
        };
        Ok(match taken {
            Taken::Message(message) => {
                exchange.begin(pipe, message.header());
                message.set_header(&[]);
                Taken::Message(message)
            }
            Taken::Body(payload, kind) => {
                let len = stack_len(payload, u8::MAX).unwrap_or_default();
                let (stack, body) = payload.split_at_checked(len).unwrap_or_default();
                exchange.begin(pipe, stack);
                Taken::Body(body, kind)
            }
        })
    }

    fn pass<'a>(&mut self, pipe: PipeId, payload: &'a [u8]) -> Option<&'a [u8]> {
        let Role::Cooked(exchange) = &mut self.role else { return None };
        if !self.queue.is_empty() {
            return None;
        }
        let (stack, body) = payload.split_at_checked(stack_len(payload, self.max_ttl)?)?;
        exchange.begin(pipe, stack);
        Some(body)
    }

    fn header_of(&self, _pipe: PipeId, front: &[u8]) -> Option<usize> {
        let is_next = matches!(self.role, Role::Cooked(_)) && self.queue.is_empty();
        if is_next { stack_len(front, self.max_ttl) } else { None }
    }

    fn passed(&mut self, pipe: PipeId, front: &[u8]) -> bool {
        let stack = stack_len(front, self.max_ttl).and_then(|len| front.get(..len));
        if let (Role::Cooked(exchange), Some(stack)) = (&mut self.role, stack) {
            exchange.begin(pipe, stack);
        }
        true
    }

    fn tidy(&mut self) {
        self.queue.tidy();
    }

    fn readiness(&self) -> Readiness {
        let send = !matches!(self.role, Role::Cooked(Exchange { asked_by: None, .. }));
        Readiness { recv: !self.queue.is_empty(), send }
    }

    fn set_option(&mut self, _fx: &mut Effects, option: PatternOption<'_>) -> Result<(), OptionRefusal> {
        if let PatternOption::MaxTtl(words) = option {
            self.max_ttl = words;
        }
        common_option(option)
    }
}

/// Takes the pipe key off the front of a raw answer's header.
fn pop_key(message: &mut Message) -> Option<u32> {
    if message.header().len() < HEADER_WORD_BYTES {
        return None;
    }
    let key = word_at(message, 0);
    message.trim_header(HEADER_WORD_BYTES);
    key
}

#[cfg(test)]
mod tests {
    use super::super::Protocol;
    use super::super::network::{Carriage, LinkId, Network, NodeId, SAME, burst};
    use super::*;
    use crate::limits::{FRAME_COPY_MAX_BYTES, FRAMES_KEEP_BYTES};

    /// Both protocols follow the rules of this file (R204).
    const ANSWERING: [Protocol; 2] = [Protocol::Rep, Protocol::Respondent];

    /// An answering socket and a peer that shows the bytes, for both protocols.
    fn each_with_probe(mode: Mode, test: impl Fn(Network, NodeId, NodeId, LinkId)) {
        for protocol in ANSWERING {
            for carriage in Carriage::BOTH {
                let mut net = Network::new(carriage);
                let (rep, probe) = (net.add(protocol, mode), net.probe());
                let link = net.connect(rep, probe);
                test(net, rep, probe, link);
            }
        }
    }

    /// So many words of devices, an id, a body.
    fn request(devices: u8, id: u8, body: &str) -> Vec<u8> {
        let mut payload: Vec<u8> = (0..devices).flat_map(|n| [0, 0, 1, n]).collect();
        payload.extend([0x80, 0, 0, id]);
        payload.extend(body.as_bytes());
        payload
    }

    #[test]
    fn r152_r154_the_stack_comes_back_unchanged() {
        each_with_probe(Mode::Cooked, |mut net, rep, probe, _| {
            for devices in [0, 1, 5, 7] {
                net.send(probe, request(devices, 9, "question")).unwrap();
                assert_eq!(net.text(rep), "question");
                net.send(rep, "answer").unwrap();
                assert_eq!(net.recv(probe).unwrap().body(), request(devices, 9, "answer"));
            }
        });
    }

    #[test]
    fn r153_of_a_block_only_the_malformed_are_dropped_and_released() {
        let (mut rep, mut fx, now) = (Rep::new(Mode::Cooked), Effects::default(), Instant::now());
        let (pipe, mut block) = (PipeId::new(0, 1), Frames::default());
        rep.handle_attach(&mut fx, now, pipe, SAME).unwrap();
        let large = request(1, 3, &"x".repeat(FRAME_COPY_MAX_BYTES));
        for payload in [request(0, 1, "one"), vec![0; 7], request(2, 2, "two"), large.clone(), vec![]] {
            let charge = payload.len();
            block.push(payload.into(), charge);
        }
        assert!(rep.handle_block(&mut fx, pipe, &mut block));
        assert_eq!(fx.release, [(pipe, 7), (pipe, 0)]);
        let mut received = || rep.recv(&mut fx, now).map(|message| message.body().to_vec());
        assert_eq!(received().unwrap(), b"one");
        assert_eq!(received().unwrap(), b"two");
        assert_eq!(received().unwrap(), large[8..]);
        assert_eq!(received(), Err(RecvRefusal::Empty));
        assert_eq!(rep.choose_plain(&mut fx, now, b""), Plain::To(pipe));
        assert_eq!(rep.plain_header(), &large[..8]);
        assert_eq!(rep.choose_plain(&mut fx, now, b""), Plain::Message, "it is answered");
    }

    #[test]
    fn r153_a_request_without_an_id_is_dropped_and_released() {
        each_with_probe(Mode::Cooked, |mut net, rep, probe, link| {
            for payload in [vec![], vec![0x80, 0, 0], vec![0; 8], vec![0; 30], vec![0; 2000]] {
                net.send(probe, payload).unwrap();
                assert!(!net.readiness(rep).recv);
            }
            assert_eq!(net.held(link, rep), 0);
            net.send(probe, request(0, 1, "good")).unwrap();
            assert_eq!(net.text(rep), "good");
        });
    }

    #[test]
    fn r155_an_empty_body_is_a_valid_request() {
        each_with_probe(Mode::Cooked, |mut net, rep, probe, _| {
            net.send(probe, request(0, 1, "")).unwrap();
            assert_eq!(net.text(rep), "");
            net.send(rep, "").unwrap();
            assert_eq!(net.recv(probe).unwrap().body(), request(0, 1, ""));
        });
    }

    #[test]
    fn r156_r157_r120_one_answer_per_request() {
        each_with_probe(Mode::Cooked, |mut net, rep, probe, _| {
            assert_eq!(net.readiness(rep), Readiness { recv: false, send: false });
            assert_eq!(net.send(rep, "early"), Err(SendRefusal::State));
            net.send(probe, request(0, 1, "q")).unwrap();
            assert_eq!(net.send(rep, "not received yet"), Err(SendRefusal::State));
            net.recv(rep).unwrap();
            assert!(net.readiness(rep).send);
            net.send(rep, "a").unwrap();
            assert!(!net.readiness(rep).send);
            assert_eq!(net.send(rep, "second"), Err(SendRefusal::State));
        });
    }

    #[test]
    fn r158_receiving_the_next_abandons_the_one_before() {
        each_with_probe(Mode::Cooked, |mut net, rep, probe, _| {
            net.send(probe, request(0, 1, "first")).unwrap();
            net.send(probe, request(0, 2, "second")).unwrap();
            assert_eq!((net.text(rep), net.text(rep)), ("first".into(), "second".into()));
            net.send(rep, "a").unwrap();
            assert_eq!(net.recv(probe).unwrap().body(), request(0, 2, "a"));
            assert_eq!(net.recv(probe), Err(RecvRefusal::Empty));
        });
    }

    #[test]
    fn r159_a_failed_receive_keeps_the_request() {
        each_with_probe(Mode::Cooked, |mut net, rep, probe, _| {
            net.send(probe, request(0, 1, "q")).unwrap();
            net.recv(rep).unwrap();
            assert_eq!(net.recv(rep), Err(RecvRefusal::Empty));
            assert!(net.readiness(rep).send);
            net.send(rep, "a").unwrap();
            assert_eq!(net.recv(probe).unwrap().body(), request(0, 1, "a"));
        });
    }

    #[test]
    fn r160_r161_the_answer_to_a_peer_that_is_gone_is_dropped() {
        each_with_probe(Mode::Cooked, |mut net, rep, probe, link| {
            net.send(probe, request(0, 1, "q")).unwrap();
            net.recv(rep).unwrap();
            let old = net.pipe(link, rep);
            net.disconnect(link);
            let link = net.connect(rep, probe);
            assert_eq!(net.pipe(link, rep).slot(), old.slot());
            assert!(net.readiness(rep).send);
            net.send(rep, "too late").unwrap();
            assert_eq!(net.recv(probe), Err(RecvRefusal::Empty));
            assert_eq!(net.send(rep, "again"), Err(SendRefusal::State));
        });
    }

    #[test]
    fn r162_a_peer_that_does_not_read_stalls_nobody() {
        each_with_probe(Mode::Cooked, |mut net, rep, slow, link| {
            let fast = net.probe();
            net.connect(rep, fast);
            net.stall(link, slow);
            for n in 0..10 {
                net.send(slow, request(0, n, "")).unwrap();
                net.recv(rep).unwrap();
                net.send(rep, "a").unwrap();
            }
            net.send(fast, request(0, 50, "")).unwrap();
            net.recv(rep).unwrap();
            net.send(rep, "b").unwrap();
            assert_eq!(net.recv(fast).unwrap().body(), request(0, 50, "b"));
            net.resume(link, slow);
            for n in 0..4 {
                assert_eq!(net.recv(slow).unwrap().body(), request(0, n, "a"));
            }
            assert_eq!(net.recv(slow), Err(RecvRefusal::Empty), "beyond the queue: dropped");
            net.send(slow, request(0, 60, "")).unwrap();
            net.recv(rep).unwrap();
            net.send(rep, "c").unwrap();
            assert_eq!(net.recv(slow).unwrap().body(), request(0, 60, "c"), "it has room again");
        });
    }

    #[test]
    fn r163_r164_requests_are_served_fairly_and_repeats_as_they_come() {
        each_with_probe(Mode::Cooked, |mut net, rep, a, _| {
            let b = net.probe();
            net.connect(rep, b);
            for _ in 0..2 {
                net.send(a, request(0, 1, "a")).unwrap();
            }
            for _ in 0..2 {
                net.send(b, request(0, 1, "b")).unwrap();
            }
            let order: Vec<String> = (0..4).map(|_| net.text(rep)).collect();
            assert_eq!(order.concat(), "abab");
        });
    }

    #[test]
    fn r166_r167_r168_the_count_of_words_is_bounded() {
        for mode in [Mode::Cooked, Mode::Raw] {
            each_with_probe(mode, |mut net, rep, probe, link| {
                for ttl in [1, 2, 8, 255] {
                    net.set(rep, PatternOption::MaxTtl(ttl)).unwrap();
                    net.send(probe, request(ttl - 1, 1, "in")).unwrap();
                    net.send(probe, request(ttl, 1, "out")).unwrap();
                    assert_eq!(net.recv(rep).unwrap().body(), b"in");
                    assert_eq!(net.recv(rep), Err(RecvRefusal::Empty));
                }
                assert_eq!(net.held(link, rep), 0);
            });
        }
    }

    #[test]
    fn r169_eight_words_by_default() {
        each_with_probe(Mode::Cooked, |mut net, rep, probe, _| {
            net.send(probe, request(8, 1, "nine")).unwrap();
            net.send(probe, request(7, 1, "eight")).unwrap();
            assert_eq!(net.texts(rep), "eight");
        });
    }

    #[test]
    fn r169_every_pattern_accepts_a_ttl() {
        for protocol in Protocol::ALL {
            for mode in [Mode::Cooked, Mode::Raw] {
                let mut net = Network::new(Carriage::Wire);
                let node = net.add(protocol, mode);
                assert_eq!(net.set(node, PatternOption::MaxTtl(1)), Ok(()), "{protocol:?}");
            }
        }
    }

    #[test]
    fn r170_answers_are_not_counted() {
        let mut net = Network::new(Carriage::Wire);
        for protocol in [Protocol::Req, Protocol::Surveyor] {
            let (raw, probe) = (net.raw(protocol), net.probe());
            net.set(raw, PatternOption::MaxTtl(1)).unwrap();
            net.connect(raw, probe);
            net.send(probe, request(20, 1, "far")).unwrap();
            let (header, body) = net.parts(raw);
            assert_eq!([header, body].concat(), request(20, 1, "far"));
        }
    }

    #[test]
    fn a_header_on_a_cooked_answer_is_refused_and_the_request_kept() {
        each_with_probe(Mode::Cooked, |mut net, rep, probe, _| {
            net.send(probe, request(0, 1, "q")).unwrap();
            net.recv(rep).unwrap();
            assert_eq!(net.send_with(rep, &[0; 4], "a"), Err(SendRefusal::Header));
            net.send(rep, "a").unwrap();
            assert_eq!(net.recv(probe).unwrap().body(), request(0, 1, "a"));
        });
    }

    #[test]
    fn r214_raw_shows_key_and_stack() {
        each_with_probe(Mode::Raw, |mut net, rep, probe, link| {
            for devices in [0, 3, 4, 5, 7] {
                net.send(probe, request(devices, 1, "body")).unwrap();
                let key = net.pipe(link, rep).key();
                assert_eq!(key & 0x8000_0000, 0);
                let header = [&key.to_be_bytes()[..], &request(devices, 1, "")].concat();
                assert_eq!(net.parts(rep), (header, b"body".to_vec()));
            }
        });
    }

    #[test]
    fn r215_raw_pops_the_key_and_transmits_the_rest() {
        each_with_probe(Mode::Raw, |mut net, rep, probe, _| {
            let other = net.probe();
            net.connect(rep, other);
            for devices in [0, 7] {
                net.send(probe, request(devices, 1, "q")).unwrap();
                let (header, _) = net.parts(rep);
                net.send_with(rep, &header, "a").unwrap();
                assert_eq!(net.recv(probe).unwrap().body(), request(devices, 1, "a"));
            }
            assert_eq!(net.recv(other), Err(RecvRefusal::Empty));
        });
    }

    #[test]
    fn r216_raw_drops_what_it_cannot_route_and_succeeds() {
        each_with_probe(Mode::Raw, |mut net, rep, probe, link| {
            let key = net.pipe(link, rep).key().to_be_bytes();
            assert!(net.readiness(rep).send);
            for header in [&[][..], &key[..3], &[0, 0, 0, 99], &[0xff; 8]] {
                net.send_with(rep, header, "lost").unwrap();
            }
            assert_eq!(net.recv(probe), Err(RecvRefusal::Empty));
            net.stall(link, probe);
            for _ in 0..9 {
                net.send_with(rep, &key, "busy").unwrap();
            }
            net.resume(link, probe);
            assert_eq!(net.texts(probe), "busy busy busy busy");
            net.disconnect(link);
            net.send_with(rep, &key, "gone").unwrap();
        });
    }

    /// A chain of devices, each a raw answering and a raw asking socket: what crosses it and the way back.
    #[test]
    fn r219_r224_r226_a_chain_of_devices_works_up_to_the_ttl() {
        for (asking, answering) in
            [(Protocol::Req, Protocol::Rep), (Protocol::Surveyor, Protocol::Respondent)]
        {
            for carriage in Carriage::BOTH {
                for devices in 0..9 {
                    let answered = ask_through(&mut Network::new(carriage), asking, answering, devices);
                    assert_eq!(answered, devices < 8, "{asking:?} through {devices}");
                }
            }
        }
    }

    fn ask_through(net: &mut Network, asking: Protocol, answering: Protocol, devices: usize) -> bool {
        let (client, server) = (net.cooked(asking), net.cooked(answering));
        let mut chain = Vec::new();
        let mut last = client;
        for _ in 0..devices {
            let (front, back) = (net.raw(answering), net.raw(asking));
            net.connect(last, front);
            chain.push((front, back));
            last = back;
        }
        net.connect(last, server);
        net.send(client, "question").unwrap();
        chain.iter().for_each(|(front, back)| net.relay(*front, *back));
        if !net.readiness(server).recv {
            return false;
        }
        assert_eq!(net.text(server), "question");
        net.send(server, "answer").unwrap();
        chain.iter().rev().for_each(|(front, back)| net.relay(*back, *front));
        assert_eq!(net.text(client), "answer");
        true
    }

    #[test]
    fn memory_of_a_burst_is_given_back() {
        for mode in [Mode::Cooked, Mode::Raw] {
            let mut rep = Rep::new(mode);
            burst(&mut rep, &[0x80, 0, 0, 1]);
            assert!(rep.queue.capacity() <= FRAMES_KEEP_BYTES, "{mode:?}: {}", rep.queue.capacity());
        }
    }
}
