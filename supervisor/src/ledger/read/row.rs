//! One task's row.

use protocol::shim::{ResultRecord, Usage};
use protocol::view::Links;
use protocol::vocab::SignalName;
use protocol::{
    ArchiveReason, Basis, Exit, FinishedBasis, Key, ProviderName, SessionId, Status, TaskId,
    Timestamp,
};
use rusqlite::Row;

use super::Reader;
use super::fields::{Fields, bad};
use crate::ledger::LedgerError;

/// One row of `task_history`, with the result that it points to.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRow {
    /// Its id.
    pub id: TaskId,
    /// Its conversation.
    pub key: Key,
    /// The kind of agent.
    pub provider: ProviderName,
    /// The repository.
    pub repo: Option<String>,
    /// The issue.
    pub issue_number: Option<i64>,
    /// On whose behalf.
    pub user: Option<String>,
    /// The caller's word for the agent.
    pub agent: Option<String>,
    /// The caller's word for the kind of work.
    pub agent_type: Option<String>,
    /// The model asked for, or the one that was reported.
    pub model: Option<String>,
    /// A name for people.
    pub name: Option<String>,
    /// What became of it.
    pub status: Status,
    /// When it began to wait.
    pub queued_at: Option<Timestamp>,
    /// When it became `running`.
    pub started_at: Option<Timestamp>,
    /// When its end was established.
    pub finished_at: Option<Timestamp>,
    /// How well that is known.
    pub finished_basis: Option<FinishedBasis>,
    /// When it was last known to be alive.
    pub last_seen_at: Option<Timestamp>,
    /// Why it ended.
    pub reason: Option<ArchiveReason>,
    /// How that is known.
    pub basis: Option<Basis>,
    /// By whom it was ended.
    pub ended_by: Option<String>,
    /// How its process ended.
    pub exit: Option<Exit>,
    /// Its conversation's id.
    pub session_id: Option<SessionId>,
    /// The session that it resumed.
    pub resumed: Option<SessionId>,
    /// Its own figures.
    pub usage: Usage,
    /// Related tasks.
    pub links: Links,
    /// The operator hid it.
    pub archived: bool,
    /// Who did.
    pub archived_by: Option<String>,
    /// When.
    pub archived_at: Option<Timestamp>,
    /// Counts its changes.
    pub version: u64,
    /// The provider's own result.
    pub result: Option<ResultRecord>,
}

/// What [`task_row`] reads, in order; needs [`FROM`].
pub(super) const COLUMNS: &str = "t.id, t.key, t.provider, t.repo, t.issue_number, t.user, \
    t.agent, t.agent_type, t.model, t.name, t.status, t.queued_at, t.started_at, t.finished_at, \
    t.finished_basis, t.last_seen_at, t.archive_reason, t.archive_basis, t.ended_by, t.exit_kind, \
    t.exit_code, t.exit_signal, t.exit_core, t.exit_why, t.session_id, t.resumed_session_id, \
    t.turns, t.input_tokens, t.output_tokens, t.cost_usd, t.retry_of, t.fresh_after, \
    t.reopened_from, t.archived, t.archived_by, t.archived_at, t.version, result.payload";

/// The tables that [`COLUMNS`] come from.
pub(super) const FROM: &str =
    "task_history t LEFT JOIN agent_run_event result ON result.seq = t.result_seq";

impl Reader<'_> {
    /// The row of `id`.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn task_row(&self, id: &TaskId) -> Result<Option<TaskRow>, LedgerError> {
        let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE t.id = ?1");
        self.first("read a task's row", &sql, [id.as_str()], task_row)
    }
}

pub(super) fn task_row(row: &Row<'_>) -> rusqlite::Result<TaskRow> {
    let mut fields = Fields::of(row);
    let task = |text: &str| TaskId::new(text).ok();
    let session = |text: &str| SessionId::new(text).ok();
    Ok(TaskRow {
        id: fields.checked(task)?.ok_or_else(|| bad("id"))?,
        key: fields
            .checked(|text| Key::new(text).ok())?
            .ok_or_else(|| bad("key"))?,
        provider: fields
            .checked(|text| ProviderName::new(text).ok())?
            .ok_or_else(|| bad("provider"))?,
        repo: fields.next()?,
        issue_number: fields.next()?,
        user: fields.next()?,
        agent: fields.next()?,
        agent_type: fields.next()?,
        model: fields.next()?,
        name: fields.next()?,
        status: fields
            .checked(Status::parse)?
            .ok_or_else(|| bad("status"))?,
        queued_at: fields.time()?,
        started_at: fields.time()?,
        finished_at: fields.time()?,
        finished_basis: fields.checked(FinishedBasis::parse)?,
        last_seen_at: fields.time()?,
        reason: fields.checked(ArchiveReason::parse)?,
        basis: fields.checked(Basis::parse)?,
        ended_by: fields.next()?,
        exit: exit(&mut fields)?,
        session_id: fields.checked(session)?,
        resumed: fields.checked(session)?,
        usage: usage(&mut fields)?,
        links: Links {
            retry_of: fields.checked(task)?,
            fresh_after: fields.checked(task)?,
            reopened_from: fields.checked(task)?,
        },
        archived: fields.next()?,
        archived_by: fields.next()?,
        archived_at: fields.time()?,
        version: fields.count()?.unwrap_or(0),
        result: fields.checked(|text| serde_json::from_str(text).ok())?,
    })
}

fn exit(fields: &mut Fields<'_, '_>) -> rusqlite::Result<Option<Exit>> {
    let kind: Option<String> = fields.next()?;
    let code: Option<i32> = fields.next()?;
    let signal = fields.checked(SignalName::parse)?;
    let core: Option<bool> = fields.next()?;
    let why: Option<String> = fields.next()?;
    match (kind.as_deref(), code, signal) {
        (None, _, _) => Ok(None),
        (Some("exited"), Some(code), _) => Ok(Some(Exit::Exited { code })),
        (Some("signaled"), _, Some(signal)) => Ok(Some(Exit::Signaled {
            signal,
            core: core.unwrap_or(false),
        })),
        (Some("unknown"), _, _) => Ok(Some(Exit::Unknown {
            why: why.unwrap_or_default(),
        })),
        (Some(other), _, _) => Err(bad(other)),
    }
}

fn usage(fields: &mut Fields<'_, '_>) -> rusqlite::Result<Usage> {
    Ok(Usage {
        turns: fields.count()?,
        input_tokens: fields.count()?,
        output_tokens: fields.count()?,
        cost_usd: fields.next()?,
    })
}
