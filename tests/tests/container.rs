//! Agents in a real container of podman: the exec client is never believed, and
//! nothing of a task is left in the container (DESIGN §8).

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::harness::{Podman, STUBBORN, World};
use tests::needs_podman;
use tests::scenarios::assert_ended;

/// Ends with 5 in the image, with 6 elsewhere: it has no /usr.
// What prints is no crash loop, however often it is done again.
const WHERE_AM_I: &str = "echo here; [ -e /usr ] && exit 6; exit 5";

fn code(task: &Value) -> Option<i64> {
    task["exit"]["code"].as_i64()
}

#[test]
fn an_agent_in_a_container_ends_with_its_own_code() {
    needs_podman!();
    let world = World::running();
    let inside = Podman::start(&world);
    let ended = world.ended(&inside.task("echo up; exit 3"));
    assert_eq!(code(&ended), Some(3), "{ended:#}");
    assert_ended(&ended, "failure", "failed", "observed");
    let ended = world.ended(&inside.task("exit 0"));
    assert_eq!(code(&ended), Some(0), "{ended:#}");
    assert_ended(&ended, "success", "completed", "observed");
    // Nothing is left behind in it, either.
    assert_eq!(inside.sh("ls -a /tmp | grep agent || true"), "");
    world.check();
}

#[test]
fn a_container_that_cannot_be_entered_is_refused_in_words() {
    needs_podman!();
    let world = World::running();
    let inside = Podman::start(&world);
    let refused = |name: &str| {
        let run = world.run().option("--container", name);
        let id = run.task_id().to_owned();
        let _refused = run.argv(["true"]).try_detached().expect_code(10);
        assert_ended(&world.show(&id), "failure", "spawn_failed", "observed");
        world.ctl(&["why", &id]).ok().stdout
    };
    let why = refused("none-such");
    assert!(why.contains("container none-such was not found"), "{why}");
    inside.ctl(&["pause", "box"], &[]);
    let why = refused("box");
    assert!(why.contains("box does not run: it is paused"), "{why}");
    inside.ctl(&["unpause", "box"], &[]);
    inside.ctl(&["stop", "-t", "0", "box"], &[]);
    let why = refused("box");
    assert!(why.contains("box does not run: it is exited"), "{why}");
    world.check();
}

#[test]
fn a_stop_ends_what_ignores_it_in_a_session_of_its_own() {
    needs_podman!();
    let world = World::running();
    let inside = Podman::start(&world);
    let task = inside.task_up(STUBBORN);
    assert_eq!(world.stop(&task, &["--grace", "500ms"]), "stopped");
    inside.is_empty();
    assert_ended(&world.ended(&task), "cancelled", "user", "declared");
    world.check();
}

/// As with docker: the shim is the subreaper of nothing in the container.
#[test]
fn a_stop_ends_what_is_no_descendant_of_the_shim() {
    needs_podman!();
    let world = World::running();
    let inside = Podman::serve(&world);
    let task = inside.task_up(STUBBORN);
    assert_eq!(world.stop(&task, &["--grace", "500ms"]), "stopped");
    inside.is_empty();
    assert_ended(&world.ended(&task), "cancelled", "user", "declared");
    let task = inside.task_up(STUBBORN);
    world.kill(&world.shim_of(&task).expect("a shim"), Signal::SIGKILL);
    assert_ended(&world.ended(&task), "interrupted", "shim_lost", "observed");
    inside.is_empty();
    world.check();
}

/// Replaces itself by a child in a session of its own, for ever.
const FORKS: &str = "f='sleep 0.01; setsid sh -c \"$0\" \"$0\" & exit'; sh -c \"$f\" \"$f\" & \
                     echo up; while :; do sleep 1; done";

/// Bug: a look at the processes one after the other never met it, and it lived on.
#[test]
fn a_stop_ends_what_forks_for_ever_and_is_no_descendant_of_the_shim() {
    needs_podman!();
    let world = World::running();
    let inside = Podman::serve(&world);
    for _ in 0..5 {
        let task = inside.task_up(FORKS);
        assert_eq!(world.stop(&task, &["--grace", "500ms"]), "stopped");
        assert_ended(&world.ended(&task), "cancelled", "user", "declared");
        // Those that fork have no number of long standing: many looks, then.
        let look = "for i in 1 2 3 4 5 6 7 8 9 10; do cat /proc/[0-9]*/cmdline; done";
        let seen = inside.sh(&format!("{look} 2>/dev/null; true"));
        assert!(!seen.contains("setsid"), "{seen:?}");
    }
    inside.is_empty();
    world.check();
}

