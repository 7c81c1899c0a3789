//! The gateway: what a client was told is so, and what it repeats is done once.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use super::case::Case;
use crate::harness::{GENEROUS, Http, HttpAnswer, Sent, Source, Supervisor, wait_for, wait_until};

/// A unix socket: its place is the same for every supervisor.
pub(super) const CONFIG: &str = "[http]\nlisten = \"unix:{dir}/run/http.sock\"\n";

/// A client in a thread of its own.
type Client<T> = JoinHandle<T>;

impl Case<'_> {
    /// However often it has to be posted, it is one task; and the reader of the events, who
    /// comes back with the last id, misses nothing and hears nothing twice.
    pub(super) fn http_life(&self) {
        let supervisor = self.start();
        let http = self.gateway();
        self.arm_when_quiet();
        let run = self.world.run();
        let (id, records) = (run.task_id().to_string(), run.records());
        let gate = self.gate.step();
        let body = self.world.task_body(&id, &["print:hello", &gate, "exit:3"]);
        let mut oracle = self.world.oracle();
        oracle.agents.push((id.clone(), records.clone()));
        drop(oracle);
        let reader = follow(http.clone(), id.clone());
        let ledger = self.world.ledger();
        let sent = (http, id.clone(), body);
        let client = thread::spawn(move || {
            let (http, id, body) = sent;
            let answer = repeat(&http, "/v1/tasks", &body);
            // Whoever was told looks at once, whatever has become of the supervisor.
            (answer, ledger.task(&id).is_some())
        });
        let supervisor = self.to_the_end_of(supervisor, &id, &|| {
            client.is_finished() && reader.is_finished()
        });
        let (answer, has_row) = client.join().expect("no panic");
        assert!(has_row, "{answer:?} came before the row");
        assert_eq!(answer.json()["id"], json!(id));
        self.world.oracle().acknowledged.push(id.clone());
        assert_eq!(self.world.ledger().tasks().len(), 1, "after {}", self.point);
        assert!(records.leaders().len() <= 1, "it ran twice");
        self.heard_once(&reader.join().expect("no panic"));
        self.the_key_is_free(&supervisor);
    }

    pub(super) fn http_stop(&self) {
        let (supervisor, id) = self.sleeping();
        let http = self.gateway();
        self.arm_when_quiet();
        let path = format!("/v1/tasks/{id}/stop");
        let client = thread::spawn(move || repeat(&http, &path, &json!({"note": "enough"})));
        let supervisor = self.to_the_end_of(supervisor, &id, &|| client.is_finished());
        let answer = client.join().expect("no panic");
        let outcome = answer.json()["results"][0]["outcome"].clone();
        let outcome = outcome.as_str().expect("an outcome").to_owned();
        assert!(
            outcome == "stopped" || outcome == "already_gone",
            "{answer:?} after {}",
            self.point
        );
        self.world.oracle().stops.push((id.clone(), outcome));
        assert_eq!(self.world.show(&id)["archive_reason"], "user");
        self.the_key_is_free(&supervisor);
    }

    pub(super) fn http_archive(&self) {
        let (supervisor, id) = self.sleeping();
        let http = self.gateway();
        self.arm_when_quiet();
        let path = format!("/v1/tasks/{id}/archive");
        let ledger = self.world.ledger();
        let of_it = id.clone();
        let client = thread::spawn(move || {
            let answer = repeat(&http, &path, &json!({}));
            let row = ledger.task(&of_it).expect("it has a row");
            (answer, row.integer("archived") == Some(1))
        });
        let supervisor = self.to_the_end_of(supervisor, &id, &|| client.is_finished());
        let (answer, is_so) = client.join().expect("no panic");
        assert_eq!(answer.json()["archived"], true, "{answer:?}");
        assert!(is_so, "{answer:?} came before the row said so");
        assert_eq!(self.world.show(&id)["archive_reason"], "user");
        self.the_key_is_free(&supervisor);
    }

    /// A client, once the gateway is there: the control socket is served before it.
    fn gateway(&self) -> Http {
        let socket = self.world.runtime_dir().join("http.sock");
        let http = Http::on_socket(socket);
        wait_until("the gateway", GENEROUS, || {
            http.try_ask("GET", "/healthz", "").is_ok()
        });
        http
    }

    fn sleeping(&self) -> (Arc<Supervisor>, String) {
        let supervisor = self.start();
        let run = self.world.run().key("crash:http");
        let task = run.argv(["sleep", "1000"]).detached();
        (supervisor, task.id)
    }

    /// The events that came are those of the log, from the first on.
    fn heard_once(&self, heard: &[Sent]) {
        let log = self.world.ctl(&["events", "--json"]).ok().json_lines();
        let told: Vec<&Value> = heard.iter().map(|sent| &sent.data).collect();
        let logged: Vec<&Value> = log.iter().take(told.len()).collect();
        assert_eq!(told, logged, "after {}", self.point);
    }
}

/// Asks until it is answered, as a hub does.
fn repeat(http: &Http, path: &str, body: &Value) -> HttpAnswer {
    let typed = http.with("content-type", "application/json");
    wait_for("an answer over HTTP", GENEROUS, || {
        match typed.try_ask("POST", path, &body.to_string()) {
            Ok(answer) if [200, 201].contains(&answer.status) => Ok(answer),
            // A ledger that failed, or a supervisor that leaves: the next one is asked.
            Ok(answer) if [500, 503].contains(&answer.status) => Err(format!("{answer:?}")),
            Ok(answer) => panic!("{answer:?}"),
            Err(error) => Err(error.to_string()),
        }
    })
}

/// Every durable event from the first one to the end of `task`, over however many connections.
fn follow(http: Http, task: String) -> Client<Vec<Sent>> {
    thread::spawn(move || {
        let mut heard: Vec<Sent> = Vec::new();
        wait_for("the end of the task in the events", GENEROUS, || {
            let last = heard.iter().filter_map(|sent| sent.id).next_back();
            let opened = match last {
                None => Source::try_open(&http, "/v1/events?from=1"),
                Some(last) => {
                    let back = http.with("last-event-id", &last.to_string());
                    Source::try_open(&back, "/v1/events")
                }
            };
            let (source, hello) = opened.map_err(|error| {
                let words = error.to_string();
                // A ledger that failed: the next supervisor is asked.
                let is_storage = words.contains(r#""code":"storage""#);
                let is_refused = error.kind() == std::io::ErrorKind::Other;
                assert!(is_storage || !is_refused, "{words}");
                words
            })?;
            assert_eq!(hello["resume"], "ok");
            for sent in source {
                let is_end = sent.kind == "task.ended" && sent.data["task_id"] == task.as_str();
                if sent.id.is_some() {
                    heard.push(sent);
                }
                if is_end {
                    return Ok(());
                }
            }
            Err(format!("{heard:?}"))
        });
        heard
    })
}
