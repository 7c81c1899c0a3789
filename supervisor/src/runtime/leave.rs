//! The supervisor is told to go: what becomes of the agents, and the end.

use std::time::Duration;

use lifecycle::EventBody;
use lifecycle::drain::{DrainOrder, FleetInput, Then};
use protocol::StopReason;
use protocol::shim::{FromShim, Record};

use super::clock;
use super::core_loop::Core;
use super::input::CoreInput;
use crate::config::AgentsAtEnd;
use crate::ledger::LedgerError;
use crate::process::requester;
use crate::shim::ShimMessage;
use crate::systemd::Job;

/// Between two questions whether the machine goes down, while we drain.
const MACHINE_LOOKED_AT_EVERY: Duration = Duration::from_secs(1);

/// Does a shim say that the service manager has signalled it?
pub(super) fn tells_of_the_manager(message: &ShimMessage) -> bool {
    match &message.message {
        FromShim::Record {
            record: Record::SignalSeen { sender, .. },
            ..
        } => sender.is_service_manager(),
        FromShim::Record { .. } | FromShim::Progress(_) | FromShim::Attach(_) => false,
    }
}

impl Core {
    /// SIGTERM or SIGINT: the policy; a second one forces.
    ///
    /// The service manager is asked before any other input is looked at: where
    /// it ends the agents as well, the reason is on record before their ends.
    pub(super) async fn told_to_leave(&mut self) -> Result<(), LedgerError> {
        if self.leaving {
            return Ok(());
        }
        if self.drains.was_foreseen() {
            return Ok(());
        }
        if self.drains.then() == Some(Then::Leave) {
            return self.step_fleet(FleetInput::Hurry).await;
        }
        let (reason, agents) = self.policy().await;
        self.leave_for(reason, agents).await
    }

    /// Where the service manager signals a whole cgroup, a shim may tell of its
    /// signal before ours was noticed. What it tells rests on the reason of our
    /// stop, which is therefore recorded first; our own signal is then no
    /// second one.
    pub(super) async fn foresee_the_end(&mut self) -> Result<(), LedgerError> {
        if self.leaving || !self.drains.admits() || self.service.managed.job().await == Job::None {
            return Ok(());
        }
        let (reason, agents) = self.policy().await;
        self.drains.foresee();
        self.leave_for(reason, agents).await
    }

    async fn leave_for(
        &mut self,
        reason: StopReason,
        agents: AgentsAtEnd,
    ) -> Result<(), LedgerError> {
        self.pulse.notify().stopping();
        match agents {
            AgentsAtEnd::Keep => {
                self.keep(reason);
                self.leave();
                Ok(())
            }
            AgentsAtEnd::Drain => {
                if reason != StopReason::HostShutdown {
                    self.watch_the_machine();
                }
                let order = self.order(reason);
                self.step_fleet(FleetInput::Begin(order)).await
            }
        }
    }

    /// A unit that stops already hears nothing more of the service manager: while we
    /// drain, it is asked whether the machine goes down meanwhile.
    fn watch_the_machine(&mut self) {
        let Some(manager) = self.service.managed.manager.clone() else {
            return;
        };
        let inputs = self.inputs.clone();
        self.jobs.spawn(async move {
            loop {
                tokio::time::sleep(MACHINE_LOOKED_AT_EVERY).await;
                if manager.machine_stops().await {
                    // Closed only when the supervisor has left.
                    let _ = inputs.send(CoreInput::MachineStops).await;
                    return;
                }
            }
        });
    }

    /// The machine goes down while we drain: there is no more time for anybody.
    pub(super) async fn machine_stops(&mut self) -> Result<(), LedgerError> {
        if self.leaving || self.drains.then() != Some(Then::Leave) {
            return Ok(());
        }
        let order = self.order(StopReason::HostShutdown);
        self.step_fleet(FleetInput::Begin(order)).await
    }

    async fn policy(&self) -> (StopReason, AgentsAtEnd) {
        let shutdown = &self.service.config.shutdown;
        let job = self.service.managed.job().await;
        let (reason, agents) = match job {
            Job::Restart => (StopReason::HubRestart, shutdown.on_restart),
            Job::Stop | Job::None => (StopReason::HubShutdown, shutdown.on_stop),
            Job::HostShutdown => (StopReason::HostShutdown, AgentsAtEnd::Drain),
        };
        let may_kill = agents == AgentsAtEnd::Keep && job != Job::None;
        if may_kill && self.service.managed.kills_agents(&self.shims()).await {
            tracing::warn!(
                "[shutdown] this unit's stop kills the agents: they are drained, not kept"
            );
            return (reason, AgentsAtEnd::Drain);
        }
        (reason, agents)
    }

    /// The live shims' processes, as far as they are known.
    pub(super) fn shims(&self) -> Vec<i32> {
        self.tasks.values().filter_map(|live| live.shim()).collect()
    }

    fn order(&self, reason: StopReason) -> DrainOrder {
        let shutdown = &self.service.config.shutdown;
        let wanted_ms = match reason {
            // The machine's shutdown is not delayed for the sake of an agent.
            StopReason::HostShutdown => 0,
            StopReason::User
            | StopReason::RunnerStop
            | StopReason::HubRestart
            | StopReason::HubShutdown
            | StopReason::StartTimeout
            | StopReason::Timeout
            | StopReason::IdleTimeout
            | StopReason::Budget
            | StopReason::SupersededByTask => shutdown.drain_ms,
        };
        let drain_ms = self.service.managed.capped(wanted_ms, shutdown.grace_ms);
        if drain_ms < wanted_ms {
            tracing::warn!(
                "[shutdown] drain_ms is {wanted_ms}, capped at {drain_ms}: the unit's TimeoutStopSec \
                 would end the drain before"
            );
        }
        DrainOrder {
            reason,
            drain_ms,
            grace_ms: shutdown.grace_ms,
            then: Then::Leave,
            requested_by: requester::ourselves(),
        }
    }

    fn keep(&mut self, reason: StopReason) {
        let busy = self.running_ids();
        tracing::info!(
            "[shutdown] leaving {} tasks running under their shims; \
             the next supervisor adopts them",
            busy.len()
        );
        self.supervisor_event(EventBody::ServiceShutdown {
            phase: "exited".to_string(),
            reason,
            drain_ms: 0,
            deadline: clock::now(),
            busy: busy.clone(),
            survives: busy,
            will_stop: Vec::new(),
        });
    }

    /// No new work from now on, and the loop ends when what it holds is
    /// committed and answered.
    pub(super) fn leave(&mut self) {
        if self.leaving {
            return;
        }
        self.leaving = true;
        self.supervisor_event(EventBody::SupervisorStopped {
            pid: self.service.identity.pid,
            left_running: self.running() as u64,
        });
    }
}
