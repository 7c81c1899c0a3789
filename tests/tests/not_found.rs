//! A session that its provider does not know: one fresh task follows, or nothing.

use serde_json::{Value, json};
use tests::harness::{Dispatched, GENEROUS, Run, World, wait_until};
use tests::scenarios::assert_ended;

const KEY: &str = "forge:repo:7";

/// A key whose conversation its provider has forgotten.
fn forgotten(world: &World) -> String {
    let _supervisor = world.start();
    told_and_forgotten(world)
}

fn told_and_forgotten(world: &World) -> String {
    world.install_fake("claude");
    let first = dispatch(world, &[]);
    let ended = world.ended(&first.id);
    let session = ended["session_id"].as_str().expect("a session").to_string();
    forget(world, &session);
    session
}

fn forget(world: &World, session: &str) {
    let sessions = world.path("home/.fake-claude");
    let file = sessions.join(session);
    std::fs::remove_file(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

fn run(world: &World) -> Run<'_> {
    world
        .run()
        .provider("claude")
        .key(KEY)
        .option("--env", "TOKEN=t-1")
        // No record: the one that follows has the same prompt.
        .prompt("env:TOKEN")
}

fn dispatch(world: &World, options: &[(&str, &str)]) -> Dispatched {
    let run = options
        .iter()
        .fold(run(world), |run, (name, value)| run.option(name, value));
    run.detached()
}

fn after(world: &World, id: &str) -> Vec<Value> {
    let listed = world.ctl(&["list", "-a", "--json"]).ok().json();
    let tasks = listed["tasks"].as_array().expect("a list").clone();
    tasks
        .into_iter()
        .filter(|task| task["links"]["fresh_after"] == json!(id))
        .collect()
}

#[test]
fn one_fresh_task_follows() {
    let world = World::new();
    let session = forgotten(&world);
    let lost = dispatch(&world, &[]);
    let ended = world.ended(&lost.id);
    assert_ended(&ended, "failure", "session_not_found", "observed");
    assert_eq!(ended["resumed"], json!(session));
    let follows = after(&world, &lost.id);
    assert_eq!(follows.len(), 1, "in the transaction of its end");
    let next = world.ended(follows[0]["id"].as_str().expect("an id"));
    assert_ended(&next, "success", "completed", "observed");
    assert_eq!(next["resumed"], Value::Null);
    assert_ne!(next["session_id"], json!(session));
    assert_eq!(next["key"], KEY);
    let id = next["id"].as_str().expect("an id");
    let logs = world.ctl(&["logs", id, "--raw"]).ok().stdout;
    assert!(logs.contains("TOKEN=t-1"), "with its environment: {logs}");
    assert!(next["queued_at"].is_string() && next["started_at"].is_string());
    world.check();
}

/// Terminal is terminal: whatever comes and goes behind it, it has no process, is in
/// no list of live tasks, and its session stays put aside.
#[test]
fn its_end_stays_over_restarts() {
    let world = World::new();
    let mut supervisor = world.start();
    let session = told_and_forgotten(&world);
    let lost = dispatch(&world, &[("--on-not-found", "fail")]);
    let ended = world.ended(&lost.id);
    assert_ended(&ended, "failure", "session_not_found", "observed");
    for pid in ["supervisor_pid", "shim_pid", "agent_pid"] {
        assert_eq!(ended[pid], Value::Null, "{pid}");
    }
    assert!(ended["finished_at"].is_string(), "{ended:#}");
    let types = world.ledger().event_types(&lost.id);
    let last = &types[types.len() - 2..];
    assert_eq!(
        last,
        ["session.quarantined", "task.ended"],
        "one transaction"
    );
    for _ in 0..2 {
        supervisor.kill();
        supervisor = world.start();
        assert_eq!(world.show(&lost.id), ended);
        let live = world.ctl(&["list", "--json"]).ok().json();
        assert_eq!(live, json!({"tasks": []}));
        let sessions = world.ledger().sessions_of(KEY);
        let row = sessions
            .iter()
            .find(|row| row.text("session_id") == Some(&session));
        let row = row.expect("it is kept");
        assert_eq!(row.text("state"), Some("quarantined"));
        assert_eq!(row.text("quarantine_reason"), Some("session_not_found"));
    }
    let next = world.ended(&dispatch(&world, &[]).id);
    assert_ended(&next, "success", "completed", "observed");
    assert_eq!(next["resumed"], Value::Null, "the next one is fresh");
    world.check();
}

#[test]
fn nothing_follows_where_that_is_wanted() {
    let world = World::new();
    let _session = forgotten(&world);
    let lost = dispatch(&world, &[("--on-not-found", "fail")]);
    let ended = world.ended(&lost.id);
    assert_ended(&ended, "failure", "session_not_found", "observed");
    assert!(after(&world, &lost.id).is_empty());
    // The same word for the same id, and kept for a repetition.
    let run = ["run", "-d", "--id", "x", "--on-not-found"];
    let dispatch = |word: &str| world.ctl(&[&run[..], &[word, "--", "true"]].concat());
    let _first = dispatch("fail").ok();
    let _same = dispatch("fail").ok();
    let _other = dispatch("fresh").expect_code(4);
    wait_until("its end", GENEROUS, || {
        world.show("x")["status"] == "success"
    });
    world.check();
}

/// It repeats the id that it was asked for, and only then looks for it: that confirms
/// nothing.
#[test]
fn an_echoed_id_is_no_conversation() {
    let world = World::new();
    let session = forgotten(&world);
    let lost = run(&world).option("--env", "FAKE_CLAUDE_ECHO=1").detached();
    let ended = world.ended(&lost.id);
    assert_ended(&ended, "failure", "session_not_found", "observed");
    let told = world.ledger().event_types(&lost.id);
    let bound = told.iter().filter(|kind| *kind == "session.bound");
    assert_eq!(bound.count(), 2, "it was told: {told:?}");
    let sessions = world.ledger().sessions_of(KEY);
    let row = sessions
        .iter()
        .find(|row| row.text("session_id") == Some(&session));
    let row = row.expect("it is kept");
    assert_eq!(row.text("quarantine_reason"), Some("session_not_found"));
    let followers = after(&world, &lost.id);
    assert_eq!(followers.len(), 1, "and a fresh one follows");
    let _ended = world.ended(followers[0]["id"].as_str().expect("an id"));
    world.check();
}

#[test]
fn an_attached_run_goes_on_with_the_fresh_one() {
    let world = World::new();
    let _session = forgotten(&world);
    let run = world.run().provider("claude").key(KEY).prompt("hello");
    let id = run.task_id().to_string();
    let output = run.attached().ok();
    assert!(output.stdout.starts_with("answer 1: "), "{output:#?}");
    let words = format!("the session of task {id} was not found");
    assert!(output.stderr.contains(&words), "{output:#?}");
    world.check();
}

/// They hold the id that was theirs, and something runs on under another one.
#[test]
fn who_knows_the_first_id_learns_who_goes_on() {
    let world = World::new();
    let _session = forgotten(&world);
    let run = world.run().provider("claude").key(KEY);
    // No record: the one that follows has the same prompt.
    let lost = run.prompt("forever").detached();
    let _ended = world.ended(&lost.id);
    let follows = after(&world, &lost.id);
    let next = follows[0]["id"].as_str().expect("an id");
    let goes_on = format!("task {next} goes on in a fresh session");
    let stop = format!("agentctl stop-session {next}");
    let waited = world.ctl(&["wait", &lost.id]).expect_code(10);
    let stopped = world.ctl(&["stop-session", &lost.id]).ok();
    assert!(stopped.stdout.contains("already gone"), "{stopped:#?}");
    for output in [waited, stopped] {
        assert!(output.stderr.contains(&goes_on), "{output:#?}");
        assert!(output.stderr.contains(&stop), "{output:#?}");
    }
    let why = world.ctl(&["why", &lost.id]).ok().stdout;
    assert!(why.contains(&goes_on) && why.contains(&stop), "{why}");
    let shown = world.ctl(&["show", &lost.id, "--json"]).ok().json();
    let evidence = shown["evidence"].as_array().expect("a list");
    let last = evidence.last().expect("some")["detail"].as_str();
    assert!(
        last.is_some_and(|text| text.contains(&goes_on)),
        "{shown:#}"
    );
    assert_eq!(world.stop(next, &[]), "stopped");
    let waited = world.ctl(&["wait", &lost.id]).expect_code(10);
    assert!(
        waited.stderr.contains("and has ended (cancelled)"),
        "{waited:#?}"
    );
    world.check();
}

/// The end and its follower are one transaction: whoever dies on either side of
/// it, there is exactly one.
#[test]
fn a_death_in_between_makes_neither_none_nor_two() {
    for point in ["sup.commit.before", "sup.commit.after"] {
        let world = World::builder()
            .hooks([point, "sup.spec_sync.after"])
            .build();
        let _session = forgotten(&world);
        world.hooks().arm("sup.spec_sync.after");
        let lost = run(&world);
        let id = lost.task_id().to_string();
        // Its end may be there before its answer.
        let client = lost.in_background();
        // The follower is written, and its commit is the next step.
        let written = world.hooks().reached();
        world.hooks().arm_death(point);
        written.go();
        let _dead = world.hooks().died(point);
        let _next = world.start();
        let ended = world.ended(&id);
        assert_ended(&ended, "failure", "session_not_found", "observed");
        assert_eq!(world.acknowledge(&client.output()), Some(id.clone()));
        let follows = after(&world, &id);
        assert_eq!(follows.len(), 1, "{point}: {follows:#?}");
        let next = world.ended(follows[0]["id"].as_str().expect("an id"));
        assert_ended(&next, "success", "completed", "observed");
        world.check();
    }
}

/// Bug: a prompt that was meant for a conversation was run in an empty one.
#[test]
fn whoever_names_the_conversation_gets_no_other() {
    for how in ["resume", "reopen", "fresh"] {
        let world = World::new();
        let _supervisor = world.start();
        world.install_fake("claude");
        let first = dispatch(&world, &[]);
        let session = world.ended(&first.id)["session_id"].clone();
        let session = session.as_str().expect("a session");
        forget(&world, session);
        let lost = match how {
            "reopen" => {
                let words = [
                    "reopen",
                    &first.id,
                    "-d",
                    "--prompt",
                    "yes, do it",
                    "--json",
                ];
                let told = world.ctl(&words).ok().json();
                told["id"].as_str().expect("an id").to_owned()
            }
            "resume" => dispatch(&world, &[("--resume", session)]).id,
            _ => {
                let options = [("--resume", session), ("--on-not-found", "fresh")];
                dispatch(&world, &options).id
            }
        };
        let ended = world.ended(&lost);
        assert_ended(&ended, "failure", "session_not_found", "observed");
        let follows = after(&world, &lost);
        assert_eq!(follows.len(), usize::from(how == "fresh"), "{how}");
        for task in follows {
            let _ended = world.ended(task["id"].as_str().expect("an id"));
        }
        world.check();
    }
}
