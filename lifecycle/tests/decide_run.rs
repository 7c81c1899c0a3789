//! Lives that nobody disturbs.

use lifecycle::event::Ending;
use lifecycle::{Action, EventBody, Fact, Policy, SessionPlan, TaskSpec, Timer};
use protocol::shim::{ProviderError, Record, SpawnStage, Usage};
use protocol::vocab::SignalledBy;
use protocol::{ArchiveReason, Basis, Exit, FinishedBasis, Phase, Status};

use crate::support::*;

#[test]
fn the_row_is_committed_before_the_shim_is_spawned() {
    let (task, first) = lifecycle::admit::admit(spec(), at(0));
    let admitted = event(0, EventBody::Admitted { spec: spec() });
    assert_eq!(first, effects(vec![admitted], vec![Action::SpawnShim]));
    assert_eq!(task.phase(), Phase::Starting);
    assert_eq!(lifecycle::Task::fold(&first.events), Some(task));
}

#[test]
fn a_happy_run_record_by_record() {
    let mut run = Run::admitted(spec());
    let claim = EventBody::Claimed { shim: shim() };
    assert_eq!(
        run.record(claimed(1)),
        effects(vec![of_record(1, 1, claim)], vec![ack(1)])
    );
    let started = EventBody::Started {
        agent: agent(),
        program: "/bin/demo".to_string(),
    };
    assert_eq!(
        run.record(execd(2)),
        effects(vec![of_record(2, 2, started)], vec![ack(2)])
    );
    assert_eq!(run.task.phase(), Phase::Running);
    assert_eq!(run.task.agent(), Some(&agent()));
    assert_eq!(
        run.record(output(3)),
        effects(
            vec![of_record(3, 3, EventBody::FirstOutput {})],
            vec![ack(3)]
        )
    );
    let exit = EventBody::Exited { exit: code(0) };
    assert_eq!(
        run.record(exited(9, code(0))),
        effects(vec![of_record(4, 9, exit)], vec![ack(4)])
    );
    assert_eq!(run.task.phase(), Phase::Stopping);
    assert_eq!(run.task.agent(), None);
    let tree = EventBody::Swept {
        sweep: sweep(10),
        by: SignalledBy::Shim,
    };
    assert_eq!(
        run.record(swept(10)),
        effects(vec![of_record(5, 10, tree)], vec![ack(5)])
    );
    let last = EventBody::Finished {
        output_bytes: (10, 2),
        gap_bytes: (0, 0),
    };
    let end = EventBody::Ended(ending(SUCCESS, Some("agent"), Some(code(0)), 9));
    assert_eq!(
        run.record(finished(11)),
        effects(vec![of_record(6, 11, last), event(11, end)], last_ack(6))
    );
    assert_eq!(run.task.phase(), Phase::Ended);
}

#[test]
fn an_agent_that_cannot_be_started_is_spawn_failed_with_what_the_kernel_said() {
    let mut run = Run::admitted(spec());
    run.record(claimed(1));
    let failure = EventBody::SpawnFailed {
        stage: SpawnStage::Search,
        errno: 2,
        path: "nothing".to_string(),
    };
    assert_eq!(
        run.record(spawn_failed(4)),
        effects(vec![of_record(2, 4, failure)], vec![ack(2)])
    );
    assert_eq!(run.task.phase(), Phase::Stopping);
    let last = EventBody::Finished {
        output_bytes: (10, 2),
        gap_bytes: (0, 0),
    };
    let verdict = (Status::Failure, ArchiveReason::SpawnFailed, Basis::Observed);
    let end = EventBody::Ended(ending(verdict, None, None, 4));
    assert_eq!(
        run.record(finished(5)),
        effects(vec![of_record(3, 5, last), event(5, end)], last_ack(3))
    );
}

#[test]
fn the_shim_may_die_after_a_failed_start_and_nothing_is_swept() {
    let mut run = Run::admitted(spec());
    run.record(claimed(1));
    run.record(spawn_failed(4));
    let verdict = (Status::Failure, ArchiveReason::SpawnFailed, Basis::Observed);
    let end = EventBody::Ended(ending(verdict, None, None, 4));
    assert_eq!(
        run.fact(50, Fact::ShimGone),
        effects(vec![event(50, end)], farewell())
    );
}

