//! A task in the queue: no process was made for it, and whatever ends it ends
//! it at once.

use alloc::vec;
use alloc::vec::Vec;

use protocol::ArchiveReason;
use protocol::control::OnNotFound;

use super::decide::renamed;
use super::{Presence, Start, Task, evolve, finish, stop};
use crate::admit;
use crate::effect::{Action, Effects};
use crate::event::{Event, EventBody};
use crate::input::{Command, Fact, Input, Now};
use crate::spec::{SessionPlan, TaskSpec};

/// What follows from `input` for a task that waits.
pub(super) fn decide(task: &Task, presence: &Presence, input: Input, now: Now) -> Effects {
    match input {
        Input::Command(Command::Start { session }) => started(task, session, now),
        Input::Command(Command::Rename { name, by }) => renamed(task, name, by, now),
        Input::Command(Command::Stop {
            reason,
            requested_by,
            note,
            grace_ms,
        }) => {
            let body = EventBody::StopRequested {
                intent_id: now.intent_id,
                reason,
                requested_by,
                note,
                grace_ms: stop::grace_ms(task, grace_ms),
                joined: false,
            };
            with_end(task, presence, task.event(now.at, body))
        }
        Input::Fact(Fact::StartRefused { detail }) => with_end(
            task,
            presence,
            task.event(now.at, EventBody::StartRefused { detail }),
        ),
        // No shim can be meant: a record is taken off its hands all the same.
        Input::Fact(Fact::Record { number, .. }) => Effects {
            events: Vec::new(),
            actions: vec![Action::Acknowledge { upto: number }],
        },
        // It survives the supervisor and the machine, and has no process.
        Input::Fact(
            Fact::LinkUp(_)
            | Fact::LinkDown
            | Fact::Progress(_)
            | Fact::ShimGone
            | Fact::NeverStarted { .. }
            | Fact::StartCalledOff { .. }
            | Fact::StartFailed { .. }
            | Fact::TreeSwept(_)
            | Fact::HostRebooted { .. }
            | Fact::Recovered
            | Fact::ShimSilent(_)
            | Fact::ExitLearned(_)
            | Fact::TreeUnproven { .. }
            | Fact::ShimHeld { .. }
            | Fact::SessionShared { .. }
            | Fact::SessionPassedOver(_)
            | Fact::SessionJoined(_)
            | Fact::NotDurable { .. }
            | Fact::OutOfMemory { .. }
            | Fact::Hub(_),
        )
        | Input::Timer(_) => Effects::default(),
    }
}

/// Its row becomes `running` before anything is spawned (R1), and its limits
/// count from here.
fn started(task: &Task, session: SessionPlan, now: Now) -> Effects {
    let spec = TaskSpec {
        session,
        ..task.spec.clone()
    };
    let body = EventBody::Admitted { spec: spec.clone() };
    let running = evolve(task.clone(), &task.event(now.at, body));
    admit::started(&running, spec, now.at)
}

fn with_end(task: &Task, presence: &Presence, event: Event) -> Effects {
    let after = evolve(task.clone(), &event);
    let mut effects = finish::conclude(&after, presence, event.at);
    effects.events.insert(0, event);
    effects
}

impl Task {
    /// Another task in a fresh session follows it: its provider did not know the
    /// session that it was to resume. One that follows is not followed itself,
    /// and nobody had asked for an end.
    #[must_use]
    pub fn goes_on_fresh(&self) -> bool {
        let not_found = self
            .ending
            .as_ref()
            .is_some_and(|ending| ending.reason == ArchiveReason::SessionNotFound);
        let wanted = match self.spec.on_not_found {
            OnNotFound::Fresh => true,
            OnNotFound::Fail => false,
        };
        not_found && wanted && self.intents.is_empty() && self.spec.links.fresh_after.is_none()
    }

    /// It is in the queue.
    #[must_use]
    pub const fn waits(&self) -> bool {
        match (&self.start, &self.ending) {
            (Start::Queued, None) => true,
            (Start::Queued, Some(_))
            | (
                Start::Refused { .. }
                | Start::Pending
                | Start::Execd { .. }
                | Start::Failed { .. }
                | Start::Never { .. },
                _,
            ) => false,
        }
    }
}
