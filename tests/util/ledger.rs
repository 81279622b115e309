//! Numbered messages of mixed sizes, and the book in which each is crossed off when it arrives.

use std::sync::atomic::{AtomicU64, Ordering};

use spmsg::Message;

use super::pattern;

/// Sizes at which the library changes its ways: nothing, inline bodies (77), messages with memory of their
/// own (16 KiB), bodies by reference (32 KiB), blocks.
const SMALL: [usize; 8] = [0, 1, 8, 64, 76, 77, 78, 79];
const LARGEST: usize = 300 * 1024;
/// Bytes that say who sent a message and which of his it is; shorter ones are known by their number only.
const LABEL: usize = 8;
/// Bits of the label that count; the others name the sender.
const NUMBER_BITS: u32 = 48;
/// What follows the label begins at another place of the pattern in each of so many messages.
const SHIFTS: usize = 251;

/// How long the message `number` is: about 100 bytes on average, mostly small ones, all sizes mixed.
pub fn len_of(number: u64) -> usize {
    // A product with an odd constant spreads neighbours over the whole range.
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50;
    match mixed {
        0 => LARGEST,
        1..=2 => 64 * 1024,
        3..=4 => 16 * 1024,
        5..=6 => 16 * 1024 - 1,
        7..=8 => 32 * 1024,
        9..=10 => 32 * 1024 - 1,
        11..=400 => 1000,
        401..=2000 => 100,
        _ => SMALL[(mixed % 8) as usize],
    }
}

/// Writes messages and knows them again.
pub struct Scribe {
    fill: Vec<u8>,
    scratch: Vec<u8>,
}

impl Scribe {
    pub fn new() -> Scribe {
        Scribe { fill: pattern(LARGEST + SHIFTS), scratch: Vec::new() }
    }

    /// The message `number` of `sender`.
    pub fn write(&mut self, sender: u16, number: u64) -> Message {
        let len = len_of(number);
        if len < LABEL {
            return Message::from(&[number as u8][..len]);
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(&(u64::from(sender) << NUMBER_BITS | number).to_be_bytes());
        self.scratch.extend_from_slice(rest(&self.fill, number, len));
        Message::from(&self.scratch[..])
    }

    /// Sender and number of a whole, unharmed message; `None` if it is too short to tell.
    #[track_caller]
    pub fn read(&self, body: &[u8]) -> Option<(u16, u64)> {
        let Some((label, rest)) = body.split_first_chunk::<LABEL>() else {
            assert!(body.len() <= 1, "nobody sent a message of {} bytes", body.len());
            return None;
        };
        let label = u64::from_be_bytes(*label);
        let (sender, number) = ((label >> NUMBER_BITS) as u16, label & ((1 << NUMBER_BITS) - 1));
        assert_eq!(body.len(), len_of(number), "length of message {number} of sender {sender}");
        assert!(
            rest == self::rest(&self.fill, number, body.len()),
            "message {number} of sender {sender} is damaged"
        );
        Some((sender, number))
    }

    /// `body` is the message `number` of `sender`, and no other.
    #[track_caller]
    pub fn check(&self, body: &[u8], sender: u16, number: u64) {
        match self.read(body) {
            Some(label) => assert_eq!(label, (sender, number)),
            None => assert_eq!(body, &[number as u8][..len_of(number).min(1)], "message {number}"),
        }
    }
}

/// What follows the label of the message `number`.
fn rest(fill: &[u8], number: u64, len: usize) -> &[u8] {
    let at = number as usize % SHIFTS;
    &fill[at..at + len - LABEL]
}

/// Who sent what, and what of it has arrived. Senders are numbered from 0, and so are the messages of each.
pub struct Ledger {
    /// Per sender a bit for each number.
    seen: Vec<Vec<AtomicU64>>,
    /// Messages too short for a label: by length 1 and content, and in the last place the empty ones.
    anonymous: Vec<AtomicU64>,
    taken: AtomicU64,
}

const EMPTY: usize = 256;

impl Ledger {
    /// For `senders` who send at most `each`.
    pub fn new(senders: usize, each: u64) -> Ledger {
        let zeros = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
        let words = each.div_ceil(64) as usize;
        Ledger {
            seen: (0..senders).map(|_| zeros(words)).collect(),
            anonymous: zeros(EMPTY + 1),
            taken: AtomicU64::new(0),
        }
    }

    /// Somebody who receives, and sees what each sender sent in rising order (R110).
    pub fn reader(&self) -> Reader<'_> {
        Reader { ledger: self, scribe: Scribe::new(), next: vec![0; self.seen.len()] }
    }

    /// How many messages have arrived.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Each sender `s` sent the first `sent[s]` messages, and every single one has arrived once.
    #[track_caller]
    pub fn assert_complete(&self, sent: &[u64]) {
        let mut anonymous = vec![0; EMPTY + 1];
        for (sender, &count) in sent.iter().enumerate() {
            self.assert_arrived(sender, 0, count);
            for number in (0..count).filter(|number| len_of(*number) < LABEL) {
                anonymous[if len_of(number) == 0 { EMPTY } else { number as u8 as usize }] += 1;
            }
        }
        let arrived: Vec<u64> = self.anonymous.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        assert_eq!(arrived, anonymous, "messages of one byte by content, and the empty ones");
        assert_eq!(self.taken(), sent.iter().sum::<u64>());
    }

    /// All of the messages `from..to` of `sender` that carry a label have arrived.
    #[track_caller]
    pub fn assert_arrived(&self, sender: usize, from: u64, to: u64) {
        let missing = (from..to).filter(|number| len_of(*number) >= LABEL && !self.has(sender, *number));
        let missing: Vec<u64> = missing.take(10).collect();
        assert!(missing.is_empty(), "of sender {sender}, not all of {from}..{to} arrived: {missing:?} ...");
    }

    /// Whether anything of `sender` that carries a label has arrived.
    pub fn has_any(&self, sender: usize) -> bool {
        self.seen[sender].iter().any(|word| word.load(Ordering::Relaxed) != 0)
    }

    fn has(&self, sender: usize, number: u64) -> bool {
        let word = self.seen[sender][(number / 64) as usize].load(Ordering::Relaxed);
        word >> (number % 64) & 1 == 1
    }
}

/// One thread that receives from one socket.
pub struct Reader<'a> {
    ledger: &'a Ledger,
    scribe: Scribe,
    /// Per sender the lowest number that may still come.
    next: Vec<u64>,
}

impl Reader<'_> {
    /// Crosses a message off: whole, of somebody, never seen before, in order.
    #[track_caller]
    pub fn take(&mut self, body: &[u8]) {
        match self.scribe.read(body) {
            None => {
                let kind = body.first().map_or(EMPTY, |byte| usize::from(*byte));
                self.ledger.anonymous[kind].fetch_add(1, Ordering::Relaxed);
            }
            Some((sender, number)) => {
                let next = &mut self.next[usize::from(sender)];
                assert!(number >= *next, "sender {sender}: {number} after {}", *next - 1);
                *next = number + 1;
                let word = &self.ledger.seen[usize::from(sender)][(number / 64) as usize];
                let before = word.fetch_or(1 << (number % 64), Ordering::Relaxed);
                assert_eq!(before >> (number % 64) & 1, 0, "message {number} of sender {sender} came twice");
            }
        }
        self.ledger.taken.fetch_add(1, Ordering::Relaxed);
    }
}
