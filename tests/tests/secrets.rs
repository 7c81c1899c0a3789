//! R13: what the supervisor has in its own environment, and what a task is given,
//! reaches the agent that it is for and nobody else.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tests::harness::{GENEROUS, Http, Output, World, wait_for, wait_until};

/// Begins every secret of a task.
const HUSH: &str = "hush-";

fn world() -> World {
    let world = World::builder()
        .config("[env]\nstrip = [\"STRIPPED_*\"]\n")
        .variable("HUB_SECRET", "of-the-hub")
        .variable("AGENT_SUPERVISOR_LOG", "trace")
        .build();
    let file = "name = \"shell\"\ndescription = \"A shell\"\n\
                command = [\"sh\", \"-s\", \"{args}\"]\n[prompt]\nvia = \"stdin\"\n\
                [env]\nset = { FROM_FILE = \"hush-file\" }\nstrip = [\"OF_ANOTHER\"]\n";
    fs::create_dir_all(world.providers_dir()).expect("a folder");
    fs::write(world.providers_dir().join("shell.toml"), file).expect("a file");
    world
}

/// All files below `folder` with `text` in them.
fn files_with(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type());
        if kind.as_ref().is_ok_and(fs::FileType::is_dir) {
            found.extend(files_with(&path, text));
        } else if kind.is_ok_and(|kind| kind.is_file()) {
            let bytes = fs::read(&path).unwrap_or_default();
            let has = bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes());
            found.extend(has.then_some(path));
        }
    }
    found.sort();
    found
}

/// The task, dispatched with a secret in everything that may have one.
fn dispatch(world: &World, gate: &Path) -> (String, Output) {
    let script = format!(
        "# hush-prompt\nenv | sort; echo \"arg=$1\"; until test -e {}; do sleep 0.01; done",
        gate.display()
    );
    let run = world
        .run()
        .provider("shell")
        .key("k")
        .prompt(&script)
        .option("--env", "GIVEN=hush-env")
        .option("--provider-arg", "hush-arg");
    let id = run.task_id().to_owned();
    let mut command = run.command(&["-d", "--json"]);
    command
        .env("STRIPPED_KEY", "hush-stripped")
        .env("OF_ANOTHER", "hush-another")
        .env("MINE", "hush-mine");
    let output = world.finish(command).ok();
    world.acknowledge(&output);
    (id, output)
}

/// No answer and no line of the log has one of them.
fn nothing_is_told(world: &World, id: &str, dispatched: &Output) {
    let asked = [
        &["list", "-a", "--json"][..],
        &["show", id, "--json"],
        &["why", id, "--json"],
        &["events", "--from", "1", "--json"],
        &["status", "--json"],
        &["sessions", "--json"],
    ];
    let answers = asked.map(|line| world.ctl(line).ok().stdout).concat();
    let Output { stdout, stderr, .. } = dispatched;
    let told = format!("{stdout}{stderr}{answers}{}", world.log());
    assert_eq!(told.lines().find(|line| line.contains(HUSH)), None);
}

#[test]
fn secrets_reach_the_agent_that_they_are_for_and_nobody_else() {
    let world = world();
    let supervisor = world.start();
    let gate = world.path("go");
    let (id, output) = dispatch(&world, &gate);
    let log = world.task_dir(&id).join("stdout.log");
    let text = wait_for("its output", GENEROUS, || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        if text.contains("arg=") {
            Ok(text)
        } else {
            Err(text)
        }
    });
    for told in [
        "GIVEN=hush-env",
        "MINE=hush-mine",
        "FROM_FILE=hush-file",
        "arg=hush-arg",
    ] {
        assert!(text.contains(told), "{told} is not in {text}");
    }
    for kept in [
        "of-the-hub",
        "hush-stripped",
        "hush-another",
        "AGENT_SUPERVISOR_LOG",
    ] {
        assert!(!text.contains(kept), "{kept} is in {text}");
    }
    nothing_is_told(&world, &id, &output);
    let shim = world.shim_of(&id).expect("the shim lives");
    let around = format!("{:?} {:?}", shim.environment(), shim.argv());
    assert!(
        !around.contains(HUSH) && !around.contains("of-the-hub"),
        "{around}"
    );
    // On the disk it is in the spec while it is needed, and in what it printed.
    let spec = world.task_dir(&id).join("spec");
    let places = |text: &str| files_with(&world.state_dir(), text);
    assert_eq!(places("hush-env"), [spec.clone(), log.clone()]);
    assert_eq!(places("hush-prompt"), [spec]);
    supervisor.kill();
    let _next = world.start();
    fs::write(&gate, "").expect("written");
    let _ended = world.ended(&id);
    wait_until("a wiped spec", GENEROUS, || {
        let only_printed = |text| places(text) == std::slice::from_ref(&log);
        only_printed("hush-env") && only_printed("hush-mine")
    });
    nothing_is_told(&world, &id, &output);
    world.check();
}

/// A caller over HTTP has no environment of its own, and the supervisor's is not lent
/// to its agents, but for what every program needs.
#[test]
fn over_http_nothing_of_the_supervisors_own_reaches_an_agent() {
    let world = World::builder()
        .config(
            "[http]\nlisten = \"unix:{dir}/run/http.sock\"\n\
             [env]\nbase = { FROM_BASE = \"b\", TZ = \"UTC\" }\n",
        )
        .variable("HUB_SECRET", "of-the-hub")
        .variable("LC_TIME", "C")
        .variable("TZ", "Antarctica/Troll")
        .build();
    let _supervisor = world.start();
    let http = Http::on_socket(world.runtime_dir().join("http.sock"));
    let body = json!({"cwd": "/", "argv": ["env"], "env": {"GIVEN": "g"}});
    let id = |answer: &serde_json::Value| answer["id"].as_str().expect("an id").to_string();
    let first = id(&http.post("/v1/tasks", &body).json());
    let _ended = world.ended(&first);
    let retry = format!("/v1/tasks/{first}/retry");
    let again = id(&http.post(&retry, &json!({"env": {"GIVEN": "g"}})).json());
    let _ended = world.ended(&again);
    for id in [first, again] {
        let text = fs::read_to_string(world.task_dir(&id).join("stdout.log")).expect("its output");
        assert!(!text.contains("of-the-hub"), "{text}");
        for line in [
            "FROM_BASE=b",
            "TZ=UTC",
            "LC_TIME=C",
            "LANG=C.UTF-8",
            "GIVEN=g",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}: {text}");
        }
        let home = format!("HOME={}", world.path("home").display());
        assert!(text.contains(&home) && text.contains("PATH="), "{text}");
        let known = [
            "FROM_BASE",
            "GIVEN",
            "HOME",
            "LANG",
            "LC_TIME",
            "LOGNAME",
            "PATH",
            "SHELL",
            "TMPDIR",
            "TZ",
            "USER",
        ];
        let names = text.lines().filter_map(|line| line.split('=').next());
        let mut others = names.filter(|name| !known.contains(name) && !name.starts_with("AGENT_"));
        assert_eq!(others.next(), None, "{text}");
        assert!(!text.contains("AGENT_TEST_WORLD"), "{text}");
    }
    world.check();
}
