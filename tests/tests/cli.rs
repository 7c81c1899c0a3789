//! What people and scripts see (CONTRACT §2).

use serde_json::{Value, json};
use tests::harness::{Background, GENEROUS, World, wait_until};

#[test]
fn help_and_version_start_nothing() {
    let world = World::new();
    for words in [
        &["--help"][..],
        &["--version"],
        &["run", "--help"],
        &["completions", "bash"],
    ] {
        let output = world.ctl(words).ok();
        assert!(!output.stdout.is_empty(), "{output:#?}");
    }
    assert!(!world.runtime_dir().exists() && !world.ledger().path().exists());
}

#[test]
fn the_doctor_looks_at_everything_and_changes_nothing() {
    let world = World::new();
    let nobody = world.ctl(&["doctor", "--json"]).expect_code(5).json();
    assert_eq!(nobody["checks"][0]["state"], "failure", "{nobody:#}");
    let _supervisor = world.start();
    let found = world.ctl(&["doctor", "--json"]).ok().json();
    let of = |name: &str| {
        let checks = found["checks"].as_array().expect("a list");
        let check = checks.iter().find(|check| check["name"] == name);
        check
            .unwrap_or_else(|| panic!("no {name}: {found:#}"))
            .clone()
    };
    assert_eq!(of("supervisor")["state"], "ok");
    assert_eq!(of("restart")["state"], "ok");
    assert_eq!(of("leftovers")["state"], "ok");
    assert_eq!(of("provider")["state"], "warning", "{found:#}");
    let _drained = world.ctl(&["drain"]).ok();
    let text = world.ctl(&["doctor"]).ok().stdout;
    assert!(text.starts_with("WARNING supervisor"), "{text}");
    world.check();
}

#[test]
fn without_a_supervisor_the_ledger_is_still_read() {
    let world = World::new();
    let _refused = world
        .ctl(&["run", "--no-start", "--", "true"])
        .expect_code(5);
    let supervisor = world.start();
    let task = world
        .run()
        .key("k")
        .steps(["print:hello", "exit:3"])
        .detached();
    let _ended = world.ended(&task.id);
    supervisor.kill();
    let list = world.ctl(&["list", "--all", "--json"]).ok();
    assert_eq!(list.json()["tasks"][0]["id"], json!(task.id));
    assert!(
        !list.stderr.is_empty(),
        "it says that there is no supervisor"
    );
    assert_eq!(world.show(&task.id)["status"], "failure");
    assert_eq!(world.ctl(&["logs", &task.id]).ok().stdout, "hello\n");
    let _why = world.ctl(&["why", &task.id]).ok();
    let _sessions = world.ctl(&["sessions"]).ok();
    let _unreachable = world.ctl(&["stop", &task.id]).expect_code(5);
}

#[test]
fn a_run_starts_a_supervisor_where_none_runs() {
    let world = World::new();
    let run = world.run().steps(["print:hi"]);
    let mut command = run.command(&[]);
    command.env_remove("AGENTCTL_NO_START");
    let output = world.finish(command).ok();
    assert_eq!(output.stdout, "hi\n");
    assert!(
        output.stderr.contains("supervisor"),
        "it says so: {output:#?}"
    );
    let status = world.ctl(&["status", "--json"]).ok().json();
    let pid = status["pid"]
        .as_i64()
        .and_then(|pid| i32::try_from(pid).ok())
        .expect("a pid");
    let supervisor = tests::harness::Process::now(pid).expect("it stays");
    supervisor.signal(nix::sys::signal::Signal::SIGTERM);
    wait_until("the supervisor's end", GENEROUS, || !supervisor.is_alive());
}

#[test]
fn inside_of_a_task_nothing_is_started() {
    let world = World::running();
    let ctl = world.bins().agentctl().display().to_string();
    let task = world
        .run()
        .argv([ctl.as_str(), "status", "--json"])
        .detached();
    assert_eq!(world.ended(&task.id)["status"], "success");
    let log = world.ctl(&["logs", &task.id]).ok().json();
    assert!(
        log["pid"].as_i64().is_some_and(|pid| pid > 0),
        "it talks to the one that runs it: {log}"
    );
}

