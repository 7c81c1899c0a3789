//! What a task's end means for its conversation (R6).

use lifecycle::event::BindKind;
use lifecycle::{EventBody, Fact, SessionPlan, TaskSpec};
use protocol::control::OnNotFound;
use protocol::shim::{AlarmKind, ProviderError, Record, ResultRecord, Usage};
use protocol::{ArchiveReason, StopReason};

use crate::support::*;

fn chosen() -> TaskSpec {
    with_session(SessionPlan::Chosen(session("s-1")))
}

fn resumed() -> TaskSpec {
    with_session(SessionPlan::Resume(row("s-1", Usage::default())))
}

/// The events of the task's session, in order.
fn of_session(run: &Run) -> Vec<EventBody> {
    let bodies = run.events.iter().map(|event| event.body.clone());
    bodies
        .filter(|body| body.kind().starts_with("session."))
        .collect()
}

#[test]
fn a_known_session_is_bound_in_the_commit_of_the_row() {
    for (spec, how) in [(chosen(), BindKind::Chosen), (resumed(), BindKind::Resumed)] {
        let (task, first) = lifecycle::admit::admit(spec.clone(), at(0));
        let admitted = event(0, EventBody::Admitted { spec });
        assert_eq!(first.events, [admitted, event(0, bound("s-1", how))]);
        assert_eq!(task.session, Some(session("s-1")));
        assert!(!task.shows_life());
        assert_eq!(lifecycle::Task::fold(&first.events), Some(task));
    }
}

#[test]
fn a_chosen_session_that_was_never_used_is_removed() {
    let removed = EventBody::SessionRemoved {
        key: key(),
        provider: provider(),
        session_id: session("s-1"),
    };
    let detail = String::from("the claim was free");
    let mut never = Run::admitted(chosen());
    never.fact(5, Fact::NeverStarted { detail });
    let mut failed = Run::admitted(chosen());
    failed.record(claimed(1));
    failed.record(spawn_failed(2));
    failed.record(finished(3));
    // Bug: an agent that was never exec'd, as the whole journal proves.
    let mut signalled = Run::admitted(chosen());
    signalled.record(claimed(1));
    signalled.record(signal_seen(2));
    signalled.record(finished(3));
    for run in [never, failed, signalled] {
        let expected = [bound("s-1", BindKind::Chosen), removed.clone()];
        assert_eq!(of_session(&run), expected);
    }
}

#[test]
fn a_resumed_session_that_was_never_used_is_restored_as_it_was() {
    let mut run = Run::admitted(resumed());
    run.record(claimed(1));
    run.record(spawn_failed(2));
    run.record(finished(3));
    let restored = EventBody::SessionRestored {
        row: row("s-1", Usage::default()),
    };
    assert_eq!(
        of_session(&run),
        [bound("s-1", BindKind::Resumed), restored]
    );
}

#[test]
fn where_nobody_can_tell_the_session_counts_as_used() {
    let mut run = Run::admitted(resumed());
    run.record(claimed(1));
    run.fact(5, Fact::ShimGone);
    run.fact(6, Fact::TreeSwept(sweep(6)));
    assert_eq!(
        of_session(&run)[1],
        quarantined("s-1", "shim_lost", Some(Usage::default()))
    );
}

#[test]
fn only_a_success_makes_it_resumable() {
    let figures = Usage {
        turns: Some(3),
        ..Usage::default()
    };
    let mut run = Run::running(chosen());
    run.record(Record::Usage {
        at: at(5),
        usage: figures,
    });
    let end = run.finish(9, code(0));
    assert_eq!(end.events[1], event(9, resumable("s-1", figures)));
    assert_eq!(end.events[2].body.kind(), "task.ended");
}

