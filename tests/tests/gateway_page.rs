//! The operator's page in a real browser.

use std::process::Command;

use tests::harness::World;

const CONFIG: &str = "[http]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{dir}/token\"\n";

/// Is there such a program, and does it know the flag?
fn knows(program: &str, flag: &str) -> bool {
    let asked = Command::new(program).args([flag, "--version"]).output();
    asked.is_ok_and(|answer| answer.status.success())
}

#[test]
fn an_operator_sees_follows_and_stops_tasks() {
    if !knows("chromium", "--headless") {
        tests::skip!("no chromium");
    }
    if !knows("node", "--no-warnings") {
        tests::skip!("no node");
    }
    let world = World::builder().config(CONFIG).build();
    world.write_token();
    let _supervisor = world.start();
    let base = format!("http://{}", world.http().address());
    let token = std::fs::read_to_string(world.path("token")).expect("written");
    let mut command = world.command("node");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/gateway/page.mjs");
    command
        .args([script, base.as_str(), token.trim()])
        .arg(world.dir());
    let said = world.finish(command).ok().stdout;
    assert!(said.contains("ok  fits a phone"), "{said}");
    assert!(!said.contains("BAD"), "{said}");
}
