//! Shims: attended, attached, lost.

use lifecycle::session::Joined;
use lifecycle::{Fact, Input, LinkKind};
use nix::errno::Errno;
use protocol::shim::{AlarmKind, Attach, FromShim, ProcessId, Record, RejectReason, ToShim, Usage};
use protocol::{SessionId, TaskId};
use std::io::ErrorKind;
use std::sync::Arc;
use sys::PidFd;

use sys::journal::{Entry, JournalError};

use super::claims;
use super::clock;
use super::core_loop::Core;
use super::live::ShimEnd;
use crate::ledger::LedgerError;
use crate::shim::{
    self, AttachRequest, Kinship, Link, LinkDown, LinkEnd, LinkSender, ShimGone, ShimMessage,
    SpawnedShim,
};

impl Core {
    /// A shim was spawned: its first link and its death are looked after. A
    /// shim that cannot be given its order ends by itself, without a claim.
    pub(super) fn attend(&mut self, id: &TaskId, spawned: SpawnedShim, start: &ToShim) {
        let Some(live) = self.tasks.get_mut(id) else {
            return;
        };
        live.shim_pid = Some(spawned.pid);
        live.presence.known = true;
        match Link::first(id.clone(), spawned.link, start) {
            Ok((link, sender)) => {
                live.presence.attached = true;
                live.link = Some(sender);
                self.jobs.spawn(link.run(self.inputs.clone()));
            }
            Err(error) => {
                tracing::error!(task = %id, %error, "the start order could not be sent to the shim");
            }
        }
        self.watch_shim(id.clone(), spawned.pidfd, Kinship::Child);
    }

    /// Waits for the end of a shim's process.
    pub(super) fn watch_shim(&mut self, id: TaskId, pidfd: PidFd, kinship: Kinship) {
        let pidfd = Arc::new(pidfd);
        if let Some(live) = self.tasks.get_mut(&id) {
            live.shim_end = ShimEnd::Watched;
            live.shim_fd = Some(pidfd.clone());
        }
        let inputs = self.inputs.clone();
        self.jobs.spawn(async move {
            let gone = shim::watch(id, pidfd, kinship).await;
            // Closed only when the supervisor leaves.
            let _ = inputs.send(gone.into()).await;
        });
    }

    /// A shim's message.
    pub(super) fn shim_said(&mut self, message: ShimMessage) {
        let ShimMessage {
            task_id,
            link_number,
            message,
        } = message;
        let Some(live) = self.tasks.get_mut(&task_id) else {
            return;
        };
        live.presence.last_seen = Some(clock::now());
        match message {
            FromShim::Record { number, record } => self.record(&task_id, number, record),
            FromShim::Progress(report) => {
                live.presence.note_progress(&report, clock::now());
                self.publish_progress(&task_id, &report);
                self.step(&task_id, Input::Fact(Fact::Progress(report)));
            }
            FromShim::Attach(_) => {
                tracing::warn!(task = %task_id, link_number, "a shim attached twice on one link; ignored");
            }
        }
    }

    /// A journal record, from the link or from the file.
    pub(super) fn record(&mut self, id: &TaskId, number: u64, record: Record) {
        let record = self.checked(id, record);
        let record = self.with_unused_intent(id, record);
        let shared = self.shared_session(id, &record);
        // First: whoever replays the record after a crash in between finds the same.
        if let Some(joined) = self.joined_session(id, &record) {
            self.step(id, Input::Fact(Fact::SessionJoined(joined)));
        }
        self.step(id, Input::Fact(Fact::Record { number, record }));
        if let Some(detail) = shared {
            tracing::warn!(task = %id, "{detail}");
            self.step(id, Input::Fact(Fact::SessionShared { detail }));
        }
    }

    /// The agent goes on, of its own accord, with a conversation that is in the ledger:
    /// its counters over all of it say what the tasks before have cost, too.
    fn joined_session(&self, id: &TaskId, record: &Record) -> Option<Joined> {
        let Record::SessionSeen { session_id, .. } = record else {
            return None;
        };
        let session_id = SessionId::new(session_id.clone()).ok()?;
        let task = &self.tasks.get(id)?.task;
        if task.ending.is_some() || task.session.as_ref() == Some(&session_id) {
            return None;
        }
        let provider = task.spec.provider.clone();
        let totals = match self.front.totals_of_session(&provider, &session_id, id) {
            Ok(known) => known?,
            Err(error) => {
                // Then no figure can be split, and none is told.
                tracing::warn!(task = %id, %session_id, %error, "what the session had cost before cannot be looked up");
                Usage::default()
            }
        };
        Some(Joined {
            key: task.spec.key.clone(),
            provider,
            session_id,
            totals,
        })
    }

