//! What the gateway says of whoever asked it, and of what is in the way.

use serde_json::json;
use tests::harness::World;

const CONFIG: &str = "[http]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{dir}/token\"\n";

fn path_of(id: &str) -> String {
    format!("/v1/tasks/{id}")
}

fn world() -> World {
    let world = World::builder().config(CONFIG).build();
    world.write_token();
    world
}

/// The token is anybody's: no user is known, and it was not the supervisor.
#[test]
fn a_stop_with_the_token_is_not_the_supervisors_own() {
    let world = world();
    let _supervisor = world.start();
    let http = world.http();
    let task = world.post_task(&http, &["mark:up", "forever"]);
    task.marked("up");
    let stopped = http.post(&format!("{}/stop", path_of(&task.id)), &json!({}));
    assert_eq!(stopped.status, 200);
    assert_eq!(world.show(&task.id)["ended_by"], "http");
    let why = http.get(&format!("{}/why", path_of(&task.id))).json();
    let mut steps = why["chain"].as_array().expect("a list").iter();
    let asked = steps.find(|step| step["what"] == "stop requested");
    let who = &asked.expect("it was asked for")["who"];
    assert_eq!(who, "a client of the gateway (over HTTP)");
    let shown = world.ctl(&["show", &task.id]).ok().stdout;
    assert!(shown.contains("by a client of the gateway"), "{shown}");
    assert!(!shown.contains("by via"), "{shown}");
    let live = world.post_task(&http, &["mark:live", "forever"]);
    live.marked("live");
    let archived = http.ask("POST", &format!("{}/archive", path_of(&live.id)), "");
    assert_eq!(archived.json()["archived_by"], "http");
    world.check();
}
