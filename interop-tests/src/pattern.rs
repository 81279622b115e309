//! The patterns, and what each lets through.

/// A pattern. Its active side speaks first, its passive side listens first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Both sides are equal; the "active" one merely begins.
    Pair,
    /// Version 1 of PAIR, with a hop count: nng and mangos have it, C programs do not.
    Pair1,
    /// REQ is active.
    ReqRep,
    /// PUB is active.
    PubSub,
    /// PUSH is active.
    PushPull,
    /// SURVEYOR is active.
    Survey,
    /// Both sides are equal.
    Bus,
}

/// The receive limit that all implementations begin with, protocol header included (R79).
pub const LIMIT: usize = 1_048_576;

/// A word of the header stack.
const WORD: usize = 4;

impl Pattern {
    /// All of them.
    pub const ALL: [Pattern; 7] = [
        Pattern::Pair,
        Pattern::Pair1,
        Pattern::ReqRep,
        Pattern::PubSub,
        Pattern::PushPull,
        Pattern::Survey,
        Pattern::Bus,
    ];

    /// Socket types in the script language: active side, passive side.
    pub fn types(self) -> (&'static str, &'static str) {
        match self {
            Pattern::Pair => ("pair", "pair"),
            Pattern::Pair1 => ("pair1", "pair1"),
            Pattern::ReqRep => ("req", "rep"),
            Pattern::PubSub => ("pub", "sub"),
            Pattern::PushPull => ("push", "pull"),
            Pattern::Survey => ("surveyor", "respondent"),
            Pattern::Bus => ("bus", "bus"),
        }
    }

    /// Whether both sides are the same.
    pub fn is_symmetric(self) -> bool {
        self.types().0 == self.types().1
    }

    /// The largest body that passes `devices` devices within [`LIMIT`].
    pub fn largest_body(self, devices: usize) -> usize {
        match self {
            Pattern::ReqRep | Pattern::Survey => LIMIT - WORD * (1 + devices),
            Pattern::Pair1 => LIMIT - WORD,
            _ => LIMIT,
        }
    }

    /// Sizes of a conversation: small ones around the places where implementations change their ways (28
    /// and 32 bytes are inline in nanomsg, with and without header), large ones, the largest. One turn of
    /// the list is 27 messages; no two neighbours have the same size, so that a message that comes twice is
    /// never taken for the next one.
    pub fn sizes(self, devices: usize) -> Vec<usize> {
        let small = [0, 1, 28, 29, 32, 33, 1000, 65536];
        let mut sizes = small.repeat(3);
        sizes.extend([self.largest_body(devices), 2, 100]);
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::{LIMIT, Pattern};

    #[test]
    fn r77_the_header_counts_towards_the_limit() {
        assert_eq!(Pattern::ReqRep.largest_body(0), LIMIT - 4);
        assert_eq!(Pattern::Survey.largest_body(1), LIMIT - 8);
        assert_eq!(Pattern::Bus.largest_body(1), LIMIT);
        assert_eq!(Pattern::Pair1.largest_body(1), LIMIT - 4);
    }

    #[test]
    fn neighbouring_sizes_differ_also_around_the_end() {
        for pattern in Pattern::ALL {
            let sizes = pattern.sizes(0);
            assert!((0..sizes.len()).all(|i| sizes[i] != sizes[(i + 1) % sizes.len()]));
        }
    }
}
