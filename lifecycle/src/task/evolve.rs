//! The only writer of a task's durable state.

use alloc::string::ToString;

use protocol::shim::{OomRecord, ProviderError, ResultRecord, SupersededBy};
use protocol::vocab::{IntentOutcome, SignalledBy};
use protocol::{Exit, SessionId, Timestamp};

use super::figures::merged;
use super::{Cause, Hub, Intent, Lost, Start, Task};
use crate::event::{BindKind, Ending, Event, EventBody};
use crate::spec::TaskSpec;
use crate::verdict::FAULT_SIGNALS;

/// How long after an exit a signal at the shim may still explain it: the
/// shim's settle window, and one millisecond of rounding at either end. A shim
/// stays that long only where the end may be the answer to such a signal.
const SETTLE_MS: u64 = 22;

/// The task after `event`. Total: an event that does not fit changes nothing
/// but the counters, and nothing changes a task that has ended.
#[must_use]
pub fn evolve(mut task: Task, event: &Event) -> Task {
    task.journal = task.journal.max(event.record.unwrap_or(0));
    if task.ending.is_some() {
        return task;
    }
    task.version += 1;
    task.last_event_at = task.last_event_at.max(event.at);
    if event.record.is_some() {
        task.heard_at = task.heard_at.max(event.at);
    }
    match &event.body {
        EventBody::Queued { .. }
        | EventBody::Alarm { .. }
        | EventBody::Finished { .. }
        | EventBody::SessionResumable { .. }
        | EventBody::SessionQuarantined { .. }
        | EventBody::SessionReleased { .. }
        | EventBody::SessionPassedOver(_)
        | EventBody::SessionRestored { .. }
        | EventBody::SessionRemoved { .. }
        | EventBody::SupervisorStarted { .. }
        | EventBody::SupervisorStopped { .. }
        | EventBody::Draining { .. }
        | EventBody::Drained { .. }
        | EventBody::Admitting {}
        | EventBody::ServiceShutdown { .. }
        | EventBody::Archived { .. }
        | EventBody::Unarchived { .. }
        | EventBody::UnitSeen { .. }
        | EventBody::LineKnown {}
        | EventBody::KeyReleased { .. } => {}
        EventBody::Renamed { name, .. } => task.spec.name = Some(name.clone()),
        EventBody::HubDraining { reason } => task.hub = Some(Hub::Draining(*reason)),
        EventBody::HubGone { reason } => task.hub = Some(Hub::Gone(*reason)),
        EventBody::HubAdmitting {} | EventBody::Adopted { .. } => task.hub = None,
        EventBody::Admitted { spec } => turn_came(&mut task, spec, event.at),
        EventBody::StartRefused { detail } => refused(&mut task, detail, event.at),
        EventBody::Claimed { shim } => task.shim = Some(shim.clone()),
        EventBody::Started { .. }
        | EventBody::SpawnFailed { .. }
        | EventBody::NeverStarted { .. } => began(&mut task, event),
        EventBody::FirstOutput {} => task.had_output = true,
        EventBody::ModelSeen { model } => task.model = Some(model.clone()),
        EventBody::SessionBound {
            session_id, how, ..
        } => bound(&mut task, session_id, *how),
        EventBody::SessionJoined(joined) => task.joined = Some(joined.clone()),
        EventBody::Result(result) => result_seen(&mut task, result),
        EventBody::ProviderFailed { error, detail } => {
            provider_failed(&mut task, *error, detail);
        }
        EventBody::UsageSeen { usage } => task.usage = merged(task.usage, usage),
        EventBody::StopRequested { .. } => request(&mut task, event),
        EventBody::StopJournalled { intent_id } => journalled(&mut task, *intent_id, event.at),
        EventBody::StopSuperseded { intent_id, by } => superseded(&mut task, *intent_id, *by),
        EventBody::Signalled { intent_id, by, .. } => {
            signalled(&mut task, *intent_id, event.at, *by);
        }
        EventBody::SignalSeen { .. } => signal_seen(&mut task, event),
        EventBody::Exited { exit } => exited(&mut task, event.at, exit),
        EventBody::OutOfMemory(oom) => out_of_memory(&mut task, *oom),
        EventBody::Swept { sweep, .. } => task.swept = Some(sweep.clone()),
        EventBody::ExitLearned { exit } => learned(&mut task, exit),
        EventBody::ShimLost {} => lost(&mut task, Lost::Shim),
        EventBody::HostRebooted { detail } => lost(&mut task, Lost::Host(detail.clone())),
        EventBody::Ended(ending) => end(&mut task, ending),
    }
    task
}

