//! Generated messages and their digest; `peers/LANGUAGE.md` has the definitions.

use std::fmt;
use std::time::{Duration, Instant};

/// A numbered run of generated messages: number i has size `sizes[i % n]`.
pub struct Run {
    pub seeds: Vec<u64>,
    pub from: u64,
    pub end: u64,
    pub sizes: Vec<usize>,
    pub deadline: Instant,
}

impl Run {
    /// From the words of a command: VERB SEEDS FROM COUNT SIZES MS.
    pub fn parse(words: &[&str]) -> Option<Run> {
        let number = |at: usize| words.get(at)?.parse::<u64>().ok();
        let from = number(2)?;
        let seeds: Result<Vec<u64>, _> = words.get(1)?.split(',').map(str::parse).collect();
        let sizes: Result<Vec<usize>, _> = words.get(4)?.split(',').map(str::parse).collect();
        Some(Run {
            seeds: seeds.ok().filter(|seeds| !seeds.is_empty())?,
            from,
            end: from + number(3)?,
            sizes: sizes.ok()?,
            deadline: Instant::now() + Duration::from_millis(number(5)?),
        })
    }

    /// The seed of a run that is one stream.
    pub fn seed(&self) -> u64 {
        self.seeds[0]
    }

    /// Message number `index` as the run of this seed would have it.
    pub fn content(&self, seed: u64, index: u64) -> Vec<u8> {
        let size = self.sizes[(index % self.sizes.len() as u64) as usize];
        let mut state = seed
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(index.wrapping_mul(0xbf58_476d_1ce4_e5b9))
            .wrapping_add((size as u64).wrapping_mul(0x94d0_49bb_1331_11eb));
        let mut out = Vec::with_capacity(size + 8);
        while out.len() < size {
            out.extend_from_slice(&next_word(&mut state).to_le_bytes());
        }
        out.truncate(size);
        out
    }

    /// Whether this is message number `index`.
    pub fn matches(&self, index: u64, body: &[u8]) -> bool {
        self.sizes[(index % self.sizes.len() as u64) as usize] == body.len()
            && self.content(self.seed(), index) == body
    }
}

fn next_word(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What went through.
pub struct Tally {
    pub count: u64,
    bytes: u64,
    digest: u64,
    pub repeats: u64,
}

impl Tally {
    pub fn new() -> Tally {
        Tally { count: 0, bytes: 0, digest: 0xcbf2_9ce4_8422_2325, repeats: 0 }
    }

    /// FNV-1a over length and body.
    pub fn add(&mut self, body: &[u8]) {
        let len = (body.len() as u64).to_le_bytes();
        for byte in len.iter().chain(body) {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
        self.count += 1;
        self.bytes += body.len() as u64;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:016x} repeats={}", self.count, self.bytes, self.digest, self.repeats)
    }
}

/// At most 64 bytes, as answers show them.
pub fn show(body: &[u8]) -> String {
    if body.is_empty() {
        return "-".to_owned();
    }
    let shown: String = body.iter().take(64).map(|byte| format!("{byte:02x}")).collect();
    if body.len() > 64 { format!("{shown}...") } else { shown }
}

/// HEX of a command.
pub fn parse_hex(text: &str) -> Option<Vec<u8>> {
    if text == "-" {
        return Some(Vec::new());
    }
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect();
    let digits = digits?;
    (digits.len() % 2 == 0).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
