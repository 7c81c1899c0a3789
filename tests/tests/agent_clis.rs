//! The real agent CLIs, each against a stub of its model's API: one
//! conversation, and every way to be ended. What is seen of each is its table in
//! docs/PROVIDERS.md.

use tests::clis::{
    CLAUDE, CODEX, GEMINI, Kit, OPENCODE, QWEN, Scene, Seen, conversation, failing_apis, installed,
    killed_leader, stopped_between_its_tries, stopped_in_mid_answer, stopped_with_its_tool,
};
use tests::harness::World;
use tests::skip;

/// The scenes of one CLI, one after the other, each in a world of its own.
fn play(kit: Kit) {
    let Some(path) = installed(kit.name) else {
        skip!("{} is not installed; tests/install-clis does it", kit.name);
    };
    let seen = Seen::default();
    for scenario in [
        conversation,
        failing_apis,
        stopped_between_its_tries,
        stopped_in_mid_answer,
        stopped_with_its_tool,
        killed_leader,
    ] {
        let world = World::running();
        scenario(&Scene::new(kit, &world, path.clone(), &seen));
    }
    seen.compare(kit.name);
}

#[test]
fn claude() {
    play(CLAUDE);
}

#[test]
fn codex() {
    play(CODEX);
}

#[test]
fn gemini() {
    play(GEMINI);
}

#[test]
fn opencode() {
    play(OPENCODE);
}

#[test]
fn qwen() {
    play(QWEN);
}
