//! One task: durable facts ([`Task`]), volatile knowledge ([`Presence`]).

mod decide;
mod evolve;
mod figures;
mod finish;
mod presence;
mod queued;
mod record;
mod silence;
mod stop;

pub use decide::decide;
pub(crate) use decide::initial_timers;
pub use evolve::evolve;
pub use presence::Presence;
pub use silence::ANSWER_MS;

use alloc::string::String;
use alloc::vec::Vec;

use protocol::shim::{
    OomRecord, ProcessId, ProviderError, ResultRecord, SenderRecord, SpawnStage, SupersededBy,
    SweepRecord, Usage,
};
use protocol::view::Requester;
use protocol::vocab::{IntentOutcome, SignalledBy};
use protocol::{Exit, Phase, Presence as PresenceWord, SessionId, StopReason, TaskId, Timestamp};

use crate::event::{Ending, Event, EventBody};
use crate::session::Joined;
use crate::spec::TaskSpec;

/// The durable facts of one task: a fold over its events.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// What was asked for.
    pub spec: TaskSpec,
    /// When it began to wait, if it had to.
    pub queued_at: Option<Timestamp>,
    /// When its row became `running`; none as long as it waits.
    pub started_at: Option<Timestamp>,
    /// The newest time in any of its events.
    pub last_event_at: Timestamp,
    /// The newest time in any record of its shim: what the task was last known
    /// to be alive by. The admission before the first.
    pub heard_at: Timestamp,
    /// Journal records that are in the ledger.
    pub journal: u64,
    /// The shim that won the claim.
    pub shim: Option<ProcessId>,
    /// Did the agent start?
    pub start: Start,
    /// The conversation that it takes part in.
    pub session: Option<SessionId>,
    /// The newest conversation that it went on with of its own accord.
    pub joined: Option<Joined>,
    /// The model that the output named.
    pub model: Option<String>,
    /// Something was printed: output, or a session id in it.
    pub had_output: bool,
    /// The output told another session id than the one asked for: a conversation goes
    /// on.
    pub session_seen: bool,
    /// The provider's own result.
    pub result: Option<ResultRecord>,
    /// The provider's failure.
    pub provider_error: Option<(ProviderError, String)>,
    /// Figures as printed so far.
    pub usage: Usage,
    /// Every intent, in the order of commitment.
    pub intents: Vec<Intent>,
    /// What ended the agent before it ended by itself, if something did.
    pub cause: Option<Cause>,
    /// The agent ended by itself before the first signal of an intent.
    pub superseded: Option<SupersededBy>,
    /// A signal at the shim that may explain an end which an intent came too late
    /// for; until the exit tells.
    pub(crate) behind_an_end: Option<Cause>,
    /// How and when the leader ended.
    pub exited: Option<(Timestamp, Exit)>,
    /// The newest kill for want of memory before the leader's exit was seen.
    pub oom: Option<OomRecord>,
    /// How the leader ended, told by the kernel after the shim's death.
    pub learned_exit: Option<Exit>,
    /// What became of the tree.
    pub swept: Option<SweepRecord>,
    /// When the supervisor signalled past a shim that did not answer.
    pub overruled_at: Option<Timestamp>,
    /// The shim died, or the machine did, before it had finished.
    pub lost: Option<Lost>,
    /// The supervisor's own end, while that may explain the task's.
    pub hub: Option<Hub>,
    /// Terminal.
    pub ending: Option<Ending>,
    /// Counts the changes of the row.
    pub version: u64,
}

/// Did the agent start?
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// It waits for a place: no process was made for it.
    Queued,
    /// Its turn had come, and it could not be started any more.
    Refused {
        /// When.
        at: Timestamp,
        /// In words.
        detail: String,
    },
    /// Not known yet.
    Pending,
    /// It was exec'd.
    Execd {
        /// When.
        at: Timestamp,
        /// Its leader.
        agent: ProcessId,
    },
    /// It could not be.
    Failed {
        /// When.
        at: Timestamp,
        /// What was tried.
        stage: SpawnStage,
        /// The kernel's answer.
        errno: i32,
        /// On which path.
        path: String,
    },
    /// The supervisor won the claim.
    Never {
        /// When.
        at: Timestamp,
        /// In words.
        detail: String,
    },
}

