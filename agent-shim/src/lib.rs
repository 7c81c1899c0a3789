//! The shim.
pub mod ladder;
pub mod scan;
