//! The one task that owns all state.
//!
//! A turn: take everything that waits → `decide` each → one transaction →
//! actions → answers → subscribers. Nothing is done, answered or published
//! before the events that it rests on are durable (R5). A transaction is under way
//! beside the next turns ([`flight`](super::flight)).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use lifecycle::{Effects, Event, EventBody, Input, Now, Task, decide, evolve};
use protocol::shim::ProgressReport;
use protocol::view::{EventView, PROGRESS_EVENT};
use protocol::{Key, TaskId, Timestamp};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use super::batch::Batch;
use super::clock::{self, Jumps};
use super::drain::Drains;
use super::flight::{Flight, Landed, landed};
use super::held::Held;
use super::input::CoreInput;
use super::live::{End, Live};
use super::pulse::Pulse;
use super::queue::Queue;
use super::service::Service;
use super::settle::Unbegun;
use super::stopping::Stopping;
use super::timers::Timers;
use super::unsaved::Unsaved;
use crate::events::Hub;
use crate::gateway::{Figures, LastWord};
use crate::ledger::{Front, LedgerError, LedgerHandle, OpenReport};
use crate::provider::ProviderFiles;

/// Most inputs in one transaction: bounds the time to the first answer.
const MAX_BATCH: usize = 512;

/// All state of a running supervisor.
pub(super) struct Core {
    /// What does not change while it runs.
    pub(super) service: Arc<Service>,
    /// The provider files.
    pub(super) providers: ProviderFiles,
    /// The ledger's threads.
    pub(super) ledger: LedgerHandle,
    /// What a dispatch has to know of the ledger.
    pub(super) front: Front,
    /// Subscribers of the event log.
    pub(super) hub: Hub,
    /// The running set. Boxed: the tree's nodes are half full.
    pub(super) tasks: BTreeMap<TaskId, Box<Live>>,
    /// The live task of each key.
    pub(super) live_keys: HashMap<Key, TaskId>,
    /// Who of the running set waits for a place.
    pub(super) queue: Queue,
    /// Ended tasks of which something lives on.
    pub(super) held: Held,
    /// Due times.
    pub(super) timers: Timers,
    /// How the wall clock is set.
    jumps: Jumps,
    /// An intent id that was never used.
    pub(super) next_intent: u64,
    /// Shims that this supervisor took over.
    pub(super) adopted: u64,
    /// How long things took, for the metrics.
    pub(super) measures: Figures,
    /// For clients of the gateway, where the ledger fails.
    pub(super) last_word: LastWord,
    /// The orderly end.
    pub(super) drains: Drains,
    /// The sign of life for the service manager.
    pub(super) pulse: Pulse,
    /// The loop ends when everything is committed and answered.
    pub(super) leaving: bool,
    /// Tasks that ended, and whose folders are not settled yet.
    pub(super) unsettled: Vec<TaskId>,
    /// Those whose settling was asked for and has not begun.
    pub(super) unbegun: Unbegun,
    /// Taken by whoever prunes.
    pub(super) pruning: Arc<tokio::sync::Mutex<()>>,
    /// What is to be committed next.
    pub(super) batch: Batch,
    /// What is being committed.
    pub(super) flight: Option<Flight>,
    /// Stops that are recorded and carried out.
    pub(super) stopping: Stopping,
    /// What earlier turns could not commit.
    pub(super) unsaved: Unsaved,
    /// Links, watches, sweeps and slow answers.
    pub(super) jobs: JoinSet<()>,
    /// For jobs that report back.
    pub(super) inputs: mpsc::Sender<CoreInput>,
}

/// Why the loop ended.
#[derive(Debug)]
pub(super) enum LoopEnd {
    /// A signal asked to stop.
    Asked,
    /// The ledger cannot be trusted any more.
    Ledger(LedgerError),
}

