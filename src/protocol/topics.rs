//! [`Topics`]: the subscriptions of a SUB, as a radix tree of byte prefixes (R172 to R178).

use std::mem;

const ROOT: usize = 0;

/// Counted topics. Matching follows one path, so its cost depends on the length of the topics met and not on
/// their number. Nodes live in one list and name each other by index: neither a long topic nor the end of a
/// big tree recurses.
#[derive(Debug)]
pub(super) struct Topics {
    nodes: Vec<Node>,
    free: Vec<usize>,
}

/// A node stands for the bytes on the path to it. Except for the root, one that nobody subscribed to has at
/// least two children.
#[derive(Debug, Default)]
struct Node {
    /// The bytes between its parent and itself; empty for the root only.
    label: Vec<u8>,
    /// How many times its topic is subscribed.
    count: usize,
    /// First byte of a child's label, and the child; in the order of the bytes.
    children: Vec<(u8, usize)>,
}

/// What follows from a node for the rest of a topic.
enum Step {
    /// The rest is empty: the node is the topic's.
    Here,
    /// This child's whole label begins the rest.
    Down(usize),
    /// This child's label begins as the rest does, for so many bytes and no further.
    Apart(usize, usize),
    /// No child begins as the rest does.
    Nowhere,
}

impl Default for Topics {
    fn default() -> Self {
        Topics { nodes: vec![Node::default()], free: Vec::new() }
    }
}

impl Topics {
    /// Whether some topic is a prefix of `body`.
    pub(super) fn matches(&self, body: &[u8]) -> bool {
        let (mut node, mut rest) = (ROOT, body);
        loop {
            if self.nodes[node].count > 0 {
                return true;
            }
            let Step::Down(child) = self.step(node, rest) else { return false };
            rest = &rest[self.nodes[child].label.len()..];
            node = child;
        }
    }

    /// Whether every body matches, whatever it is.
    pub(super) fn match_everything(&self) -> bool {
        self.nodes[ROOT].count > 0
    }

    /// Subscribes once more.
    pub(super) fn subscribe(&mut self, topic: &[u8]) {
        let (mut node, mut rest) = (ROOT, topic);
        loop {
            node = match self.step(node, rest) {
                Step::Here => break,
                Step::Down(child) => child,
                Step::Apart(child, common) => self.split(child, common),
                Step::Nowhere => self.add_child(node, rest),
            };
            rest = &rest[self.nodes[node].label.len()..];
        }
        self.nodes[node].count += 1;
    }

    /// Takes back one subscription. False, changing nothing, when there is none.
    pub(super) fn unsubscribe(&mut self, topic: &[u8]) -> bool {
        let (mut parent, mut node, mut rest) = (ROOT, ROOT, topic);
        loop {
            match self.step(node, rest) {
                Step::Here => break,
                Step::Down(child) => {
                    rest = &rest[self.nodes[child].label.len()..];
                    parent = node;
                    node = child;
                }
                Step::Apart(..) | Step::Nowhere => return false,
            }
        }
        if self.nodes[node].count == 0 {
            return false;
        }
        self.nodes[node].count -= 1;
        if self.nodes[node].count == 0 {
            self.prune(parent, node);
        }
        true
    }

    fn step(&self, node: usize, rest: &[u8]) -> Step {
        let Some(first) = rest.first() else { return Step::Here };
        let children = &self.nodes[node].children;
        let Ok(at) = children.binary_search_by_key(first, |(byte, _)| *byte) else { return Step::Nowhere };
        let child = children[at].1;
        let label = &self.nodes[child].label;
        if rest.starts_with(label) {
            return Step::Down(child);
        }
        Step::Apart(child, label.iter().zip(rest).take_while(|(a, b)| a == b).count())
    }

    /// Adds a leaf for all of `label`, which no child of `node` begins like.
    fn add_child(&mut self, node: usize, label: &[u8]) -> usize {
        let child = self.place(Node { label: label.to_vec(), ..Node::default() });
        self.link(node, child);
        child
    }

    /// Parts a node in two. The upper one keeps the index, so that its parent needs no change; returns it.
    fn split(&mut self, node: usize, at: usize) -> usize {
        let mut lower = mem::take(&mut self.nodes[node]);
        let label = lower.label.split_off(at);
        let upper = mem::replace(&mut lower.label, label);
        let lower = self.place(lower);
        self.nodes[node].label = upper;
        self.link(node, lower);
        node
    }

    /// Restores the rule of [`Node`] after `node` lost its last subscription.
    fn prune(&mut self, parent: usize, node: usize) {
        if node == ROOT {
            return;
        }
        if !self.nodes[node].children.is_empty() {
            self.join_only_child(node);
            return;
        }
        let first = self.nodes[node].label.first().copied();
        self.nodes[parent].children.retain(|(byte, _)| Some(*byte) != first);
        self.discard(node);
        self.join_only_child(parent);
    }

    /// Merges a node without subscription into its child, if it has just one.
    fn join_only_child(&mut self, node: usize) {
        let [(_, child)] = self.nodes[node].children[..] else { return };
        if node == ROOT || self.nodes[node].count > 0 {
            return;
        }
        let lower = mem::take(&mut self.nodes[child]);
        let upper = &mut self.nodes[node];
        upper.label.extend_from_slice(&lower.label);
        upper.count = lower.count;
        upper.children = lower.children;
        self.discard(child);
    }

    fn link(&mut self, node: usize, child: usize) {
        let Some(&first) = self.nodes[child].label.first() else { return };
        let children = &mut self.nodes[node].children;
        let at = children.partition_point(|(byte, _)| *byte < first);
        children.insert(at, (first, child));
    }

