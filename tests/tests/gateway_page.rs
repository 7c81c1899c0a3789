//! The operator's page in a real browser.

use std::process::Command;

use tests::harness::World;

const CONFIG: &str = "[http]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{dir}/token\"\n";

/// Is there such a program, and does it know the flag?
fn knows(program: &str, flag: &str) -> bool {
    let asked = Command::new(program).args([flag, "--version"]).output();
    asked.is_ok_and(|answer| answer.status.success())
}

/// Is everything there that a browser needs to be driven?
fn has_browser() -> bool {
    knows("chromium", "--headless") && knows("node", "--no-warnings")
}

/// Drives the browser by a script of `gateway/`; gives what it said.
fn drive(script: &str) -> String {
    let world = World::builder().config(CONFIG).build();
    world.write_token();
    world.install_fake("claude");
    let _supervisor = world.start();
    let base = format!("http://{}", world.http().address());
    let token = std::fs::read_to_string(world.path("token")).expect("written");
    let mut command = world.command("node");
    command
        .arg(format!("{}/gateway/{script}", env!("CARGO_MANIFEST_DIR")))
        .args([base.as_str(), token.trim()])
        .arg(world.dir());
    world.finish(command).ok().stdout
}

#[test]
fn an_operator_sees_follows_and_stops_tasks() {
    if !has_browser() {
        tests::skip!("no chromium, or no node");
    }
    let said = drive("page.mjs");
    assert!(said.contains("ok  fits a phone"), "{said}");
    assert!(!said.contains("BAD"), "{said}");
}

/// A page of a hub: `EventSource` has no token, so the hub's server adds it.
#[test]
fn a_native_event_source_comes_back_by_itself_and_misses_nothing() {
    if !has_browser() {
        tests::skip!("no chromium, or no node");
    }
    let said = drive("event_source.mjs");
    assert!(said.contains("ok  nothing is missed"), "{said}");
    assert!(!said.contains("BAD"), "{said}");
}
