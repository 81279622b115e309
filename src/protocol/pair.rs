//! PAIR: one conversation with one peer (R121 to R126). Raw PAIR is the same. Version 1 is this with another
//! [`Framing`].

use std::time::Instant;

use super::inbox::Inbox;
use super::{
    Effects, OptionRefusal, Pattern, PatternOption, PipeId, Plain, Priorities, Readiness, RecvRefusal,
    Refused, Rejected, SendRefusal, common_option, refuse,
};
use crate::frames::{Frames, Taken};
use crate::limits::HEADER_WORD_BYTES;
use crate::message::Message;

/// The pattern, in either version. What a departed peer sent stays first in the inbox: the conversations do not mix.
#[derive(Debug, Default)]
pub(super) struct Pair<F = Bare> {
    framing: F,
    peer: Peer,
    inbox: Inbox,
}

/// What stands in front of the body: all in which the versions of PAIR differ.
pub(super) trait Framing: Send {
    /// Makes of a payload what the application is to see.
    fn arrived(&self, message: &mut Message) -> Verdict;

    /// Whether all that arrives is kept as it is.
    fn keeps_all(&self) -> bool {
        false
    }

    /// What to do with a message that the application gives this header.
    fn departing(&self, header: &[u8]) -> Departure;

    /// The option of this name.
    fn set_max_ttl(&mut self, _hops: u8) {}
}

/// What becomes of a message that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    Drop,
    /// Nobody who follows the rules sends such a thing.
    ClosePipe,
}

/// What becomes of a message to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Departure {
    Unchanged,
    /// With this word as its header.
    With([u8; HEADER_WORD_BYTES]),
    /// Dropped, and the send succeeds.
    Dropped,
    /// Refused: the header is not one.
    Refused,
}

/// Version 0: nothing (R121).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bare;

impl Framing for Bare {
    fn arrived(&self, message: &mut Message) -> Verdict {
        message.merge_header();
        Verdict::Keep
    }

    fn keeps_all(&self) -> bool {
        true
    }

    /// Raw or cooked, what the caller put there is transmitted as it is (R126).
    fn departing(&self, _header: &[u8]) -> Departure {
        Departure::Unchanged
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Peer {
    #[default]
    None,
    Writable(PipeId),
    Full(PipeId),
}

impl Peer {
    fn pipe(self) -> Option<PipeId> {
        match self {
            Peer::None => None,
            Peer::Writable(pipe) | Peer::Full(pipe) => Some(pipe),
        }
    }
}

impl<F: Framing> Pair<F> {
    pub(super) fn new(framing: F) -> Self {
        Pair { framing, peer: Peer::None, inbox: Inbox::default() }
    }
}

impl<F: Framing> Pattern for Pair<F> {
    fn handle_attach(
        &mut self,
        _fx: &mut Effects,
        _now: Instant,
        pipe: PipeId,
        _prio: Priorities,
    ) -> Result<(), Refused> {
        if self.peer != Peer::None {
            return Err(Refused::Busy);
        }
        self.peer = Peer::Writable(pipe);
        Ok(())
    }

    fn handle_detach(&mut self, _fx: &mut Effects, _now: Instant, pipe: PipeId) {
        if self.peer.pipe() == Some(pipe) {
            self.peer = Peer::None;
        }
    }

    fn handle_message(&mut self, fx: &mut Effects, _now: Instant, pipe: PipeId, mut message: Message) {
        if self.peer.pipe() != Some(pipe) {
            return;
        }
        let charge = message.payload_len();
        match self.framing.arrived(&mut message) {
            Verdict::Keep => self.inbox.push(pipe, message, charge),
            Verdict::Drop => fx.release(pipe, charge),
            Verdict::ClosePipe => {
                fx.release(pipe, charge);
                fx.close(pipe);
            }
        }
    }

    fn handle_block(&mut self, _fx: &mut Effects, pipe: PipeId, block: &mut Frames) -> bool {
        if !self.framing.keeps_all() || self.peer.pipe() != Some(pipe) {
            return false;
        }
        self.inbox.push_block(pipe, block);
        true
    }

    fn handle_writable(&mut self, _fx: &mut Effects, _now: Instant, pipe: PipeId) {
        if self.peer == Peer::Full(pipe) {
            self.peer = Peer::Writable(pipe);
        }
    }

    fn handle_full(&mut self, pipe: PipeId) {
        if self.peer == Peer::Writable(pipe) {
            self.peer = Peer::Full(pipe);
        }
    }

    fn handle_timeout(&mut self, _fx: &mut Effects, _now: Instant) {}

    fn send(&mut self, fx: &mut Effects, _now: Instant, mut message: Message) -> Result<(), Rejected> {
        let departure = self.framing.departing(message.header());
        if departure == Departure::Refused {
            return refuse(message, SendRefusal::Header);
        }
        let Peer::Writable(pipe) = self.peer else {
            return refuse(message, SendRefusal::Full);
        };
        if let Departure::With(word) = departure {
            message.set_header(&word);
        }
        if departure != Departure::Dropped {
            fx.transmit(pipe, message);
        }
        Ok(())
    }

    fn choose_plain(&mut self, _fx: &mut Effects, _now: Instant, _body: &[u8]) -> Plain {
        match self.peer {
            _ if self.framing.departing(&[]) != Departure::Unchanged => Plain::Message,
            Peer::Writable(pipe) => Plain::To(pipe),
            _ => Plain::Full,
        }
    }

    fn recv(&mut self, fx: &mut Effects, _now: Instant) -> Result<Message, RecvRefusal> {
        self.inbox.pop(fx).map(Taken::into_message).ok_or(RecvRefusal::Empty)
    }

    fn recv_taken<'a>(
        &'a mut self,
        fx: &mut Effects,
        _now: Instant,
        _place: &'a mut Option<Message>,
    ) -> Result<Taken<'a>, RecvRefusal> {
        self.inbox.pop(fx).ok_or(RecvRefusal::Empty)
    }

