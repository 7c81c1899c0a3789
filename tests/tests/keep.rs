//! How a task is kept: `archive`, `unarchive`, `rename`. None of it changes why
//! a task ended.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::harness::{Bins, GENEROUS, Output, World, own_user, wait_for, wait_until};
use tests::skip;

fn archive(world: &World, id: &str) -> Value {
    world.ctl(&["archive", id, "--json"]).ok().json()
}

fn ended(world: &World) -> String {
    let task = world.run().steps(["exit:3"]).detached();
    let _ended = world.ended(&task.id);
    task.id
}

#[test]
fn a_live_task_is_stopped_before_it_is_archived() {
    let world = World::running();
    let task = world.run().steps(["mark:up", "forever"]).detached();
    task.marked("up");
    let agent = task.leader();
    let kept = archive(&world, &task.id);
    assert!(!agent.is_alive(), "archived means gone");
    assert_eq!(kept["archived"], json!(true), "{kept:#}");
    assert_eq!(kept["already_archived"], json!(false));
    assert_eq!(kept["archive_reason"], "user");
    assert_eq!(kept["status"], "cancelled");
    let by = kept["archived_by"].as_str().expect("a name");
    assert!(by.starts_with("uid:"), "{by}");
    let intents = &world.show(&task.id)["intents"];
    assert_eq!(intents[0]["note"], "archive", "{intents:#}");
    assert_eq!(intents[0]["outcome"], "effective");
    world
        .oracle()
        .stops
        .push((task.id.clone(), "stopped".into()));
    world.check();
}

#[test]
fn archiving_twice_is_the_same_and_the_reason_stays() {
    let world = World::running();
    let task = world.run().steps(["mark:up", "forever"]).detached();
    task.marked("up");
    let shim = world.shim_of(&task.id).expect("the shim lives");
    world.kill(&shim, Signal::SIGKILL);
    let lost = world.ended(&task.id);
    let kept = archive(&world, &task.id);
    assert_eq!(kept["archived_by"], "supervisor", "{kept:#}");
    assert_eq!(kept["archive_reason"], lost["archive_reason"]);
    assert_eq!(kept["finished_at"], lost["finished_at"]);
    let again = archive(&world, &task.id);
    assert_eq!(again["already_archived"], json!(true));
    assert_eq!(again["archived_at"], kept["archived_at"]);
    assert_eq!(again["version"], kept["version"], "nothing was written");
    let out = world.ctl(&["unarchive", &task.id, "--json"]).ok().json();
    assert_eq!(out["archived"], json!(false));
    assert_eq!(out["archived_by"], Value::Null);
    let _same = world.ctl(&["unarchive", &task.id]).ok();
    let _unknown = world.ctl(&["archive", "nobody"]).expect_code(3);
    let why = world.ctl(&["why", &task.id]).ok().stdout;
    assert!(
        why.contains("archived") && why.contains("unarchived"),
        "{why}"
    );
    world.check();
}

/// Two callers at once: one intent each, one verdict, one flag.
#[test]
fn two_archives_of_a_live_task_agree() {
    let world = World::running();
    let task = world.run().steps(["mark:up", "forever"]).detached();
    task.marked("up");
    let answers: Vec<Output> = std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| world.ctl(&["archive", &task.id, "--json"])));
        both.map(|one| one.join().expect("no panic")).into()
    });
    let flags: Vec<Value> = answers
        .into_iter()
        .map(|answer| answer.ok().json()["already_archived"].clone())
        .collect();
    assert!(flags.contains(&json!(false)), "{flags:?}");
    assert!(flags.contains(&json!(true)), "{flags:?}");
    world
        .oracle()
        .stops
        .push((task.id.clone(), "stopped".into()));
    world.check();
}

#[test]
fn what_is_still_alive_is_not_archived() {
    if own_user() != 0 {
        skip!("only root can leave a process of another user behind");
    }
    let world = World::running();
    let (task, left) = world.task_with_a_stranger();
    let refused = world.ctl(&["archive", &task.id, "--json"]).expect_code(8);
    assert_eq!(refused.error()["code"], "not_gone");
    assert_eq!(world.show(&task.id)["archived"], json!(false));
    left.signal(Signal::SIGKILL);
    wait_until("the stranger's end", GENEROUS, || !left.is_alive());
    assert_eq!(archive(&world, &task.id)["archived"], json!(true));
    world.check();
}

#[test]
fn a_name_changes_at_any_time_and_only_a_stale_version_is_refused() {
    let world = World::running();
    let gate = world.gate("end");
    let task = world.run().steps(["mark:up", &gate.step()]).detached();
    task.marked("up");
    let rename = |name: &str, options: &[&str]| {
        let mut words = vec!["rename", &task.id, name, "--json"];
        words.extend(options);
        world.ctl(&words)
    };
    let live = rename("first", &[]).ok().json();
    assert_eq!(live["name"], "first");
    assert_eq!(live["status"], "running");
    assert_eq!(
        world.show("first")["id"],
        json!(task.id),
        "known by its name"
    );
    gate.open();
    let ended = world.ended(&task.id);
    let version = ended["version"].to_string();
    assert_eq!(ended["name"], "first");
    let second = rename("second", &["--if-version", &version]).ok().json();
    let refused = rename("third", &["--if-version", &version])
        .expect_code(4)
        .error();
    assert_eq!(refused["code"], "conflict");
    let now = second["version"].to_string();
    assert!(
        refused["message"]
            .as_str()
            .is_some_and(|text| text.contains(&now)),
        "{refused}"
    );
    assert_eq!(refused["version"], second["version"], "the next try has it");
    let third = rename("third", &["--if-version", &now]).ok().json();
    assert_eq!(third["name"], "third");
    let _empty = rename("", &[]).expect_code(2);
    world.check();
}

