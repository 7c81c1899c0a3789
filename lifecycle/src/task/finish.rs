//! The end of a task: by its shim's last record, or without a shim.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use protocol::shim::{AlarmKind, OomRecord, ProviderError, SweepRecord};
use protocol::vocab::{IntentOutcome, SignalledBy};
use protocol::{ArchiveReason, Exit, FinishedBasis, Status, Timestamp};

use super::{Lost, Presence, Start, Task, evolve};
use crate::effect::{Action, Effects};
use crate::event::{Ending, Event, EventBody};
use crate::input::Now;
use crate::spec::SessionPlan;
use crate::timer::Timer;
use crate::verdict::{Verdict, verdict};

/// The shim's process is gone and its journal was read to its end, and the
/// task has not ended: what the shim left has to be found and ended.
pub(super) fn shim_gone(task: &Task, presence: &Presence, now: Now) -> Effects {
    match (&task.lost, &task.start) {
        // Said before; the sweep is under way.
        (Some(_), _) => Effects::default(),
        // There never was a tree.
        (
            None,
            Start::Queued | Start::Refused { .. } | Start::Failed { .. } | Start::Never { .. },
        ) => conclude(task, presence, now.at),
        (None, Start::Pending | Start::Execd { .. }) => Effects {
            events: vec![task.event(now.at, EventBody::ShimLost {})],
            actions: vec![Action::SweepTree { grace_ms: 0 }],
        },
    }
}

/// The kernel tells what the shim could not any more. Its own record, where
/// there is one, is the same.
pub(super) fn exit_learned(task: &Task, exit: Exit, now: Now) -> Effects {
    let by_kernel = matches!(task.lost, Some(Lost::Shim)) && task.exited.is_none();
    if !by_kernel || task.learned_exit.is_some() {
        return Effects::default();
    }
    Effects {
        events: vec![task.event(now.at, EventBody::ExitLearned { exit })],
        actions: Vec::new(),
    }
}

/// The kernel's count, behind a shim that died before it had seen an exit. What
/// it had seen is in its journal. Which process it was is not known any more.
pub(super) fn out_of_memory(task: &Task, kills: u64, now: Now) -> Effects {
    let known = task.oom.map_or(0, |oom| oom.kills);
    if kills <= known || task.exited.is_some() || task.lost.is_some() {
        return Effects::default();
    }
    let oom = OomRecord {
        at: now.at,
        kills,
        since: task.heard_at,
        leader_lives: false,
    };
    Effects {
        events: vec![task.event(now.at, EventBody::OutOfMemory(oom))],
        actions: Vec::new(),
    }
}

/// The supervisor knows that no shim starts the agent: it won the claim, or it
/// could not start one. That it says so although a shim had claimed cannot be; if
/// it does (a deleted claim file), nothing is concluded from it.
pub(super) fn not_started(
    task: &Task,
    presence: &Presence,
    (body, why): (EventBody, &str),
    now: Now,
) -> Effects {
    if task.journal > 0 || task.start != Start::Pending {
        let alarm = EventBody::Alarm {
            kind: AlarmKind::Unexpected,
            detail: format!(
                "the supervisor found that a task was not started, which a shim had claimed: {why}"
            ),
        };
        return Effects {
            events: vec![task.event(now.at, alarm)],
            actions: Vec::new(),
        };
    }
    with_conclusion(task, presence, task.event(now.at, body))
}

/// No shim starts it: that is found, or decided under this intent.
pub(super) fn never_started(
    task: &Task,
    presence: &Presence,
    (detail, intent_id): (String, Option<u64>),
    now: Now,
) -> Effects {
    let why = detail.clone();
    let body = EventBody::NeverStarted { detail, intent_id };
    not_started(task, presence, (body, &why), now)
}

/// What a dead shim left was looked for. A sweep beside a shim that is not
/// known to be dead ends nothing: the shim will tell the end, or die.
pub(super) fn tree_swept(
    task: &Task,
    presence: &Presence,
    sweep: SweepRecord,
    now: Now,
) -> Effects {
    let by = SignalledBy::Supervisor;
    let event = task.event(now.at, EventBody::Swept { sweep, by });
    if task.lost.is_none() {
        return Effects {
            events: vec![event],
            actions: Vec::new(),
        };
    }
    with_conclusion(task, presence, event)
}

/// Something to look at: why a sweep proves nothing, why a shim is held.
pub(super) fn alarmed(task: &Task, kind: AlarmKind, detail: String, now: Now) -> Effects {
    Effects {
        events: vec![task.event(now.at, EventBody::Alarm { kind, detail })],
        actions: Vec::new(),
    }
}