#[test]
fn exit_codes_follow_the_verdict() {
    let world = World::running();
    let cases = [("exit:0", 0), ("exit:1", 10), ("die:SEGV", 10)];
    let mut ids = Vec::new();
    for (step, code) in cases {
        let run = world.run().steps([step]);
        let id = run.task_id().to_string();
        assert_eq!(run.attached().code(), code, "{step}");
        assert_eq!(world.ctl(&["wait", &id]).code(), code, "{step}");
        ids.push(id);
    }
    let several = ["wait", &ids[0], &ids[1], &ids[2], "--json"];
    let output = world.ctl(&several).expect_code(10);
    assert_eq!(output.json()["tasks"].as_array().map(Vec::len), Some(3));
    for verb in ["show", "why", "wait", "logs"] {
        let error = world
            .ctl(&[verb, "no-such-task", "--json"])
            .expect_code(3)
            .error();
        assert_eq!(error["code"], "not_found", "{verb}");
    }
    let live = world.run().steps(["forever"]).detached();
    let _timeout = world
        .ctl(&["wait", &live.id, "--timeout", "50ms"])
        .expect_code(8);
    assert_eq!(world.stop(&live.id, &[]), "stopped");
    assert_eq!(world.ctl(&["wait", &live.id]).code(), 11);
}

#[test]
fn an_ambiguous_prefix_names_the_matches() {
    let world = World::running();
    let ids: Vec<String> = (0..21).map(|n| format!("abc-{n}")).collect();
    for id in &ids {
        let _task = world.run().id(id).steps(["exit:0"]).detached();
        let _ended = world.ended(id);
    }
    let error = world
        .ctl(&["show", "abc-", "--json"])
        .expect_code(4)
        .error();
    assert_eq!(error["code"], "ambiguous");
    let told = error.to_string();
    assert!(told.contains("fits 21 tasks, first abc-0, abc-1"), "{told}");
    assert_eq!(world.show("abc-2")["id"], "abc-2");
}

#[test]
fn lists_are_filtered() {
    let world = World::running();
    let ended = world.run().key("one").steps(["exit:3"]).detached();
    let _ended = world.ended(&ended.id);
    let live = world.run().key("two").steps(["forever"]).detached();
    let ids = |words: &[&str]| -> Vec<String> {
        let mut all = vec!["list", "--json"];
        all.extend(words);
        let list = world.ctl(&all).ok().json();
        let tasks = list["tasks"].as_array().expect("a list").clone();
        tasks
            .iter()
            .map(|task| task["id"].as_str().expect("an id").to_string())
            .collect()
    };
    let (old, new) = (ended.id.as_str(), live.id.as_str());
    assert_eq!(ids(&[]), [new]);
    assert_eq!(ids(&["-a"]), [new, old]);
    assert_eq!(ids(&["-a", "--key", "one"]), [old]);
    assert_eq!(ids(&["--status", "failure"]), [old]);
    assert_eq!(ids(&["-a", "--reason", "failed"]), [old]);
    assert_eq!(ids(&["-a", "-n", "1"]), [new]);
    let quiet = world.ctl(&["list", "-q"]).ok();
    assert_eq!(quiet.stdout.trim(), new);
    let table = world.ctl(&["list", "-a"]).ok().stdout;
    assert!(
        !table.contains('\u{1b}'),
        "no colours without a terminal: {table}"
    );
    assert_eq!(world.stop(&live.id, &[]), "stopped");
}

#[test]
fn a_task_object_has_its_fields() {
    let world = World::running();
    let task = world.run().key("k").steps(["exit:0"]).detached();
    let shown = world.ended(&task.id);
    let fields = [
        "id",
        "key",
        "provider",
        "agent",
        "agent_type",
        "model",
        "repo",
        "issue_number",
        "user",
        "name",
        "cwd",
        "argv",
        "status",
        "phase",
        "presence",
        "archive_reason",
        "archive_label",
        "archive_basis",
        "ended_by",
        "archived",
        "archived_by",
        "archived_at",
        "session_id",
        "resumed",
        "supervisor_pid",
        "shim_pid",
        "agent_pid",
        "queued_at",
        "started_at",
        "finished_at",
        "last_seen_at",
        "finished_basis",
        "result",
        "links",
        "exit",
        "turns",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "last_progress",
        "version",
        "intents",
        "evidence",
    ];
    let object = shown.as_object().expect("an object");
    let missing: Vec<_> = fields
        .iter()
        .filter(|field| !object.contains_key(**field))
        .collect();
    assert!(missing.is_empty(), "{missing:?} in {shown:#}");
    assert_eq!(shown["exit"], json!({"kind": "exited", "code": 0}));
    assert_eq!(shown["archive_label"], "Session completed");
    assert_eq!(shown["ended_by"], "agent");
}