#[test]
fn anything_else_quarantines_it_with_the_reason() {
    let mut stopped = Run::running(chosen());
    stopped.stop(5, StopReason::User);
    stopped.record(intent(6, 1));
    stopped.record(signalled(7, 1, TERM));
    stopped.finish(9, code(0));
    let mut failed = Run::running(chosen());
    failed.finish(9, code(3));
    let mut killed = Run::running(chosen());
    killed.finish(9, signal(KILL));
    let mut crashed = Run::running(chosen());
    crashed.finish(9, signal(SEGV));
    for (run, reason) in [
        (stopped, "user"),
        (failed, "failed"),
        (killed, "external_signal"),
        (crashed, "crashed"),
    ] {
        let expected = quarantined("s-1", reason, Some(Usage::default()));
        assert_eq!(of_session(&run)[1], expected);
    }
}

fn provider_error(error: ProviderError) -> Record {
    told(5, error)
}

fn told(ms: i64, error: ProviderError) -> Record {
    Record::ProviderError {
        at: at(ms),
        error,
        detail: "in words".to_string(),
    }
}

#[test]
fn a_session_that_is_not_found_is_followed_once() {
    let followed = |spec: TaskSpec, stop: Option<StopReason>| {
        let mut run = Run::running(spec);
        if let Some(reason) = stop {
            run.stop(3, reason);
        }
        run.record(Record::ProviderError {
            at: at(4),
            error: ProviderError::SessionNotFound,
            detail: String::new(),
        });
        assert!(!run.task.goes_on_fresh(), "not before its end");
        run.finish(9, code(1));
        run.task.goes_on_fresh()
    };
    let resuming = || with_session(SessionPlan::Resume(row("s-1", Usage::default())));
    assert!(followed(resuming(), None));
    let user = Some(StopReason::User);
    assert!(!followed(resuming(), user), "somebody wanted it to end");
    let fails = TaskSpec {
        on_not_found: OnNotFound::Fail,
        ..resuming()
    };
    assert!(!followed(fails, None));
    let mut follower = resuming();
    follower.links.fresh_after = Some(task_id());
    assert!(
        !followed(follower, None),
        "its own is no reason for a third"
    );
}

/// Bug: a hook of a fresh task printed such words, and its prompt was run twice.
#[test]
fn who_resumed_nothing_misses_no_session() {
    for plan in [SessionPlan::Fresh, SessionPlan::Chosen(session("s-1"))] {
        let mut run = Run::running(with_session(plan));
        run.record(told(5, ProviderError::SessionNotFound));
        run.finish(9, code(1));
        assert_eq!(run.verdict().1, ArchiveReason::Failed);
        assert!(!run.task.goes_on_fresh());
    }
}

/// An id that is only an echo of the one asked for, and output alone, show no
/// conversation: some CLIs repeat the id before they have looked for it. Another id, or
/// figures, do.
#[test]
fn a_session_that_went_on_was_found() {
    for (shown, goes_on) in [
        (output(4), false),
        (seen(4, "s-1"), false),
        (seen(4, "s-2"), true),
        (tokens(4), true),
    ] {
        for before in [true, false] {
            let mut run = Run::running(resumed());
            if before {
                run.record(shown.clone());
            }
            run.record(told(5, ProviderError::SessionNotFound));
            if !before {
                run.record(shown.clone());
            }
            run.record(result_of_nothing(7));
            run.finish(9, code(1));
            let missing = run.verdict().1 == ArchiveReason::SessionNotFound;
            assert_eq!(missing, !goes_on, "{shown:?}");
            assert_eq!(run.task.goes_on_fresh(), missing);
        }
    }
    let mut run = Run::running(resumed());
    run.record(told(5, ProviderError::SessionNotFound));
    run.record(Record::Result(ResultRecord {
        usage: Usage {
            turns: Some(1),
            ..Usage::default()
        },
        ..result_of(6, false)
    }));
    run.finish(9, code(1));
    assert_eq!(run.verdict().1, ArchiveReason::Failed);
    // Such words hide nothing that explains the end.
    let mut run = Run::running(spec());
    run.record(told(4, ProviderError::Transient));
    run.record(told(5, ProviderError::SessionNotFound));
    let transient = (ProviderError::Transient, "in words".to_string());
    assert_eq!(run.task.provider_error, Some(transient));
    run.record(told(6, ProviderError::MissingSkill));
    run.finish(9, code(1));
    assert_eq!(run.verdict().1, ArchiveReason::AbortedNoSkill);
}

