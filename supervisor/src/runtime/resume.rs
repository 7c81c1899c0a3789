//! Which session a start goes on with.

use lifecycle::SessionRow;
use lifecycle::session::{self, SessionAnswer, SessionQuestion};
use protocol::control::{ErrorBody, ErrorCode, RunRequest, SessionChoice};
use protocol::{Key, ProviderName, SessionId};

use crate::provider::Provider;

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
