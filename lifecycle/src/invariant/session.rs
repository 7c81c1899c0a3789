//! I9, R6 and R11: a session that a task took part in is settled with its end,
//! and may be resumed only after a success.

use alloc::collections::BTreeMap;
use alloc::format;

use protocol::{SessionId, Status};

use super::{Violation, ending, violation};
use crate::event::{Event, EventBody};

/// What a task's events made of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Live,
    Resumable,
    Quarantined,
    /// As it was before, or gone.
    Untouched,
}

/// At the end no session of the task is live, only the last one is resumable,
/// and only after a success; without a session none is settled.
///
/// # Errors
/// A [`Violation`].
pub fn check(events: &[Event]) -> Result<(), Violation> {
    let mut sessions: BTreeMap<&SessionId, State> = BTreeMap::new();
    let mut newest = None;
    for event in events {
        let Some((id, state)) = change(&event.body) else {
            continue;
        };
        let before = sessions.insert(id, state);
        if state == State::Live {
            newest = Some(id);
        } else if before != Some(State::Live) {
            let detail = format!("session {id} became {state:?} and was {before:?}");
            return violation("session", events, detail);
        }
    }
    let live = sessions.values().filter(|state| **state == State::Live);
    let Some(ending) = ending(events) else {
        if live.count() > 1 {
            let detail = format!("more than one live session: {sessions:?}");
            return violation("session", events, detail);
        }
        return Ok(());
    };
    let success = ending.status == Status::Success;
    for (id, state) in &sessions {
        let fits = match state {
            State::Live => false,
            State::Resumable => success && newest == Some(*id),
            State::Quarantined => !success || newest != Some(*id),
            State::Untouched => !success,
        };
        if !fits {
            let detail = format!("session {id} is {state:?} after {}", ending.status);
            return violation("session", events, detail);
        }
    }
    Ok(())
}

const fn change(body: &EventBody) -> Option<(&SessionId, State)> {
    if let EventBody::SessionBound { session_id, .. } = body {
        Some((session_id, State::Live))
    } else if let EventBody::SessionResumable { session_id, .. } = body {
        Some((session_id, State::Resumable))
    } else if let EventBody::SessionQuarantined { session_id, .. } = body {
        Some((session_id, State::Quarantined))
    } else if let EventBody::SessionRestored { row } = body {
        Some((&row.session_id, State::Untouched))
    } else if let EventBody::SessionRemoved { session_id, .. } = body {
        Some((session_id, State::Untouched))
    } else {
        None
    }
}
