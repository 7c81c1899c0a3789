//! What the service manager's own stop means for the agents, under a real
//! systemd: which of them live, and for which reason the others ended.

use std::fs;

use serde_json::Value;
use tests::harness::{GENEROUS, Ledger, wait_until};
use tests::systemd::Guest;

const UNIT: &str = "agent-supervisor.service";

/// A configuration, and drop-ins of our unit.
fn prepared(config: &str, unit: &str) -> String {
    format!(
        "mkdir -p \"$root/etc/agent-supervisor\" \"$root/etc/systemd/system/{UNIT}.d\"\n\
         cat > \"$root/etc/agent-supervisor/config.toml\" <<'END'\n{config}\nEND\n\
         cat > \"$root/etc/systemd/system/{UNIT}.d/test.conf\" <<'END'\n[Service]\n{unit}\nEND\n"
    )
}

/// It serves when `systemctl` comes back: it says so itself.
fn start(guest: &Guest) {
    guest.ok(&["systemctl", "start", UNIT]);
    guest.ctl(&["status"]);
}

fn dispatch(guest: &Guest, id: &str, steps: &[&str]) -> Value {
    let words = ["agentctl", "run", "-d", "--id", id, "--", "fake_agent"];
    guest.ok(&[&words[..], steps].concat());
    let task = guest.ctl(&["show", id]);
    assert_eq!(task["phase"], "running", "{task:#}");
    task
}

#[track_caller]
fn ended_as(guest: &Guest, id: &str, status: &str, reason: &str, basis: &str) {
    let task = guest.ctl(&["show", id]);
    let seen = ["status", "archive_reason", "archive_basis"].map(|name| task[name].clone());
    assert_eq!(
        seen,
        [status, reason, basis],
        "{task:#}\n{}",
        guest.journal(UNIT)
    );
}

#[track_caller]
fn lives(guest: &Guest, task: &Value) -> bool {
    guest.lives(task["agent_pid"].as_i64().expect("a live agent has a pid"))
}

/// The words behind `[shutdown]`, of all stops so far.
fn last_words(guest: &Guest) -> Vec<String> {
    let journal = guest.journal(UNIT);
    let said = |line: &str| Some(line.split_once("[shutdown] ")?.1.to_owned());
    journal.lines().filter_map(said).collect()
}

#[test]
fn a_stop_of_the_unit_drains_for_the_reason_of_its_job() {
    if let Some(why) = Guest::impossible() {
        tests::skip!("{why}");
    }
    let config = "[shutdown]\non_restart = \"drain\"\ndrain_ms = 0";
    let guest = Guest::boot(&prepared(config, ""));
    start(&guest);
    let task = dispatch(&guest, "restarted", &["forever"]);
    let before = guest.main_pid(UNIT);
    guest.ok(&["systemctl", "restart", UNIT]);
    guest.restarted(UNIT, before);
    guest.serves();
    assert!(!lives(&guest, &task));
    ended_as(
        &guest,
        "restarted",
        "interrupted",
        "hub_restart",
        "declared",
    );

    dispatch(&guest, "stopped", &["forever"]);
    guest.ok(&["systemctl", "stop", UNIT]);
    ended_as(&guest, "stopped", "interrupted", "hub_shutdown", "declared");
    let said = last_words(&guest);
    assert_eq!(said[0], "draining 1 tasks", "{said:?}");
    assert_eq!(said.last().map(String::as_str), Some("bye"), "{said:?}");

    start(&guest);
    dispatch(&guest, "signalled", &["forever"]);
    let before = guest.main_pid(UNIT);
    guest.ok(&["systemctl", "kill", "--kill-who=main", UNIT]);
    wait_until("the supervisor's end", GENEROUS, || {
        guest.main_pid(UNIT) != before
    });
    ended_as(
        &guest,
        "signalled",
        "interrupted",
        "hub_shutdown",
        "declared",
    );
    let journal = guest.journal(UNIT);
    for word in ["left-over", "ERROR", "timed out", "Failed with result"] {
        assert!(!journal.contains(word), "{word} in the journal:\n{journal}");
    }
}

