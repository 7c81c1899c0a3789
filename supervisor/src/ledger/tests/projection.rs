//! What each event does to the tables.

use lifecycle::event::Ending;
use lifecycle::{Event, EventBody, SessionPlan, SessionRow, TaskSpec, WithoutTask};
use protocol::shim::{ResultRecord, Target, Usage};
use protocol::view::Links;
use protocol::vocab::{IntentOutcome, SessionState, SignalledBy};
use protocol::{ArchiveReason, Basis, Exit, SessionId, Status, Timestamp};

use super::kept::is_the_operators;
use super::samples::{Values, every_body};
use super::support::{
    Place, admitted, at, bound, commit, ended, ending, id, key, makes_a_row, provider, session,
    spec, stop_requested, wait,
};
use crate::ledger::{Ledger, TaskRow};

fn task(ledger: &Ledger, name: &'static str) -> TaskRow {
    wait(ledger.handle.task_row(id(name)))
        .expect("read")
        .expect("there")
}

pub(super) fn text(place: &Place, sql: &str) -> String {
    let columns = |row: &rusqlite::Row<'_>| {
        let count = row.as_ref().column_count();
        let shown = (0..count).map(|at| match row.get::<_, rusqlite::types::Value>(at)? {
            rusqlite::types::Value::Null => Ok("-".to_owned()),
            rusqlite::types::Value::Integer(number) => Ok(number.to_string()),
            rusqlite::types::Value::Real(number) => Ok(number.to_string()),
            rusqlite::types::Value::Text(text) => Ok(text),
            rusqlite::types::Value::Blob(_) => Ok("blob".to_owned()),
        });
        Ok(shown.collect::<rusqlite::Result<Vec<_>>>()?.join(" | "))
    };
    let db = place.sql();
    let mut statement = db.prepare(sql).expect("a query");
    let rows = statement.query_map([], columns).expect("runs");
    rows.collect::<rusqlite::Result<Vec<_>>>()
        .expect("reads")
        .join("\n")
}

#[test]
fn an_admission_writes_every_start_column() {
    let place = Place::new();
    let ledger = place.open();
    let full = TaskSpec {
        agent: Some("reviewer".into()),
        agent_type: Some("review".into()),
        model: Some("opus".into()),
        repo: Some("o/r".into()),
        issue_number: Some(1104),
        user: Some("ann".into()),
        name: Some("night".into()),
        links: Links {
            retry_of: Some(id("t0")),
            ..Links::default()
        },
        ..spec("t1", "forge:o/r:1104", SessionPlan::Chosen(session("s1")))
    };
    commit(
        &ledger.handle,
        &[at(Some("t1"), 0, EventBody::Admitted { spec: full })],
    );
    assert_eq!(
        text(
            &place,
            "SELECT id, key, repo, issue_number, user, agent, agent_type, model, provider, status,
                 started_at, finished_at, archive_reason, archive_basis, archived_by, exit_kind,
                 exit_code, exit_signal, session_id, resumed_session_id, turns, input_tokens,
                 output_tokens, cost_usd, artifacts, name, ended_by, finished_basis, last_seen_at,
                 archived, archived_at, version, retry_of
             FROM task_history"
        ),
        "t1 | forge:o/r:1104 | o/r | 1104 | ann | reviewer | review | opus | claude | running | \
         1970-01-01T00:00:00.000Z | - | - | - | - | - | - | - | s1 | - | - | - | - | - | [] | \
         night | - | - | - | 0 | - | 1 | t0"
    );
    ledger.close().expect("closed");
}

#[test]
fn an_end_writes_every_end_column_and_counts_the_changes() {
    let place = Place::new();
    std::fs::create_dir_all(place.tasks_dir().join("t1")).expect("made");
    std::fs::write(place.tasks_dir().join("t1/stdout.log"), b"12345").expect("written");
    let ledger = place.open();
    let end = Ending {
        basis: Basis::Declared,
        ended_by: Some("uid:0 comm:agentctl".into()),
        exit: Some(Exit::Signaled {
            signal: 15,
            core: false,
        }),
        last_seen_at: Timestamp(900),
        usage: Usage {
            turns: Some(2),
            cost_usd: Some(0.5),
            ..Usage::default()
        },
        ..ending(Status::Cancelled, ArchiveReason::User, 1000)
    };
    commit(
        &ledger.handle,
        &[
            admitted("t1", "k", 0),
            at(
                Some("t1"),
                5,
                EventBody::ModelSeen {
                    model: "opus-4".into(),
                },
            ),
            at(Some("t1"), 6, EventBody::FirstOutput {}),
            at(Some("t1"), 1000, EventBody::Ended(end.clone())),
        ],
    );
    assert_eq!(
        text(
            &place,
            "SELECT status, model, finished_at, archive_reason, archive_basis, archived_by,
                 exit_kind, exit_code, exit_signal, turns, input_tokens, output_tokens, cost_usd,
                 ended_by, finished_basis, last_seen_at, version
             FROM task_history"
        ),
        "cancelled | opus-4 | 1970-01-01T00:00:01.000Z | user | declared | - | signaled | - | \
         SIGTERM | 2 | - | - | 0.5 | uid:0 comm:agentctl | exact | 1970-01-01T00:00:00.900Z | 4"
    );
    let path = place.tasks_dir().join("t1/stdout.log");
    assert_eq!(
        text(&place, "SELECT artifacts FROM task_history"),
        format!(
            r#"[{{"name":"stdout.log","path":"{}","bytes":5}}]"#,
            path.display()
        )
    );
    let row = task(&ledger, "t1");
    assert_eq!((row.exit, row.usage), (end.exit, end.usage));
    ledger.close().expect("closed");
}

