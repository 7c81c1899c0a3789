//! A disk that stays full (R5): what could not be committed is kept in order, and
//! the supervisor goes on serving. Nothing of it is done, answered or published
//! before it is durable, with one exception: a forced stop is sent from memory, its
//! evidence says `not_durable`, and it is recorded when there is room.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lifecycle::{Action, Fact, Input};
use protocol::control::{ErrorBody, Response};
use protocol::view::StopResult;
use protocol::{StopReason, TaskId};
use tokio::sync::oneshot;

use super::batch::{Batch, Durable, Promised, Stop, Urgency, promises};
use super::core_loop::Core;
use super::live::End;
use super::stop;
use super::unrecorded::{Why, stop_not_recorded};
use crate::control::ReplySender;
use crate::ledger::LedgerError;

/// Between two tries to commit what waits.
const PAUSE: Duration = Duration::from_millis(250);

/// How long the supervisor, told to go, waits for room: less than a service manager
/// waits for its end.
const LAST_WAIT: Duration = Duration::from_secs(20);

/// The same when the machine goes down, which is not delayed for this.
const LAST_WAIT_OF_THE_MACHINE: Duration = Duration::from_secs(2);

/// Most events that wait for room: some ten thousand tasks that end meanwhile, in a
/// few dozen MB. Beyond that the supervisor leaves: shims and journals have it all.
const MAX_EVENTS: usize = 100_000;

/// What waits for room.
#[derive(Default)]
pub(super) struct Unsaved {
    batch: Batch,
    retry_at: Option<Instant>,
    /// When it leaves without having recorded it.
    give_up_at: Option<Instant>,
    why: Why,
    /// Tasks that are stopped from memory.
    forced: BTreeSet<TaskId>,
    /// Those of them whose shims were sent a stop.
    sent: BTreeSet<TaskId>,
    callers: Vec<Caller>,
    /// What the start would have looked over, had it been recorded.
    pub(super) sessions: Sessions,
}

/// Whether the sessions were looked over at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sessions {
    /// They were, or will be right away.
    #[default]
    Swept,
    /// There was no room for what that tells.
    Due,
}

/// Who wants stops, and is told when their tasks have ended, as far as memory knows.
pub(super) struct Caller {
    /// Those that have not ended.
    pub(super) ids: Vec<TaskId>,
    /// Of the others.
    pub(super) results: Vec<StopResult>,
    /// Of names that matched nothing.
    pub(super) failed: Vec<(String, ErrorBody)>,
    /// Who asks.
    pub(super) reply: ReplySender,
}

impl Unsaved {
    /// Something waits.
    pub(super) const fn waits(&self) -> bool {
        self.retry_at.is_some()
    }

    /// What waits, if it is time to try it again.
    pub(super) fn take_due(&mut self) -> Option<Batch> {
        let due = self.retry_at.is_some_and(|at| at <= Instant::now());
        due.then(|| std::mem::take(&mut self.batch))
    }

    /// Why it waits.
    pub(super) const fn why(&self) -> Why {
        self.why
    }

    /// When the next try is due.
    pub(super) const fn next_due(&self) -> Option<Instant> {
        self.retry_at
    }
}

impl Core {
    /// A group could not be recorded: it is kept, and what comes behind it with it.
    pub(super) fn wait_to_record(&mut self, batch: Batch, error: &LedgerError) {
        if !self.unsaved.waits() {
            tracing::warn!(%error, "nothing can be recorded: what happens is kept in memory and by the shims, and of all requests only forced stops are acted on");
        }
        self.unsaved.why = Why::of(error);
        self.unsaved.retry_at = Some(Instant::now() + PAUSE);
        self.keep_unsaved(batch);
    }

    /// Commits everything, where what follows does not rest on it.
    pub(super) async fn flush_or_wait(&mut self) -> Result<(), LedgerError> {
        match self.flush().await {
            Err(error) if error.passes() => Ok(()),
            flushed => flushed,
        }
    }

