//! Signals that nobody declared: at the shim, before and after the exit.

use lifecycle::EventBody;
use protocol::vocab::IntentOutcome;
use protocol::{Exit, StopReason};

use crate::support::*;

const BY_ROOT: Option<&str> = Some("uid:0 comm:kill");

#[test]
fn a_signal_at_the_shim_ends_the_task_from_outside() {
    for exit in [signal(TERM), signal(KILL), code(0), code(143)] {
        let mut run = Run::running(spec());
        let body = EventBody::SignalSeen {
            signal: TERM,
            sender: sender(),
        };
        assert_eq!(
            run.record(signal_seen(5)),
            effects(vec![of_record(3, 5, body)], vec![ack(3)])
        );
        run.record(signalled_record(at(6), None, TERM));
        run.finish(9, exit.clone());
        assert_eq!(run.ending(), &ending(KILLED, BY_ROOT, Some(exit), 9));
    }
}

#[test]
fn the_kernel_as_the_sender_is_named() {
    let mut run = Run::running(spec());
    run.record(protocol::shim::Record::SignalSeen {
        at: at(5),
        signal: 1,
        sender: protocol::shim::SenderRecord::default(),
    });
    run.finish(9, signal(1));
    assert_eq!(run.ending().ended_by.as_deref(), Some("kernel"));
}

#[test]
fn an_intent_in_the_journal_comes_before_a_signal_at_the_shim() {
    let mut run = Run::running(spec());
    run.stop(4, StopReason::User);
    run.record(intent(5, 1));
    run.record(signal_seen(6));
    run.record(signalled(7, 1, TERM));
    run.finish(9, signal(TERM));
    assert_eq!(run.verdict(), CANCELLED);
}

#[test]
fn a_signal_at_the_shim_comes_before_an_intent_that_it_journals_later() {
    let mut run = Run::running(spec());
    run.stop(4, StopReason::User);
    run.record(signal_seen(5));
    run.record(intent(6, 1));
    run.record(signalled(7, 1, TERM));
    run.finish(9, signal(TERM));
    assert_eq!(run.verdict(), KILLED);
    assert_eq!(run.outcomes(), [IntentOutcome::Superseded]);
}

#[test]
fn a_signal_at_the_shim_right_after_the_exit_explains_it() {
    let unknown = Exit::Unknown {
        why: "reaped by another".to_string(),
    };
    for exit in [signal(TERM), signal(KILL), code(143), code(130), unknown] {
        let mut run = Run::running(spec());
        run.record(exited(10, exit.clone()));
        run.record(signal_seen(10 + 22));
        run.record(swept(33));
        run.record(finished(33));
        assert_eq!(run.verdict(), KILLED, "{exit}");
        assert_eq!(run.ending().ended_by.as_deref(), BY_ROOT);
        assert_eq!(run.ending().exit, Some(exit));
    }
}

/// Bug: in a unit that systemd stops, an agent that traps TERM and exits
/// before its shim gets the signal was called `completed` or `failed`.
#[test]
fn any_end_without_a_result_may_be_the_answer_to_a_signal_that_the_shim_saw_later() {
    for end in [code(0), code(1)] {
        let mut run = Run::running(spec());
        run.record(exited(10, end));
        run.record(signal_seen(13));
        run.record(finished(14));
        assert_eq!(run.verdict(), KILLED);
    }
}

#[test]
fn a_signal_after_the_settle_window_explains_nothing() {
    for (exit, verdict) in [
        (signal(TERM), KILLED),
        (code(143), FAILED),
        (code(0), SUCCESS),
    ] {
        let mut run = Run::running(spec());
        run.record(exited(10, exit));
        run.record(signal_seen(10 + 23));
        run.record(finished(40));
        assert_eq!(run.verdict(), verdict);
        assert_ne!(run.ending().ended_by.as_deref(), BY_ROOT);
    }
}

/// Bug: a crash within the window was blamed on the signal.
#[test]
fn a_crash_is_the_agents_own_whatever_the_shim_sees_later() {
    let mut run = Run::running(spec());
    run.record(exited(10, signal(SEGV)));
    run.record(signal_seen(12));
    run.record(finished(14));
    assert_eq!(run.verdict(), CRASHED);
}

#[test]
fn a_result_before_the_signal_is_an_end_by_itself() {
    let mut run = Run::running(promising());
    run.record(result(8, true));
    run.record(signal_seen(9));
    run.finish(10, signal(TERM));
    assert_eq!(run.verdict(), SUCCESS);
}

#[test]
fn a_superseded_intent_is_not_replaced_by_a_later_signal() {
    let mut run = Run::running(spec());
    run.stop(4, StopReason::User);
    run.record(intent(5, 1));
    run.record(superseded(6, 1, protocol::shim::SupersededBy::Zombie));
    run.record(signal_seen(7));
    run.finish(8, code(0));
    assert_eq!(run.verdict(), SUCCESS);
}

/// Bug: systemd had ended shim and agent; a stop came too late, and the end was
/// nobody's although the shim knew whose signal it was.
#[test]
fn a_death_by_signal_that_an_intent_came_too_late_for_is_explained_by_the_shims_own() {
    for seen_first in [true, false] {
        let mut run = Run::running(spec());
        run.stop(4, StopReason::User);
        run.record(intent(5, 1));
        run.record(superseded(6, 1, protocol::shim::SupersededBy::Zombie));
        if seen_first {
            run.record(signal_seen(7));
        }
        run.record(exited(8, signal(TERM)));
        if !seen_first {
            run.record(signal_seen(9));
        }
        run.record(finished(12));
        assert_eq!(run.verdict(), KILLED);
        assert_eq!(run.ending().ended_by.as_deref(), BY_ROOT);
    }
}
