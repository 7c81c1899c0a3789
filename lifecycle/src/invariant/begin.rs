//! R1: the row comes first, once, and no process before it runs.

use alloc::format;

use super::{Violation, violation};
use crate::event::{Event, EventBody};

/// The first event makes the row; a task is queued at most once, and admitted at
/// most once; nothing of a process comes before that.
///
/// # Errors
/// A [`Violation`].
pub fn check(events: &[Event]) -> Result<(), Violation> {
    let places = |fits: fn(&EventBody) -> bool| {
        let all = events.iter().enumerate();
        all.filter(move |(_, event)| fits(&event.body))
            .map(|(at, _)| at)
    };
    let mut queued = places(|body| matches!(body, EventBody::Queued { .. }));
    let mut admitted = places(|body| matches!(body, EventBody::Admitted { .. }));
    let mut records = events.iter().map(|event| event.record);
    let found = (queued.next(), admitted.next());
    let first_record = records.position(|record| record.is_some());
    let in_order = match found {
        (None, Some(0)) => true,
        (Some(0), Some(admitted)) => first_record.is_none_or(|record| record > admitted),
        (Some(0), None) => first_record.is_none(),
        (Some(_) | None, Some(_) | None) => false,
    };
    if in_order && queued.next().is_none() && admitted.next().is_none() {
        return Ok(());
    }
    let first = events.first().map(|event| event.body.kind());
    violation(
        "begin",
        events,
        format!(
            "queued and admitted at {found:?}, the first record at {first_record:?}, and the first event is {first:?}"
        ),
    )
}
