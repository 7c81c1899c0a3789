//! Conversations: chosen before the spawn, bound while the agent runs, resumed
//! only where the last task succeeded.

use nix::sys::signal::Signal;
use serde_json::json;
use tests::harness::{Dispatched, World};
use tests::scenarios::assert_ended;

const KEY: &str = "forge:repo:1";

/// A world with an agent CLI that is ours under a real one's name.
fn world() -> World {
    let world = World::new();
    world.install_fake("claude");
    let _supervisor = world.start();
    world
}

fn dispatch(world: &World, steps: &[&str]) -> Dispatched {
    world
        .run()
        .provider("claude")
        .key(KEY)
        .steps(steps.iter().copied())
        .detached()
}

/// Runs it to its end and gives its session id.
fn success(world: &World, steps: &[&str]) -> String {
    let task = dispatch(world, steps);
    let ended = world.ended(&task.id);
    assert_ended(&ended, "success", "completed", "observed");
    ended["session_id"].as_str().expect("a session").to_string()
}

fn state_of(world: &World, session: &str) -> String {
    let sessions = world.ledger().sessions_of(KEY);
    sessions
        .iter()
        .find(|row| row.text("session_id") == Some(session))
        .and_then(|row| row.text("state"))
        .unwrap_or("(none)")
        .to_string()
}

#[test]
fn a_session_is_bound_while_its_agent_runs() {
    let world = world();
    let gate = world.gate("end");
    let task = dispatch(&world, &["hello", "mark:up", &gate.step()]);
    task.marked("up");
    let row = world
        .ledger()
        .sessions_of(KEY)
        .pop()
        .expect("bound before the spawn");
    assert_eq!(row.text("state"), Some("live"));
    assert_eq!(row.text("task_id"), Some(task.id.as_str()));
    gate.open();
    let ended = world.ended(&task.id);
    assert_ended(&ended, "success", "completed", "observed");
    assert_eq!(ended["session_id"].as_str(), row.text("session_id"));
    assert_eq!(ended["result"]["success"], json!(true));
    assert_eq!(ended["result"]["text"], "answer 1: hello");
    assert_eq!(ended["turns"], json!(1));
    assert_eq!(ended["input_tokens"], json!(1000));
    assert_eq!(ended["output_tokens"], json!(50));
    assert_eq!(ended["cost_usd"], json!(0.005));
    assert_eq!(ended["model"], "fake-model");
    world.check();
}

#[test]
fn success_is_resumed_and_costs_are_the_tasks_own() {
    let world = world();
    let first = success(&world, &["one"]);
    assert_eq!(state_of(&world, &first), "resumable");
    let task = dispatch(&world, &["two"]);
    let ended = world.ended(&task.id);
    assert_ended(&ended, "success", "completed", "observed");
    assert_eq!(ended["session_id"], json!(first));
    assert_eq!(ended["resumed"], json!(first));
    assert_eq!(ended["result"]["text"], "answer 2: two");
    let cost = ended["cost_usd"].as_f64().expect("a cost");
    assert!(
        (cost - 0.005).abs() < 1e-9,
        "cumulative in the output, {cost} in the row"
    );
    world.check();
}

#[test]
fn whatever_did_not_succeed_is_quarantined() {
    let endings: [&[&str]; 4] = [
        &["result:error:no"],
        &["exit:3"],
        &["die:SEGV"],
        // It promised a result.
        &["no-result"],
    ];
    for steps in endings {
        let world = world();
        let task = dispatch(&world, steps);
        let ended = world.ended(&task.id);
        assert_eq!(ended["status"], "failure", "{steps:?}: {ended:#}");
        let session = ended["session_id"].as_str().expect("a session");
        assert_eq!(state_of(&world, session), "quarantined", "{steps:?}");
        let next = success(&world, &["again"]);
        assert_ne!(next, session, "{steps:?}");
        assert!(world.log().contains("resume=<none>"), "{}", world.log());
        world.check();
    }
}

#[test]
fn a_stopped_and_a_killed_conversation_is_not_resumed() {
    let world = world();
    let stopped = dispatch(&world, &["mark:up", "forever"]);
    stopped.marked("up");
    assert_eq!(world.stop(&stopped.id, &[]), "stopped");
    let ended = world.show(&stopped.id);
    assert_ended(&ended, "cancelled", "user", "declared");
    let first = ended["session_id"].as_str().expect("a session").to_string();
    assert_eq!(state_of(&world, &first), "quarantined");

    let killed = dispatch(&world, &["mark:up", "forever"]);
    killed.marked("up");
    world.kill(&killed.leader(), Signal::SIGKILL);
    let ended = world.ended(&killed.id);
    assert_ended(&ended, "interrupted", "external_signal", "observed");
    let second = ended["session_id"].as_str().expect("a session").to_string();
    assert_ne!(first, second);
    assert_eq!(state_of(&world, &second), "quarantined");
    world.check();
}