#[test]
fn why_tells_the_chain() {
    let world = World::running();
    let task = world.run().steps(["mark:up", "forever"]).detached();
    task.marked("up");
    assert_eq!(
        world.stop(&task.id, &["--note", "because I say so"]),
        "stopped"
    );
    let why = world.ctl(&["why", &task.id, "--json"]).ok().json();
    let chain = why["chain"].as_array().expect("a chain");
    assert!(chain.len() >= 4, "{why:#}");
    for link in chain {
        assert!(link["at"].is_string() && link["what"].is_string() && link["who"].is_string());
    }
    let text = world.ctl(&["why", &task.id]).ok().stdout;
    assert!(
        text.contains("because I say so") && text.contains("SIGTERM"),
        "{text}"
    );
}

#[test]
fn logs_are_followed_to_their_end() {
    let world = World::running();
    let gate = world.gate("end");
    let steps = [
        "print:one",
        "eprint:oops",
        "mark:said",
        &gate.step(),
        "print:two",
    ];
    let task = world.run().steps(steps).detached();
    task.marked("said");
    let follower = Background::start(world.ctl_command(&["logs", "-f", &task.id]));
    gate.open();
    assert_eq!(follower.output().ok().stdout, "one\ntwo\n");
    assert_eq!(
        world.ctl(&["logs", "--stderr", &task.id]).ok().stdout,
        "oops\n"
    );
    assert_eq!(
        world.ctl(&["logs", "-n", "1", &task.id]).ok().stdout,
        "two\n"
    );
}

#[test]
fn events_have_no_holes_over_restarts() {
    let world = World::new();
    let first = world.start();
    let task = world.run().steps(["exit:0"]).detached();
    let _ended = world.ended(&task.id);
    first.kill();
    let _second = world.start();
    let other = world.run().steps(["exit:1"]).detached();
    let _ended = world.ended(&other.id);
    let events = world
        .ctl(&["events", "--from", "1", "--json"])
        .ok()
        .json_lines();
    let numbers: Vec<u64> = events
        .iter()
        .filter_map(|event| event["seq"].as_u64())
        .collect();
    let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
    assert_eq!(numbers, expected);
    let types: Vec<&Value> = events.iter().map(|event| &event["type"]).collect();
    for kind in [
        "supervisor.started",
        "task.started",
        "task.exited",
        "task.ended",
    ] {
        assert!(
            types.iter().any(|found| *found == kind),
            "{kind} in {types:?}"
        );
    }
    let words = ["events", "--from", "1", "--task", &other.id, "--json"];
    let own = world.ctl(&words).ok().json_lines();
    assert!(!own.is_empty() && own.iter().all(|event| event["task_id"] == json!(other.id)));
}

#[test]
fn the_status_says_who_and_where() {
    let world = World::new();
    let supervisor = world.start();
    let status = world.ctl(&["status", "--json"]).ok().json();
    assert_eq!(status["pid"], json!(supervisor.process.pid));
    assert_eq!(status["phase"], "admitting");
    assert_eq!(
        status["tasks"],
        json!({"queued": 0, "running": 0, "ended": 0})
    );
    assert!(
        status["ledger"]["path"]
            .as_str()
            .is_some_and(|path| path.ends_with("ledger.sqlite3"))
    );
}

#[test]
fn providers_are_shown_and_checked() {
    let world = World::running();
    world.install_fake("claude");
    let list = world.ctl(&["providers", "--json"]).ok().stdout;
    assert!(list.contains("exec") && list.contains("claude"), "{list}");
    let text = world.ctl(&["providers", "show", "claude"]).ok().stdout;
    assert!(text.contains("command"), "{text}");
    let good = world.path("work/good.toml");
    std::fs::write(&good, text_of_demo()).expect("a file");
    let _fine = world.ctl(&["providers", "check", "good.toml"]).ok();
    std::fs::write(&good, "name = \"x\"\ncomand = [\"x\"]\n").expect("a file");
    let bad = world.ctl(&["providers", "check", "good.toml"]);
    assert_ne!(bad.code(), 0);
    let said = format!("{}{}", bad.stdout, bad.stderr);
    assert!(
        said.contains("comand") && said.contains("command"),
        "{said}"
    );
}

#[test]
fn a_users_own_provider_needs_no_code() {
    let world = World::new();
    std::fs::create_dir_all(world.providers_dir()).expect("a folder");
    std::fs::write(world.providers_dir().join("demo.toml"), text_of_demo()).expect("a file");
    world.install_fake("demo_agent");
    let _supervisor = world.start();
    let list = world.ctl(&["providers", "show", "demo"]).ok().stdout;
    assert!(list.contains("demo"), "{list}");
}

fn text_of_demo() -> &'static str {
    include_str!("../demo/demo.toml")
}
