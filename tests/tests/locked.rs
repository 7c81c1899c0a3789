//! Another program holds the ledger, so that nothing can be recorded: whoever asks
//! for something is told at once, in words that are true.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tests::harness::{Bins, GENEROUS, World, wait_until};
use tests::scenarios::{LedgerLock, assert_ended, is_taken, says_later, up};

/// A later one was not.
#[track_caller]
fn is_refused(world: &World, words: &[&str]) {
    let said = world.ctl(words).expect_code(1).stderr;
    assert!(said.contains("and so it is not done"), "{said}");
}

fn phase(world: &World) -> String {
    let status = world.ctl(&["status", "--json"]).ok().json();
    status["phase"].as_str().expect("a word").to_owned()
}

#[test]
fn a_drain_that_is_not_recorded_is_not_begun_or_carried_out_later() {
    let world = World::new();
    let _supervisor = world.start();
    let one = up(&world, "one");
    let lock = LedgerLock::take(&world);
    is_taken(&world, &["rename", &one.id, "first"]);
    is_refused(&world, &["drain", "--no-wait"]);
    is_refused(&world, &["drain"]);
    assert_eq!(phase(&world), "admitting");
    lock.release(&world);
    assert_eq!(world.show(&one.id)["name"], "first");
    assert_eq!(phase(&world), "admitting");

    let lock = LedgerLock::take(&world);
    is_taken(&world, &["drain"]);
    is_refused(&world, &["drain", "--cancel"]);
    lock.release(&world);
    assert_eq!(phase(&world), "draining");
    let _called_off = world.ctl(&["drain", "--cancel"]).ok();
    assert_eq!(world.stop(&one.id, &[]), "stopped");
    world.check();
}

#[test]
fn a_word_on_a_task_that_is_not_recorded_is_carried_out_later_if_it_was_taken() {
    let world = World::new();
    let _supervisor = world.start();
    let live = up(&world, "live");
    let done = world.run().id("done").steps(["exit:0"]).detached();
    let _ended = world.ended(&done.id);
    let _aside = world.ctl(&["archive", &done.id]).ok();
    let lock = LedgerLock::take(&world);
    is_taken(&world, &["unarchive", &done.id]);
    is_refused(&world, &["rename", &live.id, "never"]);
    lock.release(&world);
    assert_eq!(world.show(&done.id)["archived"], false);
    assert_ne!(world.show(&live.id)["name"], "never");
    assert_eq!(world.stop(&live.id, &[]), "stopped");
    world.check();
}

/// Bug: these hung without a word, as their answers wait for what a commit brings.
#[test]
fn whoever_waits_for_more_than_a_commit_is_told_as_well() {
    let world = World::new();
    let _supervisor = world.start();
    let aside = up(&world, "aside");
    let lock = LedgerLock::take(&world);
    is_taken(&world, &["archive", &aside.id]);
    lock.release(&world);
    wait_until("it is put aside", GENEROUS, || {
        world.show(&aside.id)["archived"] == true
    });

    let before = up(&world, "before");
    let lock = LedgerLock::take(&world);
    let next = world
        .run()
        .id("next")
        .key("before")
        .option("--on-conflict", "replace")
        .steps(["exit:0"])
        .try_detached();
    says_later(&next.expect_code(1).stderr);
    lock.release(&world);
    assert_ended(
        &world.ended(&before.id),
        "cancelled",
        "superseded_by_task",
        "declared",
    );
    wait_until("its row", GENEROUS, || {
        world.ledger().task("next").is_some()
    });
    assert_ended(&world.ended("next"), "success", "completed", "observed");

    let lock = LedgerLock::take(&world);
    let new = world.run().id("new").steps(["exit:0"]).try_detached();
    let said = new.expect_code(1).stderr;
    says_later(&said);
    assert!(said.contains("of task new"), "{said}");
    lock.release(&world);
    assert_ended(&world.ended("new"), "success", "completed", "observed");
    world.check();
}

