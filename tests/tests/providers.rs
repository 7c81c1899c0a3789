//! Providers that a user adds with a file alone, for CLIs of every habit. The
//! agent is a shell, and its prompt is what it does.

use serde_json::{Value, json};
use tests::harness::{Dispatched, GENEROUS, World, wait_until};
use tests::scenarios::assert_ended;

const KEY: &str = "forge:repo:7";

/// A shell as a CLI: `OUTPUT` is what its file says of its output.
fn world_with(name: &str, rest: &str) -> World {
    let world = World::new();
    let file = format!(
        "name = \"{name}\"\ndescription = \"A shell\"\ncommand = [\"sh\", \"-s\", \"{{session}}\"]\n\
         [prompt]\nvia = \"stdin\"\n\
         [session]\npattern = 's-[0-9]+'\nresume = [\"{{session_id}}\"]\n{rest}"
    );
    std::fs::create_dir_all(world.providers_dir()).expect("a folder");
    let path = world.providers_dir().join(format!("{name}.toml"));
    std::fs::write(path, file).expect("a file");
    let _supervisor = world.start();
    world
}

fn dispatch(world: &World, name: &str, script: &str) -> Dispatched {
    world
        .run()
        .provider(name)
        .key(KEY)
        .prompt(script)
        // What would follow a session that is not found is no matter of these.
        .option("--on-not-found", "fail")
        .detached()
}

fn ended(world: &World, name: &str, script: &str) -> Value {
    let task = dispatch(world, name, script);
    let ended = world.ended(&task.id);
    assert_eq!(world.marked(&task.id), [], "something is left");
    ended
}

#[test]
fn an_id_in_the_last_line_in_a_nested_field() {
    let world = world_with(
        "last",
        "[output]\nformat = \"json-lines\"\npromises_result = true\n\
         [[output.rule]]\nwhen = { kind = \"end\" }\nresult = true\n\
         take = { session_id = \"meta.chats[].id\", result_text = \"text\" }\n",
    );
    let script = r#"echo '{"kind":"work"}'
echo '{"kind":"end","text":"done","meta":{"chats":[{"id":"s-41"},{"id":"s-42"}]}}'"#;
    let task = ended(&world, "last", script);
    assert_ended(&task, "success", "completed", "observed");
    assert_eq!(task["session_id"], json!("s-42"), "the last one counts");
    assert_eq!(task["result"]["text"], json!("done"));
    world.check();
}

#[test]
fn an_id_on_stderr_alone_and_an_error_inside_of_an_exit_with_0() {
    let world = world_with(
        "quiet",
        "[output]\nformat = \"json-lines\"\npromises_result = true\n\
         [[output.rule]]\nwhen = { \"error.code\" = { present = true } }\nresult = true\n\
         success = false\ntake = { error_text = \"error.text\" }\n\
         [[output.rule]]\nwhen = { done = true }\nresult = true\n\
         [[output.pattern]]\nstream = \"stderr\"\ncontains = \"chat \"\n\
         means = \"session_id_follows\"\n\
         [[output.pattern]]\nstream = \"stderr\"\ncontains = \"no such chat\"\n\
         means = \"session_not_found\"\n",
    );
    let failed = r#"printf '\033[1mchat \033[0ms-1\n' >&2
echo '{"error":{"code":7,"text":"broken"}}'"#;
    let task = ended(&world, "quiet", failed);
    assert_ended(&task, "failure", "failed", "observed");
    assert_eq!(task["exit"], json!({"kind": "exited", "code": 0}));
    assert_eq!(task["session_id"], json!("s-1"));
    // No result at all is none either.
    let task = ended(&world, "quiet", "echo chat s-2 >&2");
    assert_ended(&task, "failure", "failed", "observed");
    let task = ended(&world, "quiet", "echo chat s-3 >&2; echo '{\"done\":true}'");
    assert_ended(&task, "success", "completed", "observed");
    // Who resumes nothing misses nothing, whatever a hook or a tool prints.
    let run = world.run().provider("quiet").key("another");
    let words = run.prompt("echo no such chat >&2; exit 1").detached();
    let task = world.ended(&words.id);
    assert_ended(&task, "failure", "failed", "observed");
    let listed = world.ctl(&["list", "-a", "--json"]).ok().json();
    let tasks = listed["tasks"].as_array().map_or(0, Vec::len);
    assert_eq!(tasks, 4, "nothing follows");
    // Gone, and it says so in colours.
    let gone = "printf '\\033[91mError: \\033[0mno such\\033[1m chat\\n' >&2; exit 1";
    let task = ended(&world, "quiet", gone);
    assert_ended(&task, "failure", "session_not_found", "observed");
    assert_eq!(task["resumed"], json!("s-3"));
    world.check();
}

