//! Every event reads back from JSON as it was written.

use lifecycle::event::{BindKind, Ending};
use lifecycle::session::PassedOver;
use lifecycle::{Event, EventBody, RunAs, SessionPlan, TaskSpec};
use proptest::prelude::*;
use protocol::shim::{
    AlarmKind, ProviderError, ResultRecord, SpawnStage, SupersededBy, Target, Usage,
};
use protocol::vocab::{IntentOutcome, SignalledBy};
use protocol::{Exit, StopReason};

use crate::support::*;

fn usage() -> Usage {
    Usage {
        turns: Some(u64::MAX),
        input_tokens: Some(0),
        output_tokens: None,
        cost_usd: Some(0.1 + 0.2),
    }
}

fn rich_ending() -> Ending {
    Ending {
        usage: usage(),
        intents: vec![(1, IntentOutcome::Effective), (2, IntentOutcome::Joined)],
        survivors: vec![protocol::view::Survivor {
            pid: 1,
            start_time: u64::MAX,
            comm: "(sd-pam) \"x\"".to_string(),
        }],
        ..ending(
            CANCELLED,
            Some("uid:0 comm:x"),
            Some(Exit::Unknown {
                why: "nobody \u{1f980} saw\nit".to_string(),
            }),
            9,
        )
    }
}

/// One of each, and some with more than one shape.
fn every_body() -> Vec<EventBody> {
    let mut bodies = of_processes();
    bodies.extend(of_sessions());
    bodies.extend(of_stops());
    bodies.extend(of_ends());
    bodies
}

fn of_processes() -> Vec<EventBody> {
    let resuming = TaskSpec {
        session: SessionPlan::Resume(row("s-1", usage())),
        issue_number: Some(-1),
        model: Some("m".to_string()),
        run_as: Some(RunAs {
            user: "nobody".to_string(),
            uid: 65534,
        }),
        ..spec()
    };
    vec![
        EventBody::Admitted { spec: spec() },
        EventBody::Admitted { spec: resuming },
        EventBody::Admitted {
            spec: with_session(SessionPlan::Chosen(session("s-1"))),
        },
        EventBody::Queued {
            spec: with_session(SessionPlan::Undecided),
        },
        EventBody::KeyReleased {
            key: key(),
            by: person(),
        },
        EventBody::LineKnown {},
        EventBody::StartRefused {
            detail: "why".to_string(),
        },
        EventBody::Claimed { shim: shim() },
        EventBody::Started {
            agent: agent(),
            program: "/bin/demo".to_string(),
        },
        EventBody::SpawnFailed {
            stage: SpawnStage::Chdir,
            errno: 13,
            path: "/nowhere".to_string(),
        },
        EventBody::SpawnFailed {
            stage: SpawnStage::Shim,
            errno: 11,
            path: "/opt/agent-shim".to_string(),
        },
        EventBody::Adopted { shim: shim() },
        EventBody::FirstOutput {},
        EventBody::ModelSeen {
            model: "m".to_string(),
        },
        EventBody::UsageSeen { usage: usage() },
        EventBody::Result(ResultRecord {
            usage: usage(),
            ..result_of(5, false)
        }),
        EventBody::ProviderFailed {
            error: ProviderError::MissingSkill,
            detail: "x".to_string(),
        },
        EventBody::Alarm {
            kind: AlarmKind::Unexpected,
            detail: "x".to_string(),
        },
        EventBody::Finished {
            output_bytes: (u64::MAX, 1),
            gap_bytes: (0, 2),
        },
    ]
}

fn of_sessions() -> Vec<EventBody> {
    vec![
        bound("s-1", BindKind::Chosen),
        bound("s-1", BindKind::Resumed),
        bound("s-1", BindKind::Reported),
        bound("s-1", BindKind::Confirmed),
        resumable("s-1", usage()),
        quarantined("s-1", "user", Some(usage())),
        quarantined("s-1", "operator", None),
        EventBody::SessionReleased {
            key: key(),
            provider: provider(),
            session_id: session("s-1"),
            by: person(),
        },
        EventBody::SessionRestored {
            row: row("s-1", usage()),
        },
        EventBody::SessionPassedOver(PassedOver {
            key: key(),
            provider: provider(),
            session_id: session("s-1"),
            detail: "session s-1 is quarantined".to_string(),
        }),
        EventBody::SessionJoined(joined("s-1", usage())),
        EventBody::SessionRemoved {
            key: key(),
            provider: provider(),
            session_id: session("s-1"),
        },
    ]
}

