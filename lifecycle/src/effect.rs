//! What follows from an input.

use alloc::vec::Vec;

use protocol::Timestamp;
use protocol::shim::StopOrder;

use crate::event::Event;
use crate::timer::Timer;

/// Events to commit, then actions to do: never an action before its events
/// are durable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// In order.
    pub events: Vec<Event>,
    /// In order.
    pub actions: Vec<Action>,
}

/// What the shell has to do once the events are durable.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Spawn the shim and hand it the start order.
    SpawnShim,
    /// Send a stop to the shim.
    SendStop(StopOrder),
    /// Tell the shim that everything up to this record is in the ledger.
    Acknowledge {
        /// The record's number.
        upto: u64,
    },
    /// The shim is dead: find what carries the task's marker and end it.
    SweepTree {
        /// Between TERM and KILL, in ms.
        grace_ms: u64,
    },
    /// The shim did not answer a stop: feed in what its journal has, and look at
    /// the agent.
    LookBehindShim {
        /// Records that are known now.
        known_records: u64,
    },
    /// The shim does not answer: end its tree, then the shim.
    EndWithoutShim,
    /// Wake the core at this time; replaces an earlier one of the same name. What the
    /// shim has a time for ([`Timer::Answer`], [`Timer::Start`]) counts from when this is
    /// done: a commit that takes long is not its fault.
    Arm {
        /// Which timer.
        timer: Timer,
        /// When.
        due: Timestamp,
    },
    /// Forget a timer.
    Disarm(Timer),
    /// The task is terminal: settle its folder, drop it from the running set.
    Settle,
}
