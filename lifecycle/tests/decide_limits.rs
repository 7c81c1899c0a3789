//! Limits and their timers.

use lifecycle::{Action, Effects, EventBody, Fact, Limits, LinkKind, SessionPlan, TaskSpec, Timer};
use protocol::shim::{ProgressReport, Usage};
use protocol::{ArchiveReason, Basis, Status, StopReason};

use crate::support::*;

const LIMITS: Limits = Limits {
    timeout_ms: Some(10_000),
    idle_timeout_ms: Some(1_000),
    start_timeout_ms: Some(500),
    grace_ms: 5_000,
    memory_bytes: None,
    max_cost_micros: None,
};

fn limited() -> TaskSpec {
    TaskSpec {
        limits: LIMITS,
        ..spec()
    }
}

fn by_limit(reason: StopReason) -> EventBody {
    EventBody::StopRequested {
        intent_id: 1,
        reason,
        requested_by: supervisor(),
        note: None,
        grace_ms: 5_000,
        joined: false,
    }
}

fn stopped(ms: i64, reason: StopReason) -> Effects {
    effects(
        vec![event(ms, by_limit(reason))],
        vec![send(1, reason, 5_000), arm(Timer::Answer, ms + 2_000)],
    )
}

#[test]
fn limits_are_armed_with_the_admission_and_the_exec() {
    let (_, first) = lifecycle::admit::admit(limited(), at(0));
    let armed = vec![
        Action::SpawnShim,
        arm(Timer::Start, 500),
        arm(Timer::Timeout, 10_000),
    ];
    assert_eq!(first.actions, armed);
    let mut run = Run::admitted(limited());
    run.record(claimed(1));
    assert_eq!(
        run.record(execd(2)).actions,
        [arm(Timer::Idle, 1_002), ack(2)]
    );
}

#[test]
fn output_or_a_session_disarms_the_start_limit_once() {
    let mut run = Run::running(limited());
    assert_eq!(
        run.record(output(3)).actions,
        [Action::Disarm(Timer::Start), ack(3)]
    );
    assert_eq!(run.record(seen(4, "s-1")).actions, [ack(4)]);
    let mut run = Run::running(limited());
    assert_eq!(
        run.record(seen(3, "s-1")).actions,
        [Action::Disarm(Timer::Start), ack(3)]
    );
    assert_eq!(run.record(output(4)).actions, [ack(4)]);
}

#[test]
fn no_sign_of_life_in_time() {
    let mut run = Run::running(limited());
    assert_eq!(
        run.timer(500, Timer::Start),
        stopped(500, StopReason::StartTimeout)
    );
    run.record(intent(501, 1));
    run.record(signalled(502, 1, TERM));
    run.finish(503, signal(TERM));
    let expected = (
        Status::Cancelled,
        ArchiveReason::StartTimeout,
        Basis::Declared,
    );
    assert_eq!(run.verdict(), expected);
    assert_eq!(run.ending().ended_by.as_deref(), Some("supervisor"));
}

/// Bug: a confirmed session disarmed the limit, and did not count when the
/// limit was armed again after a restart.
#[test]
fn a_confirmed_session_is_a_sign_of_life() {
    let plan = SessionPlan::Chosen(session("s-1"));
    let mut run = Run::running(TaskSpec {
        session: plan,
        ..limited()
    });
    run.record(seen(3, "s-1"));
    assert!(run.task.shows_life());
    assert_eq!(run.timer(500, Timer::Start), Effects::default());
}

#[test]
fn it_runs_too_long() {
    let mut run = Run::running(limited());
    run.record(output(3));
    assert_eq!(
        run.timer(10_000, Timer::Timeout),
        stopped(10_000, StopReason::Timeout)
    );
}

#[test]
fn silence_is_measured_from_the_last_output() {
    let mut run = Run::running(limited());
    let report = ProgressReport {
        at: at(700),
        ..ProgressReport::default()
    };
    run.presence.note_progress(&report, at(700));
    assert_eq!(
        run.timer(1_002, Timer::Idle),
        effects(vec![], vec![arm(Timer::Idle, 1_950)])
    );
    assert_eq!(
        run.timer(1_950, Timer::Idle),
        stopped(1_950, StopReason::IdleTimeout)
    );
}

