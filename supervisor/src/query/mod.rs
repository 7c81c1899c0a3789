//! What users see of tasks: views, evidence, and the chain of `why`. Pure
//! functions over rows, events and what is known of a task now.
//!
//! A task that lives is shown from its folded events ([`live_view`]), one that
//! has ended from its row ([`row_view`]); both build the same object, and a
//! test holds them against each other.

mod because;
mod chain;
mod evidence;
mod list;
mod live;
mod row;
mod spawn_failure;
#[cfg(test)]
mod tests;
mod who;

pub use chain::chain;
pub use evidence::evidence;
pub use list::{fits, newest_first, wants_ended};
pub use live::{Processes, live_view, recorded_view};
pub use row::row_view;
pub use spawn_failure::SpawnFailure;
