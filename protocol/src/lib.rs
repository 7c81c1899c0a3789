//! The words and the wire of the supervisor: identifiers, the closed
//! vocabularies (reasons, statuses, exits), and the messages of both sockets.
//!
//! No IO and no clock. Two sockets speak this crate:
//!
//! * the **control socket** (`agentctl` ↔ supervisor): [`control`]
//! * the **shim link** (supervisor ↔ `agent-shim`): [`shim`]
//!
//! # Versions
//!
//! A connection opens with a fixed 16-byte [`hello::Hello`] that will never
//! change; it carries the range of message versions that the speaker knows.
//! Within a version the postcard encoding is positional: an enum only ever
//! grows at its end, and a struct that has to change becomes a new variant.
//! `tests/wire/` holds the bytes of every message of every released version;
//! those files are never edited.
//!
//! **Architecture invariant:** nothing here depends on another crate of the
//! workspace.
#![no_std]

extern crate alloc;

pub mod codec;
pub mod control;
pub mod duration;
mod exit;
pub mod frame;
pub mod hello;
pub mod ids;
#[cfg(feature = "json")]
pub mod json;
pub mod limits;
pub mod places;
pub mod shim;
pub mod time;
pub mod view;
pub mod vocab;

pub use exit::signal_as_name;
pub use ids::{Key, ProviderName, SessionId, TaskId};
pub use time::Timestamp;
pub use vocab::{ArchiveReason, Basis, Exit, FinishedBasis, Phase, Presence, Status, StopReason};
