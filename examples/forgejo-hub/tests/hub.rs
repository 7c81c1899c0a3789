//! The hub with a real supervisor: recorded deliveries in, reports out, and
//! everybody dies in between.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tests::harness::{GENEROUS, World, wait_for, wait_until};

use support::{Forge, Hub, Receiver, world};

const KEY: &str = "forgejo:dev:charles/claude-hooks:1104";

/// The id of a delivery, which no other test has: agents are known by the task's.
fn delivery() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("f6266f16-1bf3-46a5-{n:04x}-{:012x}", std::process::id())
}

fn id(delivery: &str) -> String {
    format!("fj-{delivery}")
}

/// Waits until the agent has begun.
fn up(world: &World, task: &str) -> Value {
    let records = tests::harness::Records::new(world.path("agent.record"));
    wait_until("the agent", GENEROUS, || records.has_mark("up"));
    world.oracle().agents.push((task.to_owned(), records));
    world.show(task)
}

#[test]
fn an_assigned_issue_becomes_a_task_and_a_report_over_a_restart_of_the_supervisor() {
    let first = delivery();
    let (world, gate) = world();
    let receiver = Receiver::start(1);
    let supervisor = world.start();
    let hub = Hub::start(&world, &gate, &receiver);
    let forge = Forge::of(&hub);
    assert_eq!(forge.deliver("assigned", &first), (200, "taken\n".into()));
    let task = up(&world, &id(&first));
    assert_eq!(task["key"], KEY);
    assert_eq!(
        [
            &task["repo"],
            &task["issue_number"],
            &task["user"],
            &task["agent"]
        ],
        [
            &json!("charles/claude-hooks"),
            &json!(1104),
            &json!("charles"),
            &json!("dev")
        ]
    );
    supervisor.kill();
    assert_eq!(
        forge.deliver("assigned", &first).1,
        "nothing to do\n",
        "repeated"
    );
    let _next = world.start();
    gate.open();
    let report = receiver.next();
    assert_eq!(report["task_id"], json!(id(&first)));
    assert_eq!(
        report["issue_url"],
        "https://forge.example/charles/claude-hooks/issues/1104"
    );
    assert_eq!(report["outcome"]["status"], "success", "{report:#}");
    assert_eq!(receiver.refused(), 1, "it was brought again");
    // The prompt is the template's, and what stands in braces in the issue is text.
    let said = std::fs::read_to_string(world.task_dir(&id(&first)).join("spec")).expect("there");
    assert!(
        said.contains("#1104: The hook forgets its {body} after a restart"),
        "{said}"
    );
    assert_eq!(world.ledger().tasks().len(), 1);
    hub.kill();
    world.check();
}

#[test]
fn what_was_answered_is_done_over_restarts_of_the_hub() {
    let first = delivery();
    let (world, gate) = world();
    let receiver = Receiver::start(0);
    // Nobody is there to take the task.
    let hub = Hub::start(&world, &gate, &receiver);
    assert_eq!(Forge::of(&hub).deliver("assigned", &first).0, 200);
    hub.kill();
    let _supervisor = world.start();
    let hub = Hub::start(&world, &gate, &receiver);
    let _task = up(&world, &id(&first));
    wait_until("the place in the log", GENEROUS, || {
        !hub.state()["last_event"].is_null() && hub.state()["orders"] == json!([])
    });
    hub.kill();
    // It ends while nobody looks.
    gate.open();
    assert_eq!(world.ended(&id(&first))["status"], "success");
    let hub = Hub::start(&world, &gate, &receiver);
    assert_eq!(receiver.next()["outcome"]["status"], "success");
    wait_until("nothing left to do", GENEROUS, || {
        hub.state()["reports"] == json!([]) && hub.state()["tasks"] == json!({})
    });
    hub.kill();
    world.check();
}

#[test]
fn unassigned_means_stopped_and_assigned_again_is_another_task() {
    let (first, second) = (delivery(), delivery());
    let (world, gate) = world();
    let receiver = Receiver::start(0);
    let _supervisor = world.start();
    let hub = Hub::start(&world, &gate, &receiver);
    let forge = Forge::of(&hub);
    assert_eq!(forge.deliver("unassigned", &first).1, "nothing to do\n");
    assert_eq!(forge.deliver("assigned", &first).1, "taken\n");
    let _task = up(&world, &id(&first));
    assert_eq!(forge.deliver("unassigned", &second).1, "taken\n");
    let report = receiver.next();
    assert_eq!(report["outcome"]["status"], "cancelled", "{report:#}");
    assert_eq!(report["outcome"]["reason"], "user");
    let intent = &world.show(&id(&first))["intents"][0];
    assert_eq!(intent["note"], "unassigned from dev by charles");
    assert_eq!(intent["requested_by"]["via"], "http");
    assert_eq!(forge.deliver("assigned", &second).1, "taken\n");
    gate.open();
    assert_eq!(receiver.next()["task_id"], json!(id(&second)));
    let second = world.show(&id(&second));
    assert_eq!(
        (&second["key"], &second["status"]),
        (&json!(KEY), &json!("success"))
    );
    hub.kill();
    world.oracle().agents.clear();
    world.check();
}

#[test]
fn a_task_that_cannot_be_is_reported_as_well() {
    let first = delivery();
    let (world, _gate) = world();
    let receiver = Receiver::start(0);
    let _supervisor = world.start();
    let hub = Hub::start_with(&world, &receiver, "provider = \"nobody\"");
    assert_eq!(Forge::of(&hub).deliver("assigned", &first).0, 200);
    let outcome = receiver.next()["outcome"].clone();
    assert_eq!(outcome["status"], "refused", "{outcome:#}");
    assert_eq!(outcome["error"]["code"], "usage", "{outcome:#}");
    hub.kill();
    world.check();
}

#[test]
fn only_what_forgejo_signed_is_taken() {
    let first = delivery();
    let (world, gate) = world();
    let receiver = Receiver::start(0);
    let hub = Hub::start(&world, &gate, &receiver);
    let forge = Forge::of(&hub);
    assert_eq!(forge.deliver("opened", &first).1, "nothing to do\n");
    assert_eq!(
        forge.with_secret("another").deliver("assigned", &first).0,
        403
    );
    let pull = forge.send_signed(
        r#"{"action":"assigned","number":2}"#,
        "pull_request",
        &first,
    );
    assert_eq!(pull, (200, "nothing to do\n".into()));
    let huge = format!("{{\"action\":\"{}\"}}", "x".repeat(5 << 20));
    assert_eq!(forge.send_signed(&huge, "issues", &first).0, 413);
    assert_eq!(forge.ask("GET", "/webhook", "", &[]).0, 405);
    assert_eq!(forge.ask("POST", "/", "{}", &[]).0, 404);
    assert_eq!(hub.state(), Value::Null, "nothing was written");
    hub.kill();
    let file = world.path("hub.json");
    std::fs::write(&file, "{").expect("written");
    let refused = wait_for("its end", GENEROUS, || Hub::ended(&world, &receiver));
    assert!(
        refused.contains("hub.json"),
        "a damaged state is told: {refused}"
    );
}
