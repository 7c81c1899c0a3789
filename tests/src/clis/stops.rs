//! A CLI that is stopped, with and without a tool under way, and one whose
//! leader is killed.

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{SLOW, Scene};
use crate::harness::{Dispatched, Process, Records, wait_until};
use crate::scenarios::assert_ended;

/// Its answer has begun, and its session is known.
fn in_mid_answer(scene: &Scene<'_>) -> Dispatched {
    let before = scene.stub.requests().len();
    let task = scene.run("SLOW 300 GAMMA").detached();
    wait_until("the answer begins", SLOW, || {
        let bound = scene.world.show(&task.id)["session_id"].is_string();
        bound && scene.stub.requests().len() > before
    });
    task
}

/// A grace in which it can clean up on a slow machine too: how it ends by TERM
/// is what is looked at.
pub(super) const LONG: [&str; 2] = ["--grace", "2m"];

pub(super) fn assert_quarantined(scene: &Scene<'_>, task: &Value, why: &str) {
    let (state, reason) = scene.session_of(task);
    assert_eq!(
        (state.as_str(), reason.as_deref()),
        ("quarantined", Some(why))
    );
}

/// Stopped while the model speaks.
pub fn stopped_in_mid_answer(scene: &Scene<'_>) {
    let task = in_mid_answer(scene);
    assert_eq!(scene.world.stop(&task.id, &LONG), "stopped");
    let ended = scene.ended(&task);
    assert_ended(&ended, "cancelled", "user", "declared");
    assert_quarantined(scene, &ended, "user");
    scene.saw("stopped in mid-answer", &ended);
    scene.world.check();
}

/// Stopped while a tool runs. Its shell is in a session of its own; what it
/// starts even more so, and ignores TERM.
pub fn stopped_with_its_tool(scene: &Scene<'_>) {
    let agent = scene.world.bins().fake_agent();
    let record = scene.world.path("tool.record");
    let script = scene.world.path("work/tool.sh");
    let text = format!(
        "{0} record:{1} spawn:daemon:1:ignore=TERM,forever mark:up forever\n",
        agent.display(),
        record.display()
    );
    std::fs::write(&script, text).expect("a script");
    let task = scene
        .run(&format!("TOOL sh {}", script.display()))
        .detached();
    let records = Records::new(record);
    wait_until("the tool runs", SLOW, || records.has_mark("up"));
    assert_ne!(records.alive(), []);
    assert_eq!(scene.world.stop(&task.id, &LONG), "stopped");
    assert_eq!(records.alive(), []);
    let ended = scene.ended(&task);
    assert_ended(&ended, "cancelled", "user", "declared");
    assert_quarantined(scene, &ended, "user");
    scene.saw("stopped while a tool runs in a session of its own", &ended);
    scene.world.check();
}

/// The leader is killed from outside: what it leaves is ended.
pub fn killed_leader(scene: &Scene<'_>) {
    let task = in_mid_answer(scene);
    let pid = scene.world.show(&task.id)["agent_pid"].as_i64();
    let pid = pid.and_then(|pid| i32::try_from(pid).ok());
    let leader = pid.and_then(Process::now).expect("the leader lives");
    scene.world.kill(&leader, Signal::SIGKILL);
    let ended = scene.ended(&task);
    assert_ended(&ended, "interrupted", "external_signal", "observed");
    assert_quarantined(scene, &ended, "external_signal");
    scene.saw("its leader is killed in mid-answer", &ended);
    scene.world.check();
}
