//! A new ledger from the task folders.
//!
//! | folder has | the task is |
//! |---|---|
//! | `settled` with its events | exactly as it was |
//! | `spec` and a journal to its end | concluded anew from its records |
//! | `spec` that says so and the mark `queued`, and no start was decided | queued: it waits again |
//! | the same without the mark, of this boot | lost, and told: nobody was answered |
//! | `spec`, and no end in the journal | live: the next start adopts or concludes it |
//! | `spec`, and a journal that cannot be read | live: the next start holds or concludes it |
//! | `spec` that says that the ledger had no row, and no start was decided | lost, and told |
//! | neither `settled` nor `spec` that can be read | lost: told, and put out of the way |

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use lifecycle::{Event, EventBody, Fact, Input, Now, Presence, SessionRow, Task, decide, evolve};
use protocol::view::Requester;
use protocol::vocab::{SessionState, Via};
use protocol::{Status, TaskId, Timestamp};

use super::clock;
use super::kept;
use super::lost::{self, Lost, Why};
use super::old_ledger::OldLedger;
use crate::folder::{FolderError, Folders, Settled, SpecFile};
use crate::ledger::{self, LedgerError, LedgerHandle, OpenError, OpenOptions, TaskSecret};
use crate::text::in_words;

/// Tasks in one transaction.
const AT_ONCE: usize = 256;

/// The ledger could not be rebuilt; the old one is as it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum RebuildError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("the new ledger could not be written")]
    Write(#[from] LedgerError),
}

/// Of a task that was to wait, and whose row nobody has seen.
const NOT_MARKED: &str = "it was about to be queued, and its row was not committed";

/// Of a task that was written down, and whose environment is wiped.
const NEVER_COMMITTED: &str = "it was never committed, as far as the ledger of a later supervisor \
                               knew, and is not begun without its environment";

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Rebuilt {
    /// Tasks that had ended.
    pub(super) ended: usize,
    /// Tasks that have not.
    pub(super) live: usize,
    /// Where the old ledger is kept.
    pub(super) kept: Option<PathBuf>,
    /// Everything that is not as it was, or may not be.
    pub(super) differences: Vec<String>,
}

/// One task.
struct Found {
    events: Vec<Event>,
    secret: TaskSecret,
    settled: Option<Settled>,
    status: Option<Status>,
    /// What is not certain of it, in words that its name precedes.
    doubt: Option<String>,
}

impl Found {
    fn began(&self) -> Option<(Timestamp, Option<&TaskId>)> {
        let first = self.events.first()?;
        Some((first.at, first.task_id.as_ref()))
    }

    fn while_it_lives(&self) -> Status {
        let admitted = |event: &Event| matches!(event.body, EventBody::Admitted { .. });
        if self.events.iter().any(admitted) {
            Status::Running
        } else {
            Status::Queued
        }
    }
}

/// Builds it beside the old one, then puts it into its place. Nobody else may
/// hold the state directory.
pub(super) async fn rebuild(
    path: &Path,
    folders: &Folders,
    boot_id: &str,
) -> Result<Rebuilt, RebuildError> {
    let mut report = Rebuilt::default();
    let old = OldLedger::read(path);
    let (mut found, mut lost) = (Vec::new(), Vec::new());
    for id in folders.all()? {
        match look_at(folders, &id, &old, boot_id) {
            Ok(task) => {
                let doubt = task.doubt.as_ref();
                let told = doubt.map(|doubt| format!("task {id} {doubt}"));
                report.differences.extend(told);
                found.push(task);
            }
            Err(why) => lost.push(Lost { id, why }),
        }
    }
    // Who waits, waits in this order: UUIDv7s keep it within a millisecond.
    found.sort_by(|one, other| one.began().cmp(&other.began()));
    without_doubles(&mut found, &mut report);
    let differences = old.differences(&statuses(&found));
    report.differences.extend(differences);
    let kept = folders.kept_sessions().unwrap_or_else(|error| {
        let why = in_words(&error);
        let words = format!("the sessions of tasks that were pruned are lost: {why}");
        report.differences.push(words);
        Vec::new()
    });
    let new = ledger::building(path);
    ledger::remove(&new)?;
    let opened = ledger::open(&OpenOptions {
        path: new.clone(),
        tasks_dir: folders.tasks_dir().to_owned(),
        boot_id: boot_id.to_owned(),
        task_folder: None,
    })?;
    let written = write(&opened.handle, &found, &kept).await;
    opened.close()?;
    written?;
    // What a shim was told before may reach it, and us, only now.
    ledger::seal_rebuilt(&new, first_unused(&found, clock::now()))?;
    report.kept = ledger::replace(path, &new, clock::now())?;
    // Not before: a rebuild that fails leaves everything as it was.
    let put_aside = lost::put_aside(folders, &lost);
    report.differences.splice(0..0, put_aside);
    report.ended = found.iter().filter(|task| task.status.is_some()).count();
    report.live = found.len() - report.ended;
    Ok(report)
}

