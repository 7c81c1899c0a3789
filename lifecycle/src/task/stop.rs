//! Somebody wants the task to end.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use protocol::limits::PROGRESS_INTERVAL_MS;
use protocol::shim::{StopOrder, Usage};
use protocol::view::Requester;
use protocol::vocab::Via;
use protocol::{StopReason, Timestamp};

use super::{Presence, Task};
use crate::effect::{Action, Effects};
use crate::event::EventBody;
use crate::input::Now;
use crate::timer::Timer;

/// What the agent printed after a report has arrived this long after it, in
/// ms: with the next report, which needs a moment on a busy machine.
const REPORT_ARRIVES_MS: u64 = PROGRESS_INTERVAL_MS + 250;

/// A request to stop.
pub(super) struct Request {
    pub(super) reason: StopReason,
    pub(super) requested_by: Requester,
    pub(super) note: Option<String>,
    pub(super) grace_ms: Option<u64>,
}

/// The first intent is the reason; a later one joins it, and may shorten the
/// grace.
///
/// The order is sent whether or not a link is known to be up: without one the
/// shell drops it, and it is said again when the next one comes up.
pub(super) fn requested(task: &Task, request: Request, now: Now) -> Effects {
    let grace_ms = grace_ms(task, request.grace_ms);
    let event = task.event(
        now.at,
        EventBody::StopRequested {
            intent_id: now.intent_id,
            reason: request.reason,
            requested_by: request.requested_by,
            note: request.note,
            grace_ms,
            joined: !task.intents.is_empty(),
        },
    );
    let order = StopOrder {
        intent_id: now.intent_id,
        reason: request.reason,
        grace_ms,
    };
    let mut actions = vec![Action::SendStop(order)];
    // The answer to the first is waited for already.
    if task.intents.is_empty() {
        let due = now.at.plus_ms(super::silence::ANSWER_MS);
        actions.push(Action::Arm {
            timer: Timer::Answer,
            due,
        });
    }
    Effects {
        events: vec![event],
        actions,
    }
}

/// The task's own where the request names none.
pub(super) fn grace_ms(task: &Task, asked: Option<u64>) -> u64 {
    asked.unwrap_or(task.spec.limits.grace_ms)
}

/// A limit is reached, unless it has lost its meaning meanwhile.
pub(super) fn timer_due(task: &Task, presence: &Presence, timer: Timer, now: Now) -> Effects {
    let limits = &task.spec.limits;
    let limit_ms = match timer {
        Timer::Start => limits.start_timeout_ms,
        Timer::Timeout => limits.timeout_ms,
        Timer::Idle => limits.idle_timeout_ms,
        // No limit of the task.
        Timer::Answer => None,
    };
    let Some(limit_ms) = limit_ms else {
        return Effects::default();
    };
    if !task.intents.is_empty() || task.is_ending() {
        return Effects::default();
    }
    match timer {
        Timer::Answer => Effects::default(),
        Timer::Timeout => limit(task, StopReason::Timeout, now),
        Timer::Start if task.shows_life() => Effects::default(),
        // Without the shim nobody knows what the agent prints.
        Timer::Start | Timer::Idle if !presence.attached => again(timer, now.at.plus_ms(limit_ms)),
        Timer::Start => limit(task, StopReason::StartTimeout, now),
        Timer::Idle => {
            let silent_from = presence.last_output.max(Some(task.last_event_at));
            let silent_until = silent_from.unwrap_or(now.at).plus_ms(limit_ms);
            // What was printed after a report is told with the next one.
            let told_by = presence.told_at.map(|at| at.plus_ms(REPORT_ARRIVES_MS));
            let due = told_by.map_or(silent_until, |told_by| told_by.max(silent_until));
            if due > now.at {
                again(timer, due)
            } else {
                limit(task, StopReason::IdleTimeout, now)
            }
        }
    }
}

fn again(timer: Timer, due: Timestamp) -> Effects {
    Effects {
        events: Vec::new(),
        actions: vec![Action::Arm { timer, due }],
    }
}

/// The budget is used up, and the agent goes on: an end of its own that it has
/// told already is not taken from it.
pub(super) fn budget_used_up(task: &Task, printed: &Usage, now: Now) -> Effects {
    let goes_on = task.intents.is_empty() && !task.is_ending() && task.result.is_none();
    if goes_on && task.is_over_budget(printed) {
        limit(task, StopReason::Budget, now)
    } else {
        Effects::default()
    }
}

fn limit(task: &Task, reason: StopReason, now: Now) -> Effects {
    let request = Request {
        reason,
        requested_by: Requester::through(Via::Supervisor),
        note: None,
        grace_ms: None,
    };
    requested(task, request, now)
}
