//! Shims: starting them, talking to them, and seeing them go.
//!
//! * [`ShimProgram`] spawns one: [`SpawnedShim`] has its process and its end of
//!   the first link.
//! * [`Link`] is the conversation, the first one ([`Link::first`]) or one that
//!   a shim opens later ([`ShimServer`]); what the shim says becomes
//!   [`ShimMessage`]s, the end a [`LinkDown`], and [`LinkSender`] talks back.
//! * [`watch`] waits for the end of a shim's process.
//!
//! Nothing here decides: whether a shim is accepted is asked of the core with
//! an [`AttachRequest`]; one that speaks no version of ours is told with an
//! [`OtherVersion`].

mod link;
mod listen;
mod program;
mod spawn;
mod watch;

pub use link::{Link, LinkDown, LinkEnd, LinkSender, ShimMessage};
pub use listen::{AttachRequest, OtherVersion, ShimServer};
pub use program::{ProgramError, SHIM_PROGRAM_VAR, ShimProgram};
pub use spawn::SpawnedShim;
pub use watch::{Kinship, ShimGone, watch};
