//! Sessions: which one a task takes part in (R6, R7), and what is left of it.

use alloc::format;
use alloc::string::{String, ToString};

use protocol::control::{ErrorBody, ErrorCode, SessionAct, SessionChoice};
use protocol::shim::Usage;
use protocol::view::Requester;
use protocol::vocab::SessionState;
use protocol::{Key, ProviderName, SessionId, TaskId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::event::EventBody;
use crate::spec::SessionPlan;

/// One row of `agent_sessions`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionRow {
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
    /// The figures of the whole conversation, as the provider printed them.
    pub totals: Usage,
    /// That this task has no row is as it should be; none where it has one, or should
    /// have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_task: Option<WithoutTask>,
}

/// A session whose task's row is gone: retention took it, or it was missing when the
/// operator spoke.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithoutTask {
    /// The user that the task ran as; none for the supervisor's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_as: Option<String>,
}

/// A session that a task of its key does not go on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// The conversation.
    pub key: Key,
    /// The provider.
    pub provider: ProviderName,
    /// Its id.
    pub session_id: SessionId,
    /// Why, in words.
    pub detail: String,
}

/// A conversation that a task goes on with although it was not told to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    /// The task's key.
    pub key: Key,
    /// The provider.
    pub provider: ProviderName,
    /// Its id.
    pub session_id: SessionId,
    /// The figures of the whole conversation before, as the provider printed them.
    pub totals: Usage,
}

/// What is known when a task's session is chosen.
#[derive(Clone, Debug)]
pub struct SessionQuestion<'a> {
    /// The caller's wish.
    pub choice: &'a SessionChoice,
    /// The task's key.
    pub key: &'a Key,
    /// The task's provider.
    pub provider: &'a ProviderName,
    /// The provider can resume.
    pub can_resume: bool,
    /// An id for a new session, where the provider takes one.
    pub fresh_id: Option<SessionId>,
    /// The newest session of key and provider.
    pub newest: Option<&'a SessionRow>,
    /// The session that the wish names, of this provider or else of any.
    pub named: Option<&'a SessionRow>,
    /// Quarantine is overridden.
    pub override_quarantine: bool,
    /// The last task of the session in question ran as another user than this
    /// one: both, in words. What a CLI keeps of a conversation is in the home
    /// folder of its user.
    pub other_user: Option<String>,
}

/// Which session, and what the user should know about it.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionAnswer {
    /// The plan.
    pub plan: SessionPlan,
    /// In words; goes to the log and to the caller.
    pub warning: Option<String>,
}

/// Chooses the session of a new task.
///
/// # Errors
/// A refusal in words, for a wish that cannot be met. A wish for «the newest
/// one» never fails: it falls back to a fresh session, with a warning.
pub fn choose(question: &SessionQuestion<'_>) -> Result<SessionAnswer, ErrorBody> {
    match question.choice {
        SessionChoice::Auto => Ok(newest_or_fresh(question)),
        SessionChoice::Fresh => Ok(fresh(question, None)),
        SessionChoice::Chosen(id) => chosen(question, id),
        SessionChoice::Resume(id) => named(question, id),
    }
}

fn fresh(question: &SessionQuestion<'_>, warning: Option<String>) -> SessionAnswer {
    let plan = match &question.fresh_id {
        Some(id) => SessionPlan::Chosen(id.clone()),
        None => SessionPlan::Fresh,
    };
    SessionAnswer { plan, warning }
}

fn newest_or_fresh(question: &SessionQuestion<'_>) -> SessionAnswer {
    let Some(row) = question.newest else {
        return fresh(question, None);
    };
    if !question.can_resume {
        return fresh(question, None);
    }
    let may = match row.state {
        SessionState::Resumable => true,
        SessionState::Quarantined => question.override_quarantine,
        SessionState::Live => false,
    };
    if may {
        return match &question.other_user {
            Some(users) if !question.override_quarantine => {
                let warning = format!(
                    "session {} of key {} is another user's ({users}); starting fresh, \
                     resume=<none>",
                    row.session_id, row.key
                );
                fresh(question, Some(warning))
            }
            Some(_) | None => SessionAnswer {
                plan: SessionPlan::Resume(row.clone()),
                warning: None,
            },
        };
    }
    let warning = match row.state {
        SessionState::Live => format!(
            "session {} of key {} is in use by task {}; starting fresh, resume=<none>",
            row.session_id, row.key, row.task_id
        ),
        SessionState::Quarantined | SessionState::Resumable => {
            let why = row.quarantine_reason.as_deref().unwrap_or("unknown");
            format!(
                "session {} of key {} is quarantined ({why}); starting fresh, resume=<none> \
                 (`agentctl sessions release {}` allows it again)",
                row.session_id, row.key, row.key
            )
        }
    };
    fresh(question, Some(warning))
}

