//! BUS: every message to every directly connected peer (R206 to R212). Nothing is forwarded.

use std::time::Instant;

use super::distribute::Distributor;
use super::fair_queue::FairQueue;
use super::{
    Effects, Mode, OptionRefusal, Pattern, PatternOption, PipeId, Priorities, Readiness, RecvRefusal,
    Refused, Rejected, SendRefusal, common_option, refuse,
};
use crate::frames::{Frames, Taken};
use crate::limits::BUS_HEADER_BYTES;
use crate::message::Message;

/// The pattern. A raw socket shows the arriving pipe in the header: its key as a native-endian 64-bit number.
/// Sent back with that header, a message reaches everybody but its origin.
#[derive(Debug)]
pub(super) struct Bus {
    mode: Mode,
    pipes: Distributor,
    queue: FairQueue,
}

/// What the header of a message to be sent says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    All,
    /// Everybody but the pipe with this key. That of a pipe that is gone excludes nobody.
    AllBut(Option<u32>),
    /// The header is of another length, or on a cooked socket (R212).
    Invalid,
}

impl Bus {
    pub(super) fn new(mode: Mode) -> Self {
        Bus { mode, pipes: Distributor::default(), queue: FairQueue::default() }
    }

    fn audience(&self, header: &[u8]) -> Audience {
        if header.is_empty() {
            return Audience::All;
        }
        match <[u8; BUS_HEADER_BYTES]>::try_from(header) {
            Ok(id) if self.mode == Mode::Raw => Audience::AllBut(u32::try_from(u64::from_ne_bytes(id)).ok()),
            _ => Audience::Invalid,
        }
    }
}

impl Pattern for Bus {
    fn handle_attach(
        &mut self,
        _fx: &mut Effects,
        _now: Instant,
        pipe: PipeId,
        prio: Priorities,
    ) -> Result<(), Refused> {
        self.pipes.attach(pipe);
        self.queue.attach(pipe, prio.recv);
        Ok(())
    }

    fn handle_detach(&mut self, _fx: &mut Effects, _now: Instant, pipe: PipeId) {
        self.pipes.detach(pipe);
        self.queue.detach(pipe);
    }

    fn handle_message(&mut self, _fx: &mut Effects, _now: Instant, pipe: PipeId, mut message: Message) {
        message.merge_header();
        let charge = message.payload_len();
        self.queue.push(pipe, message, charge);
    }

    fn handle_block(&mut self, _fx: &mut Effects, pipe: PipeId, block: &mut Frames) -> bool {
        self.queue.push_block(pipe, block);
        true
    }

    fn handle_writable(&mut self, _fx: &mut Effects, _now: Instant, pipe: PipeId) {
        self.pipes.writable(pipe);
    }

    fn handle_full(&mut self, pipe: PipeId) {
        self.pipes.full(pipe);
    }

    fn handle_timeout(&mut self, _fx: &mut Effects, _now: Instant) {}

    fn send(&mut self, fx: &mut Effects, _now: Instant, mut message: Message) -> Result<(), Rejected> {
        let except = match self.audience(message.header()) {
            Audience::Invalid => return refuse(message, SendRefusal::Header),
            Audience::All => None,
            Audience::AllBut(key) => key,
        };
        message.set_header(&[]);
        self.pipes.send(fx, message, except);
        Ok(())
    }

    fn recv(&mut self, fx: &mut Effects, _now: Instant) -> Result<Message, RecvRefusal> {
        let (pipe, taken) = self.queue.pop(fx).ok_or(RecvRefusal::Empty)?;
        let mut message = taken.into_message();
        if self.mode == Mode::Raw {
            message.set_header(&u64::from(pipe.key()).to_ne_bytes());
        }
        Ok(message)
    }

