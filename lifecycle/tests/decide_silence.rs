//! A shim that does not answer a stop.

use lifecycle::event::Ending;
use lifecycle::{Action, Effects, EventBody, Fact, Timer};
use protocol::shim::{AlarmKind, SupersededBy, SweepRecord, Target};
use protocol::vocab::{IntentOutcome, SignalledBy};
use protocol::{FinishedBasis, StopReason};

use crate::support::*;

/// Running, and asked to stop at 10 by intent 1.
fn asked() -> Run {
    let mut run = Run::running(spec());
    run.stop(10, StopReason::User);
    run
}

fn alarm(ms: i64) -> lifecycle::Event {
    let detail = "the shim does not answer the stop of intent 1: the supervisor ends its processes";
    event(
        ms,
        EventBody::Alarm {
            kind: AlarmKind::Unexpected,
            detail: detail.to_string(),
        },
    )
}

fn killed(ms: i64, intent_id: Option<u64>) -> lifecycle::Event {
    event(
        ms,
        EventBody::Signalled {
            intent_id,
            signal: KILL,
            target: Target::Tree(3),
            by: SignalledBy::Supervisor,
        },
    )
}

fn looked(run: &mut Run, ended: Option<SupersededBy>) -> Effects {
    let records = run.task.journal;
    run.fact(2_010, Fact::ShimSilent(behind(records, ended)))
}

/// What follows from the death of the shim.
fn bury(run: &mut Run) {
    run.fact(2_100, Fact::ShimGone);
    let sweep = SweepRecord {
        swept: 2,
        ..sweep(2_200)
    };
    run.fact(2_200, Fact::TreeSwept(sweep));
}

#[test]
fn the_supervisor_ends_the_tree_under_the_intent_that_the_ledger_has() {
    let mut run = asked();
    assert_eq!(
        run.timer(2_010, Timer::Answer),
        effects(vec![], vec![Action::LookBehindShim { known_records: 2 }])
    );
    assert_eq!(
        looked(&mut run, None),
        effects(
            vec![alarm(2_010), killed(2_010, Some(1))],
            vec![Action::EndWithoutShim]
        )
    );
    bury(&mut run);
    let expected = Ending {
        finished_basis: FinishedBasis::Detected,
        last_seen_at: at(2),
        intents: vec![(1, IntentOutcome::Effective)],
        ..ending(
            CANCELLED,
            Some("uid:1000 comm:agentctl"),
            Some(no_shim_exit()),
            2_200,
        )
    };
    assert_eq!(run.ending(), &expected);
    assert_eq!(
        run.task.intents[0].signalled,
        Some((at(2_010), SignalledBy::Supervisor))
    );
}

#[test]
fn an_agent_that_was_seen_to_have_ended_was_not_stopped() {
    for by in [SupersededBy::Zombie, SupersededBy::Exiting] {
        let mut run = asked();
        let superseded = event(2_010, EventBody::StopSuperseded { intent_id: 1, by });
        assert_eq!(
            looked(&mut run, Some(by)),
            effects(
                vec![alarm(2_010), superseded, killed(2_010, None)],
                vec![Action::EndWithoutShim]
            )
        );
        bury(&mut run);
        assert_eq!(run.verdict(), SHIM_LOST);
        assert_eq!(run.outcomes(), [IntentOutcome::Superseded]);
    }
}

#[test]
fn a_result_before_the_look_is_an_end_by_itself() {
    let mut run = Run::running(promising());
    run.record(result(5, true));
    run.stop(10, StopReason::User);
    let effects_of_look = looked(&mut run, None);
    assert_eq!(effects_of_look.events[1], killed(2_010, None));
    bury(&mut run);
    assert_eq!(run.verdict(), SUCCESS);
}

#[test]
fn a_shim_that_writes_is_given_its_time() {
    let mut run = asked();
    let known = run.task.journal;
    run.record(output(11));
    let look = behind(known, None);
    assert_eq!(
        run.fact(2_010, Fact::ShimSilent(look)),
        effects(
            vec![],
            vec![arm(Timer::Answer, 2_010 + 5_000 + 500 + 30_000 + 2_000)]
        )
    );
}

#[test]
fn each_step_of_the_shim_gives_it_time_for_the_next() {
    let mut run = asked();
    run.feed(20, stop(StopReason::RunnerStop, Some(100)));
    let in_grace = arm(Timer::Answer, HEARD_MS + 100 + 500 + 2_000);
    let in_kill = arm(Timer::Answer, HEARD_MS + 100 + 500 + 30_000 + 2_000);
    assert_eq!(
        run.record(intent(21, 1)).actions,
        [in_grace.clone(), ack(3)]
    );
    assert_eq!(
        run.record(signalled(22, 1, TERM)).actions,
        [in_grace, ack(4)]
    );
    assert_eq!(
        run.record(signalled(23, 1, KILL)).actions,
        [in_kill, ack(5)]
    );
}

/// It was stopped between its own TERM and its own KILL.
#[test]
fn a_shim_may_fall_silent_in_the_middle() {
    let mut run = asked();
    run.record(intent(11, 1));
    run.record(signalled(12, 1, TERM));
    let seen = looked(&mut run, Some(SupersededBy::Zombie));
    assert_eq!(
        seen.events,
        [alarm(2_010), killed(2_010, Some(1))],
        "it ended after the signal"
    );
    bury(&mut run);
    assert_eq!(run.verdict(), CANCELLED);
    assert_eq!(
        run.task.intents[0].signalled,
        Some((at(12), SignalledBy::Shim)),
        "the first signal counts"
    );
}

/// It goes on in the middle of the supervisor's work, and finds a corpse.
#[test]
fn what_a_shim_sees_after_the_supervisors_signal_changes_nothing() {
    let mut run = asked();
    looked(&mut run, None);
    run.record(exited(2_011, signal(KILL)));
    run.record(intent(2_012, 1));
    run.record(superseded(2_012, 1, SupersededBy::Exited));
    run.record(swept(2_013));
    run.record(finished(2_013));
    assert_eq!(run.verdict(), CANCELLED);
    assert_eq!(run.ending().exit, Some(signal(KILL)));
}

#[test]
fn a_signal_at_the_shim_before_it_fell_silent_stays_the_cause() {
    let mut run = Run::running(spec());
    run.record(signal_seen(5));
    run.stop(10, StopReason::User);
    assert_eq!(looked(&mut run, None).events[1], killed(2_010, None));
    bury(&mut run);
    assert_eq!(run.verdict(), KILLED);
}

#[test]
fn nobody_is_ended_unasked_or_twice() {
    let mut unasked = Run::running(spec());
    let mut lost = asked();
    lost.fact(11, Fact::ShimGone);
    for run in [&mut unasked, &mut lost] {
        assert_eq!(run.timer(50, Timer::Answer), Effects::default());
        assert_eq!(looked(run, None), Effects::default());
    }
}
