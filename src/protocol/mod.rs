//! The patterns as pure state machines: no I/O, no clock, no lock, no thread. Time and randomness are
//! arguments.
//!
//! A [`Pattern`] is one socket's protocol. Its methods come in three families:
//!
//! * `handle_*`: something happened (a pipe came or went, a message arrived, a queue drained, a deadline
//!   passed);
//! * [`send`](Pattern::send) and [`recv`](Pattern::recv): commands of the application, which never block;
//! * getters: [`readiness`](Pattern::readiness), [`next_timeout`](Pattern::next_timeout).
//!
//! **The drain rule**: whatever a method wants done to a pipe it writes into [`Effects`]; the caller carries
//! out all of it, in order, before it calls the pattern again. After a transmit that filled the pipe's queue
//! the caller says so by [`handle_full`](Pattern::handle_full), and by
//! [`handle_writable`](Pattern::handle_writable) once there is room.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::frames::{Frames, Taken};
use crate::limits::{PRIORITY_BEST, PRIORITY_WORST};
use crate::message::Message;

mod bus;
mod distribute;
mod fair_queue;
mod inbox;
mod load_balance;
#[cfg(test)]
mod network;
mod pair;
mod pair1;
mod pipe_table;
mod pipeline;
mod pubsub;
mod receiver;
mod rep;
mod req;
mod route;
#[cfg(test)]
mod sequences;
mod surveyor;
mod topics;

/// The protocols, by their numbers on the wire (R10).
///
/// ```
/// use spmsg::Protocol;
/// assert_eq!(Protocol::Req.number(), 48);
/// assert_eq!(Protocol::Req.peer(), Protocol::Rep);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Protocol {
    /// One conversation with one peer.
    Pair,
    /// The same with a count of hops, which keeps devices from forwarding in circles; nng and mangos have it, nanomsg
    /// does not. The two versions do not understand each other (R12).
    Pair1,
    /// Publishes to every subscriber.
    Pub,
    /// Receives what its subscriptions match.
    Sub,
    /// Asks, and asks again until answered.
    Req,
    /// Answers requests.
    Rep,
    /// Spreads work.
    Push,
    /// Takes work.
    Pull,
    /// Asks everybody, collects answers until a deadline.
    Surveyor,
    /// Answers surveys.
    Respondent,
    /// Every message to every directly connected peer.
    Bus,
}

impl Protocol {
    /// Every protocol there is.
    ///
    /// ```
    /// assert!(spmsg::Protocol::ALL.iter().all(|protocol| protocol.peer().peer() == *protocol));
    /// ```
    pub const ALL: [Protocol; 11] = [
        Protocol::Pair,
        Protocol::Pair1,
        Protocol::Pub,
        Protocol::Sub,
        Protocol::Req,
        Protocol::Rep,
        Protocol::Push,
        Protocol::Pull,
        Protocol::Surveyor,
        Protocol::Respondent,
        Protocol::Bus,
    ];

    /// The number in the SP header (R10; REQ and REP are 48 and 49 whatever the draft says, R11).
    ///
    /// ```
    /// assert_eq!(spmsg::Protocol::Bus.number(), 112);
    /// ```
    pub const fn number(self) -> u16 {
        match self {
            Protocol::Pair => 16,
            Protocol::Pair1 => 17,
            Protocol::Pub => 32,
            Protocol::Sub => 33,
            Protocol::Req => 48,
            Protocol::Rep => 49,
            Protocol::Push => 80,
            Protocol::Pull => 81,
            Protocol::Surveyor => 98,
            Protocol::Respondent => 99,
            Protocol::Bus => 112,
        }
    }

    /// The protocol with this number.
    ///
    /// ```
    /// assert_eq!(spmsg::Protocol::from_number(49), Some(spmsg::Protocol::Rep));
    /// assert_eq!(spmsg::Protocol::from_number(96), None);
    /// ```
    pub fn from_number(number: u16) -> Option<Protocol> {
        Protocol::ALL.into_iter().find(|protocol| protocol.number() == number)
    }