/// A queued task starts; of one that has started it is only counted.
fn turn_came(task: &mut Task, spec: &TaskSpec, at: Timestamp) {
    if task.start != Start::Queued {
        return;
    }
    task.session = spec.session.known_id().cloned();
    task.spec = spec.clone();
    task.start = Start::Pending;
    task.started_at = Some(at);
    task.heard_at = at;
}

fn refused(task: &mut Task, detail: &str, at: Timestamp) {
    if task.start == Start::Queued {
        let detail = detail.to_string();
        task.start = Start::Refused { at, detail };
    }
}

/// The first report stands; a second one could only contradict it.
fn began(task: &mut Task, event: &Event) {
    if task.start != Start::Pending {
        return;
    }
    let at = event.at;
    if let EventBody::Started { agent, .. } = &event.body {
        let agent = agent.clone();
        task.start = Start::Execd { at, agent };
    } else if let EventBody::SpawnFailed { stage, errno, path } = &event.body {
        task.start = Start::Failed {
            at,
            stage: *stage,
            errno: *errno,
            path: path.clone(),
        };
    } else if let EventBody::NeverStarted { detail, intent_id } = &event.body {
        let detail = detail.clone();
        task.start = Start::Never { at, detail };
        if let Some(id) = intent_id {
            declared_by_ledger(task, *id);
        }
    }
}

/// What the output tells of a session is output.
fn result_seen(task: &mut Task, result: &ResultRecord) {
    task.usage = merged(task.usage, &result.usage);
    task.result = Some(result.clone());
    ended_unsignalled(task, SupersededBy::Result);
}

fn bound(task: &mut Task, session_id: &SessionId, how: BindKind) {
    task.session = Some(session_id.clone());
    let told = match how {
        BindKind::Reported | BindKind::Confirmed => true,
        BindKind::Chosen | BindKind::Resumed => false,
    };
    task.had_output |= told;
    task.session_seen |= told && !is_echo(task, session_id);
}

/// The id that it was asked to resume: some repeat it before they have looked for it.
/// Nor does the order tell: this may stand on one stream, the failure on the other.
fn is_echo(task: &Task, told: &SessionId) -> bool {
    task.spec.session.resumed() == Some(told)
}

/// The first report stands here as well.
fn exited(task: &mut Task, at: Timestamp, exit: &Exit) {
    if task.exited.is_none() {
        task.exited = Some((at, exit.clone()));
        ended_unsignalled(task, SupersededBy::Exited);
        let seen = task.behind_an_end.take();
        if died_of_a_signal(exit) && task.cause.is_none() {
            task.cause = seen;
        }
    }
}

/// The first word stands here as well.
fn learned(task: &mut Task, exit: &Exit) {
    task.learned_exit.get_or_insert_with(|| exit.clone());
}

/// What is seen behind an exit does not explain it.
fn out_of_memory(task: &mut Task, seen: OomRecord) {
    if task.exited.is_none() {
        task.oom = Some(seen);
    }
}

/// A machine that is booted again had lost its shims before.
fn lost(task: &mut Task, lost: Lost) {
    task.lost.get_or_insert(lost);
}

/// The first failure explains the later ones, but one that may pass by itself
/// does not explain one that cannot. A session that cannot be missing explains
/// nothing.
fn provider_failed(task: &mut Task, error: ProviderError, detail: &str) {
    let can_be = match error {
        ProviderError::SessionNotFound => task.may_miss_its_session(),
        ProviderError::Transient | ProviderError::MissingSkill => true,
    };
    let explains = match &task.provider_error {
        None | Some((ProviderError::Transient, _)) => true,
        Some((ProviderError::SessionNotFound, _)) => !task.may_miss_its_session(),
        Some((ProviderError::MissingSkill, _)) => false,
    };
    if can_be && explains {
        task.provider_error = Some((error, detail.to_string()));
    }
}

/// The agent shows an end of its own. Under an intent that is the reason only
/// if a signal went out before it (the shim looks right before its signal, so
/// the order in the journal is the order of the facts).
fn ended_unsignalled(task: &mut Task, by: SupersededBy) {
    let signalled = task.intents.iter().any(|intent| intent.signalled.is_some());
    match task.cause {
        Some(Cause::Intent(id)) if !signalled => superseded(task, id, by),
        Some(Cause::Intent(_) | Cause::ShimSignalled { .. }) | None => {}
    }
}

