//! REQ: asks, and asks again until answered (R131 to R151). Raw REQ spreads what it is given (R217, R218).

use std::mem;
use std::time::{Duration, Instant};

use super::fair_queue::FairQueue;
use super::load_balance::LoadBalance;
use super::route::{BOTTOM, next_id, split_first_word, strip_id};
use super::{
    Effects, OptionRefusal, Pattern, PatternOption, PipeId, Plain, Priorities, Readiness, RecvRefusal,
    Refused, Rejected, SendRefusal, common_option, refuse,
};
use crate::frames::{Frames, Taken};
use crate::limits::{BODY_BY_REFERENCE_BYTES, HEADER_WORD_BYTES, REQ_RESEND_DEFAULT};
use crate::message::Message;

/// Cooked REQ: one request at a time, kept until its reply is collected or a new one replaces it.
#[derive(Debug)]
pub(super) struct Req {
    pipes: LoadBalance,
    /// Id of the latest request, top bit set.
    id: u32,
    /// The same as it goes over the wire.
    header: [u8; HEADER_WORD_BYTES],
    resend_interval: Duration,
    state: State,
}

/// Where the latest request stands.
#[derive(Debug)]
enum State {
    /// None sent, or its reply collected.
    Idle,
    /// To be sent as soon as a pipe is writable. Holds only while none is.
    Waiting { request: Message },
    /// Handed to `pipe`, not answered.
    Sent { request: Message, pipe: PipeId, resend: Resend },
    /// Its pipe is gone and resending is off: an answer may still come by another way, otherwise the caller's
    /// own deadline ends it (R150).
    Stranded,
    /// Answered; nothing that arrives later alters the reply (R148).
    Ready(Reply),
}

/// What makes an unanswered request go out again.
#[derive(Clone, Copy, Debug)]
enum Resend {
    /// Nothing: the interval was zero.
    Never,
    /// The loss of its pipe; the interval lies beyond what the clock can express.
    OnLoss,
    /// The loss of its pipe or this moment.
    At(Instant),
}

#[derive(Debug)]
struct Reply {
    message: Message,
    /// The pipe it is charged to.
    pipe: PipeId,
    charge: usize,
}

impl Reply {
    fn release(&self, fx: &mut Effects) {
        fx.release(self.pipe, self.charge);
    }
}

impl Req {
    /// `seed` is the random number before the first id (R132).
    pub(super) fn new(seed: u32) -> Self {
        Req {
            pipes: LoadBalance::default(),
            id: seed | BOTTOM,
            header: [0; HEADER_WORD_BYTES],
            resend_interval: REQ_RESEND_DEFAULT,
            state: State::Idle,
        }
    }

    /// First transmission and resend alike: to the pipe whose turn it is, or kept until there is one (R144).
    fn dispatch(&mut self, fx: &mut Effects, now: Instant, request: Message) {
        self.state = match self.pipes.choose() {
            None => State::Waiting { request },
            Some(pipe) => {
                fx.transmit(pipe, request.clone());
                State::Sent { request, pipe, resend: self.resend_after(now) }
            }
        };
    }

    /// A new request begins: what came of the one before is let go of.
    fn begin(&mut self, fx: &mut Effects) {
        if let State::Ready(reply) = &self.state {
            reply.release(fx);
        }
        self.id = next_id(self.id);
        self.header = self.id.to_be_bytes();
    }

    fn is_open(&self) -> bool {
        matches!(self.state, State::Waiting { .. } | State::Sent { .. } | State::Stranded)
    }

    fn resend_after(&self, now: Instant) -> Resend {
        if self.resend_interval.is_zero() {
            return Resend::Never;
        }
        now.checked_add(self.resend_interval).map_or(Resend::OnLoss, Resend::At)
    }

    fn dispatch_waiting(&mut self, fx: &mut Effects, now: Instant) {
        match mem::replace(&mut self.state, State::Idle) {
            State::Waiting { request } => self.dispatch(fx, now, request),
            other => self.state = other,
        }
    }
}

