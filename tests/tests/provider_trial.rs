//! `providers check FILE --try` leaves nothing behind, however it ends.

use std::fs;

use nix::sys::signal::Signal;
use tests::harness::{Background, GENEROUS, World, wait_until};

const SHELL: &str = r#"name = "trial"
description = "A shell"
command = ["sh", "-s"]
[prompt]
via = "stdin"
"#;

/// `agentctl` while its agent runs.
fn trying(world: &World, script: &str) -> Background {
    fs::create_dir(world.path("tmp")).expect("a folder");
    fs::write(world.path("work/tried.toml"), SHELL).expect("a file");
    let up = world.path("up");
    let script = format!("{script}echo up > {}; sleep 1000", up.display());
    let check = ["providers", "check", "tried.toml", "--try", "--prompt"];
    let mut command = world.ctl_command(&[&check[..], &[&script]].concat());
    command.env("TMPDIR", world.path("tmp"));
    let client = Background::start(command);
    wait_until("the agent", GENEROUS, || {
        fs::read_to_string(&up).is_ok_and(|text| text == "up\n")
    });
    assert_eq!(folders(world), 1);
    assert!(world.processes().len() >= 4, "all four are of this world");
    client
}

/// Folders of trials that are there.
fn folders(world: &World) -> usize {
    fs::read_dir(world.path("tmp"))
        .expect("it is there")
        .count()
}

fn nobody_is_left(world: &World) {
    wait_until("nobody left", GENEROUS, || world.processes().is_empty());
}

#[test]
fn a_signal_ends_all_of_it() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let world = World::new();
        let client = trying(&world, "");
        client.process.signal(signal);
        let output = client.output();
        assert_eq!(output.code(), 11, "{output:#?}");
        assert!(output.stdout.contains("cancelled: "), "{output:#?}");
        let said = "agentctl: stopping the task; Ctrl-C again forces it\n";
        assert_eq!(output.stderr, said, "{signal}");
        assert_eq!(folders(&world), 0, "{signal}");
        nobody_is_left(&world);
    }
}

#[test]
fn a_kill_ends_all_of_it() {
    let world = World::new();
    // Nobody asks this agent a second time.
    let client = trying(&world, "trap '' TERM; ");
    client.process.signal(Signal::SIGKILL);
    nobody_is_left(&world);
    assert_eq!(folders(&world), 0);
}

/// Bug: what was told once a second was asked for five times a second, so that a short
/// run had «none seen» for rules that fit.
#[test]
fn a_short_run_has_its_progress_too() {
    let world = World::new();
    let text = format!(
        "{SHELL}[output]\nformat = \"json-lines\"\n[[output.rule]]\n\
         when = {{ type = \"say\" }}\ntake = {{ progress = \"text\" }}\n"
    );
    fs::write(world.path("work/tried.toml"), text).expect("a file");
    // In pieces: the first one has no words, and the last comes right before the end.
    let script =
        r#"echo '{"type":"hello"}'; printf '' ; sleep 0.1; echo '{"type":"say","text":"at work"}'"#;
    let check = [
        "providers",
        "check",
        "tried.toml",
        "--try",
        "--prompt",
        script,
    ];
    let tried = world.ctl(&check).ok();
    assert!(tried.stdout.contains("progress    at work\n"), "{tried:#?}");
    nobody_is_left(&world);
}