/// Another boot: no process of the task can be alive.
pub(super) fn host_rebooted(task: &Task, presence: &Presence, detail: String, now: Now) -> Effects {
    with_conclusion(
        task,
        presence,
        task.event(now.at, EventBody::HostRebooted { detail }),
    )
}

fn with_conclusion(task: &Task, presence: &Presence, event: Event) -> Effects {
    let after = evolve(task.clone(), &event);
    let mut effects = conclude(&after, presence, event.at);
    effects.events.insert(0, event);
    effects
}

/// The terminal event, and what it means for the session: one transaction.
pub(super) fn conclude(task: &Task, presence: &Presence, at: Timestamp) -> Effects {
    let verdict = verdict(task);
    let (finished_at, finished_basis) = finished(task, at);
    let ending = Ending {
        status: verdict.status,
        reason: verdict.reason,
        basis: verdict.basis,
        ended_by: verdict.ended_by.clone(),
        exit: verdict.exit.clone(),
        finished_at,
        finished_basis,
        last_seen_at: last_seen(task, presence).min(finished_at),
        usage: task.own_usage(),
        intents: outcomes(task, &verdict),
        survivors: task
            .swept
            .as_ref()
            .map_or_else(Vec::new, |sweep| sweep.survivors.clone()),
    };
    let mut events = session_end(task, &verdict, at);
    events.push(task.event(at, EventBody::Ended(ending)));
    let mut actions: Vec<Action> = Timer::ALL.into_iter().map(Action::Disarm).collect();
    actions.push(Action::Settle);
    Effects { events, actions }
}

fn finished(task: &Task, at: Timestamp) -> (Timestamp, FinishedBasis) {
    match (&task.start, &task.exited) {
        (Start::Failed { at: failed_at, .. } | Start::Refused { at: failed_at, .. }, _) => {
            (*failed_at, FinishedBasis::Exact)
        }
        // Nothing had to be found out: the word itself ended it.
        (Start::Queued, _) => (at, FinishedBasis::Exact),
        (Start::Pending | Start::Execd { .. }, Some((exited_at, _))) => {
            (*exited_at, FinishedBasis::Exact)
        }
        (Start::Pending | Start::Execd { .. }, None) | (Start::Never { .. }, _) => {
            (at, FinishedBasis::Detected)
        }
    }
}

/// What the shim said, durably or not. A loss is no sign of life, nor is
/// anything else that the supervisor found out by itself.
fn last_seen(task: &Task, presence: &Presence) -> Timestamp {
    presence
        .last_seen
        .map_or(task.heard_at, |told| told.max(task.heard_at))
}

fn outcomes(task: &Task, verdict: &Verdict) -> Vec<(u64, IntentOutcome)> {
    let outcome = |id: u64, joined: bool| {
        if joined {
            IntentOutcome::Joined
        } else if verdict.by_intent == Some(id) {
            IntentOutcome::Effective
        } else if matches!(task.lost, Some(Lost::Host(_)))
            || matches!(
                task.start,
                Start::Never { .. } | Start::Failed { .. } | Start::Refused { .. }
            )
        {
            IntentOutcome::Moot
        } else {
            IntentOutcome::Superseded
        }
    };
    task.intents
        .iter()
        .map(|intent| (intent.id, outcome(intent.id, intent.joined)))
        .collect()
}

/// R6: resumable only after a success; kept otherwise, and given back as it
/// was where the agent provably never used it.
fn session_end(task: &Task, verdict: &Verdict, at: Timestamp) -> Vec<Event> {
    let Some(session_id) = task.session.clone() else {
        return Vec::new();
    };
    let (key, provider) = (task.spec.key.clone(), task.spec.provider.clone());
    let totals = task.totals();
    let body = if task.provably_never_execd() {
        match &task.spec.session {
            SessionPlan::Resume(row) => EventBody::SessionRestored { row: row.clone() },
            SessionPlan::Chosen(_) | SessionPlan::Fresh | SessionPlan::Undecided => {
                EventBody::SessionRemoved {
                    key,
                    provider,
                    session_id,
                }
            }
        }
    } else if verdict.status == Status::Success {
        EventBody::SessionResumable {
            key,
            provider,
            session_id,
            totals,
        }
    } else {
        EventBody::SessionQuarantined {
            key,
            provider,
            session_id,
            reason: quarantine_reason(task, verdict),
            totals: Some(totals),
        }
    };
    vec![task.event(at, body)]
}

fn quarantine_reason(task: &Task, verdict: &Verdict) -> String {
    let transient = matches!(&task.provider_error, Some((ProviderError::Transient, _)));
    if transient && verdict.reason == ArchiveReason::Failed {
        return String::from("transient");
    }
    String::from(verdict.reason.as_str())
}
