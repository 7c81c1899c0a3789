//! Stitches the ledger's events and the new ones into one stream.
//!
//! ```text
//!   replay ──short page──▶ live ──missed──▶ replay
//!     │                     │
//!     └── nothing more ─────┴── the task has ended ──▶ end
//! ```
//!
//! `next` is the seq that the reader expects. Replay asks the ledger from
//! `next` on until a page is not full; a live event before `next` was replayed
//! already and is left out. A page that is read after the subscription began
//! (or after the word that something was missed) holds everything that the
//! queue will not deliver, so nothing is lost in between.

use std::sync::Arc;

use protocol::TaskId;
use protocol::control::{ErrorBody, ErrorCode, Response};
use protocol::view::{EventView, GAP_EVENT};

use super::TASK_ENDED;
use super::hub::{Delivery, Subscription};
use crate::reply::{HungUp, ReplySender};

/// Most events that are asked of the ledger at once: they are in memory
/// together.
const PAGE: u32 = 256;

/// The ledger cannot be read, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read the event log: {0}")]
pub struct PageError(pub String);

/// Reads stored events.
pub trait Pager: Send + Sync {
    /// At most `limit` events of the wanted task (or of all) with a seq of
    /// `from_seq` or more, in order. Fewer than `limit` means that there are no
    /// more now.
    fn page(
        &self,
        from_seq: u64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<EventView>, PageError>> + Send;
}

/// How far to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What is stored now. Also for a task that has ended already.
    Stored,
    /// Until the reader goes.
    Endless,
    /// Until this task, which lives when the subscription begins, has ended.
    UntilEnded(TaskId),
}

/// Serves one reader.
#[derive(Debug)]
pub struct Follower<P> {
    pager: P,
    /// The filter's task, for which gaps of the ledger cannot be told.
    task: Option<TaskId>,
    extent: Extent,
    subscription: Subscription,
    next: u64,
    reply: ReplySender,
}

/// Is there more?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    GoesOn,
    Ended,
}

/// Why it stopped early.
enum Stop {
    HungUp,
    Unreadable(PageError),
}

impl From<HungUp> for Stop {
    fn from(HungUp: HungUp) -> Self {
        Self::HungUp
    }
}

impl<P: Pager> Follower<P> {
    /// A follower from `from_seq` on, or of what is new only. The pager and the
    /// subscription have the same filter: `task`.
    pub fn new(
        subscription: Subscription,
        pager: P,
        from_seq: Option<u64>,
        task: Option<TaskId>,
        extent: Extent,
        reply: ReplySender,
    ) -> Self {
        let next = from_seq.unwrap_or(subscription.live_from()).max(1);
        Self {
            pager,
            task,
            extent,
            subscription,
            next,
            reply,
        }
    }

    /// Sends everything, and last an `EventsEnd` or an error. Ends early when
    /// the client hangs up.
    pub async fn run(mut self) {
        let last = match self.events().await {
            Ok(()) => Response::EventsEnd {
                next_seq: self.next,
            },
            Err(Stop::HungUp) => return,
            Err(Stop::Unreadable(error)) => {
                tracing::error!(%error, "a reader of the event log was told so");
                Response::Error(ErrorBody::new(ErrorCode::Storage, error.to_string()))
            }
        };
        // It may have hung up just now.
        let _ = self.reply.send_when_ready(last).await;
    }

    async fn events(&mut self) -> Result<(), Stop> {
        let mut progress = Progress::GoesOn;
        if self.next < self.subscription.live_from() || self.extent == Extent::Stored {
            progress = self.replay().await?;
        }
        if self.extent == Extent::Stored {
            return Ok(());
        }
        while progress == Progress::GoesOn {
            let delivery = tokio::select! {
                // Both are cancel-safe.
                delivery = self.subscription.next() => delivery,
                () = self.reply.closed() => return Err(Stop::HungUp),
            };
            progress = match delivery {
                Some(delivery) => self.take(delivery).await?,
                None => return Ok(()),
            };
        }
        self.rest().await
    }

    /// Sends what the ledger has from `next` on.
    async fn replay(&mut self) -> Result<Progress, Stop> {
        let mut progress = Progress::GoesOn;
        // Every event before this one is committed now.
        let committed = self.subscription.live_from();
        loop {
            let page = self
                .pager
                .page(self.next, PAGE)
                .await
                .map_err(Stop::Unreadable)?;
            let full = page.len() >= PAGE as usize;
            self.tell_gap(&page, committed).await?;
            for event in page {
                if self.send(event).await? == Progress::Ended {
                    progress = Progress::Ended;
                }
            }
            if !full {
                self.next = self.next.max(committed);
                return Ok(progress);
            }
        }
    }

    /// The ledger does not have what was asked for: retention took it, or it
    /// was rebuilt. With a filter the numbers have holes anyway.
    async fn tell_gap(&self, page: &[EventView], committed: u64) -> Result<(), Stop> {
        let first = page
            .first()
            .and_then(|event| event.seq)
            .unwrap_or(committed);
        if self.task.is_some() || first <= self.next {
            return Ok(());
        }
        let at = page.first().map(|event| event.at).unwrap_or_default();
        let payload = format!(r#"{{"from_seq":{},"to_seq":{}}}"#, self.next, first - 1);
        let gap = EventView {
            seq: None,
            at,
            kind: GAP_EVENT.to_owned(),
            task_id: None,
            payload,
        };
        self.reply.send_when_ready(Response::Event(gap)).await?;
        Ok(())
    }

    async fn take(&mut self, delivery: Delivery) -> Result<Progress, Stop> {
        match delivery {
            Delivery::Missed => self.replay().await,
            Delivery::Event(event) if event.seq.is_some_and(|seq| seq < self.next) => {
                Ok(Progress::GoesOn)
            }
            Delivery::Event(event) => self.send(Arc::unwrap_or_clone(event)).await,
        }
    }

    /// What was published together with the task's end.
    async fn rest(&mut self) -> Result<(), Stop> {
        while let Some(delivery) = self.subscription.next_waiting() {
            let volatile = matches!(&delivery, Delivery::Event(event) if event.seq.is_none());
            if !volatile {
                self.take(delivery).await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, event: EventView) -> Result<Progress, Stop> {
        let progress = match &self.extent {
            Extent::UntilEnded(task)
                if event.kind == TASK_ENDED && event.task_id.as_ref() == Some(task) =>
            {
                Progress::Ended
            }
            Extent::UntilEnded(_) | Extent::Stored | Extent::Endless => Progress::GoesOn,
        };
        if let Some(seq) = event.seq {
            self.next = seq + 1;
        }
        self.reply.send_when_ready(Response::Event(event)).await?;
        Ok(progress)
    }
}
