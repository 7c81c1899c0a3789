//! A shim that does not answer a stop: the supervisor ends its tree (R2, R8).
//!
//! ```text
//! first intent ──2 s──▶ look behind it ──it wrote something──▶ the time for its next step
//!                          │
//!                          └─ nothing new ──▶ «ended by itself» or not, signalled ──▶ end tree and shim
//! ```
//!
//! The shim is ended with its tree, so the rest is what follows from the end of
//! any shim: the sweep proves what is gone, then the verdict.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use protocol::shim::{AlarmKind, Target};
use protocol::vocab::SignalledBy;

use super::{Cause, Start, Task};
use crate::effect::{Action, Effects};
use crate::event::EventBody;
use crate::input::{LookBehind, Now};
use crate::timer::Timer;

/// How long a shim may take to acknowledge a stop, in ms. A shim that can run
/// needs less than one.
pub const ANSWER_MS: u64 = 2_000;

/// What a shim that was acknowledging takes between TERM and KILL for what
/// outlives its leader, in ms.
const TREE_TERM_MS: u64 = 500;

/// How long a shim repeats KILL before it names survivors, in ms.
const KILL_FOR_MS: u64 = 30_000;

const SIGKILL: i32 = 9;

/// How long the next word of a recovered task's shim is waited for; none while
/// nobody wants it to end.
pub(super) fn patience_ms(task: &Task) -> Option<u64> {
    let first = task.intents.first()?;
    if task.lost.is_some() {
        return None;
    }
    Some(match first.journalled_at {
        Some(_) => step_ms(task, 0),
        None => ANSWER_MS,
    })
}

/// A step under a stop: how long the next one may take.
pub(super) fn next_answer(task: &Task, body: &EventBody, now: Now) -> Option<Action> {
    if task.intents.is_empty() {
        return None;
    }
    let killed = matches!(
        body,
        EventBody::Signalled {
            signal: SIGKILL,
            ..
        }
    );
    let sweep_ms = if killed { KILL_FOR_MS } else { 0 };
    Some(Action::Arm {
        timer: Timer::Answer,
        due: now.at.plus_ms(step_ms(task, sweep_ms)),
    })
}

fn step_ms(task: &Task, sweep_ms: u64) -> u64 {
    let graces = task.intents.iter().map(|intent| intent.grace_ms);
    let grace_ms = graces.min().unwrap_or(0);
    grace_ms
        .saturating_add(TREE_TERM_MS)
        .saturating_add(sweep_ms)
        .saturating_add(ANSWER_MS)
}

/// It is time that the shim said something.
pub(super) fn no_answer(task: &Task) -> Effects {
    let actions = match (&task.lost, task.intents.is_empty()) {
        (None, false) => vec![Action::LookBehindShim {
            known_records: task.journal,
        }],
        (Some(_), _) | (None, true) => Vec::new(),
    };
    Effects {
        events: Vec::new(),
        actions,
    }
}

/// What was seen behind it. The look is the linearisation point, as the shim's
/// own would have been (R3).
pub(super) fn looked_behind(task: &Task, look: LookBehind, now: Now) -> Effects {
    let Some(first) = task.intents.first() else {
        return Effects::default();
    };
    if task.lost.is_some() {
        return Effects::default();
    }
    // It writes, so it runs: what it wrote is on its way.
    if task.journal > look.known_records {
        return Effects {
            events: Vec::new(),
            actions: vec![Action::Arm {
                timer: Timer::Answer,
                due: now.at.plus_ms(step_ms(task, KILL_FOR_MS)),
            }],
        };
    }
    let detail = format!(
        "the shim does not answer the stop of intent {}: the supervisor ends its processes",
        first.id
    );
    let kind = AlarmKind::Unexpected;
    let mut events = vec![task.event(now.at, EventBody::Alarm { kind, detail })];
    let unsignalled = first.signalled.is_none();
    if let (Some(by), true, true) = (look.ended, unsignalled, may_be_the_cause(task)) {
        let intent_id = first.id;
        events.push(task.event(now.at, EventBody::StopSuperseded { intent_id, by }));
    }
    let declared = may_be_the_cause(task) && (look.ended.is_none() || !unsignalled);
    let has_tree = match &task.start {
        Start::Execd { .. } | Start::Pending => true,
        Start::Queued | Start::Refused { .. } | Start::Failed { .. } | Start::Never { .. } => false,
    };
    if has_tree {
        let body = EventBody::Signalled {
            intent_id: declared.then_some(first.id),
            signal: SIGKILL,
            target: Target::Tree(look.processes),
            by: SignalledBy::Supervisor,
        };
        events.push(task.event(now.at, body));
    }
    Effects {
        events,
        actions: vec![Action::EndWithoutShim],
    }
}

/// Nothing else ended it before: no end of its own, no signal at the shim.
fn may_be_the_cause(task: &Task) -> bool {
    let undisturbed = match &task.cause {
        Some(Cause::Intent(_)) | None => true,
        Some(Cause::ShimSignalled { .. }) => false,
    };
    let by_itself = task.superseded.is_some() || task.exited.is_some() || task.result.is_some();
    let is_cause = matches!(task.cause, Some(Cause::Intent(_)));
    undisturbed && (is_cause || !by_itself)
}
