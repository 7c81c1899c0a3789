//! A new ledger from the task folders.
//!
//! | folder has | the task is |
//! |---|---|
//! | `settled` with its events | exactly as it was |
//! | `spec` and a journal to its end | concluded anew from its records |
//! | `spec` that says so, and no start was decided | queued: it waits again |
//! | `spec`, and no end in the journal | live: the next start adopts or concludes it |
//! | `spec`, and a journal that cannot be read | live: the next start holds or concludes it |
//! | `spec` that says that the ledger had no row, and no start was decided | lost, and told |
//! | neither `settled` nor `spec` that can be read | lost: told, and put out of the way |

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use lifecycle::{Event, EventBody, Fact, Input, Now, Presence, Task, decide, evolve};
use protocol::view::Requester;
use protocol::vocab::{SessionState, Via};
use protocol::{Status, TaskId, Timestamp};

use super::clock;
use super::lost::{self, Lost, Why};
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
    /// Why its journal told nothing, if it did not.
    unread: Option<String>,
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
    let (mut found, mut lost) = (Vec::new(), Vec::new());
    for id in folders.all()? {
        match look_at(folders, &id) {
            Ok(task) => {
                let unread = task.unread.as_ref();
                report.differences.extend(
                    unread.map(|why| format!("task {id} is taken for one that lives: {why}")),
                );
                found.push(task);
            }
            Err(why) => lost.push(Lost { id, why }),
        }
    }
    // Who waits, waits in this order: ids that are UUIDv7s keep it within a
    // millisecond.
    found.sort_by(|one, other| one.began().cmp(&other.began()));
    without_doubles(&mut found, &mut report);
    differences(path, &found, &mut report);
    let new = ledger::building(path);
    ledger::remove(&new)?;
    let opened = ledger::open(&OpenOptions {
        path: new.clone(),
        tasks_dir: folders.tasks_dir().to_owned(),
        boot_id: boot_id.to_owned(),
        task_folder: None,
    })?;
    let written = write(&opened.handle, &found).await;
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

async fn write(ledger: &LedgerHandle, found: &[Found]) -> Result<(), LedgerError> {
    for tasks in found.chunks(AT_ONCE) {
        let events = tasks.iter().flat_map(|task| task.events.clone()).collect();
        let secrets = tasks.iter().map(|task| task.secret.clone()).collect();
        ledger.commit(events, secrets).await?;
    }
    let words = operator_words(ledger, found).await?;
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
fn look_at(folders: &Folders, id: &TaskId) -> Result<Found, Why> {
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
            unread: None,
        });
    }
    let no_task = |words: &str| Why::ForGood(words.to_owned());
    let spec = spec?.ok_or_else(|| no_task("it has no spec"))?;
    if spec.rowless && !folders.is_decided(id) {
        return Err(no_task(NEVER_COMMITTED));
    }
    let written_at = folders.written_at(id)?;
    let (events, unread) = replayed(folders, id, begun(folders, &spec, written_at));
    let task = Task::fold(&events).ok_or_else(|| no_task("its events make no task"))?;
    Ok(Found {
        status: task.ending.map(|ending| ending.status),
        events,
        secret,
        settled: None,
        unread,
    })
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

/// What the old ledger said otherwise, as far as it can still be read.
fn differences(path: &Path, found: &[Found], report: &mut Rebuilt) {
    if !path.exists() {
        return report
            .differences
            .push("there is no old ledger to compare with".to_string());
    }
    let old = match ledger::tasks_in(path) {
        Ok(old) => old,
        Err(why) => {
            return report.differences.push(format!(
                "the old ledger cannot be read ({why}): nothing was compared"
            ));
        }
    };
    let now: HashMap<&str, &str> = found
        .iter()
        .filter_map(|task| {
            let id = task.events.first()?.task_id.as_ref()?;
            let status = task.status.unwrap_or_else(|| task.while_it_lives());
            Some((id.as_str(), status.as_str()))
        })
        .collect();
    for (id, status) in &old {
        match now.get(id.as_str()) {
            None => report.differences.push(format!(
                "task {id} ({status}) of the old ledger has no folder: it is gone"
            )),
            Some(now) if now != status => report.differences.push(format!(
                "task {id} was {status} in the old ledger, and is {now}"
            )),
            Some(_) => {}
        }
    }
    let known: HashSet<&str> = old.iter().map(|(id, _)| id.as_str()).collect();
    let mut added: Vec<&str> = now
        .keys()
        .copied()
        .filter(|id| !known.contains(id))
        .collect();
    added.sort_unstable();
    for id in added {
        report
            .differences
            .push(format!("task {id} was not in the old ledger"));
    }
}
