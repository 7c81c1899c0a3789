//! `run --memory`, and kills for want of memory, where version 2 of cgroups counts
//! it: in the holder of `deploy/`, under a real systemd. Where the machine has the
//! controller in version 1 a guest has none, and only the refusal can be seen
//! (`tests/tests/systemd.rs`); real kills are in `tests/tests/memory.rs` then. On any
//! machine with KVM, or with patience: `tests/vm/run` (CONTRIBUTING.md).

use serde_json::Value;
use tests::harness::{GENEROUS, counts_memory, wait_for, wait_until};
use tests::systemd::Guest;

const UNIT: &str = "agent-supervisor.service";
const HOLDER: &str = "agents.service";
const OWN: &str = "/sys/fs/cgroup/system.slice/agents.service";

/// A guest with both units running as `user`; none where version 2 does not count
/// memory.
fn limiting(user: &str) -> Option<Guest> {
    if let Some(why) = Guest::impossible() {
        tests::harness::record_skip(&why);
        return None;
    }
    if !counts_memory() {
        tests::harness::elsewhere("tests/tests/memory.rs");
        return None;
    }
    let guest = Guest::boot(&format!(
        "echo 'worker:x:4321:4321::/home/worker:/bin/sh' >> \"$root/etc/passwd\"\n\
         echo 'worker:x:4321:' >> \"$root/etc/group\"\n\
         install -d -o 4321 -g 4321 \"$root/home/worker\"\n\
         for unit in {UNIT} {HOLDER}; do mkdir -p \"$root/etc/systemd/system/$unit.d\"\n\
         printf '[Service]\\nUser={user}\\n' > \"$root/etc/systemd/system/$unit.d/user.conf\"\n\
         done\n\
         mkdir -p \"$root/etc/agent-supervisor\"\n\
         printf '[shutdown]\\non_stop = \"keep\"\\n' > \"$root/etc/agent-supervisor/config.toml\""
    ));
    guest.ok(&["systemctl", "start", UNIT]);
    guest.serves();
    Some(guest)
}

fn run(guest: &Guest, id: &str, agent: &[&str]) {
    let words = ["run", "-d", "--memory", "32M", "--id", id, "--"];
    guest.ok(&[&["agentctl"], &words[..], agent].concat());
}

/// A shell waits for a file before it becomes the agent with these steps.
fn run_gated(guest: &Guest, id: &str, steps: &str) {
    let script = format!("until [ -e /tmp/{id} ]; do sleep 0.1; done; exec fake_agent {steps}");
    run(guest, id, &["sh", "-c", &script]);
    let limit = guest.sh(&format!("cat {}/memory.max", cgroup(id)));
    assert_eq!(limit.trim(), (32 << 20).to_string());
}

fn cgroup(id: &str) -> String {
    format!("{OWN}/agent-supervisor-*/{id}")
}

fn pid(task: &Value, name: &str) -> i64 {
    let pid = task[name].as_i64();
    pid.unwrap_or_else(|| panic!("no {name}: {task:#}"))
}

fn oom(task: &Value) -> String {
    let lines = task["evidence"].as_array().expect("a list");
    let of_kind = lines.iter().filter(|line| line["kind"] == "oom");
    of_kind.map(|line| line["detail"].to_string()).collect()
}

/// The kernel has killed a child, and the shim has told of it.
fn child_is_killed(guest: &Guest, id: &str) -> Value {
    wait_for("its event", GENEROUS, || {
        let task = guest.ctl(&["show", id]);
        let told = oom(&task).contains("the agent itself lived on");
        if told { Ok(task) } else { Err(task) }
    })
}

#[track_caller]
fn assert_ended(guest: &Guest, id: &str, [status, reason, basis]: [&str; 3]) -> Value {
    let _ended = guest.ctl(&["wait", id]);
    let task = guest.ctl(&["show", id]);
    let seen = ["status", "archive_reason", "archive_basis"].map(|name| task[name].as_str());
    assert_eq!(seen, [status, reason, basis].map(Some), "{task:#}");
    task
}

fn cgroups_are_removed(guest: &Guest) {
    let left = format!("find {OWN} -mindepth 2 -type d");
    wait_until("the removal of the tasks' cgroups", GENEROUS, || {
        guest.sh(&left).is_empty()
    });
}

fn journal_is_clean(guest: &Guest) {
    for unit in [UNIT, HOLDER] {
        let journal = guest.journal(unit);
        for word in [
            "left-over",
            "219/CGROUP",
            "ERROR",
            "Unknown key",
            "denied",
            "no cgroup",
        ] {
            assert!(!journal.contains(word), "{word} in the journal:\n{journal}");
        }
    }
}

