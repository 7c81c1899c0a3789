//! The fleet's state machine, whole action lists.

use lifecycle::drain::{Drain, DrainOrder, FORCED_MS, Fleet, FleetAction, FleetInput, Then};
use protocol::{StopReason, Timestamp};

use crate::support::*;

fn order(then: Then, drain_ms: u64) -> DrainOrder {
    DrainOrder {
        reason: StopReason::HubRestart,
        drain_ms,
        grace_ms: 5,
        then,
        requested_by: supervisor(),
    }
}

fn drain(then: Then, deadline_ms: i64) -> Drain {
    Drain {
        order: order(then, 100),
        since: at(0),
        deadline: at(deadline_ms),
    }
}

fn every_phase(then: Then) -> [Fleet; 5] {
    let drain = || drain(then, 100);
    [
        Fleet::Admitting,
        Fleet::Draining(drain()),
        Fleet::Stopping(drain()),
        Fleet::Forced(drain()),
        Fleet::Drained(drain()),
    ]
}

fn forced_at(now: Timestamp) -> Vec<FleetAction> {
    vec![
        FleetAction::StopAll(0),
        FleetAction::Arm(now.plus_ms(FORCED_MS)),
    ]
}

#[test]
fn time_takes_it_from_phase_to_phase() {
    let begin = FleetInput::Begin(order(Then::Leave, 100));
    let (fleet, actions) = Fleet::Admitting.step(begin, at(0));
    assert_eq!(fleet, Fleet::Draining(drain(Then::Leave, 100)));
    assert_eq!(
        actions,
        vec![FleetAction::Announce, FleetAction::Arm(at(100))]
    );
    let (fleet, actions) = fleet.step(FleetInput::TimeOver, at(100));
    assert_eq!(fleet.phase(), "stopping");
    assert_eq!(
        actions,
        vec![FleetAction::StopAll(5), FleetAction::Arm(at(105))]
    );
    let (fleet, actions) = fleet.step(FleetInput::TimeOver, at(105));
    assert_eq!(fleet.phase(), "forced");
    assert_eq!(actions, forced_at(at(105)));
    let (_, actions) = fleet.clone().step(FleetInput::TimeOver, at(200));
    assert_eq!(actions, vec![FleetAction::Leave], "not for ever");
    let (fleet, actions) = fleet.step(FleetInput::Empty, at(106));
    assert_eq!(fleet.phase(), "drained");
    assert_eq!(
        actions,
        vec![
            FleetAction::Disarm,
            FleetAction::TellDrained,
            FleetAction::Leave
        ]
    );
}

#[test]
fn the_end_of_the_last_task_ends_every_phase() {
    for then in [Then::Leave, Then::Stay] {
        for fleet in every_phase(then) {
            let before = fleet.phase();
            let (after, actions) = fleet.step(FleetInput::Empty, at(1));
            let mut expected = vec![FleetAction::Disarm, FleetAction::TellDrained];
            if then == Then::Leave {
                expected.push(FleetAction::Leave);
            }
            match before {
                "admitting" | "drained" => {
                    assert_eq!((after.phase(), actions), (before, vec![]));
                }
                _ => assert_eq!((after.phase(), actions), ("drained", expected)),
            }
        }
    }
}

#[test]
fn a_second_wish_to_go_forces() {
    let now = at(7);
    let expected = [
        ("admitting", vec![]),
        ("forced", forced_at(now)),
        ("forced", forced_at(now)),
        ("forced", vec![]),
        (
            "drained",
            vec![
                FleetAction::Disarm,
                FleetAction::TellDrained,
                FleetAction::Leave,
            ],
        ),
    ];
    for (fleet, (phase, wanted)) in every_phase(Then::Leave).into_iter().zip(expected) {
        let (after, actions) = fleet.step(FleetInput::Hurry, now);
        assert_eq!((after.phase(), actions), (phase, wanted));
    }
}

#[test]
fn only_who_stays_can_be_called_back() {
    for fleet in every_phase(Then::Stay).into_iter().skip(1) {
        let (after, actions) = fleet.step(FleetInput::Cancel, at(7));
        assert_eq!(after, Fleet::Admitting);
        assert_eq!(actions, vec![FleetAction::Disarm, FleetAction::Readmit]);
    }
    for fleet in every_phase(Then::Leave) {
        let before = fleet.clone();
        assert_eq!(fleet.step(FleetInput::Cancel, at(7)), (before, vec![]));
    }
}

#[test]
fn a_second_order_joins_the_first() {
    let shorter = FleetInput::Begin(DrainOrder {
        reason: StopReason::HubShutdown,
        ..order(Then::Leave, 10)
    });
    let (fleet, actions) = Fleet::Draining(drain(Then::Stay, 100)).step(shorter, at(20));
    let joined = fleet.drain().expect("under way");
    assert_eq!(joined.order.reason, StopReason::HubRestart);
    assert_eq!(joined.order.then, Then::Leave);
    assert_eq!(joined.deadline, at(30));
    assert_eq!(actions, vec![FleetAction::Arm(at(30))]);
    let longer = FleetInput::Begin(order(Then::Stay, 1_000));
    let (fleet, actions) = Fleet::Draining(drain(Then::Leave, 100)).step(longer, at(20));
    let joined = fleet.drain().expect("under way");
    assert_eq!(joined.order.then, Then::Leave, "who is to go goes");
    assert_eq!(actions, vec![FleetAction::Arm(at(100))]);
    // Bug: who was told to go after the time was over never went.
    let leave = FleetInput::Begin(order(Then::Leave, 0));
    let (fleet, actions) = Fleet::Forced(drain(Then::Stay, 100)).step(leave.clone(), at(200));
    assert_eq!(actions, vec![FleetAction::Arm(at(200).plus_ms(FORCED_MS))]);
    let (_, actions) = fleet.step(leave.clone(), at(300));
    assert_eq!(actions, vec![], "its time goes on");
    let (_, actions) = Fleet::Drained(drain(Then::Stay, 100)).step(leave, at(200));
    assert_eq!(actions.last(), Some(&FleetAction::Leave));
}