    /// Keeps what comes behind what could not be recorded, and does what does not
    /// wait for that.
    pub(super) fn keep_unsaved(&mut self, batch: Batch) {
        let mut batch = std::mem::take(&mut self.unsaved.batch).followed_by(batch);
        for (reply, response) in batch.replies.drain(..) {
            let new = if let Response::Task { task, .. } = &response {
                Some(&task.id)
            } else {
                None
            };
            reply.send(if promises(&response) {
                Response::Error(self.recorded_later(new))
            } else {
                response
            });
        }
        for Promised { id, reply, given } in batch.promised.drain(..) {
            reply.send(Response::Error(self.recorded_later(Some(&id))));
            // The job may have ended.
            let _ = given.send(());
        }
        // They read, or wait for what a commit will tell.
        for job in batch.jobs.drain(..) {
            self.jobs.spawn(job);
        }
        for stop in std::mem::take(&mut batch.stops) {
            match stop.urgency {
                Urgency::Orderly => {
                    let refusal = stop_not_recorded(self.unsaved.why, &stop);
                    stop.reply.send(refusal);
                }
                Urgency::Forced => self.force_from_memory(stop),
            }
        }
        self.keep_from_starting(&mut batch);
        self.unsaved.callers.extend(self.stopping.take_over());
        let (now, later): (Vec<_>, Vec<_>) = std::mem::take(&mut batch.actions)
            .into_iter()
            .partition(|(task, action)| self.goes_on(&batch, task, action));
        batch.actions = later;
        self.unsaved.batch = batch;
        for (task, action) in now {
            self.perform_from_memory(&task, action);
        }
        self.tell_forced();
    }

    /// Is it done although what comes with it is not recorded? What forced stops need
    /// is, and what others need that are on record themselves.
    fn goes_on(&self, waits: &Batch, task: &TaskId, action: &Action) -> bool {
        let forced = self.unsaved.forced.contains(task);
        belongs_to_a_stop(action) && (forced || self.is_on_record(waits, task, action))
    }

    /// Does it carry out a stop that is recorded? What was asked for while the last
    /// try was under way has yet to join what waits.
    fn is_on_record(&self, waits: &Batch, task: &TaskId, action: &Action) -> bool {
        let recorded = |intent: u64| !waits.asks_for(intent) && !self.batch.asks_for(intent);
        if let Action::SendStop(order) = action {
            return recorded(order.intent_id);
        }
        let live = self.tasks.get(task);
        live.is_some_and(|live| live.task.intents.iter().any(|intent| recorded(intent.id)))
    }

    /// What a shim was sent before it is recorded is on record as that.
    fn perform_from_memory(&mut self, id: &TaskId, action: Action) {
        let forced = self.unsaved.forced.contains(id);
        let is_stop = forced && matches!(action, Action::SendStop(_));
        self.perform(id, action);
        let has_link = self.tasks.get(id).is_some_and(|live| live.link.is_some());
        if is_stop && has_link && self.unsaved.sent.insert(id.clone()) {
            let detail = format!(
                "{}: the forced stop was sent to the shim before it was recorded",
                self.unsaved.why.in_words()
            );
            self.step(id, Input::Fact(Fact::NotDurable { detail }));
        }
    }

    fn force_from_memory(&mut self, stop: Stop) {
        for id in &stop.ids {
            if !self.tasks.contains_key(id) || !self.unsaved.forced.insert(id.clone()) {
                continue;
            }
            tracing::warn!(task = %id, "a forced stop is not recorded: it is sent from memory");
        }
        let failed = stop.failed;
        match stop.durable {
            Durable::Answer(results) => {
                let response = Response::StoppedFromMemory { results, failed };
                stop.reply.send(response);
            }
            Durable::Wait(..) => self.unsaved.callers.push(Caller {
                ids: stop.ids,
                results: stop.known,
                failed,
                reply: stop.reply,
            }),
        }
    }