fn tokens(ms: i64) -> Record {
    Record::Usage {
        at: at(ms),
        usage: Usage {
            output_tokens: Some(1),
            ..Usage::default()
        },
    }
}

fn result_of_nothing(ms: i64) -> Record {
    Record::Result(ResultRecord {
        usage: Usage {
            turns: Some(0),
            ..Usage::default()
        },
        ..result_of(ms, false)
    })
}

#[test]
fn a_transient_failure_says_so() {
    let mut failed = Run::running(resumed());
    failed.record(provider_error(ProviderError::Transient));
    failed.finish(9, code(1));
    assert_eq!(
        of_session(&failed)[1],
        quarantined("s-1", "transient", Some(Usage::default()))
    );
    // It did not end for that: somebody stopped it.
    let mut stopped = Run::running(resumed());
    stopped.record(provider_error(ProviderError::Transient));
    stopped.stop(6, StopReason::User);
    stopped.record(intent(7, 1));
    stopped.record(signalled(8, 1, TERM));
    stopped.finish(9, code(1));
    assert_eq!(
        of_session(&stopped)[1],
        quarantined("s-1", "user", Some(Usage::default()))
    );
}

/// Bug: a crash after an overcome hiccup was called transient.
#[test]
fn a_crash_is_not_transient() {
    let mut run = Run::running(resumed());
    run.record(provider_error(ProviderError::Transient));
    run.finish(9, signal(SEGV));
    assert_eq!(
        of_session(&run)[1],
        quarantined("s-1", "crashed", Some(Usage::default()))
    );
}

#[test]
fn a_session_that_the_output_tells_is_bound_at_once() {
    let mut run = Run::running(spec());
    assert_eq!(
        run.record(seen(4, "s-9")),
        effects(
            vec![of_record(3, 4, bound("s-9", BindKind::Reported))],
            vec![ack(3)]
        )
    );
    assert_eq!(run.task.session, Some(session("s-9")));
    run.finish(9, code(0));
    assert_eq!(of_session(&run)[1], resumable("s-9", Usage::default()));
}

#[test]
fn a_session_that_was_known_is_confirmed() {
    let mut run = Run::running(chosen());
    assert_eq!(
        run.record(seen(4, "s-1")),
        effects(
            vec![of_record(3, 4, bound("s-1", BindKind::Confirmed))],
            vec![ack(3)]
        )
    );
}

#[test]
fn another_id_than_the_known_one_takes_its_place_and_the_first_is_kept() {
    let mut run = Run::running(resumed());
    assert_eq!(
        run.record(seen(4, "s-2")),
        effects(
            vec![
                of_record(3, 4, quarantined("s-1", "replaced by session s-2", None)),
                of_record(3, 4, bound("s-2", BindKind::Reported)),
            ],
            vec![ack(3)]
        )
    );
    run.finish(9, code(0));
    let last = of_session(&run).pop();
    assert_eq!(last, Some(resumable("s-2", Usage::default())));
}

#[test]
fn an_impossible_id_is_an_alarm() {
    let mut run = Run::running(spec());
    let alarm = EventBody::Alarm {
        kind: AlarmKind::InvalidSessionId,
        detail: "the output names the session id \"--rm\", which cannot be one".to_string(),
    };
    assert_eq!(
        run.record(seen(4, "--rm")),
        effects(vec![of_record(3, 4, alarm)], vec![ack(3)])
    );
    assert_eq!(run.task.session, None);
}
