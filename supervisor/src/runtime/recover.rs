//! After a restart: what every task of the ledger's running set is now.

use std::time::Duration;

use lifecycle::{Fact, Input, Task};
use protocol::shim::ProcessId;
use protocol::{Key, Status, TaskId};
use sys::claim::ClaimedBy;
use sys::hook::SUP_SIGNAL;
use sys::process;

use super::claims;
use super::container;
use super::core_loop::Core;
use super::input::CoreInput;
use super::live::{Live, ShimEnd};
use super::shims::Replayed;
use super::unsaved::Sessions;
use crate::ledger::{LedgerError, LiveTask};
use crate::shim::Kinship;

/// SIGUSR1: a shim that waits for its next try to connect tries now.
const WAKE_SIGNAL: i32 = 10;

/// The longest pause between two looks at what could not be seen.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Who decided about a task's start, as far as anything tells.
enum Claimant {
    /// This shim.
    Shim(ProcessId),
    /// A supervisor: it never started.
    Supervisor,
    /// Nobody yet, or somebody before a power cut.
    Nobody,
    /// There is something that cannot be read, for ever or for now.
    Unreadable(String),
}

impl Core {
    /// Rebuilds the running set and the queue, and gives every task that runs
    /// its end or its shim.
    pub(super) async fn recover(&mut self) -> Result<(), LedgerError> {
        let found = self.ledger.live().await?;
        for live in found {
            self.rebuild(live);
        }
        let service = self.service.clone();
        let boot_id = service.identity.boot_id.clone();
        for task in self.ledger.with_survivors(boot_id).await? {
            self.held.hold(&task, &service.identity);
        }
        for id in self.ledger.ever_with_survivors().await? {
            self.clear_unused_temp(&id);
        }
        let ids = self.running_ids();
        for id in &ids {
            self.step(id, Input::Fact(Fact::Recovered));
            self.look_at(id).await?;
        }
        self.unsaved.sessions = Sessions::Due;
        self.flush_or_wait().await?;
        self.sweep_sessions_if_due().await
    }

    /// Looks over the sessions, once, as soon as the ledger has everything.
    pub(super) async fn sweep_sessions_if_due(&mut self) -> Result<(), LedgerError> {
        if self.unsaved.waits() || self.unsaved.sessions == Sessions::Swept {
            return Ok(());
        }
        self.unsaved.sessions = Sessions::Swept;
        for event in self.ledger.sweep_sessions(super::clock::now()).await? {
            self.batch.take_event(event);
        }
        self.flush_or_wait().await
    }

    /// Looks again at a task of which too little could be seen.
    pub(super) async fn look_again(&mut self, id: &TaskId) -> Result<(), LedgerError> {
        match self.tasks.get(id).map(|live| live.shim_end) {
            None | Some(ShimEnd::Watched) => Ok(()),
            Some(ShimEnd::Unwatched) => self.look_at(id).await,
            Some(ShimEnd::Seen) => {
                self.shim_is_dead(id);
                Ok(())
            }
        }
    }

    /// Comes back to a task after a pause.
    pub(super) fn look_later(&mut self, id: &TaskId) {
        let Some(live) = self.tasks.get_mut(id) else {
            return;
        };
        let pause = live.look_again;
        live.look_again = (pause * 2).min(LONGEST_PAUSE);
        let (inputs, id) = (self.inputs.clone(), id.clone());
        self.jobs.spawn(async move {
            tokio::time::sleep(pause).await;
            // Closed only when the supervisor leaves.
            let _ = inputs.send(CoreInput::LookAgain(id)).await;
        });
    }

    fn rebuild(&mut self, found: LiveTask) {
        let Some(task) = Task::fold(&found.events) else {
            tracing::error!(task = %found.secret.task_id, "its events do not begin with its admission; left alone");
            return;
        };
        let shown = self.service.folders.shown(task.id());
        let id = task.id().clone();
        if task.waits() {
            // Its supervisor may have been killed in between.
            if !self.service.folders.is_marked_queued(&id) {
                self.mark_one_queued(&id);
            }
            self.queue.push(&task.spec);
        } else {
            self.live_keys.insert(task.spec.key.clone(), id.clone());
        }
        let durable = task.journal;
        let mut live = Live::new(task, found.secret, shown);
        live.durable = durable;
        self.tasks.insert(id, Box::new(live));
    }

    /// The ledger, the claim or the journal tells which process to look at.
    async fn look_at(&mut self, id: &TaskId) -> Result<(), LedgerError> {
        match self.claimant(id) {
            Claimant::Shim(shim) => self.look_for_shim(id, &shim),
            Claimant::Supervisor => self.step(
                id,
                Input::Fact(Fact::NeverStarted {
                    detail: "an earlier supervisor had decided that it never started".to_string(),
                }),
            ),
            Claimant::Nobody => {
                if !self.is_of_an_earlier_boot(id).await? {
                    self.claim_against_shims(
                        id,
                        "the supervisor ended before a shim had claimed the task".to_string(),
                    );
                }
            }
            Claimant::Unreadable(why) => {
                if !self.is_of_an_earlier_boot(id).await? {
                    tracing::error!(task = %id, why, "nobody can tell whether it was started; it stays as it is for now");
                    self.look_later(id);
                }
            }
        }
        Ok(())
    }

