//! The orderly end: what runs may finish, the rest is stopped for the drain's
//! reason, and everyone hears of it before.

use std::sync::Arc;

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::harness::{Background, Dispatched, GENEROUS, Process, Supervisor, World, wait_until};
use tests::scenarios::assert_ended;

/// Long enough for any machine: a test never waits for it.
const PATIENT: &str = "[shutdown]\ndrain_ms = 3600000\ngrace_ms = 3600000\n";

fn world_with(config: &str) -> World {
    World::builder().config(config).build()
}

fn running(world: &World, steps: &[&str]) -> Dispatched {
    let steps = [&["mark:up"], steps].concat();
    let task = world.run().steps(steps).detached();
    task.marked("up");
    task
}

fn phase(world: &World) -> Value {
    world.ctl(&["status", "--json"]).ok().json()["phase"].clone()
}

fn wait_for_phase(world: &World, wanted: &str) {
    wait_until(wanted, GENEROUS, || phase(world) == wanted);
}

fn drain_in_background(world: &World, options: &[&str]) -> Background {
    let arguments = [&["drain", "--json"], options].concat();
    Background::start(world.ctl_command(&arguments))
}

/// What it said of its end, by the words behind `[shutdown]`.
fn last_words(supervisor: &Supervisor) -> Vec<String> {
    let words = |line: &str| {
        let (_, said) = line.split_once("[shutdown] ")?;
        Some(said.split(" tasks=").next().unwrap_or(said).to_owned())
    };
    supervisor.log().lines().filter_map(words).collect()
}

fn supervisor_events(world: &World) -> Vec<Value> {
    let events = world.ctl(&["events", "--json"]).ok().json_lines();
    events
        .into_iter()
        .filter(|event| event["task_id"].is_null())
        .collect()
}

fn assert_left(supervisor: &Arc<Supervisor>) {
    assert!(supervisor.ended().success());
}

#[test]
fn what_finishes_in_time_keeps_its_own_end() {
    let world = world_with(PATIENT);
    let supervisor = world.start();
    let gate = world.gate("end");
    let task = running(&world, &[&gate.step(), "exit:3"]);
    supervisor.signal(Signal::SIGTERM);
    wait_for_phase(&world, "draining");
    let refused = world.run().steps(["exit:0"]).try_detached().expect_code(6);
    assert_eq!(refused.error()["code"], "draining");
    let known = world
        .run()
        .id(&task.id)
        .steps(["mark:up", &gate.step(), "exit:3"])
        .try_detached()
        .ok();
    assert_eq!(known.json()["id"], task.id, "no new work: the same task");
    let status = world.ctl(&["status", "--json"]).ok().json();
    assert_eq!(status["drain"]["reason"], "hub_shutdown");
    assert_eq!(status["drain"]["busy"], serde_json::json!([task.id]));
    gate.open();
    assert_left(&supervisor);
    let shown = world.show(&task.id);
    assert_ended(&shown, "failure", "failed", "observed");
    let said = last_words(&supervisor);
    assert_eq!(said[0], "draining 1 tasks");
    assert!(
        said[1].starts_with(&format!("task {} settled after ", task.id)),
        "{said:?}"
    );
    assert_eq!(said[2], "bye");
    world.check();
}

#[test]
fn what_does_not_finish_is_stopped_for_the_drains_reason() {
    let world = world_with("[shutdown]\ndrain_ms = 0\n");
    let supervisor = world.start();
    let task = running(&world, &["forever"]);
    let leader = task.leader();
    supervisor.signal(Signal::SIGTERM);
    assert_left(&supervisor);
    assert!(!leader.is_alive());
    let shown = world.show(&task.id);
    assert_ended(&shown, "interrupted", "hub_shutdown", "declared");
    assert_eq!(shown["ended_by"], "supervisor");
    assert_eq!(shown["intents"][0]["outcome"], "effective");
    world.check();
    let _next = world.start();
    let started = running(&world, &["exit:0"]);
    let _ended = world.ended(&started.id);
    let sessions = world.ledger().event_types(&task.id);
    assert!(sessions.contains(&"task.hub_draining".to_owned()));
}