    fn pass<'a>(&mut self, pipe: PipeId, payload: &'a [u8]) -> Option<&'a [u8]> {
        self.header_of(pipe, payload).and_then(|len| payload.get(len..))
    }

    fn header_of(&self, pipe: PipeId, _front: &[u8]) -> Option<usize> {
        (self.framing.keeps_all() && self.peer.pipe() == Some(pipe) && self.inbox.is_empty()).then_some(0)
    }

    fn tidy(&mut self) {
        self.inbox.give_back();
    }

    fn readiness(&self) -> Readiness {
        Readiness { recv: !self.inbox.is_empty(), send: matches!(self.peer, Peer::Writable(_)) }
    }

    fn set_option(&mut self, _fx: &mut Effects, option: PatternOption<'_>) -> Result<(), OptionRefusal> {
        if let PatternOption::MaxTtl(hops) = option {
            self.framing.set_max_ttl(hops);
        }
        common_option(option)
    }
}

#[cfg(test)]
mod tests {
    use super::super::network::{Carriage, Network, SAME};
    use super::super::{Mode, Protocol, Readiness};
    use super::*;
    use crate::limits::FRAMES_SPARE_MAX_BYTES;

    #[test]
    fn r121_r126_a_conversation_has_no_header_cooked_or_raw() {
        for mode in [Mode::Cooked, Mode::Raw] {
            let mut net = Network::new(Carriage::Wire);
            let (a, b) = (net.add(Protocol::Pair, mode), net.probe());
            net.connect(a, b);
            net.send(a, "hello").unwrap();
            assert_eq!(net.text(b), "hello");
            net.send(b, "hi").unwrap();
            assert_eq!(net.text(a), "hi");
        }
    }

    #[test]
    fn a_header_given_by_the_caller_is_transmitted_in_front_of_the_body() {
        for carriage in Carriage::BOTH {
            let mut net = Network::new(carriage);
            let (a, b) = (net.cooked(Protocol::Pair), net.cooked(Protocol::Pair));
            net.connect(a, b);
            net.send_with(a, b"he", "ad").unwrap();
            assert_eq!(net.text(b), "head");
        }
    }

    #[test]
    fn r122_a_second_peer_is_refused_and_the_first_undisturbed() {
        let mut net = Network::new(Carriage::Inproc);
        let [a, b, c] = [(); 3].map(|()| net.cooked(Protocol::Pair));
        net.connect(a, b);
        assert_eq!(net.connect_with(c, a, SAME, 4), Err(Refused::Busy));
        net.send(b, "to a").unwrap();
        net.send(a, "to b").unwrap();
        assert_eq!((net.text(a), net.text(b)), ("to a".into(), "to b".into()));
        assert_eq!(net.send(c, "?"), Err(SendRefusal::Full));
    }

