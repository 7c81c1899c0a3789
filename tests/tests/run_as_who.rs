//! `run --as USER`: who may say so, what is refused, and what keeps the user.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::Value;
use tests::harness::{Output, World};
use tests::scenarios::{OTHER_USER, assert_ended, id_of_other, open_the_way, run_as_other};
use tests::{need_root, skip};

fn printed(world: &World, task: &str) -> String {
    let _ended = world.ended(task);
    world.ctl(&["logs", task, "--raw"]).ok().stdout
}

#[test]
fn what_cannot_be_is_told_in_words() {
    need_root!();
    let world = World::running();
    let refused = |output: Output, code: i32| -> String {
        let error = output.expect_code(code).error();
        error["message"].as_str().expect("words").to_owned()
    };
    let unknown = world
        .run()
        .option("--as", "no-such-user-here")
        .argv(["true"]);
    let words = refused(unknown.try_detached(), 2);
    assert!(
        words.contains("has no user \"no-such-user-here\""),
        "{words}"
    );
    let boxed = run_as_other(&world, "true").option("--container", "box");
    let words = refused(boxed.try_detached(), 2);
    assert!(words.contains("--as names a user of this host"), "{words}");
    assert_eq!(world.ledger().tasks().len(), 0, "no row for either");

    let closed = world.path("closed");
    fs::create_dir(&closed).expect("made");
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).expect("ours");
    let dir = closed.display().to_string();
    let run = world.run().option("--as", OTHER_USER).option("--cwd", &dir);
    let output = run.argv(["true"]).try_detached().expect_code(10);
    let task = output.json();
    assert_ended(&task, "failure", "spawn_failed", "observed");
    let id = task["id"].as_str().expect("an id");
    let why = world.ctl(&["why", id]).ok().stdout;
    let words = format!("{dir}” may not be entered by user {OTHER_USER} (EACCES)");
    assert!(why.contains(&words), "{why}");
    world.check();
}

/// It waits, is done again and followed as the same user.
#[test]
fn the_queue_and_a_retry_keep_the_user() {
    need_root!();
    let world = World::builder().config("[limits]\nmax_tasks = 1\n").build();
    let first = world.start();
    let gate = world.run().argv(["sleep", "1000"]).detached();
    let queued = run_as_other(&world, "id -u").detached();
    assert_eq!(queued.task["status"], "queued");
    first.kill();
    let _second = world.start();
    assert_eq!(world.stop(&gate.id, &[]), "stopped");
    assert_eq!(
        printed(&world, &queued.id),
        format!("{}\n", id_of_other("-u"))
    );
    let again = world.ctl(&["retry", &queued.id, "-d", "--json"]).ok();
    world.acknowledge(&again);
    let again = again.json()["id"].as_str().expect("an id").to_owned();
    let _ended = world.ended(&again);
    let text = world.ctl(&["logs", &again, "--raw"]).ok().stdout;
    assert_eq!(text, format!("{}\n", id_of_other("-u")));
    // The same id as another user is another dispatch.
    let other = world.run().id(&queued.id).option("--cwd", "/");
    let refused = other.argv(["sh", "-c", "id -u"]).try_detached();
    assert_eq!(refused.expect_code(4).error()["code"], "id_conflict");
    world.check();
}