    /// The agent goes on, of its own accord, with a conversation that another task is
    /// in: neither is stopped for it, and if one of them is cut off, no key resumes it.
    fn shared_session(&mut self, id: &TaskId, record: &Record) -> Option<String> {
        let Record::SessionSeen { session_id, .. } = record else {
            return None;
        };
        let told = SessionId::new(session_id.clone()).ok()?;
        let task = &self.tasks.get(id)?.task;
        if task.session.as_ref() == Some(&told) {
            return None;
        }
        let provider = task.spec.provider.clone();
        let other = self
            .live_user(&provider, &told, Some(id))
            .or_else(|| self.held.of_session(&provider, &told))?;
        Some(format!(
            "the agent reports session {told}, which task {other} is using: two agents in one \
             conversation"
        ))
    }

    /// A session id that the provider's rule refuses never reaches the core.
    fn checked(&self, id: &TaskId, record: Record) -> Record {
        let Record::SessionSeen { at, session_id, .. } = &record else {
            return record;
        };
        let provider = self.tasks.get(id).and_then(|live| self.provider_of(live));
        let fits = SessionId::new(session_id.clone())
            .is_ok_and(|id| provider.is_none_or(|provider| provider.accepts_session_id(&id)));
        if fits {
            self.warn_of_another(id, session_id);
            return record;
        }
        let detail =
            format!("the output names {session_id:?}, which is no session id of the provider");
        Record::Alarm {
            at: *at,
            kind: AlarmKind::InvalidSessionId,
            detail,
        }
    }

    /// A CLI that does not know the id that it was given may begin a new
    /// conversation and say nothing.
    fn warn_of_another(&self, id: &TaskId, told: &str) {
        let Some(spec) = self.tasks.get(id).map(|live| &live.task.spec) else {
            return;
        };
        if let Some(asked) = spec.session.known_id()
            && asked.as_str() != told
        {
            let key = &spec.key;
            tracing::warn!(task = %id, %key, %asked, told, "the agent works in another session than it was asked for: the key follows the new one, the other is quarantined");
        }
    }

    /// A link ended.
    pub(super) fn link_down(&mut self, down: &LinkDown) {
        let Some(live) = self.tasks.get_mut(&down.task_id) else {
            return;
        };
        if live.link.as_ref().map(LinkSender::number) != Some(down.link_number) {
            return;
        }
        if let LinkEnd::Broken(why) = &down.end {
            tracing::warn!(task = %down.task_id, why, "the link to a shim broke");
        }
        live.link = None;
        live.presence.attached = false;
        self.step(&down.task_id, Input::Fact(Fact::LinkDown));
    }

    /// A shim wants to be accepted on a later link. It is told what the ledger
    /// has, so what was heard on an earlier link is committed first. Of others it waits
    /// for nothing: after the start of a supervisor all come at once.
    pub(super) async fn attach(&mut self, request: AttachRequest) -> Result<(), LedgerError> {
        if self.is_unsettled_task(&request.attach.task_id) {
            self.flush_or_wait().await?;
        }
        let AttachRequest {
            attach,
            peer_pid,
            link,
            reply,
        } = request;
        let proven = self.is_proven(&attach);
        let id = attach.task_id;
        let decision = match self.tasks.get_mut(&id) {
            None => Err(self.why_not(&id).await?),
            Some(live) if proven => {
                live.presence
                    .note_output(attach.last_output_at, clock::now());
                live.link = Some(link);
                Ok(live.durable)
            }
            Some(_) => Err(RejectReason::NotYou),
        };
        if let Err(reason) = &decision {
            tracing::warn!(task = %id, ?reason, pid = peer_pid, "a shim was not accepted");
        }
        let accepted = decision.is_ok();
        // It may have hung up; then its link goes down.
        let _ = reply.send(decision);
        if accepted {
            self.link_is_up(&id, attach.shim);
        }
        Ok(())
    }

