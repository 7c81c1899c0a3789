//! What the supervisor and its shims need from Linux: processes that are
//! identified and signalled without a mistake, the start of an agent, and the
//! small durable files (claim, journal) that decide what happened.
//!
//! **Architecture invariant:** all unsafe code of the workspace is here, one
//! small function per system call.
//!
//! **Architecture invariant:** whatever links, writes, syncs, signals, reaps or
//! sends on the way from a fact to the ledger passes through a [`hook::Step`],
//! so that a crash test can stop the program on either side of it.

pub mod atomic_file;
pub mod attribute;
mod checksum;
pub mod claim;
pub mod clock;
pub mod container;
pub mod descriptors;
pub mod heap;
pub mod hook;
pub mod ipc;
pub mod journal;
pub mod lock;
pub mod netfs;
pub mod oom;
pub mod pages;
pub mod pidfd;
pub mod prctl;
pub mod process;
pub mod reap;
pub mod signal;
pub mod spawn;
pub mod temp_folder;

pub use pidfd::PidFd;
