//! What follows from an input: dispatches to one file per kind.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use protocol::Timestamp;
use protocol::shim::{AlarmKind, StopOrder};
use protocol::view::Requester;

use super::{Hub, Lost, Presence, Start, Task, finish, queued, record, silence, stop};
use crate::effect::{Action, Effects};
use crate::event::{Event, EventBody};
use crate::input::{Command, Fact, HubWord, Input, LinkKind, Now};
use crate::timer::Timer;

/// What follows from `input`. Total: whatever comes, in whatever order.
#[must_use]
pub fn decide(task: &Task, presence: &Presence, input: Input, now: Now) -> Effects {
    if task.ending.is_some() {
        return after_the_end(input);
    }
    if task.waits() {
        return queued::decide(task, presence, input, now);
    }
    match input {
        Input::Command(Command::Stop {
            reason,
            requested_by,
            note,
            grace_ms,
        }) => {
            let request = stop::Request {
                reason,
                requested_by,
                note,
                grace_ms,
            };
            stop::requested(task, request, now)
        }
        Input::Command(Command::Rename { name, by }) => renamed(task, name, by, now),
        // It has started already.
        Input::Command(Command::Start { .. }) => Effects::default(),
        Input::Timer(Timer::Answer) => silence::no_answer(task),
        Input::Timer(timer @ (Timer::Start | Timer::Timeout | Timer::Idle)) => {
            stop::timer_due(task, presence, timer, now)
        }
        Input::Fact(fact) => happened(task, presence, fact, now),
    }
}

/// The name is for people: nothing else follows.
pub(super) fn renamed(task: &Task, name: String, by: Requester, now: Now) -> Effects {
    Effects {
        events: vec![task.event(now.at, EventBody::Renamed { name, by })],
        actions: Vec::new(),
    }
}

/// R11: nothing revives a task that has ended. A shim that repeats its records
/// is told that they are known.
fn after_the_end(input: Input) -> Effects {
    let actions = match input {
        Input::Fact(Fact::Record { number, .. }) => vec![Action::Acknowledge { upto: number }],
        Input::Fact(
            Fact::LinkUp(_)
            | Fact::LinkDown
            | Fact::Progress(_)
            | Fact::ShimGone
            | Fact::NeverStarted { .. }
            | Fact::StartCalledOff { .. }
            | Fact::StartFailed { .. }
            | Fact::TreeSwept(_)
            | Fact::TreeUnproven { .. }
            | Fact::ShimHeld { .. }
            | Fact::SessionShared { .. }
            | Fact::SessionPassedOver(_)
            | Fact::SessionJoined(_)
            | Fact::NotDurable { .. }
            | Fact::HostRebooted { .. }
            | Fact::Recovered
            | Fact::ShimSilent(_)
            | Fact::ExitLearned(_)
            | Fact::Hub(_)
            | Fact::OutOfMemory { .. }
            | Fact::StartRefused { .. },
        )
        | Input::Command(_)
        | Input::Timer(_) => Vec::new(),
    };
    Effects {
        events: Vec::new(),
        actions,
    }
}

fn happened(task: &Task, presence: &Presence, fact: Fact, now: Now) -> Effects {
    match fact {
        Fact::Record { number, record } => record::reported(task, presence, (number, record), now),
        Fact::LinkUp(link) => link_up(task, presence, link, now),
        Fact::LinkDown | Fact::StartRefused { .. } => Effects::default(),
        Fact::Progress(report) => stop::budget_used_up(task, &report.usage, now),
        Fact::ShimGone => finish::shim_gone(task, presence, now),
        Fact::NeverStarted { detail } => finish::never_started(task, presence, (detail, None), now),
        Fact::StartCalledOff { detail } => {
            let under = task.intents.first().map(|intent| intent.id);
            finish::never_started(task, presence, (detail, under), now)
        }
        Fact::StartFailed { stage, errno, path } => {
            let why = path.clone();
            let body = EventBody::SpawnFailed { stage, errno, path };
            finish::not_started(task, presence, (body, &why), now)
        }
        Fact::TreeSwept(sweep) => finish::tree_swept(task, presence, sweep, now),
        Fact::TreeUnproven { detail }
        | Fact::ShimHeld { detail }
        | Fact::SessionShared { detail } => {
            finish::alarmed(task, AlarmKind::Unexpected, detail, now)
        }
        Fact::SessionPassedOver(it) => told(task, EventBody::SessionPassedOver(it), now),
        Fact::SessionJoined(it) => told(task, EventBody::SessionJoined(it), now),
        Fact::NotDurable { detail } => finish::alarmed(task, AlarmKind::NotDurable, detail, now),
        Fact::HostRebooted { detail } => finish::host_rebooted(task, presence, detail, now),
        Fact::Recovered => recovered(task, now),
        Fact::ShimSilent(look) => silence::looked_behind(task, look, now),
        Fact::ExitLearned(exit) => finish::exit_learned(task, exit, now),
        Fact::Hub(word) => hub_said(task, word, now),
        Fact::OutOfMemory { kills } => finish::out_of_memory(task, kills, now),
    }
}