/// Bug: its evidence told of a shim that there was not, and its agent was started
/// when the stop was recorded.
#[test]
fn a_task_that_is_stopped_before_its_start_is_recorded_is_not_started() {
    let world = World::new();
    let _supervisor = world.start();
    // What the start tells is recorded before.
    let other = up(&world, "other");
    for force in [true, false] {
        let id = format!("force-{force}");
        let lock = LedgerLock::take(&world);
        let run = world.run().id(&id).steps(["mark:up", "forever"]);
        says_later(&run.try_detached().expect_code(1).stderr);
        if force {
            let words = ["stop-session", &id, "--force", "--json"];
            let stopped = world.ctl(&words).ok().json();
            assert_eq!(stopped["results"][0]["outcome"], "stopped", "{stopped:#}");
        } else {
            let refused = world.ctl(&["stop-session", &id]).expect_code(1);
            assert!(
                refused.stderr.contains("nothing is signalled"),
                "{}",
                refused.stderr
            );
        }
        lock.release(&world);
        wait_until("the record of its end", GENEROUS, || {
            let kinds = world.ledger().event_types(&id);
            kinds.contains(&"task.ended".to_owned())
        });
        let ended = world.ended(&id);
        assert_ended(&ended, "cancelled", "user", "declared");
        let evidence = ended["evidence"].to_string();
        assert!(evidence.contains("to be stopped before"), "{ended:#}");
        let kinds = world.ledger().event_types(&id);
        assert!(
            kinds.contains(&"task.never_started".to_owned()),
            "{kinds:?}"
        );
        assert!(!kinds.contains(&"task.started".to_owned()), "{kinds:?}");
        assert!(!evidence.contains("not_durable"), "{ended:#}");
    }
    assert_eq!(world.stop(&other.id, &[]), "stopped");
    world.check();
}

/// Bug: its folder told of a row that was never committed, so that no supervisor
/// started over it any more.
#[test]
fn a_task_that_was_stopped_before_its_row_is_in_nobodys_way() {
    let world = World::new();
    let supervisor = world.start();
    let other = up(&world, "other");
    let lock = LedgerLock::take(&world);
    let run = world.run().id("never").steps(["mark:up", "forever"]);
    says_later(&run.try_detached().expect_code(1).stderr);
    let words = ["stop-session", "never", "--force", "--json"];
    let stopped = world.ctl(&words).ok().json();
    let seen = ["outcome", "archive_reason"].map(|name| &stopped["results"][0][name]);
    assert_eq!(seen, ["stopped", "user"], "{stopped:#}");
    supervisor.kill();
    drop(lock);
    let _second = world.start();
    let _unknown = world.ctl(&["show", "never"]).expect_code(3);
    let again = world.run().id("never").steps(["exit:0"]).detached();
    assert_ended(&world.ended(&again.id), "success", "completed", "observed");
    assert_eq!(world.stop(&other.id, &[]), "stopped");
    world.check();
}

/// Bug: whoever did not want to wait waited.
#[test]
fn a_forced_stop_from_memory_is_not_waited_for_by_whoever_does_not_want_to() {
    let world = World::new();
    let _supervisor = world.start();
    let one = up(&world, "one");
    let shim = world.shim_of(&one.id).expect("it has one");
    world.kill(&shim, Signal::SIGSTOP);
    let lock = LedgerLock::take(&world);
    is_taken(&world, &["rename", &one.id, "first"]);
    let words = ["stop-session", &one.id, "--force", "--no-wait", "--json"];
    let told = world.ctl(&words);
    let told = told.json();
    assert_eq!(told["results"][0]["outcome"], "still_alive", "{told:#}");
    assert_eq!(told["not_durable"], true, "{told:#}");
    world.kill(&shim, Signal::SIGCONT);
    lock.release(&world);
    assert_ended(&world.ended(&one.id), "cancelled", "user", "declared");
    world.check();
}

