//! Under a real systemd, not as root: the machine's service with `User=`, and the
//! service of a user's own manager.

use serde_json::Value;
use tests::harness::{GENEROUS, wait_until};
use tests::systemd::Guest;

const UNIT: &str = "agent-supervisor.service";
const HOLDER: &str = "agents.service";
const UID: u32 = 4321;

/// A user `worker` in the guest, and drop-ins of both units.
fn prepared(supervisor: &str, holder: &str) -> String {
    format!(
        "echo 'worker:x:{UID}:{UID}::/home/worker:/bin/sh' >> \"$root/etc/passwd\"\n\
         echo 'worker:x:{UID}:' >> \"$root/etc/group\"\n\
         install -d -o {UID} -g {UID} \"$root/home/worker\"\n\
         for unit in {UNIT} {HOLDER}; do mkdir -p \"$root/etc/systemd/system/$unit.d\"; done\n\
         printf '[Service]\\n{supervisor}\\n' > \"$root/etc/systemd/system/{UNIT}.d/user.conf\"\n\
         printf '[Service]\\n{holder}\\n' > \"$root/etc/systemd/system/{HOLDER}.d/user.conf\"\n"
    )
}

fn dispatch(guest: &Guest, id: &str) -> Value {
    let words = ["run", "-d", "--id", id, "--", "fake_agent", "forever"];
    guest.ok(&[&["agentctl"], &words[..]].concat());
    let task = guest.ctl(&["show", id]);
    assert_eq!(task["phase"], "running", "{task:#}");
    task
}

fn pid(task: &Value, name: &str) -> i64 {
    let pid = task[name].as_i64();
    pid.unwrap_or_else(|| panic!("no {name}: {task:#}"))
}

fn cgroup_of(guest: &Guest, pid: i64) -> String {
    guest.sh(&format!("cat /proc/{pid}/cgroup"))
}

/// systemd moves each shim into its task's cgroup in the holder, where it lives
/// through what happens to the supervisor's unit.
#[test]
fn a_service_of_a_user_has_its_shims_moved_into_the_holder() {
    if let Some(why) = Guest::impossible() {
        tests::skip!("{why}");
    }
    let guest = Guest::boot(&prepared("User=worker", "User=worker"));
    guest.ok(&["systemctl", "start", UNIT]);
    guest.serves();
    let unit = guest.ctl(&["status"])["unit"].clone();
    assert_eq!(unit["survives_restart"], true, "{unit:#}");
    let task = dispatch(&guest, "one");
    let (shim, agent) = (pid(&task, "shim_pid"), pid(&task, "agent_pid"));
    for process in [shim, agent] {
        let cgroup = cgroup_of(&guest, process);
        assert!(
            cgroup.contains("agents.service/agent-supervisor-"),
            "{cgroup}"
        );
        assert!(cgroup.trim_end().ends_with("/one"), "{cgroup}");
        let owner = guest.sh(&format!("stat -c %u /proc/{process}/cgroup"));
        // A shim cannot be looked into: the kernel shows it as root's.
        assert!(
            [UID, 0].contains(&owner.trim().parse().expect("a uid")),
            "{owner}"
        );
    }
    let before = guest.main_pid(UNIT);
    guest.ok(&["systemctl", "kill", "-s", "KILL", UNIT]);
    guest.restarted(UNIT, before);
    guest.serves();
    let after = guest.ctl(&["show", "one"]);
    assert_eq!(pid(&after, "agent_pid"), agent, "{after:#}");
    assert!(guest.lives(agent));

    // What a dead shim leaves is found by its cgroup, whatever it did to its
    // environment.
    let words = ["agentctl", "run", "-d", "--id", "two", "--", "fake_agent"];
    let steps = ["spawn:session:1:wipe-env,forever", "forever"];
    guest.ok(&[&words[..], &steps].concat());
    let two = guest.ctl(&["show", "two"]);
    guest.ok(&["kill", "-KILL", &pid(&two, "shim_pid").to_string()]);
    let ended = guest.ctl(&["wait", "two"])["tasks"][0].clone();
    assert_eq!(ended["archive_reason"], "shim_lost", "{ended:#}");
    let evidence = guest.ctl(&["show", "two"])["evidence"].to_string();
    assert!(!evidence.contains("marker"), "{evidence}");

    let stopped = guest.ctl(&["stop-session", "one"]);
    assert_eq!(stopped["results"][0]["outcome"], "stopped", "{stopped:#}");
    let left = "find /sys/fs/cgroup/system.slice/agents.service -mindepth 2 -type d";
    wait_until("the removal of the tasks' cgroups", GENEROUS, || {
        guest.sh(left).is_empty()
    });
    let journal = guest.journal(UNIT);
    for word in ["left-over", "ERROR", "gets no cgroup"] {
        assert!(!journal.contains(word), "{word} in the journal:\n{journal}");
    }
}

/// A holder of another user takes nothing in: that is said, and the tasks run all the
/// same.
#[test]
fn a_holder_of_another_user_is_no_holder() {
    if let Some(why) = Guest::impossible() {
        tests::skip!("{why}");
    }
    let guest = Guest::boot(&prepared("User=worker", ""));
    guest.ok(&["systemctl", "start", UNIT]);
    guest.serves();
    let unit = guest.ctl(&["status"])["unit"].clone();
    assert_eq!(unit["survives_restart"], false, "{unit:#}");
    let task = dispatch(&guest, "one");
    let cgroup = cgroup_of(&guest, pid(&task, "agent_pid"));
    assert!(cgroup.contains("agent-supervisor.service"), "{cgroup}");
    let journal = guest.journal(UNIT);
    assert!(
        journal.contains("agents.service runs as another user"),
        "{journal}"
    );
    let doctor = guest.ctl(&["doctor"]).to_string();
    assert!(doctor.contains("ENDS the 1 running agents"), "{doctor}");
    let stopped = guest.ctl(&["stop-session", "one"]);
    assert_eq!(stopped["results"][0]["outcome"], "stopped", "{stopped:#}");
}