    /// The one protocol a peer may speak (R12).
    ///
    /// ```
    /// assert_eq!(spmsg::Protocol::Push.peer(), spmsg::Protocol::Pull);
    /// ```
    pub const fn peer(self) -> Protocol {
        match self {
            Protocol::Pair => Protocol::Pair,
            Protocol::Pair1 => Protocol::Pair1,
            Protocol::Pub => Protocol::Sub,
            Protocol::Sub => Protocol::Pub,
            Protocol::Req => Protocol::Rep,
            Protocol::Rep => Protocol::Req,
            Protocol::Push => Protocol::Pull,
            Protocol::Pull => Protocol::Push,
            Protocol::Surveyor => Protocol::Respondent,
            Protocol::Respondent => Protocol::Surveyor,
            Protocol::Bus => Protocol::Bus,
        }
    }

    /// Whether the pattern has anything to do at a time of its own: repeat a request, end a survey.
    pub(crate) const fn has_deadlines(self, mode: Mode) -> bool {
        matches!((self, mode), (Protocol::Req | Protocol::Surveyor, Mode::Cooked))
    }

    /// Whether the pattern has a sending side (R104).
    ///
    /// ```
    /// assert!(!spmsg::Protocol::Sub.can_send());
    /// ```
    pub const fn can_send(self) -> bool {
        !matches!(self, Protocol::Sub | Protocol::Pull)
    }

    /// Whether the pattern has a receiving side (R104).
    ///
    /// ```
    /// assert!(!spmsg::Protocol::Pub.can_recv());
    /// ```
    pub const fn can_recv(self) -> bool {
        !matches!(self, Protocol::Pub | Protocol::Push)
    }
}

/// Whether a socket runs the pattern's rules or hands headers to the application.
///
/// Raw sockets announce the same number on the wire (R13); they exist for devices.
///
/// ```
/// use spmsg::{Mode, Protocol, Socket};
/// assert_eq!(Socket::new(Protocol::Bus, Mode::Raw).mode(), Mode::Raw);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The pattern with its rules (AF_SP).
    Cooked,
    /// Headers are the application's business (AF_SP_RAW).
    Raw,
}

/// A pipe of one socket: a slot that is reused, and a key that is not (R165).
///
/// The key is 31 bits wide and is what REP and RESPONDENT put in front of a request's stack. Two ids are
/// equal only when both parts are, so an id of a pipe that is gone never reaches the pipe that took its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PipeId {
    slot: u32,
    key: u32,
}

impl PipeId {
    /// Bits of a key: the top bit of a header word marks the bottom of a stack.
    pub(crate) const KEY_MASK: u32 = 0x7fff_ffff;

    pub(crate) const fn new(slot: u32, key: u32) -> Self {
        PipeId { slot, key: key & Self::KEY_MASK }
    }

    /// Dense index, for tables.
    pub(crate) const fn slot(self) -> usize {
        self.slot as usize
    }

    /// The key that stands in headers.
    pub(crate) const fn key(self) -> u32 {
        self.key
    }
}

/// The priorities of a pipe, taken from its endpoint (R109): 1 is best, 16 worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Priorities {
    pub(crate) send: u8,
    pub(crate) recv: u8,
}

/// What a pattern wants done to pipes; see the drain rule in the [module's text](self).
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Put these into the pipes' outbound queues, in order.
    pub(crate) transmit: VecDeque<(PipeId, Message)>,
    /// These many payload bytes that came from the pipe no longer wait here: taken by the application or
    /// dropped after having been queued. A message that `handle_message` drops at once is released as well,
    /// so for each message handed in there is one entry with its payload length, sooner or later, also when its
    /// pipe is gone by then: what peers leave behind counts until it is taken.
    pub(crate) release: Vec<(PipeId, usize)>,
    /// Their peers broke the pattern's rules: detach them at once, before anything else that they sent is handed in,
    /// and end their connections (R129).
    pub(crate) close: Vec<PipeId>,
}

impl Effects {
    /// Whether there is nothing to be done.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.transmit.is_empty() && self.release.is_empty() && self.close.is_empty()
    }

    pub(crate) fn transmit(&mut self, pipe: PipeId, message: Message) {
        self.transmit.push_back((pipe, message));
    }

    pub(crate) fn release(&mut self, pipe: PipeId, bytes: usize) {
        self.release.push((pipe, bytes));
    }

    pub(crate) fn close(&mut self, pipe: PipeId) {
        self.close.push(pipe);
    }
}

/// Why a pattern refused a pipe: its connection is closed after the header exchange (R122).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// PAIR, of either version, already has its peer.
    Busy,
}

