//! I3: `declared` if and only if an intent, journalled by the shim (or in the
//! ledger where the supervisor signals), precedes the signal, or, where nothing
//! was signalled, the end; and nothing showed before the signal that the agent had
//! ended by itself, or was ended by somebody else. A task that waits is ended by
//! the intent itself, and so is one whose start was called off under it.

use alloc::format;

use protocol::vocab::SignalledBy;
use protocol::{ArchiveReason, Basis};

use super::{
    Violation, ending, never_claimed, never_left_the_queue, never_ran, position, violation,
};
use crate::event::{Event, EventBody};

/// The basis of the end is `declared` exactly where the events declare it.
///
/// # Errors
/// A [`Violation`].
pub fn check(events: &[Event]) -> Result<(), Violation> {
    let Some(ending) = ending(events) else {
        return Ok(());
    };
    let declared = ending.basis == Basis::Declared;
    let by_events = declaring_intent(events);
    if declared != by_events.is_some() {
        let detail = format!(
            "known as {}, and the events declare {by_events:?}",
            ending.basis
        );
        return violation("declared", events, detail);
    }
    let Some((id, reason)) = by_events else {
        return Ok(());
    };
    if ending.reason != reason {
        let detail = format!(
            "intent {id} declares {reason}, and the end says {}",
            ending.reason
        );
        return violation("declared", events, detail);
    }
    Ok(())
}

/// The intent that the events declare as the reason.
fn declaring_intent(events: &[Event]) -> Option<(u64, ArchiveReason)> {
    let (id, reason) = events.iter().find_map(|event| {
        if let EventBody::StopRequested {
            intent_id,
            reason,
            joined: false,
            ..
        } = &event.body
        {
            Some((*intent_id, ArchiveReason::from(*reason)))
        } else {
            None
        }
    })?;
    if never_left_the_queue(events) {
        return (!never_ran(events)).then_some((id, reason));
    }
    let in_journal = position(
        events,
        |body| matches!(body, EventBody::StopJournalled { intent_id } if *intent_id == id),
    );
    let by_supervisor = |body: &EventBody| {
        if let EventBody::Signalled { intent_id, by, .. } = body {
            (*by == SignalledBy::Supervisor).then_some(*intent_id)
        } else {
            None
        }
    };
    let overruled = position(events, |body| by_supervisor(body).is_some());
    let called_off = |body: &EventBody| matches!(body, EventBody::NeverStarted { intent_id, .. } if *intent_id == Some(id));
    let under_it = position(events, |body| {
        by_supervisor(body) == Some(Some(id)) || called_off(body)
    });
    // Where the supervisor signals, or calls the start off, the ledger is the journal.
    let journalled = match (in_journal, under_it) {
        (Some(journalled), Some(under_it)) => journalled.min(under_it),
        (journalled, under_it) => journalled.or(under_it)?,
    };
    let signalled = position(events, |body| {
        matches!(
            body,
            EventBody::Signalled {
                intent_id: Some(_),
                ..
            }
        )
    });
    // One for this intent, or for any before this one was journalled.
    let superseded = events.iter().enumerate().any(|(at, event)| {
        matches!(&event.body, EventBody::StopSuperseded { intent_id, .. }
            if at < overruled.unwrap_or(usize::MAX) && (*intent_id == id || at < journalled))
    });
    let own_end = position(events, |body| {
        matches!(body, EventBody::Result(_) | EventBody::Exited { .. })
    });
    let shim_signalled = position(events, |body| matches!(body, EventBody::SignalSeen { .. }));
    let ran = !never_ran(events);
    let kept_from_it = never_claimed(events) && under_it.is_some();
    let until_signal = signalled.unwrap_or(usize::MAX);
    let declares = (ran || kept_from_it)
        && !superseded
        && own_end.is_none_or(|at| at > until_signal && at > journalled)
        && shim_signalled.is_none_or(|at| at > journalled);
    declares.then_some((id, reason))
}
