//! Which session a start goes on with.

use lifecycle::session::{self, PassedOver, SessionAnswer, SessionQuestion};
use lifecycle::{Fact, Input, SessionRow};
use protocol::control::{ErrorBody, ErrorCode, OnNotFound, RunRequest, SessionChoice};
use protocol::vocab::SessionState;
use protocol::{Key, ProviderName, SessionId, TaskId};

use super::core_loop::Core;
use super::dispatch::Prepared;
use crate::ledger::AdmissionFacts;
use crate::provider::Provider;

impl Prepared {
    /// What its caller is told, if the key's newest session is not resumed.
    pub(super) fn passes_over(&mut self, warning: Option<String>, facts: &AdmissionFacts) {
        let newest = facts.newest_session.as_ref().zip(warning.clone());
        self.passed_over = newest.map(|(row, detail)| PassedOver {
            key: row.key.clone(),
            provider: row.provider.clone(),
            session_id: row.session_id.clone(),
            detail,
        });
        self.warnings.extend(warning);
    }
}

impl Core {
    /// Kept with the task, for whoever wonders later why it began afresh.
    pub(super) fn record_passed_over(&mut self, id: &TaskId, session: Option<PassedOver>) {
        if let Some(session) = session {
            self.step(id, Input::Fact(Fact::SessionPassedOver(session)));
        }
    }
}

/// As `given`, or else the usual: only the implicit resume of a key begins afresh by
/// itself. Whoever names the conversation means that one, and a prompt for it may be
/// dangerous in another.
pub(super) fn on_not_found(given: Option<OnNotFound>, request: &RunRequest) -> OnNotFound {
    given.unwrap_or(match request.session {
        SessionChoice::Resume(_) => OnNotFound::Fail,
        SessionChoice::Auto | SessionChoice::Fresh | SessionChoice::Chosen(_) => OnNotFound::Fresh,
    })
}

/// The session that a start may have, by the newest of its key and the one that
/// it names (R6).
pub(super) fn choose_session(
    request: &RunRequest,
    provider: &Provider,
    key: &Key,
    (newest, named): (Option<SessionRow>, Option<SessionRow>),
    other_user: impl FnOnce(Option<&SessionRow>) -> Option<String>,
) -> Result<SessionAnswer, ErrorBody> {
    let in_question = match &request.session {
        SessionChoice::Auto => newest.as_ref(),
        SessionChoice::Resume(_) => named.as_ref(),
        SessionChoice::Fresh | SessionChoice::Chosen(_) => None,
    };
    let other_user = other_user(in_question);
    let answer = session::choose(&SessionQuestion {
        choice: &request.session,
        key,
        provider: provider.name(),
        can_resume: provider.can_resume(),
        fresh_id: provider.fresh_session_id(),
        newest: newest.as_ref(),
        named: named.as_ref(),
        override_quarantine: request.unsafe_resume,
        other_user,
    })?;
    if let Some(id) = answer.plan.known_id() {
        check_session_id(provider, id)?;
    }
    Ok(answer)
}

/// A task that is to be replaced cannot be resumed by the one that replaces it: it
/// will have been cut off. Refused before anything is stopped.
pub(super) fn refuse_of_replaced(
    request: &RunRequest,
    named: Option<&SessionRow>,
    holder: Option<&TaskId>,
) -> Result<(), ErrorBody> {
    let (SessionChoice::Resume(id), Some(row), Some(holder)) = (&request.session, named, holder)
    else {
        return Ok(());
    };
    if row.task_id != *holder || row.state != SessionState::Quarantined || request.unsafe_resume {
        return Ok(());
    }
    let message = format!(
        "session {id} is in use by task {holder}, which would be cut off in the middle of it to \
         be replaced"
    );
    Err(
        ErrorBody::new(ErrorCode::SessionRefused, message).with_hint(
            "`--unsafe-resume` resumes it all the same; without --resume the new task begins \
             afresh; `--on-conflict queue` waits for the end",
        ),
    )
}

fn check_session_id(provider: &Provider, id: &SessionId) -> Result<(), ErrorBody> {
    if provider.accepts_session_id(id) {
        return Ok(());
    }
    let name: &ProviderName = provider.name();
    Err(ErrorBody::new(
        ErrorCode::Usage,
        format!("`{id}` is not a session id of provider {name}"),
    )
    .with_hint(format!("`agentctl providers show {name}` has the pattern")))
}