#[test]
fn a_supervisor_that_wins_the_claim_knows_that_it_never_started() {
    let mut run = Run::admitted(spec());
    let detail = "the claim was free".to_string();
    let never = EventBody::NeverStarted {
        detail: detail.clone(),
        intent_id: None,
    };
    let verdict = (
        Status::Interrupted,
        ArchiveReason::SpawnFailed,
        Basis::Inferred,
    );
    // It was never alive: the admission is the last that is known.
    let end = EventBody::Ended(Ending {
        finished_basis: FinishedBasis::Detected,
        last_seen_at: at(0),
        ..ending(verdict, None, None, 70)
    });
    assert_eq!(
        run.fact(70, Fact::NeverStarted { detail }),
        effects(vec![event(70, never), event(70, end)], farewell())
    );
}

/// What the supervisor saw itself is observed: it is no loss, and no guess.
#[test]
fn a_shim_that_cannot_be_started_is_spawn_failed_with_what_the_kernel_said() {
    let mut run = Run::admitted(spec());
    let failure = EventBody::SpawnFailed {
        stage: SpawnStage::Shim,
        errno: 11,
        path: "/opt/agent-shim".to_string(),
    };
    let verdict = (Status::Failure, ArchiveReason::SpawnFailed, Basis::Observed);
    let end = EventBody::Ended(Ending {
        last_seen_at: at(0),
        ..ending(verdict, None, None, 4)
    });
    assert_eq!(
        run.fact(4, start_failed()),
        effects(vec![event(4, failure), event(4, end)], farewell())
    );
}

#[test]
fn the_exit_speaks_where_nobody_declared_anything() {
    let crashed = Exit::Signaled {
        signal: SEGV,
        core: true,
    };
    for (exit, verdict, by) in [
        (code(0), SUCCESS, Some("agent")),
        (code(3), FAILED, Some("agent")),
        // A real exit with 143 is an exit, never a signal.
        (code(143), FAILED, Some("agent")),
        (signal(TERM), KILLED, None),
        (signal(KILL), KILLED, None),
        (crashed, CRASHED, Some("agent")),
        (signal(6), CRASHED, Some("agent")),
    ] {
        let mut run = Run::running(spec());
        run.finish(9, exit.clone());
        let expected = Ending {
            ..ending(verdict, by, Some(exit), 9)
        };
        assert_eq!(run.ending(), &expected);
    }
}

#[test]
fn a_result_is_the_providers_own_word() {
    // Each with what the process did afterwards.
    for (success, exit, verdict) in [
        (true, code(0), SUCCESS),
        (true, code(1), SUCCESS),
        (true, signal(KILL), SUCCESS),
        (false, code(0), FAILED),
        (false, code(1), FAILED),
        (false, signal(TERM), FAILED),
    ] {
        let mut run = Run::running(promising());
        run.record(result(5, success));
        run.finish(9, exit.clone());
        assert_eq!(run.verdict(), verdict, "{success} {exit}");
        assert_eq!(run.ending().exit, Some(exit));
    }
}

#[test]
fn exit_0_without_the_promised_result_is_a_failure() {
    let mut run = Run::running(promising());
    run.finish(9, code(0));
    assert_eq!(run.verdict(), FAILED);
}

fn provider_error(ms: i64, error: ProviderError) -> Record {
    Record::ProviderError {
        at: at(ms),
        error,
        detail: "in words".to_string(),
    }
}

#[test]
fn known_failures_have_their_own_reasons() {
    let not_found = (
        Status::Failure,
        ArchiveReason::SessionNotFound,
        Basis::Observed,
    );
    let no_skill = (
        Status::AbortedNoSkill,
        ArchiveReason::AbortedNoSkill,
        Basis::Observed,
    );
    for (error, verdict) in [
        (ProviderError::SessionNotFound, not_found),
        (ProviderError::MissingSkill, no_skill),
        (ProviderError::Transient, FAILED),
    ] {
        let mut run = Run::running(TaskSpec {
            session: SessionPlan::Resume(row("s-1", Usage::default())),
            ..promising()
        });
        run.record(provider_error(5, error));
        run.finish(9, code(1));
        assert_eq!(run.verdict(), verdict);
    }
}

