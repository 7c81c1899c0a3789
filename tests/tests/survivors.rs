//! What cannot be ended is named, and keeps its key and its session busy (R7,
//! R8).

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use sys::temp_folder;
use tests::harness::{Dispatched, GENEROUS, Process, Run, World, own_user, wait_for, wait_until};
use tests::skip;

/// A user that is not ours.
const STRANGER: &str = "65534";

/// Leaves a process of another user behind, writes its pid down, and goes on.
/// The sweep after a shim's death finds it by its marker and may not end it.
fn with_a_stranger(pid_file: &str) -> String {
    format!(
        "setpriv --reuid={STRANGER} --clear-groups sleep 1000 & echo $! > {pid_file}.new; \
         mv {pid_file}.new {pid_file}; wait"
    )
}

fn stranger(pid_file: &str) -> Process {
    wait_for("the stranger", GENEROUS, || {
        let pid = fs::read_to_string(pid_file)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        let process = pid.and_then(Process::now);
        // Not before it is the other program with the other user.
        process
            .filter(|process| process.comm().as_deref() == Some("sleep"))
            .ok_or(pid)
    })
}

#[test]
fn a_key_stays_busy_until_the_last_process_is_gone() {
    if own_user() != 0 {
        skip!("only root can leave a process of another user behind");
    }
    let world = World::new();
    let first = world.start();
    let pid_file = world.path("stranger").display().to_string();
    let script = with_a_stranger(&pid_file);
    let task = world.run().key("k").argv(["sh", "-c", &script]).detached();
    let left = stranger(&pid_file);
    let shim = world.shim_of(&task.id).expect("the shim lives");
    world.kill(&shim, Signal::SIGKILL);
    let ended = world.ended(&task.id);
    assert_eq!(ended["archive_reason"], "shim_lost", "{ended:#}");
    assert!(left.is_alive(), "another user's process is let be");

    let refuses = |world: &World| {
        let refused = world
            .run()
            .key("k")
            .steps(["exit:0"])
            .try_detached()
            .expect_code(4);
        let error = refused.error();
        assert_eq!(error["code"], "key_busy", "{error}");
        let message = error["message"].as_str().expect("words");
        assert!(message.contains(&task.id), "{message}");
        assert!(message.contains(&left.pid.to_string()), "{message}");
        let stopped = world
            .ctl(&["stop", &task.id, "--json"])
            .expect_code(8)
            .json();
        let result = &stopped["results"][0];
        assert_eq!(result["outcome"], "still_alive", "{stopped}");
        assert_eq!(result["survivors"][0]["pid"], left.pid, "{stopped}");
    };
    refuses(&world);
    first.kill();
    let _second = world.start();
    refuses(&world);

    left.signal(Signal::SIGKILL);
    wait_until("the stranger's end", GENEROUS, || !left.is_alive());
    let next = world.run().key("k").steps(["exit:0"]).detached();
    assert_eq!(world.ended(&next.id)["status"], "success");
    assert_eq!(world.stop(&task.id, &[]), "already_gone");
    world.check();
}

#[test]
fn a_stop_names_what_it_could_not_end() {
    if own_user() != 0 {
        skip!("only root can leave a process of another user behind");
    }
    let world = World::builder().hooks(["sup.commit.before"]).build();
    let _supervisor = world.start();
    let pid_file = world.path("stranger").display().to_string();
    let script = with_a_stranger(&pid_file);
    let task = world.run().argv(["sh", "-c", &script]).detached();
    let left = stranger(&pid_file);
    let shim = world.shim_of(&task.id).expect("the shim lives");
    // The stop is on its way to the ledger when the shim dies.
    world.hooks().arm("sup.commit.before");
    let stop = world.stop_in_background(&task.id, &[]);
    let paused = world.hooks().reached();
    world.kill(&shim, Signal::SIGKILL);
    paused.go();
    let output = stop.output().expect_code(8);
    let answer = output.json();
    assert_eq!(answer["results"][0]["outcome"], "still_alive", "{answer}");
    assert_eq!(answer["results"][0]["survivors"][0]["pid"], left.pid);
    left.signal(Signal::SIGKILL);
    wait_until("the stranger's end", GENEROUS, || !left.is_alive());
    world.check();
}

