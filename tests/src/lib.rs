//! System tests with the real binaries: what they share.
//!
//! * [`harness`]: a private world (folders, supervisor, `agentctl`), hooks
//!   that pause or kill a process at a named point, gates that tell a fake
//!   agent when to go on, read-only looks at the ledger and at `/proc`
//! * [`clis`]: the real agent CLIs, and what is done to each
//! * [`invariants`]: one file per rule that must hold after every scenario
//! * [`snapshots`]: what `agentctl` says, word for word
//! * [`scenarios`]: what several test files do to a world
//!
//! Tests never sleep: they wait for a state with [`harness::wait_until`], or
//! for a hook. There are no retries.

pub mod clis;
pub mod harness;
pub mod invariants;
pub mod matrix;
pub mod scenarios;
pub mod snapshots;
pub mod soak;
pub mod systemd;
