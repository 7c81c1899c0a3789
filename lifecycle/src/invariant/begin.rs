//! R1: the row comes first, once.

use alloc::format;

use super::{Violation, violation};
use crate::event::{Event, EventBody};

/// The first event is the only admission.
///
/// # Errors
/// A [`Violation`].
pub fn check(events: &[Event]) -> Result<(), Violation> {
    let admissions = events
        .iter()
        .filter(|event| matches!(event.body, EventBody::Admitted { .. }))
        .count();
    let first = events.first().map(|event| event.body.kind());
    if admissions == 1 && first == Some("task.admitted") {
        return Ok(());
    }
    violation(
        "begin",
        events,
        format!("{admissions} admissions, and the first event is {first:?}"),
    )
}
