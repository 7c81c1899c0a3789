//! The public names of events.

use super::EventBody;

impl EventBody {
    /// All public types, in the order of the variants.
    pub const KINDS: &[&'static str] = &[
        "task.admitted",
        "task.claimed",
        "task.started",
        "task.spawn_failed",
        "task.never_started",
        "task.adopted",
        "task.output",
        "task.line_known",
        "task.model",
        "session.bound",
        "session.passed_over",
        "session.joined",
        "session.resumable",
        "session.quarantined",
        "session.released",
        "session.restored",
        "session.removed",
        "task.result",
        "task.provider_error",
        "task.usage",
        "task.stop_requested",
        "task.stop_journalled",
        "task.stop_superseded",
        "task.signalled",
        "task.signal_seen",
        "task.exited",
        "task.swept",
        "task.shim_lost",
        "task.host_rebooted",
        "task.alarm",
        "task.finished",
        "task.ended",
        "supervisor.started",
        "supervisor.stopped",
        "task.exit_learned",
        "task.hub_draining",
        "task.hub_gone",
        "task.hub_admitting",
        "supervisor.draining",
        "supervisor.drained",
        "supervisor.admitting",
        "service_shutdown",
        "task.archived",
        "task.unarchived",
        "task.renamed",
        "task.oom",
        "task.unit_seen",
        "task.queued",
        "task.start_refused",
        "key.released",
    ];

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
            Self::SessionPassedOver(_) => "session.passed_over",
            Self::SessionJoined(_) => "session.joined",
            Self::KeyReleased { .. } => "key.released",
            Self::LineKnown {} => "task.line_known",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    /// What serde knows, by what it says of a type that it does not.
    #[test]
    fn every_type_is_listed_and_documented() {
        let refused = serde_json::from_str::<EventBody>(r#"{"type":"none","payload":{}}"#);
        let words = refused.err().map(|error| error.to_string());
        let words = words.unwrap_or_default();
        let (_, expected) = words.split_once("expected one of ").unwrap_or_default();
        let mut known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        let mut listed = EventBody::KINDS.to_vec();
        known.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, known);
        let document = include_str!("../../../EVENTS.md");
        for kind in listed {
            assert!(document.contains(&alloc::format!("`{kind}`")), "{kind}");
        }
    }
}
