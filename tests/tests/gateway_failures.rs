//! What a client of the gateway is told when the ledger fails.

use serde_json::{Value, json};
use tests::harness::{GENEROUS, Http, World, wait_until};

const CONFIG: &str = "[http]\nlisten = \"unix:{dir}/run/http.sock\"\n";

/// The exit code of a supervisor whose ledger failed.
const GAVE_UP: i32 = 1;

fn world() -> World {
    let world = World::builder()
        .config(CONFIG)
        .hooks(["sup.commit.before", "sup.commit.after"])
        .build();
    world.forgive("the ledger failed; leaving");
    world.forgive("the ledger was not closed in order");
    world
}

fn answering(world: &World) -> Http {
    let http = Http::on_socket(world.runtime_dir().join("http.sock"));
    wait_until("the gateway", GENEROUS, || {
        http.try_ask("GET", "/v1/status", "").is_ok()
    });
    http
}

/// The next commit fails; gives what the client is told.
fn refused(world: &World, http: &Http, path: &str, body: &Value) -> Value {
    world.hooks().arm_failure_after("sup.commit.before", 0);
    let answer = http.post(path, body);
    let error = answer.error(500);
    assert_eq!(error["code"], "storage", "{answer:?}");
    assert!(error["hint"].is_string(), "{answer:?}");
    error
}

/// Never «ok» if the ledger write failed; and the same request to the next supervisor is done.
#[test]
fn an_archive_that_was_not_written_is_no_200() {
    let world = world();
    let first = world.start();
    let http = answering(&world);
    let task = world.post_task(&http, &["exit:0"]);
    let _ended = world.ended(&task.id);
    let archive = format!("/v1/tasks/{}/archive", task.id);
    let _error = refused(&world, &http, &archive, &json!({}));
    assert_eq!(first.ended().code(), Some(GAVE_UP));
    let row = world.ledger().task(&task.id).expect("it has a row");
    assert_eq!(row.integer("archived"), Some(0));
    let _second = world.start();
    let http = answering(&world);
    for already in [false, true] {
        let answer = http.post(&archive, &json!({}));
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["already_archived"], already);
    }
    world.check();
}

/// A dispatch without its row is none, and so is one of which nobody knows.
#[test]
fn a_dispatch_that_was_not_written_is_no_201() {
    let world = world();
    let first = world.start();
    let http = answering(&world);
    let run = world.run();
    let (id, records) = (run.task_id().to_string(), run.records());
    world.oracle().agents.push((id.clone(), records.clone()));
    let body = world.task_body(&id, &["exit:0"]);
    let _error = refused(&world, &http, "/v1/tasks", &body);
    assert_eq!(first.ended().code(), Some(GAVE_UP));
    assert!(world.ledger().task(&id).is_none());
    let _second = world.start();
    let again = answering(&world).post("/v1/tasks", &body);
    assert_eq!(again.status, 201, "{again:?}");
    let _ended = world.ended(&id);
    assert_eq!(records.leaders().len(), 1);
    world.check();
}

/// The stop itself is durable; who waits for the end hears that nobody will tell it.
#[test]
fn who_waits_for_an_end_is_told_that_the_ledger_failed() {
    let world = world();
    let first = world.start();
    let http = answering(&world);
    let task = world.post_task(&http, &["ignore:TERM", "mark:up", "forever"]);
    task.marked("up");
    let stop = format!("/v1/tasks/{}/stop", task.id);
    let waiting = {
        let (http, stop) = (http.clone(), stop.clone());
        std::thread::spawn(move || http.post(&stop, &json!({"grace": "1h"})))
    };
    // Its grace has begun: it ends by nothing that is committed for it.
    wait_until("the signal", GENEROUS, || {
        let intents = world.ledger().intents(&task.id);
        intents.iter().any(|intent| !intent.is_null("signalled_at"))
    });
    world.hooks().arm_failure_after("sup.commit.before", 0);
    // Whatever is committed next fails: this, or a record of the shim.
    let other = world.task_body("other", &["exit:0"]).to_string();
    let typed = http.with("content-type", "application/json");
    let _refused_or_cut_off = typed.try_ask("POST", "/v1/tasks", &other);
    let answer = waiting.join().expect("no panic");
    assert_eq!(answer.error(500)["code"], "storage");
    assert_eq!(first.ended().code(), Some(GAVE_UP));
    let _second = world.start();
    let answer = answering(&world).post(&stop, &json!({"force": true}));
    assert_eq!(answer.json()["results"][0]["outcome"], "stopped");
    world.check();
}
