//! The views, straight from a ledger.

use lifecycle::{Event, EventBody};
use protocol::control::ListFilter;
use protocol::view::{ChainLink, EvidenceView, TaskDetail, TaskView};
use protocol::{ArchiveReason, TaskId, Timestamp};

use super::list::{fits, newest_first, wants_ended};
use super::live::recorded_view;
use super::row::row_view;
use super::{chain, evidence, step};
use crate::folder::Folders;
use crate::ledger::{LedgerError, Reader};

/// The task object as the ledger has it: of a live task what its events say,
/// without what only its supervisor knows.
///
/// # Errors
/// [`LedgerError`].
pub fn view(
    reader: &Reader<'_>,
    folders: &Folders,
    id: &TaskId,
) -> Result<Option<TaskView>, LedgerError> {
    let Some(row) = reader.task_row(id)? else {
        return Ok(None);
    };
    let shown = folders.shown(id);
    if row.status.is_terminal() {
        return Ok(Some(row_view(row, shown)));
    }
    let recorded = recorded_view(&reader.task_events(id)?, &shown);
    Ok(Some(recorded.unwrap_or_else(|| row_view(row, shown))))
}

/// The task objects of the running set, as the ledger has them.
///
/// # Errors
/// [`LedgerError`].
pub fn live_views(reader: &Reader<'_>, folders: &Folders) -> Result<Vec<TaskView>, LedgerError> {
    let mut views = Vec::new();
    for id in reader.live_ids()? {
        views.extend(view(reader, folders, &id)?);
    }
    Ok(views)
}

/// `list`: the tasks that fit `filter`, newest first, no more than a frame can
/// take, long results cut. `live` are the tasks of the running set; ended ones
/// are looked for if the filter asks for them: with `all`, or with a status or
/// a reason that only those have.
///
/// # Errors
/// [`LedgerError`].
pub fn list(
    reader: &Reader<'_>,
    folders: &Folders,
    filter: &ListFilter,
    live: Vec<TaskView>,
) -> Result<Vec<TaskView>, LedgerError> {
    let mut tasks = live;
    tasks.retain(|task| fits(task, filter));
    if wants_ended(filter) {
        for row in reader.ended(filter)? {
            tasks.push(row_view(row, crate::folder::Shown::default()));
        }
    }
    Ok(newest_first(tasks, filter.limit, folders))
}

/// `show`: a task object with its intents and evidence.
///
/// # Errors
/// [`LedgerError`].
pub fn detail(
    reader: &Reader<'_>,
    folders: &Folders,
    task: TaskView,
) -> Result<TaskDetail, LedgerError> {
    let (events, search_path) = story(reader, folders, &task.id)?;
    let mut evidence = evidence::evidence(&events, search_path.as_deref());
    if let Some((at, detail)) = goes_on(reader, &task.id, &events)? {
        let kind = "supervisor".to_owned();
        evidence.push(EvidenceView { kind, at, detail });
    }
    let intents = reader.intents(&task.id)?;
    Ok(TaskDetail {
        task,
        intents,
        evidence,
    })
}

/// `why`: what happened, in order, in plain words.
///
/// # Errors
/// [`LedgerError`].
pub fn why(
    reader: &Reader<'_>,
    folders: &Folders,
    id: &TaskId,
) -> Result<Vec<ChainLink>, LedgerError> {
    let (events, search_path) = story(reader, folders, id)?;
    let mut chain = chain::chain(&events, search_path.as_deref());
    if let Some((at, detail)) = goes_on(reader, id, &events)? {
        let (what, who) = ("goes on".to_owned(), step::SUPERVISOR.to_owned());
        chain.push(ChainLink {
            at,
            what,
            who,
            detail,
        });
    }
    Ok(chain)
}

/// Since when another task goes on for one whose session was not found, and which
/// one, in words. It is known by its own row: the one before has ended.
fn goes_on(
    reader: &Reader<'_>,
    id: &TaskId,
    events: &[Event],
) -> Result<Option<(Timestamp, String)>, LedgerError> {
    if !events.iter().any(|event| is_not_found(&event.body)) {
        return Ok(None);
    }
    let Some(next) = reader.fresh_after(id)? else {
        return Ok(None);
    };
    let Some(next) = reader.task_row(&next)? else {
        return Ok(None);
    };
    let at = next.queued_at.or(next.started_at);
    let words = match next.status.is_terminal() {
        true => format!("task {} went on in a fresh session, and has ended", next.id),
        false => format!(
            "task {0} goes on in a fresh session (`agentctl stop-session {0}` stops it)",
            next.id
        ),
    };
    Ok(at.map(|at| (at, words)))
}

fn is_not_found(body: &EventBody) -> bool {
    if let EventBody::Ended(ending) = body {
        return ending.reason == ArchiveReason::SessionNotFound;
    }
    false
}

/// Everything that happened, and where the command was searched.
fn story(
    reader: &Reader<'_>,
    folders: &Folders,
    id: &TaskId,
) -> Result<(Vec<Event>, Option<String>), LedgerError> {
    Ok((reader.task_events(id)?, folders.search_path(id)))
}
