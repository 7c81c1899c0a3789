//! The first events of a task.

use alloc::vec;
use alloc::vec::Vec;

use protocol::Timestamp;

use crate::effect::{Action, Effects};
use crate::event::{BindKind, Event, EventBody};
use crate::spec::{SessionPlan, TaskSpec};
use crate::task::{Task, initial_timers};

/// The task and its first effects: its row and its session are committed, and
/// only then its shim is spawned.
#[must_use]
pub fn admit(spec: TaskSpec, at: Timestamp) -> (Task, Effects) {
    let task = Task::admitted(spec.clone(), at);
    let of_task = |body| Event {
        at,
        task_id: Some(spec.id.clone()),
        record: None,
        body,
    };
    let mut events = vec![of_task(EventBody::Admitted { spec: spec.clone() })];
    events.extend(first_binding(&spec).map(of_task));
    let mut actions: Vec<Action> = vec![Action::SpawnShim];
    actions.extend(initial_timers(&task, at));
    let live = events.iter().skip(1).fold(task, crate::task::evolve);
    (live, Effects { events, actions })
}

fn first_binding(spec: &TaskSpec) -> Option<EventBody> {
    let how = match &spec.session {
        SessionPlan::Fresh => return None,
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
