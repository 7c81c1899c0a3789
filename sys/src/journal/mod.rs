//! The journal: what a shim established, in order, in the file before it is acted
//! on or told.
//!
//! ```text
//! file     magic "AGSJ" · version u16 · zero u16 · records
//! record   len u32 · crc32c u32 · type u16 · payload (len bytes)
//! payload  postcard of protocol::shim::Record; type is its variant's index
//! ```
//! All numbers are little endian. Records are numbered by their place, from 1.
//! The checksum covers the number, len, type and payload, so that a record is
//! right only where it was written. Reading ends at the first that is not: a
//! torn tail costs the tail. A record of a type that the reader does not know
//! is skipped and keeps its number.
//!
//! Room for the last records is reserved on disk, so that an agent that filled
//! it cannot keep its own exit from being written.

mod format;
mod reader;
mod writer;

use std::io;
use std::path::PathBuf;

pub use reader::{End, Entry, Replay, read_from};
pub use writer::{Cursor, Journal};

/// The name of the file in a task's folder.
pub const FILE_NAME: &str = "journal";

/// Largest journal in bytes. A task writes a few kilobytes; only a flood of
/// joined stops or of session ids could come near.
pub const MAX_JOURNAL_BYTES: u64 = 4 << 20;

/// Bytes kept for the last records: the first stop, the signals, the exit, the
/// sweep with its survivors and the end fit in a third of it.
pub const RESERVE_BYTES: u64 = 16 << 10;

/// Largest payload in bytes: a result's text has 64 KiB.
pub const MAX_RECORD_BYTES: usize = 128 << 10;

/// Why a journal could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system refused.
    #[error("using {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The file is no journal.
    #[error("{} is not a journal", .0.display())]
    Foreign(PathBuf),
    /// The file is from a newer program.
    #[error("{} has the unknown version {version}", path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: u16,
    },
    /// No room is left, or only that which is kept for the last records.
    #[error("the journal is full")]
    Full,
}
