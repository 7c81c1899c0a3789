//! The task that a name means, for the running supervisor and for the offline
//! reader alike.

use protocol::TaskId;
use protocol::control::{ErrorBody, ErrorCode};

use crate::ledger::{LedgerError, Reader};

/// The task that a name means, or why there is not just one.
pub(super) fn resolve(
    reader: &Reader<'_>,
    name: &str,
) -> Result<Result<TaskId, ErrorBody>, LedgerError> {
    let found = reader.find(name)?;
    Ok(match found.as_slice() {
        [] => Err(no_such_task(name)),
        [one] => Ok(one.clone()),
        several => Err(ambiguous(name, several)),
    })
}

/// No task has this name.
pub(super) fn no_such_task(name: &str) -> ErrorBody {
    ErrorBody::new(ErrorCode::NotFound, format!("no task is known by {name:?}"))
        .with_hint("`agentctl list -a` lists the known ones")
}

fn ambiguous(name: &str, several: &[TaskId]) -> ErrorBody {
    let ids: Vec<&str> = several.iter().map(TaskId::as_str).collect();
    ErrorBody::new(
        ErrorCode::Ambiguous,
        format!("{name:?} fits several tasks: {}", ids.join(", ")),
    )
    .with_hint("give more of the id")
}
