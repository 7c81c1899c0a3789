//! An issue is assigned to an agent, the service is restarted in mid-flight, and the
//! issue is assigned again (README.md and deploy/README.md tell it), under both policies.

use serde_json::{Value, json};
use tests::harness::{GENEROUS, wait_until};
use tests::systemd::Guest;

const UNIT: &str = "agent-supervisor.service";
const KEY: &str = "forge:dev:owner/repo:1104";

fn boot(on_restart: &str) -> Guest {
    let guest = Guest::boot(&format!(
        "mkdir -p \"$root/etc/agent-supervisor\"\n\
         ln -s fake_agent \"$root/usr/local/bin/claude\"\n\
         printf '[shutdown]\\non_restart = \"{on_restart}\"\\ndrain_ms = 0\\n' \
             > \"$root/etc/agent-supervisor/config.toml\""
    ));
    guest.ok(&["systemctl", "start", UNIT]);
    guest
}

fn assign(guest: &Guest, id: &str, more: &[&str]) -> std::process::Output {
    let words = ["agentctl", "run", "-d", "--json", "--provider", "claude"];
    let which = ["--key", KEY, "--id", id, "--prompt", "say:hello\nforever"];
    guest.run(&[&words[..], &which, more].concat())
}

/// A new conversation, although the key had one.
#[track_caller]
fn is_fresh(guest: &Guest, id: &str, earlier: &str) {
    let task = guest.ctl(&["show", id]);
    assert_eq!(task["status"], "running", "{task:#}");
    assert_eq!(task["resumed"], Value::Null, "{task:#}");
    let before = guest.ctl(&["show", earlier]);
    assert_ne!(task["session_id"], before["session_id"], "{task:#}");
    let sessions = guest.ctl(&["sessions", "show", KEY]);
    let old = sessions["sessions"].as_array().and_then(|all| {
        all.iter()
            .find(|row| row["session_id"] == before["session_id"])
    });
    assert_eq!(
        old.map(|row| &row["state"]),
        Some(&json!("quarantined")),
        "{sessions:#}"
    );
    let journal = guest.journal(UNIT);
    assert!(journal.contains("resume=<none>"), "{journal}");
}

fn restart(guest: &Guest) {
    let before = guest.main_pid(UNIT);
    guest.ok(&["systemctl", "restart", UNIT]);
    guest.restarted(UNIT, before);
    guest.serves();
}

#[test]
fn under_drain_and_after_a_kill_of_everything_the_new_task_is_fresh() {
    if let Some(why) = Guest::impossible() {
        tests::skip!("{why}");
    }
    let guest = boot("drain");
    assert!(assign(&guest, "one", &[]).status.success());
    restart(&guest);
    assert_eq!(guest.ctl(&["show", "one"])["archive_reason"], "hub_restart");
    assert!(assign(&guest, "two", &[]).status.success());
    is_fresh(&guest, "two", "one");

    let before = guest.main_pid(UNIT);
    guest.ok(&["systemctl", "kill", "-s", "KILL", UNIT, "agents.service"]);
    guest.restarted(UNIT, before);
    guest.serves();
    wait_until("the end of the killed one", GENEROUS, || {
        guest.ctl(&["show", "two"])["archive_reason"] == "shim_lost"
    });
    assert!(assign(&guest, "three", &[]).status.success());
    is_fresh(&guest, "three", "two");
}

#[test]
fn under_keep_the_key_is_busy_and_replace_is_the_way() {
    if let Some(why) = Guest::impossible() {
        tests::skip!("{why}");
    }
    let guest = boot("keep");
    assert!(assign(&guest, "one", &[]).status.success());
    let agent = guest.ctl(&["show", "one"])["agent_pid"].clone();
    restart(&guest);
    assert_eq!(
        guest.ctl(&["show", "one"])["agent_pid"],
        agent,
        "it goes on"
    );
    let refused = assign(&guest, "two", &[]);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("one"), "the live task is named: {said}");
    let replaced = assign(&guest, "two", &["--on-conflict", "replace"]);
    assert!(replaced.status.success(), "{replaced:?}");
    assert_eq!(
        guest.ctl(&["show", "one"])["archive_reason"],
        "superseded_by_task"
    );
    is_fresh(&guest, "two", "one");
}
