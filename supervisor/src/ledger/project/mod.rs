//! Events → tables. The only writer of the tables that are not the log.
//!
//! R11: no event changes what the row of an ended task says of its life; the end
//! itself is written only over a live row. Its name and the archive flag are the
//! operator's, and may change at any time.

mod end;
mod intent;
mod session;
mod task;

use std::path::Path;

use lifecycle::{Event, EventBody};
use rusqlite::Connection;

use super::error::StoreError;

/// Applies `event`, which stands in the log under `seq`, in the same
/// transaction.
pub(super) fn apply(
    db: &Connection,
    tasks_dir: &Path,
    seq: u64,
    event: &Event,
) -> Result<(), StoreError> {
    match &event.body {
        EventBody::Queued { spec } => task::queued(db, event.at, spec),
        EventBody::Admitted { spec } => task::admitted(db, event.at, spec),
        EventBody::ModelSeen { model } => task::model_seen(db, event, model),
        EventBody::Result(_) => task::result_seen(db, event, seq),
        EventBody::Ended(ending) => end::ended(db, tasks_dir, event, ending),
        EventBody::SessionBound { .. } => {
            task::session_bound(db, event)?;
            session::bound(db, event)
        }
        EventBody::SessionResumable { .. }
        | EventBody::SessionQuarantined { .. }
        | EventBody::SessionReleased { .. } => session::settled(db, event),
        EventBody::SessionRestored { row } => session::restored(db, row),
        EventBody::SessionRemoved { .. } => session::removed(db, event),
        EventBody::Archived { set_by, .. } => task::archived(db, event, Some(set_by.as_str())),
        EventBody::Unarchived { .. } => task::archived(db, event, None),
        EventBody::Renamed { name, .. } => task::renamed(db, event, name),
        EventBody::StopRequested { .. } => intent::requested(db, event),
        EventBody::StopJournalled { intent_id } => {
            intent::journalled(db, event.task_id.as_ref(), *intent_id, event.at)
        }
        EventBody::Signalled { intent_id, by, .. } => match intent_id {
            Some(id) => intent::signalled(db, event.task_id.as_ref(), *id, event.at, *by),
            None => Ok(()),
        },
        EventBody::SessionPassedOver(_)
        | EventBody::SessionJoined(_)
        | EventBody::Claimed { .. }
        | EventBody::Started { .. }
        | EventBody::SpawnFailed { .. }
        | EventBody::NeverStarted { .. }
        | EventBody::Adopted { .. }
        | EventBody::FirstOutput {}
        | EventBody::LineKnown {}
        | EventBody::ProviderFailed { .. }
        | EventBody::UsageSeen { .. }
        | EventBody::StopSuperseded { .. }
        | EventBody::SignalSeen { .. }
        | EventBody::Exited { .. }
        | EventBody::Swept { .. }
        | EventBody::ShimLost {}
        | EventBody::ExitLearned { .. }
        | EventBody::HostRebooted { .. }
        | EventBody::Alarm { .. }
        | EventBody::Finished { .. }
        | EventBody::SupervisorStarted { .. }
        | EventBody::SupervisorStopped { .. }
        | EventBody::OutOfMemory(_)
        | EventBody::UnitSeen { .. }
        | EventBody::HubDraining { .. }
        | EventBody::HubGone { .. }
        | EventBody::HubAdmitting {}
        | EventBody::Draining { .. }
        | EventBody::Drained { .. }
        | EventBody::Admitting {}
        | EventBody::ServiceShutdown { .. }
        | EventBody::StartRefused { .. }
        | EventBody::KeyReleased { .. } => Ok(()),
    }
}

/// SQLite's integers have 63 bits for counts.
pub(super) fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