/// The old ledger's last intent is not known. Its ids were counts, or began like
/// these: no ledger gave one for each millisecond.
fn first_unused(found: &[Found], now: Timestamp) -> u64 {
    let events = found.iter().flat_map(|task| &task.events);
    let highest = events.filter_map(intent_of).max().unwrap_or(0);
    u64::try_from(now.0).unwrap_or(0).max(highest)
}

async fn write(
    ledger: &LedgerHandle,
    found: &[Found],
    kept: &[SessionRow],
) -> Result<(), LedgerError> {
    for tasks in found.chunks(AT_ONCE) {
        let events = tasks.iter().flat_map(|task| task.events.clone()).collect();
        let secrets = tasks.iter().map(|task| task.secret.clone()).collect();
        ledger.commit(events, secrets).await?;
    }
    let mut words = operator_words(ledger, found).await?;
    for session in kept {
        words.extend(kept::of_session(ledger, session).await?);
    }
    if !words.is_empty() {
        ledger.commit(words, Vec::new()).await?;
    }
    Ok(())
}

/// What the operator said of sessions after the end of the task that used them
/// last stands in no event of a task.
async fn operator_words(ledger: &LedgerHandle, found: &[Found]) -> Result<Vec<Event>, LedgerError> {
    let mut events = Vec::new();
    for settled in found.iter().filter_map(|task| task.settled.as_ref()) {
        for kept in &settled.sessions {
            let rows = ledger.session_rows_of(kept.key.to_string()).await?;
            let Some(row) = rows.into_iter().find(|row| {
                row.session_id == kept.session_id
                    && row.provider == kept.provider
                    && row.task_id == kept.task_id
            }) else {
                continue;
            };
            let (key, provider, session_id) = (row.key, row.provider, row.session_id);
            // Nor what it says of a conversation that another key's task was in since.
            let every = ledger
                .rows_of_session(provider.clone(), session_id.clone())
                .await?;
            let newest = every.iter().map(|row| row.last_used_at).max();
            if newest.is_some_and(|newest| newest > kept.last_used_at) {
                continue;
            }
            let body = match (row.state, kept.state) {
                (SessionState::Quarantined, SessionState::Resumable) => {
                    EventBody::SessionReleased {
                        key,
                        provider,
                        session_id,
                        by: Requester::through(Via::Control),
                    }
                }
                (SessionState::Resumable, SessionState::Quarantined) => {
                    EventBody::SessionQuarantined {
                        key,
                        provider,
                        session_id,
                        reason: kept
                            .quarantine_reason
                            .clone()
                            .unwrap_or_else(|| "operator".to_string()),
                        totals: None,
                    }
                }
                (SessionState::Quarantined | SessionState::Live, _)
                | (SessionState::Resumable, SessionState::Resumable | SessionState::Live) => {
                    continue;
                }
            };
            events.push(Event {
                at: kept.last_used_at,
                task_id: None,
                record: None,
                body,
            });
        }
    }
    Ok(events)
}

/// # Errors
/// Why it is lost.
fn look_at(folders: &Folders, id: &TaskId, old: &OldLedger, boot_id: &str) -> Result<Found, Why> {
    let settled = folders.settled(id)?;
    let spec = folders.spec(id);
    let known = spec
        .as_ref()
        .ok()
        .and_then(|spec| spec.as_ref()?.known_by.clone());
    let secret = match known {
        Some(known) => TaskSecret {
            task_id: id.clone(),
            token_hash: known.token_hash,
            nonce: known.nonce,
            spec_digest: known.spec_digest,
        },
        None => TaskSecret::none(id),
    };
    if let Some(settled) = settled
        && let Some(task) = Task::fold(&settled.events)
        && let Some(ending) = &task.ending
    {
        return Ok(Found {
            status: Some(ending.status),
            events: settled.events.clone(),
            secret,
            settled: Some(settled),
            doubt: None,
        });
    }
    let no_task = |words: &str| Why::ForGood(words.to_owned());
    let spec = spec?.ok_or_else(|| no_task("it has no spec"))?;
    if spec.rowless && !folders.is_decided(id) {
        return Err(no_task(NEVER_COMMITTED));
    }
    let row = if folders.is_decided(id) || old.has_row(id) {
        None
    } else {
        doubt_of_row(folders, &spec, boot_id)?
    };
    let written_at = folders.written_at(id)?;
    let (events, unread) = replayed(folders, id, begun(folders, &spec, written_at));
    let task = Task::fold(&events).ok_or_else(|| no_task("its events make no task"))?;
    let unread = unread.map(|why| format!("is taken for one that lives: {why}"));
    Ok(Found {
        status: task.ending.map(|ending| ending.status),
        events,
        secret,
        settled: None,
        doubt: unread.or(row),
    })
}