/// What only stands in the log: why the task knows nothing of what was said before, and
/// which part of the figures is not its own.
fn told(task: &Task, body: EventBody, now: Now) -> Effects {
    Effects {
        events: vec![task.event(now.at, body)],
        actions: Vec::new(),
    }
}

/// A link came up: what the shim may not know yet is said again.
fn link_up(task: &Task, _presence: &Presence, link: LinkKind, now: Now) -> Effects {
    let events = match link {
        LinkKind::First | LinkKind::Again(_) => Vec::new(),
        LinkKind::Adopted(shim) => vec![task.event(now.at, EventBody::Adopted { shim })],
    };
    Effects {
        events,
        actions: task.unjournalled_stops(),
    }
}

/// Recorded for each task, so that its verdict rests on its own events.
fn hub_said(task: &Task, word: HubWord, now: Now) -> Effects {
    let body = match (word, task.hub) {
        (HubWord::Drains(reason), None | Some(Hub::Gone(_))) => EventBody::HubDraining { reason },
        (HubWord::Admits, Some(_)) => EventBody::HubAdmitting {},
        (HubWord::Drains(_), Some(Hub::Draining(_))) | (HubWord::Admits, None) => {
            return Effects::default();
        }
    };
    Effects {
        events: vec![task.event(now.at, body)],
        actions: Vec::new(),
    }
}

/// Timers are not durable: they are armed again from the facts. A task whose
/// shim was lost and that has not ended waits for a sweep that died with the
/// supervisor before.
fn recovered(task: &Task, now: Now) -> Effects {
    let mut actions = initial_timers(task, now.at);
    match &task.lost {
        Some(Lost::Shim) => actions.push(Action::SweepTree { grace_ms: 0 }),
        Some(Lost::Host(_)) | None => {}
    }
    // A drain that its supervisor did not end may explain what is found now.
    let events = match task.hub {
        Some(Hub::Draining(reason)) => vec![task.event(now.at, EventBody::HubGone { reason })],
        Some(Hub::Gone(_)) | None => Vec::new(),
    };
    Effects { events, actions }
}

/// The timers of a task that was admitted or recovered at `listening_from`.
/// Silence counts from there: what the agent printed before may not have
/// reached us.
pub(crate) fn initial_timers(task: &Task, listening_from: Timestamp) -> Vec<Action> {
    let limits = &task.spec.limits;
    let arm = |timer: Timer, from: Timestamp, after_ms: Option<u64>| {
        after_ms.map(|ms| Action::Arm {
            timer,
            due: from.plus_ms(ms),
        })
    };
    let start_limit = if task.shows_life() {
        None
    } else {
        limits.start_timeout_ms
    };
    let idle_from = match &task.start {
        Start::Execd { .. } => Some(task.last_event_at.max(listening_from)),
        Start::Queued
        | Start::Refused { .. }
        | Start::Pending
        | Start::Failed { .. }
        | Start::Never { .. } => None,
    };
    [
        arm(Timer::Start, listening_from, start_limit),
        task.started_at
            .and_then(|from| arm(Timer::Timeout, from, limits.timeout_ms)),
        idle_from.and_then(|from| arm(Timer::Idle, from, limits.idle_timeout_ms)),
        arm(Timer::Answer, listening_from, silence::patience_ms(task)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl Task {
    /// An event of this task that did not come from its journal.
    pub(crate) fn event(&self, at: Timestamp, body: EventBody) -> Event {
        Event {
            at,
            task_id: Some(self.spec.id.clone()),
            record: None,
            body,
        }
    }

    /// Orders for every intent that the shim has not journalled.
    pub(crate) fn unjournalled_stops(&self) -> Vec<Action> {
        self.intents
            .iter()
            .filter(|intent| intent.journalled_at.is_none())
            .map(|intent| {
                Action::SendStop(StopOrder {
                    intent_id: intent.id,
                    reason: intent.reason,
                    grace_ms: intent.grace_ms,
                })
            })
            .collect()
    }
}