const COUNTED: &str = "[counters]\ncumulative = [\"tokens\", \"cost\"]\n\
     [output]\nformat = \"json-lines\"\n\
     [[output.rule]]\n\
     take = { session_id = \"id\", output_tokens = \"out\", cost_usd = \"cost\" }\n\
     [[output.rule]]\nwhen = { done = true }\nresult = true\n";

#[test]
fn figures_of_a_conversation_are_those_of_its_tasks() {
    let world = world_with("counted", COUNTED);
    let turn = |out: u64, cost: &str| {
        format!("echo '{{\"id\":\"s-1\",\"out\":{out},\"cost\":{cost},\"done\":true}}'")
    };
    let first = ended(&world, "counted", &turn(50, "0.5"));
    assert_eq!(
        (&first["output_tokens"], &first["cost_usd"]),
        (&json!(50), &json!(0.5))
    );
    let second = ended(&world, "counted", &turn(80, "0.75"));
    assert_eq!(second["resumed"], json!("s-1"));
    assert_eq!(
        (&second["output_tokens"], &second["cost_usd"]),
        (&json!(30), &json!(0.25))
    );
    world.check();
}

#[test]
fn another_id_than_the_one_asked_for_is_followed_and_warned_of() {
    let world = world_with("counted", COUNTED);
    let turn = |id: &str| format!("echo '{{\"id\":\"{id}\",\"out\":9,\"done\":true}}'");
    let _first = ended(&world, "counted", &turn("s-1"));
    let second = ended(&world, "counted", &turn("s-2"));
    assert_ended(&second, "success", "completed", "observed");
    assert_eq!(second["resumed"], json!("s-1"));
    assert_eq!(second["session_id"], json!("s-2"));
    assert_eq!(
        second["output_tokens"],
        json!(9),
        "a new conversation counts anew"
    );
    let states: Vec<_> = world
        .ledger()
        .sessions_of(KEY)
        .iter()
        .map(|row| {
            (
                row.text("session_id").map(str::to_string),
                row.text("state").map(str::to_string),
            )
        })
        .collect();
    let state = |id: &str, state: &str| (Some(id.to_string()), Some(state.to_string()));
    assert!(states.contains(&state("s-1", "quarantined")), "{states:?}");
    assert!(states.contains(&state("s-2", "resumable")), "{states:?}");
    let warning = "the agent works in another session than it was asked for";
    assert!(world.log().contains(warning), "{}", world.log());
    let why = world
        .ctl(&["why", second["id"].as_str().expect("an id")])
        .ok()
        .stdout;
    assert!(why.contains("replaced by session s-2"), "{why}");
    let third = ended(&world, "counted", &turn("s-2"));
    assert_eq!(third["resumed"], json!("s-2"), "the key follows");
    // An id that cannot be one of its own is not believed.
    let fourth = ended(&world, "counted", &turn("made-up"));
    assert_eq!(fourth["session_id"], json!("s-2"));
    world.check();
}

#[test]
fn an_inner_process_that_holds_the_pipes_is_ended_with_its_wrapper() {
    let world = world_with("counted", COUNTED);
    let script = "setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' &\n\
                  echo '{\"id\":\"s-1\",\"done\":true}'";
    let task = ended(&world, "counted", script);
    assert_ended(&task, "success", "completed", "observed");
    world.check();
}