/// Bug: the time of its shim to answer began when the stop was asked for, so that a
/// healthy agent was killed with its shim as soon as the stop was recorded.
#[test]
fn a_stop_that_waited_long_for_its_record_is_an_ordinary_one() {
    let world = World::new();
    let _supervisor = world.start();
    let deaf = world
        .run()
        .id("deaf")
        .option("--grace", "300ms")
        .steps(["ignore:TERM", "mark:up", "forever"])
        .detached();
    deaf.marked("up");
    let lock = LedgerLock::take(&world);
    let asked = Instant::now();
    let stop = world.ctl(&["stop-session", &deaf.id]).expect_code(1);
    assert!(
        stop.stderr.contains("nothing is signalled"),
        "{}",
        stop.stderr
    );
    // The limit that it has is named in the lifecycle: 2 s.
    let patience = Duration::from_millis(2_000);
    wait_until("longer than a shim may be silent", GENEROUS, || {
        asked.elapsed() > patience
    });
    lock.release(&world);
    let ended = world.ended(&deaf.id);
    assert_ended(&ended, "cancelled", "user", "declared");
    let evidence = ended["evidence"].to_string();
    assert!(evidence.contains("by the shim"), "{ended:#}");
    assert!(!evidence.contains("by the supervisor"), "{ended:#}");
    let kinds = world.ledger().event_types(&deaf.id);
    assert!(!kinds.contains(&"task.alarm".to_owned()), "{kinds:?}");
    world.check();
}

/// Bug: it was counted from the dispatch, so that it was over before the start.
#[test]
fn a_start_limit_begins_with_the_start() {
    let world = World::new();
    let _supervisor = world.start();
    let other = up(&world, "other");
    let lock = LedgerLock::take(&world);
    let asked = Instant::now();
    let late = world
        .run()
        .id("late")
        .option("--start-timeout", "2s")
        .steps(["print:here", "exit:0"])
        .try_detached();
    says_later(&late.expect_code(1).stderr);
    wait_until("longer than its limit", GENEROUS, || {
        asked.elapsed() > Duration::from_secs(2)
    });
    lock.release(&world);
    wait_until("its row", GENEROUS, || {
        world.ledger().task("late").is_some()
    });
    assert_ended(&world.ended("late"), "success", "completed", "observed");
    assert_eq!(world.stop(&other.id, &[]), "stopped");
    world.check();
}

/// Bug: it was told to mend what is sound, with the exit code that keeps a service
/// down; and `recover` replaced it.
#[test]
fn a_locked_ledger_is_sound_and_the_next_start_may_go_well() {
    let world = World::new();
    let first = world.start();
    let one = up(&world, "one");
    first.kill();
    let lock = LedgerLock::take(&world);
    let refused = world.spawn_supervisor();
    assert_eq!(refused.ended().code(), Some(1), "{}", world.log());
    let log = world.log();
    assert!(log.contains("another program has locked it"), "{log}");
    assert!(log.contains("nothing is wrong with it"), "{log}");
    let mut recover = world.command(Bins::locate().supervisor());
    recover.arg("recover");
    let refused = world.finish(recover).expect_code(1);
    assert!(
        refused.stderr.contains("another program has locked it"),
        "{}",
        refused.stderr
    );
    drop(lock);
    let _second = world.start();
    assert_eq!(world.stop(&one.id, &[]), "stopped");
    world.forgive("ledger");
    world.check();
}

/// Bug: nobody looked at the time, once the drain had begun.
#[test]
fn a_drain_that_can_record_nothing_any_more_comes_to_an_end() {
    let world = World::builder()
        .config("[shutdown]\ndrain_ms = 1000\ngrace_ms = 1000\n")
        .build();
    let first = world.start();
    let one = up(&world, "one");
    first.signal(Signal::SIGTERM);
    wait_until("the drain is recorded", GENEROUS, || {
        phase(&world) == "draining"
    });
    let lock = LedgerLock::take(&world);
    assert!(!first.ended().success());
    drop(lock);
    let _second = world.start();
    assert_eq!(world.stop(&one.id, &[]), "stopped");
    world.forgive("ledger");
    world.check();
}
