//! The first committed intent is the reason; every intent has one outcome.

use alloc::format;
use alloc::vec::Vec;

use protocol::Basis;
use protocol::vocab::IntentOutcome;

use super::{Violation, ending, violation};
use crate::event::{Event, EventBody};

/// Only the first intent is not joined, no id comes twice, nothing is done
/// under an intent before its commit (R2), and the end gives each of them its
/// outcome.
///
/// # Errors
/// A [`Violation`].
pub fn check(events: &[Event]) -> Result<(), Violation> {
    let mut committed: Vec<u64> = Vec::new();
    for event in events {
        if let EventBody::StopRequested {
            intent_id, joined, ..
        } = &event.body
        {
            if *joined == committed.is_empty() || committed.contains(intent_id) {
                let detail = format!("intent {intent_id} (joined: {joined}) behind {committed:?}");
                return violation("intents", events, detail);
            }
            committed.push(*intent_id);
        }
        if let Some(id) = acted_under(&event.body)
            && !committed.contains(&id)
        {
            let detail = format!(
                "{} under intent {id}, which nobody committed",
                event.body.kind()
            );
            return violation("intents", events, detail);
        }
    }
    let Some(ending) = ending(events) else {
        return Ok(());
    };
    let named: Vec<u64> = ending.intents.iter().map(|(id, _)| *id).collect();
    if named != committed {
        let detail = format!("the end names {named:?}, committed are {committed:?}");
        return violation("intents", events, detail);
    }
    let declared = ending.basis == Basis::Declared;
    for (at, (id, outcome)) in ending.intents.iter().enumerate() {
        let fits = match outcome {
            IntentOutcome::Pending => false,
            IntentOutcome::Joined => at > 0,
            IntentOutcome::Effective => at == 0 && declared,
            IntentOutcome::Superseded | IntentOutcome::Moot => at == 0 && !declared,
        };
        if !fits {
            let detail = format!("intent {id} at place {at} is {outcome}");
            return violation("intents", events, detail);
        }
    }
    Ok(())
}

const fn acted_under(body: &EventBody) -> Option<u64> {
    if let EventBody::Signalled { intent_id, .. } = body {
        *intent_id
    } else if let EventBody::StopJournalled { intent_id }
    | EventBody::StopSuperseded { intent_id, .. } = body
    {
        Some(*intent_id)
    } else {
        None
    }
}