/// F9 and F10, and the supervisor away meanwhile.
fn kills_are_told_apart(guest: &Guest) {
    run(guest, "leader", &["fake_agent", "alloc:256", "forever"]);
    let ended = assert_ended(guest, "leader", ["interrupted", "oom_killed", "inferred"]);
    assert_eq!(ended["ended_by"], "kernel", "{ended:#}");
    assert_eq!(ended["exit"]["signal"], "SIGKILL", "{ended:#}");
    assert!(
        oom(&ended).contains("killed 1 process of the task"),
        "{ended:#}"
    );

    let child = ["fake_agent", "spawn:session:1:alloc=256,forever", "forever"];
    run(guest, "stopped", &child);
    child_is_killed(guest, "stopped");
    guest.ctl(&["stop-session", "stopped"]);
    assert_ended(guest, "stopped", ["cancelled", "user", "declared"]);
    run(guest, "killed", &child);
    let task = child_is_killed(guest, "killed");
    guest.ok(&["kill", "-KILL", &pid(&task, "agent_pid").to_string()]);
    assert_ended(
        guest,
        "killed",
        ["interrupted", "external_signal", "observed"],
    );

    run_gated(guest, "alone", "alloc:256 forever");
    let agent = pid(&guest.ctl(&["show", "alone"]), "agent_pid");
    guest.ok(&["systemctl", "stop", UNIT]);
    guest.sh("touch /tmp/alone");
    wait_until("its death", GENEROUS, || !guest.lives(agent));
    guest.ok(&["systemctl", "start", UNIT]);
    guest.serves();
    assert_ended(guest, "alone", ["interrupted", "oom_killed", "inferred"]);
}

/// What the shim could not tell any more is counted behind it.
fn a_dead_shim_is_a_lost_shim(guest: &Guest) {
    let steps = "spawn:session:1:wipe-env,forever spawn:session:1:alloc=256,forever forever";
    run_gated(guest, "lost", steps);
    let shim = pid(&guest.ctl(&["show", "lost"]), "shim_pid");
    guest.ok(&["kill", "-STOP", &shim.to_string()]);
    guest.sh("touch /tmp/lost");
    let count = format!("cat {}/memory.events", cgroup("lost"));
    wait_until("the kernel's kill", GENEROUS, || {
        guest.sh(&count).contains("oom_kill 1")
    });
    guest.ok(&["kill", "-KILL", &shim.to_string()]);
    let ended = assert_ended(guest, "lost", ["interrupted", "shim_lost", "observed"]);
    assert!(oom(&ended).contains("killed 1 process"), "{ended:#}");
    let evidence = ended["evidence"].to_string();
    assert!(evidence.contains("tree proven empty"), "{evidence}");
    assert!(!evidence.contains("marker"), "{evidence}");
}

/// An agent may wish that its tools die with it: its own user owns the cgroup.
/// `whole`: whether the shim is out of the kernel's reach.
fn a_whole_group_may_be_killed(guest: &Guest, whole: [&str; 3]) {
    let steps = "spawn:session:1:alloc=256,forever forever";
    run_gated(guest, "whole", steps);
    let file = format!("{}/memory.oom.group", cgroup("whole"));
    guest.sh(&format!("echo 1 | tee {file}"));
    guest.sh("touch /tmp/whole");
    let ended = assert_ended(guest, "whole", whole);
    assert!(
        oom(&ended).contains("for want of memory") || oom(&ended).contains("killed"),
        "{ended:#}"
    );
}

/// Bug: behind a holder that was started again no task had a cgroup.
fn a_holder_that_was_started_again_limits_as_before(guest: &Guest) {
    for act in ["restart", "kill -s KILL"] {
        let before = guest.main_pid(HOLDER);
        guest.sh(&format!("systemctl {act} {HOLDER}"));
        guest.restarted(HOLDER, before);
        wait_until("the holder is back", GENEROUS, || {
            guest
                .run(&["systemctl", "is-active", HOLDER])
                .status
                .success()
        });
        // One without a limit has its cgroup as well.
        let id = format!("plain-{}", act.len());
        guest.ok(&[
            "agentctl",
            "run",
            "-d",
            "--id",
            &id,
            "--",
            "fake_agent",
            "forever",
        ]);
        guest.sh(&format!("grep -q . {}/cgroup.procs", cgroup(&id)));
        guest.ctl(&["stop-session", &id]);
        let id = format!("again-{}", act.len());
        run(guest, &id, &["fake_agent", "alloc:256", "forever"]);
        assert_ended(guest, &id, ["interrupted", "oom_killed", "inferred"]);
    }
}

#[test]
fn in_the_holder_of_root_the_kernels_kills_are_told_apart() {
    let Some(guest) = limiting("root") else {
        return;
    };
    kills_are_told_apart(&guest);
    a_dead_shim_is_a_lost_shim(&guest);
    a_whole_group_may_be_killed(&guest, ["interrupted", "oom_killed", "inferred"]);
    cgroups_are_removed(&guest);
    journal_is_clean(&guest);
}

#[test]
fn in_the_holder_of_a_user_the_kernels_kills_are_told_apart() {
    let Some(guest) = limiting("worker") else {
        return;
    };
    kills_are_told_apart(&guest);
    a_dead_shim_is_a_lost_shim(&guest);
    a_whole_group_may_be_killed(&guest, ["interrupted", "shim_lost", "observed"]);
    cgroups_are_removed(&guest);
    journal_is_clean(&guest);
}

#[test]
fn behind_a_holder_that_was_started_again_tasks_are_limited_as_before() {
    for user in ["root", "worker"] {
        let Some(guest) = limiting(user) else { return };
        a_holder_that_was_started_again_limits_as_before(&guest);
        cgroups_are_removed(&guest);
        journal_is_clean(&guest);
    }
}
