use protocol::StopReason;

use super::*;

mod histories;

const POLICY: Policy = Policy {
    stop_signal: 15,
    grace_ms: 60_000,
    leftovers: Leftovers::End,
};

fn order(intent_id: u64, grace_ms: u64) -> StopOrder {
    StopOrder {
        intent_id,
        reason: StopReason::User,
        grace_ms,
    }
}

fn stop(intent_id: u64, grace_ms: u64) -> Input {
    Input::Stop(order(intent_id, grace_ms))
}

fn intent(intent_id: u64, grace_ms: u64, joined: bool) -> Command {
    Command::RecordIntent {
        order: order(intent_id, grace_ms),
        joined,
    }
}

fn superseded(intent_id: u64, by: SupersededBy) -> Command {
    Command::RecordSuperseded { intent_id, by }
}

fn group(signal: i32, intent_id: Option<u64>) -> Command {
    Command::SignalGroup { signal, intent_id }
}

fn tree(signal: i32, intent_id: Option<u64>) -> Command {
    Command::SignalTree { signal, intent_id }
}

fn ended(settle: Settle, tree: Tree) -> Input {
    Input::LeaderEnded(settle, tree)
}

const EMPTY: Command = Command::Conclude(Conclusion::Empty);

/// Steps through `inputs` at the given times and compares every answer.
fn check(policy: Policy, steps: Vec<(u64, Input, Vec<Command>)>) -> Ladder {
    let mut ladder = Ladder::new(policy);
    for (at, (now, input, expected)) in steps.into_iter().enumerate() {
        assert_eq!(
            ladder.step(input.clone(), now),
            expected,
            "step {at}: {input:?}"
        );
    }
    ladder
}

#[test]
fn an_agent_that_ends_by_itself_and_leaves_nothing_is_over_at_once() {
    let ladder = check(
        POLICY,
        vec![(5, ended(Settle::AtOnce, Tree::Empty), vec![EMPTY])],
    );
    assert_eq!(ladder.deadline(), None);
}

#[test]
fn a_stop_looks_signals_and_waits() {
    let ladder = check(
        POLICY,
        vec![
            (
                0,
                stop(7, 1000),
                vec![intent(7, 1000, false), Command::Look],
            ),
            (1, Input::Looked(None), vec![group(15, Some(7))]),
            (2, stop(7, 1000), vec![]),
            (3, Input::Tick, vec![]),
        ],
    );
    assert_eq!(ladder.deadline(), Some(1001));
    assert!(ladder.end_is_explained());
}

#[test]
fn an_agent_that_ignores_the_signal_is_killed_after_its_grace() {
    let ladder = check(
        POLICY,
        vec![
            (
                0,
                stop(7, 1000),
                vec![intent(7, 1000, false), Command::Look],
            ),
            (0, Input::Looked(None), vec![group(15, Some(7))]),
            (1000, Input::Tick, vec![tree(15, Some(7))]),
            (1499, Input::Tick, vec![]),
            (1500, Input::Tick, vec![tree(9, Some(7))]),
            (1502, Input::Tick, vec![Command::KillRound]),
            (1503, Input::TreeShrank, vec![Command::KillRound]),
            (
                1504,
                ended(Settle::AtOnce, Tree::Populated),
                vec![Command::KillRound],
            ),
            (1505, Input::TreeEmptied, vec![EMPTY]),
            (1506, stop(8, 0), vec![]),
            (1507, Input::Signalled, vec![]),
        ],
    );
    assert_eq!(ladder.deadline(), None);
}

#[test]
fn force_kills_at_once() {
    check(
        POLICY,
        vec![
            (0, stop(7, 0), vec![intent(7, 0, false), Command::Look]),
            (
                0,
                Input::Looked(None),
                vec![group(9, Some(7)), tree(9, Some(7))],
            ),
            (1, ended(Settle::Wait, Tree::Empty), vec![EMPTY]),
        ],
    );
}

#[test]
fn a_later_stop_joins_and_may_only_shorten() {
    let ladder = check(
        POLICY,
        vec![
            (
                0,
                stop(7, 1000),
                vec![intent(7, 1000, false), Command::Look],
            ),
            (0, Input::Looked(None), vec![group(15, Some(7))]),
            (10, stop(8, 9000), vec![intent(8, 9000, true)]),
            (20, stop(9, 100), vec![intent(9, 100, true)]),
            (120, Input::Tick, vec![tree(15, Some(7))]),
            (
                130,
                stop(10, 0),
                vec![intent(10, 0, true), tree(9, Some(7))],
            ),
        ],
    );
    assert_eq!(ladder.deadline(), Some(132));
}