impl Core {
    /// An empty one; [`Core::recover`] fills it.
    pub(super) fn new(
        (service, providers): (Arc<Service>, ProviderFiles),
        (ledger, front): (LedgerHandle, Front),
        report: &OpenReport,
        inputs: mpsc::Sender<CoreInput>,
    ) -> Self {
        Self {
            service,
            providers,
            ledger,
            front,
            hub: Hub::new(report.next_seq.saturating_sub(1)),
            tasks: BTreeMap::new(),
            live_keys: HashMap::new(),
            queue: Queue::default(),
            held: Held::default(),
            timers: Timers::default(),
            jumps: Jumps::from(clock::now(), Instant::now()),
            next_intent: report.next_intent,
            adopted: 0,
            measures: Figures::default(),
            last_word: LastWord::default(),
            drains: Drains::default(),
            pulse: Pulse::find(),
            leaving: false,
            unsettled: Vec::new(),
            unbegun: Unbegun::default(),
            pruning: Arc::default(),
            batch: Batch::default(),
            flight: None,
            stopping: Stopping::default(),
            unsaved: Unsaved::default(),
            jobs: JoinSet::new(),
            inputs,
        }
    }

    /// Runs until it is asked to stop or the ledger fails.
    pub(super) async fn run(&mut self, inputs: &mut mpsc::Receiver<CoreInput>) -> LoopEnd {
        let mut taken = Vec::with_capacity(MAX_BATCH);
        loop {
            let landed = self.wait_for_input(inputs, &mut taken).await;
            if let Err(error) = self.turn(landed, &mut taken).await {
                return self.give_up(error);
            }
            if self.gives_up_waiting() {
                return LoopEnd::Ledger(LedgerError::Waiting);
            }
            let done = self.batch.is_empty() && self.flight.is_none() && !self.unsaved.waits();
            if self.leaving && done {
                return LoopEnd::Asked;
            }
        }
    }

    /// One turn over what landed and what was `taken`, which is empty afterwards.
    async fn turn(
        &mut self,
        landed: Option<Landed>,
        taken: &mut Vec<CoreInput>,
    ) -> Result<(), LedgerError> {
        self.bury_jobs();
        self.note_jump();
        if let Some(landed) = landed {
            self.land(landed).await?;
        }
        for input in taken.drain(..) {
            self.take(input).await?;
        }
        for (task, timer) in self.timers.take_due(Instant::now()) {
            self.step(&task, Input::Timer(timer));
        }
        if self.unsaved.waits() || self.batch.lingers_until().is_none() {
            self.send_off().await;
        }
        match self.look_around().await {
            Err(error) if error.passes() => {}
            looked => looked?,
        }
        if !self.is_stuck() {
            self.beat();
        }
        Ok(())
    }

    /// What the turn changed: only what is recorded lets anything begin.
    async fn look_around(&mut self) -> Result<(), LedgerError> {
        if self.unsaved.waits() {
            return Ok(());
        }
        self.sweep_sessions_if_due().await?;
        self.take_turns().await?;
        self.look_at_fleet().await
    }

    fn is_stuck(&self) -> bool {
        self.flight.as_ref().is_some_and(Flight::is_stuck)
    }

    /// Silence is measured between times that others tell: they are of one kind
    /// again when the agent's last word is moved along with the clock.
    fn note_jump(&mut self) {
        let Some(jumped_ms) = self.jumps.next(clock::now(), Instant::now()) else {
            return;
        };
        tracing::warn!(jumped_ms, "the wall clock was set, or the machine slept");
        for live in self.tasks.values_mut() {
            let silent_from = live.presence.last_output.max(Some(live.task.last_event_at));
            live.presence.last_output =
                silent_from.map(|at| Timestamp(at.0.saturating_add(jumped_ms)));
        }
    }

    /// Forgets every job that has ended: under load there are many in a turn.
    fn bury_jobs(&mut self) {
        while let Some(done) = self.jobs.try_join_next() {
            note_panic(done);
        }
    }

    /// The commit under way, if it has landed. Cancel-safe: `recv_many` takes
    /// nothing unless it completes, and the timers are looked at by [`Core::turn`]
    /// whatever ended the wait.
    async fn wait_for_input(
        &mut self,
        inputs: &mut mpsc::Receiver<CoreInput>,
        taken: &mut Vec<CoreInput>,
    ) -> Option<Landed> {
        // Nothing begins before it can be recorded: they would be due all the time.
        let begins = !self.unsaved.waits();
        let due = [
            self.timers.next_due(),
            self.drains.next_due().filter(|_| begins),
            self.pulse.next_due().filter(|_| !self.is_stuck()),
            self.queue.next_due().filter(|_| begins),
            self.unsaved.next_due().filter(|_| self.flight.is_none()),
            self.batch.lingers_until(),
        ];
        let due = due.into_iter().flatten().min();
        let has_room = self.batch.events.len() < MAX_BATCH;
        tokio::select! {
            biased;
            landed = landed(&mut self.flight) => return Some(landed),
            _ = inputs.recv_many(taken, MAX_BATCH), if has_room => {}
            () = sleep_until(due) => {}
            Some(done) = self.jobs.join_next(), if !self.jobs.is_empty() => note_panic(done),
        }
        None
    }

