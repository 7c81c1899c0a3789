//! Somebody wants it to end.

use lifecycle::event::Ending;
use lifecycle::{Action, EventBody, Fact, LinkKind, Presence, Timer};
use protocol::shim::{AlarmKind, SupersededBy, Target};
use protocol::vocab::{IntentOutcome, SignalledBy};
use protocol::{ArchiveReason, Basis, Exit, Phase, Status, StopReason};

use crate::support::*;

/// Grace, half a second of TERM for the tree, and two to answer.
fn next_answer() -> Action {
    arm(Timer::Answer, HEARD_MS + 5_000 + 500 + 2_000)
}

#[test]
fn an_intent_is_committed_then_sent_then_journalled_then_signalled() {
    let mut run = Run::running(spec());
    assert_eq!(
        run.stop(10, StopReason::User),
        effects(
            vec![event(10, requested(1, StopReason::User, 5_000))],
            vec![send(1, StopReason::User, 5_000), arm(Timer::Answer, 2_010)]
        )
    );
    assert_eq!(run.task.phase(), Phase::Stopping);
    let journalled = EventBody::StopJournalled { intent_id: 1 };
    assert_eq!(
        run.record(intent(11, 1)),
        effects(
            vec![of_record(3, 11, journalled)],
            vec![next_answer(), ack(3)]
        )
    );
    let term = EventBody::Signalled {
        intent_id: Some(1),
        signal: TERM,
        target: Target::Group,
        by: SignalledBy::Shim,
    };
    assert_eq!(
        run.record(signalled(12, 1, TERM)),
        effects(vec![of_record(4, 12, term)], vec![next_answer(), ack(4)])
    );
    run.finish(15, signal(TERM));
    let expected = Ending {
        intents: vec![(1, IntentOutcome::Effective)],
        ..ending(
            CANCELLED,
            Some("uid:1000 comm:agentctl"),
            Some(signal(TERM)),
            15,
        )
    };
    assert_eq!(run.ending(), &expected);
    assert_eq!(run.task.intents[0].journalled_at, Some(at(11)));
    assert_eq!(
        run.task.intents[0].signalled,
        Some((at(12), SignalledBy::Shim))
    );
}

#[test]
fn whatever_the_code_the_intent_is_the_reason() {
    for exit in [code(0), code(1), code(143), signal(TERM), signal(KILL)] {
        let mut run = Run::running(promising());
        run.stop(10, StopReason::RunnerStop);
        run.record(intent(11, 1));
        run.record(signalled(12, 1, TERM));
        // What it still says of itself does not matter either.
        run.record(result(13, true));
        run.finish(15, exit.clone());
        let expected = (
            Status::Cancelled,
            ArchiveReason::RunnerStop,
            Basis::Declared,
        );
        assert_eq!(run.verdict(), expected);
        assert_eq!(run.ending().exit, Some(exit));
    }
}

#[test]
fn every_reason_has_its_status() {
    for reason in StopReason::ALL {
        let mut run = Run::running(spec());
        run.stop(10, *reason);
        run.record(intent(11, 1));
        run.record(signalled(12, 1, TERM));
        run.finish(15, signal(TERM));
        let of_the_hub = [
            StopReason::HubRestart,
            StopReason::HubShutdown,
            StopReason::HostShutdown,
        ];
        let status = if of_the_hub.contains(reason) {
            Status::Interrupted
        } else {
            Status::Cancelled
        };
        let expected = (status, ArchiveReason::from(*reason), Basis::Declared);
        assert_eq!(run.verdict(), expected);
    }
}

#[test]
fn the_first_reason_stands_and_a_later_one_may_shorten_the_grace() {
    let mut run = Run::running(spec());
    run.stop(10, StopReason::User);
    let second = run.feed(11, stop(StopReason::RunnerStop, Some(0)));
    assert_eq!(
        second,
        effects(
            vec![event(11, requested(2, StopReason::RunnerStop, 0))],
            vec![send(2, StopReason::RunnerStop, 0)]
        )
    );
    run.record(intent(12, 1));
    run.record(intent(12, 2));
    run.record(signalled(13, 1, KILL));
    run.finish(15, signal(KILL));
    assert_eq!(run.verdict(), CANCELLED);
    assert_eq!(
        run.outcomes(),
        [IntentOutcome::Effective, IntentOutcome::Joined]
    );
}

