//! The exit codes of `agent-supervisor`, as documented.
//!
//! A leaf: it imports nothing of this crate, so that edge modules may share it.

/// It was asked to stop, and did.
pub const EXIT_OK: u8 = 0;
/// An unexpected error.
pub const EXIT_ERROR: u8 = 1;
/// A wrong command line, configuration or place.
pub const EXIT_USAGE: u8 = 2;
/// Another supervisor holds the state or the runtime directory.
pub const EXIT_LOCKED: u8 = 3;
/// The ledger cannot be used; it is as it was.
pub const EXIT_LEDGER: u8 = 4;