/// Where a message that is a body alone goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    /// To this pipe, behind [`plain_header`](Pattern::plain_header); taken as a send to it.
    To(PipeId),
    /// No pipe can take it now: [`send`](Pattern::send) would refuse it as [`SendRefusal::Full`].
    Full,
    /// The pattern has to see a message: [`send`](Pattern::send) does what is to be done.
    Message,
}

/// Why a send did not happen. The message is handed back with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendRefusal {
    /// No pipe can take it now: wait for writability.
    Full,
    /// The pattern's state forbids it (EFSM): a reply without a request.
    State,
    /// The pattern has no sending side (ENOTSUP).
    Unsupported,
    /// A header on a cooked socket, or one of the wrong length (EINVAL, R212).
    Header,
}

/// A message that was not sent, and why.
#[derive(Debug)]
pub(crate) struct Rejected {
    pub(crate) message: Message,
    pub(crate) reason: SendRefusal,
}

/// Why a receive has no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecvRefusal {
    /// Nothing has arrived: wait for readability.
    Empty,
    /// The pattern's state forbids it (EFSM): no request or survey is open.
    State,
    /// The survey's deadline has passed; said once (ETIMEDOUT, R196).
    Expired,
    /// The pattern has no receiving side (ENOTSUP).
    Unsupported,
}

/// Whether an operation could proceed now; a level, not an edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    pub(crate) recv: bool,
    pub(crate) send: bool,
}

/// What a socket can be told that concerns its pattern only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatternOption<'a> {
    /// SUB, cooked and raw (R184).
    Subscribe(&'a [u8]),
    /// SUB, cooked and raw.
    Unsubscribe(&'a [u8]),
    /// Cooked REQ; zero disables resending, also on pipe loss (R150). Effective from the next transmission.
    ResendInterval(Duration),
    /// Cooked SURVEYOR; effective from the next survey (R201).
    SurveyDeadline(Duration),
    /// REP and RESPONDENT (words) and PAIRv1 (hops), cooked and raw; every other pattern accepts and ignores it. Live.
    /// 1 to 255.
    MaxTtl(u8),
}

/// Why an option was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OptionRefusal {
    /// The pattern does not have this option (ENOPROTOOPT).
    Unknown,
    /// There is no such subscription (EINVAL, R178).
    NoSuchTopic,
}

/// One socket's pattern. See the [module's text](self) for the families and the drain rule.
pub(crate) trait Pattern: Send {
    /// A validated pipe has come up. `Err` closes it. A pipe starts writable.
    fn handle_attach(
        &mut self,
        fx: &mut Effects,
        now: Instant,
        pipe: PipeId,
        prio: Priorities,
    ) -> Result<(), Refused>;

    /// The pipe is gone. Messages received from it stay deliverable (R119); what was destined to it is
    /// forgotten.
    fn handle_detach(&mut self, fx: &mut Effects, now: Instant, pipe: PipeId);

    /// A complete payload arrived on `pipe`: the message's header bytes followed by its body, split anywhere
    /// (a wire puts everything into the body, inproc leaves header and body as they were sent). It is always
    /// taken: what waits is bounded by the caller, which stops reading from the pipe (R112).
    fn handle_message(&mut self, fx: &mut Effects, now: Instant, pipe: PipeId, message: Message);

    /// The same for a block of payloads, all of them in bodies. False if the pattern has to see each message for itself;
    /// then nothing was taken. A pattern that takes blocks never closes the pipe for what is in them.
    fn handle_block(&mut self, _fx: &mut Effects, _pipe: PipeId, _block: &mut Frames) -> bool {
        false
    }

    /// The pipe's outbound queue has room again.
    fn handle_writable(&mut self, fx: &mut Effects, now: Instant, pipe: PipeId);

    /// The pipe's outbound queue is full: transmit nothing to it until it is writable.
    fn handle_full(&mut self, pipe: PipeId);

    /// `now` has reached [`next_timeout`](Pattern::next_timeout). Calling it early changes nothing.
    fn handle_timeout(&mut self, fx: &mut Effects, now: Instant);

    /// Sends without blocking; a refused message comes back unchanged.
    fn send(&mut self, fx: &mut Effects, now: Instant, message: Message) -> Result<(), Rejected>;

