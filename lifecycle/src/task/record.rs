//! A record of the shim's journal becomes events.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use protocol::shim::{AlarmKind, IntentRecord, Record};
use protocol::view::Requester;
use protocol::vocab::{SignalledBy, Via};
use protocol::{SessionId, StopReason, Timestamp};

use super::{Presence, Task, evolve, finish, silence, stop};
use crate::effect::{Action, Effects};
use crate::event::{BindKind, Event, EventBody};
use crate::input::Now;
use crate::timer::Timer;

/// The record `number` is known now. Repeats are acknowledged and nothing else.
pub(super) fn reported(
    task: &Task,
    presence: &Presence,
    (number, record): (u64, Record),
    now: Now,
) -> Effects {
    let acknowledge = Action::Acknowledge { upto: number };
    if number <= task.journal {
        return Effects {
            events: Vec::new(),
            actions: vec![acknowledge],
        };
    }
    let finished = matches!(record, Record::Finished { .. });
    let mut events = translate(task, number, record);
    if let Some(gap) = events.first().and_then(|event| gap(task, number, event.at)) {
        events.insert(0, gap);
    }
    let mut actions = timers_after(task, &events, now);
    actions.push(acknowledge);
    let costs = |event: &Event| matches!(event.body, EventBody::UsageSeen { .. });
    if events.iter().any(costs) {
        let after = events.iter().fold(task.clone(), evolve);
        let stop = stop::budget_used_up(&after, &after.usage, now);
        events.extend(stop.events);
        actions.extend(stop.actions);
    }
    if finished {
        let at = events.last().map_or(task.last_event_at, |event| event.at);
        let after = events.iter().fold(task.clone(), evolve);
        let end = finish::conclude(&after, presence, at);
        events.extend(end.events);
        actions.extend(end.actions);
    }
    Effects { events, actions }
}

/// A sign of life disarms the start limit; the exec arms the idle limit; each
/// step of a stop gives the shim its time for the next.
fn timers_after(task: &Task, events: &[Event], now: Now) -> Vec<Action> {
    let mut actions = Vec::new();
    for event in events {
        match &event.body {
            EventBody::FirstOutput {} | EventBody::SessionBound { .. } => {
                if task.spec.limits.start_timeout_ms.is_some() && !task.shows_life() {
                    actions.push(Action::Disarm(Timer::Start));
                }
            }
            EventBody::Started { .. } => {
                if let Some(ms) = task.spec.limits.idle_timeout_ms {
                    let due = event.at.plus_ms(ms);
                    actions.push(Action::Arm {
                        timer: Timer::Idle,
                        due,
                    });
                }
            }
            EventBody::StopJournalled { .. } | EventBody::Signalled { .. } => {
                actions.extend(silence::next_answer(task, &event.body, now));
            }
            EventBody::Admitted { .. }
            | EventBody::Claimed { .. }
            | EventBody::SpawnFailed { .. }
            | EventBody::NeverStarted { .. }
            | EventBody::Adopted { .. }
            | EventBody::ModelSeen { .. }
            | EventBody::LineKnown {}
            | EventBody::SessionResumable { .. }
            | EventBody::SessionQuarantined { .. }
            | EventBody::SessionReleased { .. }
            | EventBody::SessionPassedOver(_)
            | EventBody::SessionJoined(_)
            | EventBody::SessionRestored { .. }
            | EventBody::SessionRemoved { .. }
            | EventBody::Result(_)
            | EventBody::ProviderFailed { .. }
            | EventBody::UsageSeen { .. }
            | EventBody::StopRequested { .. }
            | EventBody::StopSuperseded { .. }
            | EventBody::SignalSeen { .. }
            | EventBody::Exited { .. }
            | EventBody::Swept { .. }
            | EventBody::ShimLost {}
            | EventBody::ExitLearned { .. }
            | EventBody::HostRebooted { .. }
            | EventBody::Alarm { .. }
            | EventBody::Finished { .. }
            | EventBody::Ended(_)
            | EventBody::SupervisorStarted { .. }
            | EventBody::SupervisorStopped { .. }
            | EventBody::HubDraining { .. }
            | EventBody::HubGone { .. }
            | EventBody::HubAdmitting {}
            | EventBody::Archived { .. }
            | EventBody::KeyReleased { .. }
            | EventBody::Unarchived { .. }
            | EventBody::Renamed { .. }
            | EventBody::OutOfMemory(_)
            | EventBody::UnitSeen { .. }
            | EventBody::Queued { .. }
            | EventBody::StartRefused { .. }
            | EventBody::Draining { .. }
            | EventBody::Drained { .. }
            | EventBody::Admitting {}
            | EventBody::ServiceShutdown { .. } => {}
        }
    }
    actions
}

/// A record was skipped, or never written: what it said is not known.
fn gap(task: &Task, number: u64, at: Timestamp) -> Option<Event> {
    let expected = task.journal + 1;
    (number > expected).then(|| Event {
        record: Some(number),
        ..task.event(
            at,
            EventBody::Alarm {
                kind: AlarmKind::Unexpected,
                detail: format!(
                    "records {expected} to {} of the journal are missing",
                    number - 1
                ),
            },
        )
    })
}

