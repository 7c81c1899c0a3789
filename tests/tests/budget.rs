//! `run --max-cost`: what a task costs by its provider's own words.

use serde_json::{Value, json};
use tests::harness::{Output, World};
use tests::scenarios::assert_ended;

/// What providers have in common here: the prompt is what the shell does.
const SHELL: &str = r#"description = "A shell"
command = ["sh", "-s"]
[prompt]
via = "stdin"
[output]
format = "json-lines"
"#;

/// It tells its cost with every step.
const METER: &str = r#"[[output.rule]]
when = { type = "step" }
take = { cost_usd_add = "cost" }
[[output.rule]]
when = { type = "result" }
result = true
"#;

/// It tells its cost with its result.
const BILL: &str = r#"[[output.rule]]
when = { type = "result" }
result = true
take = { cost_usd = "cost" }
"#;

fn world() -> World {
    let world = World::new();
    std::fs::create_dir_all(world.providers_dir()).expect("a folder");
    for (name, rules) in [("meter", METER), ("bill", BILL)] {
        let path = world.providers_dir().join(format!("{name}.toml"));
        std::fs::write(path, format!("name = \"{name}\"\n{SHELL}{rules}")).expect("a file");
    }
    let _supervisor = world.start();
    world
}

fn run(world: &World, provider: &str, most: &str, script: &str) -> Output {
    let options = [
        "--provider",
        provider,
        "--max-cost",
        most,
        "--prompt",
        script,
    ];
    world.ctl(&[&["run", "-d"], &options[..]].concat())
}

fn ended(world: &World, output: Output) -> Value {
    world.ended(output.ok().stdout.trim())
}

const STEPS: &str = r#"echo '{"type":"step","cost":0.3}'; echo '{"type":"step","cost":0.3}'; "#;

#[test]
fn what_costs_more_than_it_may_is_stopped() {
    let world = world();
    let script = format!("{STEPS} sleep 1000");
    let task = ended(&world, run(&world, "meter", "0.5", &script));
    assert_ended(&task, "cancelled", "budget", "declared");
    assert_eq!(task["ended_by"], "supervisor");
    assert_eq!(task["cost_usd"], json!(0.6));
    // The same again has the same limit.
    let id = task["id"].as_str().expect("an id");
    let again = ended(&world, world.ctl(&["retry", id, "-d"]));
    assert_ended(&again, "cancelled", "budget", "declared");
    world.check();
}

#[test]
fn what_stays_below_or_has_its_result_goes_on() {
    let world = world();
    let enough = ended(&world, run(&world, "meter", "0.6", STEPS));
    assert_ended(&enough, "success", "completed", "observed");
    let output = run(
        &world,
        "bill",
        "0.5",
        r#"echo '{"type":"result","cost":9}'"#,
    );
    assert!(output.stderr.contains("at the end only"), "{output:#?}");
    let told_late = ended(&world, output);
    assert_ended(&told_late, "success", "completed", "observed");
    assert_eq!(told_late["cost_usd"], json!(9.0));
    let words = ["run", "-d", "--max-cost", "1", "--", "true"];
    let output = world.ctl(&words);
    assert!(
        output.stderr.contains("does not tell its cost"),
        "{output:#?}"
    );
    let _done = ended(&world, output);
    for bad in ["0", "1.5.0", "x"] {
        let _usage = run(&world, "meter", bad, "true").expect_code(2);
    }
    world.check();
}
