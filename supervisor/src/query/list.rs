//! `list`: which tasks, in which order, and how much of each.

use std::collections::HashSet;

use protocol::control::ListFilter;
use protocol::limits::MAX_LIST;
use protocol::view::TaskView;
use protocol::{SessionId, Status, TaskId, Timestamp};

use crate::folder::Folders;

/// Most of a result's text in a list, in bytes; `show` has the whole.
const RESULT_TEXT: usize = 1 << 10;

/// Most bytes of one list, so that it fits a frame (16 MiB) with room to
/// spare. The oldest tasks are left out.
const LIST_BYTES: usize = 12 << 20;

/// What a task object takes without its texts, in bytes.
const BARE_TASK: usize = 256;

/// Does the filter ask for tasks that have ended: with `all`, or with a status
/// or a reason that only those have?
pub(super) fn wants_ended(filter: &ListFilter) -> bool {
    filter.all
        || !filter.reason.is_empty()
        || filter.status.iter().copied().any(Status::is_terminal)
}

/// Does the task fit the filter, whatever that says of `all`?
pub(super) fn fits(task: &TaskView, filter: &ListFilter) -> bool {
    let any_status = filter.status.is_empty() || filter.status.contains(&task.status);
    let any_reason = filter.reason.is_empty()
        || task
            .archive_reason
            .is_some_and(|reason| filter.reason.contains(&reason));
    let is = |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|it| it == text);
    let since = filter
        .since
        .is_none_or(|since| began(task).is_some_and(|at| at >= since));
    any_status
        && any_reason
        && is(&filter.provider, task.provider.as_str())
        && is(&filter.key, task.key.as_str())
        && since
}

/// Makes a list of `tasks`: the newest first, each once (one that ended while
/// the list was made is in it twice, and its end counts), at most `limit`, long
/// results cut, and no more than a frame can take. Where a command is missing,
/// its folder is asked.
pub(super) fn newest_first(
    mut tasks: Vec<TaskView>,
    limit: Option<u32>,
    folders: &Folders,
) -> Vec<TaskView> {
    tasks.sort_by(|one, other| order(other).cmp(&order(one)));
    let mut seen: HashSet<TaskId> = HashSet::with_capacity(tasks.len());
    tasks.retain(|task| seen.insert(task.id.clone()));
    tasks.truncate(limit.unwrap_or(MAX_LIST).min(MAX_LIST) as usize);
    let mut room = LIST_BYTES;
    for at in 0..tasks.len() {
        let task = &mut tasks[at];
        if task.argv.is_empty() {
            let shown = folders.shown(&task.id);
            (task.argv, task.cwd) = (shown.argv, shown.cwd);
        }
        cut_result(task);
        match room.checked_sub(size(task)) {
            Some(left) => room = left,
            None => {
                tasks.truncate(at);
                break;
            }
        }
    }
    tasks
}

fn began(task: &TaskView) -> Option<Timestamp> {
    task.started_at.or(task.queued_at)
}

/// Newer ones are greater, then ended ones; ids that are UUIDv7s keep the
/// order within a millisecond.
fn order(task: &TaskView) -> (Option<Timestamp>, &TaskId, bool) {
    (began(task), &task.id, task.status.is_terminal())
}

fn cut_result(task: &mut TaskView) {
    let Some(result) = &mut task.result else {
        return;
    };
    if let Some(text) = &mut result.text
        && text.len() > RESULT_TEXT
    {
        text.truncate(text.floor_char_boundary(RESULT_TEXT));
        result.truncated = true;
    }
}

fn size(task: &TaskView) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let session = |id: &Option<SessionId>| id.as_ref().map_or(0, |id| id.as_str().len());
    let argv: usize = task.argv.iter().map(|word| word.len() + 8).sum();
    let result = task.result.as_ref().map_or(0, |result| text(&result.text));
    let progress = task
        .last_progress
        .as_ref()
        .map_or(0, |progress| progress.text.len());
    let texts: usize = [
        &task.agent,
        &task.agent_type,
        &task.model,
        &task.repo,
        &task.user,
        &task.name,
        &task.cwd,
        &task.ended_by,
        &task.archived_by,
    ]
    .into_iter()
    .map(text)
    .sum();
    BARE_TASK
        + task.id.as_str().len()
        + task.key.as_str().len()
        + session(&task.session_id)
        + session(&task.resumed)
        + texts
        + argv
        + result
        + progress
}
