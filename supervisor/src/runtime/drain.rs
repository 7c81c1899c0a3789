//! The drain: what the fleet's state machine decides, done.

use std::time::{Duration, Instant};

use lifecycle::drain::{Drain, DrainOrder, Fleet, FleetAction, FleetInput, Then};
use lifecycle::{Command, Event, EventBody, Fact, HubWord, Input};
use protocol::control::{DrainRequest, ErrorBody, ErrorCode, Response};
use protocol::view::{DrainView, StatusView};
use protocol::{StopReason, TaskId};

use super::clock;
use super::core_loop::Core;
use super::gateway::Asker;
use crate::control::ReplySender;
use crate::ledger::LedgerError;

/// The state of the drain, and who waits for it.
#[derive(Default)]
pub(super) struct Drains {
    fleet: Fleet,
    /// When the time of the phase is over.
    due: Option<Instant>,
    /// When the drain was begun.
    begun: Option<Instant>,
    waiters: Vec<ReplySender>,
    own_signal: OwnSignal,
}

/// The signal that tells us to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum OwnSignal {
    /// Nothing is known of it.
    #[default]
    Unknown,
    /// It was heeded before it came.
    Foreseen,
}

impl Drains {
    /// When the loop has to look at it.
    pub(super) const fn next_due(&self) -> Option<Instant> {
        self.due
    }

    /// The word for where it is.
    pub(super) const fn phase(&self) -> &'static str {
        self.fleet.phase()
    }

    /// Is new work welcome?
    pub(super) const fn admits(&self) -> bool {
        match self.fleet {
            Fleet::Admitting => true,
            Fleet::Draining(_) | Fleet::Stopping(_) | Fleet::Forced(_) | Fleet::Drained(_) => false,
        }
    }

    /// Why the drain under way was begun.
    pub(super) fn reason(&self) -> Option<StopReason> {
        self.fleet.drain().map(|drain| drain.order.reason)
    }

    /// What follows the drain under way.
    pub(super) fn then(&self) -> Option<Then> {
        self.fleet.drain().map(|drain| drain.order.then)
    }

    /// Are we on our way out, and is the time of the phase over at `now`? A machine that
    /// goes down gives none.
    pub(super) fn leaves_by(&self, now: Instant) -> bool {
        let over = self.due.is_none_or(|due| due <= now);
        self.then() == Some(Then::Leave)
            && (over || self.reason() == Some(StopReason::HostShutdown))
    }

    /// Our own signal is on its way, and is heeded already.
    pub(super) fn foresee(&mut self) {
        self.own_signal = OwnSignal::Foreseen;
    }

    /// Is this the signal that was heeded before it came?
    pub(super) fn was_foreseen(&mut self) -> bool {
        std::mem::take(&mut self.own_signal) == OwnSignal::Foreseen
    }

    fn elapsed_ms(&self) -> u128 {
        self.begun.map_or(0, |begun| begun.elapsed().as_millis())
    }

    /// One line per task that ends in a drain.
    pub(super) fn log_settled(&self, id: &TaskId) {
        if !self.admits() {
            tracing::info!("[shutdown] task {id} settled after {}", self.elapsed_ms());
        }
    }
}

impl Core {
    /// `drain`.
    pub(super) async fn drain(
        &mut self,
        request: DrainRequest,
        asker: Asker,
        reply: ReplySender,
    ) -> Result<(), LedgerError> {
        // Where nothing can be recorded, nothing is begun and nothing called off.
        self.flush().await?;
        match request {
            DrainRequest::Begin {
                deadline_ms,
                no_wait,
            } => {
                let order = DrainOrder {
                    reason: StopReason::HubShutdown,
                    drain_ms: deadline_ms.unwrap_or(self.service.config.shutdown.drain_ms),
                    grace_ms: self.service.config.shutdown.grace_ms,
                    then: Then::Stay,
                    requested_by: asker.look_up(),
                };
                let before = self.drains.waiters.len();
                if !no_wait {
                    self.drains.waiters.push(reply.clone());
                }
                self.decide_fleet(FleetInput::Begin(order)).await?;
                if !self.flush_for(&reply).await? {
                    self.drains.waiters.truncate(before);
                    return Ok(());
                }
                if no_wait {
                    self.tell_status(reply).await?;
                }
                Ok(())
            }
            DrainRequest::Cancel if self.drains.then() == Some(Then::Leave) => {
                let refusal =
                    ErrorBody::new(ErrorCode::Conflict, "the supervisor is on its way out")
                        .with_hint("start it again; live agents are adopted");
                self.batch.answer(reply, Response::Error(refusal));
                Ok(())
            }
            DrainRequest::Cancel => {
                self.decide_fleet(FleetInput::Cancel).await?;
                if !self.flush_for(&reply).await? {
                    return Ok(());
                }
                self.tell_status(reply).await
            }
        }
    }

    /// The phase's time is over, or nothing is left: whatever the turn changed.
    pub(super) async fn look_at_fleet(&mut self) -> Result<(), LedgerError> {
        if self.drains.due.is_some_and(|due| due <= Instant::now()) {
            self.drains.due = None;
            self.step_fleet(FleetInput::TimeOver).await?;
        }
        if self.running() == 0 && !self.drains.admits() {
            self.step_fleet(FleetInput::Empty).await?;
        }
        Ok(())
    }

    /// Every step is durable, done and published before the next one: who is
    /// to hear of a drain hears of it before anything is stopped.
    pub(super) async fn step_fleet(&mut self, input: FleetInput) -> Result<(), LedgerError> {
        self.decide_fleet(input).await?;
        self.flush().await
    }

