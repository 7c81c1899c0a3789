//! Shims that do not answer a stop: the supervisor does their work (R2, R8).

use std::sync::Arc;
use std::time::{Duration, Instant};

use lifecycle::task::Start;
use lifecycle::{Fact, Input, LookBehind, Timer};
use protocol::TaskId;
use sys::PidFd;
use sys::hook::SUP_SIGNAL;
use sys::process;

use super::core_loop::Core;
use super::input::CoreInput;
use super::live::{Live, Watchdog};
use super::shims::Replayed;
use crate::process::watchdog::{self, Ended};

/// Pause before another look behind a shim of which too little can be seen now.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

const KILL: i32 = 9;

impl Live {
    /// How many were ended before the shim, where that is a proof that none is
    /// left. One that had not executed its agent yet could still do so.
    pub(super) const fn proven(&self) -> Option<u32> {
        match (self.watchdog, &self.task.start) {
            (Watchdog::EndedTree(count), Start::Execd { .. }) => Some(count),
            (
                Watchdog::EndedTree(_),
                Start::Queued
                | Start::Refused { .. }
                | Start::Pending
                | Start::Failed { .. }
                | Start::Never { .. },
            )
            | (Watchdog::Rests | Watchdog::EndsTree | Watchdog::GaveUp, _) => None,
        }
    }
}

impl Core {
    /// Holds the agent of `id`, so that its exit can be asked of the kernel
    /// where the shim cannot tell it any more.
    pub(super) fn hold_agent(&mut self, id: &TaskId) {
        let Some(live) = self.tasks.get_mut(id) else {
            return;
        };
        let Some(agent) = live.task.agent() else {
            return;
        };
        match process::same_process(agent) {
            Ok(found) => live.agent_fd = found.map(Arc::new),
            Err(error) => {
                tracing::debug!(task = %id, %error, "the agent cannot be held");
            }
        }
    }

    /// A shim did not answer in time. What it wrote counts before what is seen.
    pub(super) fn look_behind_shim(&mut self, id: &TaskId, known_records: u64) {
        match self.read_journal(id) {
            Replayed::All => {}
            Replayed::NotNow => return self.look_behind_later(id),
        }
        let Some((pid, pidfd)) = self.shim_process(id) else {
            return self.look_behind_later(id);
        };
        let agent = self.tasks.get(id).and_then(|live| live.task.agent());
        let seen = watchdog::look((pid, &pidfd), agent);
        let look = LookBehind {
            known_records,
            ended: seen.ended,
            processes: seen.processes,
        };
        self.step(id, Input::Fact(Fact::ShimSilent(look)));
    }

    /// It is not known which process the shim is, or its end is established
    /// already.
    fn look_behind_later(&mut self, id: &TaskId) {
        if self.tasks.contains_key(id) {
            let due = Instant::now() + LOOK_AGAIN;
            self.timers.arm(id, Timer::Answer, due);
        }
    }

    fn shim_process(&self, id: &TaskId) -> Option<(i32, Arc<PidFd>)> {
        let live = self.tasks.get(id)?;
        Some((live.shim_pid?, live.shim_fd.clone()?))
    }

    /// Ends the tree of a shim that does not answer, in a thread of its own,
    /// and then the shim.
    pub(super) fn end_without_shim(&mut self, id: &TaskId) {
        let Some((pid, pidfd)) = self.shim_process(id) else {
            return;
        };
        let Some(live) = self.tasks.get_mut(id) else {
            return;
        };
        if live.watchdog == Watchdog::EndsTree {
            return;
        }
        tracing::warn!(task = %id, shim = pid, "the shim does not answer a stop; its processes are ended without it");
        live.watchdog = Watchdog::EndsTree;
        // A link that it will not read any more.
        live.link = None;
        live.presence.attached = false;
        let (inputs, id) = (self.inputs.clone(), id.clone());
        self.jobs.spawn(async move {
            let ended = tokio::task::spawn_blocking(move || watchdog::end((pid, &pidfd))).await;
            let ended = ended.unwrap_or_else(|error| {
                tracing::error!(task = %id, %error, "the watchdog panicked");
                Ended {
                    empty: false,
                    met: 0,
                }
            });
            // Closed only when the supervisor leaves; the next one asks the
            // shim again.
            let _ = inputs.send(CoreInput::TreeEnded(id, ended)).await;
        });
    }

    /// The tree is gone or cannot be ended: now the shim. Its end is what the
    /// rest follows from.
    pub(super) fn tree_ended(&mut self, id: &TaskId, ended: Ended) {
        let shim = self.shim_process(id);
        let (Some(live), Some((pid, pidfd))) = (self.tasks.get_mut(id), shim) else {
            return;
        };
        // The leader is one of those that were met.
        let leader = u32::from(live.task.agent().is_some());
        live.watchdog = if ended.empty {
            Watchdog::EndedTree(ended.met.saturating_sub(leader))
        } else {
            Watchdog::GaveUp
        };
        if let Err(error) = pidfd.send_signal(KILL, &SUP_SIGNAL) {
            tracing::error!(task = %id, shim = pid, %error, "a shim that does not answer could not be ended");
            self.look_behind_later(id);
        }
    }
}
