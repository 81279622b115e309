//! PAIRv1: PAIR with a count of hops in front of the body (R127 to R130), as nng and mangos have it.
//!
//! The count is what the wire said when the message came, and one more when it goes on. So a cooked sender, whose
//! message has made no hop, sends 1, and a device, which puts back the header it was shown, adds exactly one.

use super::Mode;
use super::pair::{Departure, Framing, Verdict};
use super::route::{split_first_word, word_at};
use crate::limits::{HOP_COUNT_MAX, TTL_DEFAULT_WORDS};
use crate::message::Message;

/// The framing of version 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hops {
    mode: Mode,
    max_ttl: u8,
}

impl Hops {
    pub(super) fn new(mode: Mode) -> Self {
        Hops { mode, max_ttl: TTL_DEFAULT_WORDS }
    }
}

impl Framing for Hops {
    fn arrived(&self, message: &mut Message) -> Verdict {
        let hops = match word_at(message, 0) {
            Some(hops) if hops <= HOP_COUNT_MAX && split_first_word(message) => hops,
            _ => return Verdict::ClosePipe,
        };
        if hops > u32::from(self.max_ttl) {
            return Verdict::Drop;
        }
        if self.mode == Mode::Cooked {
            message.set_header(&[]);
        }
        Verdict::Keep
    }

    fn departing(&self, header: &[u8]) -> Departure {
        let hops = match (self.mode, <[u8; 4]>::try_from(header)) {
            (Mode::Cooked, _) if header.is_empty() => 0,
            (Mode::Raw, Ok(word)) => u32::from_be_bytes(word),
            _ => return Departure::Refused,
        };
        match hops {
            0..HOP_COUNT_MAX => Departure::With((hops + 1).to_be_bytes()),
            // No further hop can be counted. A device that passes such a message on must not fail because of it.
            HOP_COUNT_MAX => Departure::Dropped,
            _ => Departure::Refused,
        }
    }

