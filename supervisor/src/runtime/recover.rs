//! After a restart: what every task of the ledger's running set is now.

use lifecycle::{Fact, Input, Task};
use protocol::shim::ProcessId;
use protocol::{Status, TaskId};
use sys::claim::ClaimedBy;
use sys::hook::SUP_SIGNAL;
use sys::process;

use super::claims;
use super::core_loop::Core;
use super::live::Live;
use crate::ledger::{LedgerError, LiveTask};
use crate::shim::Kinship;

/// SIGUSR1: a shim that waits for its next try to connect tries now.
const WAKE_SIGNAL: i32 = 10;

impl Core {
    /// Rebuilds the running set, and gives every task of it its end or its
    /// shim.
    pub(super) async fn recover(&mut self) -> Result<(), LedgerError> {
        let found = self.ledger.live().await?;
        for live in found {
            self.rebuild(live);
        }
        let ids: Vec<TaskId> = self.tasks.keys().cloned().collect();
        for id in &ids {
            self.step(id, Input::Fact(Fact::Recovered));
            self.look_at(id);
        }
        self.flush().await?;
        for event in self.ledger.sweep_sessions(super::clock::now()).await? {
            self.batch.take_event(event);
        }
        self.flush().await
    }

    fn rebuild(&mut self, found: LiveTask) {
        let Some(task) = Task::fold(&found.events) else {
            tracing::error!(task = %found.secret.task_id, "its events do not begin with its admission; left alone");
            return;
        };
        let shown = self.service.folders.shown(task.id());
        self.live_keys
            .insert(task.spec.key.clone(), task.id().clone());
        let id = task.id().clone();
        self.tasks.insert(id, Live::new(task, found.secret, shown));
    }

    /// The claim tells which process to look at.
    fn look_at(&mut self, id: &TaskId) {
        let claim = match claims::read(&self.service, id) {
            Ok(claim) => claim,
            Err(error) => {
                tracing::error!(task = %id, %error, "its claim cannot be read; it stays as it is until its shim reports");
                return;
            }
        };
        match claim {
            None => self.claim_against_shims(
                id,
                "the supervisor ended between the commit of the row and the start of the shim"
                    .to_string(),
            ),
            Some(claim) => match claim.by {
                ClaimedBy::Supervisor => self.step(
                    id,
                    Input::Fact(Fact::NeverStarted {
                        detail: "an earlier supervisor had decided that it never started"
                            .to_string(),
                    }),
                ),
                ClaimedBy::Shim => self.look_for_shim(id, &claim.process),
            },
        }
    }

    fn look_for_shim(&mut self, id: &TaskId, shim: &ProcessId) {
        let service = self.service.clone();
        let ours = &service.identity;
        if shim.boot_id != ours.boot_id || shim.pid_ns != ours.pid_ns {
            self.read_journal(id);
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
            self.step(id, Input::Fact(Fact::HostRebooted { detail }));
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
                self.watch_shim(id.clone(), pidfd, Kinship::Adopted);
            }
            Ok(None) => {
                self.read_journal(id);
                self.shim_is_dead(id);
            }
            Err(error) => {
                tracing::error!(task = %id, %error, "its shim cannot be looked at; it stays as it is until the shim reports");
            }
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
        let ran_s = ending.finished_at.since_ms(task.started_at) / 1000;
        tracing::warn!(
            "[recovery] task {id} (key {}, provider {}) was interrupted after {ran_s} s: {}; \
             `agentctl why {id}` tells more; dispatch the key again to start fresh",
            task.spec.key,
            task.spec.provider,
            ending.reason.label(),
        );
    }
}