    /// Feeds one input to a task of the running set. Its state is stepped at
    /// once; everything visible waits for the commit.
    pub(super) fn step(&mut self, id: &TaskId, input: Input) {
        let Some(live) = self.tasks.get_mut(id) else {
            return;
        };
        let now = Now {
            at: clock::now(),
            intent_id: self.next_intent,
        };
        let effects = decide(&live.task, &live.presence, input, now);
        for event in &effects.events {
            step_event(&mut live.task, event);
            if let EventBody::StopRequested { intent_id, .. } = &event.body {
                self.next_intent = self.next_intent.max(intent_id + 1);
            }
        }
        let followed = has_ended(&effects) && live.task.goes_on_fresh();
        self.note_heard(id, &effects.actions);
        self.batch.take(id, effects);
        if followed {
            self.follow_fresh(id);
        }
    }

    /// Tells subscribers what an agent is doing. Volatile: no seq, no commit.
    pub(super) fn publish_progress(&mut self, id: &TaskId, report: &ProgressReport) {
        let Some(text) = &report.text else { return };
        self.hub.progress(&EventView {
            seq: None,
            at: report.at,
            kind: PROGRESS_EVENT.to_string(),
            task_id: Some(id.clone()),
            payload: serde_json::json!({ "text": text }).to_string(),
        });
    }

    /// Those who wait for an exec or an end hear of it.
    pub(super) fn tell_waiters(&mut self, events: &[Event]) {
        for event in events {
            let Some(id) = &event.task_id else { continue };
            if matches!(event.body, EventBody::Started { .. }) {
                self.tell_started(id);
            } else if matches!(event.body, EventBody::Ended(_)) {
                self.retire(id);
            }
        }
    }

    fn tell_started(&mut self, id: &TaskId) {
        self.hold_agent(id);
        let Some(live) = self.tasks.get_mut(id) else {
            return;
        };
        let (view, row_at) = (live.view(), live.task.started_at);
        for waiter in live.on_start.drain(..) {
            // The caller may have hung up.
            let _ = waiter.send(view.clone());
        }
        if let Some(row_at) = row_at {
            self.measure_launch(row_at);
        }
    }

    /// R11: an ended task leaves the running set.
    fn retire(&mut self, id: &TaskId) {
        let Some(mut live) = self.tasks.remove(id) else {
            return;
        };
        if self.live_keys.get(&live.task.spec.key) == Some(id) {
            self.live_keys.remove(&live.task.spec.key);
        }
        self.queue.remove(id);
        self.queue.stir();
        let (view, tree) = (live.view(), live.tree_end());
        self.stopping.note_end(id, &view, &tree);
        super::recover::log_end(&live.task);
        self.measure_stop(&live.task);
        self.drains.log_settled(id);
        self.held.hold(&live.task, &self.service.identity);
        live.ended.send_replace(true);
        // The callers may have hung up.
        for waiter in live.on_start.drain(..) {
            let _ = waiter.send(view.clone());
        }
        for waiter in live.on_end.drain(..) {
            let (view, tree) = (view.clone(), tree.clone());
            let _ = waiter.send(End { view, tree });
        }
        self.unsettled.push(id.clone());
    }
}

fn has_ended(effects: &Effects) -> bool {
    let is_end = |event: &Event| matches!(event.body, EventBody::Ended(_));
    effects.events.iter().any(is_end)
}

fn step_event(task: &mut Task, event: &Event) {
    // `evolve` takes the task by value; a placeholder would need a default
    // task, which cannot exist, so it is cloned.
    *task = evolve(task.clone(), event);
}

fn note_panic(done: Result<(), JoinError>) {
    if let Err(error) = done
        && error.is_panic()
    {
        tracing::error!(%error, "a job of the supervisor panicked");
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
