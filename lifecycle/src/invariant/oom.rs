//! DESIGN §4: `oom_killed` is never guessed.

use alloc::string::ToString;

use protocol::shim::OomRecord;
use protocol::{ArchiveReason, Basis, Exit};

use super::{Violation, ending, position, violation};
use crate::event::{Event, EventBody};
use crate::verdict::{OOM_WITHIN_MS, SIGKILL};

/// Who ended for want of memory was ended by SIGKILL, and right before it the
/// kernel's count had risen by a kill that the leader had not lived through.
///
/// # Errors
/// A [`Violation`].
pub fn check(events: &[Event]) -> Result<(), Violation> {
    let Some(ending) = ending(events) else {
        return Ok(());
    };
    if ending.reason != ArchiveReason::OomKilled {
        return Ok(());
    }
    let killed = matches!(ending.exit, Some(Exit::Signaled { signal, .. }) if signal == SIGKILL);
    let exit = position(events, |body| matches!(body, EventBody::Exited { .. }));
    let before = &events[..exit.unwrap_or(0)];
    let exited_at = exit.map(|at| events[at].at);
    let rose = before.iter().rev().find_map(|event| match_oom(&event.body));
    let explains = rose
        .zip(exited_at)
        .is_some_and(|(oom, at)| !oom.leader_lives && at.since_ms(oom.since) <= OOM_WITHIN_MS);
    if killed && explains && ending.basis == Basis::Inferred {
        return Ok(());
    }
    let detail = "oom_killed without SIGKILL, or without a kill right before it".to_string();
    violation("oom", events, detail)
}

const fn match_oom(body: &EventBody) -> Option<&OomRecord> {
    if let EventBody::OutOfMemory(oom) = body {
        Some(oom)
    } else {
        None
    }
}