    /// It knows the token, and is the shim that claimed.
    fn is_proven(&self, attach: &Attach) -> bool {
        let Some(live) = self.tasks.get(&attach.task_id) else {
            return false;
        };
        let claimed = match &live.task.shim {
            Some(shim) => *shim == attach.shim,
            None => claims::names(&self.service, &attach.task_id, &attach.shim),
        };
        claimed && super::digest::of_token(&attach.token) == live.secret.token_hash
    }

    async fn why_not(&mut self, id: &TaskId) -> Result<RejectReason, LedgerError> {
        match self.ledger_view(id).await {
            Ok(Some(task)) if task.status.is_terminal() => Ok(RejectReason::Ended),
            Ok(Some(_) | None) => Ok(RejectReason::UnknownTask),
            Err(LedgerError::Read { operation, .. }) => {
                tracing::warn!(task = %id, operation, "its row cannot be read");
                Ok(RejectReason::UnknownTask)
            }
            Err(error) => Err(error),
        }
    }

    fn link_is_up(&mut self, id: &TaskId, shim: ProcessId) {
        let Some(live) = self.tasks.get_mut(id) else {
            return;
        };
        live.shim_pid = Some(shim.pid);
        live.presence.attached = true;
        live.presence.last_seen = Some(clock::now());
        let unwatched = live.shim_end == ShimEnd::Unwatched;
        let link = if live.presence.known {
            LinkKind::Again(shim.clone())
        } else {
            live.presence.known = true;
            self.adopted += 1;
            tracing::info!(task = %id, shim = shim.pid, "adopted");
            LinkKind::Adopted(shim.clone())
        };
        self.step(id, Input::Fact(Fact::LinkUp(link)));
        // What could not be seen of it before can be seen now.
        if unwatched {
            self.look_for_shim(id, &shim);
        }
    }

    /// A shim's process is gone.
    pub(super) fn shim_gone(&mut self, gone: &ShimGone) {
        let id = &gone.task_id;
        let Some(live) = self.tasks.get_mut(id) else {
            // It may have been killed while it cleaned up behind its last word.
            self.clear_temp(id);
            return;
        };
        live.link = None;
        live.presence.attached = false;
        live.shim_end = ShimEnd::Seen;
        self.shim_is_dead(id);
    }

    /// Feeds what the journal has and the ledger has not.
    pub(super) fn read_journal(&mut self, id: &TaskId) -> Replayed {
        let Some(live) = self.tasks.get(id) else {
            return Replayed::All;
        };
        let path = self.service.folders.journal(id);
        match sys::journal::read_from(&path, live.task.journal) {
            Ok(replay) => {
                if let sys::journal::End::Torn { at_byte } = replay.end {
                    tracing::warn!(task = %id, at_byte, "the journal ends in a torn record; what precedes it is used");
                }
                for Entry { number, record } in replay.entries {
                    match record {
                        Some(record) => self.record(id, number, record),
                        None => {
                            tracing::warn!(task = %id, number, "a journal record of an unknown type was skipped")
                        }
                    }
                }
            }
            Err(JournalError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            Err(JournalError::Io { source, .. }) if is_for_now(&source) => {
                tracing::error!(task = %id, error = %source, "the journal cannot be read now");
                return Replayed::NotNow;
            }
            Err(error) => tracing::warn!(task = %id, %error, "the journal cannot be read"),
        }
        Replayed::All
    }

    /// The shim is proven dead. What its journal still holds comes first: what
    /// now?
    pub(super) fn shim_is_dead(&mut self, id: &TaskId) {
        match self.read_journal(id) {
            Replayed::All => {}
            Replayed::NotNow => return self.look_later(id),
        }
        let Some(live) = self.tasks.get(id) else {
            return;
        };
        if live.task.ending.is_some() {
            return;
        }
        if live.task.shim.is_some() {
            self.look_at_memory(id);
            self.step(id, Input::Fact(Fact::ShimGone));
        } else {
            // It may have died before its claim: then it never started anything.
            self.claim_against_shims(
                id,
                "the shim ended before it had claimed the task".to_string(),
            );
        }
    }
}

/// How far a journal was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replayed {
    /// As far as it ever can be.
    All,
    /// Not at all, for a reason that passes.
    NotNow,
}

/// The system lacks something that it will have again. What is concluded from
/// a journal that was not read would be wrong for ever.
fn is_for_now(error: &std::io::Error) -> bool {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
    matches!(
        errno,
        Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN | Errno::EINTR
    )
}
