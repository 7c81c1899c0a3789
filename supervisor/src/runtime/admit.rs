//! Whether a dispatch is admitted.

use lifecycle::SessionRow;
use lifecycle::drain::Then;
use protocol::control::{ErrorBody, ErrorCode, RunRequest, SessionChoice};
use protocol::limits::MAX_TEXT_FIELD;
use protocol::view::Requester;
use protocol::vocab::SessionState;
use protocol::{ArchiveReason, Key, ProviderName, SessionId, TaskId};

use super::core_loop::Core;
use super::live::Live;
use super::replace::Dispatch;
use crate::ledger::{AdmissionFacts, LedgerError};
use crate::provider::Provider;

/// How much of a bad value is shown.
const SHOWN_CHARS: usize = 64;

/// What became of a dispatch that was not refused.
pub(super) enum Admitted {
    New {
        id: TaskId,
        warnings: Vec<String>,
    },
    Known(TaskId),
    /// All is well, but for a live task with this key, which gives way to it.
    InTheWay {
        holder: TaskId,
        by: Requester,
    },
}

impl Core {
    /// A refusal, the task that has this id already, the one that has to go
    /// first, or a new one in the batch.
    pub(super) async fn admit(
        &mut self,
        dispatch: &Dispatch,
    ) -> Result<Result<Admitted, ErrorBody>, LedgerError> {
        let request = &dispatch.request;
        let digest = super::digest::of_dispatch(
            request,
            dispatch.on_not_found,
            dispatch.memory_bytes,
            dispatch.max_cost_micros,
            dispatch.account.as_ref().map(|it| it.user.name.as_str()),
        );
        self.look_at_providers();
        let (provider, key) = match self.identify(request) {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let named = match &request.session {
            SessionChoice::Chosen(id) | SessionChoice::Resume(id) => Some(id.clone()),
            SessionChoice::Auto | SessionChoice::Fresh => None,
        };
        // A session that is named may be any key's. What waits to be recorded may be
        // about this one.
        if self.unsaved.waits()
            && let Some(refusal) = super::dispatch::refuse_without_room(&self.ledger).await?
        {
            return Ok(Err(refusal));
        }
        if named.is_some() || key.as_ref().is_some_and(|key| self.is_unsettled(key)) {
            self.flush().await?;
        }
        let name = provider.name();
        let look = |core: &Self| {
            let front = &core.front;
            front.admission_facts(&request.id, key.as_ref(), name, named.as_ref())
        };
        let mut facts = look(self)?;
        // Another key's task may just have ended in the same conversation.
        let newest = facts.newest_session.as_ref();
        if newest.is_some_and(|row| self.is_unsettled_session(&row.session_id)) {
            self.flush().await?;
            facts = look(self)?;
        }
        if let Some(known) = self.known_digest(&request.id, &facts) {
            return Ok(same_or_conflict(&request.id, &known, &digest));
        }
        if facts.pruned {
            return Ok(Err(pruned(&request.id)));
        }
        if let Err(refusal) = self.refuse_while_draining() {
            return Ok(Err(refusal));
        }
        if let Err(refusal) = self.refuse_limit(dispatch.memory_bytes) {
            return Ok(Err(refusal));
        }
        if let Some(refusal) = super::dispatch::refuse_without_room(&self.ledger).await? {
            return Ok(Err(refusal));
        }
        Ok(self
            .prepare(dispatch, &provider, key, &facts, digest)
            .and_then(|it| self.commit_to(it)))
    }

    /// The provider and the key that a request names.
    fn identify(
        &self,
        request: &RunRequest,
    ) -> Result<(std::sync::Arc<Provider>, Option<Key>), ErrorBody> {
        let cwd = Some(request.cwd.clone()).filter(|cwd| !cwd.is_empty());
        check_texts(&[
            ("cwd", &cwd),
            ("model", &request.model),
            ("name", &request.name),
            ("agent", &request.agent),
            ("agent type", &request.agent_type),
            ("repo", &request.repo),
            ("user", &request.user),
        ])?;
        let provider = self
            .service
            .provider_of(self.providers.registry(), request)?;
        let key = match &request.key {
            Some(text) => Some(Key::new(text.clone()).map_err(|bad| {
                let shown: String = text.chars().take(SHOWN_CHARS).collect();
                ErrorBody::new(ErrorCode::Usage, format!("invalid key {shown:?}: {bad}"))
            })?),
            None => match &request.session {
                SessionChoice::Resume(_) => None,
                SessionChoice::Auto | SessionChoice::Fresh | SessionChoice::Chosen(_) => {
                    Some(Key::from(&request.id))
                }
            },
        };
        Ok((provider, key))
    }

    /// No new work while the supervisor goes away, or drains.
    pub(super) fn refuse_while_draining(&self) -> Result<(), ErrorBody> {
        if self.leaving || !self.drains.admits() {
            return Err(match self.drains.then() {
                Some(Then::Stay) => ErrorBody::new(ErrorCode::Draining, "the supervisor drains")
                    .with_hint("`agentctl drain --cancel` calls it off"),
                Some(Then::Leave) | None => {
                    ErrorBody::new(ErrorCode::Draining, "the supervisor is going away")
                        .with_hint("try again when it is back")
                }
            });
        }
        Ok(())
    }

    fn known_digest(&self, id: &TaskId, facts: &AdmissionFacts) -> Option<String> {
        let live = self
            .tasks
            .get(id)
            .map(|live| live.secret.spec_digest.clone());
        live.or_else(|| facts.known_digest.clone())
    }

    /// A session's row as it counts for an admission: whatever it says, it is in
    /// use while a live task has it, or something lives on of an ended one; and
    /// that of a task which is stopped to be replaced will be quarantined.
    pub(super) fn as_used(
        &mut self,
        row: Option<SessionRow>,
        gives_way: Option<&TaskId>,
    ) -> Option<SessionRow> {
        let mut row = row?;
        let user = match self.live_user(&row.provider, &row.session_id, None) {
            Some(user) => Some(user),
            None => self.held.of_session(&row.provider, &row.session_id),
        };
        if let Some(user) = user {
            let leaves = gives_way == Some(&user);
            row.task_id = user;
            if leaves {
                row.state = SessionState::Quarantined;
                row.quarantine_reason = Some(ArchiveReason::SupersededByTask.to_string());
            } else {
                row.state = SessionState::Live;
                row.quarantine_reason = None;
            }
        }
        Some(row)
    }
}

impl Core {
    /// The live task, other than `but`, that uses a session, under whichever key.
    pub(super) fn live_user(
        &self,
        provider: &ProviderName,
        session: &SessionId,
        but: Option<&TaskId>,
    ) -> Option<TaskId> {
        let has = |live: &Live| {
            live.task.spec.provider == *provider
                && live.task.session.as_ref() == Some(session)
                && Some(live.task.id()) != but
        };
        let found = self.tasks.values().find(|live| has(live));
        found.map(|live| live.task.id().clone())
    }
}

fn same_or_conflict(id: &TaskId, known: &str, digest: &str) -> Result<Admitted, ErrorBody> {
    if known == digest {
        Ok(Admitted::Known(id.clone()))
    } else {
        Err(ErrorBody::new(
            ErrorCode::IdConflict,
            format!("task {id} exists and was dispatched with other options"),
        )
        .with_hint("choose another --id, or repeat the dispatch exactly"))
    }
}

/// A repeated dispatch must not start anything, and whether it is one cannot be
/// told any more.
fn pruned(id: &TaskId) -> ErrorBody {
    ErrorBody::new(
        ErrorCode::IdConflict,
        format!("task {id} was pruned, and the event log still tells of it: nothing was started"),
    )
    .with_hint("choose another --id")
}

/// Short texts of a caller: something, and not too much of it.
pub(super) fn check_texts(texts: &[(&str, &Option<String>)]) -> Result<(), ErrorBody> {
    for (what, text) in texts {
        let problem = match text {
            Some(text) if text.is_empty() => "it is empty; leave the option out".to_owned(),
            Some(text) if text.len() > MAX_TEXT_FIELD => format!(
                "it has {} bytes, and {MAX_TEXT_FIELD} are allowed",
                text.len()
            ),
            // Whoever reads the ledger with another program would see half of it.
            Some(text) if text.contains('\0') => "it has a NUL byte in it".to_owned(),
            Some(_) | None => continue,
        };
        let message = format!("invalid {what}: {problem}");
        return Err(ErrorBody::new(ErrorCode::Usage, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_are_short_and_not_empty() {
        let check = |text: &str| {
            let refusal = check_texts(&[("user", &None), ("name", &Some(text.to_owned()))]);
            refusal.map_err(|refusal| refusal.message)
        };
        assert_eq!(check(&"n".repeat(MAX_TEXT_FIELD)), Ok(()));
        assert_eq!(
            check(""),
            Err("invalid name: it is empty; leave the option out".to_owned())
        );
        assert_eq!(
            check(&"n".repeat(MAX_TEXT_FIELD + 1)),
            Err("invalid name: it has 4097 bytes, and 4096 are allowed".to_owned())
        );
        assert_eq!(
            check("a\0b"),
            Err("invalid name: it has a NUL byte in it".to_owned())
        );
    }
}