/// One durable statement «stop this task».
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// The ledger's id.
    pub id: u64,
    /// For which reason.
    pub reason: StopReason,
    /// Who asked.
    pub requested_by: Requester,
    /// In their words.
    pub note: Option<String>,
    /// When it was committed.
    pub requested_at: Timestamp,
    /// Between TERM and KILL, in ms.
    pub grace_ms: u64,
    /// Another one was first.
    pub joined: bool,
    /// When the shim had it in its journal.
    pub journalled_at: Option<Timestamp>,
    /// When and from whom its first signal went out.
    pub signalled: Option<(Timestamp, SignalledBy)>,
    /// What became of it.
    pub outcome: IntentOutcome,
}

/// What ended the agent before it ended by itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// This intent.
    Intent(u64),
    /// A signal at the shim.
    ShimSignalled {
        /// When.
        at: Timestamp,
        /// Which.
        signal: i32,
        /// By whom.
        sender: SenderRecord,
    },
}

/// A supervisor that was told to go away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hub {
    /// It drains.
    Draining(StopReason),
    /// It went before its drain was done, and its successor has not seen the
    /// shim alive.
    Gone(StopReason),
}

impl Hub {
    /// Why it was told to.
    #[must_use]
    pub const fn reason(self) -> StopReason {
        match self {
            Self::Draining(reason) | Self::Gone(reason) => reason,
        }
    }
}

/// Why there is nobody left to report the end.
#[derive(Clone, Debug, PartialEq)]
pub enum Lost {
    /// The shim died.
    Shim,
    /// The machine was booted again.
    Host(String),
}

impl Task {
    /// A task whose row is about to be committed: it starts at once.
    #[must_use]
    pub fn admitted(spec: TaskSpec, at: Timestamp) -> Self {
        Self {
            started_at: Some(at),
            ..Self::begun(spec, at, Start::Pending)
        }
    }

    /// The same, and it has to wait.
    #[must_use]
    pub fn queued(spec: TaskSpec, at: Timestamp) -> Self {
        Self {
            queued_at: Some(at),
            ..Self::begun(spec, at, Start::Queued)
        }
    }

    fn begun(spec: TaskSpec, at: Timestamp, start: Start) -> Self {
        let session = spec.session.known_id().cloned();
        Self {
            spec,
            queued_at: None,
            started_at: None,
            last_event_at: at,
            heard_at: at,
            journal: 0,
            shim: None,
            start,
            session,
            joined: None,
            model: None,
            had_output: false,
            session_seen: false,
            result: None,
            provider_error: None,
            usage: Usage::default(),
            intents: Vec::new(),
            cause: None,
            superseded: None,
            behind_an_end: None,
            exited: None,
            oom: None,
            learned_exit: None,
            swept: None,
            overruled_at: None,
            lost: None,
            hub: None,
            ending: None,
            version: 1,
        }
    }

