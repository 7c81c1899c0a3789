//! Starts that are called off while nothing can be recorded.

use lifecycle::{Action, Fact, Input};
use protocol::TaskId;

use super::batch::Batch;
use super::claims;
use super::core_loop::Core;
use super::live::ShimEnd;

impl Core {
    /// A task that is to stop before its start was recorded is not started: nobody
    /// has spawned its shim, and nobody will. That is recorded with its start.
    pub(super) fn keep_from_starting(&mut self, batch: &mut Batch) {
        let tasks = &self.tasks;
        let is_to_stop = |id: &TaskId| {
            let live = tasks.get(id);
            live.is_some_and(|live| !live.task.intents.is_empty())
        };
        let starts = batch.actions.extract_if(.., |(id, action)| {
            *action == Action::SpawnShim && is_to_stop(id)
        });
        let starts: Vec<TaskId> = starts.map(|(id, _)| id).collect();
        for id in starts {
            tracing::info!(task = %id, "to be stopped before its start is recorded: it is not started");
            let Some(live) = self.tasks.get_mut(&id) else {
                continue;
            };
            live.start = None;
            live.shim_end = ShimEnd::Seen;
            // Whoever finds it in the queue must not start it. Of one that has no row
            // yet nobody will know anything, and a claim without a row would tell of
            // a ledger that was put back.
            if live.task.queued_at.is_some()
                && !batch.enqueues(&id)
                && let Err(error) = claims::make(&self.service, &id)
            {
                tracing::warn!(task = %id, %error, "the claim of a task that is not to start could not be made");
            }
            let detail = "it was to be stopped before its start was recorded".to_string();
            self.step(&id, Input::Fact(Fact::StartCalledOff { detail }));
        }
    }
}