/// Whether the row of a task was committed whose start nobody has decided, and which
/// no ledger is known to have. One that would only be concluded is kept: that it was
/// never started is true of it in any case. One that would be started is not, unless
/// the mark of its row may have been there.
///
/// # Errors
/// Why it is lost.
fn doubt_of_row(folders: &Folders, spec: &SpecFile, boot_id: &str) -> Result<Option<String>, Why> {
    let untold = "nothing tells whether its row was committed";
    if spec.queued_at.is_none() {
        return Ok(Some(format!(
            "was not started, and {untold}: the next start ends it"
        )));
    }
    if folders.is_marked_queued(&spec.task.id) {
        return Ok(None);
    }
    match &spec.queued_in {
        Some(boot) if boot == boot_id => Err(Why::ForGood(NOT_MARKED.to_owned())),
        Some(_) => Ok(Some(format!(
            "waits again, and {untold}: the machine was booted since it was queued"
        ))),
        None => Ok(Some(format!(
            "waits again, and {untold}: an earlier version queued it"
        ))),
    }
}

/// How it began. One that was queued, and whose start nobody has decided, waits:
/// whoever has been told to start it meanwhile is bound by the claim.
fn begun(folders: &Folders, spec: &SpecFile, written_at: Timestamp) -> Vec<Event> {
    let event = |at, body| Event {
        at,
        task_id: Some(spec.task.id.clone()),
        record: None,
        body,
    };
    let task = spec.task.clone();
    let Some(queued_at) = spec.queued_at else {
        return vec![event(written_at, EventBody::Admitted { spec: task })];
    };
    let (_, queued) = lifecycle::admit::enqueue(task.clone(), queued_at);
    let mut events = queued.events;
    if folders.is_decided(&task.id) {
        events.push(event(written_at, EventBody::Admitted { spec: task }));
    }
    events
}

/// What the shim wrote down, as if it were told now, or why that cannot be read (a
/// newer program wrote it, or a power cut left nothing): no reason to lose the task.
fn replayed(folders: &Folders, id: &TaskId, begun: Vec<Event>) -> (Vec<Event>, Option<String>) {
    let mut events = begun;
    let path = folders.journal(id);
    let (entries, unread) = match sys::journal::read_from(&path, 0) {
        Ok(replay) => (replay.entries, None),
        Err(_) if !path.exists() => (Vec::new(), None),
        Err(error) => (Vec::new(), Some(in_words(&error))),
    };
    let Some(mut task) = Task::fold(&events) else {
        return (events, unread);
    };
    for entry in entries {
        let Some(record) = entry.record else { continue };
        let fact = Fact::Record {
            number: entry.number,
            record,
        };
        let now = Now {
            at: clock::now(),
            intent_id: u64::MAX,
        };
        let effects = decide(&task, &Presence::default(), Input::Fact(fact), now);
        for event in &effects.events {
            task = evolve(task, event);
        }
        events.extend(effects.events);
    }
    (events, unread)
}

/// An intent's id is unique in a ledger: where folders of two ledgers came
/// together, the later task is told and left out rather than mixed up.
fn without_doubles(found: &mut Vec<Found>, report: &mut Rebuilt) {
    let mut seen = HashSet::new();
    found.retain(|task| {
        let ids: Vec<u64> = task.events.iter().filter_map(intent_of).collect();
        let fresh = ids.iter().all(|id| !seen.contains(id));
        if fresh {
            seen.extend(ids);
        } else if let Some(id) = task.events.first().and_then(|event| event.task_id.as_ref()) {
            report.differences.push(format!(
                "task {id} is left out: another task has an intent of the same id"
            ));
        }
        fresh
    });
}

fn intent_of(event: &Event) -> Option<u64> {
    if let EventBody::StopRequested { intent_id, .. } = &event.body {
        Some(*intent_id)
    } else {
        None
    }
}

/// The status of each task that was found.
fn statuses(found: &[Found]) -> HashMap<&str, &str> {
    let named = found.iter().filter_map(|task| {
        let id = task.events.first()?.task_id.as_ref()?;
        let status = task.status.unwrap_or_else(|| task.while_it_lives());
        Some((id.as_str(), status.as_str()))
    });
    named.collect()
}