/// Bug: each look was a newcomer to those of the other tasks, and none was ever sure.
#[test]
fn many_tasks_of_one_container_are_ended_at_once() {
    needs_podman!();
    let world = World::running();
    let inside = Podman::serve(&world);
    let tasks: Vec<String> = (0..10).map(|_| inside.task_up(STUBBORN)).collect();
    let mut words = vec!["stop-session", "--grace", "500ms", "--json"];
    words.extend(tasks.iter().map(String::as_str));
    let told = world.ctl(&words).ok().json();
    let results = told["results"].as_array().expect("results");
    assert_eq!(results.len(), tasks.len(), "{told:#}");
    for result in results {
        assert_eq!(result["outcome"], "stopped", "{told:#}");
    }
    inside.is_empty();
    for task in &tasks {
        assert_ended(&world.show(task), "cancelled", "user", "declared");
    }
    world.check();
}

#[test]
fn a_limit_ends_a_task_in_a_container() {
    needs_podman!();
    let world = World::running();
    let inside = Podman::start(&world);
    let run = inside.run(STUBBORN).option("--timeout", "1s");
    let task = run.option("--grace", "200ms").detached().id;
    assert_ended(&world.ended(&task), "cancelled", "timeout", "declared");
    inside.is_empty();
    world.check();
}

#[test]
fn a_drain_ends_a_task_in_a_container() {
    needs_podman!();
    let world = World::running();
    let inside = Podman::start(&world);
    let task = inside.task_up(STUBBORN);
    let _drained = world.ctl(&["drain", "--deadline", "0s"]).ok();
    let ended = world.show(&task);
    assert_ended(&ended, "interrupted", "hub_shutdown", "declared");
    inside.is_empty();
    world.check();
}

#[test]
fn a_killed_exec_client_does_not_lose_the_task() {
    needs_podman!();
    let world = World::running();
    let inside = Podman::start(&world);
    let wait = "echo up; while [ ! -f /tmp/go ]; do sleep 0.1; done; exit 4";
    let task = inside.task_up(wait);
    inside.kill_client(&task);
    inside.sh("echo >/tmp/go");
    assert_eq!(code(&world.ended(&task)), Some(4));
    world.check();
}

#[test]
fn a_killed_shim_leaves_nothing_in_the_container() {
    needs_podman!();
    let world = World::running();
    let inside = Podman::start(&world);
    let task = inside.task_up(STUBBORN);
    world.kill(&world.shim_of(&task).expect("a shim"), Signal::SIGKILL);
    assert_ended(&world.ended(&task), "interrupted", "shim_lost", "observed");
    inside.is_empty();
    world.check();
}

#[test]
fn a_container_outlives_a_killed_supervisor_and_is_stopped_by_the_next() {
    needs_podman!();
    let world = World::new();
    let first = world.start();
    let inside = Podman::start(&world);
    let task = inside.task_up(STUBBORN);
    first.kill();
    let second = world.start();
    assert_eq!(world.stop(&task, &["--force"]), "stopped");
    inside.is_empty();
    let other = inside.task_up(STUBBORN);
    let shim = world.shim_of(&other).expect("a shim");
    second.kill();
    world.kill(&shim, Signal::SIGKILL);
    let _third = world.start();
    assert_eq!(world.ended(&other)["archive_reason"], "shim_lost");
    inside.is_empty();
    world.check();
}

/// Bug: it was done again on the host.
#[test]
fn a_task_of_a_container_is_done_again_in_it() {
    needs_podman!();
    let world = World::running();
    let inside = Podman::start(&world);
    let first = inside.task(WHERE_AM_I);
    assert_eq!(code(&world.ended(&first)), Some(5));
    let again = |of: &str, options: &[&str]| {
        let mut words = vec!["retry", of, "-d", "--json"];
        words.extend(options);
        let task = world.ctl(&words).ok().json();
        world.ended(task["id"].as_str().expect("an id"))
    };
    let second = again(&first, &[]);
    assert_eq!(code(&second), Some(5), "{second:#}");
    // Of one that was itself done again.
    let third = again(second["id"].as_str().expect("an id"), &[]);
    assert_eq!(code(&third), Some(5), "{third:#}");
    // Early versions did not keep it with what was asked for.
    let spec = world.task_dir(&first).join("spec");
    let text = std::fs::read(&spec).expect("readable");
    let mut old: Value = serde_json::from_slice(&text).expect("JSON");
    let kept = old["asked"].as_object_mut().expect("an object");
    assert_eq!(kept.remove("container"), Some("box".into()));
    std::fs::write(&spec, old.to_string()).expect("written");
    let fourth = again(&first, &[]);
    assert_eq!(code(&fourth), Some(5), "{fourth:#}");
    let elsewhere = ["retry", &first, "-d", "--container", "none-such"];
    let _refused = world.ctl(&elsewhere).expect_code(10);
    world.check();
}
