//! The shim: one per task, between the supervisor and the agent, so that
//! neither the end of the one nor that of the other goes unseen.
//!
//! It starts the agent, owns its output, its exit status and its process tree,
//! writes what it establishes to a journal, and tells it to whatever
//! supervisor there is. It never depends on one being there.
//!
//! ```text
//! opening → claim → agent → loop { signals, output, link } → conclusion → everything acknowledged
//! ```
//!
//! **Architecture invariant:** one thread, one loop, no timer while nothing is
//! due, nothing in memory that grows with the output.

pub mod agent;
pub mod clock;
pub mod ladder;
pub mod link;
pub mod oom;
pub mod opening;
pub mod output;
pub mod poller;
pub mod recorder;
pub mod scan;
pub mod settle;
pub mod shim;
pub mod signals;
pub mod tree;

use std::io;
use std::path::Path;

use protocol::shim::ProcessId;
use sys::claim::{self, Claim, ClaimedBy, Outcome};
use sys::heap::CompactHeap;
use sys::hook;

use opening::NoStart;
use shim::Shim;
use signals::Signals;

/// The name that `ps` shows, however the program was exec'd.
const NAME: &str = "agent-shim";

/// Why a shim ended without having done its work.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// There was nothing to start.
    #[error(transparent)]
    NoStart(#[from] NoStart),
    /// The claim could not be made: nothing was started.
    #[error("claiming the task")]
    Claim(#[from] claim::ClaimError),
    /// The kernel refused something without which a shim cannot work.
    #[error("running the task")]
    Io(#[from] io::Error),
}

/// Runs one task, from the start order on descriptor 0 to the last
/// acknowledgement. What the start took of `heap` is given back.
///
/// # Errors
/// [`ShimError`].
pub fn run(heap: &'static CompactHeap) -> Result<(), ShimError> {
    signals::block()?;
    sys::descriptors::close_inherited();
    sys::prctl::become_subreaper()?;
    sys::prctl::forbid_dump()?;
    sys::prctl::set_name(NAME)?;
    let signals = Signals::open()?;
    let opening = opening::receive(&signals)?;

    let _goes_on = hook::point(hook::SHIM_BEFORE_CLAIM);
    let shim = own_identity()?;
    let claim = Claim {
        by: ClaimedBy::Shim,
        process: shim.clone(),
        at: sys::clock::now(),
    };
    match claim::create(
        Path::new(&opening.start.task_dir),
        &claim,
        &hook::SHIM_CLAIM,
    )? {
        Outcome::Won => {}
        // Somebody else decided about this task.
        Outcome::Lost(_) => return Ok(()),
    }
    // Nothing of the shim's keeps a file system busy.
    std::env::set_current_dir("/")?;
    Ok(Shim::start(opening, signals, shim, heap)?.run(heap)?)
}

fn own_identity() -> io::Result<ProcessId> {
    let own = sys::process::identity(nix::unistd::getpid().as_raw())?;
    own.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}
