//! Cost, turns and tokens stay unknown unless the agent reported them.

use alloc::format;

use protocol::shim::Usage;

use super::{Violation, ending, violation};
use crate::event::{Event, EventBody};

/// No figure of the end is there without a report of it.
///
/// # Errors
/// A [`Violation`].
pub fn check(events: &[Event]) -> Result<(), Violation> {
    let Some(ending) = ending(events) else {
        return Ok(());
    };
    let reports = events.iter().filter_map(|event| reported(&event.body));
    let told = reports.fold([false; 4], |told, usage| {
        let these = which(usage);
        core::array::from_fn(|at| told[at] || these[at])
    });
    let kept = which(&ending.usage);
    if kept.iter().zip(told).all(|(kept, told)| !kept || told) {
        return Ok(());
    }
    let detail = format!("the end tells {:?}, which was not reported", ending.usage);
    violation("figures", events, detail)
}

const fn reported(body: &EventBody) -> Option<&Usage> {
    if let EventBody::UsageSeen { usage } = body {
        Some(usage)
    } else if let EventBody::Result(result) = body {
        Some(&result.usage)
    } else {
        None
    }
}

const fn which(usage: &Usage) -> [bool; 4] {
    [
        usage.turns.is_some(),
        usage.input_tokens.is_some(),
        usage.output_tokens.is_some(),
        usage.cost_usd.is_some(),
    ]
}