fn of_stops() -> Vec<EventBody> {
    vec![
        EventBody::NeverStarted {
            detail: "why".to_string(),
            intent_id: None,
        },
        EventBody::NeverStarted {
            detail: "why".to_string(),
            intent_id: Some(1),
        },
        EventBody::Archived {
            by: person(),
            set_by: "supervisor".to_string(),
        },
        EventBody::Unarchived { by: person() },
        EventBody::Renamed {
            name: "n".to_string(),
            by: person(),
        },
        requested(1, StopReason::User, 0),
        EventBody::StopJournalled { intent_id: 1 },
        EventBody::StopSuperseded {
            intent_id: 1,
            by: SupersededBy::Exiting,
        },
        EventBody::Signalled {
            intent_id: None,
            signal: KILL,
            target: Target::Tree(3),
            by: SignalledBy::Supervisor,
        },
        EventBody::Signalled {
            intent_id: Some(1),
            signal: TERM,
            target: Target::Group,
            by: SignalledBy::Shim,
        },
        EventBody::SignalSeen {
            signal: TERM,
            sender: sender(),
        },
    ]
}

fn of_ends() -> Vec<EventBody> {
    let mut bodies: Vec<EventBody> = [code(0), code(143), signal(KILL), signal(64), no_shim_exit()]
        .into_iter()
        .map(|exit| EventBody::Exited { exit })
        .collect();
    bodies.extend([
        EventBody::Swept {
            sweep: sweep(9),
            by: SignalledBy::Shim,
        },
        EventBody::ShimLost {},
        EventBody::OutOfMemory(oom_of(2, 1, false)),
        EventBody::UnitSeen {
            unit: "agents.service".to_string(),
        },
        EventBody::HostRebooted {
            detail: "x".to_string(),
        },
        EventBody::Ended(rich_ending()),
        EventBody::Ended(ending(SUCCESS, None, None, 9)),
        EventBody::SupervisorStarted {
            pid: 1,
            version: "0.1.0".to_string(),
            boot_id: "b".to_string(),
        },
        EventBody::SupervisorStopped {
            pid: 1,
            left_running: 2,
        },
        EventBody::HubDraining {
            reason: StopReason::HubRestart,
        },
        EventBody::HubGone {
            reason: StopReason::HubRestart,
        },
        EventBody::HubAdmitting {},
        EventBody::Draining {
            reason: StopReason::HubShutdown,
            requested_by: supervisor(),
            deadline: at(9),
        },
        EventBody::Drained {
            reason: StopReason::HubShutdown,
        },
        EventBody::Admitting {},
        EventBody::ServiceShutdown {
            phase: "draining".to_string(),
            reason: StopReason::HubShutdown,
            drain_ms: 5,
            deadline: at(9),
            busy: vec![spec().id],
            survives: vec![],
            will_stop: vec![spec().id],
        },
    ]);
    bodies
}

fn read_back(event: &Event) -> Event {
    let text = serde_json::to_string(event).expect("plain data");
    serde_json::from_str(&text).expect("what was written")
}

#[test]
fn every_event_reads_back_and_its_tag_is_its_kind() {
    for body in every_body() {
        let kind = body.kind();
        let event = of_record(7, 5, body);
        assert_eq!(read_back(&event), event);
        let json = serde_json::to_value(&event.body).expect("plain data");
        assert_eq!(json["type"], kind);
        assert!(
            json["payload"].is_object(),
            "{kind}: fields stand beside others"
        );
        // As the ledger keeps it: the payload in a column of its own.
        let stored = json["payload"].to_string();
        let payload: serde_json::Value = serde_json::from_str(&stored).expect("JSON");
        let joined = serde_json::json!({ "payload": payload, "type": kind });
        let back: EventBody = serde_json::from_value(joined).expect("what was written");
        assert_eq!(back, event.body);
    }
}

