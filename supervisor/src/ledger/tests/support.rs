//! A ledger in a folder of its own, and events to feed it.

use std::path::PathBuf;

use lifecycle::event::{BindKind, Ending};
use lifecycle::{Event, EventBody, Limits, Policy, SessionPlan, SessionRow, TaskSpec};
use protocol::shim::{
    AlarmKind, ProcessId, ProviderError, ResultRecord, SenderRecord, SpawnStage, SupersededBy,
    SweepRecord, Target, Usage,
};
use protocol::view::{Ancestor, EventView, Links, Requester, Survivor};
use protocol::vocab::{IntentOutcome, SessionState, SignalledBy, Via};
use protocol::{
    ArchiveReason, Basis, Exit, FinishedBasis, Key, ProviderName, SessionId, Status, StopReason,
    TaskId, Timestamp,
};
use rusqlite::Connection;
use sys::temp_folder::TempFolder;

use crate::ledger::{Ledger, LedgerError, LedgerHandle, OpenError, OpenOptions, TaskSecret, open};

/// Where the files of a test are.
pub(crate) struct Place {
    folder: TempFolder,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
        Self { folder }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ledger.sqlite3")
    }

    pub(crate) fn tasks_dir(&self) -> PathBuf {
        self.folder.path().join("tasks")
    }

    pub(crate) fn options(&self) -> OpenOptions {
        OpenOptions {
            path: self.file(),
            tasks_dir: self.tasks_dir(),
            boot_id: "boot-1".to_owned(),
            task_folder: None,
        }
    }

    pub(crate) fn open(&self) -> Ledger {
        self.try_open().expect("opens")
    }

    pub(crate) fn try_open(&self) -> Result<Ledger, OpenError> {
        open(&self.options())
    }

    /// A look at the tables from outside, as other programs do it.
    pub(crate) fn sql(&self) -> Connection {
        Connection::open(self.file()).expect("opens")
    }

    /// Every file, by name, with its bytes.
    pub(crate) fn bytes(&self) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = std::fs::read_dir(self.folder.path())
            .expect("there")
            .map(|entry| entry.expect("readable"))
            .filter(|entry| entry.path().is_file())
            .map(|entry| {
                let bytes = std::fs::read(entry.path()).expect("readable");
                (entry.file_name().to_string_lossy().into_owned(), bytes)
            })
            .collect();
        files.sort();
        files
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What stays behind stays in the temporary folder.
        let _ = sys::temp_folder::remove_tree(self.folder.path());
    }
}

/// Waits for a future on a runtime of its own.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(future)
}

pub(crate) fn commit(ledger: &LedgerHandle, events: &[Event]) -> Vec<EventView> {
    try_commit(ledger, events).expect("committed")
}

pub(crate) fn try_commit(
    ledger: &LedgerHandle,
    events: &[Event],
) -> Result<Vec<EventView>, LedgerError> {
    wait(ledger.commit(events.to_vec(), Vec::new()))
}

pub(crate) fn id(text: &str) -> TaskId {
    TaskId::new(text).expect("a valid id")
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text).expect("a valid key")
}

pub(crate) fn provider(text: &str) -> ProviderName {
    ProviderName::new(text).expect("a valid name")
}

pub(crate) fn session(text: &str) -> SessionId {
    SessionId::new(text).expect("a valid session id")
}

pub(crate) fn secret(task: &str) -> TaskSecret {
    TaskSecret {
        task_id: id(task),
        token_hash: format!("hash of {task}"),
        nonce: format!("nonce of {task}"),
        spec_digest: format!("digest of {task}"),
    }
}

pub(crate) fn spec(task: &str, of_key: &str, plan: SessionPlan) -> TaskSpec {
    TaskSpec {
        id: id(task),
        key: key(of_key),
        provider: provider("claude"),
        agent: None,
        agent_type: None,
        model: None,
        repo: None,
        issue_number: None,
        user: None,
        name: None,
        session: plan,
        limits: Limits::default(),
        policy: Policy::default(),
        links: Links::default(),
    }
}