    fn claimant(&mut self, id: &TaskId) -> Claimant {
        if let Some(shim) = self.known_shim(id) {
            return Claimant::Shim(shim);
        }
        let found = match claims::read(&self.service, id) {
            Ok(Some(claim)) => match claim.by {
                ClaimedBy::Shim => return Claimant::Shim(claim.process),
                ClaimedBy::Supervisor => return Claimant::Supervisor,
            },
            Ok(None) => Claimant::Nobody,
            Err(error) => Claimant::Unreadable(error.to_string()),
        };
        // The journal begins with the claim as well.
        match self.read_journal(id) {
            Replayed::All => self.known_shim(id).map_or(found, Claimant::Shim),
            Replayed::NotNow => Claimant::Unreadable("its journal cannot be read".to_string()),
        }
    }

    fn known_shim(&self, id: &TaskId) -> Option<ProcessId> {
        self.tasks.get(id)?.task.shim.clone()
    }

    /// Neither claim nor journal is synced before the exit: behind a power cut
    /// their absence says nothing, and nothing of the task can be alive.
    async fn is_of_an_earlier_boot(&mut self, id: &TaskId) -> Result<bool, LedgerError> {
        let ours = self.service.identity.boot_id.clone();
        match self.ledger.boot_of(id.clone()).await? {
            Some(boot) if boot != ours => {
                let detail = format!("the boot id changed from {boot} to {ours}");
                self.step(id, Input::Fact(Fact::HostRebooted { detail }));
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }

    pub(super) fn look_for_shim(&mut self, id: &TaskId, shim: &ProcessId) {
        let service = self.service.clone();
        let ours = &service.identity;
        if shim.boot_id != ours.boot_id || shim.pid_ns != ours.pid_ns {
            self.host_rebooted(id, shim, ours);
            return;
        }
        match process::same_process(shim) {
            Ok(Some(pidfd)) => {
                // It may sleep in its backoff: wake it.
                if let Err(error) = pidfd.send_signal(WAKE_SIGNAL, &SUP_SIGNAL) {
                    tracing::debug!(task = %id, %error, "the shim could not be woken");
                }
                if let Some(live) = self.tasks.get_mut(id) {
                    live.shim_pid = Some(shim.pid);
                }
                self.hold_agent(id);
                self.watch_shim(id.clone(), pidfd, Kinship::Adopted);
            }
            Ok(None) => {
                if let Some(live) = self.tasks.get_mut(id) {
                    live.shim_end = ShimEnd::Seen;
                }
                self.shim_is_dead(id);
            }
            Err(error) => {
                tracing::error!(task = %id, %error, "its shim cannot be looked at; it stays as it is for now");
                self.look_later(id);
            }
        }
    }

    fn host_rebooted(&mut self, id: &TaskId, shim: &ProcessId, ours: &ProcessId) {
        match self.read_journal(id) {
            Replayed::All => {}
            Replayed::NotNow => return self.look_later(id),
        }
        let detail = if shim.boot_id == ours.boot_id {
            format!(
                "the pid namespace changed from {} to {}",
                shim.pid_ns, ours.pid_ns
            )
        } else {
            format!(
                "the boot id changed from {} to {}",
                shim.boot_id, ours.boot_id
            )
        };
        match container::of(&self.service, id) {
            Some(container) => self.empty_container(id, container, detail),
            None => self.step(id, Input::Fact(Fact::HostRebooted { detail })),
        }
    }
}

/// One line per ended task; a hint where it was interrupted.
pub(super) fn log_end(task: &Task) {
    let Some(ending) = &task.ending else { return };
    let id = task.id();
    tracing::info!(
        task = %id,
        key = %task.spec.key,
        status = %ending.status,
        reason = %ending.reason,
        basis = %ending.basis,
        "ended"
    );
    if ending.status == Status::Interrupted {
        let ran_ms = task
            .started_at
            .map(|from| ending.finished_at.since_ms(from));
        let ran_s = ran_ms.unwrap_or(0) / 1000;
        let again = if task.spec.key == Key::from(id) {
            format!("`agentctl retry {id}` does it again")
        } else {
            "dispatch the key again to start fresh".to_owned()
        };
        tracing::warn!(
            "[recovery] task {id} (key {}, provider {}) was interrupted after {ran_s} s: {}; \
             `agentctl why {id}` tells more; {again}",
            task.spec.key,
            task.spec.provider,
            ending.reason.label(),
        );
    }
}
