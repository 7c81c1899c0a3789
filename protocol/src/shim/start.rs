//! The start order: everything that a shim has to know.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::scan::ScanSpec;
use crate::TaskId;

/// The secret by which a shim proves itself on a later link. 32 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token(pub [u8; 32]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What to do with processes that outlive their leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Leftovers {
    /// End them.
    End,
    /// Name them in the record, and leave them alone.
    Report,
}

/// The start order of one task.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// The task.
    pub task_id: TaskId,
    /// For later links.
    pub token: Token,
    /// `<state>/tasks/<id>`, absolute; it exists.
    pub task_dir: String,
    /// Where the sockets are now; `<state>/runtime-dir` names a later place.
    pub runtime_dir: String,
    /// The agent's whole argument vector. The first word is searched in the
    /// `PATH` of `env`.
    pub argv: Vec<String>,
    /// The agent's whole environment, marker included; `TMPDIR` is the shim's.
    pub env: Vec<(String, String)>,
    /// The agent's working folder, absolute.
    pub cwd: String,
    /// Written to the agent's stdin, then EOF; `/dev/null` if absent.
    pub stdin: Option<Vec<u8>>,
    /// What to look for in the output.
    pub scan: ScanSpec,
    /// Output kept per stream, in bytes.
    pub max_log_bytes: u64,
    /// The first signal of a stop (15 unless the provider wants another).
    pub stop_signal: i32,
    /// Exit codes that may be the provider's way to die by TERM: the shim
    /// waits a moment for a signal of its own before it believes them.
    pub term_exit: Vec<i32>,
    /// What to do with processes that outlive their leader.
    pub leftovers: Leftovers,
    /// Grace for a stop that the shim starts itself (it was signalled), in ms.
    pub grace_ms: u64,
    /// Soft limit of open files that the agent gets back (the supervisor
    /// raised its own).
    pub nofile_soft: u64,
}

/// The user that an agent runs as, where that is not the supervisor's own: as
/// the accounts of the machine say, looked up when the order was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentUser {
    /// For people.
    pub name: String,
    /// Its user id.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
    /// All its groups.
    pub groups: Vec<u32>,
}

/// Environment, arguments and prompt never appear in `Debug`.
impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start")
            .field("task_id", &self.task_id)
            .field("task_dir", &self.task_dir)
            .finish_non_exhaustive()
    }
}