    #[test]
    fn r123_a_new_peer_is_accepted_after_the_first_has_left() {
        let mut net = Network::new(Carriage::Inproc);
        let [a, b, c] = [(); 3].map(|()| net.cooked(Protocol::Pair));
        let link = net.connect(a, b);
        net.disconnect(link);
        net.connect(a, c);
        net.send(a, "welcome").unwrap();
        assert_eq!(net.text(c), "welcome");
    }

    #[test]
    fn r124_send_waits_for_a_peer_with_room() {
        let mut net = Network::new(Carriage::Inproc);
        let [a, b] = [(); 2].map(|()| net.cooked(Protocol::Pair));
        assert_eq!(net.send(a, "nobody"), Err(SendRefusal::Full));
        let link = net.connect(a, b);
        net.stall(link, b);
        for _ in 0..4 {
            net.send(a, "x").unwrap();
        }
        assert!(!net.readiness(a).send);
        assert_eq!(net.send(a, "one too many"), Err(SendRefusal::Full));
        net.resume(link, b);
        assert!(net.readiness(a).send);
    }

    #[test]
    fn r125_the_next_peer_gets_nothing_meant_for_the_one_before() {
        let mut net = Network::new(Carriage::Inproc);
        let [a, b, c] = [(); 3].map(|()| net.cooked(Protocol::Pair));
        let link = net.connect(a, b);
        net.stall(link, b);
        net.send(a, "for b").unwrap();
        net.disconnect(link);
        net.connect(a, c);
        assert_eq!(net.recv(c), Err(RecvRefusal::Empty));
    }

    #[test]
    fn r119_what_a_departed_peer_sent_comes_before_the_next_peers_messages() {
        let mut net = Network::new(Carriage::Wire);
        let [a, b, c] = [(); 3].map(|()| net.cooked(Protocol::Pair));
        let first = net.connect(a, b);
        net.send(b, "b1").unwrap();
        net.send(b, "b2").unwrap();
        net.disconnect(first);
        let second = net.connect(a, c);
        net.send(c, "c1").unwrap();
        assert_eq!(net.held(second, a), 2);
        assert_eq!(net.texts(a), "b1 b2 c1");
        assert_eq!(net.held(second, a), 0);
    }

    #[test]
    fn r120_a_fresh_pair_is_not_ready() {
        let net_pair = <Pair>::default();
        assert_eq!(net_pair.readiness(), Readiness { recv: false, send: false });
    }

    #[test]
    fn a_block_of_a_pipe_that_is_not_the_peer_is_not_taken() {
        let (mut pair, mut fx, now) = (<Pair>::default(), Effects::default(), Instant::now());
        pair.handle_attach(&mut fx, now, PipeId::new(0, 1), SAME).unwrap();
        let mut block = Frames::default();
        block.push_body(b"from somebody else");
        assert!(!pair.handle_block(&mut fx, PipeId::new(0, 2), &mut block));
        assert!(!block.is_empty() && !pair.readiness().recv);
    }

    #[test]
    fn memory_of_a_burst_is_given_back_when_all_of_it_is_taken() {
        let (mut pair, mut fx, now, pipe) =
            (<Pair>::default(), Effects::default(), Instant::now(), PipeId::new(0, 1));
        pair.handle_attach(&mut fx, now, pipe, SAME).unwrap();
        for _ in 0..FRAMES_SPARE_MAX_BYTES {
            pair.handle_message(&mut fx, now, pipe, Message::from("x"));
        }
        let capacity = pair.inbox.capacity();
        pair.recv(&mut fx, now).unwrap();
        assert_eq!(pair.inbox.capacity(), capacity, "not while more of it waits");
        while pair.recv(&mut fx, now).is_ok() {}
        pair.tidy();
        assert!(pair.inbox.capacity() <= FRAMES_SPARE_MAX_BYTES);
    }

    #[test]
    fn r110_r112_order_holds_and_reading_stops_at_the_bound() {
        let mut net = Network::new(Carriage::Wire);
        let [a, b] = [(); 2].map(|()| net.cooked(Protocol::Pair));
        let link = net.connect(a, b);
        let mut sent = 0;
        while net.send(a, Message::from(vec![sent; 500])).is_ok() {
            sent += 1;
        }
        assert_eq!((sent, net.held(link, b)), (7, 1500));
        for n in 0..sent {
            assert_eq!(net.recv(b).unwrap().body(), vec![n; 500]);
        }
        assert_eq!(net.held(link, b), 0);
        assert!(net.readiness(a).send);
    }
}
