//! R4: every record of the journal is taken once, in order.

use alloc::format;

use super::{Violation, violation};
use crate::event::Event;

/// The records that events came from never go back, and one record's events
/// stand side by side.
///
/// # Errors
/// A [`Violation`].
pub fn check(events: &[Event]) -> Result<(), Violation> {
    let mut newest = 0;
    let mut previous = None;
    for event in events {
        if let Some(number) = event.record {
            if number < newest || (number == newest && previous != Some(number)) {
                let detail = format!("record {number} behind record {newest}");
                return violation("journal", events, detail);
            }
            newest = number;
        }
        previous = event.record;
    }
    Ok(())
}
