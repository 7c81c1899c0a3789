//! An API that fails: with every status after which the CLI ends, with none at
//! all, and with one that it does not take for an answer.

use std::net::{Ipv4Addr, TcpListener};

use serde_json::Value;

use super::stops::{LONG, assert_quarantined};
use super::{SLOW, Scene, Unreachable};
use crate::harness::wait_until;
use crate::scenarios::assert_ended;

/// A fresh task each; none is taken for a success, and none for a conversation
/// that is lost.
pub fn failing_apis(scene: &Scene<'_>) {
    // The first is that of the conversation.
    for status in &scene.kit.failures[1..] {
        let task = scene.ended(&scene.run(&format!("FAIL {status}")).detached());
        assert_failed(scene, &task, why_of(*status));
        scene.saw(&format!("the API answers {status}"), &task);
    }
    if scene.kit.unreachable == Unreachable::Ends {
        let run = scene.run_at("hello", &nobody());
        let task = scene.ended(&run.detached());
        assert_failed(scene, &task, TRANSIENT);
        scene.saw("nobody answers", &task);
    }
    scene.world.check();
}

/// It tries again and again, and says nothing of it: for the supervisor it
/// works until somebody stops it.
pub fn stopped_between_its_tries(scene: &Scene<'_>) {
    let Some(status) = scene.kit.stubborn else {
        return;
    };
    let task = scene.run(&format!("FAIL {status}")).detached();
    wait_until("it tries again", SLOW, || scene.stub.requests().len() > 2);
    assert_eq!(scene.world.show(&task.id)["status"], "running");
    assert_eq!(scene.world.stop(&task.id, &LONG), "stopped");
    let ended = scene.ended(&task);
    assert_ended(&ended, "cancelled", "user", "declared");
    assert_quarantined(scene, &ended, "user");
    scene.saw(
        &format!("the API answers {status} again and again, until it is stopped"),
        &ended,
    );
    scene.world.check();
}

/// The failure may pass.
const TRANSIENT: &str = "transient";

/// Why the session is quarantined after an answer of the API with this status: too much
/// to do and troubles of its own pass; a wrong key, model or request stays wrong.
pub(super) const fn why_of(status: u16) -> &'static str {
    match status {
        429 | 500.. => TRANSIENT,
        _ => "failed",
    }
}

fn assert_failed(scene: &Scene<'_>, task: &Value, why: &str) {
    assert_ended(task, "failure", "failed", "observed");
    assert!(task["resumed"].is_null(), "{task:#}");
    assert_quarantined(scene, task, why);
}

/// An address at which nobody listens any more.
fn nobody() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    format!("http://127.0.0.1:{port}")
}
