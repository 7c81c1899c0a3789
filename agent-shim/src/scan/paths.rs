//! The wanted paths, as a trie that is walked along with the tokens.

use protocol::shim::{Field, ScanSpec, Test};

/// A place in the trie. [`NodeId::NOWHERE`] is everything that nobody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(u16);

impl NodeId {
    pub(super) const ROOT: Self = Self(0);
    pub(super) const NOWHERE: Self = Self(NODE_LIMIT);

    /// Fits in 15 bits.
    pub(super) const fn bits(self) -> u16 {
        self.0
    }

    pub(super) const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }
}

/// Places that a trie can have: ids have 15 bits, and one means nowhere.
const NODE_LIMIT: u16 = 0x7FFF;

/// The path element that stands for every element of an array.
const ANY_ELEMENT: &str = "[]";

/// A wanted path, by number.
pub(super) type SlotId = usize;

#[derive(Debug, Default)]
struct Node {
    keys: Vec<(Box<[u8]>, NodeId)>,
    any_element: Option<NodeId>,
    slot: Option<SlotId>,
}

/// What is wanted of the scalar at one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Bytes of it that are looked at.
    pub(super) cap: usize,
    /// What to do with several of them.
    pub(super) keep: Keep,
}

/// What is kept of the values of one path within a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Keep {
    /// They are only tested.
    Nothing,
    /// The last one.
    Last,
    /// All texts, one per line.
    Joined,
}

/// All wanted paths of a scan.
#[derive(Debug)]
pub(super) struct Paths {
    nodes: Vec<Node>,
    wanted: Vec<Wanted>,
    longest_key: usize,
}

impl Paths {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Node::default()],
            wanted: Vec::new(),
            longest_key: 0,
        }
    }

    /// The slot of `path`, which is wanted as `wanted`, too. A trie without
    /// room for it never finds it.
    pub(super) fn slot(&mut self, path: &[String], wanted: Wanted) -> Option<SlotId> {
        let mut at = NodeId::ROOT;
        for element in path {
            at = self.descend(at, element)?;
        }
        let node = self.nodes.get_mut(usize::from(at.0))?;
        let slot = *node.slot.get_or_insert(self.wanted.len());
        match self.wanted.get_mut(slot) {
            Some(known) => {
                known.cap = known.cap.max(wanted.cap);
                known.keep = known.keep.max(wanted.keep);
            }
            None => self.wanted.push(wanted),
        }
        Some(slot)
    }

    fn descend(&mut self, at: NodeId, element: &str) -> Option<NodeId> {
        let new = u16::try_from(self.nodes.len())
            .ok()
            .filter(|id| *id < NODE_LIMIT)
            .map(NodeId);
        let node = self.nodes.get_mut(usize::from(at.0))?;
        let known = if element == ANY_ELEMENT {
            node.any_element
        } else {
            node.keys
                .iter()
                .find(|(key, _)| **key == *element.as_bytes())
                .map(|(_, id)| *id)
        };
        if known.is_some() {
            return known;
        }
        let new = new?;
        if element == ANY_ELEMENT {
            node.any_element = Some(new);
        } else {
            node.keys.push((element.as_bytes().into(), new));
            self.longest_key = self.longest_key.max(element.len());
        }
        self.nodes.push(Node::default());
        Some(new)
    }

    pub(super) fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// Bytes of a key after which it can be none of ours.
    pub(super) const fn key_cap(&self) -> usize {
        self.longest_key + 1
    }

    #[inline]
    pub(super) fn child(&self, at: NodeId, key: &[u8]) -> NodeId {
        let Some(node) = self.nodes.get(usize::from(at.0)) else {
            return NodeId::NOWHERE;
        };
        let found = node.keys.iter().find(|(known, _)| **known == *key);
        found.map_or(NodeId::NOWHERE, |(_, id)| *id)
    }

    #[inline]
    pub(super) fn element(&self, at: NodeId) -> NodeId {
        let node = self.nodes.get(usize::from(at.0));
        node.and_then(|node| node.any_element)
            .unwrap_or(NodeId::NOWHERE)
    }

    /// The slot at `at` and the bytes of its scalar that are looked at.
    #[inline]
    pub(super) fn slot_at(&self, at: NodeId) -> Option<(SlotId, usize)> {
        let slot = self.nodes.get(usize::from(at.0))?.slot?;
        Some((slot, self.wanted.get(slot)?.cap))
    }
}

/// A number as text, or a text that is one.
const NUMBER_CAP: usize = 64;

/// What a test has to look at.
pub(super) fn wanted_by_test(test: &Test) -> Wanted {
    let cap = match test {
        Test::Equals(protocol::shim::Scalar::Text(text)) => text.len() + 1,
        Test::Contains(_) => protocol::limits::MAX_RESULT_TEXT,
        Test::Equals(_) | Test::Present | Test::Absent | Test::AtLeast(_) => NUMBER_CAP,
    };
    Wanted {
        cap,
        keep: Keep::Nothing,
    }
}

/// What a field has to keep. One byte more than a limit tells that it was cut.
pub(super) fn wanted_by_field(field: Field) -> Wanted {
    let (cap, keep) = match field {
        Field::SessionId => (protocol::limits::MAX_SESSION_ID + 1, Keep::Last),
        Field::Model | Field::ErrorText => (protocol::limits::MAX_TEXT_FIELD, Keep::Last),
        Field::Progress => (protocol::limits::MAX_PROGRESS_TEXT, Keep::Joined),
        Field::ResultText | Field::ResultTextAdd => {
            (protocol::limits::MAX_RESULT_TEXT, Keep::Joined)
        }
        // Its presence is all that counts.
        Field::ResultTextRestart => (NUMBER_CAP, Keep::Nothing),
        Field::Turns
        | Field::InputTokens
        | Field::InputTokensAdd
        | Field::OutputTokens
        | Field::OutputTokensAdd
        | Field::CostUsd
        | Field::CostUsdAdd => (NUMBER_CAP, Keep::Last),
    };
    Wanted { cap, keep }
}

/// The trie of everything that `spec` names.
pub(super) fn compile(spec: &ScanSpec) -> Paths {
    let mut paths = Paths::new();
    for rule in &spec.rules {
        for condition in rule.when.iter().chain(&rule.success_when) {
            paths.slot(&condition.path, wanted_by_test(&condition.test));
        }
        for take in &rule.take {
            paths.slot(&take.path, wanted_by_field(take.field));
        }
    }
    paths
}