pub(crate) fn at(task: Option<&str>, ms: i64, body: EventBody) -> Event {
    Event {
        at: Timestamp(ms),
        task_id: task.map(id),
        record: None,
        body,
    }
}

pub(crate) fn admitted(task: &str, of_key: &str, ms: i64) -> Event {
    let spec = spec(task, of_key, SessionPlan::Fresh);
    at(Some(task), ms, EventBody::Admitted { spec })
}

pub(crate) fn bound(task: &str, of_key: &str, session_id: &str, ms: i64) -> Event {
    let body = EventBody::SessionBound {
        key: key(of_key),
        provider: provider("claude"),
        session_id: session(session_id),
        how: BindKind::Reported,
    };
    at(Some(task), ms, body)
}

pub(crate) fn ending(status: Status, reason: ArchiveReason, ms: i64) -> Ending {
    Ending {
        status,
        reason,
        basis: Basis::Observed,
        ended_by: Some("agent".to_owned()),
        exit: Some(Exit::Exited { code: 0 }),
        finished_at: Timestamp(ms),
        finished_basis: FinishedBasis::Exact,
        last_seen_at: Timestamp(ms),
        usage: Usage::default(),
        intents: Vec::new(),
        survivors: Vec::new(),
    }
}

pub(crate) fn ended(task: &str, ms: i64) -> Event {
    let ending = ending(Status::Success, ArchiveReason::Completed, ms);
    at(Some(task), ms, EventBody::Ended(ending))
}

pub(crate) fn requester() -> Requester {
    Requester {
        uid: Some(0),
        pid: Some(4242),
        comm: Some("agentctl".to_owned()),
        via: Via::Control,
        ancestry: vec![
            Ancestor {
                pid: 70,
                comm: "bash".to_owned(),
            },
            Ancestor {
                pid: 60,
                comm: "sshd".to_owned(),
            },
        ],
        tty: Some("pts/3".to_owned()),
        from_task: None,
    }
}

pub(crate) fn stop_requested(task: &str, intent_id: u64, ms: i64) -> Event {
    let body = EventBody::StopRequested {
        intent_id,
        reason: StopReason::User,
        requested_by: requester(),
        note: Some("enough".to_owned()),
        grace_ms: 5000,
        joined: intent_id > 1,
    };
    at(Some(task), ms, body)
}

/// The values that the events of [`every_body`] carry.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    pub(crate) text: String,
    pub(crate) number: u64,
    pub(crate) small: i32,
    pub(crate) cost: f64,
    pub(crate) at: i64,
}

/// One event body of every kind; a new kind goes here.
pub(crate) fn every_body(values: &Values) -> Vec<EventBody> {
    let mut all = of_the_agent(values);
    all.extend(of_sessions(values));
    all.extend(of_the_stop(values));
    all.extend(of_the_end(values));
    all
}

fn process(values: &Values) -> ProcessId {
    ProcessId {
        boot_id: values.text.clone(),
        pid_ns: values.number,
        pid: values.small,
        start_time: values.number,
    }
}

pub(crate) fn usage(values: &Values) -> Usage {
    Usage {
        turns: Some(values.number),
        input_tokens: None,
        output_tokens: Some(values.number),
        cost_usd: Some(values.cost),
    }
}

fn of_the_agent(values: &Values) -> Vec<EventBody> {
    let text = || values.text.clone();
    let plan = SessionPlan::Resume(row(values));
    let full = TaskSpec {
        agent: Some(text()),
        issue_number: Some(i64::from(values.small)),
        links: Links {
            retry_of: Some(id("t0")),
            ..Links::default()
        },
        ..spec("t1", "k", plan)
    };
    vec![
        EventBody::Admitted { spec: full },
        EventBody::Claimed {
            shim: process(values),
        },
        EventBody::Started {
            agent: process(values),
            program: text(),
        },
        EventBody::SpawnFailed {
            stage: SpawnStage::Exec,
            errno: values.small,
            path: text(),
        },
        EventBody::NeverStarted { detail: text() },
        EventBody::Adopted {
            shim: process(values),
        },
        EventBody::FirstOutput {},
        EventBody::ModelSeen { model: text() },
        EventBody::Result(ResultRecord {
            at: Timestamp(values.at),
            success: values.small > 0,
            text: Some(text()),
            truncated: false,
            usage: usage(values),
        }),
        EventBody::ProviderFailed {
            error: ProviderError::Transient,
            detail: text(),
        },
        EventBody::UsageSeen {
            usage: usage(values),
        },
        EventBody::Alarm {
            kind: AlarmKind::JournalFull,
            detail: text(),
        },
        EventBody::Finished {
            output_bytes: (values.number, 1),
            gap_bytes: (0, values.number),
        },
        EventBody::SupervisorStarted {
            pid: values.small,
            version: text(),
            boot_id: text(),
        },
        EventBody::SupervisorStopped {
            pid: values.small,
            left_running: values.number,
        },
    ]
}

