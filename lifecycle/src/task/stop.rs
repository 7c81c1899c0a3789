//! Somebody wants the task to end.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use protocol::StopReason;
use protocol::shim::StopOrder;
use protocol::view::Requester;
use protocol::vocab::Via;

use super::{Presence, Start, Task};
use crate::effect::{Action, Effects};
use crate::event::EventBody;
use crate::input::Now;
use crate::timer::Timer;

/// A request to stop.
pub(super) struct Request {
    pub(super) reason: StopReason,
    pub(super) requested_by: Requester,
    pub(super) note: Option<String>,
    pub(super) grace_ms: Option<u64>,
}

/// The first intent is the reason; a later one joins it, and may shorten the
/// grace.
pub(super) fn requested(task: &Task, presence: &Presence, request: Request, now: Now) -> Effects {
    let grace_ms = request.grace_ms.unwrap_or(task.spec.limits.grace_ms);
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
    // With the link down the order is sent as soon as it is up again.
    let actions = if presence.attached {
        vec![Action::SendStop(order)]
    } else {
        Vec::new()
    };
    Effects {
        events: vec![event],
        actions,
    }
}

/// A limit is reached, unless it has lost its meaning meanwhile.
pub(super) fn timer_due(task: &Task, presence: &Presence, timer: Timer, now: Now) -> Effects {
    let ending_already = !task.intents.is_empty() || task.exited.is_some() || task.lost.is_some();
    if ending_already {
        return Effects::default();
    }
    match timer {
        Timer::Start if task.shows_life() => Effects::default(),
        Timer::Start => limit(task, presence, StopReason::StartTimeout, now),
        Timer::Timeout => limit(task, presence, StopReason::Timeout, now),
        Timer::Idle => idle_due(task, presence, now),
    }
}

fn idle_due(task: &Task, presence: &Presence, now: Now) -> Effects {
    let Some(idle_ms) = task.spec.limits.idle_timeout_ms else {
        return Effects::default();
    };
    let since = match (&task.start, presence.last_output) {
        (_, Some(at)) => at.max(task.last_event_at),
        (
            Start::Execd { .. } | Start::Pending | Start::Failed { .. } | Start::Never { .. },
            None,
        ) => task.last_event_at,
    };
    let due = since.plus_ms(idle_ms);
    if due > now.at {
        let again = Action::Arm {
            timer: Timer::Idle,
            due,
        };
        return Effects {
            events: Vec::new(),
            actions: vec![again],
        };
    }
    limit(task, presence, StopReason::IdleTimeout, now)
}

fn limit(task: &Task, presence: &Presence, reason: StopReason, now: Now) -> Effects {
    let supervisor = Requester {
        uid: None,
        pid: None,
        comm: None,
        via: Via::Supervisor,
        ancestry: Vec::new(),
        tty: None,
        from_task: None,
    };
    let request = Request {
        reason,
        requested_by: supervisor,
        note: None,
        grace_ms: None,
    };
    requested(task, presence, request, now)
}
