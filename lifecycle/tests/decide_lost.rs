//! The shim dies, or the machine does.

use lifecycle::event::Ending;
use lifecycle::{Action, Effects, EventBody, Fact};
use protocol::shim::{AlarmKind, SweepRecord, Usage};
use protocol::view::Survivor;
use protocol::vocab::{IntentOutcome, SignalledBy};
use protocol::{ArchiveReason, Basis, Exit, FinishedBasis, Status, StopReason};

use crate::support::*;

const SWEEP: Action = Action::SweepTree { grace_ms: 0 };

fn by_supervisor(ms: i64) -> EventBody {
    EventBody::Swept {
        sweep: sweep(ms),
        by: SignalledBy::Supervisor,
    }
}

fn lost(run: &mut Run) -> Effects {
    let first = run.fact(40, Fact::ShimGone);
    assert_eq!(
        first,
        effects(vec![event(40, EventBody::ShimLost {})], vec![SWEEP])
    );
    // Said twice, it is still one loss.
    assert_eq!(run.fact(41, Fact::ShimGone), Effects::default());
    run.fact(50, Fact::TreeSwept(sweep(50)))
}

fn lost_ending(exit: Option<Exit>, last_seen_ms: i64) -> Ending {
    Ending {
        finished_basis: FinishedBasis::Detected,
        last_seen_at: at(last_seen_ms),
        ..ending(SHIM_LOST, Some("kernel"), exit, 50)
    }
}

#[test]
fn a_shim_that_dies_with_a_running_agent() {
    let mut run = Run::running(spec());
    let end = EventBody::Ended(lost_ending(Some(no_shim_exit()), 2));
    assert_eq!(
        lost(&mut run),
        effects(
            vec![event(50, by_supervisor(50)), event(50, end)],
            farewell()
        )
    );
}

#[test]
fn the_kernel_may_tell_what_the_shim_could_not() {
    for exit in [code(7), signal(KILL)] {
        let mut run = Run::running(spec());
        // Not while the shim may tell it itself.
        let told = || Fact::ExitLearned(exit.clone());
        assert_eq!(run.fact(39, told()), Effects::default());
        run.fact(40, Fact::ShimGone);
        let learned = EventBody::ExitLearned { exit: exit.clone() };
        assert_eq!(
            run.fact(45, told()),
            effects(vec![event(45, learned)], vec![])
        );
        assert_eq!(
            run.fact(46, Fact::ExitLearned(code(0))),
            Effects::default(),
            "the first word stands"
        );
        run.fact(50, Fact::TreeSwept(sweep(50)));
        assert_eq!(run.ending(), &lost_ending(Some(exit), 2));
    }
}

#[test]
fn what_the_shim_had_recorded_needs_no_kernel() {
    let mut run = Run::running(spec());
    run.record(exited(30, code(3)));
    run.fact(40, Fact::ShimGone);
    assert_eq!(run.fact(45, Fact::ExitLearned(code(4))), Effects::default());
    run.fact(50, Fact::TreeSwept(sweep(50)));
    assert_eq!(run.ending().exit, Some(code(3)));
    assert_eq!(run.verdict(), FAILED);
}

#[test]
fn a_shim_that_dies_between_claim_and_exec() {
    let mut run = Run::admitted(spec());
    run.record(claimed(1));
    lost(&mut run);
    assert_eq!(run.ending(), &lost_ending(Some(no_shim_exit()), 1));
}

#[test]
fn a_shim_that_dies_with_its_claim_and_an_empty_journal() {
    let mut run = Run::admitted(spec());
    lost(&mut run);
    assert_eq!(run.ending(), &lost_ending(Some(no_shim_exit()), 0));
}

