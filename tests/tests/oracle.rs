//! The invariants see what is wrong: each is shown one violation of its rule.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::sys::signal::Signal;
use tests::harness::{GENEROUS, World, wait_until};
use tests::invariants::{Settled, differences, wait_until_settled};
use tests::matrix::in_words;

/// A world with one task that has printed and ended, and its id.
fn world() -> (World, String) {
    let world = World::running();
    let task = world.run().steps(["print:hello", "exit:0"]).detached();
    let _ended = world.ended(&task.id);
    wait_until_settled(&world);
    world.check();
    (world, task.id)
}

#[track_caller]
fn is_seen(world: &World, rule: &str) {
    let broken = catch_unwind(AssertUnwindSafe(|| world.check()));
    let said = in_words(broken.expect_err("it is broken").as_ref());
    assert!(said.contains(&format!("\"{rule}: ")), "{said}");
}

#[test]
fn a_signal_at_a_bystander_is_seen() {
    let (world, task) = world();
    world.bystander(&task);
    world.check();
    let bystander = world.oracle().bystanders[0].clone();
    bystander.signal(Signal::SIGTERM);
    is_seen(&world, "I4");
}

#[test]
fn a_byte_too_few_and_another_byte_in_a_log_are_seen() {
    let (world, task) = world();
    let log = world.task_dir(&task).join("stdout.log");
    for wrong in ["hello", "hullo\n"] {
        fs::write(&log, wrong).expect("ours");
        is_seen(&world, "I7");
    }
    fs::write(&log, "hello\n").expect("ours");
    world.check();
}

#[test]
fn a_ledger_that_says_something_else_than_the_folders_is_seen() {
    let (world, task) = world();
    for settled in [Settled::Kept, Settled::Lost] {
        assert_eq!(differences(&world, settled), Vec::<String>::new());
    }
    let ledger = rusqlite::Connection::open(world.ledger().path()).expect("the ledger");
    let change = "UPDATE task_history SET exit_code = 1 WHERE id = ?1";
    assert_eq!(ledger.execute(change, [&task]).expect("writable"), 1);
    for settled in [Settled::Kept, Settled::Lost] {
        assert_ne!(differences(&world, settled), Vec::<String>::new());
    }
}

/// The same wait as for everything else.
#[test]
fn a_process_that_outlives_its_task_is_seen() {
    let (world, task) = world();
    let mut command = world.command(world.bins().fake_agent());
    let name = format!("AGENT_TASK_{}", task.replace('-', "_2d"));
    command.arg("forever").env(name, "whatever");
    let left = tests::harness::Background::start(command);
    wait_until("its environment", GENEROUS, || {
        !world.marked(&task).is_empty()
    });
    is_seen(&world, "I12");
    left.process.signal(Signal::SIGKILL);
    wait_until("its end", GENEROUS, || !left.process.is_alive());
    world.check();
}
