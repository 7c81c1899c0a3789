//! A ledger that is damaged, lost or out of date is rebuilt from the task
//! folders; what live agents do meanwhile is none of its business.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tests::harness::{Bins, Dispatched, GENEROUS, Output, World, wait_until};
use tests::scenarios::assert_ended;

fn recover(world: &World) -> Output {
    let mut command = world.command(Bins::locate().supervisor());
    command.arg("recover");
    world.finish(command)
}

/// A world with a task of every kind, and its supervisor killed: one that
/// succeeded, one that was stopped, one whose shim was killed, one that lives.
fn populated(world: &World) -> (Dispatched, Vec<Value>) {
    world.install_fake("claude");
    let supervisor = world.start();
    let done = world
        .run()
        .provider("claude")
        .key("talk")
        .steps(["hello"])
        .detached();
    let _done = world.ended(&done.id);
    let stopped = world.run().steps(["forever"]).detached();
    assert_eq!(world.stop(&stopped.id, &["--note", "enough"]), "stopped");
    let lost = world.run().steps(["forever"]).detached();
    let shim = world.shim_of(&lost.id).expect("the shim lives");
    world.kill(&shim, nix::sys::signal::Signal::SIGKILL);
    let _lost = world.ended(&lost.id);
    let live = world
        .run()
        .key("busy")
        .steps(["mark:up", "forever"])
        .detached();
    live.marked("up");
    let ids = [done.id, stopped.id, lost.id];
    wait_until("settled folders", GENEROUS, || {
        ids.iter()
            .all(|id| world.task_dir(id).join("settled").exists())
    });
    let shown = ids.iter().map(|id| told(world, id)).collect();
    supervisor.kill();
    (live, shown)
}

/// What a user sees of a task.
fn told(world: &World, id: &str) -> Value {
    let mut shown = world.show(id);
    // The supervisor that answers is another one.
    shown["supervisor_pid"] = Value::Null;
    shown
}

fn ledger_id(world: &World) -> Value {
    world.ctl(&["status", "--json"]).ok().json()["ledger_id"].clone()
}

/// Overwrites everything behind the header.
fn damage(world: &World) -> Vec<u8> {
    let path = world.ledger().path().to_path_buf();
    let connection = rusqlite::Connection::open(&path).expect("the ledger");
    connection
        .pragma_update(None, "journal_mode", "DELETE")
        .expect("a plain file");
    drop(connection);
    let mut bytes = fs::read(&path).expect("the ledger");
    for byte in bytes.iter_mut().skip(100) {
        *byte ^= 0x5a;
    }
    fs::write(&path, &bytes).expect("damaged");
    bytes
}

fn kept_files(world: &World) -> Vec<PathBuf> {
    let files = fs::read_dir(world.state_dir()).expect("the state folder");
    files
        .filter_map(|file| Some(file.ok()?.path()))
        .filter(|path| path.to_string_lossy().contains(".damaged-"))
        .collect()
}

/// Everything is as it was, and the live agent can be stopped.
fn is_as_before(world: &World, live: &Dispatched, before: &[Value]) {
    for shown in before {
        let id = shown["id"].as_str().expect("it has one");
        assert_eq!(told(world, id), *shown);
    }
    let sessions = world
        .ctl(&["sessions", "show", "talk", "--json"])
        .ok()
        .json();
    assert_eq!(
        sessions["sessions"][0]["state"], "resumable",
        "{sessions:#}"
    );
    wait_until("the shim is back", GENEROUS, || {
        world.show(&live.id)["presence"] == "attached"
    });
    let leader = live.leader();
    assert_eq!(world.show(&live.id)["agent_pid"], json!(leader.pid));
    let _busy = world
        .run()
        .key("busy")
        .steps(["exit:0"])
        .try_detached()
        .expect_code(4);
    assert_eq!(world.stop(&live.id, &[]), "stopped");
    assert!(!leader.is_alive());
    assert_ended(&world.show(&live.id), "cancelled", "user", "declared");
}

#[test]
fn a_damaged_ledger_is_rebuilt_and_kept() {
    let world = World::new();
    let (live, before) = populated(&world);
    let bytes = damage(&world);
    let refused = world.spawn_supervisor();
    assert_eq!(refused.ended().code(), Some(4), "{}", world.log());
    let said = recover(&world).ok().stdout;
    assert!(said.contains("3 tasks that had ended, 1 that"), "{said}");
    let kept = kept_files(&world);
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(fs::read(&kept[0]).expect("it is kept"), bytes);
    let _next = world.start();
    is_as_before(&world, &live, &before);
    world.forgive("ledger");
    world.check();
}