fn chosen(question: &SessionQuestion<'_>, id: &SessionId) -> Result<SessionAnswer, ErrorBody> {
    if question.fresh_id.is_none() {
        return Err(ErrorBody::new(
            ErrorCode::Usage,
            format!(
                "provider {} chooses its session ids itself",
                question.provider
            ),
        )
        .with_hint("leave out --session-id"));
    }
    if let Some(row) = question.named {
        return Err(ErrorBody::new(
            ErrorCode::SessionRefused,
            format!(
                "session {id} exists already: key {}, task {}",
                row.key, row.task_id
            ),
        )
        .with_hint(format!(
            "`--resume {id}` continues it; or choose another id"
        )));
    }
    Ok(SessionAnswer {
        plan: SessionPlan::Chosen(id.clone()),
        warning: None,
    })
}

fn named(question: &SessionQuestion<'_>, id: &SessionId) -> Result<SessionAnswer, ErrorBody> {
    let refused = |message: String| ErrorBody::new(ErrorCode::SessionRefused, message);
    if !question.can_resume {
        return Err(ErrorBody::new(
            ErrorCode::Usage,
            format!("provider {} cannot resume a session", question.provider),
        ));
    }
    let Some(row) = question.named else {
        return Err(
            ErrorBody::new(ErrorCode::NotFound, format!("no session {id} is known"))
                .with_hint("`agentctl sessions` lists the known ones"),
        );
    };
    if row.provider != *question.provider || row.key != *question.key {
        return Err(refused(format!(
            "session {id} belongs to key {} of provider {}, not to key {} of provider {}",
            row.key, row.provider, question.key, question.provider
        ))
        .with_hint(format!("`--key {} --provider {}`", row.key, row.provider)));
    }
    match row.state {
        SessionState::Live => Err(refused(format!(
            "session {id} is in use by the live task {}",
            row.task_id
        ))),
        SessionState::Quarantined if !question.override_quarantine => {
            let why = row.quarantine_reason.as_deref().unwrap_or("unknown");
            Err(
                refused(format!("session {id} is quarantined: {why}")).with_hint(format!(
                    "`agentctl sessions release {} --session-id {id}` allows it again",
                    row.key
                )),
            )
        }
        SessionState::Quarantined | SessionState::Resumable => match &question.other_user {
            Some(users) if !question.override_quarantine => Err(refused(format!(
                "session {id} is another user's: {users}"
            ))
            .with_hint(
                "resume it with the same --as as before, or, where both users share its files, \
                 with --unsafe-resume",
            )),
            Some(_) | None => Ok(SessionAnswer {
                plan: SessionPlan::Resume(row.clone()),
                warning: None,
            }),
        },
    }
}

/// The operator's word on a session, as an event; none if it is so already.
///
/// # Errors
/// A refusal in words while a live task uses the session.
pub fn operator_change(
    row: &SessionRow,
    act: SessionAct,
    by: Requester,
) -> Result<Option<EventBody>, ErrorBody> {
    let (key, provider, session_id) = (
        row.key.clone(),
        row.provider.clone(),
        row.session_id.clone(),
    );
    match (row.state, act) {
        // No word on a session.
        (_, SessionAct::ReleaseKey) => Ok(None),
        (SessionState::Live, SessionAct::Release | SessionAct::Quarantine) => Err(ErrorBody::new(
            ErrorCode::Conflict,
            format!(
                "session {session_id} is in use by the live task {}",
                row.task_id
            ),
        )
        .with_hint(format!("`agentctl stop-session {}` first", row.task_id))),
        // Releasing a resumable one still makes it the newest of its key.
        (SessionState::Resumable | SessionState::Quarantined, SessionAct::Release) => {
            Ok(Some(EventBody::SessionReleased {
                key,
                provider,
                session_id,
                by,
            }))
        }
        (SessionState::Quarantined, SessionAct::Quarantine) => Ok(None),
        (SessionState::Resumable, SessionAct::Quarantine) => {
            let who = by
                .uid
                .map_or_else(|| "the operator".to_string(), |uid| format!("uid {uid}"));
            Ok(Some(EventBody::SessionQuarantined {
                key,
                provider,
                session_id,
                reason: format!("operator ({who})"),
                totals: None,
            }))
        }
    }
}
