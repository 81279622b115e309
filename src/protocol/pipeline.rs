//! PUSH and PULL: each message to exactly one worker (R187 to R191). The raw forms are the same.

use std::time::Instant;

use super::load_balance::LoadBalance;
use super::receiver::{Receiver, Selection};
use super::{
    Effects, OptionRefusal, Pattern, PatternOption, PipeId, Plain, Priorities, Readiness, RecvRefusal,
    Refused, Rejected, SendRefusal, common_option, refuse,
};
use crate::message::Message;

/// Spreads work over its pipes; a message handed to a pipe stays with it (R118).
#[derive(Debug, Default)]
pub(super) struct Push {
    pipes: LoadBalance,
}

impl Pattern for Push {
    fn handle_attach(
        &mut self,
        _fx: &mut Effects,
        _now: Instant,
        pipe: PipeId,
        prio: Priorities,
    ) -> Result<(), Refused> {
        self.pipes.attach(pipe, prio.send);
        Ok(())
    }

    fn handle_detach(&mut self, _fx: &mut Effects, _now: Instant, pipe: PipeId) {
        self.pipes.detach(pipe);
    }

    /// A PULL has nothing to say: read and dropped, so that the connection goes on (R189).
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
        match self.pipes.choose() {
            Some(pipe) => {
                fx.transmit(pipe, message);
                Ok(())
            }
            None => refuse(message, SendRefusal::Full),
        }
    }

    fn choose_plain(&mut self, _fx: &mut Effects, _now: Instant, _body: &[u8]) -> Plain {
        self.pipes.choose().map_or(Plain::Full, Plain::To)
    }

    fn recv(&mut self, _fx: &mut Effects, _now: Instant) -> Result<Message, RecvRefusal> {
        Err(RecvRefusal::Unsupported)
    }

    fn readiness(&self) -> Readiness {
        Readiness { recv: false, send: self.pipes.is_writable() }
    }

    fn set_option(&mut self, _fx: &mut Effects, option: PatternOption<'_>) -> Result<(), OptionRefusal> {
        common_option(option)
    }

    fn send_priority(&self) -> i64 {
        self.pipes.send_priority()
    }
}

/// Takes work from all its pipes, fairly.
pub(super) type Pull = Receiver<Everything>;

/// A PULL keeps whatever arrives.
#[derive(Debug, Default)]
pub(super) struct Everything;

impl Selection for Everything {
    fn keeps_everything(&self) -> bool {
        true
    }

    fn keeps(&self, _body: &[u8]) -> bool {
        true
    }

    fn set_option(&mut self, option: PatternOption<'_>) -> Result<(), OptionRefusal> {
        common_option(option)
    }
}

#[cfg(test)]
mod tests {
    use super::super::network::{Carriage, LinkId, Network, NodeId, SAME};
    use super::super::{Mode, Protocol};
    use super::*;

    /// One PUSH and `count` PULLs.
    fn fan_out(count: usize) -> (Network, NodeId, Vec<(NodeId, LinkId)>) {
        let mut net = Network::new(Carriage::Wire);
        let push = net.cooked(Protocol::Push);
        let pulls = (0..count).map(|_| {
            let pull = net.cooked(Protocol::Pull);
            (pull, net.connect(pull, push))
        });
        let pulls = pulls.collect();
        (net, push, pulls)
    }

    fn send_numbers(net: &mut Network, push: NodeId, count: usize) {
        for n in 0..count {
            net.send(push, n.to_string()).unwrap();
        }
    }

    #[test]
    fn r187_r114_each_message_goes_to_one_pull_in_turn() {
        let (mut net, push, pulls) = fan_out(3);
        send_numbers(&mut net, push, 9);
        let got: Vec<String> = pulls.iter().map(|(pull, _)| net.texts(*pull)).collect();
        assert_eq!(got, ["0 3 6", "1 4 7", "2 5 8"]);
    }

    #[test]
    fn r111_r115_a_pull_that_does_not_read_holds_up_nobody() {
        let (mut net, push, pulls) = fan_out(2);
        net.stall(pulls[0].1, pulls[0].0);
        send_numbers(&mut net, push, 20);
        assert_eq!(net.texts(pulls[0].0), "");
        assert_eq!(net.texts(pulls[1].0), "1 3 5 7 8 9 10 11 12 13 14 15 16 17 18 19");
        net.resume(pulls[0].1, pulls[0].0);
        assert_eq!(net.texts(pulls[0].0), "0 2 4 6");
    }

