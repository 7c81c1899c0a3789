//! The measurements of docs/PERFORMANCE.md.
//!
//! Everything is measured with the real programs, in a private folder, beside
//! the physical limits of the same machine in the same run.
//!
//! **Architecture invariant:** talks to the programs under test as users do
//! (command line, control socket, `/proc`); nothing of them is linked in but
//! the wire types.
#![cfg(feature = "measure")]

pub mod client;
pub mod clock;
pub mod crew;
pub mod hooks;
pub mod machine;
pub mod options;
pub mod processes;
pub mod programs;
pub mod report;
pub mod rows;
pub mod stats;
pub mod syncs;
pub mod world;
