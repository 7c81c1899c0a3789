//! `settled`: the terminal row, its intents, its session's state and its events,
//! as JSON.

use std::fs;
use std::io;
use std::path::Path;

use lifecycle::{Event, EventBody};
use protocol::vocab::SessionState;
use protocol::{Key, ProviderName, SessionId, TaskId, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use sys::{atomic_file, hook};

use super::FolderError;

/// What a rebuild of the ledger takes from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// The task's events, in order; none in files of early versions. One that
    /// this program does not know is left out, as it is in a ledger.
    pub events: Vec<Event>,
    /// Its session's row.
    pub sessions: Vec<KeptSession>,
}

impl Settled {
    /// Does it tell of the task's end, which is kept once it is committed?
    #[must_use]
    pub fn tells_of_an_end(&self) -> bool {
        let is_end = |event: &Event| matches!(event.body, EventBody::Ended(_));
        self.events.iter().any(is_end)
    }
}

/// A session's row, as far as the operator's word may have changed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSession {
    /// The conversation.
    pub key: Key,
    /// The provider.
    pub provider: ProviderName,
    /// Its id.
    pub session_id: SessionId,
    /// The task that used it last.
    pub task_id: TaskId,
    /// May it be resumed?
    pub state: SessionState,
    /// Why not.
    pub quarantine_reason: Option<String>,
    /// The newest of key and provider is the one that counts.
    pub last_used_at: Timestamp,
}

#[derive(Deserialize)]
struct Form {
    #[serde(default)]
    agent_sessions: Vec<Value>,
    #[serde(default)]
    events: Vec<Value>,
}

/// Does the file say this? One that cannot be read does not.
pub(super) fn is(path: &Path, rows: &str) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes == rows.as_bytes())
}

pub(super) fn write(path: &Path, rows: &str) -> Result<(), FolderError> {
    match atomic_file::write(path, rows.as_bytes(), &hook::SUP_SETTLED_WRITE) {
        // Retention took the folder meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        written => written.map_err(FolderError::io("write", path)),
    }
}

/// A file that is no JSON was cut off by a power cut: it counts as none.
pub(super) fn read(path: &Path) -> Result<Option<Settled>, FolderError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FolderError::io("read", path)(error)),
    };
    let Ok(form) = serde_json::from_slice::<Form>(&bytes) else {
        return Ok(None);
    };
    let events = form.events.into_iter();
    Ok(Some(Settled {
        events: events
            .filter_map(|event| serde_json::from_value(event).ok())
            .collect(),
        sessions: form.agent_sessions.iter().filter_map(session).collect(),
    }))
}

fn session(row: &Value) -> Option<KeptSession> {
    let text = |name: &str| row.get(name)?.as_str();
    Some(KeptSession {
        key: Key::new(text("key")?).ok()?,
        provider: ProviderName::new(text("provider")?).ok()?,
        session_id: SessionId::new(text("session_id")?).ok()?,
        task_id: TaskId::new(text("task_id")?).ok()?,
        state: SessionState::parse(text("state")?)?,
        quarantine_reason: text("quarantine_reason").map(ToOwned::to_owned),
        last_used_at: Timestamp::parse(text("last_used_at")?).ok()?,
    })
}