#[test]
fn what_ended_by_itself_supersedes_the_stop_and_the_rest_is_ended() {
    check(
        POLICY,
        vec![
            (
                0,
                stop(7, 1000),
                vec![intent(7, 1000, false), Command::Look],
            ),
            (
                0,
                Input::Looked(Some(SupersededBy::Exiting)),
                vec![superseded(7, SupersededBy::Exiting)],
            ),
            (
                5,
                ended(Settle::AtOnce, Tree::Populated),
                vec![tree(15, None)],
            ),
            (6, Input::TreeEmptied, vec![EMPTY]),
        ],
    );
}

#[test]
fn an_agent_that_lingers_after_its_result_is_signalled_without_an_intent() {
    check(
        POLICY,
        vec![
            (
                0,
                stop(7, 1000),
                vec![intent(7, 1000, false), Command::Look],
            ),
            (
                0,
                Input::Looked(Some(SupersededBy::Result)),
                vec![superseded(7, SupersededBy::Result), group(15, None)],
            ),
            (9, ended(Settle::AtOnce, Tree::Empty), vec![EMPTY]),
        ],
    );
}

#[test]
fn a_stop_after_the_exit_ends_even_what_would_only_be_named() {
    let policy = Policy {
        leftovers: Leftovers::Report,
        ..POLICY
    };
    check(
        policy,
        vec![
            (0, ended(Settle::Wait, Tree::Populated), vec![]),
            (
                5,
                stop(7, 1000),
                vec![intent(7, 1000, false), superseded(7, SupersededBy::Exited)],
            ),
            (20, Input::Tick, vec![tree(15, None)]),
            (520, Input::Tick, vec![tree(9, None)]),
        ],
    );
}

#[test]
fn leftovers_are_named_where_the_provider_says_so() {
    let policy = Policy {
        leftovers: Leftovers::Report,
        ..POLICY
    };
    let left = Command::Conclude(Conclusion::LeftAlone);
    check(
        policy,
        vec![(0, ended(Settle::AtOnce, Tree::Populated), vec![left])],
    );
}

#[test]
fn an_end_that_settles_waits_for_its_explanation() {
    check(
        POLICY,
        vec![
            (0, ended(Settle::Wait, Tree::Empty), vec![]),
            (19, Input::Tick, vec![]),
            (20, Input::Tick, vec![EMPTY]),
        ],
    );
    check(
        POLICY,
        vec![
            (0, ended(Settle::Wait, Tree::Empty), vec![]),
            (3, Input::Signalled, vec![EMPTY]),
        ],
    );
    check(
        POLICY,
        vec![
            (0, Input::Signalled, vec![group(15, None)]),
            (3, ended(Settle::Wait, Tree::Empty), vec![EMPTY]),
        ],
    );
}

#[test]
fn a_signal_at_the_shim_has_a_short_grace() {
    let ladder = check(
        POLICY,
        vec![
            (0, Input::Signalled, vec![group(15, None)]),
            (1, stop(7, 60_000), vec![intent(7, 60_000, false)]),
        ],
    );
    assert_eq!(ladder.deadline(), Some(OWN_GRACE_MS));
    let ladder = check(
        POLICY,
        vec![
            (
                0,
                stop(7, 60_000),
                vec![intent(7, 60_000, false), Command::Look],
            ),
            (0, Input::Looked(None), vec![group(15, Some(7))]),
            (10, Input::Disowned, vec![]),
        ],
    );
    assert_eq!(ladder.deadline(), Some(10 + OWN_GRACE_MS));
}

#[test]
fn what_cannot_be_killed_is_named_after_30_s() {
    let mut ladder = Ladder::new(POLICY);
    assert_eq!(
        ladder.step(ended(Settle::AtOnce, Tree::Populated), 0),
        [tree(15, None)]
    );
    assert_eq!(ladder.step(Input::Tick, 500), [tree(9, None)]);
    let mut rounds = 0;
    loop {
        let now = ladder.deadline().expect("it waits");
        match &ladder.step(Input::Tick, now)[..] {
            [Command::KillRound] => rounds += 1,
            [Command::Conclude(Conclusion::Unkillable)] => {
                assert_eq!(now, 500 + KILL_FOR_MS);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((600..700).contains(&rounds), "{rounds}");
}

#[test]
fn a_flood_of_stops_is_bounded() {
    let mut ladder = Ladder::new(POLICY);
    let mut recorded = 0;
    for id in 0..1000 {
        let commands = ladder.step(stop(id, 5000 - id), 0);
        recorded += commands
            .iter()
            .filter(|one| matches!(one, Command::RecordIntent { .. }))
            .count();
        if id == 0 {
            let _ = ladder.step(Input::Looked(None), 0);
        }
    }
    assert_eq!(recorded, MAX_INTENTS);
    assert_eq!(
        ladder.deadline(),
        Some(4001),
        "they still shorten the grace"
    );
}
