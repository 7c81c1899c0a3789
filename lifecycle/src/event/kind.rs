//! The public names of events.

use super::EventBody;

impl EventBody {
    /// The public type, e.g. `task.ended`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Admitted { .. } => "task.admitted",
            Self::Claimed { .. } => "task.claimed",
            Self::Started { .. } => "task.started",
            Self::SpawnFailed { .. } => "task.spawn_failed",
            Self::NeverStarted { .. } => "task.never_started",
            Self::Adopted { .. } => "task.adopted",
            Self::FirstOutput {} => "task.output",
            Self::ModelSeen { .. } => "task.model",
            Self::SessionBound { .. } => "session.bound",
            Self::SessionResumable { .. } => "session.resumable",
            Self::SessionQuarantined { .. } => "session.quarantined",
            Self::SessionReleased { .. } => "session.released",
            Self::SessionRestored { .. } => "session.restored",
            Self::SessionRemoved { .. } => "session.removed",
            Self::Result(_) => "task.result",
            Self::ProviderFailed { .. } => "task.provider_error",
            Self::UsageSeen { .. } => "task.usage",
            Self::StopRequested { .. } => "task.stop_requested",
            Self::StopJournalled { .. } => "task.stop_journalled",
            Self::StopSuperseded { .. } => "task.stop_superseded",
            Self::Signalled { .. } => "task.signalled",
            Self::SignalSeen { .. } => "task.signal_seen",
            Self::Exited { .. } => "task.exited",
            Self::Swept { .. } => "task.swept",
            Self::ShimLost {} => "task.shim_lost",
            Self::HostRebooted { .. } => "task.host_rebooted",
            Self::Alarm { .. } => "task.alarm",
            Self::Finished { .. } => "task.finished",
            Self::Ended(_) => "task.ended",
            Self::SupervisorStarted { .. } => "supervisor.started",
            Self::SupervisorStopped { .. } => "supervisor.stopped",
            Self::ExitLearned { .. } => "task.exit_learned",
            Self::HubDraining { .. } => "task.hub_draining",
            Self::HubGone { .. } => "task.hub_gone",
            Self::HubAdmitting {} => "task.hub_admitting",
            Self::Draining { .. } => "supervisor.draining",
            Self::Drained { .. } => "supervisor.drained",
            Self::Admitting {} => "supervisor.admitting",
            Self::ServiceShutdown { .. } => "service_shutdown",
            Self::Archived { .. } => "task.archived",
            Self::Unarchived { .. } => "task.unarchived",
            Self::Renamed { .. } => "task.renamed",
            Self::OutOfMemory(_) => "task.oom",
            Self::UnitSeen { .. } => "task.unit_seen",
            Self::Queued { .. } => "task.queued",
            Self::StartRefused { .. } => "task.start_refused",
            Self::KeyReleased { .. } => "key.released",
            Self::LineKnown {} => "task.line_known",
        }
    }
}
