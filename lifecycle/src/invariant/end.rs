//! I1 and R11: at most one end, nothing behind it, and a status that follows
//! from reason and basis.

use alloc::format;

use super::{Violation, violation};
use crate::event::{Event, EventBody};
use crate::verdict::status_of;

/// The end is the last event, and its status the one of its reason.
///
/// # Errors
/// A [`Violation`].
pub fn check(events: &[Event]) -> Result<(), Violation> {
    let mut behind = events
        .iter()
        .skip_while(|event| !matches!(event.body, EventBody::Ended(_)));
    let Some(end) = behind.next() else {
        return Ok(());
    };
    if let Some(later) = behind.next() {
        let detail = format!("{} behind the end", later.body.kind());
        return violation("end", events, detail);
    }
    let EventBody::Ended(ending) = &end.body else {
        return Ok(());
    };
    let status = status_of(ending.reason, ending.basis);
    if ending.status == status && status.is_terminal() {
        return Ok(());
    }
    violation(
        "end",
        events,
        format!(
            "{} is not the status of {} known as {}",
            ending.status, ending.reason, ending.basis
        ),
    )
}
