//! Arbitrary sequences of events and commands on every pattern, checked against what the engine relies on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use quickcheck::{Arbitrary, Gen, QuickCheck};

use super::{
    Effects, Mode, Pattern, PatternOption, PipeId, Priorities, Protocol, RecvRefusal, SendRefusal, create,
};
use crate::message::Message;

const SLOTS: u32 = 5;
/// Messages a pipe takes before it is full.
const CAPACITY: usize = 2;

#[derive(Clone, Debug)]
enum Op {
    Attach(u32, u8, u8),
    Detach(u32),
    /// These header and body bytes arrive.
    Arrive(u32, Vec<u8>, Vec<u8>),
    /// The payload transmitted last comes back, which is how answers with the right id arise.
    Echo(u32),
    Drain(u32),
    Pass(u16),
    Send(Vec<u8>, Vec<u8>),
    /// Sends the message received last, header and all, as a device does.
    Return,
    Recv,
    Set(u8, u16),
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Self {
        let slot = u32::arbitrary(g) % SLOTS;
        match u8::arbitrary(g) % 16 {
            0 | 1 => Op::Attach(slot, u8::arbitrary(g) % 17, u8::arbitrary(g) % 17),
            2 => Op::Detach(slot),
            3..=5 => Op::Arrive(slot, bytes(g), bytes(g)),
            6 | 7 => Op::Echo(slot),
            8 => Op::Drain(slot),
            9 => Op::Pass(u16::arbitrary(g) % 2000),
            10 | 11 => Op::Send(if bool::arbitrary(g) { Vec::new() } else { bytes(g) }, bytes(g)),
            12 => Op::Return,
            13 | 14 => Op::Recv,
            _ => Op::Set(u8::arbitrary(g), u16::arbitrary(g)),
        }
    }
}

fn is_idle(fx: &Effects) -> bool {
    fx.transmit.is_empty() && fx.release.is_empty() && fx.close.is_empty()
}

/// Few different words, so that stacks, ids and topics meet often; odd lengths too.
fn bytes(g: &mut Gen) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..u8::arbitrary(g) % 11 {
        bytes.extend_from_slice(g.choose(&[[0, 0, 0, 7], [0x80, 0, 0, 1]]).unwrap_or(&[0; 4]));
    }
    bytes.truncate(bytes.len().saturating_sub(usize::from(u8::arbitrary(g) % 3)));
    bytes
}

struct Pipe {
    id: PipeId,
    outbound: usize,
    held: Vec<usize>,
}

struct Bench {
    protocol: Protocol,
    pattern: Box<dyn Pattern>,
    now: Instant,
    pipes: BTreeMap<u32, Pipe>,
    /// Pipes that are gone and whose messages are not.
    gone: Vec<Pipe>,
    next_key: u32,
    last_sent: Message,
    last_received: Message,
}

impl Bench {
    fn new(protocol: Protocol, mode: Mode) -> Self {
        Bench {
            protocol,
            pattern: create(protocol, mode, u32::MAX - 1),
            now: Instant::now(),
            pipes: BTreeMap::new(),
            gone: Vec::new(),
            next_key: 0,
            last_sent: Message::new(),
            last_received: Message::new(),
        }
    }

    fn run(&mut self, op: &Op) {
        let mut fx = Effects::default();
        match op {
            Op::Attach(slot, send, recv) => {
                self.attach(&mut fx, *slot, Priorities { send: *send, recv: *recv })
            }
            Op::Detach(slot) => {
                if let Some(pipe) = self.pipes.remove(slot) {
                    self.pattern.handle_detach(&mut fx, self.now, pipe.id);
                    self.gone.push(pipe);
                }
            }
            Op::Arrive(slot, header, body) => {
                let mut message = Message::from(&body[..]);
                message.set_header(header);
                self.arrive(&mut fx, *slot, message);
            }
            Op::Echo(slot) => self.arrive(&mut fx, *slot, self.last_sent.clone()),
            Op::Drain(slot) => {
                if let Some(pipe) = self.pipes.get_mut(slot)
                    && std::mem::take(&mut pipe.outbound) == CAPACITY
                {
                    self.pattern.handle_writable(&mut fx, self.now, pipe.id);
                }
            }
            Op::Pass(ms) => {
                self.now += Duration::from_millis(u64::from(*ms));
                self.pattern.handle_timeout(&mut fx, self.now);
            }
            Op::Send(header, body) => {
                let mut message = Message::from(&body[..]);
                message.set_header(header);
                self.send(&mut fx, message);
            }
            Op::Return => self.send(&mut fx, self.last_received.clone()),
            Op::Recv => _ = self.recv(&mut fx),
            Op::Set(which, value) => self.set(&mut fx, *which, *value),
        }
        self.drain(fx);
        self.check_timer();
    }

    fn attach(&mut self, fx: &mut Effects, slot: u32, prio: Priorities) {
        if self.pipes.contains_key(&slot) {
            return;
        }
        self.next_key += 1;
        let id = PipeId::new(slot, self.next_key);
        let was_alone = self.pipes.is_empty();
        match self.pattern.handle_attach(fx, self.now, id, prio) {
            Ok(()) => _ = self.pipes.insert(slot, Pipe { id, outbound: 0, held: Vec::new() }),
            Err(_) => assert!(self.is_pair() && !was_alone, "only a busy PAIR refuses"),
        }
    }

