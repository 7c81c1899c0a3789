//! What users see of tasks: views, evidence, and the chain of `why`.
//!
//! A task that lives is shown from its folded events and what is known of it
//! now ([`live_view`]), one that has ended from its row ([`view`]); both build
//! the same object, and a test holds them against each other. Everything here
//! works on a [`Reader`](crate::ledger::Reader), with or without a supervisor.

mod ask;
mod because;
mod chain;
mod evidence;
mod facts;
mod list;
mod live;
mod quote;
mod row;
mod settle;
mod spawn_failure;
mod step;
#[cfg(test)]
mod tests;
mod who;

pub use ask::{detail, list, live_views, view, why};
pub use live::{Processes, live_view};
pub use settle::{SettleError, keep_sessions, settle, unsettled};
pub use spawn_failure::SpawnFailure;
pub use step::SUPERVISOR;
