//! `prune`: a dry run by default, in both forms.

use protocol::control::{ErrorBody, ErrorCode, PruneRequest, Request, Response};
use protocol::view::{PruneView, PrunedTask};
use protocol::{Key, Status, TaskId};
use serde_json::{Value, json};

use crate::support::{Home, ID, NOW, Server, code, stderr, stdout};

fn view(applied: bool) -> PruneView {
    PruneView {
        applied,
        count: 1,
        bytes: 2048,
        tasks: vec![PrunedTask {
            id: TaskId::new(ID).expect("valid"),
            key: Key::new("k").expect("valid"),
            status: Status::Failure,
            finished_at: NOW,
            bytes: 2048,
        }],
        kept: 1,
        events: applied.then_some(9),
    }
}

#[test]
fn nothing_is_asked_to_go_without_apply() {
    let home = Home::new();
    let server = Server::start(&home, |request, peer| {
        let Request::Prune(PruneRequest { apply, .. }) = request else {
            panic!("{request:?}")
        };
        peer.send(&Response::Pruned(view(apply)));
    });
    let output = home.output(&["prune"]);
    let asked = Request::Prune(PruneRequest {
        older_than_ms: None,
        apply: false,
    });
    assert_eq!((server.next(), code(&output)), (asked, 0));
    let table = stdout(&output);
    assert!(table.starts_with("TASK"), "{table}");
    assert!(table.contains(ID) && table.contains("2.0 KiB"), "{table}");
    let said = stderr(&output);
    assert!(said.contains("1 would go, 2.0 KiB"), "{said}");
    assert!(said.contains("nothing was done; `--apply`"), "{said}");

    let output = home.output(&["prune", "--older-than", "30d", "--apply"]);
    let asked = Request::Prune(PruneRequest {
        older_than_ms: Some(30 * 86_400_000),
        apply: true,
    });
    assert_eq!((server.next(), code(&output)), (asked, 0));
    let said = stderr(&output);
    assert!(
        said.contains("1 pruned, 2.0 KiB; 1 old enough and kept"),
        "{said}"
    );
    assert!(said.contains("9 events left the log"), "{said}");
}

#[test]
fn the_json_is_the_view() {
    let home = Home::new();
    let _server = Server::start(&home, |_, peer| peer.send(&Response::Pruned(view(false))));
    let output = home.output(&["prune", "--json"]);
    let printed: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let expected = json!({
        "applied": false, "count": 1, "bytes": 2048, "kept": 1, "events": null,
        "tasks": [{"id": ID, "key": "k", "status": "failure",
            "finished_at": "2026-11-20T11:26:42.766Z", "bytes": 2048}]
    });
    assert_eq!(printed, expected);
    assert_eq!(stderr(&output), "");
}

#[test]
fn what_cannot_be_done_has_its_code() {
    for (error, expected) in [(ErrorCode::Usage, 2), (ErrorCode::Storage, 1)] {
        let home = Home::new();
        let _server = Server::start(&home, move |_, peer| {
            peer.send(&Response::Error(ErrorBody::new(error, "words")));
        });
        assert_eq!(code(&home.output(&["prune", "--apply"])), expected);
    }
    let home = Home::new();
    let output = home.output(&["prune", "--older-than", "5"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("90s, 10m"), "{}", stderr(&output));
    assert_eq!(code(&home.output(&["prune"])), 5, "needs a supervisor");
}