    /// Where a message goes that is this body alone, for patterns that need not have it.
    fn choose_plain(&mut self, _fx: &mut Effects, _now: Instant, _body: &[u8]) -> Plain {
        Plain::Message
    }

    /// What goes before the body that a pipe was just chosen for; at most
    /// [`HEADER_INLINE_BYTES`](crate::limits::HEADER_INLINE_BYTES).
    fn plain_header(&self) -> &[u8] {
        &[]
    }

    /// Receives without blocking. The header of the message is what a raw socket shows; empty on cooked
    /// sockets.
    fn recv(&mut self, fx: &mut Effects, now: Instant) -> Result<Message, RecvRefusal>;

    /// The same without making a message of a body that lies in a block; `place` is for a message that has no other.
    fn recv_taken<'a>(
        &'a mut self,
        fx: &mut Effects,
        now: Instant,
        place: &'a mut Option<Message>,
    ) -> Result<Taken<'a>, RecvRefusal> {
        Ok(Taken::Message(place.insert(self.recv(fx, now)?)))
    }

    /// The body of a payload that arrives on `pipe` while the application waits for just that: taken as handed in and
    /// received. `None` changes nothing: something waits before it, or the pattern has to see more of it.
    fn pass<'a>(&mut self, _pipe: PipeId, _payload: &'a [u8]) -> Option<&'a [u8]> {
        None
    }

    /// How long the header is of a payload on `pipe` that begins with `front`, if [`pass`](Pattern::pass) would take it
    /// now, whatever follows. Changes nothing.
    fn header_of(&self, _pipe: PipeId, _front: &[u8]) -> Option<usize> {
        None
    }

    /// The application has the body of a payload of which [`header_of`](Pattern::header_of) has told the header, a moment
    /// ago: received, also if something else waits before it by now. False if nobody may want it any more.
    fn passed(&mut self, _pipe: PipeId, _front: &[u8]) -> bool {
        true
    }

    /// Nothing waits any more, and nobody looks at what was received last: memory of a burst can be given back.
    fn tidy(&mut self) {}

    /// When [`handle_timeout`](Pattern::handle_timeout) is due.
    fn next_timeout(&self) -> Option<Instant> {
        None
    }

    /// Whether send and receive could proceed now. False for a direction the pattern lacks. True for receive
    /// also where it would fail at once with something worth collecting: SURVEYOR without a survey (R120).
    fn readiness(&self) -> Readiness;

    /// Sets an option of the pattern.
    fn set_option(&mut self, fx: &mut Effects, option: PatternOption<'_>) -> Result<(), OptionRefusal>;

    /// NN_STAT_CURRENT_SND_PRIORITY: best priority that has a writable pipe, -1 when none has, 0 before the
    /// first pipe and for patterns that do not balance (PUSH and REQ do, cooked and raw).
    fn send_priority(&self) -> i64 {
        0
    }
}

/// A fresh pattern. `seed` is 32 random bits: the number before the first request or survey id (R132, R192).
pub(crate) fn create(protocol: Protocol, mode: Mode, seed: u32) -> Box<dyn Pattern> {
    match (protocol, mode) {
        (Protocol::Pair, _) => Box::<pair::Pair>::default(),
        (Protocol::Pair1, mode) => Box::new(pair::Pair::new(pair1::Hops::new(mode))),
        (Protocol::Push, _) => Box::<pipeline::Push>::default(),
        (Protocol::Pull, _) => Box::<pipeline::Pull>::default(),
        (Protocol::Req, Mode::Cooked) => Box::new(req::Req::new(seed)),
        (Protocol::Req, Mode::Raw) => Box::<req::RawReq>::default(),
        (Protocol::Rep | Protocol::Respondent, mode) => Box::new(rep::Rep::new(mode)),
        (Protocol::Pub, _) => Box::<pubsub::Publisher>::default(),
        (Protocol::Sub, _) => Box::<pubsub::Subscriber>::default(),
        (Protocol::Surveyor, Mode::Cooked) => Box::new(surveyor::Surveyor::new(seed)),
        (Protocol::Surveyor, Mode::Raw) => Box::<surveyor::RawSurveyor>::default(),
        (Protocol::Bus, mode) => Box::new(bus::Bus::new(mode)),
    }
}

/// Priority classes of the balancers.
const CLASSES: usize = (PRIORITY_WORST - PRIORITY_BEST + 1) as usize;