#[test]
fn the_operator_releases_and_quarantines() {
    let world = world();
    let task = dispatch(&world, &["exit:3"]);
    let ended = world.ended(&task.id);
    let session = ended["session_id"].as_str().expect("a session").to_string();
    let _done = world.ctl(&["sessions", "release", KEY]).ok();
    assert_eq!(state_of(&world, &session), "resumable");
    world.check();
    assert_eq!(success(&world, &["again"]), session);
    let _done = world.ctl(&["sessions", "quarantine", KEY]).ok();
    assert_eq!(state_of(&world, &session), "quarantined");
    world.check();
    assert_ne!(success(&world, &["fresh"]), session);
    let list = world.ctl(&["sessions", "show", KEY, "--json"]).ok().json();
    assert_eq!(list["sessions"].as_array().map(Vec::len), Some(2), "{list}");
    let _unknown = world
        .ctl(&["sessions", "show", "no-such-key"])
        .expect_code(3);
    world.check();
}

#[test]
fn an_exact_resume_is_refused_where_it_would_be_wrong() {
    let world = world();
    let failed = dispatch(&world, &["exit:3"]);
    let session = world.ended(&failed.id)["session_id"]
        .as_str()
        .expect("a session")
        .to_string();
    let rows = world.ledger().tasks().len();
    let resume = |id: &str, key: &str| {
        world
            .run()
            .provider("claude")
            .key(key)
            .option("--resume", id)
            .steps(["x"])
    };
    let refused = resume(&session, KEY).try_detached().expect_code(4).error();
    assert!(
        refused["hint"].to_string().contains("sessions release"),
        "{refused}"
    );
    let _other_key = resume(&session, "another").try_detached().expect_code(4);
    let unknown = "11111111-2222-4333-8444-555555555555";
    let _unknown = resume(unknown, KEY).try_detached().expect_code(3);
    assert_eq!(world.ledger().tasks().len(), rows, "refusals leave no row");
    let forced = resume(&session, KEY).flag("--unsafe-resume").detached();
    assert_eq!(world.ended(&forced.id)["resumed"], json!(session));
    world.check();
}

#[test]
fn a_live_session_is_never_resumed() {
    let world = world();
    let live = dispatch(&world, &["mark:up", "forever"]);
    live.marked("up");
    let session = live.task["session_id"]
        .as_str()
        .expect("chosen")
        .to_string();
    let second = world
        .run()
        .provider("claude")
        .key("another")
        .option("--resume", &session)
        .flag("--unsafe-resume")
        .steps(["x"])
        .try_detached();
    let _refused = second.expect_code(4);
    assert_eq!(world.stop(&live.id, &[]), "stopped");
    world.check();
}

#[test]
fn a_provider_that_forgot_its_session_is_told_apart() {
    let world = world();
    let session = success(&world, &["one"]);
    let home = world.path("home/.fake-claude");
    std::fs::remove_file(home.join(&session)).expect("its own memory");
    let run = world.run().provider("claude").key(KEY).steps(["two"]);
    let task = run.option("--on-not-found", "fail").detached();
    let ended = world.ended(&task.id);
    assert_ended(&ended, "failure", "session_not_found", "observed");
    assert_eq!(state_of(&world, &session), "quarantined");
    assert_ne!(success(&world, &["three"]), session);
    world.check();
}

#[test]
fn a_chosen_session_that_was_never_used_is_gone() {
    let world = World::running();
    // No such CLI on the agents' PATH.
    let run = world.run().provider("claude").key(KEY).steps(["x"]);
    let id = run.task_id().to_string();
    let _output = run.try_detached().expect_code(10);
    assert_ended(&world.ended(&id), "failure", "spawn_failed", "observed");
    assert_eq!(world.ledger().sessions_of(KEY), []);
    world.check();
}

#[test]
fn a_fresh_dispatch_and_a_chosen_id() {
    let world = world();
    let first = success(&world, &["one"]);
    let fresh = world
        .run()
        .provider("claude")
        .key(KEY)
        .flag("--fresh")
        .steps(["two"])
        .detached();
    let fresh = world.ended(&fresh.id);
    assert_ne!(fresh["session_id"], json!(first));
    let chosen = "0f0f0f0f-0000-4000-8000-00000000abcd";
    let task = world
        .run()
        .provider("claude")
        .key("other")
        .option("--session-id", chosen)
        .steps(["three"])
        .detached();
    assert_eq!(world.ended(&task.id)["session_id"], json!(chosen));
    let refused = world
        .run()
        .option("--session-id", chosen)
        .steps(["exit:0"])
        .try_detached();
    let _exec_cannot = refused.expect_code(2);
    world.check();
}

/// It had told its result, and hung on: the stop ends what is left, and takes
/// nothing back.
#[test]
fn a_result_before_the_stop_is_the_end_of_its_own() {
    let world = world();
    let task = dispatch(&world, &["say:done", "result:", "mark:told", "forever"]);
    task.marked("told");
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    let ended = world.show(&task.id);
    assert_ended(&ended, "success", "completed", "observed");
    assert_eq!(ended["intents"][0]["outcome"], "superseded", "{ended:#}");
    let session = ended["session_id"].as_str().expect("it has one");
    assert_eq!(state_of(&world, session), "resumable");
    assert_eq!(task.records.alive(), []);
    world.check();
}
