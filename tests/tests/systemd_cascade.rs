//! A service manager ends a cgroup with shims in it, and everything in it gets its
//! TERM at once: whoever is first, and whatever an agent makes of it, the reason is
//! the unit's own stop.

use std::process::Output;

use serde_json::Value;
use tests::harness::{GENEROUS, wait_until};
use tests::systemd::Guest;

const UNIT: &str = "agent-supervisor.service";

/// What agents make of a TERM.
const AGENTS: [(&str, &[&str]); 4] = [
    ("dies", &["forever"]),
    ("code-143", &["on:TERM:143", "forever"]),
    ("code-0", &["on:TERM:0", "forever"]),
    ("deaf", &["ignore:TERM", "forever"]),
];

/// Who stands still until the others have met their signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Supervisor,
    Shims,
    SupervisorAndShims,
}

fn boot(more: &str) -> Guest {
    let config = "[shutdown]\ndrain_ms = 0\ngrace_ms = 200\n";
    let guest = Guest::boot(&format!(
        "mkdir -p \"$root/etc/agent-supervisor\"\n\
         cat > \"$root/etc/agent-supervisor/config.toml\" <<'END'\n{config}END\n{more}"
    ));
    guest.ok(&["systemctl", "start", UNIT]);
    guest
}

fn dispatch(guest: &Guest, id: &str, steps: &[&str]) -> Value {
    guest.sh(&format!("mkdir -p /tmp/marks; rm -f /tmp/marks/{id}"));
    let up = format!("touch:/tmp/marks/{id}");
    let (last, first) = steps.split_last().expect("it waits");
    let words = ["agentctl", "run", "-d", "--id", id, "--", "fake_agent"];
    guest.ok(&[&words[..], first, &[&up, last]].concat());
    wait_until("the agent", GENEROUS, || {
        guest
            .run(&["test", "-e", &format!("/tmp/marks/{id}")])
            .status
            .success()
    });
    guest.ctl(&["show", id])
}

fn pid(task: &Value, name: &str) -> i64 {
    task[name].as_i64().expect("it runs")
}

fn signal(guest: &Guest, name: &str, pids: &[i64]) -> Output {
    let pids = pids
        .iter()
        .map(i64::to_string)
        .collect::<Vec<_>>()
        .join(" ");
    guest.run(&["sh", "-c", &format!("kill -{name} {pids}")])
}

#[test]
fn whoever_of_a_killed_cgroup_is_first_the_reason_is_the_units_stop() {
    if let Some(why) = Guest::impossible() {
        tests::skip!("{why}");
    }
    let guest = boot("rm \"$root/etc/systemd/system/agents.service\"");
    for last in [Last::Supervisor, Last::Shims, Last::SupervisorAndShims] {
        guest.ok(&["systemctl", "start", UNIT]);
        let id = |name: &str| format!("{last:?}-{name}");
        let tasks = AGENTS.map(|(name, steps)| dispatch(&guest, &id(name), steps));
        let main = guest.main_pid(UNIT);
        let shims: Vec<i64> = tasks.iter().map(|task| pid(task, "shim_pid")).collect();
        let standing = match last {
            Last::Supervisor => vec![main],
            Last::Shims => shims,
            Last::SupervisorAndShims => [&shims[..], &[main]].concat(),
        };
        let _stopped = signal(&guest, "STOP", &standing);
        guest.ok(&["systemctl", "stop", "--no-block", UNIT]);
        // Three of them die of it, or of their shim's own steps.
        wait_until("the agents' TERM", GENEROUS, || {
            let mortal = &tasks[..3];
            mortal
                .iter()
                .all(|task| !guest.lives(pid(task, "agent_pid")))
        });
        let _going_on = signal(&guest, "CONT", &standing);
        wait_until("the supervisor's end", GENEROUS, || {
            guest.main_pid(UNIT) == 0
        });
        guest.ok(&["systemctl", "start", UNIT]);
        for (name, _) in AGENTS {
            let ended = guest.ctl(&["wait", &id(name)])["tasks"][0].clone();
            let seen = ["status", "archive_reason"].map(|name| ended[name].clone());
            let expected = ["interrupted", "hub_shutdown"];
            assert_eq!(
                seen,
                expected,
                "{last:?}: {ended:#}\n{}",
                guest.journal(UNIT)
            );
        }
    }
}

/// Nobody stopped us, and the machine stays up: somebody did it to the agents' unit.
#[test]
fn a_signal_of_the_service_manager_without_a_stop_of_ours_is_one_from_outside() {
    if let Some(why) = Guest::impossible() {
        tests::skip!("{why}");
    }
    let guest = boot("");
    let task = dispatch(&guest, "one", &["forever"]);
    guest.ok(&["systemctl", "kill", "agents.service"]);
    let ended = guest.ctl(&["wait", "one"])["tasks"][0].clone();
    let seen = ["status", "archive_reason", "archive_basis"].map(|name| ended[name].clone());
    assert_eq!(
        seen,
        ["interrupted", "external_signal", "observed"],
        "{ended:#}"
    );
    assert_eq!(ended["ended_by"], "uid:0 comm:systemd", "{ended:#}");
    assert!(!guest.lives(pid(&task, "agent_pid")));
    let shown = guest.ctl(&["show", "one"])["evidence"].to_string();
    assert!(
        shown.contains("SIGTERM reached the shim, sent by uid 0 comm systemd (pid 1"),
        "{shown}"
    );
    assert!(shown.contains("of its unit agents.service"), "{shown}");
}
