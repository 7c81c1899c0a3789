//! One group of inputs: what has to be committed, and what may be done then.

use std::collections::HashSet;
use std::pin::Pin;
use std::time::{Duration, Instant};

use lifecycle::{Action, Effects, Event, EventBody};
use protocol::control::{ErrorBody, Response};
use protocol::view::StopResult;
use protocol::{Key, SessionId, TaskId};
use tokio::sync::oneshot;

use crate::control::ReplySender;
use crate::ledger::TaskSecret;
use crate::reply;

/// How long what nobody waits for may wait for more of its kind: after the start of a
/// supervisor a thousand shims come within half a second, and a commit for each two or
/// three of them is most of the work.
const LINGER: Duration = Duration::from_millis(5);

/// So many of them wait for no more.
const ENOUGH: usize = 256;

/// Work that must not begin before a commit.
pub(super) type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A request to stop, for which the answer waits.
pub(super) struct Stop {
    /// The live tasks that are meant.
    pub(super) ids: Vec<TaskId>,
    /// Of those that had ended before.
    pub(super) known: Vec<StopResult>,
    /// Of names that matched nothing.
    pub(super) failed: Vec<(String, ErrorBody)>,
    /// Whether it may be sent before it is recorded.
    pub(super) urgency: Urgency,
    /// Who asks.
    pub(super) reply: ReplySender,
    /// What to do once it is durable.
    pub(super) durable: Durable,
}

/// Whether a stop may be sent before it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Never.
    Orderly,
    /// Where nothing can be recorded.
    Forced,
}

/// What a stop is answered with once it is durable.
pub(super) enum Durable {
    /// With what is known now.
    Answer(Vec<StopResult>),
    /// When the tasks have ended. The job is let go of where somebody else answers.
    Wait(Job, oneshot::Sender<()>),
}

/// A caller whom a job answers, or, where nothing can be recorded, somebody before.
pub(super) struct Promised {
    /// The task that it is about.
    pub(super) id: TaskId,
    /// Who asks.
    pub(super) reply: ReplySender,
    /// Tells the job that its caller has an answer.
    pub(super) given: oneshot::Sender<()>,
}

/// The answer that a job owes.
pub(super) struct Owed {
    /// Who asks; nobody, once it was given.
    pub(super) reply: ReplySender,
    given: oneshot::Receiver<()>,
}

impl Owed {
    /// Waits for `told`. A caller who has the answer before is let go of.
    pub(super) async fn wait<T>(&mut self, mut told: oneshot::Receiver<T>) -> Option<T> {
        tokio::select! {
            biased;
            Ok(()) = &mut self.given => self.reply = reply::channel().0,
            told = &mut told => return told.ok(),
        }
        told.await.ok()
    }

    /// The same, for a job that only answers: none where nobody waits for that.
    pub(super) async fn only<T>(mut self, told: oneshot::Receiver<T>) -> Option<(T, ReplySender)> {
        let told = tokio::select! {
            biased;
            Ok(()) = &mut self.given => return None,
            told = told => told.ok()?,
            () = self.reply.closed() => return None,
        };
        Some((told, self.reply))
    }
}

/// Everything that one turn of the loop collects before its commit.
#[derive(Default)]
pub(super) struct Batch {
    /// To commit, in order.
    pub(super) events: Vec<Event>,
    /// Since when there are any.
    since: Option<Instant>,
    /// To commit with them.
    pub(super) secrets: Vec<TaskSecret>,
    /// To do afterwards.
    pub(super) actions: Vec<(TaskId, Action)>,
    /// To answer afterwards.
    pub(super) replies: Vec<(ReplySender, Response)>,
    /// To begin afterwards.
    pub(super) jobs: Vec<Job>,
    /// To answer afterwards, or, where they are forced, to act on at once.
    pub(super) stops: Vec<Stop>,
    /// Whom a job answers when what is committed here has come about.
    pub(super) promised: Vec<Promised>,
    /// Keys whose sessions these events change.
    touched: HashSet<Key>,
    /// Those sessions: other keys may have rows of them.
    touched_sessions: HashSet<SessionId>,
    /// Stops that are asked for in these events.
    intents: HashSet<u64>,
}