impl Pattern for Req {
    fn handle_attach(
        &mut self,
        fx: &mut Effects,
        now: Instant,
        pipe: PipeId,
        prio: Priorities,
    ) -> Result<(), Refused> {
        self.pipes.attach(pipe, prio.send);
        self.dispatch_waiting(fx, now);
        Ok(())
    }

    fn handle_detach(&mut self, fx: &mut Effects, now: Instant, gone: PipeId) {
        self.pipes.detach(gone);
        match mem::replace(&mut self.state, State::Idle) {
            State::Sent { pipe, resend: Resend::Never, .. } if pipe == gone => self.state = State::Stranded,
            State::Sent { request, pipe, .. } if pipe == gone => self.dispatch(fx, now, request),
            other => self.state = other,
        }
    }

    fn handle_message(&mut self, fx: &mut Effects, _now: Instant, pipe: PipeId, mut message: Message) {
        let charge = message.payload_len();
        if self.is_open() && strip_id(&mut message, self.id) {
            self.state = State::Ready(Reply { message, pipe, charge });
        } else {
            fx.release(pipe, charge);
        }
    }

    fn handle_block(&mut self, fx: &mut Effects, pipe: PipeId, block: &mut Frames) -> bool {
        while let Some((taken, charge)) = block.pop() {
            let answer = match taken {
                Taken::Body(payload, kind) => payload.strip_prefix(&self.header).map(|body| {
                    let mut message = Message::copy_from_slice(body);
                    message.set_ws_type(kind);
                    message
                }),
                Taken::Message(message) => strip_id(message, self.id).then(|| mem::take(message)),
            };
            match answer {
                Some(message) if self.is_open() => self.state = State::Ready(Reply { message, pipe, charge }),
                _ => fx.release(pipe, charge),
            }
        }
        true
    }

    fn handle_writable(&mut self, fx: &mut Effects, now: Instant, pipe: PipeId) {
        self.pipes.writable(pipe);
        self.dispatch_waiting(fx, now);
    }

    fn handle_full(&mut self, pipe: PipeId) {
        self.pipes.full(pipe);
    }

    fn handle_timeout(&mut self, fx: &mut Effects, now: Instant) {
        match mem::replace(&mut self.state, State::Idle) {
            State::Sent { request, resend: Resend::At(due), .. } if due <= now => {
                self.dispatch(fx, now, request);
            }
            other => self.state = other,
        }
    }

    fn send(&mut self, fx: &mut Effects, now: Instant, mut message: Message) -> Result<(), Rejected> {
        if !message.header().is_empty() {
            return refuse(message, SendRefusal::Header);
        }
        self.begin(fx);
        message.set_header(&self.header);
        self.dispatch(fx, now, message);
        Ok(())
    }

    /// A large body is better kept by reference than copied.
    fn choose_plain(&mut self, fx: &mut Effects, now: Instant, body: &[u8]) -> Plain {
        if body.len() >= BODY_BY_REFERENCE_BYTES {
            return Plain::Message;
        }
        let Some(pipe) = self.pipes.choose() else { return Plain::Message };
        self.begin(fx);
        let mut request = Message::copy_from_slice(body);
        request.set_header(&self.header);
        self.state = State::Sent { request, pipe, resend: self.resend_after(now) };
        Plain::To(pipe)
    }

    fn plain_header(&self) -> &[u8] {
        &self.header
    }

    fn recv(&mut self, fx: &mut Effects, _now: Instant) -> Result<Message, RecvRefusal> {
        match &self.state {
            State::Ready(_) => (),
            State::Idle => return Err(RecvRefusal::State),
            _ => return Err(RecvRefusal::Empty),
        }
        let State::Ready(reply) = mem::replace(&mut self.state, State::Idle) else {
            return Err(RecvRefusal::State);
        };
        reply.release(fx);
        Ok(reply.message)
    }

