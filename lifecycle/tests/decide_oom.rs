//! Kills by the kernel for want of memory.

use lifecycle::{Effects, EventBody, Fact};
use protocol::StopReason;
use protocol::shim::OomRecord;

use crate::support::*;

fn killed_after(seen: protocol::shim::Record) -> Run {
    let mut run = Run::running(spec());
    run.record(seen);
    run.finish(2_000, signal(KILL));
    run
}

#[test]
fn a_kill_right_before_the_end_is_the_reason() {
    let mut run = Run::running(spec());
    assert_eq!(
        run.record(oom(2_000, 1_600, false)),
        effects(
            vec![of_record(
                3,
                2_000,
                EventBody::OutOfMemory(oom_of(2_000, 1_600, false))
            )],
            vec![ack(3)]
        )
    );
    run.finish(2_000, signal(KILL));
    let expected = ending(OOM_KILLED, Some("kernel"), Some(signal(KILL)), 2_000);
    assert_eq!(run.ending(), &expected);
}

#[test]
fn a_second_is_as_long_as_a_kill_may_explain_an_end() {
    assert_eq!(killed_after(oom(2_000, 1_000, false)).verdict(), OOM_KILLED);
    assert_eq!(killed_after(oom(2_000, 999, false)).verdict(), KILLED);
}

#[test]
fn a_kill_of_a_child_explains_no_later_end() {
    assert_eq!(killed_after(oom(1_999, 1_900, true)).verdict(), KILLED);
    let mut run = Run::running(spec());
    run.record(oom(5, 1, true));
    run.stop(6, StopReason::User);
    run.record(intent(7, 1));
    run.record(signalled(8, 1, TERM));
    run.finish(9, signal(KILL));
    assert_eq!(run.verdict(), CANCELLED);
}

#[test]
fn an_intent_or_a_signal_at_the_shim_comes_before_it() {
    let mut run = Run::running(spec());
    run.stop(6, StopReason::User);
    run.record(intent(7, 1));
    run.record(signalled(8, 1, TERM));
    run.record(oom(9, 8, false));
    run.finish(9, signal(KILL));
    assert_eq!(run.verdict(), CANCELLED);
    let mut run = Run::running(spec());
    run.record(signal_seen(5));
    run.record(oom(9, 8, false));
    run.finish(9, signal(KILL));
    assert_eq!(run.verdict(), KILLED);
}

#[test]
fn only_sigkill_is_explained_by_it() {
    for (end, verdict) in [
        (signal(TERM), KILLED),
        (signal(SEGV), CRASHED),
        (code(137), FAILED),
        (code(0), SUCCESS),
    ] {
        let mut run = Run::running(spec());
        run.record(oom(9, 8, false));
        run.finish(9, end);
        assert_eq!(run.verdict(), verdict);
    }
}

#[test]
fn what_is_seen_behind_the_exit_explains_nothing() {
    let mut run = Run::running(spec());
    run.record(exited(9, signal(KILL)));
    run.record(oom(10, 8, false));
    run.record(swept(11));
    run.record(finished(11));
    assert_eq!(run.verdict(), KILLED);
}

#[test]
fn behind_a_dead_shim_the_count_is_evidence_and_no_reason() {
    let mut run = Run::running(spec());
    run.record(oom(5, 1, true));
    let count = |kills| Fact::OutOfMemory { kills };
    assert_eq!(run.fact(6, count(1)), Effects::default(), "known");
    let seen = OomRecord {
        kills: 3,
        ..oom_of(7, 5, false)
    };
    let expected = effects(vec![event(7, EventBody::OutOfMemory(seen))], vec![]);
    assert_eq!(run.fact(7, count(3)), expected);
    run.fact(8, Fact::ShimGone);
    assert_eq!(run.fact(8, count(4)), Effects::default(), "too late");
    run.fact(9, Fact::TreeSwept(sweep(9)));
    assert_eq!(run.verdict(), SHIM_LOST);
    assert_eq!(run.fact(10, count(5)), Effects::default());
}
