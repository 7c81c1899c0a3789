//! Row, claim, shim, agent, exit, ledger.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use serde_json::json;
use tests::harness::{GENEROUS, World, wait_until};
use tests::scenarios::{assert_ended, exit_code_of, signal_of};

#[test]
fn the_row_is_there_before_the_shim() {
    let world = World::builder().hooks(["sup.spawn.before"]).build();
    let _supervisor = world.start();
    world.hooks().arm("sup.spawn.before");
    let run = world
        .run()
        .key("k")
        .option("--repo", "r")
        .option("--issue", "7")
        .option("--agent", "a")
        .option("--agent-type", "t")
        .option("--user", "u")
        .option("--name", "n")
        .steps(["exit:0"]);
    let id = run.task_id().to_string();
    let client = run.in_background();
    let paused = world.hooks().reached();
    let row = world.ledger().task(&id).expect("the row is durable");
    assert_eq!(row.text("status"), Some("running"));
    let columns = [
        "key",
        "repo",
        "agent",
        "agent_type",
        "user",
        "name",
        "provider",
    ];
    let found = columns.map(|column| row.text(column).unwrap_or("NULL").to_string());
    assert_eq!(found, ["k", "r", "a", "t", "u", "n", "exec"]);
    assert_eq!(row.integer("issue_number"), Some(7));
    assert!(row.text("started_at").is_some());
    assert!(row.is_null("cost_usd") && row.is_null("turns") && row.is_null("input_tokens"));
    assert_eq!(world.shim_of(&id), None);
    paused.go();
    let output = client.output();
    assert_eq!(world.acknowledge(&output), Some(id.clone()));
    assert_ended(&world.ended(&id), "success", "completed", "observed");
    world.check();
}

#[test]
fn exits_are_told_as_they_were() {
    let world = World::running();
    let cases = [
        ("exit:0", "success", "completed", "exited"),
        ("exit:3", "failure", "failed", "exited"),
        ("exit:143", "failure", "failed", "exited"),
        ("die:SEGV", "failure", "crashed", "signaled"),
        ("abort", "failure", "crashed", "signaled"),
    ];
    for (step, status, reason, kind) in cases {
        let task = world.run().steps([step]).detached();
        let ended = world.ended(&task.id);
        assert_ended(&ended, status, reason, "observed");
        assert_eq!(ended["exit"]["kind"], kind, "{ended:#}");
        let word = step
            .strip_prefix("exit:")
            .and_then(|code| code.parse().ok());
        assert_eq!(exit_code_of(&ended), word, "{ended:#}");
    }
    world.check();
}

#[test]
fn agents_that_end_at_once_are_told_apart() {
    let world = World::running();
    let tasks: Vec<_> = (0..20)
        .map(|code: i64| {
            let task = world
                .run()
                .steps([format!("exit:{code}").as_str()])
                .detached();
            (task.id, code)
        })
        .collect();
    for (id, code) in tasks {
        assert_eq!(exit_code_of(&world.ended(&id)), Some(code));
    }
    world.check();
}

#[test]
fn a_kill_from_outside_is_no_stop() {
    let world = World::running();
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT] {
        let task = world.run().steps(["mark:up", "forever"]).detached();
        task.marked("up");
        world.kill(&task.leader(), signal);
        let ended = world.ended(&task.id);
        assert_ended(&ended, "interrupted", "external_signal", "observed");
        assert_eq!(signal_of(&ended), Some(signal.as_str()));
        assert_eq!(ended["intents"], json!([]));
    }
    world.check();
}

#[test]
fn what_cannot_be_started_says_why() {
    let world = World::running();
    let file = world.path("work/plain");
    fs::write(&file, "no program").expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("ours");
    let plain = file.display().to_string();
    let cases: [(&[&str], &str, &[&str]); 3] = [
        (&["no-such-command"], "no-such-command", &[]),
        (&[&plain], &plain, &[]),
        (&["true"], "/no/such/folder", &["--cwd", "/no/such/folder"]),
    ];
    for (argv, named, options) in cases {
        let mut run = world.run().argv(argv.iter().copied());
        for option in options.chunks(2) {
            run = run.option(option[0], option[1]);
        }
        let id = run.task_id().to_string();
        let output = run.try_detached().expect_code(10);
        let ended = world.ended(&id);
        assert_ended(&ended, "failure", "spawn_failed", "observed");
        assert!(ended["exit"].is_null(), "nothing ran: {ended:#}");
        let told = format!("{}{}{}", output.stdout, output.stderr, ended["evidence"]);
        assert!(told.contains(named), "{named} is not named: {told}");
    }
    world.check();
}

