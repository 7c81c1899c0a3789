//! R11: terminal is terminal.

use lifecycle::{Effects, Fact, Input, LinkKind, SessionPlan, Timer};
use protocol::StopReason;
use protocol::shim::ProgressReport;

use crate::support::*;

fn ended() -> Run {
    let mut run = Run::running(with_session(SessionPlan::Chosen(session("s-1"))));
    run.finish(9, code(0));
    run
}

#[test]
fn no_input_yields_an_event_after_the_end() {
    let mut run = ended();
    let before = run.task.clone();
    let late = [
        stop(StopReason::User, None),
        Input::Timer(Timer::Start),
        Input::Timer(Timer::Timeout),
        Input::Timer(Timer::Idle),
        Input::Fact(Fact::LinkUp(LinkKind::First)),
        Input::Fact(Fact::LinkUp(LinkKind::Again(shim()))),
        Input::Fact(Fact::LinkUp(LinkKind::Adopted(shim()))),
        Input::Fact(Fact::LinkDown),
        Input::Fact(Fact::Progress(ProgressReport::default())),
        Input::Fact(Fact::ShimGone),
        Input::Fact(Fact::NeverStarted {
            detail: String::new(),
        }),
        Input::Fact(Fact::TreeSwept(sweep(20))),
        Input::Fact(Fact::TreeUnproven {
            detail: String::new(),
        }),
        Input::Fact(Fact::ShimHeld {
            detail: String::new(),
        }),
        Input::Fact(Fact::HostRebooted {
            detail: String::new(),
        }),
        Input::Fact(Fact::Recovered),
    ];
    for input in late {
        assert_eq!(run.feed(20, input.clone()), Effects::default(), "{input:?}");
    }
    assert_eq!(run.task, before);
}

#[test]
fn records_after_the_end_are_acknowledged_and_dropped() {
    let mut run = ended();
    let before = run.task.clone();
    for (number, record) in [
        (1, claimed(1)),
        (4, swept(9)),
        (9, execd(30)),
        (10, exited(31, code(1))),
        (11, finished(31)),
    ] {
        assert_eq!(
            run.numbered(number, record),
            effects(vec![], vec![ack(number)])
        );
    }
    assert_eq!(run.task, before);
}

#[test]
fn no_replay_of_events_revives_it() {
    let run = ended();
    let again: Vec<_> = run.events.iter().chain(&run.events[1..]).collect();
    let twice = lifecycle::Task::fold(again).expect("it was admitted");
    assert_eq!(twice, run.task);
    assert_eq!(twice.agent(), None);
}
