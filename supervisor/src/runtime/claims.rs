//! The supervisor's side of the claim (R1).

use protocol::TaskId;
use protocol::shim::ProcessId;
use sys::claim::{self, Claim, ClaimError, ClaimedBy};
use sys::process;

use sys::hook::SUP_CLAIM;

use super::clock;
use super::service::Service;

/// Who has the claim now.
pub(super) enum Claiming {
    /// We: no shim will ever start the agent.
    Won,
    /// This shim, before us.
    Lost(ProcessId),
}

/// Makes the claim of `id`, unless somebody has it. A claim of an earlier
/// supervisor counts as ours: it says the same.
///
/// # Errors
/// When the file system refuses; then nothing is known.
pub(super) fn make(service: &Service, id: &TaskId) -> Result<Claiming, ClaimError> {
    let ours = Claim {
        by: ClaimedBy::Supervisor,
        process: service.identity.clone(),
        at: clock::now(),
    };
    match claim::create(&service.folders.task_dir(id), &ours, &SUP_CLAIM)? {
        claim::Outcome::Won => Ok(Claiming::Won),
        claim::Outcome::Lost(existing) => Ok(match existing.by {
            ClaimedBy::Supervisor => Claiming::Won,
            ClaimedBy::Shim => Claiming::Lost(existing.process),
        }),
    }
}

/// The claim of `id`, if there is one.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read(service: &Service, id: &TaskId) -> Result<Option<Claim>, ClaimError> {
    claim::read(&service.folders.task_dir(id))
}

/// Does the claim of `id` name this shim?
pub(super) fn names(service: &Service, id: &TaskId, shim: &ProcessId) -> bool {
    match read(service, id) {
        Ok(Some(claim)) => claim.by == ClaimedBy::Shim && claim.process == *shim,
        Ok(None) => false,
        Err(error) => {
            tracing::warn!(task = %id, %error, "the claim cannot be read");
            false
        }
    }
}

/// Is the shim that claimed `id` gone, for certain?
pub(super) fn shim_is_dead(service: &Service, id: &TaskId) -> bool {
    match read(service, id) {
        Ok(Some(claim)) => matches!(process::same_process(&claim.process), Ok(None)),
        Ok(None) | Err(_) => false,
    }
}
