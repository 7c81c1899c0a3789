//! Under a real systemd, not as root: the machine's service with `User=`, and the
//! service of a user's own manager.

use serde_json::Value;
use tests::harness::{GENEROUS, Ledger, wait_until};
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

/// What a login would have set up: the user's runtime directory, and no session.
fn with_a_users_manager(config: &str) -> String {
    let deploy = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/user");
    let deploy = deploy.display();
    format!(
        "{}\
         system=\"$root/etc/systemd/system\"\n\
         rm -r \"$system\"/agent*\n\
         mkdir -p \"$system/user@.service.d\" \"$system/user-runtime-dir@.service.d\"\n\
         printf '[Service]\\nPAMName=\\nEnvironment=XDG_RUNTIME_DIR=/run/user/%%i\\n' \
         > \"$system/user@.service.d/test.conf\"\n\
         printf '[Service]\\nExecStart=\\nExecStart=/usr/bin/install -d -m 0700 -o %%i -g %%i /run/user/%%i\\nExecStop=\\n' \
         > \"$system/user-runtime-dir@.service.d/test.conf\"\n\
         home=\"$root/home/worker\"\n\
         mkdir -p \"$home/.local/bin\" \"$home/.config/systemd/user\" \"$home/.config/agent-supervisor\"\n\
         printf '{config}' > \"$home/.config/agent-supervisor/config.toml\"\n\
         ln -s /usr/local/bin/agent-supervisor \"$home/.local/bin/\"\n\
         cp {deploy}/*.service \"$home/.config/systemd/user/\"\n\
         chown -R {UID}:{UID} \"$home\"\n",
        prepared("", "")
    )
}

/// The user's own shell.
struct Shell<'a>(&'a Guest);

impl Shell<'_> {
    fn sh(&self, script: &str) -> String {
        let id = UID.to_string();
        let runtime = format!("XDG_RUNTIME_DIR=/run/user/{UID}");
        let bus = format!("DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/{UID}/bus");
        let path = "PATH=/usr/local/bin:/usr/bin:/bin";
        let words = [
            "setpriv",
            "--reuid",
            &id,
            "--regid",
            &id,
            "--clear-groups",
            "env",
            "HOME=/home/worker",
            &runtime,
            &bus,
            path,
            "sh",
            "-ec",
            script,
        ];
        let output = self.0.run(&words);
        assert!(
            output.status.success(),
            "{script}: {output:#?}\n{}",
            self.0.sh("journalctl --no-pager -n 100")
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn ctl(&self, words: &str) -> Value {
        let said = self.sh(&format!("agentctl {words} --json"));
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    fn main_pid(&self) -> String {
        self.sh(&format!("systemctl --user show -P MainPID {UNIT}"))
    }
}

/// The units of `deploy/user`, under the manager of a user who is not root.
#[test]
fn a_users_own_service_keeps_its_agents_through_a_restart() {
    if let Some(why) = Guest::impossible() {
        tests::skip!("{why}");
    }
    let guest = Guest::boot(&with_a_users_manager("[shutdown]\\ndrain_ms = 100\\n"));
    guest.ok(&["systemctl", "start", &format!("user@{UID}.service")]);
    let user = Shell(&guest);
    user.sh(&format!("systemctl --user start {UNIT}"));
    let status = user.ctl("status");
    assert_eq!(status["mode"], "user", "{status:#}");
    assert_eq!(status["unit"]["name"], UNIT, "{status:#}");
    assert_eq!(status["unit"]["survives_restart"], true, "{status:#}");
    user.sh("agentctl run -d --id one -- fake_agent forever");
    let task = user.ctl("show one");
    let agent = pid(&task, "agent_pid");
    let cgroup = cgroup_of(&guest, agent);
    assert!(
        cgroup.contains("agents.service/agent-supervisor-"),
        "{cgroup}"
    );

    for act in ["restart", "kill -s KILL"] {
        let before = user.main_pid();
        user.sh(&format!("systemctl --user {act} {UNIT}"));
        wait_until("a new main process", GENEROUS, || {
            let now = user.main_pid();
            now.trim() != "0" && now != before
        });
        wait_until("the supervisor answers", GENEROUS, || {
            user.sh("agentctl status --json || true")
                .contains("\"pid\"")
        });
        let after = user.ctl("show one");
        assert_eq!(pid(&after, "agent_pid"), agent, "{act}: {after:#}");
        assert!(guest.lives(agent), "{act}");
    }
    user.sh(&format!("systemctl --user stop {UNIT}"));
    assert!(!guest.lives(agent), "a stop drains");
    let ended = user.ctl("show one");
    assert_eq!(ended["archive_reason"], "hub_shutdown", "{ended:#}");
    assert_eq!(ended["archive_basis"], "declared", "{ended:#}");
}

/// Bug: a user's manager that stops with the machine was taken for one whose user
/// leaves, and the machine waited for a drain of a minute.
#[test]
fn a_users_own_service_does_not_delay_the_end_of_the_machine() {
    if let Some(why) = Guest::impossible() {
        tests::skip!("{why}");
    }
    // The guest's files go with it; the host sees those of /host.
    let unit = "drop=\"$home/.config/systemd/user/agent-supervisor.service.d\"\n\
         mkdir -p \"$drop\"\n\
         printf '[Service]\\nExecStart=\\nExecStart=%%h/.local/bin/agent-supervisor --state-dir /host/state\\n' \
         > \"$drop/test.conf\"\n\
         chown -R 4321:4321 \"$home\"\n";
    let guest = Guest::boot(&(with_a_users_manager("") + unit));
    guest.sh("install -d -m 0700 -o 4321 -g 4321 /host/state");
    guest.ok(&["systemctl", "start", &format!("user@{UID}.service")]);
    let user = Shell(&guest);
    user.sh(&format!("systemctl --user start {UNIT}"));
    user.sh(
        "AGENT_SUPERVISOR_STATE_DIR=/host/state agentctl run -d --id one -- fake_agent forever",
    );
    guest.power_off();
    let ledger = Ledger::new(guest.share().join("state/ledger.sqlite3"));
    let row = ledger.task("one").expect("its row was there before it was");
    let seen = ["status", "archive_reason", "archive_basis"].map(|name| row.text(name));
    let expected = ["interrupted", "host_shutdown", "declared"].map(Some);
    assert_eq!(seen, expected, "{row:?}");
}
