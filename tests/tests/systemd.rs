//! Under a real systemd, with the units of `deploy/` and with units that an
//! administrator might write without them.

use serde_json::Value;
use tests::systemd::Guest;

const UNIT: &str = "agent-supervisor.service";

/// A supervisor that was installed, and one agent under it.
fn running(guest: &Guest) -> Value {
    guest.ok(&["systemctl", "start", UNIT]);
    guest.serves();
    dispatch(guest, "one")
}

fn dispatch(guest: &Guest, id: &str) -> Value {
    let words = ["-d", "--id", id, "--", "fake_agent", "forever"];
    guest.ok(&[&["agentctl", "run"], &words[..]].concat());
    let task = guest.ctl(&["show", id]);
    assert_eq!(task["phase"], "running", "{task:#}");
    task
}

fn pid(task: &Value, name: &str) -> i64 {
    task[name]
        .as_i64()
        .unwrap_or_else(|| panic!("no {name}: {task:#}"))
}

/// The next supervisor has the same agent in the same process, and can stop it.
fn is_adopted(guest: &Guest, before: &Value) {
    guest.serves();
    let id = before["id"].as_str().expect("a task has an id");
    let after = guest.ctl(&["show", id]);
    for name in ["agent_pid", "shim_pid"] {
        assert_eq!(pid(&after, name), pid(before, name), "{after:#}");
    }
    assert!(guest.lives(pid(before, "agent_pid")));
    let stopped = guest.ctl(&["stop-session", id]);
    assert_eq!(stopped["results"][0]["outcome"], "stopped", "{stopped:#}");
    assert!(!guest.lives(pid(before, "agent_pid")));
}

/// Nothing was left over, refused or complained about.
fn journal_is_clean(guest: &Guest) {
    for unit in [UNIT, "agents.service"] {
        let journal = guest.journal(unit);
        for word in ["left-over", "219/CGROUP", "ERROR", "Unknown key", "denied"] {
            assert!(!journal.contains(word), "{word} in the journal:\n{journal}");
        }
    }
}

/// The holder's own cgroup holds no process, and so could pass controllers on.
fn holder_is_out_of_the_way(guest: &Guest) {
    let own = "/sys/fs/cgroup/system.slice/agents.service";
    assert_eq!(guest.sh(&format!("cat {own}/cgroup.procs")), "");
    let holder = guest.sh(&format!("cat {own}/holder/cgroup.procs"));
    let main = guest.main_pid("agents.service");
    assert_eq!(holder.trim(), main.to_string());
}

