//! How a task ended, and how its session is known: words of the event log.

use alloc::string::String;
use alloc::vec::Vec;

use protocol::shim::Usage;
use protocol::view::Survivor;
use protocol::vocab::IntentOutcome;
use protocol::{ArchiveReason, Basis, Exit, FinishedBasis, Status, Timestamp};
use serde::{Deserialize, Serialize};

/// How it is known that a session belongs to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BindKind {
    /// We chose it, before the spawn.
    Chosen,
    /// It is resumed.
    Resumed,
    /// The output told a new one.
    Reported,
    /// The output told the one that was known already.
    Confirmed,
}

/// How a task ended: everything that its row needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// Terminal.
    pub status: Status,
    /// Why.
    pub reason: ArchiveReason,
    /// How that is known.
    pub basis: Basis,
    /// By whom, as far as it is known.
    pub ended_by: Option<String>,
    /// How its process ended; none if there never was one.
    pub exit: Option<Exit>,
    /// When the end was established.
    pub finished_at: Timestamp,
    /// How well that is known.
    pub finished_basis: FinishedBasis,
    /// When it was last known to be alive.
    pub last_seen_at: Timestamp,
    /// The figures of this task alone.
    pub usage: Usage,
    /// What became of each intent.
    pub intents: Vec<(u64, IntentOutcome)>,
    /// What could not be ended.
    pub survivors: Vec<Survivor>,
}