/// What a CLI keeps of a conversation is in the home folder of its user.
#[test]
fn a_conversation_is_not_resumed_as_another_user() {
    need_root!();
    let world = World::new();
    let file = "name = \"shell\"\ndescription = \"A shell\"\ncommand = [\"sh\", \"-s\", \"{session}\"]\n\
                [prompt]\nvia = \"stdin\"\n\
                [session]\npattern = 's-[0-9]+'\nresume = [\"{session_id}\"]\n\
                [[output.pattern]]\nstream = \"stdout\"\ncontains = \"chat \"\n\
                means = \"session_id_follows\"\n";
    fs::create_dir_all(world.providers_dir()).expect("a folder");
    fs::write(world.providers_dir().join("shell.toml"), file).expect("a file");
    let _supervisor = world.start();
    let turn = |options: &[&str]| -> Output {
        let base = [
            "run",
            "-d",
            "--json",
            "--provider",
            "shell",
            "--key",
            "k",
            "--cwd",
            "/",
        ];
        let told = world.ctl(&[&base[..], &["--prompt", "echo chat s-1"], options].concat());
        world.acknowledge(&told);
        told
    };
    let ended = |output: Output| -> Value {
        let task = output.ok().json();
        world.ended(task["id"].as_str().expect("an id"))
    };
    let roots = ended(turn(&[]));
    assert_eq!(roots["session_id"], "s-1", "{roots:#}");
    let told = turn(&["--as", OTHER_USER]);
    assert!(told.stderr.contains("another user's"), "{told:#?}");
    assert!(
        told.stderr.contains("starting fresh, resume=<none>"),
        "{told:#?}"
    );
    assert_eq!(ended(told)["resumed"], Value::Null);
    // It is that user's now.
    assert_eq!(ended(turn(&["--as", OTHER_USER]))["resumed"], "s-1");
    let refused = turn(&["--resume", "s-1"]).expect_code(4).error();
    assert_eq!(refused["code"], "session_refused", "{refused}");
    assert!(
        refused["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("--as"))
    );
    // Whose it is outlives its task.
    let _quarantined = world.ctl(&["sessions", "quarantine", "k"]).ok();
    let rows = world.ledger().tasks();
    let ids: Vec<&str> = rows.iter().filter_map(|row| row.text("id")).collect();
    world.may_go(&ids);
    let _gone = world.prune(&["--older-than", "0s"]);
    assert_eq!(world.ledger().tasks().len(), 0);
    let _released = world.ctl(&["sessions", "release", "k"]).ok();
    let refused = turn(&["--resume", "s-1"]).expect_code(4).error();
    assert_eq!(refused["code"], "session_refused", "{refused}");
    let at_own_risk = turn(&["--resume", "s-1", "--unsafe-resume"]);
    assert_eq!(ended(at_own_risk)["resumed"], "s-1");
    world.check();
}

/// A member of the control group must not become root by it.
#[test]
fn members_of_the_control_group_have_agents_of_their_own_user() {
    need_root!();
    let group = id_of_other("-gn");
    let config = format!("[control]\ngroup = \"{group}\"\n");
    let world = World::builder().config(&config).build();
    open_the_way(&world);
    let _supervisor = world.start();
    let agentctl = world.path("agentctl");
    fs::copy(world.bins().agentctl(), &agentctl).expect("copied");
    let as_member = |line: &[&str]| -> Output {
        let mut command = world.command("setpriv");
        let (uid, gid) = (id_of_other("-u"), id_of_other("-g"));
        command
            .args([format!("--reuid={uid}"), format!("--regid={gid}")])
            .arg("--clear-groups")
            .arg(&agentctl)
            .args(line)
            .current_dir("/");
        let told = world.finish(command);
        world.acknowledge(&told);
        told
    };
    let uid_of = |output: Output| -> String {
        let task = output.ok().json()["id"].as_str().expect("an id").to_owned();
        let _ended = world.ended(&task);
        world
            .ctl(&["logs", &task, "--raw"])
            .ok()
            .stdout
            .trim()
            .to_owned()
    };
    let dispatch = ["run", "-d", "--json"];
    let script = ["--", "sh", "-c", "id -u"];
    let with = |options: &[&str]| as_member(&[&dispatch[..], options, &script].concat());
    assert_eq!(uid_of(with(&[])), id_of_other("-u"), "without a word, too");
    assert_eq!(uid_of(with(&["--as", OTHER_USER])), id_of_other("-u"));
    for options in [["--as", "root"], ["--as", "0"], ["--container", "box"]] {
        let refused = with(&options).expect_code(7).error();
        assert_eq!(refused["code"], "not_permitted", "{refused}");
    }
    // Nor by a task of root's that is done again.
    let roots = world.run().argv(["id", "-u"]).detached();
    assert_eq!(printed(&world, &roots.id), "0\n");
    let again = as_member(&["retry", &roots.id, "-d", "--json", "--cwd", "/"]);
    assert_eq!(uid_of(again), id_of_other("-u"));
    world.check();
}

#[test]
fn only_roots_supervisor_can() {
    need_root!();
    let world = World::new();
    let owned = std::process::Command::new("chown")
        .args([
            "-R",
            &format!("{}:{}", id_of_other("-u"), id_of_other("-g")),
        ])
        .arg(world.dir())
        .status();
    assert!(owned.expect("chown").success());
    let reachable = world.bins().agentctl();
    let closed = |dir: &&Path| fs::metadata(dir).is_ok_and(|at| at.mode() & 0o001 == 0);
    if let Some(closed) = reachable.ancestors().skip(1).find(closed) {
        skip!(
            "user {OTHER_USER} cannot reach the programs below {}",
            closed.display()
        );
    }
    let ids = [
        format!("--reuid={}", id_of_other("-u")),
        format!("--regid={}", id_of_other("-g")),
    ];
    let _supervisor = world.start_by("setpriv", &[&ids[0], &ids[1], "--clear-groups"]);
    let refused = |user: &str| {
        let run = world.run().option("--as", user).option("--cwd", "/");
        run.argv(["id", "-u"]).try_detached()
    };
    let error = refused("root").expect_code(7).error();
    assert_eq!(error["code"], "not_permitted", "{error}");
    let words = error["message"].as_str().expect("words");
    assert!(
        words.contains("only root's can start agents as root"),
        "{words}"
    );
    assert_eq!(world.ledger().tasks().len(), 0);
    // Its own user is what it is anyway.
    let own = refused(OTHER_USER).ok().json()["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert_eq!(world.ended(&own)["status"], "success");
    world.check();
}