    fn pass<'a>(&mut self, _pipe: PipeId, payload: &'a [u8]) -> Option<&'a [u8]> {
        let body = payload.strip_prefix(&self.header)?;
        if !self.is_open() {
            return None;
        }
        self.state = State::Idle;
        Some(body)
    }

    fn header_of(&self, _pipe: PipeId, front: &[u8]) -> Option<usize> {
        (self.is_open() && front.starts_with(&self.header)).then_some(self.header.len())
    }

    fn passed(&mut self, pipe: PipeId, front: &[u8]) -> bool {
        self.pass(pipe, front).is_some()
    }

    fn next_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Sent { resend: Resend::At(due), .. } => Some(due),
            _ => None,
        }
    }

    /// Sending is always possible: without a peer the request is kept (R136).
    fn readiness(&self) -> Readiness {
        Readiness { recv: matches!(self.state, State::Ready(_)), send: true }
    }

    fn set_option(&mut self, _fx: &mut Effects, option: PatternOption<'_>) -> Result<(), OptionRefusal> {
        match option {
            PatternOption::ResendInterval(interval) => {
                self.resend_interval = interval;
                Ok(())
            }
            other => common_option(other),
        }
    }

    fn send_priority(&self) -> i64 {
        self.pipes.send_priority()
    }
}

/// Raw REQ: header and body go out as they are; an answer shows its first word as header.
#[derive(Debug, Default)]
pub(super) struct RawReq {
    pipes: LoadBalance,
    queue: FairQueue,
}

impl Pattern for RawReq {
    fn handle_attach(
        &mut self,
        _fx: &mut Effects,
        _now: Instant,
        pipe: PipeId,
        prio: Priorities,
    ) -> Result<(), Refused> {
        self.pipes.attach(pipe, prio.send);
        self.queue.attach(pipe, prio.recv);
        Ok(())
    }

    fn handle_detach(&mut self, _fx: &mut Effects, _now: Instant, pipe: PipeId) {
        self.pipes.detach(pipe);
        self.queue.detach(pipe);
    }

    fn handle_message(&mut self, fx: &mut Effects, _now: Instant, pipe: PipeId, mut message: Message) {
        let charge = message.payload_len();
        if split_first_word(&mut message) {
            self.queue.push(pipe, message, charge);
        } else {
            fx.release(pipe, charge);
        }
    }

    fn handle_writable(&mut self, _fx: &mut Effects, _now: Instant, pipe: PipeId) {
        self.pipes.writable(pipe);
    }

    fn handle_full(&mut self, pipe: PipeId) {
        self.pipes.full(pipe);
    }

    fn handle_timeout(&mut self, _fx: &mut Effects, _now: Instant) {}

    fn send(&mut self, fx: &mut Effects, _now: Instant, message: Message) -> Result<(), Rejected> {
        match self.pipes.choose() {
            Some(pipe) => {
                fx.transmit(pipe, message);
                Ok(())
            }
            None => refuse(message, SendRefusal::Full),
        }
    }

    fn recv(&mut self, fx: &mut Effects, _now: Instant) -> Result<Message, RecvRefusal> {
        self.queue.pop(fx).map(|(_, taken)| taken.into_message()).ok_or(RecvRefusal::Empty)
    }

    fn tidy(&mut self) {
        self.queue.tidy();
    }

    fn readiness(&self) -> Readiness {
        Readiness { recv: !self.queue.is_empty(), send: self.pipes.is_writable() }
    }

    fn set_option(&mut self, _fx: &mut Effects, option: PatternOption<'_>) -> Result<(), OptionRefusal> {
        common_option(option)
    }

    fn send_priority(&self) -> i64 {
        self.pipes.send_priority()
    }
}

#[cfg(test)]
mod tests {
    use super::super::network::{Carriage, LinkId, Network, NodeId, SAME, SEED, burst};
    use super::super::{Mode, Protocol};
    use super::*;
    use crate::limits::{FRAMES_KEEP_BYTES, PRIORITY_DEFAULT};

    const SECOND: Duration = Duration::from_secs(1);
    const FIRST_ID: u32 = (SEED + 1) | BOTTOM;

