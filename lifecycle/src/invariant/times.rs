//! R3: the end is dated by what is known.

use alloc::format;

use protocol::FinishedBasis;

use super::{Violation, ending, never_left_the_queue, never_ran, violation};
use crate::event::{Event, EventBody};

/// `exact` if and only if the exit, the failed start or the word that ended a
/// queued task was seen, and then at that time; never alive after the end.
///
/// # Errors
/// A [`Violation`].
pub fn check(events: &[Event]) -> Result<(), Violation> {
    let Some(ending) = ending(events) else {
        return Ok(());
    };
    let first = |fits: fn(&EventBody) -> bool| {
        let found = events.iter().find(|event| fits(&event.body));
        found.map(|event| event.at)
    };
    let exited = first(|body| matches!(body, EventBody::Exited { .. }));
    let failed = first(|body| {
        matches!(
            body,
            EventBody::SpawnFailed { .. } | EventBody::StartRefused { .. }
        )
    });
    // A word ends what waits at once.
    let called_off = first(|body| matches!(body, EventBody::StopRequested { .. }));
    let seen = if never_ran(events) {
        failed
    } else if never_left_the_queue(events) {
        called_off
    } else {
        exited
    };
    let fits = match (ending.finished_basis, seen) {
        (FinishedBasis::Exact, Some(seen)) => ending.finished_at == seen,
        (FinishedBasis::Detected, None) => true,
        (FinishedBasis::Exact, None) | (FinishedBasis::Detected, Some(_)) => false,
    };
    if fits && ending.last_seen_at <= ending.finished_at {
        return Ok(());
    }
    violation(
        "times",
        events,
        format!(
            "finished {} at {}, last seen at {}, and the end was seen at {seen:?}",
            ending.finished_basis, ending.finished_at, ending.last_seen_at
        ),
    )
}