    /// The step, without its commit.
    async fn decide_fleet(&mut self, input: FleetInput) -> Result<(), LedgerError> {
        if let (FleetInput::Begin(order), Some(drain)) = (&input, self.drains.fleet.drain()) {
            let (reason, first) = (order.reason, drain.order.reason);
            tracing::info!(%reason, %first, "a drain joined the one under way");
        }
        let fleet = std::mem::take(&mut self.drains.fleet);
        let (fleet, actions) = fleet.step(input, clock::now());
        let drain = fleet.drain().cloned();
        self.drains.fleet = fleet;
        for action in actions {
            self.act_on_fleet(action, drain.as_ref()).await?;
        }
        Ok(())
    }

    async fn act_on_fleet(
        &mut self,
        action: FleetAction,
        drain: Option<&Drain>,
    ) -> Result<(), LedgerError> {
        match (action, drain) {
            (FleetAction::Announce, Some(drain)) => self.announce(drain),
            (FleetAction::Arm(due), _) => {
                let wait = Duration::from_millis(due.since_ms(clock::now()));
                self.drains.due = Instant::now().checked_add(wait);
                self.extend_the_stop(wait);
            }
            (FleetAction::Disarm, _) => self.drains.due = None,
            (FleetAction::StopAll(grace_ms), Some(drain)) => self.stop_all(drain, grace_ms),
            (FleetAction::TellDrained, Some(drain)) => {
                let reason = drain.order.reason;
                self.supervisor_event(EventBody::Drained { reason });
                for waiter in std::mem::take(&mut self.drains.waiters) {
                    self.tell_status(waiter).await?;
                }
            }
            (FleetAction::Readmit, _) => self.readmit(),
            (FleetAction::Leave, _) => self.leave(),
            (FleetAction::Announce | FleetAction::StopAll(_) | FleetAction::TellDrained, None) => {}
        }
        Ok(())
    }

    /// Where systemd runs us and cannot be asked how long a stop may take, it is
    /// told how long this phase does.
    fn extend_the_stop(&self, wait: Duration) {
        const MARGIN: Duration = Duration::from_secs(10);
        if self.drains.then() == Some(Then::Leave) && self.service.managed.manager.is_none() {
            self.pulse.notify().extend(wait.saturating_add(MARGIN));
        }
    }

    fn announce(&mut self, drain: &Drain) {
        let busy = self.running_ids();
        self.drains.begun = Some(Instant::now());
        tracing::info!("[shutdown] draining {} tasks", busy.len());
        let order = &drain.order;
        self.supervisor_event(EventBody::Draining {
            reason: order.reason,
            requested_by: order.requested_by.clone(),
            deadline: drain.deadline,
        });
        self.supervisor_event(EventBody::ServiceShutdown {
            phase: "draining".to_string(),
            reason: order.reason,
            drain_ms: order.drain_ms,
            deadline: drain.deadline,
            survives: Vec::new(),
            will_stop: busy.clone(),
            busy: busy.clone(),
        });
        for id in &busy {
            let word = HubWord::Drains(order.reason);
            self.step(id, Input::Fact(Fact::Hub(word)));
        }
    }

    fn stop_all(&mut self, drain: &Drain, grace_ms: u64) {
        let ids = self.running_ids();
        if grace_ms == 0 && !ids.is_empty() {
            tracing::warn!(
                tasks = ids.len(),
                "[shutdown] force-abort after {}",
                self.drains.elapsed_ms()
            );
        }
        for id in &ids {
            let stop = Command::Stop {
                reason: drain.order.reason,
                requested_by: drain.order.requested_by.clone(),
                note: None,
                grace_ms: Some(grace_ms),
            };
            self.step(id, Input::Command(stop));
        }
    }

    fn readmit(&mut self) {
        tracing::info!("the drain was called off: new work is welcome again");
        self.drains.begun = None;
        self.supervisor_event(EventBody::Admitting {});
        for id in &self.running_ids() {
            self.step(id, Input::Fact(Fact::Hub(HubWord::Admits)));
        }
        self.queue.stir();
        for waiter in std::mem::take(&mut self.drains.waiters) {
            let refusal = ErrorBody::new(ErrorCode::Conflict, "the drain was called off");
            self.batch.answer(waiter, Response::Error(refusal));
        }
    }

    /// An event that belongs to no task.
    pub(super) fn supervisor_event(&mut self, body: EventBody) {
        self.batch.take_event(Event {
            at: clock::now(),
            task_id: None,
            record: None,
            body,
        });
    }

    async fn tell_status(&mut self, reply: ReplySender) -> Result<(), LedgerError> {
        let info = self.ledger.info().await?;
        let mut status = self.status_so_far();
        status.unit = self.service.managed.view(&self.shims()).await;
        status.tasks.ended = info.tasks.ended;
        status.ledger = info.view;
        status.ledger_id = info.ledger_id;
        let drains = self.refuse_while_draining().err();
        let refusing = drains.or(super::dispatch::refuse_without_room(&self.ledger).await?);
        self.batch
            .answer(reply, Response::of_status(status, refusing));
        Ok(())
    }

    /// `status`, less what only the ledger and the service manager know.
    pub(super) fn status_so_far(&self) -> StatusView {
        let mut status = self.service.facts().status();
        status.tasks.running = self.running() as u64;
        status.tasks.queued = self.queue.len() as u64;
        status.adopted = self.adopted;
        status.phase = self.drains.phase().to_string();
        status.drain = self.drains.fleet.drain().map(|drain| DrainView {
            reason: drain.order.reason.to_string(),
            since: drain.since,
            deadline: drain.deadline,
            busy: self.running_ids(),
        });
        status
    }
}