#[test]
fn a_hundred_renames_at_once_all_succeed() {
    let world = World::running();
    let id = ended(&world);
    let before = world.show(&id)["version"].as_u64().expect("a version");
    let versions: Vec<u64> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..100)
            .map(|n| {
                let (world, id) = (&world, &id);
                scope.spawn(move || {
                    let name = format!("name-{n}");
                    let answer = world.ctl(&["rename", id, &name, "--json"]).ok().json();
                    assert_eq!(answer["name"], json!(name));
                    answer["version"].as_u64().expect("a version")
                })
            })
            .collect();
        all.into_iter()
            .map(|one| one.join().expect("no panic"))
            .collect()
    });
    let mut sorted = versions;
    sorted.sort_unstable();
    let expected: Vec<u64> = (before + 1..=before + 100).collect();
    assert_eq!(sorted, expected, "each saw its own change");
    world.check();
}

#[test]
fn what_the_operator_said_survives_a_restart_and_a_rebuild() {
    let world = World::new();
    let first = world.start();
    let id = ended(&world);
    let _renamed = world.ctl(&["rename", &id, "kept"]).ok();
    let _kept = archive(&world, &id);
    let told = |world: &World| {
        let mut shown = world.show(&id);
        shown["supervisor_pid"] = Value::Null;
        shown
    };
    let before = told(&world);
    first.kill();
    let second = world.start();
    assert_eq!(told(&world), before);
    let text = wait_for("the settled folder", GENEROUS, || {
        let text = fs::read_to_string(world.task_dir(&id).join("settled")).unwrap_or_default();
        if text.contains("task.archived") {
            Ok(text)
        } else {
            Err(text)
        }
    });
    assert!(text.contains("task.renamed"), "{text}");
    second.kill();
    let mut command = world.command(Bins::locate().supervisor());
    command.arg("recover");
    let _rebuilt = world.finish(command).ok();
    let _third = world.start();
    assert_eq!(told(&world), before);
    world.check();
}

#[test]
fn the_gateway_keeps_tasks_as_agentctl_does() {
    let config = "[http]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{dir}/token\"\n";
    let world = World::builder().config(config).build();
    world.write_token();
    let _supervisor = world.start();
    let http = world.http().with("content-type", "application/json");
    let id = ended(&world);
    let at = format!("/v1/tasks/{id}");
    let renamed = http.ask("PATCH", &at, r#"{"name":"by http"}"#).json();
    assert_eq!(renamed["name"], "by http");
    let version = renamed["version"].to_string();
    let stale = http.with("if-match", "\"1\"");
    let late = stale.ask("PATCH", &at, r#"{"name":"late"}"#);
    assert_eq!(late.json()["task"], renamed, "the state that it met");
    assert_eq!(late.error(409)["code"], "conflict");
    let fresh = http.with("if-match", &format!("\"{version}\""));
    assert_eq!(fresh.ask("PATCH", &at, r#"{"name":"on time"}"#).status, 200);
    let _nothing = http.ask("PATCH", &at, "{}").error(400);
    for already in [false, true] {
        let kept = http.post(&format!("{at}/archive"), &json!({}));
        assert_eq!(kept.status, 200);
        assert_eq!(kept.json()["already_archived"], json!(already));
    }
    let still = http.ask("PATCH", &at, r#"{"name":"put aside"}"#).json();
    assert_eq!(still["archived"], json!(true));
    assert_eq!(still["already_archived"], Value::Null, "not asked for");
    let out = http.post(&format!("{at}/unarchive"), &json!({})).json();
    assert_eq!(out["archived"], json!(false));
    let again = http.post(
        &format!("{at}/retry"),
        &json!({"id": "again", "argv": ["true"]}),
    );
    assert_eq!(again.status, 201, "{again:?}");
    assert_eq!(again.json()["links"]["retry_of"], json!(id));
    assert_eq!(world.ended("again")["status"], "success");
    let refused = http.post(&format!("{at}/reopen"), &json!({"prompt": "on"}));
    assert_eq!(refused.error(409)["code"], "conflict");
    let _unknown = http.post("/v1/tasks/nobody/archive", &json!({})).error(404);
    world.check();
}

/// Many changes of a task are written into its folder together: none that comes while an
/// earlier one is being written is lost.
#[test]
fn a_change_that_comes_while_the_folder_is_written_is_written_too() {
    const POINT: &str = "sup.settled_write.before";
    let world = World::builder().hooks([POINT]).build();
    let _supervisor = world.start();
    let task = world.run().steps(["exit:0"]).detached();
    let _ended = world.ended(&task.id);
    let settled = world.task_dir(&task.id).join("settled");
    wait_until("its folder is settled", GENEROUS, || settled.exists());
    world.hooks().arm(POINT);
    let _first = world.ctl(&["rename", &task.id, "first"]).ok();
    let writing = world.hooks().reached();
    for n in 0..20 {
        let _renamed = world.ctl(&["rename", &task.id, &format!("n{n}")]).ok();
    }
    writing.go();
    wait_until("the last name in the folder", GENEROUS, || {
        std::fs::read_to_string(&settled).is_ok_and(|text| text.contains("n19"))
    });
    world.check();
}
