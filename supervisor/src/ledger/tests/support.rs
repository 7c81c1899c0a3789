//! A ledger in a folder of its own, and events to feed it.

use std::path::PathBuf;

use lifecycle::event::{BindKind, Ending};
use lifecycle::{Event, EventBody, Limits, Policy, SessionPlan, TaskSpec};
use protocol::control::OnNotFound;
use protocol::shim::Usage;
use protocol::view::{Ancestor, EventView, Links, Requester};
use protocol::vocab::Via;
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
        on_not_found: OnNotFound::Fresh,
        limits: Limits::default(),
        policy: Policy::default(),
        links: Links::default(),
        run_as: None,
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

pub(crate) fn queued(task: &str, of_key: &str, ms: i64) -> Event {
    let spec = spec(task, of_key, SessionPlan::Undecided);
    at(Some(task), ms, EventBody::Queued { spec })
}

/// A second one of them is no event of an ended task.
pub(crate) fn makes_a_row(body: &EventBody) -> bool {
    matches!(body, EventBody::Admitted { .. } | EventBody::Queued { .. })
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