#[test]
fn each_kind_of_exit_reads_back() {
    let place = Place::new();
    let ledger = place.open();
    let exits = [
        None,
        Some(Exit::Exited { code: 143 }),
        Some(Exit::Signaled {
            signal: 11,
            core: true,
        }),
        Some(Exit::Unknown {
            why: "nobody saw it".into(),
        }),
    ];
    for (name, exit) in ["t0", "t1", "t2", "t3"].into_iter().zip(exits) {
        let end = Ending {
            exit: exit.clone(),
            ..ending(Status::Failure, ArchiveReason::Failed, 9)
        };
        commit(
            &ledger.handle,
            &[
                admitted(name, name, 0),
                at(Some(name), 9, EventBody::Ended(end)),
            ],
        );
        assert_eq!(task(&ledger, name).exit, exit);
    }
    ledger.close().expect("closed");
}

/// R11: whatever else comes after the end, the row stays as it is.
#[test]
fn no_event_changes_the_row_of_an_ended_task() {
    let place = Place::new();
    let ledger = place.open();
    commit(
        &ledger.handle,
        &[
            admitted("t1", "k", 0),
            stop_requested("t1", 1, 1),
            ended("t1", 2),
        ],
    );
    let rows = "SELECT * FROM task_history";
    let before = text(&place, rows);
    let values = Values {
        text: "late".into(),
        number: 77,
        small: 5,
        cost: 1.0,
        at: 50,
    };
    for (count, body) in every_body(&values).into_iter().enumerate() {
        if is_the_operators(&body) || makes_a_row(&body) {
            continue;
        }
        commit(&ledger.handle, &[at(Some("t1"), 100 + count as i64, body)]);
        assert_eq!(text(&place, rows), before);
    }
    commit(
        &ledger.handle,
        &[at(
            Some("t1"),
            999,
            EventBody::StopJournalled { intent_id: 1 },
        )],
    );
    assert_eq!(text(&place, rows), before);
    ledger.close().expect("closed");
}

#[test]
fn an_intent_is_followed_to_its_outcome() {
    let place = Place::new();
    let ledger = place.open();
    let signalled = |ms, by| {
        let (signal, target) = (15, Target::Group);
        at(
            Some("t1"),
            ms,
            EventBody::Signalled {
                intent_id: Some(1),
                signal,
                target,
                by,
            },
        )
    };
    commit(
        &ledger.handle,
        &[
            admitted("t1", "k", 0),
            stop_requested("t1", 1, 10),
            stop_requested("t1", 2, 11),
            at(Some("t1"), 12, EventBody::StopJournalled { intent_id: 1 }),
            at(Some("t1"), 13, EventBody::StopJournalled { intent_id: 1 }),
            signalled(14, SignalledBy::Shim),
            signalled(15, SignalledBy::Supervisor),
        ],
    );
    let intents = "SELECT id, task_id, reason, note, requested_at, journalled_at, signalled_at,
        signalled_by, outcome FROM stop_intent ORDER BY id";
    assert_eq!(
        text(&place, intents),
        "1 | t1 | user | enough | 1970-01-01T00:00:00.010Z | 1970-01-01T00:00:00.012Z | \
         1970-01-01T00:00:00.014Z | shim | pending\n\
         2 | t1 | user | enough | 1970-01-01T00:00:00.011Z | - | - | - | joined"
    );
    assert_eq!(
        text(&place, "SELECT requested_by FROM stop_intent WHERE id = 1"),
        r#"{"uid":0,"pid":4242,"comm":"agentctl","via":"control","ancestry":[{"pid":70,"comm":"bash"},{"pid":60,"comm":"sshd"}],"tty":"pts/3","from_task":null}"#
    );
    let end = Ending {
        intents: vec![(1, IntentOutcome::Effective), (2, IntentOutcome::Joined)],
        ..ending(Status::Cancelled, ArchiveReason::User, 20)
    };
    commit(&ledger.handle, &[at(Some("t1"), 20, EventBody::Ended(end))]);
    let outcomes = text(&place, "SELECT id, outcome FROM stop_intent ORDER BY id");
    assert_eq!(outcomes, "1 | effective\n2 | joined");
    let intents = wait(ledger.handle.look(|reader| reader.intents(&id("t1")))).expect("read");
    assert_eq!(intents[0].signalled_by, Some(SignalledBy::Shim));
    assert_eq!(intents[1].outcome, IntentOutcome::Joined);
    ledger.close().expect("closed");
    assert_eq!(place.open().report.next_intent, 3);
}

