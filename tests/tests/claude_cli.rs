//! The real Claude Code CLI, against a stub of its model API.

use serde_json::{Value, json};
use tests::harness::{Dispatched, GENEROUS, Records, Run, Stub, StubRequest, World, wait_until};
use tests::scenarios::assert_ended;
use tests::skip;

const KEY: &str = "forge:repo:42";

/// The search path with the CLI on it.
fn installed() -> Option<String> {
    tests::clis::installed("claude")
}

/// A dispatch whose CLI stays on loopback and quiet.
fn claude<'world>(world: &'world World, stub: &Stub, path: &str, prompt: &str) -> Run<'world> {
    let variables = [
        format!("PATH={path}"),
        format!("ANTHROPIC_BASE_URL={}", stub.url()),
        "ANTHROPIC_API_KEY=stub".to_string(),
        "DISABLE_TELEMETRY=1".to_string(),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1".to_string(),
        "DISABLE_AUTOUPDATER=1".to_string(),
        "CLAUDE_CODE_MAX_RETRIES=1".to_string(),
        // It refuses to work unattended for root otherwise.
        "IS_SANDBOX=1".to_string(),
    ];
    let run = world.run().provider("claude").key(KEY).prompt(prompt);
    variables
        .iter()
        .fold(run, |run, variable| run.option("--env", variable))
        .option("--provider-arg", "--dangerously-skip-permissions")
}

fn ended(world: &World, task: &Dispatched) -> (Value, String) {
    let ended = world.ended(&task.id);
    let session = ended["session_id"].as_str().expect("a session").to_string();
    (ended, session)
}

fn state_of(world: &World, session: &str) -> Option<String> {
    let rows = world.ledger().sessions_of(KEY);
    let row = rows
        .iter()
        .find(|row| row.text("session_id") == Some(session))?;
    row.text("state").map(str::to_string)
}