/// The class of a priority, 0 the best. A value out of range counts as the nearest one.
fn class_of(priority: u8) -> usize {
    usize::from(priority.clamp(PRIORITY_BEST, PRIORITY_WORST) - PRIORITY_BEST)
}

/// The answer of a pattern without options of its own: MaxTtl is accepted everywhere, as it is an option of
/// the socket (NN_MAXTTL).
fn common_option(option: PatternOption<'_>) -> Result<(), OptionRefusal> {
    match option {
        PatternOption::MaxTtl(_) => Ok(()),
        _ => Err(OptionRefusal::Unknown),
    }
}

fn refuse(message: Message, reason: SendRefusal) -> Result<(), Rejected> {
    Err(Rejected { message, reason })
}

#[cfg(test)]
mod tests {
    use super::network::{Carriage, Network};
    use super::*;

    /// Protocol, mode, can receive, can send: of a fresh socket without peers.
    const FRESH: [(Protocol, Mode, bool, bool); 22] = {
        use Mode::{Cooked, Raw};
        [
            (Protocol::Pair, Cooked, false, false),
            (Protocol::Pair1, Cooked, false, false),
            (Protocol::Pub, Cooked, false, true),
            (Protocol::Sub, Cooked, false, false),
            (Protocol::Req, Cooked, false, true),
            (Protocol::Rep, Cooked, false, false),
            (Protocol::Push, Cooked, false, false),
            (Protocol::Pull, Cooked, false, false),
            (Protocol::Surveyor, Cooked, true, true),
            (Protocol::Respondent, Cooked, false, false),
            (Protocol::Bus, Cooked, false, true),
            (Protocol::Pair, Raw, false, false),
            (Protocol::Pair1, Raw, false, false),
            (Protocol::Pub, Raw, false, true),
            (Protocol::Sub, Raw, false, false),
            (Protocol::Req, Raw, false, false),
            (Protocol::Rep, Raw, false, true),
            (Protocol::Push, Raw, false, false),
            (Protocol::Pull, Raw, false, false),
            (Protocol::Surveyor, Raw, false, true),
            (Protocol::Respondent, Raw, false, true),
            (Protocol::Bus, Raw, false, true),
        ]
    };

    #[test]
    fn r120_readiness_of_fresh_sockets() {
        for (protocol, mode, recv, send) in FRESH {
            let ready = create(protocol, mode, 0).readiness();
            assert_eq!(ready, Readiness { recv, send }, "{protocol:?} {mode:?}");
        }
    }

    #[test]
    fn r103_r104_what_fresh_sockets_refuse() {
        for (protocol, mode, _, can_send) in FRESH {
            let mut net = Network::new(Carriage::Wire);
            let node = net.add(protocol, mode);
            let recv = match (protocol, mode) {
                (Protocol::Pub | Protocol::Push, _) => RecvRefusal::Unsupported,
                (Protocol::Req | Protocol::Surveyor, Mode::Cooked) => RecvRefusal::State,
                _ => RecvRefusal::Empty,
            };
            assert_eq!(net.recv(node), Err(recv), "{protocol:?} {mode:?}");
            let send = match (protocol, mode) {
                (Protocol::Sub | Protocol::Pull, _) => Err(SendRefusal::Unsupported),
                (Protocol::Rep | Protocol::Respondent, Mode::Cooked) => Err(SendRefusal::State),
                (Protocol::Pair1, Mode::Raw) => Err(SendRefusal::Header),
                _ if can_send => Ok(()),
                _ => Err(SendRefusal::Full),
            };
            assert_eq!(net.send(node, "x"), send, "{protocol:?} {mode:?}");
        }
    }

    /// Whoever is attached first, a message gets across from each protocol that speaks first.
    #[test]
    fn r101_it_does_not_matter_who_connects() {
        let opening = [
            Protocol::Pair,
            Protocol::Pair1,
            Protocol::Pub,
            Protocol::Req,
            Protocol::Push,
            Protocol::Surveyor,
            Protocol::Bus,
        ];
        for (protocol, swapped) in
            opening.into_iter().flat_map(|protocol| [(protocol, false), (protocol, true)])
        {
            let mut net = Network::new(Carriage::Wire);
            let (from, to) = (net.cooked(protocol), net.cooked(protocol.peer()));
            if protocol == Protocol::Pub {
                net.set(to, PatternOption::Subscribe(b"")).unwrap();
            }
            if swapped {
                net.connect(to, from);
            } else {
                net.connect(from, to);
            }
            net.send(from, "hello").unwrap();
            assert_eq!(net.text(to), "hello", "{protocol:?}");
        }
    }

