//! A task in the queue: its turn, and whatever ends it before.

use lifecycle::event::{BindKind, Ending};
use lifecycle::{
    Action, Command, EventBody, Fact, HubWord, Input, Limits, SessionPlan, Task, TaskSpec, Timer,
    invariant,
};
use protocol::shim::Usage;
use protocol::vocab::IntentOutcome;
use protocol::{ArchiveReason, Basis, Phase, Presence, Status, StopReason};

use crate::support::*;

fn waiting() -> TaskSpec {
    with_session(SessionPlan::Undecided)
}

#[test]
fn a_row_is_committed_and_nothing_else_is_done() {
    // What was known of the session when it was dispatched does not count.
    let (task, first) = lifecycle::admit::enqueue(
        with_session(SessionPlan::Resume(row("s-1", Usage::default()))),
        at(0),
    );
    let queued = event(0, EventBody::Queued { spec: waiting() });
    assert_eq!(first, effects(vec![queued], vec![]));
    assert_eq!(task.phase(), Phase::Queued);
    assert_eq!(task.presence(&attached()), Presence::None);
    assert_eq!((task.queued_at, task.started_at), (Some(at(0)), None));
    assert_eq!(Task::fold(&first.events), Some(task));
}

#[test]
fn its_turn_decides_the_session_and_starts_its_limits() {
    let limits = Limits {
        timeout_ms: Some(100),
        start_timeout_ms: Some(10),
        ..spec().limits
    };
    let mut run = Run::queued(TaskSpec { limits, ..spec() });
    let plan = SessionPlan::Resume(row("s-1", Usage::default()));
    let admitted = EventBody::Admitted {
        spec: TaskSpec {
            limits,
            session: plan.clone(),
            ..spec()
        },
    };
    let arm = |timer, ms| Action::Arm { timer, due: at(ms) };
    assert_eq!(
        run.turn(50, plan),
        effects(
            vec![
                event(50, admitted),
                event(50, bound("s-1", BindKind::Resumed))
            ],
            vec![
                Action::SpawnShim,
                arm(Timer::Start, 60),
                arm(Timer::Timeout, 150)
            ],
        )
    );
    assert_eq!(run.task.phase(), Phase::Starting);
    assert_eq!(
        (run.task.queued_at, run.task.started_at),
        (Some(at(0)), Some(at(50)))
    );
    assert_eq!(run.turn(51, SessionPlan::Fresh), effects(vec![], vec![]));
    assert_eq!(Task::fold(&run.events), Some(run.task.clone()));
    run.record(claimed(52));
    run.record(execd(53));
    run.finish(60, code(0));
    assert_eq!(run.verdict(), SUCCESS);
    assert_eq!(invariant::check(&run.events), Ok(()));
}

#[test]
fn a_stop_ends_it_at_once() {
    let mut run = Run::queued(spec());
    let end = Ending {
        intents: vec![(1, IntentOutcome::Effective)],
        last_seen_at: at(0),
        ..ending(CANCELLED, Some("uid:1000 comm:agentctl"), None, 7)
    };
    assert_eq!(
        run.stop(7, StopReason::User),
        effects(
            vec![
                event(7, requested(1, StopReason::User, 5_000)),
                event(7, EventBody::Ended(end))
            ],
            farewell(),
        )
    );
    assert!(run.task.tree_is_gone());
    assert_eq!(run.turn(8, SessionPlan::Fresh), effects(vec![], vec![]));
    assert_eq!(Task::fold(&run.events), Some(run.task.clone()));
    assert_eq!(invariant::check(&run.events), Ok(()));
}

#[test]
fn a_start_that_is_refused_is_a_failure_to_start() {
    let mut run = Run::queued(spec());
    let detail = "session s-1 is quarantined: user".to_string();
    run.fact(7, Fact::StartRefused { detail });
    let failed = (Status::Failure, ArchiveReason::SpawnFailed, Basis::Observed);
    assert_eq!(run.verdict(), failed);
    assert_eq!(run.ending().exit, None);
    assert!(run.task.tree_is_gone());
    assert_eq!(Task::fold(&run.events), Some(run.task.clone()));
    assert_eq!(invariant::check(&run.events), Ok(()));
}

#[test]
fn nothing_of_a_process_concerns_it() {
    let mut run = Run::queued(spec());
    let nothing = effects(vec![], vec![]);
    for fact in [
        Fact::Recovered,
        Fact::ShimGone,
        Fact::Hub(HubWord::Drains(StopReason::HubShutdown)),
        Fact::HostRebooted {
            detail: "b".to_string(),
        },
        Fact::NeverStarted {
            detail: String::new(),
        },
    ] {
        assert_eq!(run.fact(5, fact), nothing);
    }
    for timer in Timer::ALL {
        assert_eq!(run.timer(6, timer), nothing);
    }
    assert_eq!(run.restart(7), nothing);
    assert_eq!(run.task.phase(), Phase::Queued);
}

#[test]
fn a_new_name_is_kept_when_its_turn_comes() {
    let mut run = Run::queued(spec());
    run.feed(
        3,
        Input::Command(Command::Rename {
            name: "n".to_string(),
            by: person(),
        }),
    );
    run.turn(5, SessionPlan::Fresh);
    assert_eq!(run.task.spec.name.as_deref(), Some("n"));
    assert_eq!(Task::fold(&run.events), Some(run.task.clone()));
}

#[test]
fn one_that_has_started_cannot_be_refused_any_more() {
    let mut run = Run::running(spec());
    let detail = "late".to_string();
    assert_eq!(
        run.fact(9, Fact::StartRefused { detail }),
        effects(vec![], vec![])
    );
}
