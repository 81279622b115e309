//! PUB and SUB: everything to everybody, and the subscriber picks (R171 to R186). The raw forms are the same:
//! a raw SUB filters too (R184).

use std::time::Instant;

use super::distribute::Distributor;
use super::receiver::{Receiver, Selection};
use super::topics::Topics;
use super::{
    Effects, OptionRefusal, Pattern, PatternOption, PipeId, Priorities, Readiness, RecvRefusal, Refused,
    Rejected, common_option,
};
use crate::message::Message;

/// Sends to every subscriber that can take the message now; the others miss it (R180, R181).
#[derive(Debug, Default)]
pub(super) struct Publisher {
    pipes: Distributor,
}

impl Pattern for Publisher {
    fn handle_attach(
        &mut self,
        _fx: &mut Effects,
        _now: Instant,
        pipe: PipeId,
        _prio: Priorities,
    ) -> Result<(), Refused> {
        self.pipes.attach(pipe);
        Ok(())
    }

    fn handle_detach(&mut self, _fx: &mut Effects, _now: Instant, pipe: PipeId) {
        self.pipes.detach(pipe);
    }

    /// A SUB has nothing to say: read and dropped (R182).
    fn handle_message(&mut self, fx: &mut Effects, _now: Instant, pipe: PipeId, message: Message) {
        fx.release(pipe, message.payload_len());
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

    fn recv(&mut self, _fx: &mut Effects, _now: Instant) -> Result<Message, RecvRefusal> {
        Err(RecvRefusal::Unsupported)
    }

    fn readiness(&self) -> Readiness {
        Readiness { recv: false, send: true }
    }

    fn set_option(&mut self, _fx: &mut Effects, option: PatternOption<'_>) -> Result<(), OptionRefusal> {
        common_option(option)
    }
}

/// Queues what its subscriptions match; the rest is dropped on arrival, so that it neither signals readable
/// (R183) nor slows the publisher down (R186).
pub(super) type Subscriber = Receiver<Topics>;

impl Selection for Topics {
    fn keeps_everything(&self) -> bool {
        self.match_everything()
    }

    fn keeps(&self, body: &[u8]) -> bool {
        self.matches(body)
    }