impl Batch {
    /// Takes what follows from an input of `task`.
    pub(super) fn take(&mut self, task: &TaskId, effects: Effects) {
        self.actions.extend(
            effects
                .actions
                .into_iter()
                .map(|action| (task.clone(), action)),
        );
        for event in effects.events {
            self.take_event(event);
        }
    }

    /// Takes one event.
    pub(super) fn take_event(&mut self, event: Event) {
        self.touched.extend(touched_key(&event.body));
        self.touched_sessions
            .extend(touched_session(&event.body).cloned());
        if let EventBody::StopRequested { intent_id, .. } = &event.body {
            self.intents.insert(*intent_id);
        }
        self.since.get_or_insert_with(Instant::now);
        self.events.push(event);
    }

    /// Until when its commit may wait, if it may: a shim that was taken over is served
    /// already, and nobody else waits for this.
    pub(super) fn lingers_until(&self) -> Option<Instant> {
        let is_alone = self.actions.is_empty()
            && self.replies.is_empty()
            && self.jobs.is_empty()
            && self.stops.is_empty()
            && self.promised.is_empty();
        let adopted = |event: &Event| matches!(event.body, EventBody::Adopted { .. });
        let may_wait = is_alone && self.events.len() < ENOUGH && self.events.iter().all(adopted);
        let until = self.since?.checked_add(LINGER)?;
        (may_wait && until > Instant::now()).then_some(until)
    }

    /// Answers `reply` with `response` once everything so far is durable.
    pub(super) fn answer(&mut self, reply: ReplySender, response: Response) {
        self.replies.push((reply, response));
    }

    /// Begins `job` once everything so far is durable: what it tells may rest
    /// on that.
    pub(super) fn later(&mut self, job: impl Future<Output = ()> + Send + 'static) {
        self.jobs.push(Box::pin(job));
    }

    /// What a job is to answer about task `id`.
    pub(super) fn owe(&mut self, id: &TaskId, reply: ReplySender) -> Owed {
        let (given, told) = oneshot::channel();
        self.promised.push(Promised {
            id: id.clone(),
            reply: reply.clone(),
            given,
        });
        Owed { reply, given: told }
    }

    /// Does task `id` join the queue with this?
    pub(super) fn enqueues(&self, id: &TaskId) -> bool {
        let mut events = self.events.iter();
        events.any(|event| {
            event.task_id.as_ref() == Some(id) && matches!(event.body, EventBody::Queued { .. })
        })
    }

    /// Is this stop asked for in here?
    pub(super) fn asks_for(&self, intent: u64) -> bool {
        self.intents.contains(&intent)
    }

    /// Does any of it stand in the log of this task?
    pub(super) fn is_about(&self, id: &TaskId) -> bool {
        let mut events = self.events.iter();
        events.any(|event| event.task_id.as_ref() == Some(id))
    }

    /// Would the ledger's session rows of `key` be out of date?
    pub(super) fn touches(&self, key: &Key) -> bool {
        self.touched.contains(key)
    }

    /// Would the ledger's rows of this conversation be out of date?
    pub(super) fn touches_session(&self, id: &SessionId) -> bool {
        self.touched_sessions.contains(id)
    }

    /// Nothing to do at all?
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.actions.is_empty()
            && self.replies.is_empty()
            && self.jobs.is_empty()
            && self.stops.is_empty()
            && self.promised.is_empty()
    }

    /// This, and then `next`.
    pub(super) fn followed_by(mut self, next: Self) -> Self {
        self.events.extend(next.events);
        self.since = self.since.or(next.since);
        self.secrets.extend(next.secrets);
        self.actions.extend(next.actions);
        self.replies.extend(next.replies);
        self.jobs.extend(next.jobs);
        self.stops.extend(next.stops);
        self.promised.extend(next.promised);
        self.touched.extend(next.touched);
        self.touched_sessions.extend(next.touched_sessions);
        self.intents.extend(next.intents);
        self
    }
}