/// A world with a provider that leaves processes alone.
fn with_a_keeper() -> World {
    let world = World::new();
    let provider = "name = \"keeper\"
description = \"leaves processes behind\"
command = [\"{argv}\", \"{args}\"]
[process]
leftovers = \"report\"
";
    fs::create_dir_all(world.providers_dir()).expect("a folder");
    fs::write(world.providers_dir().join("keeper.toml"), provider).expect("a file");
    world
}

fn keeper<'w>(world: &'w World, steps: &[&str]) -> Run<'w> {
    let run = world.run().key("k").option("--provider", "keeper");
    run.steps(steps.iter().copied())
}

/// A task that has ended well, and the process that it has left.
fn left_alone(world: &World) -> (Dispatched, Process) {
    let task = keeper(world, &["spawn:daemon:1:forever", "exit:0"]).detached();
    let ended = world.ended(&task.id);
    assert_eq!(ended["status"], "success", "{ended:#}");
    let left = task.records.alive().pop().expect("left alone");
    (task, left)
}

fn end(process: &Process) {
    process.signal(Signal::SIGKILL);
    wait_until("its end", GENEROUS, || !process.is_alive());
}

/// A provider may leave processes behind; its key waits for them all the same.
#[test]
fn what_a_provider_leaves_alone_keeps_the_key_busy() {
    let world = with_a_keeper();
    let first = world.start();
    let (task, left) = left_alone(&world);
    for _ in 0..2 {
        let refused = keeper(&world, &["exit:0"]).try_detached().expect_code(4);
        assert_eq!(refused.error()["code"], "key_busy");
    }
    // Bug: «0 tasks run» was why it had to wait.
    let queued = keeper(&world, &["exit:0"])
        .option("--on-conflict", "queue")
        .try_detached()
        .ok();
    let words = format!(
        "key k is busy with what lives on of task {}: {}",
        task.id, left.pid
    );
    assert!(queued.stderr.contains(&words), "{queued:#?}");
    let queued = queued.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(world.stop(&queued, &[]), "stopped");
    let alive = world.ctl(&["stop", &task.id]).expect_code(8);
    assert!(
        alive.stderr.contains("`agentctl orphans kill`"),
        "{alive:#?}"
    );
    first.kill();
    let _second = world.start();
    let refused = keeper(&world, &["exit:0"]).try_detached().expect_code(4);
    assert_eq!(refused.error()["code"], "key_busy");
    end(&left);
    let next = keeper(&world, &["exit:0"]).detached();
    assert_eq!(world.ended(&next.id)["status"], "success");
    world.check();
}

/// Who waits for survivors does not give way to a dispatch that they keep out as well.
#[test]
fn a_replacement_that_survivors_keep_out_costs_nobody_his_place() {
    let world = with_a_keeper();
    let _supervisor = world.start();
    let (_task, left) = left_alone(&world);
    let waits = keeper(&world, &["exit:0"])
        .option("--on-conflict", "queue")
        .detached();
    let replaces = keeper(&world, &["exit:0"]).option("--on-conflict", "replace");
    let refused = replaces.try_detached().expect_code(4).error();
    assert_eq!(refused["code"], "key_busy", "{refused}");
    let message = refused["message"].as_str().expect("words");
    assert!(message.contains(&left.pid.to_string()), "{message}");
    let waiting = world.show(&waits.id);
    assert_eq!(waiting["status"], "queued", "{waiting:#}");
    end(&left);
    assert_eq!(world.ended(&waits.id)["status"], "success");
    world.check();
}

/// The private folder of a task.
fn private_folder(world: &World, task: &str) -> PathBuf {
    let found = temp_folder::find(&world.task_dir(task)).expect("readable");
    found.expect("the task has one")
}

/// Whoever is left alone may use the private folder, and nobody does afterwards.
#[test]
fn the_private_folder_goes_when_the_last_process_is_found_gone() {
    let world = with_a_keeper();
    let first = world.start();
    let (task, left) = left_alone(&world);
    let folder = private_folder(&world, &task.id);
    let _refused = keeper(&world, &["exit:0"]).try_detached().expect_code(4);
    assert!(folder.exists(), "it is in use");
    end(&left);
    let next = keeper(&world, &["exit:0"]).detached();
    assert_eq!(world.ended(&next.id)["status"], "success");
    wait_until("the end of the folder", GENEROUS, || !folder.exists());

    // By the next supervisor, where nobody has asked before.
    let (task, left) = left_alone(&world);
    let folder = private_folder(&world, &task.id);
    assert!(folder.exists(), "it is in use");
    first.kill();
    end(&left);
    let _second = world.start();
    wait_until("the end of the folder", GENEROUS, || !folder.exists());

    // With the task itself.
    let (task, left) = left_alone(&world);
    let folder = private_folder(&world, &task.id);
    end(&left);
    wait_until("the end of the task's folder", GENEROUS, || {
        let _pruned = world.prune(&["--older-than", "0s"]);
        !world.task_dir(&task.id).exists()
    });
    assert!(!folder.exists());
    world.check();
}

