//! The shim link, and the shim's journal: one vocabulary for both.
//!
//! Everything that a shim has to say durably is a [`Record`]. It is appended
//! to the journal first and then sent, numbered by its place (the first is 1);
//! the supervisor acknowledges the numbers that are in its ledger. After a
//! reconnect the shim sends everything behind the acknowledged number again;
//! when the shim is gone, the supervisor reads the same records from the file.
//! So there is one path from a fact to the ledger, whoever delivers it.
//!
//! First link: an inherited socketpair on the shim's fd 0, on which the
//! supervisor sends [`Hello`](crate::hello::Hello) and [`ToShim::Start`] or
//! [`ToShim::StartAs`].
//! Later links: the shim connects to `shim.sock`, sends its hello and
//! [`FromShim::Attach`]; the supervisor answers with its hello and
//! [`ToShim::Attached`], or [`ToShim::Rejected`] and hangs up.

mod link;
mod record;
mod scan;
mod start;

pub use link::{Attach, FromShim, ProgressReport, RejectReason, StopOrder, ToShim};
pub use record::{
    AlarmKind, IntentRecord, OomRecord, ProcessId, ProviderError, Record, ResultRecord,
    SenderRecord, SpawnStage, SupersededBy, SweepRecord, Target, Usage,
};
pub use scan::{
    Condition, Field, LinePattern, PatternMeaning, Scalar, ScanFormat, ScanRule, ScanSpec, Take,
    Test,
};
pub use start::{AgentUser, Leftovers, Start, Token};
