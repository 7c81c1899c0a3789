//! The body of an event: what happened.

use alloc::{string::String, vec::Vec};

use protocol::shim::{
    AlarmKind, OomRecord, ProcessId, ProviderError, ResultRecord, SenderRecord, SpawnStage,
    SupersededBy, SweepRecord, Target, Usage,
};
use protocol::{Exit, Key, ProviderName, SessionId, StopReason, TaskId, Timestamp};
use protocol::{view::Requester, vocab::SignalledBy};
use serde::{Deserialize, Serialize};

use crate::ending::{BindKind, Ending};
use crate::session::{Joined, PassedOver, SessionRow};
use crate::spec::TaskSpec;

/// What happened. The tags are the public types of the event log; append only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum EventBody {
    /// The row is there, `running`, before any process is; a queued one's turn came.
    #[serde(rename = "task.admitted")]
    Admitted {
        /// The dispatch.
        spec: TaskSpec,
    },
    /// A shim won the claim.
    #[serde(rename = "task.claimed")]
    Claimed {
        /// The shim.
        shim: ProcessId,
    },
    /// The agent was exec'd.
    #[serde(rename = "task.started")]
    Started {
        /// Its leader.
        agent: ProcessId,
        /// The program.
        program: String,
    },
    /// The agent was not exec'd and never will be.
    #[serde(rename = "task.spawn_failed")]
    SpawnFailed {
        /// What was tried.
        stage: SpawnStage,
        /// The kernel's answer; 0 where no shim ever tried.
        errno: i32,
        /// On which path.
        path: String,
    },
    /// The supervisor won the claim, or spawns no shim.
    #[serde(rename = "task.never_started")]
    NeverStarted {
        /// In words.
        detail: String,
        /// The intent under which nothing was spawned, if it was for one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        intent_id: Option<u64>,
    },
    /// A supervisor took over a shim that it did not start.
    #[serde(rename = "task.adopted")]
    Adopted {
        /// The shim.
        shim: ProcessId,
    },
    /// The first output.
    #[serde(rename = "task.output")]
    FirstOutput {},
    /// The model that the output names.
    #[serde(rename = "task.model")]
    ModelSeen {
        /// The model.
        model: String,
    },
    /// A session belongs to the task from now on.
    #[serde(rename = "session.bound")]
    SessionBound {
        /// The conversation.
        key: Key,
        /// The provider.
        provider: ProviderName,
        /// Its id.
        session_id: SessionId,
        /// How it is known.
        how: BindKind,
    },
    /// The session's last task succeeded.
    #[serde(rename = "session.resumable")]
    SessionResumable {
        /// The conversation.
        key: Key,
        /// The provider.
        provider: ProviderName,
        /// Its id.
        session_id: SessionId,
        /// The figures of the whole conversation so far, as printed.
        totals: Usage,
    },
    /// The session must not be resumed.
    #[serde(rename = "session.quarantined")]
    SessionQuarantined {
        /// The conversation.
        key: Key,
        /// The provider.
        provider: ProviderName,
        /// Its id.
        session_id: SessionId,
        /// Why.
        reason: String,
        /// The whole conversation's figures so far; absent where no task ended.
        totals: Option<Usage>,
    },
    /// The operator allows it again.
    #[serde(rename = "session.released")]
    SessionReleased {
        /// The conversation.
        key: Key,
        /// The provider.
        provider: ProviderName,
        /// Its id.
        session_id: SessionId,
        /// Who.
        by: Requester,
    },
    /// The session was never used by the task: its row is as it was before.
    #[serde(rename = "session.restored")]
    SessionRestored {
        /// As it was.
        row: SessionRow,
    },
    /// The session was chosen and provably never used.
    #[serde(rename = "session.removed")]
    SessionRemoved {
        /// The conversation.
        key: Key,
        /// The provider.
        provider: ProviderName,
        /// Its id.
        session_id: SessionId,
    },
    /// The key's session may not be resumed: the task begins afresh.
    #[serde(rename = "session.passed_over")]
    SessionPassedOver(PassedOver),
    /// The agent goes on, of its own accord, with a conversation that was there before.
    #[serde(rename = "session.joined")]
    SessionJoined(Joined),
    /// The provider's own result.
    #[serde(rename = "task.result")]
    Result(ResultRecord),
    /// The provider failed in a known way.
    #[serde(rename = "task.provider_error")]
    ProviderFailed {
        /// Which way.
        error: ProviderError,
        /// Its words, cut.
        detail: String,
    },
    /// Figures that were reported before the end.
    #[serde(rename = "task.usage")]
    UsageSeen {
        /// As printed.
        usage: Usage,
    },
    /// An intent is committed.
    #[serde(rename = "task.stop_requested")]
    StopRequested {
        /// The ledger's id.
        intent_id: u64,
        /// For which reason.
        reason: StopReason,
        /// Who asked.
        requested_by: Requester,
        /// In their words.
        note: Option<String>,
        /// Between TERM and KILL, in ms.
        grace_ms: u64,
        /// Another intent is the reason already.
        joined: bool,
    },
    /// The shim has the intent in its journal.
    #[serde(rename = "task.stop_journalled")]
    StopJournalled {
        /// The ledger's id.
        intent_id: u64,
    },
    /// The agent had ended by itself before the signal.
    #[serde(rename = "task.stop_superseded")]
    StopSuperseded {
        /// The ledger's id.
        intent_id: u64,
        /// How that was seen.
        by: SupersededBy,
    },
    /// A signal went out.
    #[serde(rename = "task.signalled")]
    Signalled {
        /// Under which intent.
        intent_id: Option<u64>,
        /// Which signal; its name in the ledger.
        #[serde(with = "protocol::signal_as_name")]
        signal: i32,
        /// To whom.
        target: Target,
        /// From whom.
        by: SignalledBy,
    },
    /// The shim itself was signalled.
    #[serde(rename = "task.signal_seen")]
    SignalSeen {
        /// Which signal; its name in the ledger.
        #[serde(with = "protocol::signal_as_name")]
        signal: i32,
        /// By whom.
        sender: SenderRecord,
    },
    /// The leader ended.
    #[serde(rename = "task.exited")]
    Exited {
        /// How.
        exit: Exit,
    },
    /// What became of the tree.
    #[serde(rename = "task.swept")]
    Swept {
        /// The findings.
        sweep: SweepRecord,
        /// Who looked.
        by: SignalledBy,
    },
    /// The shim's process is gone before it had finished.
    #[serde(rename = "task.shim_lost")]
    ShimLost {},
    /// The machine was booted again meanwhile.
    #[serde(rename = "task.host_rebooted")]
    HostRebooted {
        /// What told it.
        detail: String,
    },
    /// Something that should be looked at.
    #[serde(rename = "task.alarm")]
    Alarm {
        /// What.
        kind: AlarmKind,
        /// In words.
        detail: String,
    },
    /// The shim's last record; its logs are complete.
    #[serde(rename = "task.finished")]
    Finished {
        /// Bytes printed, by stdout and stderr.
        output_bytes: (u64, u64),
        /// Of these, bytes not kept.
        gap_bytes: (u64, u64),
    },
    /// Terminal.
    #[serde(rename = "task.ended")]
    Ended(Ending),
    /// A supervisor is up.
    #[serde(rename = "supervisor.started")]
    SupervisorStarted {
        /// Its process id.
        pid: i32,
        /// Its version.
        version: String,
        /// The kernel's boot id.
        boot_id: String,
    },
    /// A supervisor has left on purpose.
    #[serde(rename = "supervisor.stopped")]
    SupervisorStopped {
        /// Its process id.
        pid: i32,
        /// Agents that live on under their shims.
        left_running: u64,
    },
    /// The kernel told how the leader had ended, after its shim had died.
    #[serde(rename = "task.exit_learned")]
    ExitLearned {
        /// How.
        exit: Exit,
    },
    /// The supervisor that runs it has begun to drain.
    #[serde(rename = "task.hub_draining")]
    HubDraining {
        /// Why.
        reason: StopReason,
    },
    /// That supervisor is gone, and its drain was not done.
    #[serde(rename = "task.hub_gone")]
    HubGone {
        /// Why it had drained.
        reason: StopReason,
    },
    /// The drain was called off.
    #[serde(rename = "task.hub_admitting")]
    HubAdmitting {},
    /// A drain has begun: no new work.
    #[serde(rename = "supervisor.draining")]
    Draining {
        /// Why.
        reason: StopReason,
        /// Who wants it.
        requested_by: Requester,
        /// Until when tasks may finish.
        deadline: Timestamp,
    },
    /// No task is left.
    #[serde(rename = "supervisor.drained")]
    Drained {
        /// Why it drained.
        reason: StopReason,
    },
    /// A drain was called off: new work is welcome again.
    #[serde(rename = "supervisor.admitting")]
    Admitting {},
    /// The service goes away or refuses new work, said before anything is stopped.
    #[serde(rename = "service_shutdown")]
    ServiceShutdown {
        /// `draining`, or `exited` where the agents are left alone.
        phase: String,
        /// Why.
        reason: StopReason,
        /// How long tasks may finish, in ms.
        drain_ms: u64,
        /// Until when they may.
        deadline: Timestamp,
        /// Tasks that have not ended.
        busy: Vec<TaskId>,
        /// Of these, those that go on without the service.
        survives: Vec<TaskId>,
        /// Of these, those that are stopped at the deadline.
        will_stop: Vec<TaskId>,
    },
    /// The task is put aside.
    #[serde(rename = "task.archived")]
    Archived {
        /// Who wants it.
        by: Requester,
        /// Who set the flag, as `archived_by` shows it.
        set_by: String,
    },
    /// The task is not put aside any more.
    #[serde(rename = "task.unarchived")]
    Unarchived {
        /// Who wants it.
        by: Requester,
    },
    /// The task has another name for people.
    #[serde(rename = "task.renamed")]
    Renamed {
        /// The name.
        name: String,
        /// Who wants it.
        by: Requester,
    },
    /// The kernel killed processes of the task for want of memory.
    #[serde(rename = "task.oom")]
    OutOfMemory(OomRecord),
    /// The shim was of this unit when its service manager signalled it.
    #[serde(rename = "task.unit_seen")]
    UnitSeen {
        /// The name of the unit.
        unit: String,
    },
    /// The row is there, `queued`: the task waits for its turn.
    #[serde(rename = "task.queued")]
    Queued {
        /// The dispatch; its session is decided when its turn comes.
        spec: TaskSpec,
    },
    /// Its turn had come, and it could not be started any more.
    #[serde(rename = "task.start_refused")]
    StartRefused {
        /// In words.
        detail: String,
    },
    /// The key may have tasks again although the last ones, this the newest, failed at once.
    #[serde(rename = "key.released")]
    KeyReleased {
        /// The conversation.
        key: Key,
        /// Who.
        by: Requester,
    },
    /// The first line that a rule of its provider knows; nothing else was told of it.
    #[serde(rename = "task.line_known")]
    LineKnown {},
}
