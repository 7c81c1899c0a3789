//! Everything that can wake the core loop, as one enum.

use protocol::shim::SweepRecord;
use protocol::{Exit, TaskId};

use super::keep::Aside;
use super::orphans::Search;
use super::replace::Replacing;
use crate::control::ControlCall;
use crate::gateway::HttpCall;
use crate::ledger::LedgerError;
use crate::process::watchdog::Ended;
use crate::shim::{AttachRequest, LinkDown, ShimGone, ShimMessage};

/// One input of the loop.
pub(super) enum CoreInput {
    /// A client asks.
    Control(ControlCall),
    /// A client of the gateway asks.
    Http(HttpCall),
    /// A shim says something.
    Shim(ShimMessage),
    /// A shim of another link wants to be accepted.
    Attach(AttachRequest),
    /// A link ended.
    LinkDown(LinkDown),
    /// A shim's process is gone.
    ShimGone(ShimGone),
    /// The sweep after a shim's death is done, and so the leader had ended, if
    /// the kernel tells.
    Swept(TaskId, SweepRecord, Option<Exit>),
    /// What became of the tree of a shim that does not answer.
    TreeEnded(TaskId, Ended),
    /// Processes that carry a marker were looked for.
    OrphansFound(Box<Search>),
    /// What could not be found out about a task's shim may be known now.
    LookAgain(TaskId),
    /// Folders from before the start in which no start was decided.
    Undecided(Vec<TaskId>),
    /// A task that was to be put aside has ended.
    Archive(Box<Aside>),
    /// A task that was to make room for another one has ended.
    Replace(Box<Replacing>),
    /// It is time to look which ended tasks the configuration lets go.
    Retain,
    /// The ledger failed where nobody commits.
    LedgerFailed(LedgerError),
    /// SIGTERM or SIGINT.
    Leave,
}

macro_rules! input_from {
    ($($source:ident => $variant:ident),+ $(,)?) => {
        $(impl From<$source> for CoreInput {
            fn from(source: $source) -> Self {
                Self::$variant(source)
            }
        })+
    };
}

input_from!(
    ControlCall => Control,
    HttpCall => Http,
    ShimMessage => Shim,
    AttachRequest => Attach,
    LinkDown => LinkDown,
    ShimGone => ShimGone,
);