    /// A REQ and a peer that shows the bytes, connected.
    fn req_and_probe() -> (Network, NodeId, NodeId, LinkId) {
        let mut net = Network::new(Carriage::Wire);
        let (req, probe) = (net.cooked(Protocol::Req), net.probe());
        let link = net.connect(req, probe);
        (net, req, probe, link)
    }

    fn with_id(id: u32, body: &str) -> Vec<u8> {
        [&id.to_be_bytes(), body.as_bytes()].concat()
    }

    /// What the probe got: ids and bodies, one request after the other.
    fn requests(net: &mut Network, probe: NodeId) -> Vec<(u32, String)> {
        let mut requests = Vec::new();
        while let Ok(mut message) = net.recv(probe) {
            assert!(split_first_word(&mut message));
            let id = u32::from_be_bytes(message.header().try_into().unwrap());
            requests.push((id, String::from_utf8(message.body().to_vec()).unwrap()));
        }
        requests
    }

    fn set_interval(net: &mut Network, req: NodeId, interval: Duration) {
        net.set(req, PatternOption::ResendInterval(interval)).unwrap();
    }

    #[test]
    fn r131_each_request_carries_one_id_with_top_bit() {
        let (mut net, req, probe, _) = req_and_probe();
        net.send(req, "hi").unwrap();
        let payload = net.recv(probe).unwrap();
        assert_eq!(payload.body(), with_id(FIRST_ID, "hi"));
        assert_eq!(payload.body()[0] & 0x80, 0x80);
    }

