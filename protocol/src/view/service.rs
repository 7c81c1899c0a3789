//! The supervisor itself.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{ProviderName, TaskId, Timestamp};

/// `status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// The program's version.
    pub version: String,
    /// Message versions spoken.
    pub protocol: ProtocolRange,
    /// The supervisor's process id; 0 when the ledger is read without one.
    pub pid: i32,
    /// The kernel's boot id.
    pub boot_id: String,
    /// When it started.
    pub started_at: Timestamp,
    /// How many tasks.
    pub tasks: TaskCounts,
    /// Shims that it took over.
    pub adopted: u64,
    /// `admitting`, `draining`, `stopping`, `forced` or `drained`.
    pub phase: String,
    /// The service unit that it runs in.
    pub unit: Option<UnitView>,
    /// Its ledger.
    pub ledger: LedgerView,
    /// A drain under way.
    pub drain: Option<DrainView>,
    /// The ledger's random id.
    pub ledger_id: String,
    /// Where its sockets are.
    pub runtime_dir: String,
    /// `user` or `system`.
    pub mode: String,
}

/// Message versions spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolRange {
    /// The lowest.
    pub min: u16,
    /// The highest.
    pub max: u16,
}

/// How many tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCounts {
    /// Waiting for a place.
    pub queued: u64,
    /// Not ended.
    pub running: u64,
    /// Ended and in the ledger.
    pub ended: u64,
}

/// A service unit, and what its restart does to the agents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitView {
    /// Its name.
    pub name: String,
    /// Its `KillMode`.
    pub kill_mode: String,
    /// Do the agents live through its restart?
    pub survives_restart: bool,
}

/// The ledger's place and size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerView {
    /// The file.
    pub path: String,
    /// Its schema number.
    pub schema: u32,
    /// Its size in bytes, the write-ahead log included.
    pub bytes: u64,
}

/// A drain under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainView {
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when tasks may finish.
    pub deadline: Timestamp,
    /// Tasks that have not ended.
    pub busy: Vec<TaskId>,
}

/// A provider file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderView {
    /// Its name.
    pub name: ProviderName,
    /// `built-in`, or the file.
    pub source: String,
    /// What it is, in words.
    pub description: String,
    /// The program that it starts; none for `exec`.
    pub command: Option<String>,
    /// Where that was found on the supervisor's search path.
    pub found: Option<String>,
    /// It can resume a conversation.
    pub resumes: bool,
    /// The caller can choose the session id.
    pub chooses_session: bool,
    /// Tested against the real program.
    pub tested: bool,
    /// The file's text; only for `show`.
    pub text: Option<String>,
}