#[test]
fn the_samples_hold_every_kind() {
    let kinds: std::collections::BTreeSet<_> = every_body().iter().map(EventBody::kind).collect();
    assert_eq!(kinds.len(), 49);
}

#[test]
fn the_public_shape_of_an_end() {
    let body = EventBody::Ended(ending(SUCCESS, Some("agent"), Some(code(0)), 9));
    let json = serde_json::to_value(&body).expect("plain data");
    assert_eq!(json["type"], "task.ended");
    assert_eq!(json["payload"]["status"], "success");
    assert_eq!(json["payload"]["exit"]["kind"], "exited");
    assert_eq!(json["payload"]["finished_at"], "2027-01-15T08:00:00.009Z");
}

/// Names are public in the ledger, and numbers differ between machines.
#[test]
fn signals_are_written_as_their_names() {
    let mut names = Vec::new();
    for body in every_body() {
        if matches!(
            body,
            EventBody::Signalled { .. } | EventBody::SignalSeen { .. }
        ) {
            let json = serde_json::to_value(&body).expect("plain data");
            names.push(json["payload"]["signal"].clone());
        }
    }
    names.dedup();
    assert_eq!(names, ["SIGKILL", "SIGTERM"]);
}

/// Keys and words are spelled as EVENTS.md says, never as the source does.
fn assert_public(kind: &str, value: &serde_json::Value) {
    let plain = |text: &str| !text.chars().any(|c| c.is_ascii_uppercase());
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                assert!(plain(name), "{kind}: {name}");
                assert_public(kind, value);
            }
        }
        serde_json::Value::Array(values) => {
            values.iter().for_each(|value| assert_public(kind, value));
        }
        serde_json::Value::String(text) => {
            let is_time = text.ends_with('Z') && text.starts_with("20");
            assert!(
                plain(text) || text.starts_with("SIG") || is_time,
                "{kind}: {text}"
            );
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

#[test]
fn no_word_is_spelled_as_in_the_source() {
    for body in every_body() {
        let json = serde_json::to_value(&body).expect("plain data");
        assert_public(body.kind(), &json);
    }
}

#[test]
fn the_words_of_older_ledgers_are_understood() {
    let old = |now: &str, then: &str, body: EventBody| {
        let text = serde_json::to_string(&body).expect("plain data");
        assert!(text.contains(now), "{text}");
        let back: EventBody = serde_json::from_str(&text.replace(now, then)).expect("known");
        assert_eq!(back, body);
    };
    let plan = |plan| EventBody::Admitted {
        spec: with_session(plan),
    };
    old(
        "\"session\":\"fresh\"",
        "\"session\":\"Fresh\"",
        plan(SessionPlan::Fresh),
    );
    old(
        "\"session\":\"undecided\"",
        "\"session\":\"Undecided\"",
        plan(SessionPlan::Undecided),
    );
    let chosen = SessionPlan::Chosen(session("s-1"));
    old("\"chosen\":", "\"Chosen\":", plan(chosen));
    let resumed = SessionPlan::Resume(row("s-1", usage()));
    old("\"resume\":", "\"Resume\":", plan(resumed));
    for (stage, now, then) in [
        (SpawnStage::Search, "search", "Search"),
        (SpawnStage::Chdir, "chdir", "Chdir"),
        (SpawnStage::Exec, "exec", "Exec"),
        (SpawnStage::Fork, "fork", "Fork"),
        (SpawnStage::Prepare, "prepare", "Prepare"),
    ] {
        let (errno, path) = (2, "/p".to_string());
        old(now, then, EventBody::SpawnFailed { stage, errno, path });
    }
}

proptest! {
    #[test]
    fn floats_read_back_to_the_last_bit(bits: u64, turns: Option<u64>) {
        let cost = f64::from_bits(bits);
        prop_assume!(cost.is_finite());
        let usage = Usage { turns, cost_usd: Some(cost), ..Usage::default() };
        let event = event(1, EventBody::UsageSeen { usage });
        prop_assert_eq!(read_back(&event), event);
    }

    #[test]
    fn texts_read_back(text: String, number: u64) {
        let event = of_record(number, 1, EventBody::NeverStarted { detail: text, intent_id: None });
        prop_assert_eq!(read_back(&event), event);
    }
}