#[test]
fn a_second_signal_forces_at_once() {
    let world = world_with(PATIENT);
    let supervisor = world.start();
    let task = running(&world, &["ignore:TERM", "mark:deaf", "forever"]);
    task.marked("deaf");
    supervisor.signal(Signal::SIGTERM);
    wait_for_phase(&world, "draining");
    supervisor.signal(Signal::SIGINT);
    assert_left(&supervisor);
    let shown = world.show(&task.id);
    assert_ended(&shown, "interrupted", "hub_shutdown", "declared");
    assert_eq!(shown["exit"]["signal"], "SIGKILL");
    let said = last_words(&supervisor);
    let forced = said
        .iter()
        .position(|word| word.starts_with("force-abort after "));
    let settled = said.iter().position(|word| word.contains("settled after"));
    assert!(forced.is_some() && forced < settled, "{said:?}");
    assert_eq!(said.last().map(String::as_str), Some("bye"));
    world.check();
}

#[test]
fn what_ignores_the_stop_is_forced_when_the_grace_is_over() {
    let world = world_with("[shutdown]\ndrain_ms = 0\ngrace_ms = 50\n");
    let supervisor = world.start();
    let task = running(&world, &["ignore:TERM", "mark:deaf", "forever"]);
    task.marked("deaf");
    supervisor.signal(Signal::SIGTERM);
    assert_left(&supervisor);
    let shown = world.show(&task.id);
    assert_ended(&shown, "interrupted", "hub_shutdown", "declared");
    assert_eq!(shown["exit"]["signal"], "SIGKILL");
    world.check();
}

#[test]
fn subscribers_hear_of_it_before_anything_is_stopped() {
    let world = world_with("[shutdown]\ndrain_ms = 0\n");
    let supervisor = world.start();
    let task = running(&world, &["forever"]);
    supervisor.signal(Signal::SIGTERM);
    assert_left(&supervisor);
    let events = world.ctl(&["events", "--json"]).ok().json_lines();
    let at = |kind: &str| {
        let found = events.iter().position(|event| event["type"] == kind);
        found.unwrap_or_else(|| panic!("no {kind}: {events:#?}"))
    };
    let shutdown = &events[at("service_shutdown")];
    assert_eq!(shutdown["phase"], "draining");
    assert_eq!(shutdown["reason"], "hub_shutdown");
    assert_eq!(shutdown["busy"], serde_json::json!([task.id]));
    assert_eq!(shutdown["will_stop"], serde_json::json!([task.id]));
    assert_eq!(shutdown["survives"], serde_json::json!([]));
    assert!(shutdown["deadline"].is_string());
    assert!(at("supervisor.draining") < at("task.stop_requested"));
    assert!(at("service_shutdown") < at("task.stop_requested"));
    assert!(at("task.hub_draining") < at("task.stop_requested"));
    assert!(at("task.ended") < at("supervisor.drained"));
    assert!(at("supervisor.drained") < at("supervisor.stopped"));
    world.check();
}

#[test]
fn a_drained_supervisor_stays_and_can_be_called_back() {
    let world = world_with(PATIENT);
    let _supervisor = world.start();
    let gate = world.gate("end");
    let task = running(&world, &[&gate.step(), "exit:0"]);
    let draining = drain_in_background(&world, &["--deadline", "1h"]);
    wait_for_phase(&world, "draining");
    gate.open();
    let drained = draining.output().ok().json();
    assert_eq!(drained["phase"], "drained");
    assert_eq!(drained["drain"]["busy"], serde_json::json!([]));
    assert_ended(&world.show(&task.id), "success", "completed", "observed");
    let refused = world.run().steps(["exit:0"]).try_detached().expect_code(6);
    assert!(refused.error()["hint"].to_string().contains("--cancel"));
    let told = world.ctl(&["drain", "--status", "--json"]).ok().json();
    assert_eq!(told["phase"], "drained");
    let back = world.ctl(&["drain", "--cancel", "--json"]).ok().json();
    assert_eq!(back["phase"], "admitting");
    assert_eq!(back["drain"], Value::Null);
    let again = world.run().steps(["exit:0"]).detached();
    assert_ended(&world.ended(&again.id), "success", "completed", "observed");
    world.check();
}

