//! The shim.
pub mod scan;
