//! The commit under way. While the disk works on one group of inputs, the loop
//! takes the next one.
//!
//! ```text
//! inputs ─▶ batch ─▶ flight ─▶ landed: actions, answers, subscribers
//!          (grows)   (one)
//! ```
//! Groups are committed and carried out in their order, each behind its own commit
//! (R5). A task's state is stepped when its input is taken, as it is within a group.
//! A group for which nobody waits may wait a little itself, for more of its kind.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use protocol::control::Response;
use protocol::view::EventView;
use protocol::{Key, SessionId, TaskId};

use super::batch::{Batch, Durable};
use super::core_loop::Core;
use super::stopping::UnderWay;
use crate::ledger::{LedgerError, LedgerHandle};

/// A loop whose commit takes longer gives no sign of life: it takes inputs, and
/// nothing comes of them.
const STUCK: Duration = Duration::from_secs(5);

/// What became of a commit.
pub(super) type Landed = Result<Vec<EventView>, LedgerError>;

/// A group on its way to the disk.
pub(super) struct Flight {
    batch: Batch,
    begun: Instant,
    answer: Pin<Box<dyn Future<Output = Landed> + Send>>,
    /// The answer, if it was there at once.
    known: Option<Landed>,
}

impl Flight {
    /// The ledger has the group when this returns.
    async fn begin(ledger: &LedgerHandle, batch: Batch) -> Self {
        let (ledger, events) = (ledger.clone(), batch.events.clone());
        let secrets = batch.secrets.clone();
        let mut flight = Self {
            batch,
            begun: Instant::now(),
            answer: Box::pin(async move { ledger.commit(events, secrets).await }),
            known: None,
        };
        poll_fn(|context| {
            if let Poll::Ready(landed) = flight.answer.as_mut().poll(context) {
                flight.known = Some(landed);
            }
            Poll::Ready(())
        })
        .await;
        flight
    }

    /// Whether nothing was heard of it for too long.
    pub(super) fn is_stuck(&self) -> bool {
        self.begun.elapsed() > STUCK
    }

    /// Its answer, once. Cancel-safe.
    async fn landed(&mut self) -> Landed {
        match self.known.take() {
            Some(landed) => landed,
            None => self.answer.as_mut().await,
        }
    }
}

/// The answer of the commit under way, for ever none without one. Cancel-safe;
/// whoever gets one gives it to [`Core::land`].
pub(super) async fn landed(flight: &mut Option<Flight>) -> Landed {
    match flight {
        Some(flight) => flight.landed().await,
        None => std::future::pending().await,
    }
}

impl Core {
    /// Begins the commit of what the batch holds. While one is under way the batch
    /// grows, and so does what only waits for its turn.
    ///
    /// What could not be recorded comes first, and is tried again when that is due.
    pub(super) async fn send_off(&mut self) {
        if self.flight.is_none() && self.unsaved.waits() {
            // What follows from that is recorded with it.
            loop {
                let new = std::mem::take(&mut self.batch);
                self.keep_unsaved(new);
                if self.batch.is_empty() {
                    break;
                }
            }
            if let Some(batch) = self.unsaved.take_due() {
                self.flight = Some(Flight::begin(&self.ledger, batch).await);
            }
            return;
        }
        while self.flight.is_none() && !self.batch.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            if batch.events.is_empty() {
                self.carry_out(batch, &[]);
            } else {
                self.flight = Some(Flight::begin(&self.ledger, batch).await);
            }
        }
    }

    /// Carries out what was committed; the next group is on its way meanwhile.
    pub(super) async fn land(&mut self, landed: Landed) -> Result<(), LedgerError> {
        let Some(flight) = self.flight.take() else {
            return Ok(());
        };
        let published = match landed {
            Ok(published) => published,
            Err(error) if error.passes() => {
                self.wait_to_record(flight.batch, &error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.measures.commits.observe(flight.begun.elapsed());
        self.end_of_full_disk();
        if !self.batch.events.is_empty() && self.batch.lingers_until().is_none() {
            let next = std::mem::take(&mut self.batch);
            self.flight = Some(Flight::begin(&self.ledger, next).await);
        }
        self.carry_out(flight.batch, &published);
        Ok(())
    }

    /// Commits everything, and carries it out.
    ///
    /// # Errors
    /// One that [passes](LedgerError::passes): it is kept, and tried again. Others
    /// are the end.
    pub(super) async fn flush(&mut self) -> Result<(), LedgerError> {
        loop {
            self.send_off().await;
            let Some(flight) = &mut self.flight else {
                return if self.unsaved.waits() {
                    Err(LedgerError::Waiting)
                } else {
                    Ok(())
                };
            };
            let landed = flight.landed().await;
            self.land(landed).await?;
        }
    }

    /// Is something of this key not in the ledger yet, or not carried out?
    pub(super) fn is_unsettled(&self, key: &Key) -> bool {
        let in_flight = |flight: &Flight| {
            // Its task may have ended.
            flight.batch.touches(key) || self.live_keys.contains_key(key)
        };
        self.unsaved.waits()
            || self.batch.touches(key)
            || self.flight.as_ref().is_some_and(in_flight)
    }

    /// The same of a task.
    pub(super) fn is_unsettled_task(&self, id: &TaskId) -> bool {
        self.unsaved.waits()
            || self.batch.is_about(id)
            || self
                .flight
                .as_ref()
                .is_some_and(|flight| flight.batch.is_about(id))
    }

    /// The same of a conversation, whichever key's task was in it.
    pub(super) fn is_unsettled_session(&self, id: &SessionId) -> bool {
        self.batch.touches_session(id)
            || self
                .flight
                .as_ref()
                .is_some_and(|flight| flight.batch.touches_session(id))
    }

    fn carry_out(&mut self, batch: Batch, published: &[EventView]) {
        self.mark_queued(&batch.events);
        for (task, action) in batch.actions {
            self.perform(&task, action);
        }
        self.tell_waiters(&batch.events);
        for job in batch.jobs {
            self.jobs.spawn(job);
        }
        for (reply, response) in batch.replies {
            reply.send(response);
        }
        for stop in batch.stops {
            match stop.durable {
                Durable::Answer(results) => {
                    let failed = stop.failed;
                    stop.reply.send(Response::Stopped { results, failed });
                }
                Durable::Wait(job, given) => {
                    self.jobs.spawn(job);
                    self.stopping.add(UnderWay {
                        ids: stop.ids,
                        results: stop.known,
                        failed: stop.failed,
                        reply: stop.reply.weak(),
                        given,
                    });
                }
            }
        }
        self.hub.publish(published);
        self.settle_folders();
    }
}