#[test]
fn a_dispatch_with_a_known_id_starts_nothing_new() {
    let world = World::running();
    let gate = world.gate("end");
    let step = gate.step();
    let first = world.run().id("same").steps([step.as_str()]).detached();
    let _leader = first.leader();
    let again = world.run().id("same").steps([step.as_str()]).detached();
    assert_eq!(first.id, again.id);
    let other = world.run().id("same").steps(["exit:9"]).try_detached();
    assert_eq!(other.expect_code(4).error()["code"], "id_conflict");
    gate.open();
    assert_ended(&world.ended("same"), "success", "completed", "observed");
    assert_eq!(first.records.leaders().len(), 1);
    world.check();
}

#[test]
fn a_busy_key_is_refused_with_its_task() {
    let world = World::running();
    let task = world.run().key("k:1").steps(["forever"]).detached();
    let refused = world.run().key("k:1").steps(["exit:0"]).try_detached();
    let error = refused.expect_code(4).error();
    assert_eq!(error["code"], "key_busy");
    assert!(error.to_string().contains(&task.id), "{error}");
    assert_eq!(world.ledger().tasks().len(), 1, "a refusal leaves no row");
    assert_eq!(world.stop(&task.id, &["--force"]), "stopped");
    world.check();
}

#[test]
fn what_makes_no_sense_leaves_no_row() {
    let world = World::running();
    let cases: [&[&str]; 6] = [
        &[
            "run",
            "-d",
            "--provider",
            "no-such-provider",
            "--prompt",
            "x",
        ],
        &["run", "-d", "--prompt-file", "/no/such/file", "--", "true"],
        &["run", "-d"],
        &["run", "-d", "--id", "a/b", "--", "true"],
        &["run", "-d", "--as", "u", "--", "true"],
        &["run", "-d", "--timeout", "never", "--", "true"],
    ];
    for case in cases {
        let output = world.ctl(case).expect_code(2);
        assert!(!output.stderr.is_empty(), "{output:#?}");
    }
    assert!(world.ledger().tasks().is_empty());
}

#[test]
fn an_agent_gets_its_own_session_and_three_descriptors() {
    let world = World::running();
    let task = world.run().steps(["ids", "fds", "cwd"]).detached();
    let _ended = world.ended(&task.id);
    let log = stdout(&world, &task.id);
    let ids: Vec<&str> = log.lines().next().expect("ids").split(' ').collect();
    assert_eq!(ids[1], ids[5], "leader of its group: {log}");
    assert_eq!(ids[1], ids[7], "leader of its session: {log}");
    // The fake agent notes what it prints in files of its own.
    let is_given = |line: &&str| line.starts_with("fd ") && !line.contains(".record.");
    let descriptors: Vec<&str> = log.lines().filter(is_given).collect();
    assert_eq!(descriptors.len(), 3, "{log}");
    assert!(descriptors[0].contains("/dev/null"), "{log}");
    assert!(
        descriptors[1].contains("pipe:") && descriptors[2].contains("pipe:"),
        "{log}"
    );
    assert!(
        log.contains(&world.path("work").display().to_string()),
        "{log}"
    );
}

#[test]
fn the_environment_is_the_callers_and_ours() {
    let world = World::running();
    let run = world
        .run()
        .option("--env", "FROM_OPTION=1")
        .option("--env", "FROM_CALLER=changed")
        .steps(["env", "tmp:file"]);
    let mut command = run.command(&["-d", "--json"]);
    command.env("FROM_CALLER", "original").env("ALSO", "here");
    let id = world.acknowledge(&world.finish(command)).expect("started");
    let _ended = world.ended(&id);
    let log = stdout(&world, &id);
    let has = |line: &str| log.lines().any(|found| found == line);
    assert!(
        has("FROM_OPTION=1") && has("FROM_CALLER=changed") && has("ALSO=here"),
        "{log}"
    );
    assert!(log.contains("AGENT_SUPERVISOR_RUNTIME_DIR="), "{log}");
    assert!(log.contains("AGENT_TASK_"), "{log}");
    assert!(!log.contains("AGENT_HOOKS"), "{log}");
    let tmp = log
        .lines()
        .find_map(|line| line.strip_prefix("TMPDIR="))
        .expect("a TMPDIR");
    assert!(tmp.len() < 60, "sockets must fit below {tmp}");
    assert!(!fs::exists(tmp).expect("a path"), "{tmp} is still there");
    let spec = fs::metadata(world.task_dir(&id).join("spec")).expect("the spec");
    assert_eq!(spec.permissions().mode() & 0o777, 0o600);
    let bytes = fs::read(world.task_dir(&id).join("spec")).expect("the spec");
    assert!(
        !String::from_utf8_lossy(&bytes).contains("FROM_OPTION"),
        "wiped at the end"
    );
    assert!(!world.log().contains("FROM_OPTION"));
}

#[test]
fn a_prompt_comes_by_stdin() {
    let world = World::running();
    let task = world
        .run()
        .option("--prompt", "two\nlines")
        .steps(["stdin"])
        .detached();
    let _ended = world.ended(&task.id);
    assert_eq!(stdout(&world, &task.id), "two\nlines");
    let none = world.run().steps(["stdin", "print:end"]).detached();
    let _ended = world.ended(&none.id);
    assert_eq!(stdout(&world, &none.id), "end\n");
}