#[test]
fn a_lost_ledger_is_rebuilt_at_the_start_where_that_is_wanted() {
    let world = World::builder()
        .config("[ledger]\non_damage = \"recover\"\n")
        .build();
    let (live, before) = populated(&world);
    for end in ["", "-wal", "-shm"] {
        let path = format!("{}{end}", world.ledger().path().display());
        let _absent = fs::remove_file(path);
    }
    let _next = world.start();
    is_as_before(&world, &live, &before);
    let log = world.log();
    assert!(log.contains("[recovery] there is no old ledger"), "{log}");
    assert!(log.contains("3 tasks that had ended, 1 that"), "{log}");
    world.forgive("ledger");
    world.forgive("[recovery]");
    world.check();
}

#[test]
fn an_older_ledger_that_was_put_back_is_noticed() {
    let world = World::new();
    let first = world.start();
    let early = world.run().steps(["exit:0"]).detached();
    let _early = world.ended(&early.id);
    assert!(first.terminate().success());
    let path = world.ledger().path().to_path_buf();
    let old = fs::read(&path).expect("closed in order, it is one file");
    let (live, before) = populated(&world);
    for end in ["-wal", "-shm"] {
        let _absent = fs::remove_file(format!("{}{end}", path.display()));
    }
    fs::write(&path, old).expect("put back");
    let refused = world.spawn_supervisor();
    assert_eq!(refused.ended().code(), Some(4), "{}", world.log());
    assert!(
        world.log().contains("older than the tasks"),
        "{}",
        world.log()
    );
    let said = recover(&world).ok().stdout;
    assert!(
        said.contains(&format!("task {} was not in the old ledger", live.id)),
        "{said}"
    );
    let _next = world.start();
    is_as_before(&world, &live, &before);
    assert_eq!(world.show(&early.id)["status"], "success");
    world.forgive("ledger");
    world.check();
}

/// Bug: a look whether it was locked brought its log into the file.
#[test]
fn the_old_ledger_is_kept_as_it_was() {
    let world = World::new();
    let supervisor = world.start();
    let task = world.run().steps(["exit:0"]).detached();
    let _ended = world.ended(&task.id);
    supervisor.kill();
    let path = world.ledger().path().to_path_buf();
    let read = |path: String| fs::read(path).expect("it was not closed");
    let family = |path: &str| ["", "-wal"].map(|end| read(format!("{path}{end}")));
    let before = family(&path.to_string_lossy());
    let _recovered = recover(&world).ok();
    let kept = kept_files(&world);
    let kept = kept.iter().map(|path| path.to_string_lossy());
    let main = kept.min_by_key(|path| path.len()).expect("kept");
    assert!(family(&main) == before, "{main} is not what the ledger was");
    world.forgive("ledger");
    world.check();
}

#[test]
fn a_rebuild_again_changes_nothing_but_the_ledgers_id() {
    let world = World::new();
    let (live, before) = populated(&world);
    let _first = recover(&world).ok();
    let supervisor = world.start();
    let id = ledger_id(&world);
    supervisor.kill();
    let said = recover(&world).ok().stdout;
    assert!(!said.contains("[recovery] task "), "no difference: {said}");
    let _next = world.start();
    assert_ne!(ledger_id(&world), id);
    is_as_before(&world, &live, &before);
    world.check();
}

#[test]
fn the_operators_word_on_a_session_is_kept() {
    let world = World::new();
    let (live, before) = populated(&world);
    let done = before[0]["id"].as_str().expect("it has one").to_owned();
    let supervisor = world.start();
    let state = |key: &str| {
        let sessions = world.ctl(&["sessions", "show", key, "--json"]).ok().json();
        sessions["sessions"][0]["state"].clone()
    };
    let _word = world.ctl(&["sessions", "quarantine", "talk"]).ok();
    assert_eq!(state("talk"), "quarantined");
    wait_until("the word in its folder", GENEROUS, || {
        fs::read_to_string(world.task_dir(&done).join("settled"))
            .is_ok_and(|text| text.contains("\"state\":\"quarantined\""))
    });
    supervisor.kill();
    let _said = recover(&world).ok();
    let _next = world.start();
    assert_eq!(state("talk"), "quarantined");
    let _word = world.ctl(&["sessions", "release", "talk"]).ok();
    assert_eq!(world.stop(&live.id, &[]), "stopped");
    world.check();
}