    fn set_max_ttl(&mut self, hops: u8) {
        self.max_ttl = hops;
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::super::network::{Carriage, LinkId, Network, NodeId, SAME};
    use super::super::{PatternOption, Protocol, Readiness, RecvRefusal, Refused, SendRefusal};
    use super::*;

    /// A PAIRv1 and a peer that shows and sends bytes, on either carriage.
    fn each_with_probe(mode: Mode, test: impl Fn(Network, NodeId, NodeId, LinkId)) {
        for carriage in Carriage::BOTH {
            let mut net = Network::new(carriage);
            let (pair, probe) = (net.add(Protocol::Pair1, mode), net.probe());
            let link = net.connect(pair, probe);
            test(net, pair, probe, link);
        }
    }

    fn payload(hops: u32, body: &str) -> Vec<u8> {
        [&hops.to_be_bytes(), body.as_bytes()].concat()
    }

    #[test]
    fn r127_a_cooked_sender_sends_one_hop() {
        each_with_probe(Mode::Cooked, |mut net, pair, probe, _| {
            net.send(pair, "x").unwrap();
            assert_eq!(net.recv(probe).unwrap().body(), b"\0\0\0\x01x");
            net.send(pair, "").unwrap();
            assert_eq!(net.recv(probe).unwrap().body(), b"\0\0\0\x01");
        });
    }

    #[test]
    fn r127_the_count_is_no_part_of_what_a_cooked_socket_receives() {
        for carriage in Carriage::BOTH {
            let mut net = Network::new(carriage);
            let [a, b] = [(); 2].map(|()| net.cooked(Protocol::Pair1));
            net.connect(a, b);
            for body in ["", "x", "a longer message, of more than one word"] {
                net.send(a, body).unwrap();
                assert_eq!(net.text(b), body);
                net.send(b, body).unwrap();
                assert_eq!(net.text(a), body);
            }
        }
    }

    #[test]
    fn r127_a_header_of_the_caller_is_refused_on_a_cooked_socket() {
        each_with_probe(Mode::Cooked, |mut net, pair, probe, _| {
            for header in [&[0][..], &[0, 0, 0, 1], &[0; 8]] {
                assert_eq!(net.send_with(pair, header, "x"), Err(SendRefusal::Header));
            }
            assert_eq!(net.recv(probe), Err(RecvRefusal::Empty));
        });
    }

    #[test]
    fn r128_counts_up_to_the_bound_are_accepted_and_larger_ones_dropped() {
        for mode in [Mode::Cooked, Mode::Raw] {
            each_with_probe(mode, |mut net, pair, probe, link| {
                for hops in 0..=255 {
                    net.send(probe, payload(hops, "x")).unwrap();
                    assert_eq!(net.readiness(pair).recv, hops <= 8, "{hops} hops");
                    if hops <= 8 {
                        assert_eq!(net.recv(pair).unwrap().body(), b"x");
                    }
                    assert_eq!(net.held(link, pair), 0);
                }
                assert!(net.is_up(link));
            });
        }
    }

    #[test]
    fn r128_the_bound_is_an_option_and_takes_effect_at_once() {
        each_with_probe(Mode::Cooked, |mut net, pair, probe, _| {
            for bound in [1, 255] {
                net.set(pair, PatternOption::MaxTtl(bound)).unwrap();
                for (hops, arrives) in [(1, true), (2, bound >= 2), (255, bound == 255)] {
                    net.send(probe, payload(hops, "x")).unwrap();
                    assert_eq!(net.recv(pair).is_ok(), arrives, "{hops} hops of {bound}");
                }
            }
        });
    }

    #[test]
    fn r129_a_payload_without_a_count_or_with_an_impossible_one_closes_the_pipe() {
        for mode in [Mode::Cooked, Mode::Raw] {
            for bad in [&b""[..], b"\0", b"\0\0\x01", &[0, 0, 1, 0, 7], &[0x80, 0, 0, 1], &[255; 40]] {
                each_with_probe(mode, |mut net, pair, probe, link| {
                    net.send(probe, payload(1, "before")).unwrap();
                    net.send(probe, bad).unwrap();
                    assert!(!net.is_up(link), "{bad:02x?}");
                    assert_eq!(net.recv(pair).unwrap().body(), b"before");
                    assert_eq!(net.readiness(pair), Readiness::default());
                    let again = net.connect(pair, probe);
                    net.send(probe, payload(1, "after")).unwrap();
                    assert_eq!(net.recv(pair).unwrap().body(), b"after");
                    assert!(net.is_up(again));
                });
            }
        }
    }

    #[test]
    fn r130_a_raw_socket_shows_the_count_and_sends_one_more() {
        each_with_probe(Mode::Raw, |mut net, pair, probe, _| {
            for hops in [0, 1, 7, 8] {
                net.send(probe, payload(hops, "x")).unwrap();
                assert_eq!(net.parts(pair), (hops.to_be_bytes().to_vec(), b"x".to_vec()));
            }
            for hops in [0, 1, 254_u32] {
                net.send_with(pair, &hops.to_be_bytes(), "x").unwrap();
                assert_eq!(net.recv(probe).unwrap().body(), payload(hops + 1, "x"));
            }
        });
    }

    #[test]
    fn r130_a_raw_send_needs_a_count_and_drops_one_that_is_used_up() {
        each_with_probe(Mode::Raw, |mut net, pair, probe, _| {
            for header in [&[][..], &[0; 3], &[0; 5], &[0; 8], &[0, 0, 1, 0], &[255; 4]] {
                assert_eq!(net.send_with(pair, header, "x"), Err(SendRefusal::Header), "{header:02x?}");
            }
            net.send_with(pair, &[0, 0, 0, 255], "x").unwrap();
            assert_eq!(net.recv(probe), Err(RecvRefusal::Empty));
        });
    }

    #[test]
    fn r130_devices_add_one_each_and_the_bound_ends_the_chain() {
        for carriage in Carriage::BOTH {
            let mut net = Network::new(carriage);
            let sender = net.cooked(Protocol::Pair1);
            let mut last = sender;
            let mut stages = Vec::new();
            for hops in 1..=8_u32 {
                let (front, back, probe) = (net.raw(Protocol::Pair1), net.raw(Protocol::Pair1), net.probe());
                net.connect(last, front);
                stages.push((front, back));
                let look = net.connect(back, probe);
                net.send(sender, "x").unwrap();
                stages.iter().for_each(|(front, back)| net.relay(*front, *back));
                assert_eq!(net.recv(probe).unwrap().body(), payload(hops + 1, "x"));
                net.disconnect(look);
                last = back;
            }
            let receiver = net.cooked(Protocol::Pair1);
            net.connect(last, receiver);
            net.send(sender, "too far").unwrap();
            stages.iter().for_each(|(front, back)| net.relay(*front, *back));
            assert_eq!(net.recv(receiver), Err(RecvRefusal::Empty));
            net.set(receiver, PatternOption::MaxTtl(9)).unwrap();
            net.send(sender, "far").unwrap();
            stages.iter().for_each(|(front, back)| net.relay(*front, *back));
            assert_eq!(net.text(receiver), "far");
        }
    }

    /// R122 to R125 hold for both versions, as they have their machine in common.
    #[test]
    fn r122_r123_r124_r125_one_peer_at_a_time_here_too() {
        let mut net = Network::new(Carriage::Inproc);
        let [a, b, c] = [(); 3].map(|()| net.cooked(Protocol::Pair1));
        assert_eq!(net.send(a, "nobody"), Err(SendRefusal::Full));
        let link = net.connect(a, b);
        assert_eq!(net.connect_with(c, a, SAME, 4), Err(Refused::Busy));
        net.stall(link, b);
        for _ in 0..4 {
            net.send(a, "for b").unwrap();
        }
        assert_eq!(net.send(a, "one too many"), Err(SendRefusal::Full));
        net.disconnect(link);
        net.connect(a, c);
        assert_eq!(net.recv(c), Err(RecvRefusal::Empty));
        net.send(a, "for c").unwrap();
        assert_eq!(net.text(c), "for c");
    }

    quickcheck! {
        fn r128_r129_judges_like_a_model_wherever_the_payload_is_split(
            hops: u16, rest: Vec<u8>, short: u8, split: usize, max_ttl: u8
        ) -> bool {
            let mut bytes = [&u32::from(hops % 300).to_be_bytes(), &rest[..]].concat();
            bytes.truncate(bytes.len() - usize::from(short % 3).min(bytes.len()));
            let (header, body) = bytes.split_at(split % (bytes.len() + 1));
            let mut message = Message::from(body);
            message.set_header(header);
            let mut framing = Hops::new(Mode::Raw);
            framing.set_max_ttl(max_ttl);
            let verdict = framing.arrived(&mut message);
            match bytes.split_at_checked(4) {
                Some(([0, 0, 0, hops], _)) if *hops > max_ttl => verdict == Verdict::Drop,
                Some((count @ [0, 0, 0, _], body)) => {
                    verdict == Verdict::Keep && (message.header(), message.body()) == (count, body)
                }
                _ => verdict == Verdict::ClosePipe,
            }
        }
    }
}