    fn set_option(&mut self, option: PatternOption<'_>) -> Result<(), OptionRefusal> {
        match option {
            PatternOption::Subscribe(topic) => {
                self.subscribe(topic);
                Ok(())
            }
            PatternOption::Unsubscribe(topic) if self.unsubscribe(topic) => Ok(()),
            PatternOption::Unsubscribe(_) => Err(OptionRefusal::NoSuchTopic),
            other => common_option(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::network::{Carriage, LinkId, Network, NodeId};
    use super::super::{Mode, Protocol, SendRefusal};
    use super::*;

    fn subscriber(net: &mut Network, publisher: NodeId, topics: &[&str]) -> (NodeId, LinkId) {
        let node = net.cooked(Protocol::Sub);
        for topic in topics {
            net.set(node, PatternOption::Subscribe(topic.as_bytes())).unwrap();
        }
        (node, net.connect(publisher, node))
    }

    fn publish(net: &mut Network, publisher: NodeId, texts: &[&str]) {
        for text in texts {
            net.send(publisher, *text).unwrap();
        }
    }

    #[test]
    fn r171_pub_sends_everything_to_everyone_and_sub_picks() {
        let mut net = Network::new(Carriage::Wire);
        let (publisher, probe) = (net.cooked(Protocol::Pub), net.probe());
        net.connect(publisher, probe);
        let (a, _) = subscriber(&mut net, publisher, &["a"]);
        let (b, _) = subscriber(&mut net, publisher, &["b", "bb"]);
        publish(&mut net, publisher, &["a1", "b1", "bb", "c", ""]);
        assert_eq!(net.texts(probe), "a1 b1 bb c ");
        assert_eq!((net.texts(a), net.texts(b)), ("a1".into(), "b1 bb".into()));
    }

    #[test]
    fn r172_the_prefix_is_that_of_the_payload_however_it_travels() {
        for carriage in Carriage::BOTH {
            let mut net = Network::new(carriage);
            let publisher = net.raw(Protocol::Pub);
            let (sub, _) = subscriber(&mut net, publisher, &["topic"]);
            net.send_with(publisher, b"to", "pic!").unwrap();
            assert_eq!(net.text(sub), "topic!");
        }
    }

    #[test]
    fn r173_the_empty_topic_matches_even_the_empty_message() {
        let mut net = Network::new(Carriage::Wire);
        let publisher = net.cooked(Protocol::Pub);
        let (sub, _) = subscriber(&mut net, publisher, &[""]);
        publish(&mut net, publisher, &["", "x"]);
        assert_eq!((net.text(sub), net.text(sub)), ("".into(), "x".into()));
    }

    #[test]
    fn r174_r183_r186_what_matches_nothing_is_consumed_and_never_signalled() {
        for mode in [Mode::Cooked, Mode::Raw] {
            let mut net = Network::new(Carriage::Wire);
            let (publisher, sub) = (net.cooked(Protocol::Pub), net.add(Protocol::Sub, mode));
            let link = net.connect(publisher, sub);
            for _ in 0..50 {
                net.send(publisher, vec![b'x'; 100]).unwrap();
                assert!(!net.readiness(sub).recv);
            }
            assert_eq!(net.held(link, sub), 0);
            assert_eq!(net.recv(sub), Err(RecvRefusal::Empty));
        }
    }

    #[test]
    fn r175_a_message_shorter_than_the_topic_does_not_match() {
        let mut net = Network::new(Carriage::Wire);
        let publisher = net.cooked(Protocol::Pub);
        let (sub, _) = subscriber(&mut net, publisher, &["topic"]);
        publish(&mut net, publisher, &["topi", "", "topic"]);
        assert_eq!(net.texts(sub), "topic");
    }

    #[test]
    fn r176_several_matching_topics_deliver_once() {
        let mut net = Network::new(Carriage::Wire);
        let publisher = net.cooked(Protocol::Pub);
        let (sub, _) = subscriber(&mut net, publisher, &["", "a", "ab", "a"]);
        publish(&mut net, publisher, &["abc"]);
        assert_eq!(net.texts(sub), "abc");
    }

    #[test]
    fn r177_r178_subscriptions_are_counted_and_absent_topics_refused() {
        let mut net = Network::new(Carriage::Wire);
        let publisher = net.cooked(Protocol::Pub);
        let (sub, _) = subscriber(&mut net, publisher, &["a", "a"]);
        let unsubscribe = PatternOption::Unsubscribe(b"a");
        net.set(sub, unsubscribe).unwrap();
        publish(&mut net, publisher, &["a1"]);
        net.set(sub, unsubscribe).unwrap();
        publish(&mut net, publisher, &["a2"]);
        assert_eq!(net.texts(sub), "a1", "what was queued before the unsubscribe stays");
        assert_eq!(net.set(sub, unsubscribe), Err(OptionRefusal::NoSuchTopic));
    }

    #[test]
    fn r179_r104_sub_never_sends() {
        let mut net = Network::new(Carriage::Wire);
        let (sub, probe) = (net.cooked(Protocol::Sub), net.probe());
        net.connect(sub, probe);
        net.set(sub, PatternOption::Subscribe(b"")).unwrap();
        net.send(probe, "x").unwrap();
        assert_eq!(net.text(sub), "x");
        assert_eq!(net.send(sub, "y"), Err(SendRefusal::Unsupported));
        assert_eq!(net.recv(probe), Err(RecvRefusal::Empty));
    }

    #[test]
    fn r180_r181_a_full_subscriber_alone_misses_messages() {
        let mut net = Network::new(Carriage::Wire);
        let publisher = net.cooked(Protocol::Pub);
        publish(&mut net, publisher, &["nobody hears"]);
        let (slow, link) = subscriber(&mut net, publisher, &[""]);
        let (fast, _) = subscriber(&mut net, publisher, &[""]);
        net.stall(link, slow);
        publish(&mut net, publisher, &["0", "1", "2", "3", "4", "5"]);
        assert!(net.readiness(publisher).send);
        net.resume(link, slow);
        assert_eq!((net.texts(slow), net.texts(fast)), ("0 1 2 3".into(), "0 1 2 3 4 5".into()));
        publish(&mut net, publisher, &["6"]);
        assert_eq!((net.texts(slow), net.texts(fast)), ("6".into(), "6".into()), "it has room again");
    }

    #[test]
    fn r182_data_arriving_at_pub_is_dropped_and_released() {
        let mut net = Network::new(Carriage::Wire);
        let (publisher, probe) = (net.cooked(Protocol::Pub), net.probe());
        let link = net.connect(publisher, probe);
        for _ in 0..20 {
            net.send(probe, vec![0; 200]).unwrap();
        }
        assert_eq!(net.held(link, publisher), 0);
        assert_eq!(net.recv(publisher), Err(RecvRefusal::Unsupported));
        net.send(publisher, "still works").unwrap();
        assert_eq!(net.text(probe), "still works");
    }

    #[test]
    fn r184_a_raw_sub_filters_by_its_topics() {
        let mut net = Network::new(Carriage::Wire);
        let (publisher, sub) = (net.raw(Protocol::Pub), net.raw(Protocol::Sub));
        net.connect(publisher, sub);
        net.set(sub, PatternOption::Subscribe(b"a")).unwrap();
        publish(&mut net, publisher, &["a", "b"]);
        assert_eq!(net.texts(sub), "a");
    }

    #[test]
    fn only_sub_has_topics() {
        for protocol in Protocol::ALL.into_iter().filter(|protocol| *protocol != Protocol::Sub) {
            for mode in [Mode::Cooked, Mode::Raw] {
                let mut net = Network::new(Carriage::Wire);
                let node = net.add(protocol, mode);
                for option in [PatternOption::Subscribe(b""), PatternOption::Unsubscribe(b"")] {
                    assert_eq!(net.set(node, option), Err(OptionRefusal::Unknown), "{protocol:?}");
                }
            }
        }
    }
}