    #[test]
    fn r113_a_worse_priority_serves_while_the_better_is_full() {
        let mut net = Network::new(Carriage::Wire);
        let push = net.cooked(Protocol::Push);
        assert_eq!(net.send_priority(push), 0);
        let (best, worst) = (net.cooked(Protocol::Pull), net.cooked(Protocol::Pull));
        net.connect_with(push, worst, Priorities { send: 16, recv: 8 }, 4).unwrap();
        let link = net.connect_with(push, best, Priorities { send: 1, recv: 8 }, 4).unwrap();
        net.stall(link, best);
        assert_eq!(net.send_priority(push), 1);
        send_numbers(&mut net, push, 6);
        assert_eq!(net.send_priority(push), 16);
        assert_eq!(net.texts(worst), "4 5");
        net.resume(link, best);
        assert_eq!(net.texts(best), "0 1 2 3");
        assert_eq!(net.send_priority(push), 1);
    }

    #[test]
    fn r118_a_message_handed_to_a_pipe_that_dies_is_not_moved() {
        let (mut net, push, pulls) = fan_out(2);
        net.stall(pulls[0].1, pulls[0].0);
        send_numbers(&mut net, push, 3);
        net.disconnect(pulls[0].1);
        assert_eq!(net.texts(pulls[1].0), "1");
        assert_eq!(net.texts(pulls[0].0), "");
    }

    #[test]
    fn r188_push_waits_for_a_pull_with_room() {
        let (mut net, push, pulls) = fan_out(1);
        assert!(net.readiness(push).send);
        net.disconnect(pulls[0].1);
        assert!(!net.readiness(push).send);
        assert_eq!(net.send(push, "x"), Err(SendRefusal::Full));
        assert_eq!(net.send_priority(push), -1);
    }

    #[test]
    fn r189_data_arriving_at_push_is_dropped_and_released() {
        let mut net = Network::new(Carriage::Wire);
        let (push, probe) = (net.cooked(Protocol::Push), net.probe());
        let link = net.connect(push, probe);
        for _ in 0..20 {
            net.send(probe, vec![0; 200]).unwrap();
        }
        assert_eq!(net.held(link, push), 0);
        net.send(push, "still works").unwrap();
        assert_eq!(net.text(probe), "still works");
    }

    #[test]
    fn r190_r116_pull_takes_one_message_per_push_per_turn() {
        let mut net = Network::new(Carriage::Inproc);
        let pull = net.cooked(Protocol::Pull);
        for name in ["a", "b", "c"] {
            let push = net.cooked(Protocol::Push);
            net.connect(push, pull);
            for n in 0..3 {
                net.send(push, format!("{name}{n}")).unwrap();
            }
        }
        assert_eq!(net.texts(pull), "a0 b0 c0 a1 b1 c1 a2 b2 c2");
    }

    #[test]
    fn r109_r116_a_better_receive_priority_is_served_first() {
        let mut net = Network::new(Carriage::Inproc);
        let pull = net.cooked(Protocol::Pull);
        for (name, recv) in [("worse", 9), ("better", 2)] {
            let push = net.cooked(Protocol::Push);
            net.connect_with(push, pull, Priorities { send: 8, recv }, 4).unwrap();
            net.send(push, name).unwrap();
            net.send(push, name).unwrap();
        }
        assert_eq!(net.texts(pull), "better better worse worse");
    }

    #[test]
    fn r119_messages_received_survive_their_pipe() {
        let (mut net, push, pulls) = fan_out(1);
        send_numbers(&mut net, push, 5);
        net.disconnect(pulls[0].1);
        assert_eq!(net.texts(pulls[0].0), "0 1 2 3 4");
    }

    #[test]
    fn r191_no_header_is_added_cooked_or_raw() {
        for mode in [Mode::Cooked, Mode::Raw] {
            let mut net = Network::new(Carriage::Wire);
            let (push, pull, probe) =
                (net.add(Protocol::Push, mode), net.add(Protocol::Pull, mode), net.probe());
            net.connect_with(push, probe, SAME, 4).unwrap();
            net.connect(probe, pull);
            net.send(push, "bare").unwrap();
            net.relay(probe, probe);
            assert_eq!(net.text(pull), "bare");
        }
    }

    #[test]
    fn r104_each_direction_exists_once() {
        let mut net = Network::new(Carriage::Wire);
        let (push, pull) = (net.cooked(Protocol::Push), net.cooked(Protocol::Pull));
        net.connect(push, pull);
        assert_eq!(net.recv(push), Err(RecvRefusal::Unsupported));
        assert_eq!(net.send(pull, "x"), Err(SendRefusal::Unsupported));
        assert!(!net.readiness(push).recv && !net.readiness(pull).send);
    }
}
