//! SURVEYOR: asks everybody, collects answers until a deadline (R192 to R205). Raw SURVEYOR sends what it is
//! given and shows the first word of what it gets (R217, R218).

use std::time::{Duration, Instant};

use super::distribute::Distributor;
use super::fair_queue::FairQueue;
use super::route::{BOTTOM, next_id, split_first_word, strip_id};
use super::{
    Effects, OptionRefusal, Pattern, PatternOption, PipeId, Priorities, Readiness, RecvRefusal, Refused,
    Rejected, SendRefusal, common_option, refuse,
};
use crate::limits::SURVEY_DEADLINE_DEFAULT;
use crate::message::Message;

/// Cooked SURVEYOR: one survey at a time. The queue holds responses of the open survey and nothing else.
#[derive(Debug)]
pub(super) struct Surveyor {
    pipes: Distributor,
    queue: FairQueue,
    /// Id of the latest survey, top bit set.
    id: u32,
    /// How long the next survey stays open.
    deadline: Duration,
    state: State,
}

/// Where the latest survey stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// None sent, or its expiry has been reported.
    Idle,
    /// Collecting responses; without a moment to end when that lies beyond what the clock can express.
    Open { until: Option<Instant> },
    /// Its deadline has passed: the next receive says so, once (R196).
    Expired,
}

impl Surveyor {
    /// `seed` is the random number before the first id (R192).
    pub(super) fn new(seed: u32) -> Self {
        Surveyor {
            pipes: Distributor::default(),
            queue: FairQueue::default(),
            id: seed | BOTTOM,
            deadline: SURVEY_DEADLINE_DEFAULT,
            state: State::Idle,
        }
    }

    /// Ends the survey if its time is over; responses not collected by then are lost (R205).
    fn expire(&mut self, fx: &mut Effects, now: Instant) {
        if let State::Open { until: Some(until) } = self.state
            && until <= now
        {
            self.state = State::Expired;
            self.queue.clear(fx);
        }
    }
}

impl Pattern for Surveyor {
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

