//! The documented JSON shapes, verb by verb.

use protocol::control::{Request, Response};
use protocol::view::{
    ChainLink, EventView, EvidenceView, IntentView, LedgerView, ProtocolRange, Requester,
    SessionView, StatusView, StopResult, Survivor, TaskCounts, TaskDetail,
};
use protocol::vocab::{IntentOutcome, SessionState, StopOutcome, Via};
use protocol::{Key, ProviderName, SessionId, Status, StopReason, TaskId};
use serde_json::{Value, json};

use crate::support::{Home, ID, NOW, Server, code, running, stderr, stdout, succeeded};

/// What `agentctl ARGS --json` prints when `answer` is the answer.
fn ask(args: &[&str], answer: Response) -> (Request, Value, i32) {
    let home = Home::new();
    let server = Server::start(&home, move |_, peer| peer.send(&answer));
    let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    let output = home.output(&args);
    let printed = stdout(&output);
    assert_eq!(printed.lines().count(), 1, "{printed}{}", stderr(&output));
    (
        server.next(),
        serde_json::from_str(&printed).expect("JSON"),
        code(&output),
    )
}

const AT: &str = "2026-11-20T11:26:42.766Z";

#[test]
fn lists_are_an_object_with_tasks() {
    let answer = Response::Tasks(vec![running("a"), succeeded("b")]);
    let (_, printed, code) = ask(&["list", "-a"], answer);
    assert_eq!(code, 0);
    let ids: Vec<&Value> = printed["tasks"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|task| &task["id"])
        .collect();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!(printed["tasks"][0]["exit"], Value::Null);
    assert_eq!(
        printed["tasks"][1]["exit"],
        json!({"kind": "exited", "code": 0})
    );
    assert_eq!(printed["tasks"][1]["finished_at"], AT);
}

#[test]
fn show_has_intents_and_evidence_beside_the_task() {
    let intent = IntentView {
        id: 1,
        reason: StopReason::User,
        requested_by: Requester {
            uid: Some(1000),
            pid: Some(7),
            comm: Some("agentctl".into()),
            via: Via::Control,
            ancestry: vec![],
            tty: None,
            from_task: None,
        },
        note: None,
        requested_at: NOW,
        journalled_at: None,
        signalled_at: None,
        signalled_by: None,
        outcome: IntentOutcome::Pending,
    };
    let evidence = EvidenceView {
        kind: "exit".into(),
        at: NOW,
        detail: "d".into(),
    };
    let whole = TaskDetail {
        task: running("a"),
        intents: vec![intent],
        evidence: vec![evidence],
    };
    let (request, printed, _) = ask(&["show", "a"], Response::Detail(Box::new(whole)));
    assert_eq!(request, Request::Show { id: "a".into() });
    assert_eq!(printed["id"], "a");
    let expected = json!([{
        "id": 1, "reason": "user",
        "requested_by": {"uid": 1000, "pid": 7, "comm": "agentctl", "via": "control",
            "ancestry": [], "tty": null, "from_task": null},
        "note": null, "requested_at": AT, "journalled_at": null, "signalled_at": null,
        "signalled_by": null, "outcome": "pending"
    }]);
    assert_eq!(printed["intents"], expected);
    assert_eq!(
        printed["evidence"],
        json!([{"kind": "exit", "at": AT, "detail": "d"}])
    );
}

#[test]
fn why_is_a_task_and_a_chain() {
    let link = ChainLink {
        at: NOW,
        what: "w".into(),
        who: "x".into(),
        detail: "d".into(),
    };
    let answer = Response::Why {
        task: Box::new(running("a")),
        chain: vec![link],
    };
    let (_, printed, _) = ask(&["why", "a"], answer);
    assert_eq!(printed["task"]["id"], "a");
    assert_eq!(
        printed["chain"],
        json!([{"at": AT, "what": "w", "who": "x", "detail": "d"}])
    );
}