/// Bug: the last sign of life was the exec, whatever came after it.
#[test]
fn the_last_record_is_the_last_sign_of_life() {
    let mut run = Run::running(spec());
    run.record(output(7));
    run.record(protocol::shim::Record::Usage {
        at: at(30),
        usage: Usage::default(),
    });
    run.stop(35, StopReason::User);
    lost(&mut run);
    assert_eq!(run.ending().last_seen_at, at(30));
}

#[test]
fn volatile_signs_of_life_count_as_well_but_never_beyond_the_end() {
    let mut run = Run::running(spec());
    run.presence.last_seen = Some(at(38));
    lost(&mut run);
    assert_eq!(run.ending().last_seen_at, at(38));
    let mut run = Run::running(spec());
    run.presence.last_seen = Some(at(900));
    run.finish(9, code(0));
    assert_eq!(run.ending().last_seen_at, at(9));
}

#[test]
fn a_journalled_intent_is_declared_even_where_nothing_was_signalled() {
    let mut run = Run::running(spec());
    run.stop(10, StopReason::User);
    run.record(intent(11, 1));
    lost(&mut run);
    assert_eq!(run.verdict(), CANCELLED);
    assert_eq!(run.outcomes(), [IntentOutcome::Effective]);
    assert_eq!(run.ending().exit, Some(no_shim_exit()));
}

#[test]
fn an_intent_that_the_shim_never_journalled_did_nothing() {
    let mut run = Run::running(spec());
    run.stop(10, StopReason::User);
    lost(&mut run);
    assert_eq!(run.verdict(), SHIM_LOST);
    assert_eq!(run.outcomes(), [IntentOutcome::Superseded]);
}

#[test]
fn a_recorded_exit_is_the_truth_though_the_shim_died_after_it() {
    let mut run = Run::running(spec());
    run.record(exited(30, code(3)));
    lost(&mut run);
    assert_eq!(
        run.ending(),
        &ending(FAILED, Some("agent"), Some(code(3)), 30)
    );
}

#[test]
fn a_result_is_the_truth_though_the_shim_died_after_it() {
    let mut run = Run::running(promising());
    run.record(result(30, true));
    lost(&mut run);
    assert_eq!(run.verdict(), SUCCESS);
    assert_eq!(run.ending().exit, Some(no_shim_exit()));
}

#[test]
fn a_new_supervisor_takes_the_sweep_up_again() {
    let mut run = Run::running(spec());
    run.fact(40, Fact::ShimGone);
    assert_eq!(run.restart(60), effects(vec![], vec![SWEEP]));
    run.fact(70, Fact::TreeSwept(sweep(70)));
    assert_eq!(run.verdict(), SHIM_LOST);
}

/// Bug: where the dead shim had swept already, nobody ever concluded.
#[test]
fn a_new_supervisor_takes_the_sweep_up_again_though_the_shim_had_swept() {
    let mut run = Run::running(spec());
    run.record(exited(30, code(0)));
    run.record(swept(31));
    run.fact(40, Fact::ShimGone);
    assert_eq!(run.restart(60), effects(vec![], vec![SWEEP]));
    run.fact(70, Fact::TreeSwept(sweep(70)));
    assert_eq!(run.verdict(), SUCCESS);
}

fn rebooted() -> Fact {
    Fact::HostRebooted {
        detail: "boot id a, now b".to_string(),
    }
}

#[test]
fn another_boot_ends_what_was_running() {
    let mut run = Run::running(spec());
    run.stop(10, StopReason::User);
    let reboot = EventBody::HostRebooted {
        detail: "boot id a, now b".to_string(),
    };
    let verdict = (
        Status::Interrupted,
        ArchiveReason::HostReboot,
        Basis::Inferred,
    );
    let exit = Exit::Unknown {
        why: "the host was booted again: boot id a, now b".to_string(),
    };
    let end = EventBody::Ended(Ending {
        finished_basis: FinishedBasis::Detected,
        last_seen_at: at(2),
        intents: vec![(1, IntentOutcome::Moot)],
        ..ending(verdict, None, Some(exit), 90)
    });
    assert_eq!(
        run.fact(90, rebooted()),
        effects(vec![event(90, reboot), event(90, end)], farewell())
    );
}

