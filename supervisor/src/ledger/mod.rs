//! The ledger: one SQLite file, one writer.
//!
//! ```text
//! handle ──bounded queue──▶ owner thread   the connection that writes; small looks
//!    └─────bounded queue──▶ reader thread  a connection that only reads; long lists
//! ```
//!
//! A commit is one transaction and one sync: the events into the log, and what
//! they mean into the tables. `seq` has no holes, because it counts in memory
//! and moves on only with a transaction that succeeded. Checkpoints are never
//! on the way of a commit: see [`checkpoint`].
//!
//! Everything that can be asked stands in [`Reader`], which needs a connection
//! and nothing else, so that the ledger can be read without a supervisor.
//!
//! **Architecture invariant:** SQL and rusqlite stand in this module alone.

mod aside;
mod ballast;
mod checkpoint;
mod error;
mod front;
mod handle;
mod inspect;
mod log;
mod meta;
mod migrate;
mod open;
mod owner;
mod project;
mod prune;
mod read;
mod secret;
pub mod syncs;
#[cfg(test)]
pub(crate) mod tests;

pub use aside::{building, is_locked, remove, replace, seal_rebuilt, tasks_in};
pub use ballast::Room;
pub use error::{EXIT_LEDGER_UNUSABLE, LedgerError, OpenError, StoreError};
pub use front::Front;
pub use handle::LedgerHandle;
pub use inspect::suspect;
pub use open::{Before, Ledger, OpenOptions, OpenReport, ReadLedger, open};
pub use owner::LedgerThreads;
pub use prune::{MoveAside, RanAs};
pub use read::{
    AdmissionFacts, LedgerInfo, LiveTask, MAX_COUNTED, MAX_MATCHES, OldEnough, Prunable, Reader,
    TaskRow,
};
pub use secret::TaskSecret;