#[test]
fn a_drain_that_is_called_off_stops_nobody() {
    let world = world_with(PATIENT);
    let _supervisor = world.start();
    let gate = world.gate("end");
    let task = running(&world, &[&gate.step(), "exit:0"]);
    let at_once = world.ctl(&["drain", "--no-wait", "--json"]).ok().json();
    assert_eq!(at_once["phase"], "draining");
    let waiting = drain_in_background(&world, &[]);
    wait_until("the second drain is known", GENEROUS, || {
        world.log().matches("a drain joined the one").count() == 1
    });
    let _back = world.ctl(&["drain", "--cancel"]).ok();
    let told = waiting.output().expect_code(4);
    assert_eq!(told.error()["code"], "conflict");
    gate.open();
    assert_ended(&world.ended(&task.id), "success", "completed", "observed");
    let kinds: Vec<String> = supervisor_events(&world)
        .iter()
        .map(|event| event["type"].to_string())
        .collect();
    assert!(
        kinds.contains(&"\"supervisor.admitting\"".to_owned()),
        "{kinds:?}"
    );
    world.check();
}

#[test]
fn a_drain_over_the_command_line_says_who_wanted_it() {
    let world = world_with("");
    let _supervisor = world.start();
    let task = running(&world, &["forever"]);
    let drained = world
        .ctl(&["drain", "--deadline", "0s", "--json"])
        .ok()
        .json();
    assert_eq!(drained["phase"], "drained");
    let shown = world.show(&task.id);
    assert_ended(&shown, "interrupted", "hub_shutdown", "declared");
    assert_eq!(shown["intents"][0]["requested_by"]["comm"], "agentctl");
    world.check();
}

#[test]
fn what_dies_with_a_supervisor_that_drains_has_the_drains_reason() {
    let world = world_with(PATIENT);
    let supervisor = world.start();
    let task = running(&world, &["forever"]);
    let shim: Process = world.shim_of(&task.id).expect("the shim lives");
    supervisor.signal(Signal::SIGTERM);
    wait_for_phase(&world, "draining");
    supervisor.kill();
    world.kill(&shim, Signal::SIGKILL);
    let _next = world.start();
    let shown = world.ended(&task.id);
    assert_ended(&shown, "interrupted", "hub_shutdown", "inferred");
    world.check();
}

#[test]
fn a_successor_that_finds_the_shim_forgets_the_drain() {
    let world = world_with(PATIENT);
    let supervisor = world.start();
    let task = running(&world, &["forever"]);
    supervisor.signal(Signal::SIGTERM);
    wait_for_phase(&world, "draining");
    supervisor.kill();
    let _next = world.start();
    wait_until("the shim is back", GENEROUS, || {
        world.show(&task.id)["presence"] == "attached"
    });
    let shim = world.shim_of(&task.id).expect("the shim lives");
    world.kill(&shim, Signal::SIGKILL);
    let shown = world.ended(&task.id);
    assert_ended(&shown, "interrupted", "shim_lost", "observed");
    world.check();
}

#[test]
fn agents_that_are_kept_are_told_of() {
    let world = world_with("[shutdown]\non_stop = \"keep\"\n");
    let supervisor = world.start();
    let gate = world.gate("end");
    let task = running(&world, &[&gate.step(), "exit:0"]);
    supervisor.signal(Signal::SIGTERM);
    assert_left(&supervisor);
    let events = supervisor_events(&world);
    let shutdown = events
        .iter()
        .find(|event| event["type"] == "service_shutdown")
        .expect("it is said");
    assert_eq!(shutdown["phase"], "exited");
    assert_eq!(shutdown["survives"], serde_json::json!([task.id]));
    assert_eq!(shutdown["will_stop"], serde_json::json!([]));
    let _next = world.start();
    gate.open();
    assert_ended(&world.ended(&task.id), "success", "completed", "observed");
    world.check();
}