/// What was left in a container is told before the end, and named in it.
#[test]
fn what_outlived_another_boot_in_a_container_is_named() {
    let mut run = Run::running(spec());
    let detail = String::from("the container is paused");
    let alarm = EventBody::Alarm {
        kind: AlarmKind::Unexpected,
        detail: detail.clone(),
    };
    assert_eq!(
        run.fact(80, Fact::TreeUnproven { detail }),
        effects(vec![event(80, alarm)], vec![])
    );
    let left = Survivor {
        pid: 7,
        start_time: 1,
        comm: "sleep".to_string(),
    };
    let sweep = SweepRecord {
        empty: false,
        survivors: vec![left.clone()],
        ..sweep(81)
    };
    run.fact(81, Fact::TreeSwept(sweep));
    run.fact(90, rebooted());
    assert_eq!(run.ending().reason, ArchiveReason::HostReboot);
    assert_eq!(run.ending().survivors, [left]);
}

#[test]
fn another_boot_after_a_journalled_intent_keeps_the_declared_reason() {
    let mut run = Run::running(spec());
    run.stop(10, StopReason::User);
    run.record(intent(11, 1));
    run.record(signalled(12, 1, TERM));
    run.fact(90, rebooted());
    assert_eq!(run.verdict(), CANCELLED);
}

#[test]
fn another_boot_after_a_recorded_exit_keeps_the_exit() {
    let mut run = Run::running(spec());
    run.record(exited(30, code(3)));
    run.fact(90, rebooted());
    assert_eq!(run.verdict(), FAILED);
    assert_eq!(run.ending().finished_at, at(30));
}

/// Bug: a later reboot took the place of the loss that had ended it.
#[test]
fn the_first_loss_is_the_reason() {
    let mut run = Run::running(spec());
    run.fact(40, Fact::ShimGone);
    run.restart(80);
    run.fact(90, rebooted());
    assert_eq!(run.verdict(), SHIM_LOST);
}

/// Bug: the claim of another supervisor erased an exec from the record.
#[test]
fn a_claim_that_cannot_have_been_won_is_an_alarm_and_no_end() {
    let mut run = Run::running(spec());
    let detail = String::from("the claim was free");
    let alarm = EventBody::Alarm {
        kind: AlarmKind::Unexpected,
        detail: "the supervisor found that a task was not started, which a shim had claimed: \
                 the claim was free"
            .to_string(),
    };
    assert_eq!(
        run.fact(60, Fact::NeverStarted { detail }),
        effects(vec![event(60, alarm)], vec![])
    );
    run.finish(70, code(0));
    assert_eq!(run.verdict(), SUCCESS);
}

/// Bug: a sweep beside a live shim ended the task without its exit.
#[test]
fn a_sweep_beside_a_live_shim_waits_for_what_the_shim_will_say() {
    let mut run = Run::running(spec());
    assert_eq!(
        run.fact(20, Fact::TreeSwept(sweep(20))),
        effects(vec![event(20, by_supervisor(20))], vec![])
    );
    run.finish(30, signal(KILL));
    assert_eq!(run.verdict(), KILLED);
}

/// A shim that speaks another protocol is told of, and nothing follows from it:
/// nothing is signalled, nothing ends.
#[test]
fn a_shim_of_another_version_is_left_alone() {
    let mut run = Run::running(spec());
    let detail = String::from("versions 2 to 2");
    let kind = AlarmKind::Unexpected;
    let alarm = EventBody::Alarm {
        kind,
        detail: detail.clone(),
    };
    assert_eq!(
        run.fact(80, Fact::ShimHeld { detail }),
        effects(vec![event(80, alarm)], vec![])
    );
    assert!(run.task.ending.is_none());
}
