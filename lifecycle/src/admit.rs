//! The first events of a task.

use alloc::vec;
use alloc::vec::Vec;

use protocol::Timestamp;

use crate::effect::{Action, Effects};
use crate::event::{BindKind, EventBody};
use crate::spec::{SessionPlan, TaskSpec};
use crate::task::{Task, initial_timers};

/// A task that has to wait: its row is committed, and nothing else is done.
#[must_use]
pub fn enqueue(spec: TaskSpec, at: Timestamp) -> (Task, Effects) {
    let spec = TaskSpec {
        session: SessionPlan::Undecided,
        ..spec
    };
    let task = Task::queued(spec.clone(), at);
    let event = task.event(at, EventBody::Queued { spec });
    let effects = Effects {
        events: vec![event],
        actions: Vec::new(),
    };
    (task, effects)
}

/// The task and its first effects: its row and its session are committed, and
/// only then its shim is spawned.
#[must_use]
pub fn admit(spec: TaskSpec, at: Timestamp) -> (Task, Effects) {
    let task = Task::admitted(spec.clone(), at);
    let effects = started(&task, spec, at);
    let live = effects
        .events
        .iter()
        .skip(1)
        .fold(task, crate::task::evolve);
    (live, effects)
}

/// What follows for `task`, which runs from now on as `spec` says.
pub(crate) fn started(task: &Task, spec: TaskSpec, at: Timestamp) -> Effects {
    let binding = first_binding(&spec);
    let mut events = vec![task.event(at, EventBody::Admitted { spec })];
    events.extend(binding.map(|body| task.event(at, body)));
    let mut actions: Vec<Action> = vec![Action::SpawnShim];
    actions.extend(initial_timers(task, at));
    Effects { events, actions }
}

fn first_binding(spec: &TaskSpec) -> Option<EventBody> {
    let how = match &spec.session {
        SessionPlan::Fresh | SessionPlan::Undecided => return None,
        SessionPlan::Chosen(_) => BindKind::Chosen,
        SessionPlan::Resume(_) => BindKind::Resumed,
    };
    Some(EventBody::SessionBound {
        key: spec.key.clone(),
        provider: spec.provider.clone(),
        session_id: spec.session.known_id()?.clone(),
        how,
    })
}