fn row(values: &Values) -> SessionRow {
    SessionRow {
        key: key("k"),
        provider: provider("claude"),
        session_id: session("s1"),
        task_id: id("t0"),
        state: SessionState::Quarantined,
        quarantine_reason: Some(values.text.clone()),
        last_used_at: Timestamp(values.at),
        totals: usage(values),
    }
}

fn of_sessions(values: &Values) -> Vec<EventBody> {
    let (key, provider, session_id) = (key("k"), provider("claude"), session("s1"));
    vec![
        EventBody::SessionBound {
            key: key.clone(),
            provider: provider.clone(),
            session_id: session_id.clone(),
            how: BindKind::Confirmed,
        },
        EventBody::SessionResumable {
            key: key.clone(),
            provider: provider.clone(),
            session_id: session_id.clone(),
            totals: usage(values),
        },
        EventBody::SessionQuarantined {
            key: key.clone(),
            provider: provider.clone(),
            session_id: session_id.clone(),
            reason: values.text.clone(),
            totals: Some(usage(values)),
        },
        EventBody::SessionReleased {
            key: key.clone(),
            provider: provider.clone(),
            session_id: session_id.clone(),
            by: requester(),
        },
        EventBody::SessionRestored { row: row(values) },
        EventBody::SessionRemoved {
            key,
            provider,
            session_id,
        },
    ]
}

fn of_the_stop(values: &Values) -> Vec<EventBody> {
    let intent_id = values.number;
    vec![
        EventBody::StopRequested {
            intent_id,
            reason: StopReason::IdleTimeout,
            requested_by: requester(),
            note: Some(values.text.clone()),
            grace_ms: values.number,
            joined: false,
        },
        EventBody::StopJournalled { intent_id },
        EventBody::StopSuperseded {
            intent_id,
            by: SupersededBy::Zombie,
        },
        EventBody::Signalled {
            intent_id: Some(intent_id),
            signal: 15,
            target: Target::Tree(3),
            by: SignalledBy::Shim,
        },
        EventBody::SignalSeen {
            signal: 15,
            sender: SenderRecord {
                pid: values.small,
                uid: 7,
                comm: Some(values.text.clone()),
                exe: None,
            },
        },
    ]
}

fn of_the_end(values: &Values) -> Vec<EventBody> {
    let survivor = Survivor {
        pid: values.small,
        start_time: 9,
        comm: values.text.clone(),
    };
    vec![
        EventBody::Exited {
            exit: Exit::Signaled {
                signal: 9,
                core: true,
            },
        },
        EventBody::Swept {
            sweep: SweepRecord {
                at: Timestamp(values.at),
                empty: false,
                swept: 2,
                survivors: vec![survivor.clone()],
                marker_only: true,
            },
            by: SignalledBy::Supervisor,
        },
        EventBody::ShimLost {},
        EventBody::HostRebooted {
            detail: values.text.clone(),
        },
        EventBody::Ended(Ending {
            exit: Some(Exit::Unknown {
                why: values.text.clone(),
            }),
            usage: usage(values),
            intents: vec![(values.number, IntentOutcome::Moot)],
            survivors: vec![survivor],
            ..ending(Status::Interrupted, ArchiveReason::ShimLost, values.at)
        }),
    ]
}