/// Where the guest's hierarchy has no memory controller (the host may have it in
/// version 1), a limit is refused in words that say so.
fn limits_memory_or_says_why_not(guest: &Guest) {
    let offered = guest.sh("cat /sys/fs/cgroup/system.slice/agents.service/cgroup.controllers");
    let words = [
        "--memory",
        "64M",
        "--id",
        "limited",
        "--",
        "fake_agent",
        "forever",
    ];
    let output = guest.run(&[&["agentctl", "run", "-d"], &words[..]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    if offered.split_whitespace().any(|name| name == "memory") {
        assert!(output.status.success(), "{said}");
        let limit = guest.sh(
            "cat /sys/fs/cgroup/system.slice/agents.service/agent-supervisor-*/limited/memory.max",
        );
        assert_eq!(limit.trim(), (64 << 20).to_string());
        guest.ctl(&["stop-session", "limited"]);
    } else {
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(
            said.contains("agents.service has no memory controller"),
            "{said}"
        );
    }
}

/// How often the supervisor warned so far.
fn warnings_in(guest: &Guest) -> usize {
    let journal = guest.journal(UNIT);
    journal.matches("KILLS the running agents").count()
}

/// One guest for all that leaves the agents alone: each step ends with its agent
/// stopped on request, by a supervisor that did not start it.
#[test]
fn agents_in_the_holder_live_through_everything_that_happens_to_the_unit() {
    if let Some(why) = Guest::impossible() {
        tests::skip!("{why}");
    }
    let config = "mkdir -p \"$root/etc/agent-supervisor\"\n\
        printf '[shutdown]\\non_stop = \"keep\"\\n' > \"$root/etc/agent-supervisor/config.toml\"";
    let guest = Guest::boot(config);
    let task = running(&guest);
    let unit = guest.ctl(&["status"])["unit"].clone();
    assert_eq!(unit["name"], UNIT, "{unit:#}");
    assert_eq!(unit["kill_mode"], "control-group", "{unit:#}");
    assert_eq!(unit["survives_restart"], true, "{unit:#}");
    let cgroup = guest.sh(&format!("cat /proc/{}/cgroup", pid(&task, "agent_pid")));
    assert!(cgroup.contains("agents.service/"), "{cgroup}");

    holder_is_out_of_the_way(&guest);
    limits_memory_or_says_why_not(&guest);

    let before = guest.main_pid(UNIT);
    guest.ok(&["systemctl", "restart", UNIT]);
    guest.restarted(UNIT, before);
    is_adopted(&guest, &task);

    let task = dispatch(&guest, "two");
    let before = guest.main_pid(UNIT);
    guest.ok(&["systemctl", "kill", "-s", "KILL", UNIT]);
    guest.restarted(UNIT, before);
    is_adopted(&guest, &task);

    let task = dispatch(&guest, "three");
    guest.ok(&["systemctl", "daemon-reexec"]);
    is_adopted(&guest, &task);

    let task = dispatch(&guest, "four");
    guest.ok(&["systemctl", "stop", UNIT]);
    assert!(guest.lives(pid(&task, "agent_pid")), "kept");
    guest.ok(&["systemctl", "start", UNIT]);
    is_adopted(&guest, &task);
    let left = guest.sh("find /sys/fs/cgroup/system.slice/agents.service -mindepth 2 -type d");
    assert_eq!(left, "", "cgroups of tasks that have ended");
    journal_is_clean(&guest);
}

/// Without the holder: what each KillMode does, and that it is told beforehand.
#[test]
fn a_unit_without_the_holder_says_what_its_restart_does() {
    if let Some(why) = Guest::impossible() {
        tests::skip!("{why}");
    }
    let guest = Guest::boot("rm \"$root/etc/systemd/system/agents.service\"");
    let mut warnings = 0;
    for (mode, survives) in [
        ("control-group", false),
        ("mixed", false),
        ("process", true),
    ] {
        guest.sh(&format!(
            "mkdir -p /etc/systemd/system/{UNIT}.d\n\
             printf '[Service]\\nKillMode={mode}\\n' > /etc/systemd/system/{UNIT}.d/mode.conf\n\
             systemctl daemon-reload"
        ));
        guest.ok(&["systemctl", "start", UNIT]);
        guest.serves();
        let unit = guest.ctl(&["status"])["unit"].clone();
        assert_eq!(unit["kill_mode"], mode, "{unit:#}");
        assert_eq!(unit["survives_restart"], survives, "{unit:#}");
        let warned = warnings_in(&guest);
        assert_eq!(warned > warnings, !survives, "{}", guest.journal(UNIT));
        let task = dispatch(&guest, mode);
        let doctor = guest.ctl(&["doctor"])["checks"][1].clone();
        let (state, word) = if survives {
            ("ok", "leaves the 1 running agents alone")
        } else {
            ("warning", "ENDS the 1 running agents")
        };
        assert_eq!(doctor["state"], state, "{doctor:#}");
        assert!(doctor["detail"].to_string().contains(word), "{doctor:#}");
        let before = guest.main_pid(UNIT);
        guest.ok(&["systemctl", "kill", "-s", "KILL", "--kill-who=main", UNIT]);
        guest.restarted(UNIT, before);
        guest.serves();
        assert_eq!(guest.lives(pid(&task, "agent_pid")), survives, "{mode}");
        if survives {
            is_adopted(&guest, &task);
        } else {
            let ended = guest.ctl(&["wait", mode])["tasks"][0].clone();
            assert_ne!(ended["archive_basis"], "declared", "{ended:#}");
            assert_eq!(ended["status"], "interrupted", "{ended:#}");
        }
        guest.ok(&["systemctl", "stop", UNIT]);
        warnings = warnings_in(&guest);
    }
}