/// Word by word what deploy/README.md says.
#[test]
fn folders_and_group_are_made_as_the_notes_say() {
    if let Some(why) = Guest::impossible() {
        tests::skip!("{why}");
    }
    let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/system");
    let copies = format!(
        "cp {deploy}/tmpfiles.conf \"$root/usr/lib/tmpfiles.d/agent-supervisor.conf\"\n\
         cp {deploy}/sysusers.conf \"$root/usr/lib/sysusers.d/agent-supervisor.conf\"\n"
    );
    let guest = Guest::boot(&(copies + &prepared("[control]\ngroup = \"agent-operators\"", "")));
    guest.sh("systemd-sysusers agent-supervisor.conf");
    // As the unit has it under `User=nobody`.
    guest.sh("install -d -m 700 -o nobody /var/lib/agent-supervisor");
    guest.sh("systemd-tmpfiles --create agent-supervisor.conf");
    let modes = "stat -c '%a %U' /var/lib/agent-supervisor /etc/agent-supervisor/providers.d";
    assert_eq!(guest.sh(modes), "700 nobody\n755 root\n");
    start(&guest);
    assert_eq!(guest.sh(modes), "700 root\n755 root\n");
    let socket = guest.sh("stat -c '%a %G' /run/agent-supervisor/control.sock");
    assert_eq!(socket, "660 agent-operators\n");
}

#[test]
fn what_finishes_while_the_unit_stops_has_finished() {
    if let Some(why) = Guest::impossible() {
        tests::skip!("{why}");
    }
    let guest = Guest::boot(&prepared("", ""));
    start(&guest);
    guest.sh("mkfifo /tmp/end");
    dispatch(&guest, "slow", &["gate:/tmp/end", "exit:0"]);
    guest.ok(&["systemctl", "stop", "--no-block", UNIT]);
    wait_until("the drain", GENEROUS, || {
        guest.ctl(&["status"])["phase"] == "draining"
    });
    let told = guest.ok(&["systemctl", "show", "-P", "StatusText", UNIT]);
    assert_eq!(told.trim(), "draining, 1 tasks");
    let refused = guest.run(&["agentctl", "run", "-d", "--", "fake_agent"]);
    assert_eq!(refused.status.code(), Some(6), "{refused:?}");
    guest.sh("echo > /tmp/end");
    wait_until("the supervisor's end", GENEROUS, || {
        guest.main_pid(UNIT) == 0
    });
    ended_as(&guest, "slow", "success", "completed", "observed");
}

#[test]
fn a_drain_ends_before_the_units_time_is_over() {
    if let Some(why) = Guest::impossible() {
        tests::skip!("{why}");
    }
    let config = "[shutdown]\ndrain_ms = 3600000\ngrace_ms = 100";
    let guest = Guest::boot(&prepared(config, "TimeoutStopSec=4s"));
    start(&guest);
    let task = dispatch(&guest, "endless", &["forever"]);
    guest.ok(&["systemctl", "stop", UNIT]);
    assert!(!lives(&guest, &task));
    ended_as(&guest, "endless", "interrupted", "hub_shutdown", "declared");
    let said = last_words(&guest);
    assert!(said[0].contains("capped at 900"), "{said:?}");
    let result = guest.ok(&["systemctl", "show", "-P", "Result", UNIT]);
    assert_eq!(result.trim(), "success", "not killed by the time-out");
}

#[test]
fn a_unit_that_would_kill_the_agents_drains_them_instead_of_keeping_them() {
    if let Some(why) = Guest::impossible() {
        tests::skip!("{why}");
    }
    let config = "[shutdown]\non_restart = \"keep\"\ndrain_ms = 0";
    for mode in ["control-group", "mixed"] {
        let without_holder = "rm \"$root/etc/systemd/system/agents.service\"\n";
        let prepare = prepared(config, &format!("KillMode={mode}")) + without_holder;
        let guest = Guest::boot(&prepare);
        start(&guest);
        let task = dispatch(&guest, "one", &["forever"]);
        let before = guest.main_pid(UNIT);
        guest.ok(&["systemctl", "restart", UNIT]);
        guest.restarted(UNIT, before);
        guest.serves();
        assert!(!lives(&guest, &task));
        let ended = guest.ctl(&["show", "one"]);
        assert_eq!(ended["archive_reason"], "hub_restart", "{mode}: {ended:#}");
        assert_eq!(ended["status"], "interrupted", "{mode}: {ended:#}");
        let said = last_words(&guest).join("\n");
        assert!(said.contains("drained, not kept"), "{said}");
    }
}