    /// Answers those whose tasks have all ended, as far as memory knows.
    fn tell_forced(&mut self) {
        let tasks = &self.tasks;
        self.unsaved.callers.retain_mut(|caller| {
            let lives = |id: &TaskId| {
                let live = tasks.get(id);
                live.is_some_and(|live| live.task.ending.is_none())
            };
            if caller.ids.iter().any(lives) {
                return !caller.reply.is_closed();
            }
            let mut results = std::mem::take(&mut caller.results);
            let ended = caller.ids.iter().filter_map(|id| tasks.get(id));
            results.extend(ended.map(|live| stop::result_of_end(&live.view(), live.tree_end())));
            caller.reply.send(Response::StoppedFromMemory {
                results,
                failed: std::mem::take(&mut caller.failed),
            });
            false
        });
    }

    /// Told to go, it does not wait for room for ever; told again, not at all.
    pub(super) fn hurry_unsaved(&mut self) {
        let now = Instant::now();
        self.unsaved.give_up_at = match self.unsaved.give_up_at {
            None => now.checked_add(last_wait(self.drains.reason())),
            Some(_) => Some(now),
        };
    }

    /// Is it to leave although something waits? The shims have it all.
    pub(super) fn gives_up_waiting(&mut self) -> bool {
        if !self.unsaved.waits() {
            return false;
        }
        let goes = self.leaving || self.drains.leaves_by(Instant::now());
        if goes && self.unsaved.give_up_at.is_none() {
            self.hurry_unsaved();
        }
        let time_is_over = self
            .unsaved
            .give_up_at
            .is_some_and(|at| at <= Instant::now());
        time_is_over || self.unsaved.batch.events.len() > MAX_EVENTS
    }

    /// There is room again: those who still wait are told what is durable.
    pub(super) fn end_of_full_disk(&mut self) {
        self.tell_forced();
        if self.unsaved.retry_at.take().is_some() {
            tracing::info!("what had waited is recorded");
        }
        self.unsaved.give_up_at = None;
        self.unsaved.forced.clear();
        self.unsaved.sent.clear();
        for caller in std::mem::take(&mut self.unsaved.callers) {
            let mut ends: Vec<oneshot::Receiver<End>> = Vec::new();
            for id in &caller.ids {
                if let Some(live) = self.tasks.get_mut(id) {
                    let (tell, told) = oneshot::channel();
                    live.tell_end(tell);
                    ends.push(told);
                }
            }
            self.jobs.spawn(async move {
                let mut results = caller.results;
                for told in ends {
                    let Ok(end) = told.await else { return };
                    results.push(stop::result_of_end(&end.view, end.tree));
                }
                let failed = caller.failed;
                caller.reply.send(Response::Stopped { results, failed });
            });
        }
    }
}

/// How long is waited for room at the end, whatever it is the end of.
const fn last_wait(reason: Option<StopReason>) -> Duration {
    if matches!(reason, Some(StopReason::HostShutdown)) {
        LAST_WAIT_OF_THE_MACHINE
    } else {
        LAST_WAIT
    }
}

/// What a stop needs, and nothing that starts, acknowledges or settles.
const fn belongs_to_a_stop(action: &Action) -> bool {
    match action {
        Action::SendStop(_)
        | Action::SweepTree { .. }
        | Action::LookBehindShim { .. }
        | Action::EndWithoutShim
        | Action::Arm { .. }
        | Action::Disarm(_) => true,
        Action::SpawnShim | Action::Acknowledge { .. } | Action::Settle => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_goes_down_is_not_delayed_for_want_of_room() {
        assert!(last_wait(Some(StopReason::HostShutdown)) <= Duration::from_secs(2));
        for other in [
            None,
            Some(StopReason::HubRestart),
            Some(StopReason::HubShutdown),
        ] {
            assert_eq!(last_wait(other), LAST_WAIT);
        }
    }
}