#[test]
fn a_known_failure_that_was_overcome_does_not_spoil_a_success() {
    for error in [ProviderError::SessionNotFound, ProviderError::Transient] {
        let mut run = Run::running(promising());
        run.record(provider_error(5, error));
        run.record(result(6, true));
        run.finish(9, code(0));
        assert_eq!(run.verdict(), SUCCESS);
    }
}

/// Bug: the first failure hid a later one that explains the end.
#[test]
fn a_final_failure_explains_more_than_a_transient_one_before_it() {
    let mut run = Run::running(promising());
    run.record(provider_error(5, ProviderError::Transient));
    run.record(provider_error(6, ProviderError::MissingSkill));
    run.record(provider_error(7, ProviderError::SessionNotFound));
    run.finish(9, code(1));
    assert_eq!(run.verdict().1, ArchiveReason::AbortedNoSkill);
}

/// Bug: words in the output were believed although a signal ended the agent.
#[test]
fn words_in_the_output_do_not_explain_a_kill() {
    for error in [ProviderError::SessionNotFound, ProviderError::MissingSkill] {
        let mut run = Run::running(spec());
        run.record(provider_error(5, error));
        run.finish(9, signal(KILL));
        assert_eq!(run.verdict(), KILLED);
        let mut run = Run::running(spec());
        run.record(provider_error(5, error));
        run.fact(9, Fact::ShimGone);
        run.fact(10, Fact::TreeSwept(sweep(10)));
        assert_eq!(run.verdict(), SHIM_LOST);
    }
}

fn usage(turns: u64, tokens: u64, cost_usd: f64) -> Usage {
    Usage {
        turns: Some(turns),
        input_tokens: Some(tokens),
        output_tokens: None,
        cost_usd: Some(cost_usd),
    }
}

#[test]
fn newer_figures_replace_older_ones_and_what_is_not_said_stays_unknown() {
    let mut run = Run::running(spec());
    let early = usage(1, 10, 0.5);
    run.record(Record::Usage {
        at: at(3),
        usage: early,
    });
    run.record(Record::Usage {
        at: at(4),
        usage: Usage {
            turns: Some(2),
            ..Usage::default()
        },
    });
    run.finish(9, code(0));
    assert_eq!(run.ending().usage, usage(2, 10, 0.5));
}

#[test]
fn cumulative_figures_of_a_first_task_are_its_own() {
    let policy = Policy {
        cumulative_turns: true,
        cumulative_tokens: true,
        cumulative_cost: true,
        ..Policy::default()
    };
    let mut run = Run::running(lifecycle::TaskSpec { policy, ..spec() });
    run.record(Record::Usage {
        at: at(3),
        usage: usage(1, 10, 0.5),
    });
    run.finish(9, code(0));
    assert_eq!(run.ending().usage, usage(1, 10, 0.5));
}

#[test]
fn a_shim_that_finishes_without_an_exit_knows_nothing_and_says_so() {
    let mut run = Run::running(spec());
    run.record(finished(9));
    let unknown = (Status::Interrupted, ArchiveReason::Unknown, Basis::Inferred);
    assert_eq!(run.verdict(), unknown);
    let exit = run.ending().exit.clone();
    assert!(matches!(exit, Some(Exit::Unknown { .. })), "{exit:?}");
    assert_eq!(run.ending().finished_basis, FinishedBasis::Detected);
}

/// Bug: an exit was invented for a process that never was.
#[test]
fn a_shim_that_finishes_without_an_exec_has_no_exit_to_tell() {
    let mut run = Run::admitted(spec());
    run.record(claimed(1));
    run.record(signal_seen(2));
    run.record(finished(3));
    assert_eq!(run.verdict(), KILLED);
    assert_eq!(run.ending().exit, None);
}

/// Bug: a second report replaced the first.
#[test]
fn the_first_report_of_a_start_and_of_an_exit_stands() {
    let mut run = Run::running(spec());
    run.record(spawn_failed(3));
    run.record(exited(8, code(3)));
    run.finish(9, code(0));
    assert_eq!(run.verdict(), FAILED);
    assert_eq!(run.ending().exit, Some(code(3)));
    assert_eq!(run.ending().finished_at, at(8));
}

#[test]
fn timers_of_a_task_without_limits_are_never_armed() {
    let mut run = Run::running(spec());
    for timer in Timer::ALL {
        assert_eq!(run.timer(500, timer), effects(vec![], vec![]));
    }
}