/// Bug: it was asked for at the start only.
#[test]
fn a_kill_mode_that_was_changed_since_the_start_is_the_one_that_counts() {
    if let Some(why) = Guest::impossible() {
        tests::skip!("{why}");
    }
    let without_holder = "rm \"$root/etc/systemd/system/agents.service\"\n";
    let config = "[shutdown]\non_restart = \"keep\"\ndrain_ms = 0";
    let guest = Guest::boot(&(prepared(config, "KillMode=process") + without_holder));
    start(&guest);
    let change_to = |mode: &str| {
        guest.sh(&format!(
            "printf '[Service]\\nKillMode={mode}\\n' > /etc/systemd/system/{UNIT}.d/zz.conf\n\
             systemctl daemon-reload"
        ));
    };
    for (mode, survives) in [("mixed", false), ("process", true)] {
        let task = dispatch(&guest, mode, &["forever"]);
        change_to(mode);
        let unit = guest.ctl(&["status"])["unit"].clone();
        assert_eq!(unit["survives_restart"], survives, "{unit:#}");
        let before = guest.main_pid(UNIT);
        guest.ok(&["systemctl", "restart", UNIT]);
        guest.restarted(UNIT, before);
        guest.serves();
        assert_eq!(lives(&guest, &task), survives, "{}", guest.journal(UNIT));
        if survives {
            let stopped = guest.ctl(&["stop-session", mode]);
            assert_eq!(stopped["results"][0]["outcome"], "stopped", "{stopped:#}");
        } else {
            ended_as(&guest, mode, "interrupted", "hub_restart", "declared");
        }
    }
}

/// Bug: what counted was where the next agent would be put, not where the live one is.
#[test]
fn an_agent_outside_of_the_holder_is_drained_and_not_left_to_be_killed() {
    if let Some(why) = Guest::impossible() {
        tests::skip!("{why}");
    }
    let config = "[shutdown]\non_restart = \"keep\"\ndrain_ms = 0";
    let guest = Guest::boot(&prepared(config, ""));
    start(&guest);
    guest.ok(&["systemctl", "stop", "agents.service"]);
    let outside = dispatch(&guest, "outside", &["forever"]);
    guest.ok(&["systemctl", "start", "agents.service"]);
    let inside = dispatch(&guest, "inside", &["forever"]);
    let restart = |guest: &Guest| {
        let checks = guest.ctl(&["doctor"])["checks"].clone();
        let checks = checks.as_array().expect("a list").clone();
        let one = checks.into_iter().find(|check| check["name"] == "restart");
        one.expect("it says what a restart does")
    };
    let told = restart(&guest);
    assert_eq!(told["state"], "warning", "{told:#}");
    let before = guest.main_pid(UNIT);
    guest.ok(&["systemctl", "restart", UNIT]);
    guest.restarted(UNIT, before);
    guest.serves();
    assert!(!lives(&guest, &outside) && !lives(&guest, &inside));
    for id in ["outside", "inside"] {
        let ended = guest.ctl(&["show", id]);
        // The kill of the unit may be faster than the drain.
        let seen = ["status", "archive_reason"].map(|name| ended[name].clone());
        assert_eq!(seen, ["interrupted", "hub_restart"], "{ended:#}");
    }
    let said = last_words(&guest).join("\n");
    assert!(said.contains("drained, not kept"), "{said}");
    assert!(!said.contains("leaving"), "{said}");

    // One that is in the holder is spared again, and that is said.
    let inside = dispatch(&guest, "again", &["forever"]);
    let told = restart(&guest);
    assert_eq!(told["state"], "ok", "{told:#}");
    let before = guest.main_pid(UNIT);
    guest.ok(&["systemctl", "restart", UNIT]);
    guest.restarted(UNIT, before);
    guest.serves();
    assert!(lives(&guest, &inside), "{}", guest.journal(UNIT));
}

#[test]
fn a_supervisor_that_hangs_is_replaced_and_its_agents_go_on() {
    if let Some(why) = Guest::impossible() {
        tests::skip!("{why}");
    }
    let guest = Guest::boot(&prepared("", "WatchdogSec=2s\nTimeoutAbortSec=100ms"));
    start(&guest);
    let task = dispatch(&guest, "one", &["forever"]);
    let before = guest.main_pid(UNIT);
    guest.ok(&["kill", "-STOP", &before.to_string()]);
    guest.restarted(UNIT, before);
    guest.serves();
    let journal = guest.journal(UNIT);
    assert!(journal.contains("Watchdog timeout"), "{journal}");
    assert!(lives(&guest, &task));
    let after = guest.ctl(&["show", "one"]);
    assert_eq!(after["agent_pid"], task["agent_pid"], "{after:#}");
    let stopped = guest.ctl(&["stop-session", "one"]);
    assert_eq!(stopped["results"][0]["outcome"], "stopped", "{stopped:#}");
    ended_as(&guest, "one", "cancelled", "user", "declared");
}