#[test]
fn output_is_kept_as_it_was_printed() {
    let world = World::running();
    let steps = ["lines:2000:80", "garbage"];
    let task = world.run().steps(steps).detached();
    assert_ended(&world.ended(&task.id), "success", "completed", "observed");
    let mut direct = world.command(world.bins().fake_agent());
    direct.args(steps);
    let expected = direct.output().expect("it runs").stdout;
    let kept = fs::read(world.task_dir(&task.id).join("stdout.log")).expect("the log");
    assert!(
        kept == expected,
        "{} bytes of {}",
        kept.len(),
        expected.len()
    );
    world.check();
}

#[test]
fn a_line_of_100_mb_is_nothing_special() {
    const BYTES: u64 = 100_000_000;
    let world = World::running();
    let line = format!("long-line:{BYTES}");
    let task = world.run().steps([line.as_str()]).detached();
    assert_ended(&world.ended(&task.id), "success", "completed", "observed");
    let log = fs::metadata(world.task_dir(&task.id).join("stdout.log")).expect("the log");
    assert_eq!(log.len(), BYTES);
    world.check();
}

#[test]
fn a_log_has_a_limit_and_the_gap_is_told() {
    let world = World::running();
    let task = world
        .run()
        .option("--max-log", "64K")
        .steps(["lines:20000:100", "exit:0"])
        .detached();
    assert_ended(&world.ended(&task.id), "success", "completed", "observed");
    let log = fs::metadata(world.task_dir(&task.id).join("stdout.log")).expect("the log");
    assert!(log.len() <= 64 << 10, "{} bytes", log.len());
    let events = world.ledger().events(&task.id);
    let finished = events
        .iter()
        .find(|event| event.text("type") == Some("task.finished"))
        .expect("the shim finished");
    let payload = finished.json("payload");
    assert_eq!(payload["output_bytes"][0], json!(2_000_000));
    assert_eq!(payload["gap_bytes"][0], json!(2_000_000 - log.len()));
}

#[test]
fn an_agent_may_close_its_output_and_go_on() {
    let world = World::running();
    let gate = world.gate("end");
    let steps = [
        "close-stdout",
        "close-stderr",
        "mark:closed",
        &gate.step(),
        "exit:5",
    ];
    let task = world.run().steps(steps).detached();
    task.marked("closed");
    assert_eq!(world.show(&task.id)["status"], "running");
    gate.open();
    let ended = world.ended(&task.id);
    assert_ended(&ended, "failure", "failed", "observed");
    assert_eq!(exit_code_of(&ended), Some(5));
    world.check();
}

#[test]
fn what_outlives_its_leader_is_ended() {
    let world = World::running();
    let kinds = ["plain", "session", "daemon"];
    for kind in kinds {
        let spawn = format!("spawn:{kind}:2:ignore=TERM,forever");
        let task = world.run().steps([spawn.as_str(), "exit:0"]).detached();
        assert_ended(&world.ended(&task.id), "success", "completed", "observed");
        assert_eq!(task.records.alive(), [], "{kind}");
        assert!(task.records.processes().len() >= 3, "{kind}");
    }
    world.check();
}

#[test]
fn an_attached_run_gives_output_and_verdict() {
    let world = World::running();
    let steps = ["print:to stdout", "eprint:to stderr", "exit:3"];
    let output = world.run().steps(steps).attached().expect_code(10);
    assert_eq!(output.stdout, "to stdout\n");
    assert!(output.stderr.contains("to stderr"), "{output:#?}");
    let output = world.run().steps(["print:fine"]).attached().ok();
    assert_eq!(output.stdout, "fine\n");
    world.check();
}

#[test]
fn the_shim_carries_no_secret() {
    let world = World::running();
    let run = world
        .run()
        .option("--env", "SECRET=hunter2")
        .steps(["forever"]);
    let task = run.option("--prompt", "hunter2").detached();
    let _leader = task.leader();
    let shim = world.shim_of(&task.id).expect("the shim lives");
    assert_eq!(shim.argv().len(), 2, "{:?}", shim.argv());
    let environment = shim.environment();
    let strange = environment
        .iter()
        .find(|(name, _)| !name.starts_with("AGENT_HOOKS"));
    assert_eq!(strange, None);
    assert_eq!(world.stop(&task.id, &["--force"]), "stopped");
    wait_until("the shim's end", GENEROUS, || !shim.is_alive());
    let said = format!("{}{}", world.log(), world.show(&task.id));
    assert!(!said.contains("hunter2"));
}

fn stdout(world: &World, task: &str) -> String {
    let path = world.task_dir(task).join("stdout.log");
    String::from_utf8_lossy(&fs::read(path).expect("the log is there")).into_owned()
}
