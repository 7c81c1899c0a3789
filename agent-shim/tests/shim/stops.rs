//! Stops.

use protocol::Exit;
use protocol::shim::{
    Condition, Field, Record, Scalar, ScanFormat, ScanRule, ScanSpec, SupersededBy, Take, Target,
    Test,
};

use super::harness::{Finished, Rig, is_gone, order, pids_in};

fn signals(done: &Finished) -> Vec<(Option<u64>, i32)> {
    let signals = done.records.iter().filter_map(|record| match record {
        Record::Signalled {
            intent_id, signal, ..
        } => Some((*intent_id, *signal)),
        _ => None,
    });
    signals.collect()
}

fn superseded(done: &Finished) -> SupersededBy {
    done.find(|record| match record {
        Record::Superseded { by, .. } => Some(*by),
        _ => None,
    })
}

#[test]
fn a_stop_is_journalled_before_its_signal() {
    let mut rig = Rig::ready("echo ready; sleep 1000");
    rig.stop(42, 10_000);
    let done = rig.finish();
    let kinds = done.kinds();
    let expected = [
        "claimed",
        "execd",
        "output",
        "intent",
        "signalled",
        "exited",
        "swept",
        "finished",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(
        done.exit(),
        Exit::Signaled {
            signal: 15,
            core: false
        }
    );
    // The shell, and `sleep` in its group: nothing is left to sweep.
    assert_eq!(signals(&done), [(Some(42), 15)]);
}

#[test]
fn an_agent_that_ignores_term_is_killed_after_its_grace() {
    let mut rig = Rig::ready("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    rig.stop(1, 100);
    let done = rig.finish();
    assert_eq!(
        done.exit(),
        Exit::Signaled {
            signal: 9,
            core: false
        }
    );
    let signals = signals(&done);
    assert_eq!(signals, [(Some(1), 15), (Some(1), 15), (Some(1), 9)]);
    assert!(done.swept().empty);
}

#[test]
fn force_gives_no_grace() {
    let mut rig = Rig::ready("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    rig.stop(1, 0);
    let done = rig.finish();
    assert_eq!(
        done.exit(),
        Exit::Signaled {
            signal: 9,
            core: false
        }
    );
    assert_eq!(signals(&done)[0], (Some(1), 9));
}

#[test]
fn an_agent_may_exit_0_on_term() {
    let mut rig =
        Rig::ready("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
    rig.stop(1, 10_000);
    let done = rig.finish();
    assert_eq!(done.exit(), Exit::Exited { code: 0 });
    assert_eq!(done.log("stdout.log"), b"ready\nbye\n");
    assert!(!done.kinds().contains(&"superseded"));
}

#[test]
fn a_stopped_agent_is_continued_so_that_it_can_act() {
    let mut rig =
        Rig::ready("trap 'exit 5' TERM; echo ready; kill -STOP $$; while :; do sleep 0.05; done");
    let agent = rig.records.iter().find_map(|(_, record)| match record {
        Record::Execd { agent, .. } => Some(agent.pid),
        _ => None,
    });
    let agent = agent.expect("told");
    super::harness::poll_until(|| {
        sys::process::stat(agent)
            .expect("readable")
            .is_some_and(|stat| stat.state == 'T')
    });
    rig.stop(1, 10_000);
    assert_eq!(rig.finish().exit(), Exit::Exited { code: 5 });
}

#[test]
fn the_whole_tree_is_ended() {
    let state = super::harness::state();
    let pids = state.path().join("pids");
    let one = format!(
        "setsid sh -c 'trap \"\" TERM; echo $$ >> {0}; setsid sh -c \"trap : TERM; echo \\$\\$ >> {0}; while :; do sleep 1000; done\" & while :; do sleep 1000; done' & ",
        pids.display()
    );
    let script = format!(
        "{0}{0}{0} while [ \"$(wc -l < {1})\" != 6 ]; do sleep 0.01; done; echo ready; wait",
        one,
        pids.display()
    );
    let mut rig = Rig::start_in(state, order(&script));
    rig.until_printed("ready");
    rig.stop(1, 300);
    let done = rig.finish();
    let all = pids_in(&pids);
    assert_eq!(all.len(), 6);
    assert!(all.iter().all(|pid| is_gone(*pid)));
    let swept = done.swept();
    assert!(swept.empty && swept.swept >= 6, "{swept:?}");
}

#[test]
fn later_stops_join_and_may_shorten() {
    let mut rig = Rig::ready("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    rig.stop(1, 600_000);
    rig.stop(1, 0);
    rig.stop(2, 500_000);
    rig.stop(3, 50);
    let done = rig.finish();
    let intents: Vec<(u64, bool)> = done
        .records
        .iter()
        .filter_map(|record| match record {
            Record::Intent(intent) => Some((intent.intent_id, intent.joined)),
            _ => None,
        })
        .collect();
    assert_eq!(intents, [(1, false), (2, true), (3, true)]);
    assert!(
        signals(&done)
            .iter()
            .all(|(intent_id, _)| *intent_id == Some(1))
    );
}

fn with_result(script: &str) -> protocol::shim::Start {
    let mut order = order(script);
    order.scan = ScanSpec {
        format: ScanFormat::JsonLines,
        rules: vec![ScanRule {
            when: vec![Condition {
                path: vec!["type".into()],
                test: Test::Equals(Scalar::Text("result".into())),
            }],
            take: vec![Take {
                path: vec!["text".into()],
                field: Field::ResultText,
            }],
            is_result: true,
            success_when: vec![],
            error: None,
        }],
        patterns: vec![],
        promises_result: true,
    };
    order
}

#[test]
fn a_result_before_the_stop_supersedes_it() {
    let line = r#"{"type":"result","text":"done"}"#;
    let mut rig = Rig::start(with_result(&format!("echo '{line}'; sleep 1000")));
    rig.until(|record| matches!(record, Record::Result(_)));
    rig.stop(9, 10_000);
    let done = rig.finish();
    assert_eq!(superseded(&done), SupersededBy::Result);
    assert_eq!(
        signals(&done),
        [(None, 15)],
        "what lingers is ended without the intent"
    );
    assert!(done.swept().empty);
}

#[test]
fn a_result_after_the_signal_does_not() {
    let script = r#"trap 'echo "{\"type\":\"result\"}"; exit 0' TERM; echo ready; while :; do sleep 0.05; done"#;
    let mut rig = Rig::start(with_result(script));
    rig.until_printed("ready");
    rig.stop(9, 10_000);
    let done = rig.finish();
    assert!(!done.kinds().contains(&"superseded"));
    let order = done.kinds();
    assert_eq!(
        &order[3..],
        [
            "intent",
            "signalled",
            "result",
            "exited",
            "swept",
            "finished"
        ]
    );
}

#[test]
fn a_stop_that_meets_the_exit_is_superseded_or_in_time() {
    // The agent ends by itself at about the moment of the stop: whatever is
    // said, it is consistent.
    for _ in 0..30 {
        let mut rig = Rig::start(order("echo ready; exit 7"));
        rig.until(|record| matches!(record, Record::FirstOutput { .. }));
        rig.stop(1, 10_000);
        let done = rig.finish();
        let kinds = done.kinds();
        let at = |wanted: &str| kinds.iter().position(|kind| *kind == wanted);
        match (at("intent"), at("superseded"), at("signalled")) {
            // It came when all was said.
            (None, None, None) => assert_eq!(done.exit(), Exit::Exited { code: 7 }),
            (Some(_), Some(_), None) => assert_eq!(done.exit(), Exit::Exited { code: 7 }),
            (Some(intent), None, Some(signalled)) => {
                assert!(intent < signalled && signalled < at("exited").expect("it ended"));
            }
            other => panic!("{other:?} in {kinds:?}"),
        }
    }
}

#[test]
fn a_process_that_is_exiting_has_ended_by_itself() {
    // A large process takes milliseconds to become a zombie.
    let script = "import os,sys\nx=bytearray(200<<20)\nx[::4096]=b'x'*len(x[::4096])\nprint('ready',flush=True)\nos._exit(7)";
    let python = std::path::Path::new("/usr/bin/python3");
    if !python.exists() {
        return;
    }
    for _ in 0..5 {
        let mut order = order("");
        order.argv = vec!["python3".into(), "-c".into(), script.into()];
        let mut rig = Rig::start(order);
        rig.until(|record| matches!(record, Record::FirstOutput { .. }));
        rig.stop(1, 10_000);
        let done = rig.finish();
        if done.kinds().contains(&"signalled") {
            // The signal met it before its end began.
            let target = done.find(|record| match record {
                Record::Signalled { target, .. } => Some(*target),
                _ => None,
            });
            assert_eq!(target, Target::Group);
        } else {
            assert_eq!(done.exit(), Exit::Exited { code: 7 });
        }
    }
}