    fn is_pair(&self) -> bool {
        matches!(self.protocol, Protocol::Pair | Protocol::Pair1)
    }

    fn arrive(&mut self, fx: &mut Effects, slot: u32, message: Message) {
        if let Some(pipe) = self.pipes.get_mut(&slot) {
            pipe.held.push(message.payload_len());
            self.pattern.handle_message(fx, self.now, pipe.id, message);
        }
    }

    fn send(&mut self, fx: &mut Effects, message: Message) {
        let (ready, before) = (self.pattern.readiness().send, message.clone());
        match self.pattern.send(fx, self.now, message) {
            Ok(()) => assert!(ready, "a send succeeds only when the pattern is writable"),
            Err(rejected) => {
                assert_eq!(rejected.message, before);
                assert!(!ready || rejected.reason == SendRefusal::Header);
                assert_eq!(rejected.reason == SendRefusal::Unsupported, !self.protocol.can_send());
                assert!(is_idle(fx), "a refusal has no effect");
            }
        }
    }

    fn recv(&mut self, fx: &mut Effects) -> bool {
        let ready = self.pattern.readiness().recv;
        match self.pattern.recv(fx, self.now) {
            Ok(message) => {
                assert!(ready, "a message that was not signalled");
                self.last_received = message;
                true
            }
            Err(reason) => {
                let tells = matches!(reason, RecvRefusal::State | RecvRefusal::Expired);
                assert!(!ready || (self.protocol == Protocol::Surveyor && tells), "signalled for nothing");
                assert_eq!(reason == RecvRefusal::Unsupported, !self.protocol.can_recv());
                assert!(is_idle(fx), "a refusal has no effect");
                false
            }
        }
    }

    fn set(&mut self, fx: &mut Effects, which: u8, value: u16) {
        let topic = &self.last_sent.body()[..self.last_sent.len().min(usize::from(value % 6))];
        let time = Duration::from_millis(u64::from(value));
        let option = match which % 6 {
            0 => PatternOption::Subscribe(&[]),
            1 => PatternOption::Subscribe(topic),
            2 => PatternOption::Unsubscribe(topic),
            3 => PatternOption::ResendInterval(time),
            4 => PatternOption::SurveyDeadline(if value == 0 { Duration::MAX } else { time }),
            _ => PatternOption::MaxTtl((value % 255) as u8 + 1),
        };
        _ = self.pattern.set_option(fx, option);
        assert!(is_idle(fx), "options move nothing");
    }

    fn drain(&mut self, fx: Effects) {
        for (id, message) in fx.transmit {
            let pipe = self.pipes.get_mut(&(id.slot() as u32)).filter(|pipe| pipe.id == id);
            let pipe = pipe.expect("nothing is transmitted to a pipe that is gone");
            assert!(pipe.outbound < CAPACITY, "nothing is transmitted to a full pipe");
            pipe.outbound += 1;
            if pipe.outbound == CAPACITY {
                self.pattern.handle_full(id);
            }
            self.last_sent = message;
        }
        for (id, bytes) in fx.release {
            let pipe = self.pipes.values_mut().chain(&mut self.gone).find(|pipe| pipe.id == id);
            let held = &mut pipe.expect("what is released came from a pipe").held;
            let at = held.iter().position(|charge| *charge == bytes);
            held.remove(at.expect("what is released is the length of a message handed in"));
        }
        for id in fx.close {
            assert_eq!(self.protocol, Protocol::Pair1, "no other pattern closes pipes");
            let slot = id.slot() as u32;
            let pipe = self.pipes.remove(&slot).filter(|pipe| pipe.id == id).expect("the pipe is there");
            let mut fx = Effects::default();
            self.pattern.handle_detach(&mut fx, self.now, id);
            self.gone.push(pipe);
            self.drain(fx);
        }
    }

    /// After `handle_timeout` nothing is due, unless its interval is zero.
    fn check_timer(&mut self) {
        if self.pattern.next_timeout().is_some_and(|due| due <= self.now) {
            let mut fx = Effects::default();
            self.pattern.handle_timeout(&mut fx, self.now);
            self.drain(fx);
        }
        assert!(self.pattern.next_timeout().is_none_or(|due| due > self.now), "a timer that stays due");
    }

    /// Takes everything and finds that every byte has come back.
    fn finish(mut self) {
        loop {
            let mut fx = Effects::default();
            let received = self.recv(&mut fx);
            self.drain(fx);
            if !received {
                break;
            }
        }
        for pipe in self.pipes.values().chain(&self.gone) {
            assert!(pipe.held.is_empty(), "{:?} holds {:?} for ever", self.protocol, pipe.held);
        }
    }
}

fn keeps_its_promises(ops: Vec<Op>) {
    for protocol in Protocol::ALL {
        for mode in [Mode::Cooked, Mode::Raw] {
            let mut bench = Bench::new(protocol, mode);
            for op in &ops {
                bench.run(op);
            }
            bench.finish();
        }
    }
}

/// R103: a refusal leaves no trace. R111, R117: nothing goes to a full pipe. R112: every byte is accounted
/// for.
#[test]
fn r103_r112_any_sequence_keeps_the_books_of_every_pattern() {
    fn property(ops: Vec<Op>) -> bool {
        keeps_its_promises(ops);
        true
    }
    QuickCheck::new().rng(Gen::new(120)).tests(400).quickcheck(property as fn(Vec<Op>) -> bool);
}