    #[test]
    fn r10_r12_numbers_and_peers() {
        for protocol in Protocol::ALL {
            assert_eq!(Protocol::from_number(protocol.number()), Some(protocol));
            assert_eq!(protocol.peer().peer(), protocol);
        }
        assert_eq!(Protocol::from_number(1600), None, "STAR is not offered");
    }

    #[test]
    fn only_patterns_that_balance_have_a_send_priority() {
        for (protocol, mode, ..) in FRESH {
            let mut net = Network::new(Carriage::Wire);
            let (node, probe) = (net.add(protocol, mode), net.probe());
            assert_eq!(net.send_priority(node), 0, "{protocol:?} {mode:?}");
            net.connect_with(node, probe, Priorities { send: 5, recv: 6 }, 4).unwrap();
            let balances = matches!(protocol, Protocol::Push | Protocol::Req);
            assert_eq!(net.send_priority(node), if balances { 5 } else { 0 }, "{protocol:?} {mode:?}");
        }
    }

    /// A pattern that is neither named here nor needs to look at each message only loses time, which nobody would see.
    #[test]
    fn what_need_not_be_looked_at_goes_the_short_ways() {
        use Protocol::{Bus, Pair, Pull, Push, Rep, Req, Respondent, Sub};
        for (protocol, mode, ..) in FRESH {
            let (mut fx, now, pipe) = (Effects::default(), Instant::now(), PipeId::new(0, 1));
            let mut pattern = create(protocol, mode, 0);
            if protocol == Sub {
                pattern.set_option(&mut fx, PatternOption::Subscribe(b"")).unwrap();
            }
            pattern.handle_attach(&mut fx, now, pipe, network::SAME).unwrap();
            let asks = protocol == Req && mode == Mode::Cooked;
            let (plain, full) = match protocol {
                Pair | Push => (Plain::To(pipe), Plain::Full),
                _ if asks => (Plain::To(pipe), Plain::Message),
                _ => (Plain::Message, Plain::Message),
            };
            assert_eq!(pattern.choose_plain(&mut fx, now, b""), plain, "{protocol:?} {mode:?}");
            pattern.handle_full(pipe);
            assert_eq!(pattern.choose_plain(&mut fx, now, b""), full, "{protocol:?} {mode:?} to a full pipe");
            if full == Plain::Full {
                let refused = pattern.send(&mut fx, now, Message::new()).unwrap_err();
                assert_eq!(refused.reason, SendRefusal::Full, "{protocol:?} {mode:?}");
            }

            let mut block = Frames::default();
            block.push_body(if asks { &[] } else { &[0x80, 0, 0, 1] });
            let answers = matches!(protocol, Rep | Respondent) && mode == Mode::Cooked;
            let blocks = matches!(protocol, Pair | Sub | Pull | Bus) || answers || asks;
            assert_eq!(pattern.handle_block(&mut fx, pipe, &mut block), blocks, "{protocol:?} {mode:?}");
            assert_eq!(block.is_empty(), blocks);
            assert_eq!(block.capacity() == 0, blocks && !asks, "the buffer goes along");
            if answers {
                pattern.handle_writable(&mut fx, now, pipe);
                pattern.recv(&mut fx, now).unwrap();
                assert_eq!(
                    pattern.choose_plain(&mut fx, now, b""),
                    Plain::To(pipe),
                    "{protocol:?} {mode:?} after a request"
                );
                assert_eq!(pattern.plain_header(), [0x80, 0, 0, 1]);
            }
        }
    }