/// Bug: a shim reports once a second, and an agent that printed all the time
/// was stopped by a shorter limit, between two reports.
#[test]
fn an_agent_is_not_silent_between_two_reports() {
    let mut run = Run::running(limited());
    let mut report = |ms| {
        let report = ProgressReport {
            at: at(ms),
            ..ProgressReport::default()
        };
        run.presence.note_progress(&report, at(ms));
        run.timer(ms + 1_000, Timer::Idle)
    };
    // Only an interval after the report of 700 it is known what was printed
    // until then.
    let again = |ms| effects(vec![], vec![arm(Timer::Idle, ms)]);
    assert_eq!(report(700), again(1_950));
    assert_eq!(report(1_702), again(2_952));
    assert_eq!(
        run.timer(2_952, Timer::Idle),
        stopped(2_952, StopReason::IdleTimeout)
    );
}

#[test]
fn limits_do_nothing_once_the_end_is_under_way() {
    let mut stopped = Run::running(limited());
    stopped.stop(5, StopReason::User);
    let mut exited_already = Run::running(limited());
    exited_already.record(exited(5, code(0)));
    let mut lost = Run::running(limited());
    lost.fact(5, Fact::ShimGone);
    // Bug: a limit stopped what had failed to start.
    let mut failed = Run::admitted(limited());
    failed.record(claimed(1));
    failed.record(spawn_failed(2));
    for mut run in [stopped, exited_already, lost, failed] {
        for timer in [Timer::Start, Timer::Timeout, Timer::Idle] {
            assert_eq!(run.timer(50_000, timer), Effects::default());
        }
    }
}

#[test]
fn after_a_restart_the_run_time_counts_from_the_facts() {
    let mut run = Run::running(limited());
    run.record(output(3));
    let armed = run.restart(4_000);
    assert_eq!(
        armed,
        effects(
            vec![],
            vec![arm(Timer::Timeout, 10_000), arm(Timer::Idle, 5_000)]
        )
    );
}

/// Bug: what the agent had printed while no supervisor listened was taken for
/// silence, and a healthy agent was stopped at the next boot.
#[test]
fn the_supervisors_absence_is_not_the_agents_silence() {
    let mut run = Run::running(limited());
    let armed = run.restart(60_000);
    assert_eq!(
        armed,
        effects(
            vec![],
            vec![
                arm(Timer::Start, 60_500),
                arm(Timer::Timeout, 10_000),
                arm(Timer::Idle, 61_000)
            ]
        )
    );
    // Without the shim nobody knows what it prints.
    assert_eq!(
        run.timer(60_500, Timer::Start),
        effects(vec![], vec![arm(Timer::Start, 61_000)])
    );
    assert_eq!(
        run.timer(61_000, Timer::Idle),
        effects(vec![], vec![arm(Timer::Idle, 62_000)])
    );
    run.fact(61_500, Fact::LinkUp(LinkKind::Adopted(shim())));
    run.presence = attached();
    assert_eq!(
        run.timer(62_000, Timer::Idle),
        effects(vec![], vec![arm(Timer::Idle, 62_500)])
    );
    assert_eq!(
        run.timer(62_500, Timer::Idle),
        stopped(62_500, StopReason::IdleTimeout)
    );
}

#[test]
fn the_run_time_ends_it_with_or_without_a_link() {
    let mut run = Run::running(limited());
    run.restart(60_000);
    assert_eq!(
        run.timer(60_000, Timer::Timeout),
        stopped(60_000, StopReason::Timeout)
    );
}

/// What it costs is told with its progress, long before it is recorded.
#[test]
fn a_budget_that_is_used_up_ends_it() {
    let spec = TaskSpec {
        limits: Limits {
            max_cost_micros: Some(500_000),
            ..Limits::default()
        },
        ..spec()
    };
    let costs = |cost_usd| {
        Fact::Progress(ProgressReport {
            usage: Usage {
                cost_usd: Some(cost_usd),
                ..Usage::default()
            },
            ..ProgressReport::default()
        })
    };
    let mut run = Run::admitted(spec);
    run.record(claimed(1));
    run.record(execd(2));
    assert_eq!(run.fact(3, costs(0.5)), Effects::default());
    let stop = run.fact(4, costs(0.500_001));
    let asked = |event: &lifecycle::Event| matches!(event.body, EventBody::StopRequested { reason, .. } if reason == StopReason::Budget);
    assert!(stop.events.iter().any(asked), "{stop:?}");
    assert_eq!(run.fact(5, costs(0.6)), Effects::default(), "once");
}