#[test]
fn the_looks_supersede_an_intent_and_the_end_is_the_agents_own() {
    for (by, exit, verdict) in [
        (SupersededBy::Zombie, code(0), SUCCESS),
        (SupersededBy::Exiting, code(3), FAILED),
        (SupersededBy::Exiting, signal(KILL), KILLED),
        (SupersededBy::Zombie, signal(SEGV), CRASHED),
    ] {
        let mut run = Run::running(spec());
        run.stop(10, StopReason::User);
        run.record(intent(11, 1));
        let gone = EventBody::StopSuperseded { intent_id: 1, by };
        assert_eq!(
            run.record(superseded(12, 1, by)),
            effects(vec![of_record(4, 12, gone)], vec![ack(4)])
        );
        // What lingers is still ended, under the same intent.
        run.record(signalled(13, 1, TERM));
        run.finish(15, exit);
        assert_eq!(run.verdict(), verdict);
        assert_eq!(run.outcomes(), [IntentOutcome::Superseded]);
    }
}

#[test]
fn a_result_before_the_signal_supersedes_the_intent() {
    for success in [true, false] {
        let mut run = Run::running(promising());
        run.stop(10, StopReason::User);
        run.record(intent(11, 1));
        run.record(result(12, success));
        run.record(superseded(12, 1, SupersededBy::Result));
        run.record(signalled(13, 1, TERM));
        run.finish(15, signal(TERM));
        assert_eq!(run.verdict(), if success { SUCCESS } else { FAILED });
    }
}

/// Bug: a shim that died between the look and its record of it left the
/// intent as the reason of an end that was the agent's own.
#[test]
fn a_result_before_the_signal_supersedes_even_where_the_look_was_not_recorded() {
    for result_first in [true, false] {
        let mut run = Run::running(promising());
        run.stop(10, StopReason::User);
        if result_first {
            run.record(result(11, true));
            run.record(intent(11, 1));
        } else {
            run.record(intent(11, 1));
            run.record(result(11, true));
        }
        run.fact(20, Fact::ShimGone);
        run.fact(30, Fact::TreeSwept(sweep(30)));
        assert_eq!(run.verdict(), SUCCESS, "result first: {result_first}");
        assert_eq!(run.outcomes(), [IntentOutcome::Superseded]);
        assert_eq!(run.ending().exit, Some(no_shim_exit()));
    }
}

/// Bug: an intent under which nothing was signalled was the reason of an exit.
#[test]
fn an_exit_before_any_signal_is_the_agents_own() {
    let mut run = Run::running(spec());
    run.stop(10, StopReason::User);
    run.record(intent(11, 1));
    run.finish(12, code(0));
    assert_eq!(run.verdict(), SUCCESS);
    assert_eq!(run.outcomes(), [IntentOutcome::Superseded]);
}

#[test]
fn a_stop_after_the_exit_is_superseded() {
    let mut run = Run::running(spec());
    run.record(exited(9, code(0)));
    run.stop(10, StopReason::User);
    run.record(intent(11, 1));
    run.record(superseded(11, 1, SupersededBy::Exited));
    run.record(swept(12));
    run.record(finished(12));
    assert_eq!(run.verdict(), SUCCESS);
    assert_eq!(run.outcomes(), [IntentOutcome::Superseded]);
}

#[test]
fn a_stop_before_the_shim_has_claimed_is_sent_behind_its_start_order() {
    let mut run = Run::admitted(spec());
    run.presence = Presence::default();
    assert_eq!(
        run.stop(1, StopReason::User),
        effects(
            vec![event(1, requested(1, StopReason::User, 5_000))],
            vec![send(1, StopReason::User, 5_000), arm(Timer::Answer, 2_001)]
        )
    );
    run.record(claimed(2));
    run.record(execd(3));
    run.record(intent(4, 1));
    run.record(signalled(5, 1, TERM));
    run.finish(6, signal(TERM));
    assert_eq!(run.verdict(), CANCELLED);
}

/// Nothing was signalled, and the intent precedes the end (I3). Bug: it ended as
/// `spawn_failed`, inferred.
#[test]
fn a_stop_under_which_the_start_is_called_off_is_the_reason() {
    let mut run = Run::admitted(spec());
    run.stop(1, StopReason::RunnerStop);
    run.stop(2, StopReason::User);
    let detail = String::from("its row was not recorded yet");
    run.fact(5, Fact::StartCalledOff { detail });
    assert_eq!(
        run.verdict(),
        (
            Status::Cancelled,
            ArchiveReason::RunnerStop,
            Basis::Declared
        )
    );
    assert_eq!(
        run.outcomes(),
        [IntentOutcome::Effective, IntentOutcome::Joined]
    );
}

