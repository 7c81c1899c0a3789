//! Sessions that have outlived their tasks, in a rebuilt ledger.

use lifecycle::{Event, EventBody, SessionRow};
use protocol::view::Requester;
use protocol::vocab::{SessionState, Via};

use crate::ledger::{LedgerError, LedgerHandle};

/// Why one that the operator had released was quarantined before is not known.
const UNKNOWN: &str = "unknown";

/// What brings one back as it was; nothing where a later task used it, whose folder
/// tells more.
pub(super) async fn of_session(
    ledger: &LedgerHandle,
    session: &SessionRow,
) -> Result<Vec<Event>, LedgerError> {
    let rows = ledger.session_rows_of(session.key.to_string()).await?;
    let is_known = rows
        .iter()
        .any(|row| (&row.provider, &row.session_id) == (&session.provider, &session.session_id));
    if is_known {
        return Ok(Vec::new());
    }
    let event = |body| Event {
        at: session.last_used_at,
        task_id: None,
        record: None,
        body,
    };
    let reason = session.quarantine_reason.clone();
    let row = SessionRow {
        state: SessionState::Quarantined,
        quarantine_reason: Some(reason.unwrap_or_else(|| UNKNOWN.to_owned())),
        ..session.clone()
    };
    let mut events = vec![event(EventBody::SessionRestored { row })];
    match session.state {
        // Without its task nothing but the operator's word can have made it so.
        SessionState::Resumable => events.push(event(EventBody::SessionReleased {
            key: session.key.clone(),
            provider: session.provider.clone(),
            session_id: session.session_id.clone(),
            by: Requester::through(Via::Control),
        })),
        SessionState::Quarantined | SessionState::Live => {}
    }
    Ok(events)
}
