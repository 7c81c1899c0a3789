//! Many clients at once, and a supervisor that dies among them.

use std::sync::Mutex;
use std::thread;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tests::harness::{GENEROUS, Http, World, wait_for};

const CONFIG: &str = "[http]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{dir}/token\"\n\
    [limits]\nmax_tasks = 1000\n";

const CLIENTS: usize = 200;

fn answering(world: &World) -> Http {
    wait_for("a gateway", GENEROUS, || {
        let http = world.http();
        http.try_ask("GET", "/healthz", "").map(|_| http)
    })
}

/// Every 201 that a client saw is in the ledger, and who was not answered asks
/// again and has one task.
#[test]
fn two_hundred_clients_and_a_crash_make_two_hundred_tasks() {
    let world = World::builder().config(CONFIG).build();
    world.write_token();
    let first = world.start();
    let http = answering(&world).with("content-type", "application/json");
    let ids: Vec<String> = (0..CLIENTS).map(|n| format!("load-{n}")).collect();
    let created = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for id in &ids {
            let (http, created, first) = (&http, &created, &first);
            let body = world.task_body(id, &["exit:0"]).to_string();
            scope.spawn(move || {
                let Ok(answer) = http.try_ask("POST", "/v1/tasks", &body) else {
                    return;
                };
                assert_eq!(answer.status, 201, "{answer:?}");
                let mut created = created.lock().expect("nobody panicked");
                created.push(id.clone());
                // In the middle of it all.
                if created.len() == CLIENTS / 4 {
                    first.kill();
                }
            });
        }
    });
    let created = created.into_inner().expect("nobody panicked");
    let rows = world.ledger().tasks();
    for id in &created {
        let has_row = rows.iter().any(|row| row.text("id") == Some(id.as_str()));
        assert!(has_row, "{id} was created and has no row");
    }
    let _second = world.start();
    let http = answering(&world).with("content-type", "application/json");
    thread::scope(|scope| {
        for id in &ids {
            let (http, created) = (&http, &created);
            let body = world.task_body(id, &["exit:0"]).to_string();
            scope.spawn(move || {
                let answer = http.ask("POST", "/v1/tasks", &body);
                assert!([200, 201].contains(&answer.status), "{answer:?}");
                let fresh = answer.status == 201;
                assert!(!(fresh && created.contains(id)), "{id} was made twice");
            });
        }
    });
    for id in &ids {
        let _ended = world.ended(id);
        let records = tests::harness::Records::new(world.path(&format!("{id}.record")));
        assert!(records.leaders().len() <= 1, "{id} ran twice");
        world.oracle().agents.push((id.clone(), records));
    }
    assert_eq!(world.ledger().tasks().len(), CLIENTS);
    world.check();
}

/// A thousand that follow the events cost the others nothing.
#[test]
fn a_thousand_idle_subscribers_are_served() {
    let world = World::builder().config(CONFIG).build();
    world.write_token();
    let _supervisor = world.start();
    let http = answering(&world);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("it has one");
    assert!(
        hard >= 4096,
        "too few descriptors for this test: {soft}, {hard}"
    );
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit");
    let mut sources: Vec<_> = (0..1000).map(|_| http.lines("/v1/events")).collect();
    let task = world.post_task(&http, &["exit:0"]);
    let _ended = world.ended(&task.id);
    for source in &mut sources {
        let mut lines = source.by_ref().map_while(Result::ok);
        assert!(lines.any(|line| line == "event: task.ended"));
    }
    world.check();
}
