//! The supervisor: thin IO around the pure core. The only writer of the
//! ledger.
//!
//! Edge modules never import each other; they meet in `runtime`. Leaves that
//! any of them may use: [`document`].

pub mod config;
pub mod document;