#[test]
fn a_result_is_found_through_its_row() {
    let place = Place::new();
    let ledger = place.open();
    let result = ResultRecord {
        at: Timestamp(3),
        success: true,
        text: Some("done ✓".into()),
        truncated: false,
        usage: Usage::default(),
    };
    let seen = at(Some("t1"), 3, EventBody::Result(result.clone()));
    commit(
        &ledger.handle,
        &[admitted("t1", "k", 0), seen, ended("t1", 4)],
    );
    assert_eq!(task(&ledger, "t1").result, Some(result));
    ledger.close().expect("closed");
}

const SESSIONS: &str = "SELECT session_id, task_id, state, quarantine_reason, last_used_at,
    totals, version FROM agent_sessions ORDER BY session_id";

fn of_session(body: impl FnOnce(SessionId) -> EventBody, ms: i64) -> Event {
    at(Some("t1"), ms, body(session("s1")))
}

#[test]
fn a_session_goes_from_live_to_its_end() {
    let place = Place::new();
    let ledger = place.open();
    let (k, p) = (key("k"), provider("claude"));
    let totals = Usage {
        turns: Some(3),
        ..Usage::default()
    };
    let steps = [
        (
            bound("t1", "k", "s1", 1),
            "s1 | t1 | live | - | 1970-01-01T00:00:00.001Z | {} | 1",
        ),
        (
            of_session(
                |session_id| EventBody::SessionResumable {
                    key: k.clone(),
                    provider: p.clone(),
                    session_id,
                    totals,
                },
                2,
            ),
            r#"s1 | t1 | resumable | - | 1970-01-01T00:00:00.002Z | {"turns":3,"input_tokens":null,"output_tokens":null,"cost_usd":null} | 2"#,
        ),
        (
            of_session(
                |session_id| EventBody::SessionQuarantined {
                    key: k.clone(),
                    provider: p.clone(),
                    session_id,
                    reason: "operator (uid 0)".into(),
                    totals: None,
                },
                3,
            ),
            r#"s1 | t1 | quarantined | operator (uid 0) | 1970-01-01T00:00:00.002Z | {"turns":3,"input_tokens":null,"output_tokens":null,"cost_usd":null} | 3"#,
        ),
        (
            of_session(
                |session_id| EventBody::SessionReleased {
                    key: k.clone(),
                    provider: p.clone(),
                    session_id,
                    by: super::support::requester(),
                },
                4,
            ),
            r#"s1 | t1 | resumable | - | 1970-01-01T00:00:00.004Z | {"turns":3,"input_tokens":null,"output_tokens":null,"cost_usd":null} | 4"#,
        ),
        (
            of_session(
                |session_id| EventBody::SessionRemoved {
                    key: k.clone(),
                    provider: p.clone(),
                    session_id,
                },
                5,
            ),
            "",
        ),
    ];
    commit(&ledger.handle, &[admitted("t1", "k", 0)]);
    for (event, expected) in steps {
        commit(&ledger.handle, &[event]);
        assert_eq!(text(&place, SESSIONS), expected);
    }
    assert_eq!(task(&ledger, "t1").session_id, Some(session("s1")));
    ledger.close().expect("closed");
}

#[test]
fn a_session_that_was_never_used_is_as_it_was() {
    let place = Place::new();
    let ledger = place.open();
    let row = SessionRow {
        key: key("k"),
        provider: provider("claude"),
        session_id: session("s1"),
        task_id: id("t0"),
        state: SessionState::Quarantined,
        quarantine_reason: Some("user".into()),
        last_used_at: Timestamp(7),
        totals: Usage {
            turns: Some(1),
            ..Usage::default()
        },
        without_task: Some(WithoutTask::default()),
    };
    let restored = |ms| at(None, ms, EventBody::SessionRestored { row: row.clone() });
    let use_it = [admitted("t1", "k", 8), bound("t1", "k", "s1", 8)];
    commit(&ledger.handle, &[restored(1)]);
    commit(&ledger.handle, &use_it);
    commit(&ledger.handle, &[restored(9)]);
    let rows = wait(ledger.handle.session_rows_of("k".into())).expect("read");
    assert_eq!(rows, vec![row.clone()]);
    ledger.close().expect("closed");
}
