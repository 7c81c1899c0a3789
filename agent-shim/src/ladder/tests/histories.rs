//! Any inputs in any order.

use proptest::prelude::*;

use super::*;

fn input() -> impl Strategy<Value = Input> {
    let seen = prop_oneof![
        Just(None),
        Just(Some(SupersededBy::Result)),
        Just(Some(SupersededBy::Zombie)),
        Just(Some(SupersededBy::Exiting)),
    ];
    let settle = prop_oneof![Just(Settle::Wait), Just(Settle::AtOnce)];
    let tree = prop_oneof![Just(Tree::Populated), Just(Tree::Empty)];
    prop_oneof![
        (0u64..5, prop_oneof![Just(0u64), Just(100), Just(10_000)])
            .prop_map(|(id, grace_ms)| stop(id, grace_ms)),
        seen.prop_map(Input::Looked),
        Just(Input::Signalled),
        Just(Input::Disowned),
        (settle, tree).prop_map(|(settle, tree)| ended(settle, tree)),
        Just(Input::TreeShrank),
        Just(Input::TreeEmptied),
        Just(Input::Tick),
    ]
}

proptest! {
    /// Whatever happens in whatever order: nothing is signalled under an
    /// intent that was not recorded before it, or was superseded; one intent
    /// alone is not joined; there is one conclusion, and nothing behind it;
    /// once an end has begun, time alone brings it about.
    #[test]
    fn every_history_keeps_the_promises(
        inputs in proptest::collection::vec((0u64..800, input()), 0..40),
        report: bool,
    ) {
        let leftovers = if report { Leftovers::Report } else { Leftovers::End };
        let mut ladder = Ladder::new(Policy { leftovers, ..POLICY });
        let (mut now, mut first, mut over, mut superseded) = (0, None, false, false);
        let mut leader_ended = false;
        let mut check = |commands: Vec<Command>| {
            for command in commands {
                assert!(!over, "nothing follows the conclusion");
                match command {
                    Command::RecordIntent { order, joined } => {
                        assert_eq!(joined, first.is_some());
                        first.get_or_insert(order.intent_id);
                    }
                    Command::RecordSuperseded { intent_id, .. } => {
                        assert_eq!(Some(intent_id), first);
                        superseded = true;
                    }
                    Command::SignalGroup { intent_id, .. } | Command::SignalTree { intent_id, .. } => {
                        assert!(intent_id.is_none() || (intent_id == first && !superseded));
                    }
                    Command::Conclude(_) => over = true,
                    Command::Look | Command::KillRound => {}
                }
            }
        };
        for (pause, input) in inputs {
            now += pause;
            // A leader ends once, and a tree is not empty before.
            match input {
                Input::LeaderEnded(..) if leader_ended => continue,
                Input::LeaderEnded(..) => leader_ended = true,
                Input::TreeEmptied if !leader_ended => continue,
                Input::TreeEmptied | Input::Stop(_) | Input::Looked(_) | Input::Signalled
                | Input::Disowned | Input::TreeShrank | Input::Tick => {}
            }
            check(ladder.step(input, now));
        }
        for _ in 0..2000 {
            let Some(deadline) = ladder.deadline() else { break };
            now = now.max(deadline);
            check(ladder.step(Input::Tick, now));
        }
        prop_assert_eq!(ladder.deadline(), None, "it ends");
    }
}