    fn recv_taken<'a>(
        &'a mut self,
        fx: &mut Effects,
        now: Instant,
        place: &'a mut Option<Message>,
    ) -> Result<Taken<'a>, RecvRefusal> {
        match self.mode {
            Mode::Cooked => self.queue.pop(fx).map(|(_, taken)| taken).ok_or(RecvRefusal::Empty),
            Mode::Raw => Ok(Taken::Message(place.insert(self.recv(fx, now)?))),
        }
    }

    fn pass<'a>(&mut self, pipe: PipeId, payload: &'a [u8]) -> Option<&'a [u8]> {
        self.header_of(pipe, payload).and_then(|len| payload.get(len..))
    }

    fn header_of(&self, _pipe: PipeId, _front: &[u8]) -> Option<usize> {
        (self.mode == Mode::Cooked && self.queue.is_empty()).then_some(0)
    }

    fn tidy(&mut self) {
        self.queue.tidy();
    }

    fn readiness(&self) -> Readiness {
        Readiness { recv: !self.queue.is_empty(), send: true }
    }

    fn set_option(&mut self, _fx: &mut Effects, option: PatternOption<'_>) -> Result<(), OptionRefusal> {
        common_option(option)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Protocol;
    use super::super::network::{Carriage, Network, NodeId, burst};
    use super::*;
    use crate::limits::FRAMES_KEEP_BYTES;

    /// A bus in the middle and `N` around it.
    fn star<const N: usize>(mode: Mode) -> (Network, NodeId, [NodeId; N]) {
        let mut net = Network::new(Carriage::Inproc);
        let middle = net.add(Protocol::Bus, mode);
        let around = [(); N].map(|()| {
            let node = net.cooked(Protocol::Bus);
            net.connect(node, middle);
            node
        });
        (net, middle, around)
    }

    #[test]
    fn r206_r207_every_direct_peer_hears_it_and_nobody_forwards() {
        let (mut net, middle, [a, b]) = star(Mode::Cooked);
        net.send(middle, "all").unwrap();
        assert_eq!((net.texts(a), net.texts(b), net.texts(middle)), ("all".into(), "all".into(), "".into()));
        net.send(a, "near").unwrap();
        assert_eq!((net.texts(middle), net.texts(a), net.texts(b)), ("near".into(), "".into(), "".into()));
    }

    #[test]
    fn r208_r117_send_never_blocks_and_skips_only_the_full() {
        let mut net = Network::new(Carriage::Wire);
        let [bus, slow, fast] = [(); 3].map(|()| net.cooked(Protocol::Bus));
        net.send(bus, "nobody hears").unwrap();
        let link = net.connect(bus, slow);
        net.connect(bus, fast);
        net.stall(link, slow);
        for n in 0..6 {
            net.send(bus, n.to_string()).unwrap();
        }
        net.resume(link, slow);
        assert_eq!((net.texts(slow), net.texts(fast)), ("0 1 2 3".into(), "0 1 2 3 4 5".into()));
        net.send(bus, "6").unwrap();
        assert_eq!(net.texts(slow), "6");
    }

    #[test]
    fn r209_nothing_is_added_on_the_wire_cooked_or_raw() {
        for mode in [Mode::Cooked, Mode::Raw] {
            let mut net = Network::new(Carriage::Wire);
            let (bus, probe) = (net.add(Protocol::Bus, mode), net.probe());
            net.connect(bus, probe);
            net.send(bus, "bare").unwrap();
            assert_eq!(net.text(probe), "bare");
        }
    }

    #[test]
    fn r210_raw_shows_the_pipe_and_sending_it_back_spares_that_pipe() {
        let (mut net, hub, [a, b, c]) = star(Mode::Raw);
        net.send(a, "x").unwrap();
        let message = net.recv(hub).unwrap();
        let key = u64::from_ne_bytes(message.header().try_into().unwrap());
        assert!(key <= u64::from(PipeId::KEY_MASK));
        net.send(hub, message).unwrap();
        assert_eq!((net.texts(a), net.texts(b), net.texts(c)), ("".into(), "x".into(), "x".into()));
    }

    #[test]
    fn r225_a_loop_back_device_is_a_hub_without_echo() {
        let (mut net, hub, around) = star::<3>(Mode::Raw);
        for (n, node) in around.into_iter().enumerate() {
            net.send(node, n.to_string()).unwrap();
        }
        net.relay(hub, hub);
        assert_eq!(around.map(|node| net.texts(node)), ["1 2", "0 2", "0 1"]);
    }

    #[test]
    fn r210_the_id_of_a_pipe_that_is_gone_excludes_nobody() {
        let mut net = Network::new(Carriage::Inproc);
        let (hub, gone, here) =
            (net.raw(Protocol::Bus), net.cooked(Protocol::Bus), net.cooked(Protocol::Bus));
        let link = net.connect(hub, gone);
        net.send(gone, "x").unwrap();
        net.disconnect(link);
        net.connect(hub, here);
        net.relay(hub, hub);
        assert_eq!(net.text(here), "x");
        net.send_with(hub, &u64::MAX.to_ne_bytes(), "y").unwrap();
        assert_eq!(net.text(here), "y");
    }

    #[test]
    fn r211_raw_with_an_empty_header_reaches_all() {
        let (mut net, hub, around) = star::<2>(Mode::Raw);
        net.send(hub, "all").unwrap();
        assert_eq!(around.map(|node| net.texts(node)), ["all", "all"]);
    }

    #[test]
    fn r212_a_header_of_another_length_or_on_a_cooked_bus_is_refused() {
        let (mut net, hub, [_a]) = star(Mode::Raw);
        for len in [1, 4, 7, 9, 16] {
            assert_eq!(net.send_with(hub, &vec![0; len], "x"), Err(SendRefusal::Header), "{len}");
        }
        let (mut net, bus, [_a]) = star(Mode::Cooked);
        for len in [1, 4, 8] {
            assert_eq!(net.send_with(bus, &vec![0; len], "x"), Err(SendRefusal::Header), "{len}");
        }
    }

    #[test]
    fn a_bus_connected_to_itself_hears_itself_once_per_end() {
        let mut net = Network::new(Carriage::Inproc);
        let bus = net.cooked(Protocol::Bus);
        net.connect(bus, bus);
        net.send(bus, "echo").unwrap();
        assert_eq!(net.texts(bus), "echo echo");
    }

    #[test]
    fn r120_a_fresh_bus_can_send() {
        assert_eq!(Bus::new(Mode::Cooked).readiness(), Readiness { recv: false, send: true });
    }

    #[test]
    fn memory_of_a_burst_is_given_back() {
        for mode in [Mode::Cooked, Mode::Raw] {
            let mut bus = Bus::new(mode);
            burst(&mut bus, b"x");
            assert!(bus.queue.capacity() <= FRAMES_KEEP_BYTES, "{mode:?}: {}", bus.queue.capacity());
        }
    }
}
