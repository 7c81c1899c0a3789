//! What is said to people: what went wrong, where, and what to do.

use std::fs;

use serde_json::json;
use tests::harness::World;

#[test]
fn a_wait_that_is_over_names_the_task() {
    let world = World::running();
    let task = world.run().steps(["mark:up", "forever"]).detached();
    task.marked("up");
    let over = world
        .ctl(&["wait", &task.id, "--timeout", "50ms"])
        .expect_code(8);
    let again = format!("`agentctl wait {}` waits again", task.id);
    assert!(over.stderr.contains(&again), "{over:#?}");
    assert_eq!(world.stop(&task.id, &[]), "stopped");
}

#[test]
fn bad_texts_are_refused_with_the_text() {
    let world = World::running();
    let long = "n".repeat(5_000);
    let cases: [(&[&str], &str); 4] = [
        (&["--name", ""], "invalid name: it is empty"),
        (&["--user", &long], "invalid user: it has 5000 bytes"),
        (
            &[
                "--session-id",
                "zzz",
                "--provider",
                "claude",
                "--prompt",
                "p",
            ],
            "`zzz` is not a session id of provider claude",
        ),
        (&["--key", &long], "invalid key \"nnn"),
    ];
    for (options, words) in cases {
        let mut all = vec!["run", "-d"];
        all.extend(options);
        all.extend(["--", "true"]);
        let refused = world.ctl(&all).expect_code(2);
        assert!(refused.stderr.contains(words), "{refused:#?}");
        assert!(refused.stderr.len() < 500, "it is not repeated whole");
    }
    // A whole id, which is not looked up before.
    let id = "019a3f2c-4d5e-7000-8000-000000000001";
    let refused = world.ctl(&["stop", id, "--note", &long]).expect_code(2);
    assert!(refused.stderr.contains("invalid note"), "{refused:#?}");
    assert_eq!(world.ledger().tasks().len(), 0, "no row");
}

/// A command promises no result, and was said to have told one.
#[test]
fn only_a_result_says_success() {
    let world = World::running();
    let task = world.run().steps(["exit:0"]).detached();
    let _ended = world.ended(&task.id);
    let why = world.ctl(&["why", &task.id]).ok().stdout;
    assert!(why.contains(") completed after"), "{why}");
    assert!(!why.contains("its own result"), "{why}");
}

#[test]
fn a_broken_provider_file_is_named_with_its_cure() {
    let world = World::new();
    let file = world.providers_dir().join("mine.toml");
    fs::create_dir_all(world.providers_dir()).expect("made");
    fs::write(&file, "name = \"mine\"\n").expect("written");
    let _supervisor = world.start();
    let refused = world
        .ctl(&["run", "--provider", "mine", "--prompt", "p"])
        .expect_code(2);
    let cure = format!("agentctl providers check {}", file.display());
    assert!(refused.stderr.contains(&cure), "{refused:#?}");
}

#[test]
fn a_failed_start_tells_where_more_is_told() {
    let world = World::running();
    let run = world.run().argv(["/no/such/command"]);
    let id = run.task_id().to_string();
    let failed = run.attached().expect_code(10);
    assert!(
        failed.stderr.ends_with(&format!("agentctl why {id}\n")),
        "{failed:#?}"
    );
}

#[test]
fn a_chosen_session_is_told_once() {
    let world = World::new();
    world.install_fake("claude");
    let _supervisor = world.start();
    let output = world
        .run()
        .provider("claude")
        .steps(["one"])
        .attached()
        .ok();
    assert_eq!(output.stderr.matches(" session ").count(), 1, "{output:#?}");
}

#[test]
fn signals_have_names_in_the_event_log() {
    let world = World::running();
    let task = world.run().steps(["mark:up", "forever"]).detached();
    task.marked("up");
    assert_eq!(world.stop(&task.id, &[]), "stopped");
    let events = world
        .ctl(&["events", "--task", &task.id, "--json"])
        .ok()
        .json_lines();
    let signalled = events
        .iter()
        .find(|event| event["type"] == "task.signalled")
        .expect("it was signalled");
    assert_eq!(signalled["signal"], json!("SIGTERM"));
}

/// A shell whose output has rules, and which refuses in words before it says anything
/// that they know.
const REFUSES: &str = "name = \"refuses\"\ndescription = \"d\"\ncommand = [\"sh\", \"-c\", \
    \"echo usage: >&2; printf 'error: \\\\033[31munknown option\\\\n\\\\n' >&2; exit 2\", \"{args}\"]\n\
    [output]\nformat = \"json-lines\"\n\
    [[output.rule]]\nwhen = { type = \"say\" }\ntake = { progress = \"text\" }\n";

