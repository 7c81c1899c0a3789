//! The figures of the gateway beside what `agentctl` tells.

use std::collections::BTreeMap;
use std::sync::Arc;

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::harness::{Dispatched, GENEROUS, Http, World, wait_for, wait_until};

const CONFIG: &str = "[http]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{dir}/token\"\n\
    [limits]\nmax_tasks = 3\nmax_queued = 5\n";

/// The samples of the page by their names and labels.
fn samples(http: &Http) -> BTreeMap<String, f64> {
    let page = http.get("/metrics");
    assert_eq!(page.status, 200, "{page:?}");
    let lines = page.body.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').expect("a value");
        let name = name.strip_prefix("agent_supervisor_").expect("ours");
        (name.to_owned(), value.parse().expect("a number"))
    });
    samples.collect()
}

fn text<'a>(task: &'a Value, field: &str) -> &'a str {
    task[field].as_str().unwrap_or_default()
}

/// What the command line says, and the figures of the same moment.
fn both(world: &World, http: &Http) -> (Vec<Value>, Value, i64, BTreeMap<String, f64>) {
    let last_seq = || {
        let sql = "SELECT max(seq) AS seq FROM agent_run_event";
        world.ledger().rows(sql, &[])[0].integer("seq")
    };
    let status = || world.ctl(&["status", "--json"]).ok().json();
    wait_for("a moment in which nothing is written", GENEROUS, || {
        let before = (last_seq(), status());
        let tasks = world.ctl(&["list", "-a", "--json"]).ok().json();
        let told = samples(http);
        let after = (last_seq(), status());
        match (before == after, after) {
            (true, (Some(seq), status)) => {
                let tasks = tasks["tasks"].as_array().expect("a list").clone();
                Ok((tasks, status, seq, told))
            }
            (_, after) => Err(format!("{before:?}, {after:?}")),
        }
    })
}

/// Every gauge is what the command line says.
fn assert_true(world: &World, http: &Http) {
    let (tasks, status, last_seq, told) = both(world, http);
    let mut counted: BTreeMap<String, f64> = BTreeMap::new();
    for task in &tasks {
        let labels = format!(
            "tasks{{status=\"{}\",reason=\"{}\",provider=\"{}\"}}",
            text(task, "status"),
            text(task, "archive_reason"),
            text(task, "provider")
        );
        *counted.entry(labels).or_default() += 1.0;
    }
    for presence in ["attached", "detached"] {
        let with = tasks
            .iter()
            .filter(|task| text(task, "status") == "running")
            .filter(|task| text(task, "presence") == presence);
        let name = format!("shims{{presence=\"{presence}\"}}");
        counted.insert(name, f64::from(u32::try_from(with.count()).expect("few")));
    }
    let number = |value: &Value| value.as_f64().expect("a number");
    counted.insert("queue_depth".into(), number(&status["tasks"]["queued"]));
    counted.insert("adopted_total".into(), number(&status["adopted"]));
    counted.insert("ledger_bytes".into(), number(&status["ledger"]["bytes"]));
    counted.insert("events_total".into(), last_seq as f64);
    let phase = text(&status, "phase");
    for known in ["admitting", "draining", "stopping", "forced", "drained"] {
        let is_it = f64::from(u8::from(known == phase));
        counted.insert(format!("phase{{phase=\"{known}\"}}"), is_it);
    }
    for (name, value) in &counted {
        assert_eq!(told.get(name), Some(value), "{name}: {told:#?}");
    }
    let series = told.keys().filter(|name| name.starts_with("tasks{"));
    let true_ones = counted.keys().filter(|name| name.starts_with("tasks{"));
    assert_eq!(series.count(), true_ones.count(), "{told:#?}");
}

/// Waits until so many shims are connected.
fn attached(world: &World, count: usize) {
    wait_for("the shims", GENEROUS, || {
        let tasks = world.ctl(&["list", "--json"]).ok().json();
        let tasks = tasks["tasks"].as_array().cloned().unwrap_or_default();
        let there = tasks
            .iter()
            .filter(|task| task["presence"] == "attached")
            .count();
        match there == count {
            true => Ok(()),
            false => Err(format!("{there}: {tasks:#?}")),
        }
    });
}

/// Tasks of two providers in every state, one of them waiting.
fn fill(world: &World) -> Vec<Dispatched> {
    world.install_fake("claude");
    for steps in ["exit:0", "exit:0", "exit:3"] {
        let done = world.run().steps([steps]).detached();
        let _ended = world.ended(&done.id);
    }
    let other = world.run().provider("claude").steps(["exit:0"]).detached();
    let _ended = world.ended(&other.id);
    let stopped = world.run().steps(["mark:up", "forever"]).detached();
    stopped.marked("up");
    assert_eq!(world.stop(&stopped.id, &[]), "stopped");
    let live: Vec<Dispatched> = (0..3)
        .map(|_| world.run().steps(["mark:up", "forever"]).detached())
        .collect();
    for task in &live {
        task.marked("up");
    }
    let waiting = world.run().option("--on-conflict", "queue");
    let waiting = waiting.steps(["exit:0"]).detached();
    assert_eq!(waiting.task["status"], "queued");
    live
}

#[test]
fn gauges_are_what_is_and_right_again_after_a_restart() {
    let world = World::builder().config(CONFIG).build();
    world.write_token();
    let first: Arc<_> = world.start();
    let live = fill(&world);
    attached(&world, 3);
    let http = world.http();
    assert_true(&world, &http);
    let before = samples(&http);
    assert_eq!(before["launch_duration_seconds_count"], 8.0);
    assert_eq!(before["stop_duration_seconds_count"], 1.0);
    assert!(before["commit_duration_seconds_count"] > 0.0);
    assert!(before["queue_oldest_seconds"] > 0.0);
    // One shim is not there when the next supervisor is. (One that stands still before would
    // be woken by the kernel when the supervisor dies.)
    first.kill();
    let shim = world.shim_of(&live[0].id).expect("it lives");
    shim.signal(Signal::SIGSTOP);
    wait_until("the shim to stand still", GENEROUS, || {
        shim.state() == Some('T')
    });
    let _second = world.start();
    let http = wait_for("the next gateway", GENEROUS, || {
        let http = world.http();
        http.try_ask("GET", "/healthz", "").map(|_| http)
    });
    attached(&world, 2);
    assert_true(&world, &http);
    let after = samples(&http);
    assert_eq!(after["shims{presence=\"detached\"}"], 1.0);
    assert_eq!(after["adopted_total"], 2.0);
    assert_eq!(after["launch_duration_seconds_count"], 0.0);
    assert_eq!(after["stop_duration_seconds_count"], 0.0);
    // Not since the restart: since it has waited.
    assert!(after["queue_oldest_seconds"] >= before["queue_oldest_seconds"]);
    assert!(after["events_total"] >= before["events_total"]);
    shim.signal(Signal::SIGCONT);
    attached(&world, 3);
    assert_true(&world, &http);
    for task in &live {
        assert_eq!(world.stop(&task.id, &[]), "stopped");
    }
    wait_until("the last one's end", GENEROUS, || {
        samples(&http)["queue_depth"] == 0.0
            && world.ctl(&["list", "--json"]).ok().json()["tasks"] == Value::Array(Vec::new())
    });
    assert_true(&world, &http);
    world.check();
}
