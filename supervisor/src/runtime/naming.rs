//! The task that a name means, for the running supervisor and for the offline
//! reader alike.

use protocol::TaskId;
use protocol::control::{ErrorBody, ErrorCode};

use crate::ledger::{LedgerError, MAX_COUNTED, MAX_MATCHES, Reader};

/// The task that a name means, or why there is not just one.
pub(super) fn resolve(
    reader: &Reader<'_>,
    name: &str,
) -> Result<Result<TaskId, ErrorBody>, LedgerError> {
    let found = reader.find(name)?;
    Ok(match found.as_slice() {
        [] => Err(no_such_task(name)),
        [one] => Ok(one.clone()),
        several if several.len() < MAX_MATCHES => Err(ambiguous(name, several, several.len())),
        several => Err(ambiguous(name, several, reader.count_by_prefix(name)?)),
    })
}

/// No task has this name.
pub(super) fn no_such_task(name: &str) -> ErrorBody {
    ErrorBody::new(ErrorCode::NotFound, format!("no task is known by {name:?}"))
        .with_hint("`agentctl list -a` lists the known ones")
}

/// All of them, or the first ones and how many there are.
fn ambiguous(name: &str, several: &[TaskId], count: usize) -> ErrorBody {
    let ids: Vec<&str> = several.iter().map(TaskId::as_str).collect();
    let ids = ids.join(", ");
    let fits = if count <= several.len() {
        format!("several tasks: {ids}")
    } else {
        let more = if count < MAX_COUNTED { "" } else { " or more" };
        format!("{count}{more} tasks, first {ids}")
    };
    ErrorBody::new(ErrorCode::Ambiguous, format!("{name:?} fits {fits}"))
        .with_hint("give more of the id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_is_counted() {
        let ids = ["a1", "a2"].map(|id| TaskId::new(id).expect("valid"));
        let told = |count| ambiguous("a", &ids, count).message;
        assert_eq!(told(2), r#""a" fits several tasks: a1, a2"#);
        assert_eq!(told(23), r#""a" fits 23 tasks, first a1, a2"#);
        assert_eq!(
            told(MAX_COUNTED),
            r#""a" fits 10000 or more tasks, first a1, a2"#
        );
    }
}
