//! `run --memory`, and kills for want of memory. How many there were is read from
//! the kernel's own files, never from what the programs say.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::harness::{
    Dispatched, GENEROUS, Gate, MemoryHome, World, kernel_kills, memory_root, wait_for, wait_until,
};
use tests::memory_home;
use tests::scenarios::{assert_ended, signal_of};

/// Held here, the leader's exit is in the journal, and nothing is removed yet.
const EXIT_JOURNALLED: &str = "shim.reap.before";

fn evidence(task: &Value, kind: &str) -> String {
    let lines = task["evidence"].as_array().expect("a list");
    let of_kind = lines.iter().filter(|line| line["kind"] == kind);
    of_kind
        .map(|line| format!("{}\n", line["detail"]))
        .collect()
}

/// Its `task.oom` events.
fn told(world: &World, task: &str) -> Vec<Value> {
    let events = world.ledger().events(task);
    let of_kind = events
        .iter()
        .filter(|event| event.text("type") == Some("task.oom"));
    of_kind.map(|event| event.json("payload")).collect()
}

fn dispatch<'a>(world: &World, steps: impl IntoIterator<Item = &'a str>) -> Dispatched {
    let run = world.run().key("k").option("--memory", "32M");
    run.steps(steps).detached()
}

/// An agent that lives, and has a child that needs more than it may when the gate
/// opens.
fn with_a_child(world: &World, home: &MemoryHome, gate: &Gate) -> Dispatched {
    let step = gate.step().replace(':', "=");
    let child = format!("spawn:session:1:{step},alloc=256,forever");
    let task = dispatch(world, [&*child, "mark:up", "forever"]);
    task.marked("up");
    home.spare(world, &task);
    task
}

/// The kernel has killed one of the task's; the agent lives.
fn child_is_killed(cgroup: &Path, task: &Dispatched) {
    wait_until("the kernel's kill", GENEROUS, || kernel_kills(cgroup) == 1);
    assert!(task.leader().is_alive());
}

fn limit_of(cgroup: &Path) -> String {
    let text = fs::read_to_string(cgroup.join("memory.limit_in_bytes"));
    text.expect("it has one").trim().to_owned()
}