/// Bound while it runs, then a success with its figures. Gives the session.
fn first_run(world: &World, stub: &Stub, path: &str) -> String {
    let first = claude(world, stub, path, "SLOW 2 ALPHA").detached();
    wait_until("the first request", GENEROUS, || {
        !stub.requests().is_empty()
    });
    let live = world
        .ledger()
        .sessions_of(KEY)
        .pop()
        .expect("bound while it runs");
    assert_eq!(live.text("state"), Some("live"));
    let (task, session) = ended(world, &first);
    assert_ended(&task, "success", "completed", "observed");
    assert_eq!(live.text("session_id"), Some(session.as_str()));
    assert_eq!(task["turns"], json!(1), "{task:#}");
    assert_eq!(task["output_tokens"], json!(50), "{task:#}");
    assert!(
        task["input_tokens"]
            .as_u64()
            .is_some_and(|tokens| tokens > 0),
        "{task:#}"
    );
    assert!(
        task["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0),
        "{task:#}"
    );
    assert_eq!(task["result"]["text"], "piece 1 of 2. piece 2 of 2. ");
    session
}

/// The same conversation, with the first turn in the request.
fn second_run_resumes(world: &World, stub: &Stub, path: &str, session: &str) {
    let before = stub.requests().len();
    let second = claude(world, stub, path, "hello BETA").detached();
    let (task, again) = ended(world, &second);
    assert_ended(&task, "success", "completed", "observed");
    assert_eq!(again, session);
    assert_eq!(task["resumed"], json!(session));
    let sent = stub.requests().split_off(before);
    let carries = |request: &StubRequest| {
        let body = request.body();
        body.contains("ALPHA") && body.contains("BETA")
    };
    assert!(sent.iter().any(carries), "the first turn is missing");
}

#[test]
fn four_runs_of_one_conversation() {
    let Some(path) = installed() else {
        skip!("the Claude Code CLI is not installed; tests/install-clis does it");
    };
    let world = World::running();
    let stub = Stub::start(&world);

    let session = first_run(&world, &stub, &path);
    second_run_resumes(&world, &stub, &path, &session);

    // The third is stopped in mid-answer.
    let before = stub.requests().len();
    let third = claude(&world, &stub, &path, "SLOW 300 GAMMA").detached();
    wait_until("the third request", GENEROUS, || {
        stub.requests().len() > before
    });
    assert_eq!(world.stop(&third.id, &[]), "stopped");
    let (task, again) = ended(&world, &third);
    assert_ended(&task, "cancelled", "user", "declared");
    assert_eq!(again, session);
    assert_eq!(state_of(&world, &session).as_deref(), Some("quarantined"));

    // The fourth is fresh.
    let before = stub.requests().len();
    let fourth = claude(&world, &stub, &path, "hello DELTA").detached();
    let (task, fresh) = ended(&world, &fourth);
    assert_ended(&task, "success", "completed", "observed");
    assert_ne!(fresh, session);
    assert!(task["resumed"].is_null());
    let sent = stub.requests().split_off(before);
    assert!(sent.iter().all(|request| !request.body().contains("ALPHA")));
    assert!(world.log().contains("resume=<none>"), "{}", world.log());
    world.check();
}

/// The CLI with a tool that runs. Its shell is in a session of its own; what it
/// starts even more so.
fn with_a_tool(world: &World, stub: &Stub, path: &str) -> (Dispatched, Records) {
    let agent = world.bins().fake_agent();
    let record = world.path("tool.record");
    let script = world.path("work/tool.sh");
    std::fs::write(
        &script,
        format!(
            "{0} record:{1} spawn:daemon:1:ignore=TERM,forever mark:up forever\n",
            agent.display(),
            record.display()
        ),
    )
    .expect("a script");
    let prompt = format!("TOOL sh {}", script.display());
    let task = claude(world, stub, path, &prompt).detached();
    let records = Records::new(record);
    wait_until("the tool runs", GENEROUS, || records.has_mark("up"));
    (task, records)
}

#[test]
fn its_tool_shell_dies_with_it() {
    let Some(path) = installed() else {
        skip!("the Claude Code CLI is not installed; tests/install-clis does it");
    };
    let world = World::running();
    let stub = Stub::start(&world);
    let (task, records) = with_a_tool(&world, &stub, &path);
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    assert_eq!(records.alive(), []);
    assert_ended(&world.show(&task.id), "cancelled", "user", "declared");
    world.check();
}

#[test]
fn its_tool_shell_dies_when_the_shim_is_killed() {
    let Some(path) = installed() else {
        skip!("the Claude Code CLI is not installed; tests/install-clis does it");
    };
    let world = World::running();
    let stub = Stub::start(&world);
    let (task, records) = with_a_tool(&world, &stub, &path);
    let shim = world.shim_of(&task.id).expect("the shim lives");
    world.kill(&shim, nix::sys::signal::Signal::SIGKILL);
    assert_ended(
        &world.ended(&task.id),
        "interrupted",
        "shim_lost",
        "observed",
    );
    assert_eq!(records.alive(), []);
    world.check();
}

#[test]
fn its_tool_shell_dies_by_the_stop_of_a_supervisor_that_adopted_it() {
    let Some(path) = installed() else {
        skip!("the Claude Code CLI is not installed; tests/install-clis does it");
    };
    let world = World::new();
    let first = world.start();
    let stub = Stub::start(&world);
    let (task, records) = with_a_tool(&world, &stub, &path);
    first.kill();
    assert_ne!(records.alive(), [], "they go on");
    let _second = world.start();
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    assert_eq!(records.alive(), []);
    assert_ended(&world.show(&task.id), "cancelled", "user", "declared");
    world.check();
}

#[test]
fn a_failing_model_is_a_failure_that_may_pass() {
    let Some(path) = installed() else {
        skip!("the Claude Code CLI is not installed; tests/install-clis does it");
    };
    let world = World::running();
    let stub = Stub::start(&world);
    let task = claude(&world, &stub, &path, "FAIL 500").detached();
    let (task, session) = ended(&world, &task);
    assert_ended(&task, "failure", "failed", "observed");
    let row = world.ledger().sessions_of(KEY).pop().expect("kept");
    assert_eq!(row.text("session_id"), Some(session.as_str()));
    assert_eq!(row.text("quarantine_reason"), Some("transient"));
    world.check();
}
