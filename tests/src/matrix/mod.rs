//! The fault matrix: a fault put into a state of a task under a workload, with
//! the real programs, and every invariant checked afterwards.
//!
//! A cell is run by `tests/tests/matrix.rs`; `cargo xtask matrix` runs all of
//! them and prints the table.

mod cell;
mod choice;
mod expected;
mod fault;
mod ground;
mod reach;
mod report;
mod state;
mod strike;
mod workload;

pub use cell::{Cell, Outcome, Ran};
pub use choice::{cells, cells_of};
pub use fault::Fault;
pub use report::Report;
pub use state::State;
pub use workload::Workload;

use crate::harness::record_skip;

/// Runs each cell of a fault once, for a test.
///
/// # Panics
/// When a cell breaks something, or never was in its state.
pub fn run_all(fault: Fault) {
    for cell in cells_of(fault) {
        println!("{}", cell.code());
        match cell.run() {
            Outcome::Ran(ran) => {
                assert!(ran.hits.is_none_or(|hits| hits > 0), "{}", cell.code());
            }
            Outcome::NotHere(why) => record_skip(&format!("{}: {why}", cell.code())),
        }
    }
}
