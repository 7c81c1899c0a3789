//! The end of a task: by its shim's last record, or without a shim.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use protocol::shim::SweepRecord;
use protocol::vocab::{IntentOutcome, SignalledBy};
use protocol::{FinishedBasis, Status, Timestamp};

use super::record::provably_never_execd;
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
        (None, Start::Failed { .. } | Start::Never { .. }) => conclude(task, presence, now.at),
        (None, Start::Pending | Start::Execd { .. }) => Effects {
            events: vec![task.event(now.at, EventBody::ShimLost {})],
            actions: vec![Action::SweepTree { grace_ms: 0 }],
        },
    }
}

/// The supervisor won the claim.
pub(super) fn never_started(task: &Task, presence: &Presence, detail: String, now: Now) -> Effects {
    with_conclusion(
        task,
        presence,
        task.event(now.at, EventBody::NeverStarted { detail }),
    )
}

/// What a dead shim left was looked for.
pub(super) fn tree_swept(
    task: &Task,
    presence: &Presence,
    sweep: SweepRecord,
    now: Now,
) -> Effects {
    let by = SignalledBy::Supervisor;
    with_conclusion(
        task,
        presence,
        task.event(now.at, EventBody::Swept { sweep, by }),
    )
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
    let usage = task
        .spec
        .policy
        .own_usage(&task.usage, &totals_before(task));
    let ending = Ending {
        status: verdict.status,
        reason: verdict.reason,
        basis: verdict.basis,
        ended_by: verdict.ended_by.clone(),
        exit: verdict.exit.clone(),
        finished_at,
        finished_basis,
        last_seen_at: last_seen(task, presence).min(finished_at),
        usage,
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
    match (&task.exited, &task.start) {
        (Some((exited_at, _)), _) => (*exited_at, FinishedBasis::Exact),
        (None, Start::Failed { at: failed_at, .. }) => (*failed_at, FinishedBasis::Exact),
        (None, Start::Pending | Start::Execd { .. } | Start::Never { .. }) => {
            (at, FinishedBasis::Detected)
        }
    }
}

fn last_seen(task: &Task, presence: &Presence) -> Timestamp {
    let told = presence.last_seen.unwrap_or(task.started_at);
    let durable = match &task.lost {
        // The loss itself is not a sign of life.
        Some(_) => match &task.start {
            Start::Execd { at, .. } => *at,
            Start::Pending | Start::Failed { .. } | Start::Never { .. } => task.started_at,
        },
        None => task.last_event_at,
    };
    told.max(durable)
}

fn totals_before(task: &Task) -> protocol::shim::Usage {
    match &task.spec.session {
        SessionPlan::Resume(row) if task.session.as_ref() == Some(&row.session_id) => row.totals,
        SessionPlan::Resume(_) | SessionPlan::Chosen(_) | SessionPlan::Fresh => {
            protocol::shim::Usage::default()
        }
    }
}

fn outcomes(task: &Task, verdict: &Verdict) -> Vec<(u64, IntentOutcome)> {
    let outcome = |id: u64, joined: bool| {
        if joined {
            IntentOutcome::Joined
        } else if verdict.by_intent == Some(id) {
            IntentOutcome::Effective
        } else if matches!(task.lost, Some(Lost::Host(_)))
            || matches!(task.start, Start::Never { .. } | Start::Failed { .. })
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
    let body = if provably_never_execd(task) {
        match &task.spec.session {
            SessionPlan::Resume(row) => EventBody::SessionRestored { row: row.clone() },
            SessionPlan::Chosen(_) | SessionPlan::Fresh => EventBody::SessionRemoved {
                key,
                provider,
                session_id,
            },
        }
    } else if verdict.status == Status::Success {
        EventBody::SessionResumable {
            key,
            provider,
            session_id,
            totals: task.usage,
        }
    } else {
        EventBody::SessionQuarantined {
            key,
            provider,
            session_id,
            reason: quarantine_reason(task, verdict),
            totals: Some(task.usage),
        }
    };
    vec![task.event(at, body)]
}

fn quarantine_reason(task: &Task, verdict: &Verdict) -> String {
    let transient = matches!(
        &task.provider_error,
        Some((protocol::shim::ProviderError::Transient, _))
    );
    if transient && verdict.status == Status::Failure {
        return String::from("transient");
    }
    String::from(verdict.reason.as_str())
}
