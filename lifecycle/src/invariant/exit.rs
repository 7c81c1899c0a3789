//! I2 and R3: no invented exit.

use alloc::format;

use protocol::Exit;

use super::{Violation, ending, never_ran, violation};
use crate::event::{Event, EventBody};

/// The exit of the end is the first one that was seen, or says that it is not
/// known, or is none where there never was a process.
///
/// # Errors
/// A [`Violation`].
pub fn check(events: &[Event]) -> Result<(), Violation> {
    let Some(ending) = ending(events) else {
        return Ok(());
    };
    let recorded = events.iter().find_map(|event| {
        if let EventBody::Exited { exit } = &event.body {
            Some(exit)
        } else {
            None
        }
    });
    let learned = || {
        events.iter().find_map(|event| {
            if let EventBody::ExitLearned { exit } = &event.body {
                Some(exit)
            } else {
                None
            }
        })
    };
    let seen = recorded.or_else(learned);
    let may_have_run = events.iter().any(|event| {
        matches!(
            event.body,
            EventBody::Started { .. }
                | EventBody::FirstOutput {}
                | EventBody::LineKnown {}
                | EventBody::Result(_)
                | EventBody::Exited { .. }
                | EventBody::ShimLost {}
                | EventBody::HostRebooted { .. }
        )
    });
    let never_ran = never_ran(events);
    let fits = match (&ending.exit, seen) {
        (None, _) => never_ran || !may_have_run,
        (Some(Exit::Unknown { .. }), None) => !never_ran,
        (Some(Exit::Exited { .. } | Exit::Signaled { .. }), None) => false,
        (Some(told), Some(seen)) => told == seen && !never_ran,
    };
    if fits {
        return Ok(());
    }
    let detail = format!("the end tells {:?}, and {seen:?} was seen", ending.exit);
    violation("exit", events, detail)
}