/// Does this answer say that something is on disk?
pub(super) fn promises(response: &Response) -> bool {
    match response {
        Response::Task { .. }
        | Response::Stopped { .. }
        | Response::StoppedFromMemory { .. }
        | Response::Pruned(_) => true,
        // Answered behind its own commit.
        Response::Kept { .. }
        | Response::Error(_)
        | Response::Tasks(_)
        | Response::Detail(_)
        | Response::Why { .. }
        | Response::Log(_)
        | Response::LogEnd { .. }
        | Response::Event(_)
        | Response::EventsEnd { .. }
        | Response::Sessions(_)
        | Response::Status(_)
        | Response::StatusWith(..)
        | Response::Providers(_)
        | Response::ProviderChecked { .. }
        | Response::Orphans(_)
        | Response::OrphansPartly { .. }
        | Response::ProviderOutput(_)
        | Response::Conflict { .. } => false,
    }
}

/// A session that is bound is in use, which needs no look into the ledger.
const fn touched_session(body: &EventBody) -> Option<&SessionId> {
    if let EventBody::SessionResumable { session_id, .. }
    | EventBody::SessionQuarantined { session_id, .. }
    | EventBody::SessionReleased { session_id, .. } = body
    {
        Some(session_id)
    } else if let EventBody::SessionRestored { row } = body {
        Some(&row.session_id)
    } else {
        None
    }
}

fn touched_key(body: &EventBody) -> Option<Key> {
    match body {
        EventBody::Admitted { spec } | EventBody::Queued { spec } => Some(spec.key.clone()),
        EventBody::SessionBound { key, .. }
        | EventBody::SessionResumable { key, .. }
        | EventBody::SessionQuarantined { key, .. }
        | EventBody::SessionReleased { key, .. }
        | EventBody::SessionRemoved { key, .. }
        | EventBody::KeyReleased { key, .. } => Some(key.clone()),
        EventBody::SessionRestored { row } => Some(row.key.clone()),
        EventBody::SessionPassedOver(_)
        | EventBody::SessionJoined(_)
        | EventBody::Claimed { .. }
        | EventBody::Started { .. }
        | EventBody::SpawnFailed { .. }
        | EventBody::NeverStarted { .. }
        | EventBody::Adopted { .. }
        | EventBody::FirstOutput {}
        | EventBody::LineKnown {}
        | EventBody::ModelSeen { .. }
        | EventBody::Result(_)
        | EventBody::ProviderFailed { .. }
        | EventBody::UsageSeen { .. }
        | EventBody::StopRequested { .. }
        | EventBody::StopJournalled { .. }
        | EventBody::StopSuperseded { .. }
        | EventBody::Signalled { .. }
        | EventBody::SignalSeen { .. }
        | EventBody::Exited { .. }
        | EventBody::Swept { .. }
        | EventBody::ShimLost {}
        | EventBody::ExitLearned { .. }
        | EventBody::HostRebooted { .. }
        | EventBody::Alarm { .. }
        | EventBody::Finished { .. }
        | EventBody::Ended(_)
        | EventBody::SupervisorStarted { .. }
        | EventBody::SupervisorStopped { .. }
        | EventBody::HubDraining { .. }
        | EventBody::HubGone { .. }
        | EventBody::HubAdmitting {}
        | EventBody::Archived { .. }
        | EventBody::Unarchived { .. }
        | EventBody::Renamed { .. }
        | EventBody::OutOfMemory(_)
        | EventBody::UnitSeen { .. }
        | EventBody::StartRefused { .. }
        | EventBody::Draining { .. }
        | EventBody::Drained { .. }
        | EventBody::Admitting {}
        | EventBody::ServiceShutdown { .. } => None,
    }
}