/// F15: the supervisor has no descriptor left at the moment at which a shim
/// dies. What is concluded then would be wrong for ever.
#[test]
fn a_lack_of_descriptors_only_delays_the_end_of_a_tree() {
    let world = World::new();
    let supervisor = world.start();
    let task = world
        .run()
        .steps(["spawn:daemon:2:ignore=TERM,forever", "mark:up", "forever"])
        .detached();
    task.marked("up");
    let shim = world.shim_of(&task.id).expect("the shim lives");
    let pid = supervisor.process.pid;
    let before = limit_files(pid, "3");
    world.forgive("journal");
    world.kill(&shim, Signal::SIGKILL);
    wait_until("a complaint", GENEROUS, || {
        world.log().contains("cannot be read now")
    });
    assert_eq!(
        world.ledger().task(&task.id).expect("a row").text("status"),
        Some("running")
    );
    let _low = limit_files(pid, &before);
    let ended = world.ended(&task.id);
    assert_eq!(ended["archive_reason"], "shim_lost", "{ended:#}");
    assert_eq!(task.records.alive(), []);
    world.check();
}

/// Sets the soft limit of open files of a process; gives the one before.
fn limit_files(pid: i32, soft: &str) -> String {
    let prlimit = |arguments: &[&str]| {
        let output = std::process::Command::new("prlimit")
            .args(["--pid", &pid.to_string()])
            .args(arguments)
            .output()
            .expect("prlimit can be run");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_string()
    };
    let before = prlimit(&["--nofile", "--output", "SOFT", "--noheadings"]);
    prlimit(&[&format!("--nofile={soft}:")]);
    before
}

/// What an agent left in its TMPDIR does not outlive a shim that was killed.
#[test]
fn a_killed_shim_leaves_no_private_folder() {
    let world = World::running();
    let task = world
        .run()
        .steps(["tmp:something", "mark:up", "forever"])
        .detached();
    task.marked("up");
    let folder = private_folder(&world, &task.id);
    assert!(folder.join("something").exists());
    let shim = world.shim_of(&task.id).expect("the shim lives");
    world.kill(&shim, Signal::SIGKILL);
    let _ended = world.ended(&task.id);
    wait_until("the end of the folder", GENEROUS, || !folder.exists());
    world.check();
}

#[test]
fn one_session_has_one_live_task_whatever_their_keys() {
    let world = World::builder()
        .hooks(["sup.commit.before", "sup.control_send.before"])
        .build();
    world.install_fake("claude");
    let _supervisor = world.start();
    let gate = world.gate("end");
    let other = world.run().steps(["exit:0"]);
    // While the ledger is busy two dispatches come to stand in one batch.
    world.hooks().arm("sup.commit.before");
    let other = other.in_background();
    let paused = world.hooks().reached();
    let greeted = world.hooks().hits("sup.control_send.before");
    let session = uuid::Uuid::new_v4().to_string();
    let dispatch = |key: &str| {
        world
            .run()
            .provider("claude")
            .key(key)
            .option("--session-id", &session)
            .steps(["hello", "mark:up", &gate.step()])
    };
    let runs: Vec<_> = ["k1", "k2"]
        .map(|key| {
            let run = dispatch(key);
            (
                run.task_id().to_string(),
                run.records(),
                run.in_background(),
            )
        })
        .into_iter()
        .collect();
    // A client's request comes with its hello, which is answered at once.
    wait_until("both requests", GENEROUS, || {
        world.hooks().hits("sup.control_send.before") >= greeted + 2
    });
    paused.go();
    let _first = world.acknowledge(&other.output().ok());
    let mut codes = Vec::new();
    for (_, _, run) in runs {
        let output = run.output();
        codes.push(output.code());
        let _acknowledged = world.acknowledge(&output);
    }
    codes.sort_unstable();
    assert_eq!(codes, [0, 4], "one is refused");
    let live = world.ledger().rows(
        "SELECT * FROM task_history WHERE session_id = ?1 AND status = 'running'",
        &[&session],
    );
    assert_eq!(live.len(), 1, "{live:?}");
    gate.open();
    let _ended = world.ended(live[0].text("id").expect("an id"));
    world.check();
}