/// Every record becomes at least one event, so that its number is durable.
fn translate(task: &Task, number: u64, record: Record) -> Vec<Event> {
    let (at, body) = match record {
        Record::Claimed { at, shim } => (at, EventBody::Claimed { shim }),
        Record::Execd { at, agent, program } => (at, EventBody::Started { agent, program }),
        Record::SpawnFailed {
            at,
            stage,
            errno,
            path,
        } => (at, EventBody::SpawnFailed { stage, errno, path }),
        Record::SessionSeen { at, session_id, .. } => {
            return session_seen(task, number, at, &session_id);
        }
        Record::Result(result) => (result.at, EventBody::Result(result)),
        Record::ProviderError { at, error, detail } => {
            (at, EventBody::ProviderFailed { error, detail })
        }
        Record::Usage { at, usage } => (at, EventBody::UsageSeen { usage }),
        Record::Intent(intent) => return journalled(task, number, &intent),
        Record::Superseded { at, intent_id, by } => {
            (at, EventBody::StopSuperseded { intent_id, by })
        }
        Record::Signalled {
            at,
            intent_id,
            signal,
            target,
        } => (
            at,
            EventBody::Signalled {
                intent_id,
                signal,
                target,
                by: SignalledBy::Shim,
            },
        ),
        Record::SignalSeen { at, signal, sender } => (at, EventBody::SignalSeen { signal, sender }),
        Record::Exited { at, exit, .. } => (at, EventBody::Exited { exit }),
        Record::Swept(sweep) => (
            sweep.at,
            EventBody::Swept {
                sweep,
                by: SignalledBy::Shim,
            },
        ),
        Record::Alarm { at, kind, detail } => (at, EventBody::Alarm { kind, detail }),
        Record::Finished {
            at,
            output_bytes,
            gap_bytes,
        } => (
            at,
            EventBody::Finished {
                output_bytes,
                gap_bytes,
            },
        ),
        Record::ModelSeen { at, model } => (at, EventBody::ModelSeen { model }),
        Record::FirstOutput { at } => (at, EventBody::FirstOutput {}),
        Record::LineKnown { at } => (at, EventBody::LineKnown {}),
        Record::OutOfMemory(oom) => (oom.at, EventBody::OutOfMemory(oom)),
        Record::UnitSeen { at, unit } => (at, EventBody::UnitSeen { unit }),
    };
    vec![Event {
        record: Some(number),
        ..task.event(at, body)
    }]
}

/// An intent that only the shim knows was sent from memory by a supervisor that is
/// gone, or the ledger was put back. Journalled before the signal, it declares all
/// the same (R3); who had asked is not known any more.
fn journalled(task: &Task, number: u64, intent: &IntentRecord) -> Vec<Event> {
    let (at, intent_id) = (intent.at, intent.intent_id);
    let mut events = Vec::new();
    if task.intents.iter().all(|known| known.id != intent_id) {
        let requested_by = Requester::through(door_of(intent.reason));
        let body = EventBody::StopRequested {
            intent_id,
            reason: intent.reason,
            requested_by,
            note: None,
            grace_ms: intent.grace_ms,
            joined: intent.joined,
        };
        events.push(task.event(at, body));
        let detail = format!(
            "intent {intent_id} is known from the shim's journal alone: the ledger has no word of \
             it, nor of who had asked"
        );
        let kind = AlarmKind::NotDurable;
        events.push(task.event(at, EventBody::Alarm { kind, detail }));
    }
    events.push(Event {
        record: Some(number),
        ..task.event(at, EventBody::StopJournalled { intent_id })
    });
    events
}

/// People and programs of theirs stop for two reasons: which of them it was is lost,
/// and the supervisor did not do it. The rest it does itself.
const fn door_of(reason: StopReason) -> Via {
    match reason {
        StopReason::User | StopReason::RunnerStop => Via::Control,
        StopReason::HubRestart
        | StopReason::HubShutdown
        | StopReason::HostShutdown
        | StopReason::StartTimeout
        | StopReason::Timeout
        | StopReason::IdleTimeout
        | StopReason::Budget
        | StopReason::SupersededByTask => Via::Supervisor,
    }
}

/// The output told a session id. A new one takes the key over; the one before
/// it is kept, and not resumed without the operator's word.
fn session_seen(task: &Task, number: u64, at: Timestamp, text: &str) -> Vec<Event> {
    let of_record = |body| Event {
        record: Some(number),
        ..task.event(at, body)
    };
    let Ok(session_id) = SessionId::new(text) else {
        return vec![of_record(EventBody::Alarm {
            kind: AlarmKind::InvalidSessionId,
            detail: format!("the output names the session id {text:?}, which cannot be one"),
        })];
    };
    let (key, provider) = (task.spec.key.clone(), task.spec.provider.clone());
    let how = if task.session.as_ref() == Some(&session_id) {
        BindKind::Confirmed
    } else {
        BindKind::Reported
    };
    let mut events = Vec::new();
    if let (BindKind::Reported, Some(earlier)) = (how, &task.session) {
        events.push(of_record(EventBody::SessionQuarantined {
            key: key.clone(),
            provider: provider.clone(),
            session_id: earlier.clone(),
            reason: alloc::format!("replaced by session {session_id}"),
            totals: None,
        }));
    }
    events.push(of_record(EventBody::SessionBound {
        key,
        provider,
        session_id,
        how,
    }));
    events
}