    fn handle_message(&mut self, fx: &mut Effects, now: Instant, pipe: PipeId, mut message: Message) {
        self.expire(fx, now);
        let charge = message.payload_len();
        if matches!(self.state, State::Open { .. }) && strip_id(&mut message, self.id) {
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

    fn handle_timeout(&mut self, fx: &mut Effects, now: Instant) {
        self.expire(fx, now);
    }

    /// Cancels the survey before it and an expiry not yet reported (R200).
    fn send(&mut self, fx: &mut Effects, now: Instant, mut message: Message) -> Result<(), Rejected> {
        if !message.header().is_empty() {
            return refuse(message, SendRefusal::Header);
        }
        self.queue.clear(fx);
        self.id = next_id(self.id);
        self.state = State::Open { until: now.checked_add(self.deadline) };
        message.set_header(&self.id.to_be_bytes());
        self.pipes.send(fx, message, None);
        Ok(())
    }

    fn recv(&mut self, fx: &mut Effects, now: Instant) -> Result<Message, RecvRefusal> {
        self.expire(fx, now);
        match self.state {
            State::Idle => Err(RecvRefusal::State),
            State::Open { .. } => {
                self.queue.pop(fx).map(|(_, taken)| taken.into_message()).ok_or(RecvRefusal::Empty)
            }
            State::Expired => {
                self.state = State::Idle;
                Err(RecvRefusal::Expired)
            }
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Open { until } => until,
            State::Idle | State::Expired => None,
        }
    }

    fn tidy(&mut self) {
        self.queue.tidy();
    }

    /// Readable while no survey is open, so that a poller comes and collects the error (R120).
    fn readiness(&self) -> Readiness {
        let open = matches!(self.state, State::Open { .. });
        Readiness { recv: !open || !self.queue.is_empty(), send: true }
    }

    fn set_option(&mut self, _fx: &mut Effects, option: PatternOption<'_>) -> Result<(), OptionRefusal> {
        match option {
            PatternOption::SurveyDeadline(deadline) => {
                self.deadline = deadline;
                Ok(())
            }
            other => common_option(other),
        }
    }
}

/// Raw SURVEYOR: header and body go out as they are, to everybody.
#[derive(Debug, Default)]
pub(super) struct RawSurveyor {
    pipes: Distributor,
    queue: FairQueue,
}

impl Pattern for RawSurveyor {
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
        self.pipes.send(fx, message, None);
        Ok(())
    }

    fn recv(&mut self, fx: &mut Effects, _now: Instant) -> Result<Message, RecvRefusal> {
        self.queue.pop(fx).map(|(_, taken)| taken.into_message()).ok_or(RecvRefusal::Empty)
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
    use super::super::network::{Carriage, LinkId, Network, NodeId, SEED, burst};
    use super::super::{Mode, Protocol};
    use super::*;
    use crate::limits::FRAMES_KEEP_BYTES;

    const SECOND: Duration = Duration::from_secs(1);
    const INSTANT: Duration = Duration::from_millis(1);
    const FIRST_ID: u32 = (SEED + 1) | BOTTOM;

    /// A SURVEYOR and a peer that shows the bytes, connected.
    fn surveyor_and_probe() -> (Network, NodeId, NodeId, LinkId) {
        let mut net = Network::new(Carriage::Wire);
        let (surveyor, probe) = (net.cooked(Protocol::Surveyor), net.probe());
        let link = net.connect(surveyor, probe);
        (net, surveyor, probe, link)
    }

    fn with_id(id: u32, body: &str) -> Vec<u8> {
        [&id.to_be_bytes(), body.as_bytes()].concat()
    }

    #[test]
    fn r192_each_survey_carries_a_fresh_id_with_top_bit() {
        let (mut net, surveyor, probe, _) = surveyor_and_probe();
        for n in 0..3 {
            net.send(surveyor, "?").unwrap();
            assert_eq!(net.recv(probe).unwrap().body(), with_id(FIRST_ID + n, "?"));
        }
    }

    #[test]
    fn r193_r117_a_survey_goes_to_every_writable_respondent() {
        let (mut net, surveyor, slow, link) = surveyor_and_probe();
        let fast = net.probe();
        net.connect(surveyor, fast);
        net.stall(link, slow);
        for _ in 0..6 {
            assert!(net.readiness(surveyor).send);
            net.send(surveyor, "?").unwrap();
        }
        net.resume(link, slow);
        let count = |net: &mut Network, node| std::iter::from_fn(|| net.recv(node).ok()).count();
        assert_eq!((count(&mut net, slow), count(&mut net, fast)), (4, 6));
        net.send(surveyor, "again").unwrap();
        assert_eq!((count(&mut net, slow), count(&mut net, fast)), (1, 1), "it has room again");
    }

    #[test]
    fn r194_who_joins_later_is_not_asked() {
        let (mut net, surveyor, first, link) = surveyor_and_probe();
        let late = net.probe();
        net.send(surveyor, "?").unwrap();
        net.connect(surveyor, late);
        net.disconnect(link);
        net.advance(SECOND / 2);
        assert_eq!(net.recv(late), Err(RecvRefusal::Empty));
        assert!(net.recv(first).is_ok());
        assert_eq!(net.recv(first), Err(RecvRefusal::Empty));
    }

    #[test]
    fn r195_r120_without_a_survey_receive_is_a_state_error_and_signalled() {
        let (mut net, surveyor, _, _) = surveyor_and_probe();
        assert_eq!(net.readiness(surveyor), Readiness { recv: true, send: true });
        assert_eq!(net.recv(surveyor), Err(RecvRefusal::State));
        assert_eq!(net.recv(surveyor), Err(RecvRefusal::State));
        assert!(net.readiness(surveyor).recv);
    }

    #[test]
    fn r196_r197_expiry_is_said_once_then_it_is_a_state_error() {
        let (mut net, surveyor, _, _) = surveyor_and_probe();
        net.send(surveyor, "?").unwrap();
        assert!(!net.readiness(surveyor).recv);
        net.advance(SECOND - INSTANT);
        assert_eq!(net.recv(surveyor), Err(RecvRefusal::Empty));
        assert!(!net.readiness(surveyor).recv);
        net.advance(INSTANT);
        assert!(net.readiness(surveyor).recv);
        assert_eq!(net.recv(surveyor), Err(RecvRefusal::Expired));
        assert_eq!(net.recv(surveyor), Err(RecvRefusal::State));
        net.send(surveyor, "?").unwrap();
        assert_eq!(net.recv(surveyor), Err(RecvRefusal::Empty));
    }

    #[test]
    fn r196_a_receive_finds_the_deadline_passed_before_the_timer_fires() {
        let (mut surveyor, mut fx, now) = (Surveyor::new(0), Effects::default(), Instant::now());
        surveyor.send(&mut fx, now, Message::new()).unwrap();
        assert_eq!(surveyor.recv(&mut fx, now), Err(RecvRefusal::Empty));
        assert_eq!(surveyor.recv(&mut fx, now + SECOND), Err(RecvRefusal::Expired));
        surveyor.handle_timeout(&mut fx, now + SECOND);
        assert_eq!(surveyor.recv(&mut fx, now + SECOND), Err(RecvRefusal::State));
    }

    #[test]
    fn r198_several_responses_are_delivered_fairly() {
        let (mut net, surveyor, a, _) = surveyor_and_probe();
        let b = net.probe();
        net.connect(surveyor, b);
        net.send(surveyor, "?").unwrap();
        for (probe, name) in [(a, "a1"), (a, "a2"), (b, "b1")] {
            net.send(probe, with_id(FIRST_ID, name)).unwrap();
        }
        let order: Vec<String> = (0..3).map(|_| net.text(surveyor)).collect();
        assert_eq!(order.join(" "), "a1 b1 a2");
        assert_eq!(net.recv(surveyor), Err(RecvRefusal::Empty));
    }

    #[test]
    fn r199_responses_that_do_not_match_are_dropped_and_released() {
        let (mut net, surveyor, probe, link) = surveyor_and_probe();
        net.send(probe, with_id(FIRST_ID, "before any survey")).unwrap();
        net.send(surveyor, "?").unwrap();
        for payload in [
            vec![],
            vec![0x80, 0, 0],
            with_id(FIRST_ID - 1, "stale"),
            with_id(FIRST_ID & !BOTTOM, "no top bit"),
            [with_id(7, ""), with_id(FIRST_ID, "behind another word")].concat(),
        ] {
            net.send(probe, payload).unwrap();
            assert!(!net.readiness(surveyor).recv);
        }
        assert_eq!(net.held(link, surveyor), 0);
        net.send(probe, with_id(FIRST_ID, "right")).unwrap();
        assert_eq!(net.text(surveyor), "right");
    }

    #[test]
    fn r200_a_new_survey_cancels_the_one_before() {
        let (mut net, surveyor, probe, link) = surveyor_and_probe();
        net.send(surveyor, "one").unwrap();
        net.send(probe, with_id(FIRST_ID, "uncollected")).unwrap();
        net.advance(SECOND / 2);
        net.send(surveyor, "two").unwrap();
        assert_eq!(net.held(link, surveyor), 0);
        net.send(probe, with_id(FIRST_ID, "stale")).unwrap();
        assert_eq!(net.recv(surveyor), Err(RecvRefusal::Empty));
        assert_eq!(net.next_timeout(surveyor), Some(SECOND));
        net.advance(SECOND);
        net.send(surveyor, "three").unwrap();
        assert_eq!(net.recv(surveyor), Err(RecvRefusal::Empty), "an unreported expiry is forgotten");
    }

    #[test]
    fn r201_the_deadline_is_a_second_and_taken_when_sending() {
        let (mut net, surveyor, _, _) = surveyor_and_probe();
        net.send(surveyor, "?").unwrap();
        net.set(surveyor, PatternOption::SurveyDeadline(10 * SECOND)).unwrap();
        assert_eq!(net.next_timeout(surveyor), Some(SECOND));
        net.send(surveyor, "?").unwrap();
        assert_eq!(net.next_timeout(surveyor), Some(10 * SECOND));
    }

    #[test]
    fn r202_an_empty_receive_leaves_the_survey_open() {
        let (mut net, surveyor, probe, _) = surveyor_and_probe();
        net.send(surveyor, "?").unwrap();
        assert_eq!(net.recv(surveyor), Err(RecvRefusal::Empty));
        net.send(probe, with_id(FIRST_ID, "still welcome")).unwrap();
        assert_eq!(net.text(surveyor), "still welcome");
    }

    #[test]
    fn r203_the_extreme_deadlines_are_harmless() {
        let (mut net, surveyor, _, _) = surveyor_and_probe();
        net.set(surveyor, PatternOption::SurveyDeadline(Duration::MAX)).unwrap();
        net.send(surveyor, "?").unwrap();
        assert_eq!(net.next_timeout(surveyor), None);
        net.advance(Duration::from_secs(1 << 30));
        assert_eq!(net.recv(surveyor), Err(RecvRefusal::Empty));
        net.set(surveyor, PatternOption::SurveyDeadline(Duration::ZERO)).unwrap();
        net.send(surveyor, "?").unwrap();
        assert_eq!(net.recv(surveyor), Err(RecvRefusal::Expired));
        net.advance(SECOND);
        assert_eq!(net.recv(surveyor), Err(RecvRefusal::State));
    }

    #[test]
    fn r205_responses_not_collected_by_the_deadline_are_discarded_and_released() {
        let (mut net, surveyor, probe, link) = surveyor_and_probe();
        net.send(surveyor, "?").unwrap();
        net.send(probe, with_id(FIRST_ID, "in time")).unwrap();
        assert!(net.held(link, surveyor) > 0);
        net.advance(SECOND);
        assert_eq!(net.held(link, surveyor), 0);
        net.send(probe, with_id(FIRST_ID, "too late")).unwrap();
        assert_eq!(net.held(link, surveyor), 0);
        assert_eq!(net.recv(surveyor), Err(RecvRefusal::Expired));
    }

    #[test]
    fn r198_r204_a_whole_survey_among_patterns() {
        for carriage in Carriage::BOTH {
            let mut net = Network::new(carriage);
            let surveyor = net.cooked(Protocol::Surveyor);
            let respondents = [(); 3].map(|()| {
                let node = net.cooked(Protocol::Respondent);
                net.connect(node, surveyor);
                node
            });
            net.send(surveyor, "who?").unwrap();
            for (n, node) in respondents.into_iter().enumerate() {
                assert_eq!(net.text(node), "who?");
                net.send(node, n.to_string()).unwrap();
            }
            let answers: Vec<String> = (0..3).map(|_| net.text(surveyor)).collect();
            assert_eq!(answers.join(" "), "0 1 2");
            net.advance(SECOND);
            assert_eq!(net.recv(surveyor), Err(RecvRefusal::Expired));
        }
    }

    #[test]
    fn a_header_on_a_cooked_survey_is_refused() {
        let (mut net, surveyor, probe, _) = surveyor_and_probe();
        assert_eq!(net.send_with(surveyor, &[0x80, 0, 0, 1], "?"), Err(SendRefusal::Header));
        assert_eq!(net.recv(probe), Err(RecvRefusal::Empty));
        assert_eq!(net.recv(surveyor), Err(RecvRefusal::State));
    }

    #[test]
    fn r217_raw_shows_the_first_word_only() {
        for carriage in Carriage::BOTH {
            let mut net = Network::new(carriage);
            let (raw, probe) = (net.raw(Protocol::Surveyor), net.probe());
            assert_eq!(net.readiness(raw), Readiness { recv: false, send: true });
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
    fn r218_raw_transmits_header_and_body_as_they_are_to_all() {
        let mut net = Network::new(Carriage::Wire);
        let (raw, a, b) = (net.raw(Protocol::Surveyor), net.probe(), net.probe());
        net.send(raw, "nobody hears").unwrap();
        let link = net.connect(raw, a);
        net.connect(raw, b);
        net.send_with(raw, &[0x80, 0, 0, 5], "?").unwrap();
        for probe in [a, b] {
            assert_eq!(net.recv(probe).unwrap().body(), b"\x80\0\0\x05?");
        }
        net.stall(link, a);
        (0..6).for_each(|_| net.send(raw, "x").unwrap());
        net.resume(link, a);
        net.send(raw, "y").unwrap();
        assert_eq!((net.texts(a), net.texts(b)), ("x x x x y".into(), "x x x x x x y".into()));
    }

    #[test]
    fn only_cooked_surveyor_has_a_deadline() {
        for protocol in Protocol::ALL {
            for mode in [Mode::Cooked, Mode::Raw] {
                let mut net = Network::new(Carriage::Wire);
                let node = net.add(protocol, mode);
                let accepted = net.set(node, PatternOption::SurveyDeadline(SECOND)).is_ok();
                assert_eq!(accepted, (protocol, mode) == (Protocol::Surveyor, Mode::Cooked), "{protocol:?}");
            }
        }
    }

    #[test]
    fn memory_of_a_burst_is_given_back() {
        let (mut surveyor, mut fx) = (Surveyor::new(SEED), Effects::default());
        surveyor.set_option(&mut fx, PatternOption::SurveyDeadline(3600 * SECOND)).unwrap();
        surveyor.send(&mut fx, Instant::now(), Message::from("who is there?")).unwrap();
        burst(&mut surveyor, &FIRST_ID.to_be_bytes());
        assert!(surveyor.queue.capacity() <= FRAMES_KEEP_BYTES, "{}", surveyor.queue.capacity());

        let mut raw = RawSurveyor::default();
        burst(&mut raw, &FIRST_ID.to_be_bytes());
        assert!(raw.queue.capacity() <= FRAMES_KEEP_BYTES, "{}", raw.queue.capacity());
    }
}