fn request(task: &mut Task, event: &Event) {
    let EventBody::StopRequested {
        intent_id,
        reason,
        requested_by,
        note,
        grace_ms,
        joined,
    } = &event.body
    else {
        return;
    };
    task.intents.push(Intent {
        id: *intent_id,
        reason: *reason,
        requested_by: requested_by.clone(),
        note: note.clone(),
        requested_at: event.at,
        grace_ms: *grace_ms,
        joined: *joined,
        journalled_at: None,
        signalled: None,
        outcome: if *joined {
            IntentOutcome::Joined
        } else {
            IntentOutcome::Pending
        },
    });
}

/// A journalled intent is the cause, unless something else was before it: a
/// result, an exit, a signal at the shim, or another intent.
fn journalled(task: &mut Task, intent_id: u64, at: Timestamp) {
    let Some(intent) = task
        .intents
        .iter_mut()
        .find(|intent| intent.id == intent_id)
    else {
        return;
    };
    intent.journalled_at = intent.journalled_at.or(Some(at));
    if intent.joined || task.cause.is_some() || task.superseded.is_some() {
        return;
    }
    if task.exited.is_some() {
        task.superseded = Some(SupersededBy::Exited);
    } else if task.result.is_some() {
        task.superseded = Some(SupersededBy::Result);
    } else {
        task.cause = Some(Cause::Intent(intent_id));
    }
}

/// What a shim saw behind a signal of the supervisor came too late to be first.
fn superseded(task: &mut Task, intent_id: u64, by: SupersededBy) {
    if task.overruled_at.is_some() {
        return;
    }
    if task.cause == Some(Cause::Intent(intent_id)) {
        task.cause = None;
    }
    task.superseded = Some(by);
}

fn signalled(task: &mut Task, intent_id: Option<u64>, at: Timestamp, by: SignalledBy) {
    let intent = task
        .intents
        .iter_mut()
        .find(|intent| Some(intent.id) == intent_id);
    if let Some(intent) = intent {
        intent.signalled = intent.signalled.or(Some((at, by)));
    }
    if by == SignalledBy::Supervisor {
        task.overruled_at = task.overruled_at.or(Some(at));
        if let Some(id) = intent_id {
            declared_by_ledger(task, id);
        }
    }
}

/// The supervisor signals, or calls the start off: its intent is the cause,
/// journalled by the shim or not, unless something else was before it.
fn declared_by_ledger(task: &mut Task, id: u64) {
    let by_itself = task.superseded.is_some() || task.exited.is_some() || task.result.is_some();
    let known = task.intent(id).is_some_and(|intent| !intent.joined);
    if task.cause.is_none() && !by_itself && known {
        task.cause = Some(Cause::Intent(id));
    }
}

fn signal_seen(task: &mut Task, event: &Event) {
    let EventBody::SignalSeen { signal, sender } = &event.body else {
        return;
    };
    let explains = match &task.exited {
        None => true,
        Some((exited_at, exit)) => {
            let own_fault = match exit {
                Exit::Signaled { signal, .. } => FAULT_SIGNALS.contains(signal),
                Exit::Exited { .. } | Exit::Unknown { .. } => false,
            };
            !own_fault && event.at.since_ms(*exited_at) <= SETTLE_MS
        }
    };
    if !explains || task.cause.is_some() || task.result.is_some() {
        return;
    }
    let seen = Cause::ShimSignalled {
        at: event.at,
        signal: *signal,
        sender: sender.clone(),
    };
    match (task.superseded, &task.exited) {
        (None, _) => task.cause = Some(seen),
        // It had ended before the signal of an intent: whether by itself, its exit
        // tells.
        (Some(_), None) => task.behind_an_end = Some(seen),
        (Some(_), Some((_, exit))) if died_of_a_signal(exit) => task.cause = Some(seen),
        (Some(_), Some(_)) => {}
    }
}

/// Of one that is no fault of its own.
fn died_of_a_signal(exit: &Exit) -> bool {
    match exit {
        Exit::Signaled { signal, .. } => !FAULT_SIGNALS.contains(signal),
        Exit::Exited { .. } | Exit::Unknown { .. } => false,
    }
}

fn end(task: &mut Task, ending: &Ending) {
    for (id, outcome) in &ending.intents {
        if let Some(intent) = task.intents.iter_mut().find(|intent| intent.id == *id) {
            intent.outcome = *outcome;
        }
    }
    task.ending = Some(ending.clone());
}
