//! Records that come twice, late, or not at all.

use lifecycle::{EventBody, Fact, LinkKind};
use protocol::shim::AlarmKind;

use crate::support::*;

#[test]
fn a_repeated_record_is_acknowledged_and_nothing_else() {
    let mut run = Run::running(spec());
    run.record(output(3));
    let before = run.task.clone();
    for (number, record) in [(1, claimed(1)), (2, execd(2)), (3, output(3))] {
        assert_eq!(
            run.numbered(number, record),
            effects(vec![], vec![ack(number)])
        );
    }
    assert_eq!(run.task, before);
}

/// Bug: a hole in the journal was passed over in silence.
#[test]
fn missing_records_are_an_alarm_and_the_rest_counts() {
    let mut run = Run::running(spec());
    let alarm = EventBody::Alarm {
        kind: AlarmKind::Unexpected,
        detail: "records 3 to 4 of the journal are missing".to_string(),
    };
    let exit = EventBody::Exited { exit: code(0) };
    assert_eq!(
        run.numbered(5, exited(9, code(0))),
        effects(
            vec![of_record(5, 9, alarm), of_record(5, 9, exit)],
            vec![ack(5)]
        )
    );
    run.record(finished(10));
    assert_eq!(run.verdict(), SUCCESS);
}

#[test]
fn a_record_behind_a_later_one_is_not_believed_any_more() {
    let mut run = Run::running(spec());
    run.numbered(4, exited(9, code(0)));
    assert_eq!(
        run.numbered(3, result(8, true)),
        effects(vec![], vec![ack(3)])
    );
}

#[test]
fn a_journal_without_its_first_records_still_ends() {
    let mut run = Run::admitted(spec());
    run.numbered(5, exited(9, signal(KILL)));
    run.numbered(7, finished(10));
    assert_eq!(run.verdict(), KILLED);
    assert_eq!(run.ending().exit, Some(signal(KILL)));
}

#[test]
fn links_and_progress_are_volatile() {
    let mut run = Run::running(spec());
    for fact in [
        Fact::LinkDown,
        Fact::Progress(protocol::shim::ProgressReport::default()),
        Fact::LinkUp(LinkKind::First),
        Fact::LinkUp(LinkKind::Again(shim())),
    ] {
        assert_eq!(run.fact(5, fact), effects(vec![], vec![]));
    }
}

#[test]
fn every_change_counts_in_the_version_and_repeats_do_not() {
    let mut run = Run::admitted(spec());
    assert_eq!(run.task.version, 1);
    run.record(claimed(1));
    assert_eq!(run.task.version, 2);
    run.numbered(1, claimed(1));
    assert_eq!(run.task.version, 2);
    let folded = lifecycle::Task::fold(&run.events).expect("it was admitted");
    assert_eq!(folded, run.task);
}
