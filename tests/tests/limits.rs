//! The limits of a task: how long it may run, be silent, and write.

use tests::harness::{GENEROUS, World, wait_until};
use tests::scenarios::assert_ended;

/// A shim tells what it hears once a second, and an agent that printed all the
/// time was once stopped by a shorter limit.
#[test]
fn an_agent_that_goes_on_printing_is_not_idle() {
    let world = World::running();
    let script = "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.2; done";
    let run = world
        .run()
        .argv(["sh", "-c", script])
        .option("--idle-timeout", "600ms");
    let output = run.attached().ok();
    assert_eq!(output.stdout, "1\n2\n3\n4\n5\n6\n7\n8\n");
    world.check();
}

#[test]
fn an_agent_that_falls_silent_is_idle() {
    let world = World::running();
    let run = world
        .run()
        .argv(["sh", "-c", "echo once; exec sleep 1000"])
        .option("--idle-timeout", "300ms");
    let id = run.task_id().to_string();
    let _cancelled = run.attached().expect_code(11);
    assert_ended(&world.show(&id), "cancelled", "idle_timeout", "declared");
    world.check();
}

/// Whoever shows life is past its start limit, and has the others before it.
#[test]
fn each_limit_ends_a_task_for_its_own_reason() {
    let world = World::running();
    let limited = |script: &str, options: &[(&str, &str)]| {
        let run = world.run().argv(["sh", "-c", script]);
        let run = options
            .iter()
            .fold(run, |run, (name, value)| run.option(name, value));
        world.ended(&run.detached().id)
    };
    let silent = limited("exec sleep 1000", &[("--start-timeout", "300ms")]);
    assert_ended(&silent, "cancelled", "start_timeout", "declared");
    let printing = "echo once; exec sleep 1000";
    let ended = limited(printing, &[("--start-timeout", "5s"), ("--timeout", "6s")]);
    assert_ended(&ended, "cancelled", "timeout", "declared");
    // Behind the grace comes KILL.
    let stubborn = "trap '' TERM; echo once; while :; do sleep 1000; done";
    let ended = limited(stubborn, &[("--timeout", "500ms"), ("--grace", "200ms")]);
    assert_ended(&ended, "cancelled", "timeout", "declared");
    assert_eq!(ended["exit"]["signal"], "SIGKILL", "{ended:#}");
    world.check();
}

#[test]
fn limits_count_on_under_the_next_supervisor() {
    let world = World::new();
    let first = world.start();
    let limited = |option: &str, script: &str| {
        let run = world.run().argv(["sh", "-c", script]);
        run.option(option, "2s").detached()
    };
    let started = limited("--start-timeout", "exec sleep 1000");
    let whole = limited("--timeout", "echo once; exec sleep 1000");
    first.kill();
    let _second = world.start();
    let (started, whole) = (world.ended(&started.id), world.ended(&whole.id));
    assert_ended(&started, "cancelled", "start_timeout", "declared");
    assert_ended(&whole, "cancelled", "timeout", "declared");
    world.check();
}

#[test]
fn a_limit_of_zero_is_refused() {
    let world = World::new();
    for limit in ["--timeout", "--idle-timeout", "--start-timeout"] {
        let refused = world
            .ctl(&["run", limit, "0s", "--", "true"])
            .expect_code(2);
        assert!(
            refused.stderr.contains("leave the option out"),
            "{refused:#?}"
        );
    }
}

/// Bugs: the time until its end overflowed in the shim, and the supervisor took the
/// shim for silent after 2 s.
#[test]
fn a_grace_may_be_longer_than_anybody_waits() {
    let world = World::running();
    let late = "trap 'sleep 3; exit 7' TERM; echo up; while :; do sleep 0.1; done";
    let task = world.run().argv(["sh", "-c", late]).detached();
    wait_until("its trap", GENEROUS, || {
        world.ctl(&["logs", &task.id]).stdout == "up\n"
    });
    let ages = format!("{}ms", u64::MAX);
    assert_eq!(world.stop(&task.id, &["--grace", &ages]), "stopped");
    let ended = world.show(&task.id);
    assert_ended(&ended, "cancelled", "user", "declared");
    assert_eq!(ended["exit"]["code"], 7, "{ended:#}");
    assert_eq!(ended["intents"][0]["signalled_by"], "shim");
    world.check();
}
