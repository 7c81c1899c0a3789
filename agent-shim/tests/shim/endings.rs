//! How agents end, and what they leave behind.

use protocol::Exit;
use protocol::shim::{Leftovers, Record, Target};

use super::harness::{Rig, is_gone, order, pids_in, poll_until, signal};

/// Leaves a process in a session of its own, twice forked away, that ignores
/// TERM if asked to, and holds the pipes.
fn leave_behind(state_file: &str, prefix: &str) -> String {
    format!(
        "(setsid sh -c '{prefix} echo $$ >> {state_file}; while :; do sleep 1000; done' &) & \
         while ! [ -s {state_file} ]; do sleep 0.01; done; "
    )
}

#[test]
fn deaths_by_signal_are_no_codes() {
    for (script, exit) in [
        ("exit 143", Exit::Exited { code: 143 }),
        ("exit 0", Exit::Exited { code: 0 }),
        (
            "kill -TERM $$",
            Exit::Signaled {
                signal: 15,
                core: false,
            },
        ),
        (
            "kill -KILL $$",
            Exit::Signaled {
                signal: 9,
                core: false,
            },
        ),
        (
            "ulimit -c 0; kill -SEGV $$",
            Exit::Signaled {
                signal: 11,
                core: false,
            },
        ),
        (
            "kill -36 $$",
            Exit::Signaled {
                signal: 36,
                core: false,
            },
        ),
    ] {
        assert_eq!(Rig::start(order(script)).finish().exit(), exit, "{script}");
    }
}

/// A supervisor that was started by a program which ignores SIGCHLD hands that
/// down: the kernel would take every zombie away, and its exit with it.
#[test]
fn an_exit_is_seen_though_the_starter_ignored_ends() {
    let mut command = std::process::Command::new("env");
    command
        .arg("--ignore-signal=CHLD")
        .arg(env!("CARGO_BIN_EXE_agent-shim"))
        .arg("task")
        .stdout(std::process::Stdio::null());
    let rig = Rig::start_with(command, super::harness::state(), order("exit 3"));
    assert_eq!(rig.finish().exit(), Exit::Exited { code: 3 });
}

#[test]
fn what_outlives_its_leader_is_ended() {
    for prefix in ["", "trap \"\" TERM HUP INT;"] {
        let mut order = order("");
        let state = super::harness::state();
        let pids = state.path().join("pids");
        let leave = leave_behind(pids.to_str().expect("text"), prefix);
        order.argv[2] = format!("{leave}{leave}echo done");
        let done = Rig::start_in(state, order).finish();
        let left = pids_in(&pids);
        assert!(!left.is_empty() && left.iter().all(|pid| is_gone(*pid)));
        assert_eq!(done.exit(), Exit::Exited { code: 0 });
        let swept = done.swept();
        assert!(
            swept.empty && swept.survivors.is_empty() && swept.swept >= 1,
            "{swept:?}"
        );
        let signalled = done.find(|record| match record {
            Record::Signalled {
                intent_id,
                signal,
                target: Target::Tree(count),
                ..
            } => Some((*intent_id, *signal, *count > 0)),
            _ => None,
        });
        assert_eq!(signalled, (None, 15, true), "no intent is invented");
        assert_eq!(done.log("stdout.log"), b"done\n");
    }
}

#[test]
fn leftovers_are_only_named_where_the_provider_says_so() {
    let state = super::harness::state();
    let pids = state.path().join("pids");
    let mut order = order(&leave_behind(pids.to_str().expect("text"), ""));
    order.leftovers = Leftovers::Report;
    let done = Rig::start_in(state, order).finish();
    let left = pids_in(&pids);
    let swept = done.swept();
    assert!(!swept.empty && swept.swept == 0);
    assert!(
        swept
            .survivors
            .iter()
            .any(|one| one.pid == left[0] && one.start_time > 0)
    );
    assert!(!done.kinds().contains(&"signalled"));
    for survivor in swept.survivors {
        // Its number may be another's by now: that of a shim of the next test, too.
        let now = sys::process::stat(survivor.pid).expect("readable");
        if now.is_some_and(|now| now.start_time == survivor.start_time) {
            signal(survivor.pid, 9);
        }
    }
    poll_until(|| is_gone(left[0]));
}

#[test]
fn a_closed_stdout_is_no_end() {
    let mut rig =
        Rig::ready("echo ready; exec >&- 2>&-; read x < /proc/self/fd/9 2>/dev/null; sleep 1000");
    rig.stop(1, 5_000);
    assert_eq!(
        rig.finish().exit(),
        Exit::Signaled {
            signal: 15,
            core: false
        }
    );
}

#[test]
fn an_agent_that_is_killed_from_outside_is_seen_at_once() {
    let rig = Rig::ready("sleep 1000 & echo ready; wait");
    let agent = rig.records.iter().find_map(|(_, record)| match record {
        Record::Execd { agent, .. } => Some(agent.pid),
        _ => None,
    });
    signal(agent.expect("told"), 9);
    let done = rig.finish();
    assert_eq!(
        done.exit(),
        Exit::Signaled {
            signal: 9,
            core: false
        }
    );
    assert!(
        done.swept().empty && done.swept().swept == 1,
        "{:?}",
        done.swept()
    );
    assert!(!done.kinds().contains(&"intent"));
}

#[test]
fn the_agent_dies_with_its_shim() {
    let mut rig = Rig::ready("echo ready; exec sleep 1000");
    let agent = rig.records.iter().find_map(|(_, record)| match record {
        Record::Execd { agent, .. } => Some(agent.pid),
        _ => None,
    });
    signal(rig.shim_pid(), 9);
    rig.wait_shim();
    poll_until(|| is_gone(agent.expect("told")));
    assert!(
        rig.journal()
            .entries
            .iter()
            .all(|entry| entry.record.is_some())
    );
}

#[test]
fn a_signal_at_the_shim_ends_the_task_and_is_no_intent() {
    for (number, leave) in [(15, ""), (2, "trap '' TERM;"), (1, "trap 'exit 0' TERM;")] {
        let mut order = order(&format!("{leave} echo ready; while :; do sleep 0.05; done"));
        order.grace_ms = 200;
        let mut rig = Rig::start(order);
        rig.until_printed("ready");
        signal(rig.shim_pid(), number);
        let done = rig.finish();
        let (seen, pid, comm) = done.find(|record| match record {
            Record::SignalSeen { signal, sender, .. } => {
                Some((*signal, sender.pid, sender.comm.clone()))
            }
            _ => None,
        });
        assert_eq!(seen, number);
        assert_eq!(pid, i32::try_from(std::process::id()).expect("a pid"));
        assert!(comm.is_some());
        assert!(done.swept().empty);
        let kinds = done.kinds();
        assert!(!kinds.contains(&"intent"), "{kinds:?}");
        assert!(
            kinds
                .windows(2)
                .any(|pair| pair == ["signal_seen", "signalled"]),
            "{kinds:?}"
        );
    }
}

#[test]
fn a_shim_that_was_told_to_end_does_not_wait_for_long() {
    let mut rig = Rig::ready("echo ready; sleep 1000");
    let pidfd = sys::PidFd::open(rig.shim_pid())
        .expect("allowed")
        .expect("alive");
    signal(rig.shim_pid(), 15);
    rig.until(|record| matches!(record, Record::Finished { .. }));
    // Nobody acknowledges.
    assert!(
        pidfd
            .wait_ended(std::time::Duration::from_secs(5))
            .expect("poll")
    );
    let status = rig.wait_shim();
    assert!(status.success(), "{status}");
}
