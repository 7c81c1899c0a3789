//! Agents in a container, when something goes wrong with it: it is paused,
//! stopped or removed, its engine hangs, or a start comes too late.

use std::fs;

use serde_json::Value;
use tests::harness::{GENEROUS, Podman, Process, STUBBORN, World, wait_until};
use tests::needs_podman;
use tests::scenarios::assert_ended;

/// Goes on until it is told.
const WAIT: &str = "echo up; while [ ! -f /tmp/go ]; do sleep 0.1; done; exit 4";

fn why_unknown(task: &Value) -> String {
    assert_eq!(task["exit"]["kind"], "unknown", "{task:#}");
    task["exit"]["why"].as_str().expect("a text").to_owned()
}

/// Bug: it was waited for as long as the container was away, for ever.
#[test]
fn a_removed_container_ends_its_task() {
    needs_podman!();
    let kinds: [fn(&World) -> Podman<'_>; 2] = [|w| Podman::start(w), |w| Podman::serve(w)];
    for serve in kinds {
        let world = World::running();
        let inside = serve(&world);
        let task = inside.task_up(STUBBORN);
        inside.ctl(&["rm", "-f", "-t", "0", "box"], &[]);
        let ended = world.ended(&task);
        assert_ended(&ended, "interrupted", "unknown", "inferred");
        let why = why_unknown(&ended);
        // It is stopped first: who looks right then sees that.
        let seen = ["the container was removed", "the container was stopped"];
        assert!(seen.iter().any(|words| why.contains(words)), "{why}");
        let said = world.ctl(&["why", &task]).ok().stdout;
        assert!(!said.contains("not be proven"), "{said}");
        world.check();
    }
}

#[test]
fn a_stopped_container_ends_its_task() {
    needs_podman!();
    let world = World::running();
    let inside = Podman::start(&world);
    let task = inside.task_up(STUBBORN);
    inside.ctl(&["stop", "-t", "0", "box"], &[]);
    let why = why_unknown(&world.ended(&task));
    assert!(why.contains("the container was stopped"), "{why}");
    world.check();
}

/// Bug: a paused container «does not run», so its task was over.
#[test]
fn a_paused_container_keeps_its_task() {
    needs_podman!();
    let world = World::running();
    let inside = Podman::serve(&world);
    let task = inside.task_up(WAIT);
    inside.sh("echo >/tmp/go");
    let ended = world.ended(&task);
    assert_eq!(ended["exit"]["code"], 4, "{ended:#}");
    inside.sh("rm /tmp/go");
    let task = inside.task_up(WAIT);
    inside.ctl(&["pause", "box"], &[]);
    inside.kill_client(&task);
    inside.state_was_told();
    inside.ctl(&["unpause", "box"], &[]);
    inside.sh("echo >/tmp/go");
    let ended = world.ended(&task);
    assert_eq!(ended["exit"]["code"], 4, "{ended:#}");
    world.check();
}

/// Bug: nobody was named, and the key was free.
#[test]
fn what_cannot_be_ended_in_a_paused_container_is_named() {
    needs_podman!();
    let world = World::running();
    let inside = Podman::serve(&world);
    let run = inside.run(&format!("{STUBBORN} # up")).key("k");
    let task = run.detached().id;
    let log = world.task_dir(&task).join("stdout.log");
    wait_until("the agent's word", GENEROUS, || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains("up"))
    });
    inside.ctl(&["pause", "box"], &[]);
    let stop = ["stop-session", &task, "--force", "--json"];
    let answer = world.ctl(&stop).expect_code(8);
    assert_eq!(world.stop_answered(&task, &answer), "still_alive");
    let answer = answer.json();
    let survivors = answer["results"][0]["survivors"].as_array();
    let survivors = survivors.expect("a list");
    assert!(survivors.len() >= 2, "{answer}");
    let pid = |one: &Value| i32::try_from(one["pid"].as_i64().expect("a pid")).expect("a pid");
    let alive = |one: &Value| Process::now(pid(one)).is_some_and(|process| process.is_alive());
    assert!(survivors.iter().all(alive), "{answer}");
    let why = world.ctl(&["why", &task]).ok().stdout;
    assert!(why.contains("not proven empty: it is paused"), "{why}");
    let busy = world.run().key("k").argv(["true"]).try_detached();
    let _busy = busy.expect_code(4);
    inside.ctl(&["unpause", "box"], &[]);
    let _ended = world.ctl(&["orphans", "kill"]).ok();
    wait_until("their end", GENEROUS, || !survivors.iter().any(alive));
    inside.is_empty();
    let next = world.run().key("k").argv(["true"]).detached();
    assert_eq!(world.ended(&next.id)["status"], "success");
    world.check();
}

/// Bug: an agent that was started after its stop ran on.
#[test]
fn a_start_that_comes_after_the_stop_starts_nothing() {
    needs_podman!();
    let world = World::running();
    let inside = Podman::start(&world);
    inside.behave("late");
    let task = inside.task("echo started");
    let words = world.path("podman/words");
    wait_until("the start", GENEROUS, || words.exists());
    assert_eq!(world.stop(&task, &["--force"]), "stopped");
    assert_eq!(inside.start_late(), "");
    assert_eq!(inside.sh("ls -a /tmp | grep agent || true"), "");
    world.check();
}

/// Bug: a stop took as long as its engine hung.
#[test]
fn a_hung_engine_holds_up_no_stop_and_nothing_is_claimed() {
    needs_podman!();
    let world = World::running();
    let inside = Podman::serve(&world);
    let task = inside.task_up(STUBBORN);
    inside.behave("hang");
    let stop = world.stop_in_background(&task, &["--grace", "200ms"]);
    let ended = || world.ledger().task(&task).expect("a row");
    wait_until("the end", 3 * GENEROUS, || {
        ended().text("status") == Some("cancelled")
    });
    assert_eq!(world.stop_answered(&task, &stop.output()), "still_alive");
    let why = world.ctl(&["why", &task]).ok().stdout;
    assert!(why.contains("podman did not answer for 30 s"), "{why}");
    // The shim waits for the engine, and nobody takes it for dead.
    assert!(!why.contains("the shim does not answer"), "{why}");
    inside.behave_again("hang");
    let _ended = world.ctl(&["orphans", "kill"]).ok();
    inside.is_empty();
    world.check();
}

#[test]
fn a_killed_starter_leaves_no_status_and_the_record_says_so() {
    needs_podman!();
    let world = World::running();
    let inside = Podman::start(&world);
    let task = inside.task_up(WAIT);
    inside.sh("set -- $(cat /tmp/.agent-*.pid); kill -KILL $1");
    inside.sh("echo >/tmp/go");
    let ended = world.ended(&task);
    let why = why_unknown(&ended);
    assert!(why.contains("nor an exit status"), "{why}");
    let said = world.ctl(&["why", &task]).ok().stdout;
    assert!(said.contains("the starter in it was killed"), "{said}");
    world.check();
}
