//! The fault matrix: a fault put into a state of a task under a workload, with
//! the real programs, and every invariant checked afterwards.
//!
//! A cell is run by `tests/tests/matrix.rs`; `cargo xtask matrix` runs all of
//! them and prints the table.

mod cell;
mod expected;
mod fault;
mod reach;
mod report;
mod state;
mod workload;

pub use cell::{Cell, Ran, cells, cells_of};
pub use fault::Fault;
pub use report::Report;
pub use state::State;
pub use workload::Workload;