/// By 0, by 143, by the end of an inner process, or not at all.
#[test]
fn however_it_takes_a_term_it_was_stopped() {
    let world = world_with("counted", COUNTED);
    let up = "echo '{\"id\":\"s-1\"}'; touch up;";
    let cases = [
        (
            "trap 'exit 0' TERM; sleep 600 & wait",
            json!({"kind": "exited", "code": 0}),
        ),
        (
            "trap 'exit 143' TERM; sleep 600 & wait",
            json!({"kind": "exited", "code": 143}),
        ),
        // It goes on when what it waits for dies of it.
        (
            "trap : TERM; sleep 600; exit 0",
            json!({"kind": "exited", "code": 0}),
        ),
        (
            "trap '' TERM; sleep 600",
            json!({"kind": "signaled", "signal": "SIGKILL", "core": false}),
        ),
    ];
    for (script, exit) in cases {
        let task = dispatch(&world, "counted", &format!("{up} {script}"));
        let mark = world.path("work/up");
        wait_until("it works", GENEROUS, || mark.exists());
        std::fs::remove_file(mark).expect("it is there");
        assert_eq!(world.stop(&task.id, &["--grace", "300ms"]), "stopped");
        let ended = world.show(&task.id);
        assert_ended(&ended, "cancelled", "user", "declared");
        assert_eq!(ended["exit"], exit, "{script}");
        assert_eq!(world.marked(&task.id), [], "{script}");
    }
    world.check();
}

#[test]
fn an_id_that_a_flag_chooses_is_known_before_the_agent_is() {
    let world = World::new();
    let file = "name = \"chosen\"\ndescription = \"A shell\"\n\
                command = [\"sh\", \"-s\", \"-\", \"{session}\"]\n[prompt]\nvia = \"stdin\"\n\
                [session]\npattern = '[0-9a-f-]{36}'\nchoose = [\"--new\", \"{session_id}\"]\n\
                resume = [\"--go-on\", \"{session_id}\"]\nnew_id = \"uuid_v4\"\n";
    std::fs::create_dir_all(world.providers_dir()).expect("a folder");
    std::fs::write(world.providers_dir().join("chosen.toml"), file).expect("a file");
    let _supervisor = world.start();
    // It never says the id.
    let first = ended(&world, "chosen", "echo \"$1 $2\" >words");
    assert_ended(&first, "success", "completed", "observed");
    let id = first["session_id"].as_str().expect("an id").to_string();
    let words = || std::fs::read_to_string(world.path("work/words")).expect("written");
    assert_eq!(words(), format!("--new {id}\n"));
    let second = ended(&world, "chosen", "echo \"$1 $2\" >words");
    assert_eq!(second["resumed"], json!(id));
    assert_eq!(words(), format!("--go-on {id}\n"));
    world.check();
}

#[test]
fn silence_is_limited_where_the_file_says_so() {
    let world = world_with(
        "counted",
        &format!("[limits]\nidle_timeout = \"300ms\"\n{COUNTED}"),
    );
    let task = ended(&world, "counted", "echo '{\"id\":\"s-1\"}'; sleep 600");
    assert_ended(&task, "cancelled", "idle_timeout", "declared");
    world.check();
}

#[test]
fn a_list_of_what_is_allowed_keeps_the_callers_secrets_out() {
    let rest = format!("[env]\nallow = [\"WORDY_KEY\"]\nset = {{ ADDED = \"yes\" }}\n{COUNTED}");
    let world = world_with("counted", &rest);
    let script = "echo \"secret=$FORGE_TOKEN key=$WORDY_KEY home=${HOME:+there} added=$ADDED\"";
    let run = world.run().provider("counted").key(KEY).prompt(script);
    let mut command = run.command(&["-d", "--json"]);
    command.env("FORGE_TOKEN", "hidden").env("WORDY_KEY", "k");
    let output = world.finish(command);
    let id = world.acknowledge(&output).expect("it is dispatched");
    let _task = world.ended(&id);
    let log = std::fs::read_to_string(world.task_dir(&id).join("stdout.log")).expect("its output");
    assert_eq!(log, "secret= key=k home=there added=yes\n");
    world.check();
}