/// Bug: the words stood in the log of stderr only, which nothing named, and any byte
/// of them kept the key from resting.
#[test]
fn a_cli_that_refuses_in_words_is_quoted_and_its_key_rests() {
    let world = World::builder()
        .config("[limits]\ncrash_loop_window = \"1h\"\n")
        .build();
    fs::create_dir_all(world.providers_dir()).expect("a folder");
    let file = world.providers_dir().join("refuses.toml");
    fs::write(file, REFUSES).expect("a file");
    let _supervisor = world.start();
    let run = ["run", "--provider", "refuses", "--key", "k"];
    for id in ["t1", "t2", "t3"] {
        let told = world
            .ctl(&[&run[..], &["--id", id]].concat())
            .expect_code(10);
        let words =
            format!("last on its stderr: error: unknown option  (`agentctl logs {id} --stderr`)\n");
        assert!(told.stderr.contains(&words), "{told:#?}");
        let why = world.ctl(&["why", id]).ok().stdout;
        assert!(why.contains(&words), "{why}");
    }
    let refused = world.ctl(&[&run[..], &["--json"]].concat()).expect_code(4);
    assert_eq!(refused.error()["code"], "crash_loop");
    world.check();
}

/// Bug: a provider without rules was shown by progress that it cannot have, and so not
/// at all; only the built-in one of that kind was known, by its name.
#[test]
fn an_attached_run_shows_the_output_of_which_nothing_else_is_known() {
    let world = World::new();
    fs::create_dir_all(world.providers_dir()).expect("a folder");
    let least = "name = \"least\"\ndescription = \"d\"\ncommand = [\"sh\", \"{argv}\"]\n";
    fs::write(world.providers_dir().join("least.toml"), least).expect("a file");
    let _supervisor = world.start();
    let run = ["run", "--provider", "least", "--", "-c"];
    let good = world
        .ctl(&[&run[..], &["echo out; echo err >&2"]].concat())
        .ok();
    assert_eq!((&*good.stdout, &*good.stderr), ("out\n", "err\n"));
    let bad = world
        .ctl(&[&run[..], &["echo out; echo err >&2; exit 3"]].concat())
        .expect_code(10);
    assert_eq!(bad.stdout, "out\n");
    assert_eq!(bad.stderr.matches("err\n").count(), 1, "{bad:#?}");
    assert!(!bad.stderr.contains("last on its"), "{bad:#?}");
    world.check();
}

/// Bug: a file that was added, or mended, was not seen until the supervisor was started
/// again, which nothing said and no verb does.
#[test]
fn the_next_dispatch_sees_what_became_of_the_provider_files() {
    let world = World::running();
    let argv = ["run", "--provider", "own"];
    let _unknown = world.ctl(&argv).expect_code(2);
    let text = |line: &str| {
        format!("name = \"own\"\ndescription = \"d\"\ncommand = [\"sh\", \"-c\", \"{line}\"]\n")
    };
    fs::create_dir_all(world.providers_dir()).expect("a folder");
    let file = world.providers_dir().join("own.toml");
    fs::write(&file, text("echo one")).expect("a file");
    assert_eq!(world.ctl(&argv).ok().stdout, "one\n");
    fs::write(&file, text("echo second")).expect("a file");
    assert_eq!(world.ctl(&argv).ok().stdout, "second\n");
    fs::write(&file, "name = \"own\"\n").expect("a file");
    let broken = world.ctl(&argv).expect_code(2);
    assert!(
        broken.stderr.contains("`command` is missing"),
        "{broken:#?}"
    );
    assert!(world.log().contains("is not used"), "{}", world.log());
    let listed = world.ctl(&["providers"]).ok();
    assert!(!listed.stdout.contains("\nown "), "{listed:#?}");
    fs::remove_file(&file).expect("ours");
    let _unknown = world.ctl(&argv).expect_code(2);
    world.check();
}

/// Bug: one that is there and drops what is needed had «set it» as its hint.
#[test]
fn a_variable_that_is_set_and_not_handed_on_is_told_so() {
    let world = World::new();
    fs::create_dir_all(world.providers_dir()).expect("a folder");
    let text = "name = \"own\"\ndescription = \"d\"\ncommand = [\"true\"]\n\
                [env]\nallow = [\"OTHER\"]\nrequire = [\"NEEDED\"]\n";
    fs::write(world.providers_dir().join("own.toml"), text).expect("a file");
    let _supervisor = world.start();
    let mut run = world.ctl_command(&["run", "--provider", "own"]);
    run.env("NEEDED", "1");
    let refused = world.finish(run).expect_code(2);
    let words = "NEEDED, which is set and not handed on: the provider's `allow` does not name it";
    assert!(refused.stderr.contains(words), "{refused:#?}");
    let unset = world.ctl(&["run", "--provider", "own"]).expect_code(2);
    assert!(unset.stderr.contains("NEEDED: set it"), "{unset:#?}");
    let given = ["run", "--provider", "own", "--env", "NEEDED=1"];
    let _given = world.ctl(&given).ok();
    world.check();
}