/// That no shim had claimed it may have had any cause.
#[test]
fn a_stop_of_what_never_started_is_moot() {
    let mut run = Run::admitted(spec());
    run.stop(1, StopReason::User);
    let detail = String::from("the claim was free");
    run.fact(5, Fact::NeverStarted { detail });
    assert_eq!(run.verdict().1, ArchiveReason::SpawnFailed);
    assert_eq!(run.outcomes(), [IntentOutcome::Moot]);

    let mut run = Run::admitted(spec());
    run.stop(1, StopReason::User);
    run.record(claimed(2));
    run.record(spawn_failed(3));
    run.record(finished(4));
    assert_eq!(run.verdict().1, ArchiveReason::SpawnFailed);
    assert_eq!(run.outcomes(), [IntentOutcome::Moot]);
}

#[test]
fn what_the_shim_has_not_journalled_is_said_again_on_its_next_link() {
    let mut run = Run::running(spec());
    run.fact(5, Fact::LinkDown);
    run.presence.attached = false;
    run.stop(10, StopReason::User);
    run.feed(11, stop(StopReason::RunnerStop, Some(100)));
    run.presence.attached = true;
    assert_eq!(
        run.fact(20, Fact::LinkUp(LinkKind::Again(shim()))),
        effects(
            vec![],
            vec![
                send(1, StopReason::User, 5_000),
                send(2, StopReason::RunnerStop, 100)
            ]
        )
    );
    run.record(intent(21, 1));
    assert_eq!(
        run.fact(22, Fact::LinkUp(LinkKind::Again(shim()))),
        effects(vec![], vec![send(2, StopReason::RunnerStop, 100)])
    );
}

#[test]
fn a_new_supervisor_says_it_again_to_the_shim_that_it_adopts() {
    let mut run = Run::running(spec());
    run.stop(10, StopReason::User);
    assert_eq!(
        run.restart(50),
        effects(vec![], vec![arm(Timer::Answer, 2_050)])
    );
    let adopted = EventBody::Adopted { shim: shim() };
    assert_eq!(
        run.fact(60, Fact::LinkUp(LinkKind::Adopted(shim()))),
        effects(
            vec![event(60, adopted)],
            vec![send(1, StopReason::User, 5_000)]
        )
    );
}

/// It was sent from memory by a supervisor that could not record it.
#[test]
fn an_intent_of_the_shims_journal_alone_declares_and_is_told_of() {
    let mut run = Run::running(spec());
    let told = run.record(intent(11, 1));
    let kinds: Vec<&str> = told.events.iter().map(|event| event.body.kind()).collect();
    assert_eq!(
        kinds,
        ["task.stop_requested", "task.alarm", "task.stop_journalled"]
    );
    let not_durable = |event: &lifecycle::Event| {
        matches!(
            event.body,
            EventBody::Alarm {
                kind: AlarmKind::NotDurable,
                ..
            }
        )
    };
    assert!(told.events.iter().any(not_durable), "{told:?}");
    run.record(signalled(12, 1, TERM));
    run.finish(13, signal(TERM));
    assert_eq!(run.verdict(), CANCELLED);
    assert_eq!(run.outcomes(), [IntentOutcome::Effective]);
    assert_eq!(run.ending().ended_by, None, "nobody knows who had asked");
}

/// What was recorded is not told again.
#[test]
fn an_intent_that_was_recorded_is_journalled_and_no_more() {
    let mut run = Run::running(spec());
    run.stop(10, StopReason::User);
    let told = run.record(intent(11, 1));
    assert_eq!(told.events.len(), 1, "{told:?}");
}

#[test]
fn survivors_are_named_in_the_ending() {
    let mut run = Run::running(spec());
    run.stop(10, StopReason::User);
    run.record(intent(11, 1));
    run.record(signalled(12, 1, TERM));
    run.record(exited(13, signal(TERM)));
    let left = protocol::view::Survivor {
        pid: 300,
        start_time: 9,
        comm: "stuck".to_string(),
    };
    run.record(protocol::shim::Record::Swept(protocol::shim::SweepRecord {
        at: at(14),
        empty: false,
        survivors: vec![left.clone()],
        ..protocol::shim::SweepRecord::default()
    }));
    run.record(finished(15));
    assert_eq!(run.verdict(), CANCELLED);
    assert_eq!(run.ending().survivors, [left]);
}

#[test]
fn a_stop_while_the_tree_of_a_dead_shim_is_swept_does_not_change_the_reason() {
    let mut run = Run::running(spec());
    assert_eq!(
        run.fact(8, Fact::ShimGone).actions,
        [Action::SweepTree { grace_ms: 0 }]
    );
    run.stop(10, StopReason::User);
    run.fact(12, Fact::TreeSwept(sweep(12)));
    assert_eq!(run.verdict(), SHIM_LOST);
    assert_eq!(run.outcomes(), [IntentOutcome::Superseded]);
    assert_eq!(
        run.ending().exit,
        Some(Exit::Unknown {
            why: "the shim died before it could record the exit".to_string()
        })
    );
}