/// What a power cut can leave: a `spec` without its bytes, and no `settled`.
fn lose(world: &World, id: &str) {
    fs::write(world.task_dir(id).join("spec"), b"").expect("cut");
    let _absent = fs::remove_file(world.task_dir(id).join("settled"));
}

fn remove_ledger(world: &World) {
    for end in ["", "-wal", "-shm"] {
        let path = format!("{}{end}", world.ledger().path().display());
        let _absent = fs::remove_file(path);
    }
}

#[test]
fn a_lost_task_refuses_no_later_start() {
    let world = World::new();
    let (live, before) = populated(&world);
    let id = before[1]["id"].as_str().expect("it has one").to_owned();
    lose(&world, &id);
    remove_ledger(&world);
    let said = recover(&world).ok().stdout;
    let kept = world.state_dir().join("tasks-lost").join(&id);
    assert!(said.contains(&format!("task {id} is lost")), "{said}");
    assert!(said.contains(&kept.display().to_string()), "{said}");
    assert!(kept.join("claim").exists() && kept.join("stdout.log").exists());
    assert!(!world.task_dir(&id).exists());
    for _start in 0..2 {
        world.start().kill();
    }
    let _next = world.start();
    is_as_before(&world, &live, &[before[0].clone(), before[2].clone()]);
}

#[test]
fn the_folder_of_a_lost_task_that_lives_stays_until_it_is_gone() {
    let world = World::new();
    let first = world.start();
    let lives = world.run().steps(["mark:up", "forever"]).detached();
    lives.marked("up");
    let (shim, leader) = (world.shim_of(&lives.id).expect("it lives"), lives.leader());
    first.kill();
    lose(&world, &lives.id);
    remove_ledger(&world);
    let said = recover(&world).ok().stdout;
    for word in [
        format!("task {} is lost", lives.id),
        "its agent may be alive".to_owned(),
        format!("its shim is process {}", shim.pid),
        format!("process {}", leader.pid),
    ] {
        assert!(said.contains(&word), "{word} in {said}");
    }
    let second = world.start();
    let log = world.log();
    assert!(log.contains("the folder of a lost task stays"), "{log}");
    let other = world.run().steps(["exit:0"]).detached();
    let _other = world.ended(&other.id);
    assert!(
        shim.is_alive() && leader.is_alive(),
        "it is nobody's to end"
    );
    second.kill();
    world.kill(&shim, nix::sys::signal::Signal::SIGTERM);
    wait_until("the end of it", GENEROUS, || {
        !shim.is_alive() && !leader.is_alive()
    });
    let said = recover(&world).ok().stdout;
    let kept = world.state_dir().join("tasks-lost").join(&lives.id);
    assert!(said.contains(&kept.display().to_string()), "{said}");
    assert!(kept.join("journal").exists() && !world.task_dir(&lives.id).exists());
    let _next = world.start();
    assert_eq!(world.show(&other.id)["status"], "success");
}

#[test]
fn a_journal_that_cannot_be_read_loses_no_task() {
    let world = World::new();
    let (live, before) = populated(&world);
    let id = before[2]["id"].as_str().expect("it has one").to_owned();
    fs::remove_file(world.task_dir(&id).join("settled")).expect("settled");
    let journal = world.task_dir(&id).join("journal");
    let mut bytes = fs::read(&journal).expect("a journal");
    // Its version, behind the magic.
    bytes[4] = 0xff;
    fs::write(&journal, bytes).expect("written");
    remove_ledger(&world);
    let said = recover(&world).ok().stdout;
    let told = format!("task {id} is taken for one that lives");
    assert!(said.contains(&told) && !said.contains("is lost"), "{said}");
    let _next = world.start();
    is_as_before(&world, &live, &before[..2]);
    assert_eq!(world.show(&id)["id"], json!(id));
}

#[test]
fn nothing_is_rebuilt_under_a_running_supervisor() {
    let world = World::running();
    let refused = recover(&world).expect_code(3);
    assert!(refused.stderr.contains("another"), "{}", refused.stderr);
    let _status = world.ctl(&["status"]).ok();
    assert_eq!(kept_files(&world), Vec::<PathBuf>::new());
}
