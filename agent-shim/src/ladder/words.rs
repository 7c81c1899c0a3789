//! What the ladder is told and what it answers.

use protocol::shim::{Leftovers, StopOrder, SupersededBy};

/// What the start order says about the end.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// The first signal of a stop.
    pub stop_signal: i32,
    /// Grace for a stop that the shim starts itself, in ms.
    pub grace_ms: u64,
    /// What becomes of processes that outlive an agent that ended by itself.
    pub leftovers: Leftovers,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A stop was ordered.
    Stop(StopOrder),
    /// The answer to [`Command::Look`].
    Looked(Option<SupersededBy>),
    /// The shim itself was told to end, by a signal.
    Signalled,
    /// The ledger says that the task has ended.
    Disowned,
    /// The leader ended, its exit is journalled, and it was taken away.
    LeaderEnded(Settle, Tree),
    /// Other descendants ended; some are left.
    TreeShrank,
    /// No descendant is left.
    TreeEmptied,
    /// The deadline has passed.
    Tick,
}

/// Whether an end may be somebody else's work although it does not say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    /// It may: wait for a signal.
    Wait,
    /// It speaks for itself.
    AtOnce,
}

/// What is left of the agent's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tree {
    /// At least one.
    Populated,
    /// None: the kernel says so.
    Empty,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Journal the intent, and tell it.
    RecordIntent {
        /// The order.
        order: StopOrder,
        /// An earlier intent is the reason already.
        joined: bool,
    },
    /// Look whether the agent ended by itself; answer with [`Input::Looked`].
    Look,
    /// Journal that the intent came too late.
    RecordSuperseded {
        /// Which.
        intent_id: u64,
        /// How that was seen.
        by: SupersededBy,
    },
    /// Journal a signal to the agent's group, and send it.
    SignalGroup {
        /// Which.
        signal: i32,
        /// Under which intent.
        intent_id: Option<u64>,
    },
    /// Journal a signal to everything that is left, and send it.
    SignalTree {
        /// Which.
        signal: i32,
        /// Under which intent.
        intent_id: Option<u64>,
    },
    /// Send KILL to everything that is left now.
    KillRound,
    /// The end.
    Conclude(Conclusion),
}

/// How the tree ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// Nothing is left.
    Empty,
    /// Something is left, and nobody may touch it.
    LeftAlone,
    /// Something is left that could not be ended.
    Unkillable,
}
