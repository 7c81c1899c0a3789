//! The invariants hold of good histories and name what is wrong with bad ones.

use lifecycle::event::BindKind;
use lifecycle::{Event, EventBody, SessionPlan, invariant};
use protocol::vocab::IntentOutcome;
use protocol::{ArchiveReason, Basis, Exit, FinishedBasis, Status, StopReason, TaskId};

use crate::support::*;

/// Stopped by a person, with a session.
fn history() -> Vec<Event> {
    let mut run = Run::running(with_session(SessionPlan::Chosen(session("s-1"))));
    run.stop(10, StopReason::User);
    run.record(intent(11, 1));
    run.record(signalled(12, 1, TERM));
    run.finish(15, signal(TERM));
    run.events
}

fn index_of(events: &[Event], kind: &str) -> usize {
    let found = events.iter().position(|event| event.body.kind() == kind);
    found.expect("it is part of the history")
}

fn without(kind: &str) -> Vec<Event> {
    let mut events = history();
    let at = index_of(&events, kind);
    events.remove(at);
    events
}

/// The history with another end.
fn with_end(change: impl FnOnce(&mut lifecycle::event::Ending)) -> Vec<Event> {
    let mut events = history();
    let last = events.last_mut().expect("it has ended");
    if let EventBody::Ended(ending) = &mut last.body {
        change(ending);
    }
    events
}

#[test]
fn a_good_history_and_every_beginning_of_it_pass() {
    let events = history();
    for length in 1..=events.len() {
        assert_eq!(invariant::check(&events[..length]), Ok(()));
    }
}

/// Ended for want of memory, as it says.
fn out_of_memory(seen: i64, since: i64, lives: bool, exit: Exit) -> Vec<Event> {
    let mut run = Run::running(spec());
    run.record(oom(seen, since, lives));
    run.finish(seen, exit);
    let last = run.events.last_mut().expect("it has ended");
    if let EventBody::Ended(ending) = &mut last.body {
        (ending.status, ending.reason, ending.basis) = OOM_KILLED;
    }
    run.events
}

#[test]
fn an_end_for_want_of_memory_passes() {
    let events = out_of_memory(5, 1, false, signal(KILL));
    assert_eq!(invariant::check(&events), Ok(()));
}

#[test]
fn every_kind_of_damage_is_named() {
    let mut twice = history();
    twice.push(twice[twice.len() - 1].clone());
    let mut unordered = history();
    let first = index_of(&unordered, "task.claimed");
    unordered.swap(first, first + 1);
    let mut unsettled = without("session.quarantined");
    let again = event(1, bound("s-1", BindKind::Confirmed));
    unsettled.insert(2, again);
    let cases: [(&str, Vec<Event>); 17] = [
        ("begin", without("task.admitted")),
        ("end", twice),
        ("end", with_end(|end| end.status = Status::Success)),
        ("declared", without("task.stop_journalled")),
        (
            "declared",
            with_end(|end| end.reason = ArchiveReason::RunnerStop),
        ),
        (
            "declared",
            with_end(|end| {
                end.basis = Basis::Observed;
                end.status = Status::Interrupted;
                end.intents[0].1 = IntentOutcome::Superseded;
            }),
        ),
        ("exit", without("task.exited")),
        ("exit", with_end(|end| end.exit = Some(code(143)))),
        ("figures", with_end(|end| end.usage.turns = Some(0))),
        ("intents", with_end(|end| end.intents.clear())),
        (
            "intents",
            with_end(|end| end.intents[0].1 = IntentOutcome::Pending),
        ),
        ("journal", unordered),
        ("oom", out_of_memory(5, 1, false, signal(TERM))),
        ("oom", out_of_memory(5, 1, true, signal(KILL))),
        ("oom", out_of_memory(1_005, 1, false, signal(KILL))),
        ("session", unsettled),
        (
            "times",
            with_end(|end| end.finished_basis = FinishedBasis::Detected),
        ),
    ];
    for (name, events) in cases {
        let violation = invariant::check(&events).expect_err(name);
        assert_eq!(violation.invariant, name, "{violation}");
        assert!(violation.task.is_some(), "{violation}");
    }
}

#[test]
fn a_log_of_several_tasks_is_sorted_first() {
    let other = TaskId::new("t2").expect("a legal id");
    let damaged = with_end(|end| end.exit = Some(code(0)));
    let mut log = Vec::new();
    for (good, bad) in history().into_iter().zip(damaged) {
        log.push(good);
        log.push(Event {
            task_id: Some(other.clone()),
            ..bad
        });
    }
    log.push(Event {
        task_id: None,
        ..event(
            99,
            EventBody::SupervisorStopped {
                pid: 1,
                left_running: 0,
            },
        )
    });
    let violations = invariant::check_all(&log).expect_err("one of them is damaged");
    let found: Vec<_> = violations.iter().map(|v| (v.invariant, &v.task)).collect();
    assert_eq!(found, [("exit", &Some(other))]);
}