    fn place(&mut self, node: Node) -> usize {
        match self.free.pop() {
            Some(index) => {
                self.nodes[index] = node;
                index
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
        }
    }

    fn discard(&mut self, index: usize) {
        self.nodes[index] = Node::default();
        self.free.push(index);
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::{Arbitrary, Gen, QuickCheck};

    use super::*;

    fn topics(list: &[&str]) -> Topics {
        let mut topics = Topics::default();
        list.iter().for_each(|topic| topics.subscribe(topic.as_bytes()));
        topics
    }

    #[test]
    fn r172_a_topic_is_a_byte_prefix() {
        let topics = topics(&["abc", "abd", "x"]);
        for body in ["abc", "abcd", "abd!", "x", "xyz"] {
            assert!(topics.matches(body.as_bytes()), "{body}");
        }
        for body in ["", "a", "ab", "abe", "ABC", "y"] {
            assert!(!topics.matches(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn r173_the_empty_topic_matches_everything() {
        let topics = topics(&[""]);
        assert!(topics.matches(b"") && topics.matches(b"any"));
    }

    #[test]
    fn r174_r175_nothing_without_topics_and_nothing_shorter_than_a_topic() {
        assert!(!topics(&[]).matches(b"") && !topics(&[]).matches(b"any"));
        assert!(!topics(&["long"]).matches(b"lon") && !topics(&["long"]).matches(b""));
    }

    #[test]
    fn r177_n_subscribes_need_n_unsubscribes() {
        let mut topics = topics(&["a", "a", ""]);
        assert!(topics.unsubscribe(b""));
        assert!(topics.unsubscribe(b"a"));
        assert!(topics.matches(b"a"));
        assert!(topics.unsubscribe(b"a"));
        assert!(!topics.matches(b"a"));
    }

    #[test]
    fn r178_an_absent_topic_is_refused_and_changes_nothing() {
        let mut empty = Topics::default();
        assert!(!empty.unsubscribe(b"") && !empty.unsubscribe(b"any"));
        let mut topics = topics(&["abc", "abd"]);
        for absent in ["", "a", "ab", "abcd", "zzz"] {
            assert!(!topics.unsubscribe(absent.as_bytes()), "{absent}");
        }
        assert!(topics.matches(b"abc") && topics.matches(b"abd"));
    }

    #[test]
    fn a_chain_of_long_topics_needs_no_stack() {
        let long = vec![b'a'; 4_000];
        let mut topics = Topics::default();
        for len in (1..=long.len()).rev() {
            topics.subscribe(&long[..len]);
        }
        assert!(topics.matches(b"a"));
        for len in 1..=long.len() {
            assert!(topics.unsubscribe(&long[..len]), "{len}");
        }
        assert_eq!(topics.nodes.len() - topics.free.len(), 1);
        assert!(!topics.matches(&long));
    }

    /// Matching visits the nodes of one path, however many topics there are.
    #[test]
    fn a_match_follows_one_path() {
        let mut topics = Topics::default();
        for number in 0..100_000_u32 {
            topics.subscribe(&number.to_be_bytes());
        }
        let (mut node, mut rest, mut steps) = (ROOT, &99_999_u32.to_be_bytes()[..], 0);
        while let Step::Down(child) = topics.step(node, rest) {
            rest = &rest[topics.nodes[child].label.len()..];
            node = child;
            steps += 1;
        }
        assert!(steps <= 4 && topics.nodes[node].count == 1);
    }

    /// Short texts over two letters: common prefixes, and topics met twice.
    #[derive(Clone, Debug)]
    struct Text(Vec<u8>);

    impl Arbitrary for Text {
        fn arbitrary(g: &mut Gen) -> Self {
            let len = usize::arbitrary(g) % 7;
            Text((0..len).map(|_| if bool::arbitrary(g) { b'a' } else { b'b' }).collect())
        }
    }

    fn is_well_formed(topics: &Topics) -> bool {
        let live = topics.nodes.len() - topics.free.len();
        let mut seen = 0;
        let mut open = vec![ROOT];
        while let Some(index) = open.pop() {
            let node = &topics.nodes[index];
            seen += 1;
            let needed = index == ROOT || node.count > 0 || node.children.len() > 1;
            let sorted = node.children.is_sorted_by(|a, b| a.0 < b.0);
            let named =
                node.children.iter().all(|(first, at)| topics.nodes[*at].label.first() == Some(first));
            if !(needed && sorted && named) {
                return false;
            }
            open.extend(node.children.iter().map(|(_, child)| *child));
        }
        seen == live
    }

    #[test]
    fn r172_r178_agrees_with_a_list_of_topics() {
        fn property(ops: Vec<(u8, Text)>) -> bool {
            let (mut topics, mut model): (Topics, Vec<Vec<u8>>) = Default::default();
            ops.into_iter().all(|(op, Text(text))| match op % 3 {
                0 => {
                    topics.subscribe(&text);
                    model.push(text);
                    is_well_formed(&topics)
                }
                1 => {
                    let at = model.iter().position(|topic| *topic == text);
                    at.into_iter().for_each(|at| drop(model.swap_remove(at)));
                    topics.unsubscribe(&text) == at.is_some() && is_well_formed(&topics)
                }
                _ => topics.matches(&text) == model.iter().any(|topic| text.starts_with(topic)),
            })
        }
        QuickCheck::new().tests(2000).quickcheck(property as fn(Vec<(u8, Text)>) -> bool);
    }
}