/// The drain comes before the agents' own unit is stopped: what it stops is
/// declared, and nothing is signalled from outside.
#[test]
fn when_the_machine_goes_down_the_drain_comes_first() {
    if let Some(why) = Guest::impossible() {
        tests::skip!("{why}");
    }
    // The guest's files go with it; the host sees those of /host.
    let unit =
        "ExecStart=\nExecStart=/usr/local/bin/agent-supervisor --system --state-dir /host/state";
    let guest = Guest::boot(&prepared("", unit));
    guest.sh("mkdir -m 0700 /host/state");
    guest.ok(&["systemctl", "start", UNIT]);
    let ctl = "AGENT_SUPERVISOR_STATE_DIR=/host/state agentctl";
    guest.sh(&format!("{ctl} run -d --id polite -- fake_agent forever"));
    guest.sh(&format!(
        "{ctl} run -d --id deaf -- fake_agent ignore:TERM forever"
    ));
    guest.power_off();
    let ledger = Ledger::new(guest.share().join("state/ledger.sqlite3"));
    for id in ["polite", "deaf"] {
        let row = ledger.task(id).expect("its row was there before it was");
        let seen = ["status", "archive_reason", "archive_basis"].map(|name| row.text(name));
        let expected = ["interrupted", "host_shutdown", "declared"].map(Some);
        assert_eq!(seen, expected, "{id}: {row:?}");
        let kinds = ledger.event_types(id);
        assert!(!kinds.contains(&"task.signal_seen".to_owned()), "{kinds:?}");
    }
    let left = fs::read_dir(guest.share().join("state/tasks")).expect("the folder is there");
    assert_eq!(left.count(), 2);
}

/// Bug: a unit that stops already hears nothing more, and the machine waited for the
/// rest of the drain.
#[test]
fn a_machine_that_goes_down_does_not_wait_for_a_drain_under_way() {
    if let Some(why) = Guest::impossible() {
        tests::skip!("{why}");
    }
    let config = "[shutdown]\ndrain_ms = 3600000";
    let unit = "ExecStart=\nExecStart=/usr/local/bin/agent-supervisor --system --state-dir /host/state\n\
         TimeoutStopSec=infinity";
    let guest = Guest::boot(&prepared(config, unit));
    guest.sh("mkdir -m 0700 /host/state");
    guest.ok(&["systemctl", "start", UNIT]);
    let ctl = "AGENT_SUPERVISOR_STATE_DIR=/host/state agentctl";
    guest.sh(&format!("{ctl} run -d --id patient -- fake_agent forever"));
    guest.ok(&["systemctl", "stop", "--no-block", UNIT]);
    guest.sh(&format!(
        "until {ctl} status | grep -q draining; do :; done"
    ));
    guest.power_off();
    let ledger = Ledger::new(guest.share().join("state/ledger.sqlite3"));
    let row = ledger.task("patient").expect("its row");
    let seen = ["status", "archive_reason", "archive_basis"].map(|name| row.text(name));
    // The drain's own reason came first, and stays.
    let expected = ["interrupted", "hub_shutdown", "declared"].map(Some);
    assert_eq!(seen, expected, "{row:?}");
}

/// A ledger of one's own goes before the service's, also where that is meant.
#[test]
fn the_ledger_that_is_not_read_is_named() {
    if let Some(why) = Guest::impossible() {
        tests::skip!("{why}");
    }
    let guest = Guest::boot(&prepared("", ""));
    start(&guest);
    guest.ok(&["systemctl", "stop", UNIT]);
    let words = ["agentctl", "list", "-a"];
    let alone = String::from_utf8_lossy(&guest.run(&words).stderr).into_owned();
    assert!(alone.contains("reading the ledger read-only\n"), "{alone}");
    let own = "$HOME/.local/state/agent-supervisor";
    guest.sh(&format!(
        "mkdir -p {own}; cp /var/lib/agent-supervisor/ledger.sqlite3 {own}"
    ));
    let beside = String::from_utf8_lossy(&guest.run(&words).stderr).into_owned();
    let other = "not the one of `--state-dir /var/lib/agent-supervisor`";
    assert!(beside.contains(other), "{beside}");
}