    #[test]
    fn r132_the_first_id_follows_the_seed_and_successive_ids_differ() {
        let (mut net, req, probe, _) = req_and_probe();
        for _ in 0..3 {
            net.send(req, "").unwrap();
        }
        let ids: Vec<u32> = requests(&mut net, probe).into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, [FIRST_ID, FIRST_ID + 1, FIRST_ID + 2]);
    }

    #[test]
    fn r133_r140_r141_resends_are_identical_and_an_interval_apart() {
        let (mut net, req, probe, _) = req_and_probe();
        set_interval(&mut net, req, SECOND);
        net.send(req, "again").unwrap();
        for _ in 0..3 {
            assert_eq!(requests(&mut net, probe), [(FIRST_ID, "again".into())]);
            net.advance(SECOND - Duration::from_millis(1));
            assert_eq!(requests(&mut net, probe), []);
            net.advance(Duration::from_millis(1));
        }
    }

    #[test]
    fn r140_the_interval_defaults_to_a_minute() {
        let (mut net, req, _, _) = req_and_probe();
        net.send(req, "").unwrap();
        assert_eq!(net.next_timeout(req), Some(Duration::from_secs(60)));
    }

    #[test]
    fn r141_a_request_that_waited_for_a_pipe_has_its_whole_interval() {
        let mut net = Network::new(Carriage::Wire);
        let (req, probe) = (net.cooked(Protocol::Req), net.probe());
        set_interval(&mut net, req, SECOND);
        net.send(req, "x").unwrap();
        assert_eq!(net.next_timeout(req), None);
        net.advance(10 * SECOND);
        net.connect(req, probe);
        assert_eq!(requests(&mut net, probe).len(), 1);
        assert_eq!(net.next_timeout(req), Some(SECOND));
    }

    #[test]
    fn r134_r135_recv_without_an_open_request_is_a_state_error() {
        let mut net = Network::new(Carriage::Wire);
        let (req, rep) = (net.cooked(Protocol::Req), net.cooked(Protocol::Rep));
        net.connect(req, rep);
        assert_eq!(net.recv(req), Err(RecvRefusal::State));
        net.send(req, "q").unwrap();
        assert_eq!(net.recv(req), Err(RecvRefusal::Empty));
        assert_eq!(net.text(rep), "q");
        net.send(rep, "a").unwrap();
        assert_eq!(net.text(req), "a");
        assert_eq!(net.recv(req), Err(RecvRefusal::State));
    }

    #[test]
    fn r136_r120_a_request_without_peers_waits_for_one() {
        let mut net = Network::new(Carriage::Wire);
        let (req, rep) = (net.cooked(Protocol::Req), net.cooked(Protocol::Rep));
        assert_eq!(net.readiness(req), Readiness { recv: false, send: true });
        net.send(req, "early").unwrap();
        assert!(net.readiness(req).send);
        net.connect(req, rep);
        assert_eq!(net.text(rep), "early");
    }

    #[test]
    fn r136_a_request_waits_for_a_full_pipe_to_drain() {
        let (mut net, req, probe, link) = req_and_probe();
        net.stall(link, probe);
        for n in 0..7 {
            net.send(req, n.to_string()).unwrap();
        }
        net.resume(link, probe);
        let bodies: Vec<String> = requests(&mut net, probe).into_iter().map(|(_, body)| body).collect();
        assert_eq!(bodies, ["0", "1", "2", "3", "6"], "4 and 5 were replaced while they waited");
    }

    #[test]
    fn r137_r138_a_new_request_cancels_the_one_before() {
        let (mut net, req, probe, link) = req_and_probe();
        net.send(req, "old").unwrap();
        net.send(probe, with_id(FIRST_ID, "uncollected")).unwrap();
        assert!(net.readiness(req).recv);
        net.send(req, "new").unwrap();
        assert_eq!(net.held(link, req), 0);
        net.send(probe, with_id(FIRST_ID, "late")).unwrap();
        assert_eq!(net.recv(req), Err(RecvRefusal::Empty));
        net.send(probe, with_id(FIRST_ID + 1, "right")).unwrap();
        assert_eq!(net.text(req), "right");
    }

    #[test]
    fn r139_an_empty_receive_leaves_the_request_outstanding() {
        let (mut net, req, probe, _) = req_and_probe();
        net.send(req, "q").unwrap();
        for _ in 0..3 {
            assert_eq!(net.recv(req), Err(RecvRefusal::Empty));
        }
        net.send(probe, with_id(FIRST_ID, "a")).unwrap();
        assert_eq!(net.text(req), "a");
    }

    #[test]
    fn r142_loss_of_its_pipe_resends_at_once() {
        let (mut net, req, first, link) = req_and_probe();
        let second = net.probe();
        net.send(req, "q").unwrap();
        net.connect(req, second);
        assert_eq!(requests(&mut net, first), [(FIRST_ID, "q".into())]);
        net.disconnect(link);
        assert_eq!(requests(&mut net, second), [(FIRST_ID, "q".into())]);
        assert_eq!(net.next_timeout(req), Some(Duration::from_secs(60)));
    }

    #[test]
    fn r142_loss_of_the_only_pipe_resends_on_the_next_one() {
        let (mut net, req, first, link) = req_and_probe();
        net.send(req, "q").unwrap();
        net.disconnect(link);
        assert_eq!(net.next_timeout(req), None);
        net.connect(req, first);
        assert_eq!(requests(&mut net, first), [(FIRST_ID, "q".into()), (FIRST_ID, "q".into())]);
    }

    #[test]
    fn a_timeout_that_is_called_early_resends_nothing() {
        let (mut req, mut fx, now) = (Req::new(SEED), Effects::default(), Instant::now());
        req.handle_attach(&mut fx, now, PipeId::new(0, 1), SAME).unwrap();
        req.send(&mut fx, now, Message::from("q")).unwrap();
        let due = req.next_timeout();
        req.handle_timeout(&mut fx, now);
        assert_eq!((fx.transmit.len(), req.next_timeout()), (1, due));
    }

    #[test]
    fn r143_loss_of_another_pipe_resends_nothing() {
        let (mut net, req, first, _) = req_and_probe();
        let other = net.probe();
        net.send(req, "q").unwrap();
        let link = net.connect(req, other);
        net.disconnect(link);
        assert_eq!(requests(&mut net, first).len(), 1);
        assert_eq!(requests(&mut net, other), []);
    }

    #[test]
    fn r144_r114_requests_and_resends_take_turns() {
        let mut net = Network::new(Carriage::Wire);
        let req = net.cooked(Protocol::Req);
        let probes = [(); 3].map(|()| {
            let probe = net.probe();
            net.connect(req, probe);
            probe
        });
        set_interval(&mut net, req, SECOND);
        net.send(req, "q").unwrap();
        net.advance(4 * SECOND);
        assert_eq!(probes.map(|probe| requests(&mut net, probe).len()), [2, 2, 1]);
        assert_eq!(net.send_priority(req), i64::from(PRIORITY_DEFAULT));
    }

    #[test]
    fn r145_nothing_is_resent_after_the_reply() {
        let (mut net, req, probe, link) = req_and_probe();
        net.send(req, "q").unwrap();
        net.send(probe, with_id(FIRST_ID, "a")).unwrap();
        assert_eq!(net.next_timeout(req), None);
        net.advance(Duration::from_secs(3600));
        net.disconnect(link);
        net.connect(req, probe);
        assert_eq!(requests(&mut net, probe).len(), 1);
        assert_eq!(net.text(req), "a");
    }

    #[test]
    fn r146_r147_replies_that_do_not_match_are_dropped_and_released() {
        let (mut net, req, probe, link) = req_and_probe();
        net.send(req, "q").unwrap();
        for payload in [
            vec![],
            vec![0x80, 0, 0],
            with_id(FIRST_ID - 1, "stale"),
            with_id(FIRST_ID & !BOTTOM, "no top bit"),
            [with_id(7, ""), with_id(FIRST_ID, "behind another word")].concat(),
        ] {
            net.send(probe, payload).unwrap();
            assert_eq!(net.recv(req), Err(RecvRefusal::Empty));
        }
        assert_eq!(net.held(link, req), 0);
        net.send(probe, with_id(FIRST_ID, "a")).unwrap();
        assert_eq!(net.text(req), "a");
    }

    #[test]
    fn r148_r151_later_messages_do_not_alter_a_stored_reply() {
        let (mut net, req, probe, link) = req_and_probe();
        net.send(req, "q").unwrap();
        net.send(probe, with_id(FIRST_ID, "first")).unwrap();
        net.send(probe, with_id(FIRST_ID, "duplicate")).unwrap();
        net.send(probe, with_id(FIRST_ID - 1, "stale")).unwrap();
        assert_eq!(net.held(link, req), 4 + "first".len());
        assert_eq!(net.text(req), "first");
        assert_eq!(net.held(link, req), 0);
        assert_eq!(net.recv(req), Err(RecvRefusal::State));
    }

    #[test]
    fn r149_a_reply_is_accepted_while_a_resend_waits_for_room() {
        let (mut net, req, probe, link) = req_and_probe();
        set_interval(&mut net, req, SECOND);
        net.stall(link, probe);
        net.send(req, "q").unwrap();
        net.advance(5 * SECOND);
        assert_eq!(net.next_timeout(req), None, "the pipe is full, the resend waits");
        net.send(probe, with_id(FIRST_ID, "a")).unwrap();
        assert_eq!(net.text(req), "a");
        net.resume(link, probe);
        assert_eq!(requests(&mut net, probe).len(), 4);
    }

    #[test]
    fn r150_a_zero_interval_disables_every_resend() {
        let (mut net, req, first, link) = req_and_probe();
        let second = net.probe();
        net.connect(req, second);
        set_interval(&mut net, req, Duration::ZERO);
        net.send(req, "q").unwrap();
        assert_eq!(net.next_timeout(req), None);
        net.disconnect(link);
        assert_eq!(requests(&mut net, first).len(), 1);
        assert_eq!(requests(&mut net, second), []);
        assert_eq!(net.recv(req), Err(RecvRefusal::Empty));
        net.send(second, with_id(FIRST_ID, "found out")).unwrap();
        assert_eq!(net.text(req), "found out");
    }

    #[test]
    fn r150_an_interval_beyond_the_clock_resends_on_loss_only() {
        let (mut net, req, first, link) = req_and_probe();
        set_interval(&mut net, req, Duration::MAX);
        net.send(req, "q").unwrap();
        assert_eq!(net.next_timeout(req), None);
        net.disconnect(link);
        net.connect(req, first);
        assert_eq!(requests(&mut net, first).len(), 2);
    }

    #[test]
    fn an_interval_takes_effect_at_the_next_transmission() {
        let (mut net, req, _, _) = req_and_probe();
        net.send(req, "q").unwrap();
        set_interval(&mut net, req, SECOND);
        assert_eq!(net.next_timeout(req), Some(Duration::from_secs(60)));
        net.send(req, "q").unwrap();
        assert_eq!(net.next_timeout(req), Some(SECOND));
    }

    #[test]
    fn a_reply_outlives_its_pipe() {
        let (mut net, req, probe, link) = req_and_probe();
        net.send(req, "q").unwrap();
        net.send(probe, with_id(FIRST_ID, "a")).unwrap();
        net.disconnect(link);
        assert_eq!(net.text(req), "a");
    }

    #[test]
    fn r212_a_header_on_a_cooked_req_is_refused() {
        let (mut net, req, probe, _) = req_and_probe();
        assert_eq!(net.send_with(req, &[0x80, 0, 0, 1], "q"), Err(SendRefusal::Header));
        assert_eq!(net.recv(probe), Err(RecvRefusal::Empty));
        assert_eq!(net.recv(req), Err(RecvRefusal::State));
    }

    #[test]
    fn r217_raw_shows_the_first_word_only() {
        for carriage in Carriage::BOTH {
            let mut net = Network::new(carriage);
            let (raw, probe) = (net.raw(Protocol::Req), net.probe());
            let link = net.connect(raw, probe);
            let body = with_id(0x8000_0001, "yo");
            net.send_with(probe, &7_u32.to_be_bytes(), &body[..]).unwrap();
            net.send(probe, vec![1, 2, 3]).unwrap();
            assert_eq!(net.parts(raw), (vec![0, 0, 0, 7], body));
            assert_eq!(net.recv(raw), Err(RecvRefusal::Empty), "under one word: dropped");
            assert_eq!(net.held(link, raw), 0);
        }
    }

    #[test]
    fn r218_raw_transmits_header_and_body_as_they_are_and_waits_for_room() {
        let mut net = Network::new(Carriage::Wire);
        let (raw, probe) = (net.raw(Protocol::Req), net.probe());
        assert_eq!(net.send(raw, "nobody"), Err(SendRefusal::Full));
        assert_eq!(net.readiness(raw), Readiness { recv: false, send: false });
        let link = net.connect(raw, probe);
        net.send_with(raw, &[1, 2, 3, 4, 5], "body").unwrap();
        net.send(raw, "bare").unwrap();
        assert_eq!(net.recv(probe).unwrap().body(), b"\x01\x02\x03\x04\x05body");
        assert_eq!(net.text(probe), "bare");
        net.stall(link, probe);
        (0..4).for_each(|_| net.send(raw, "x").unwrap());
        assert_eq!(net.send(raw, "one too many"), Err(SendRefusal::Full));
        net.resume(link, probe);
        net.send(raw, "y").unwrap();
        assert_eq!(net.texts(probe), "x x x x y");
    }

    #[test]
    fn only_cooked_req_has_a_resend_interval() {
        for protocol in Protocol::ALL {
            for mode in [Mode::Cooked, Mode::Raw] {
                let mut net = Network::new(Carriage::Wire);
                let node = net.add(protocol, mode);
                let accepted = net.set(node, PatternOption::ResendInterval(SECOND)).is_ok();
                assert_eq!(accepted, (protocol, mode) == (Protocol::Req, Mode::Cooked), "{protocol:?}");
            }
        }
    }

    #[test]
    fn memory_of_a_burst_is_given_back() {
        let mut req = RawReq::default();
        burst(&mut req, &[0x80, 0, 0, 1]);
        assert!(req.queue.capacity() <= FRAMES_KEEP_BYTES, "{}", req.queue.capacity());
    }
}