    /// Rebuilds a task from its events; none if the first does not make one.
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> Option<Self> {
        let mut events = events.into_iter();
        let first = events.next()?;
        let task = if let EventBody::Admitted { spec } = &first.body {
            Self::admitted(spec.clone(), first.at)
        } else if let EventBody::Queued { spec } = &first.body {
            Self::queued(spec.clone(), first.at)
        } else {
            return None;
        };
        Some(events.fold(task, evolve))
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> &TaskId {
        &self.spec.id
    }

    /// Where it is in its life.
    #[must_use]
    pub fn phase(&self) -> Phase {
        let stopping = self.is_ending() || !self.intents.is_empty();
        match (&self.ending, stopping, &self.start) {
            (Some(_), _, _) => Phase::Ended,
            (None, true, _)
            | (None, false, Start::Failed { .. } | Start::Never { .. } | Start::Refused { .. }) => {
                Phase::Stopping
            }
            (None, false, Start::Queued) => Phase::Queued,
            (None, false, Start::Execd { .. }) => Phase::Running,
            (None, false, Start::Pending) => Phase::Starting,
        }
    }

    /// Nothing can keep it running: its end is being established.
    pub(crate) const fn is_ending(&self) -> bool {
        let never_runs = match &self.start {
            Start::Failed { .. } | Start::Never { .. } | Start::Refused { .. } => true,
            Start::Queued | Start::Pending | Start::Execd { .. } => false,
        };
        never_runs || self.exited.is_some() || self.lost.is_some()
    }

    /// Its agent was not exec'd, and that is proven: by the shim's own word,
    /// by the claim, or by a shim that lived to its last record without one.
    pub(crate) const fn provably_never_execd(&self) -> bool {
        let said_so = match &self.start {
            Start::Queued | Start::Refused { .. } | Start::Failed { .. } | Start::Never { .. } => {
                true
            }
            // Behind the claim of a shim that died nobody can tell.
            Start::Pending => self.exited.is_none() && self.lost.is_none(),
            Start::Execd { .. } => false,
        };
        said_so && !self.shows_life()
    }

    /// Nothing is left of its processes, as far as that can be proven: they were
    /// found gone, there never were any, or the machine was booted again.
    #[must_use]
    pub fn tree_is_gone(&self) -> bool {
        match (&self.lost, &self.swept, &self.start) {
            (Some(Lost::Host(_)), _, _) => true,
            (Some(Lost::Shim) | None, Some(sweep), _) => sweep.empty,
            (
                _,
                None,
                Start::Queued | Start::Refused { .. } | Start::Failed { .. } | Start::Never { .. },
            ) => true,
            (_, None, Start::Pending | Start::Execd { .. }) => self.provably_never_execd(),
        }
    }

    /// Is a shim connected?
    #[must_use]
    pub const fn presence(&self, presence: &Presence) -> PresenceWord {
        match (&self.ending, &self.lost, presence.attached) {
            (Some(_), _, _) | (None, Some(_), _) => PresenceWord::None,
            (None, None, _) if self.waits() => PresenceWord::None,
            (None, None, true) => PresenceWord::Attached,
            (None, None, false) => PresenceWord::Detached,
        }
    }

    /// The agent's leader, while it may live.
    #[must_use]
    pub fn agent(&self) -> Option<&ProcessId> {
        match (&self.start, &self.exited, &self.ending) {
            (Start::Execd { agent, .. }, None, None) => Some(agent),
            (
                Start::Execd { .. }
                | Start::Queued
                | Start::Refused { .. }
                | Start::Pending
                | Start::Failed { .. }
                | Start::Never { .. },
                _,
                _,
            ) => None,
        }
    }

    /// It gave a sign of life: a session id or any output.
    #[must_use]
    pub const fn shows_life(&self) -> bool {
        self.had_output || self.result.is_some()
    }

    /// Its provider can have failed to find the session: it was to resume one,
    /// and nothing shows that a conversation went on: neither turns nor tokens, nor
    /// an id that is more than an echo of the one asked for. Elsewhere such words are
    /// somebody else's (a hook's, a tool's).
    #[must_use]
    pub fn may_miss_its_session(&self) -> bool {
        let Usage {
            turns,
            input_tokens,
            output_tokens,
            cost_usd: _,
        } = self.usage;
        let figures = [turns, input_tokens, output_tokens];
        let worked = figures.into_iter().flatten().any(|figure| figure > 0);
        self.spec.session.resumed().is_some() && !self.session_seen && !worked
    }

    /// The intent with this id.
    #[must_use]
    pub fn intent(&self, id: u64) -> Option<&Intent> {
        self.intents.iter().find(|intent| intent.id == id)
    }
}
