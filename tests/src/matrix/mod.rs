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
mod lane;
mod reach;
mod report;
mod state;
mod strike;
mod unit;
mod workload;

pub use cell::{Cell, Outcome, Ran};
pub use choice::{cells, cells_of};
pub use fault::Fault;
pub use lane::Lane;
pub use report::Report;
pub use state::State;
pub use unit::{Home, run_units};
pub use workload::Workload;

use crate::harness::{counts_memory, elsewhere, record_skip};

/// Runs each cell of a fault once, for a test.
///
/// # Panics
/// When a cell breaks something, or never was in its state.
pub fn run_all(fault: Fault) {
    let of_memory = matches!(
        fault,
        Fault::LeaderOutOfMemory | Fault::ChildOutOfMemory | Fault::ShimOutOfMemory
    );
    if of_memory && counts_memory() {
        // Limits can be had in the holder of a systemd alone.
        elsewhere("tests/tests/systemd_memory.rs");
        return;
    }
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

/// Runs the cells of F26 in one home of the agents once, for a test.
///
/// # Panics
/// When a cell breaks something.
pub fn run_all_units(home: Home) {
    let mut broken = Vec::new();
    for (cell, ran) in run_units(home) {
        match ran {
            Ok(Outcome::Ran(ran)) => println!("{cell}: {}, hits {:?}", ran.reason, ran.hits),
            Ok(Outcome::NotHere(why)) => record_skip(&format!("{cell}: {why}")),
            Err(violation) => broken.push(format!("{cell}: {violation}")),
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// What a panic said.
#[must_use]
pub fn in_words(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()))
        .unwrap_or_else(|| "a panic without words".to_string())
}