#[test]
fn the_doctor_says_what_each_provider_lacks() {
    let world = World::running();
    world.install_fake("claude");
    let wrapper = world.path("bin/qwen");
    std::fs::write(&wrapper, "#!/usr/bin/env no-such-interpreter\n").expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&wrapper, mode).expect("ours");
    let details = |key: Option<&str>| {
        let mut command = world.ctl_command(&["doctor", "--json"]);
        command.envs(key.map(|key| (key, "k")));
        let checks = world.finish(command).ok().json()["checks"].clone();
        let checks = checks.as_array().expect("a list").clone();
        let ours = checks
            .into_iter()
            .filter(|check| check["name"] == "provider");
        ours.map(|check| format!("{}: {}", check["state"], check["detail"]))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let all = details(None);
    for expected in [
        "\"warning\": \"claude: it is perhaps not logged in: there is none of ANTHROPIC_API_KEY, ",
        "\"warning\": \"codex: codex is not on the PATH: install it; it is perhaps not logged in: ",
        "\"warning\": \"cursor (untested): cursor-agent is not on the PATH: install it\"",
        "bin/qwen needs no-such-interpreter, which is not on the PATH",
    ] {
        assert!(all.contains(expected), "{expected} is not in\n{all}");
    }
    assert!(!all.contains("exec"), "it runs anything");
    let all = details(Some("ANTHROPIC_API_KEY"));
    assert!(all.contains("\"ok\": \"claude: claude is ready\""), "{all}");
    world.check();
}

/// A file of a CLI that says what it should.
const TRIED: &str = r#"name = "tried"
description = "A shell"
command = ["sh", "-s"]
[prompt]
via = "stdin"
[session]
pattern = 's-[0-9]+'
[output]
format = "json-lines"
[[output.rule]]
take = { session_id = "id", model = "model", output_tokens = "out", result_text = "text" }
[[output.rule]]
when = { done = true }
result = true
"#;

#[test]
fn a_file_is_tried_apart_from_everybody_elses_supervisor() {
    let world = World::new();
    std::fs::write(world.path("work/tried.toml"), TRIED).expect("a file");
    let script = r#"echo '{"id":"s-5","model":"m","out":3,"text":"ready","done":true}'"#;
    let check = [
        "providers",
        "check",
        "tried.toml",
        "--try",
        "--prompt",
        script,
    ];
    let text = world.ctl(&check).ok().stdout;
    assert_eq!(
        text,
        "tried.toml: ok\n  \
         started     sh -s\n  \
         session id  s-5\n  \
         model       m\n  \
         progress    none seen\n  \
         usage       ?→3\n  \
         result      success: ready\n  \
         ended       success: Session completed\n"
    );
    let answer = world.ctl(&[&check[..], &["--json"]].concat()).ok().json();
    assert_eq!(answer["problems"], json!([]));
    assert_eq!(answer["try"]["task"]["session_id"], json!("s-5"));
    // What is not recognised is said, and the verdict is the exit code.
    let silent = [
        "providers",
        "check",
        "tried.toml",
        "--try",
        "--prompt",
        "exit 3",
    ];
    let text = world.ctl(&silent).expect_code(10).stdout;
    assert!(
        text.contains("session id  none: its conversation could not be resumed\n"),
        "{text}"
    );
    assert!(
        text.contains("ended       failure: Agent failed\n"),
        "{text}"
    );
    assert!(!world.state_dir().join("ledger.sqlite3").exists());
}

#[test]
fn a_file_with_mistakes_is_not_tried() {
    let world = World::new();
    let wrong = TRIED.replace("result_text", "result_txt");
    std::fs::write(world.path("work/tried.toml"), wrong).expect("a file");
    let output = world.ctl(&["providers", "check", "tried.toml", "--try"]);
    let text = output.expect_code(2).stdout;
    let expected = "tried.toml:11: output.rule[0].take.result_txt: unknown field; did you mean \
                    `result_text`?\n";
    assert_eq!(text, expected);
    let options = world.ctl(&["providers", "check", "tried.toml", "--prompt", "x"]);
    let _refused = options.expect_code(2);
}