fn is_removed(home: &MemoryHome) {
    wait_for("the end of its cgroup", GENEROUS, || {
        let left = home.below();
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
}

#[test]
fn an_agent_that_needs_more_than_it_may_is_killed_by_the_kernel() {
    let world = World::builder().hooks([EXIT_JOURNALLED]).build();
    let home = memory_home!(&world);
    let _supervisor = home.start(&world);
    world.hooks().arm(EXIT_JOURNALLED);
    let gate = world.gate("go");
    let task = dispatch(&world, [gate.step().as_str(), "alloc:256", "forever"]);
    home.spare(&world, &task);
    let cgroup = home.of(&world, &task.id);
    assert_eq!(limit_of(&cgroup), (32 << 20).to_string());
    let leader = task.leader();
    gate.open();
    let paused = world.hooks().reached();
    world.killed_by_kernel(&leader, &cgroup);
    paused.go();
    let ended = world.ended(&task.id);
    assert_ended(&ended, "interrupted", "oom_killed", "inferred");
    assert_eq!(ended["ended_by"], "kernel", "{ended:#}");
    assert_eq!(signal_of(&ended), Some("SIGKILL"), "{ended:#}");
    let oom = evidence(&ended, "oom");
    assert!(oom.contains("killed 1 process of the task"), "{oom}");
    let told = told(&world, &task.id);
    assert_eq!((told.len(), &told[0]["kills"]), (1, &Value::from(1)));
    let why = world.ctl(&["why", &task.id]).ok().stdout;
    assert!(why.contains("out of memory"), "{why}");
    is_removed(&home);
    world.check();
}

/// F10.
#[test]
fn a_kill_of_a_child_explains_no_later_stop_and_no_later_kill() {
    let world = World::new();
    let home = memory_home!(&world);
    let _supervisor = home.start(&world);
    for (by, status, reason, basis) in [
        ("stop", "cancelled", "user", "declared"),
        ("force", "cancelled", "user", "declared"),
        ("kill", "interrupted", "external_signal", "observed"),
    ] {
        let gate = world.gate(by);
        let task = with_a_child(&world, &home, &gate);
        gate.open();
        let cgroup = home.of(&world, &task.id);
        child_is_killed(&cgroup, &task);
        wait_until("its event", GENEROUS, || !told(&world, &task.id).is_empty());
        match by {
            "stop" => assert_eq!(world.stop(&task.id, &[]), "stopped"),
            "force" => assert_eq!(world.stop(&task.id, &["--force"]), "stopped"),
            _kill => world.kill(&task.leader(), Signal::SIGKILL),
        }
        let ended = world.ended(&task.id);
        assert_ended(&ended, status, reason, basis);
        let told = told(&world, &task.id);
        assert_eq!((told.len(), &told[0]["kills"]), (1, &Value::from(1)));
        assert_eq!(told[0]["leader_lives"], true);
        let oom = evidence(&ended, "oom");
        assert!(oom.contains("the agent itself lived on"), "{oom}");
    }
    is_removed(&home);
    world.check();
}

/// A stop under way when the kernel kills is still the stop.
#[test]
fn a_kill_in_the_grace_of_a_stop_is_the_stops() {
    let world = World::builder().hooks([EXIT_JOURNALLED]).build();
    let home = memory_home!(&world);
    let _supervisor = home.start(&world);
    world.hooks().arm(EXIT_JOURNALLED);
    let gate = world.gate("go");
    let steps = ["ignore:TERM", "mark:up", &gate.step(), "alloc:256"];
    let task = dispatch(&world, steps);
    home.spare(&world, &task);
    let cgroup = home.of(&world, &task.id);
    task.marked("up");
    let stop = world.stop_in_background(&task.id, &["--grace", "1h"]);
    wait_until("the signal", GENEROUS, || {
        let types = world.ledger().event_types(&task.id);
        types.iter().any(|kind| kind == "task.signalled")
    });
    gate.open();
    let paused = world.hooks().reached();
    assert_eq!(kernel_kills(&cgroup), 1);
    paused.go();
    let ended = world.ended(&task.id);
    assert_eq!(world.stop_answered(&task.id, &stop.output()), "stopped");
    assert_ended(&ended, "cancelled", "user", "declared");
    world.check();
}

/// The shim saw the kill of a child, and was killed afterwards.
#[test]
fn a_shim_that_is_killed_later_is_a_lost_shim() {
    let world = World::new();
    let home = memory_home!(&world);
    let _supervisor = home.start(&world);
    let gate = world.gate("go");
    let task = with_a_child(&world, &home, &gate);
    gate.open();
    child_is_killed(&home.of(&world, &task.id), &task);
    wait_until("its event", GENEROUS, || !told(&world, &task.id).is_empty());
    let shim = world.shim_of(&task.id).expect("the shim lives");
    world.kill(&shim, Signal::SIGKILL);
    let ended = world.ended(&task.id);
    assert_ended(&ended, "interrupted", "shim_lost", "observed");
    assert_eq!(told(&world, &task.id).len(), 1);
    is_removed(&home);
    world.check();
}

/// The shim could not see it any more: the supervisor, or the next one, does.
#[test]
fn what_a_dead_shim_had_not_told_is_counted_behind_it() {
    for alive in ["supervisor", "nobody"] {
        let world = World::new();
        let home = memory_home!(&world);
        let first = home.start(&world);
        let gate = world.gate("go");
        let task = with_a_child(&world, &home, &gate);
        let shim = world.shim_of(&task.id).expect("the shim lives");
        shim.signal(Signal::SIGSTOP);
        gate.open();
        child_is_killed(&home.of(&world, &task.id), &task);
        if alive == "nobody" {
            first.kill();
        }
        world.kill(&shim, Signal::SIGKILL);
        let _next = (alive == "nobody").then(|| home.start(&world));
        let ended = world.ended(&task.id);
        assert_ended(&ended, "interrupted", "shim_lost", "observed");
        let told = told(&world, &task.id);
        assert_eq!((told.len(), &told[0]["kills"]), (1, &Value::from(1)));
        assert!(evidence(&ended, "oom").contains("killed 1 process"));
        is_removed(&home);
        world.check();
    }
}

#[test]
fn the_next_supervisor_learns_of_a_kill_that_happened_while_nobody_was_there() {
    let world = World::new();
    let home = memory_home!(&world);
    let first = home.start(&world);
    let gate = world.gate("go");
    let steps = ["mark:up", &gate.step(), "alloc:256"];
    let task = dispatch(&world, steps);
    home.spare(&world, &task);
    task.marked("up");
    let leader = task.leader();
    first.kill();
    gate.open();
    wait_until("its death", GENEROUS, || leader.state().is_none());
    world.killed_by_kernel(&leader, &home.of(&world, &task.id));
    let _second = home.start(&world);
    let ended = world.ended(&task.id);
    assert_ended(&ended, "interrupted", "oom_killed", "inferred");
    is_removed(&home);
    world.check();
}

/// Seen once: it was killed 8 ms after its agent, whose memory was not free yet.
/// It may do no more about it than its user may.
#[test]
fn the_shim_is_not_the_next_victim_and_its_agent_is_as_likely_as_ever() {
    let world = World::running();
    let task = world.run().steps(["mark:up", "forever"]).detached();
    task.marked("up");
    let shim = world.shim_of(&task.id).expect("the shim lives");
    let score = |pid: &str| fs::read_to_string(format!("/proc/{pid}/oom_score_adj"));
    let mut shell = world.command("sh");
    let spare = "echo -1000 2>/dev/null >/proc/self/oom_score_adj; cat /proc/self/oom_score_adj";
    shell.args(["-c", spare]);
    let allowed = world.finish(shell).stdout;
    let shims = score(&shim.pid.to_string()).expect("it has one");
    let agents = score(&task.leader().pid.to_string()).expect("it has one");
    // `cat` inherits what the shell may have set for itself.
    assert_eq!(shims, allowed);
    let ours: i32 = (score("self").expect("we have one").trim().parse()).expect("a number");
    assert_eq!(agents.trim(), ours.max(0).to_string());
    let status = world.ctl(&["status", "--json"]).ok().json();
    let supervisor = format!("/proc/{}/oom_score_adj", status["pid"]);
    fs::write(supervisor, "200").expect("anybody may be worse");
    let worse = world.run().steps(["forever"]).detached();
    let agents = score(&worse.leader().pid.to_string()).expect("it has one");
    assert_eq!(agents.trim(), "200", "its operator's choice stays");
    let _stopped = world.ctl(&["stop-session", &task.id, &worse.id]).ok();
    world.check();
}

/// F11.
#[test]
fn a_shim_that_the_kernel_picks_is_a_lost_shim() {
    let world = World::new();
    let home = memory_home!(&world);
    let supervisor = home.start(&world);
    let gate = world.gate("go");
    let children = "spawn:session:16:alloc=4,forever";
    let steps = ["mark:up", &gate.step(), children, "forever"];
    let task = dispatch(&world, steps);
    task.marked("up");
    let shim = world.shim_of(&task.id).expect("the shim lives");
    // As bad as if it had all of the memory; each child has an eighth.
    let score = format!("/proc/{}/oom_score_adj", shim.pid);
    fs::write(score, "1000").expect("anybody may be worse");
    // Nothing is removed before it was looked at.
    supervisor.signal(Signal::SIGSTOP);
    gate.open();
    wait_until("the kernel's kill", GENEROUS, || !shim.is_alive());
    assert!(kernel_kills(&home.of(&world, &task.id)) > 0);
    supervisor.signal(Signal::SIGCONT);
    let ended = world.ended(&task.id);
    assert_ended(&ended, "interrupted", "shim_lost", "observed");
    assert!(evidence(&ended, "oom").contains("for want of memory"));
    assert_eq!(task.records.alive(), []);
    is_removed(&home);
    world.check();
}

/// W12 behind a dead shim, without a cgroup of version 2.
#[test]
fn a_cgroup_for_the_memory_proves_that_the_tree_is_gone() {
    let world = World::new();
    let home = memory_home!(&world);
    let _supervisor = home.start(&world);
    let steps = ["spawn:daemon:1:wipe-env,mark=wiped,forever", "forever"];
    let task = dispatch(&world, steps);
    task.marked("wiped");
    let shim = world.shim_of(&task.id).expect("the shim lives");
    world.kill(&shim, Signal::SIGKILL);
    let ended = world.ended(&task.id);
    assert_ended(&ended, "interrupted", "shim_lost", "observed");
    assert_eq!(task.records.alive(), []);
    let sweep = evidence(&ended, "sweep");
    assert!(sweep.contains("tree proven empty"), "{sweep}");
    is_removed(&home);
    world.check();
}

#[test]
fn a_retry_keeps_the_limit_and_another_one_is_another_dispatch() {
    let world = World::new();
    let home = memory_home!(&world);
    let first = home.start(&world);
    let run = |memory: &str| {
        let run = world.run().id("t1").key("k").option("--memory", memory);
        run.argv(["sleep", "1000"]).try_detached()
    };
    assert_eq!(run("48M").code(), 0);
    assert_eq!(run("48M").code(), 0, "the same again");
    let refusal = run("64M").expect_code(4).error();
    assert_eq!(refusal["code"], "id_conflict", "{refusal}");
    assert_eq!(world.stop("t1", &[]), "stopped");
    // It is in the task's folder, not in the supervisor's memory.
    first.kill();
    let _second = home.start(&world);
    for (options, expected) in [(vec![], 48 << 20), (vec!["--memory", "64M"], 64 << 20)] {
        let line = [&["retry", "t1", "-d", "--json"], &options[..]].concat();
        let again = world.ctl(&line).ok();
        let id = world.acknowledge(&again).expect("it has an id");
        assert_eq!(limit_of(&home.of(&world, &id)), expected.to_string());
        assert_eq!(world.stop(&id, &[]), "stopped");
    }
    world.check();
}

#[test]
fn a_limit_that_cannot_be_kept_is_refused_before_a_row_and_before_a_stop() {
    let world = World::new();
    // In the root of the hierarchy, where there is one, nothing can be limited.
    let enter = match memory_root() {
        Some(root) if fs::write(root.join("cgroup.procs"), "").is_ok() => {
            format!("echo $$ > {}/cgroup.procs; ", root.display())
        }
        Some(_) | None => String::new(),
    };
    let _supervisor = world.start_by("sh", &["-c", &format!("{enter}exec \"$0\"")]);
    let task = world.run().key("k").steps(["forever"]).detached();
    let run = world.run().key("k").option("--memory", "32M");
    let refused = run.option("--on-conflict", "replace").try_detached();
    let refusal = refused.expect_code(4).error();
    assert_eq!(refusal["code"], "limit", "{refusal}");
    let message = refusal["message"].as_str().expect("words");
    assert!(
        message.contains("--memory cannot be kept here"),
        "{message}"
    );
    let hint = refusal["hint"].as_str().expect("what to do");
    assert!(hint.contains("agents.service"), "{hint}");
    assert_eq!(world.ledger().tasks().len(), 1);
    assert!(task.leader().is_alive());
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    world.check();
}

#[test]
fn what_makes_no_sense_as_a_limit_is_a_usage_error() {
    let world = World::running();
    for words in [
        &["--memory", "1M"][..],
        &["--memory", "lots"],
        &["--memory", "32M", "--container", "c"],
    ] {
        let line = [&["run", "-d"], words, &["--", "true"]].concat();
        let output = world.ctl(&line).expect_code(2);
        assert!(output.stderr.contains("--memory"), "{output:#?}");
    }
    assert!(world.ledger().tasks().is_empty());
    world.check();
}