#[test]
fn stops_are_results() {
    let survivor = Survivor {
        pid: 9,
        start_time: 77,
        comm: "dd".into(),
    };
    let result = StopResult {
        id: TaskId::new("a").expect("valid"),
        outcome: StopOutcome::StillAlive,
        status: Status::Running,
        archive_reason: None,
        survivors: vec![survivor],
    };
    let answer = Response::Stopped {
        results: vec![result],
        failed: vec![],
    };
    let line = [
        "stop",
        ID,
        "--reason",
        "runner_stop",
        "--note",
        "n",
        "--grace",
        "2s",
    ];
    let (request, printed, code) = ask(&line, answer);
    let Request::Stop(request) = request else {
        panic!("{request:?}")
    };
    assert_eq!(request.reason, StopReason::RunnerStop);
    assert_eq!(
        (request.note.as_deref(), request.grace_ms),
        (Some("n"), Some(2000))
    );
    let expected = json!({"results": [{
        "id": "a", "outcome": "still_alive", "status": "running", "archive_reason": null,
        "survivors": [{"pid": 9, "start_time": 77, "comm": "dd"}], "pending": false
    }]});
    assert_eq!((printed, code), (expected, 8));
}

#[test]
fn waits_are_an_object_with_tasks() {
    let (_, printed, code) = ask(&["wait", ID], Response::Tasks(vec![succeeded(ID)]));
    assert_eq!(
        (printed["tasks"][0]["status"].as_str(), code),
        (Some("success"), 0)
    );
}

#[test]
fn sessions_are_an_object_with_sessions() {
    let session = SessionView {
        key: Key::new("k").expect("valid"),
        provider: ProviderName::new("claude").expect("valid"),
        session_id: SessionId::new("s").expect("valid"),
        task_id: TaskId::new("t").expect("valid"),
        state: SessionState::Resumable,
        quarantine_reason: None,
        last_used_at: NOW,
        version: 3,
    };
    let expected = json!({"sessions": [{
        "key": "k", "provider": "claude", "session_id": "s", "task_id": "t", "state": "resumable",
        "quarantine_reason": null, "last_used_at": AT, "version": 3
    }]});
    for line in [
        vec!["sessions"],
        vec!["sessions", "list"],
        vec!["sessions", "release", "k"],
    ] {
        let answer = Response::Sessions(vec![session.clone()]);
        assert_eq!(ask(&line, answer).1, expected, "{line:?}");
    }
}

#[test]
fn the_status_has_its_documented_fields() {
    let view = StatusView {
        version: "0.1.0".into(),
        protocol: ProtocolRange { min: 1, max: 1 },
        pid: 4,
        boot_id: "b".into(),
        started_at: NOW,
        tasks: TaskCounts {
            queued: 1,
            running: 2,
            ended: 3,
        },
        adopted: 0,
        phase: "admitting".into(),
        unit: None,
        ledger: LedgerView {
            path: "/l".into(),
            schema: 1,
            bytes: 9,
        },
        drain: None,
        ledger_id: "i".into(),
        runtime_dir: "/r".into(),
        mode: "user".into(),
    };
    let (_, printed, _) = ask(&["status"], Response::Status(Box::new(view)));
    assert_eq!(printed["protocol"], json!({"min": 1, "max": 1}));
    assert_eq!(
        printed["tasks"],
        json!({"queued": 1, "running": 2, "ended": 3})
    );
    assert_eq!(
        printed["ledger"],
        json!({"path": "/l", "schema": 1, "bytes": 9})
    );
    assert_eq!(
        (&printed["unit"], &printed["drain"], &printed["refusing"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
}

#[test]
fn events_are_flat_lines() {
    let home = Home::new();
    let _server = Server::start(&home, |_, peer| {
        for (seq, kind) in [(Some(1), "task.queued"), (None, "task.progress")] {
            peer.send(&Response::Event(EventView {
                seq,
                at: NOW,
                kind: kind.into(),
                task_id: TaskId::new("a").ok(),
                payload: r#"{"n":1}"#.into(),
            }));
        }
        peer.send(&Response::EventsEnd { next_seq: 2 });
    });
    let expected = format!(
        "{{\"seq\":1,\"at\":\"{AT}\",\"type\":\"task.queued\",\"task_id\":\"a\",\"n\":1}}\n\
         {{\"at\":\"{AT}\",\"type\":\"task.progress\",\"task_id\":\"a\",\"n\":1}}\n"
    );
    assert_eq!(stdout(&home.output(&["events", "--json"])), expected);
}
