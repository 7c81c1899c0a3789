//! The limits of a task: how long it may run, be silent, and write.

use tests::harness::World;
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