    /// A payload that is passed leaves the pattern as one that was queued and received does, and releases nothing.
    #[test]
    fn what_is_passed_is_what_would_have_been_received() {
        use Protocol::{Bus, Pair, Pull, Rep, Req, Respondent, Sub};
        let id = (1 | route::BOTTOM).to_be_bytes();
        let payloads =
            [[&id[..], b"answer"].concat(), [&[0, 0, 0, 7], &id[..], b"deeper"].concat(), vec![0; 3]];
        for (protocol, mode, ..) in FRESH {
            let (now, pipe) = (Instant::now(), PipeId::new(0, 1));
            let fresh = || {
                let (mut pattern, mut fx) = (create(protocol, mode, 0), Effects::default());
                if protocol == Sub {
                    pattern.set_option(&mut fx, PatternOption::Subscribe(&id[..1])).unwrap();
                }
                pattern.handle_attach(&mut fx, now, pipe, network::SAME).unwrap();
                pattern.choose_plain(&mut fx, now, b"question");
                (pattern, fx)
            };
            let cooked = mode == Mode::Cooked;
            let passes = payloads.each_ref().map(|payload| {
                let ((mut passing, _), (mut queueing, mut fx)) = (fresh(), fresh());
                let before = passing.readiness();
                let header = passing.header_of(pipe, payload);
                let Some(passed) = passing.pass(pipe, payload) else {
                    assert_eq!(passing.readiness(), before, "{protocol:?} {mode:?}");
                    assert_eq!(header, None, "{protocol:?} {mode:?}");
                    return false;
                };
                let told = (protocol != Sub).then_some(payload.len() - passed.len());
                assert_eq!(header, told, "{protocol:?} {mode:?}: the topic may be longer than the front");
                let front = &payload[..header.unwrap_or_default()];
                let (mut placing, _) = fresh();
                assert_eq!(placing.header_of(pipe, front), told, "{protocol:?} {mode:?}");
                assert!(placing.passed(pipe, front), "{protocol:?} {mode:?}");
                assert_eq!(placing.readiness(), passing.readiness(), "{protocol:?} {mode:?}");
                assert_eq!(placing.passed(pipe, front), protocol != Req, "{protocol:?} {mode:?}: once");
                queueing.handle_message(&mut fx, now, pipe, Message::from(&payload[..]));
                let received = queueing.recv(&mut fx, now).expect("it was passed, so it is good");
                assert_eq!((received.header(), received.body()), (&[][..], passed), "{protocol:?} {mode:?}");
                assert_eq!(fx.release, [(pipe, payload.len())]);
                assert_eq!(passing.readiness(), queueing.readiness(), "{protocol:?} {mode:?}");
                assert_eq!(passing.next_timeout(), queueing.next_timeout(), "{protocol:?} {mode:?}");
                let mut answer = |pattern: &mut Box<dyn Pattern>| {
                    let pipe = pattern.choose_plain(&mut fx, now, b"next");
                    (pipe, pattern.plain_header().to_vec())
                };
                let answered = answer(&mut queueing);
                assert_eq!(answer(&mut passing), answered, "{protocol:?} {mode:?}");
                assert_eq!(answer(&mut placing), answered, "{protocol:?} {mode:?}");

                // Behind something that waits it would be out of order; and an answer is received once.
                let (mut busy, mut fx) = fresh();
                busy.handle_message(&mut fx, now, pipe, Message::from(&payload[..]));
                assert_eq!(busy.pass(pipe, payload), None, "{protocol:?} {mode:?}");
                assert_eq!(busy.header_of(pipe, payload), None, "{protocol:?} {mode:?}");
                true
            });
            let expected = match protocol {
                Pair | Pull => [true; 3],
                Sub => [true, false, false],
                Bus if cooked => [true; 3],
                Req if cooked => [true, false, false],
                Rep | Respondent if cooked => [true, true, false],
                _ => [false; 3],
            };
            assert_eq!(passes, expected, "{protocol:?} {mode:?}");
        }
    }

    /// Sockets of the others never look at a clock.
    #[test]
    fn r140_r196_only_patterns_with_deadlines_ask_for_timers() {
        for (protocol, mode, ..) in FRESH {
            let mut net = Network::new(Carriage::Wire);
            let (node, probe) = (net.add(protocol, mode), net.probe());
            net.connect(node, probe);
            let _ = net.send(node, "x");
            let asks = net.next_timeout(node).is_some();
            assert_eq!(asks, protocol.has_deadlines(mode), "{protocol:?} {mode:?}");
        }
    }

    #[test]
    fn r109_priorities_out_of_range_count_as_the_nearest() {
        assert_eq!([0, 1, 8, 16, 17, 255].map(class_of), [0, 0, 7, 15, 15, 15]);
        assert_eq!(CLASSES, 16, "no class without a priority");
    }
}
