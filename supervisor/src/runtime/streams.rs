//! Answers that go on: logs and events.

use lifecycle::task::Start;
use protocol::TaskId;
use protocol::control::{EventsRequest, LogsRequest, Response};
use protocol::view::EventView;
use protocol::vocab::Stream;

use super::core_loop::Core;
use crate::control::ReplySender;
use crate::events::{Extent, Filter, Follower, PageError, Pager};
use crate::ledger::{LedgerError, LedgerHandle, Reader};
use crate::logs::{Known, LogStream, Made, Until};

impl Core {
    pub(super) async fn logs(
        &mut self,
        request: LogsRequest,
        reply: ReplySender,
    ) -> Result<(), LedgerError> {
        let id = match self.resolve(&request.id).await? {
            Ok(id) => id,
            Err(refusal) => {
                self.batch.answer(reply, Response::Error(refusal));
                return Ok(());
            }
        };
        let path = match request.stream {
            Stream::Stdout => self.service.folders.stdout(&id),
            Stream::Stderr => self.service.folders.stderr(&id),
        };
        let until = match (self.tasks.get(&id), request.follow) {
            (Some(live), true) => Until::Ended(live.ended.subscribe()),
            (Some(_), false) | (None, _) => Until::Now,
        };
        let made = match self.tasks.get(&id).map(|live| &live.task.start) {
            Some(Start::Execd { .. }) => Made::Yes,
            Some(
                Start::Queued
                | Start::Refused { .. }
                | Start::Pending
                | Start::Failed { .. }
                | Start::Never { .. },
            )
            | None => Made::Maybe,
        };
        let stream = LogStream {
            path,
            made,
            from_offset: request.from_offset,
            last_lines: request.last_lines,
            until,
            watches: self.service.watches.clone(),
            reply,
        };
        let ledger = self.ledger.clone();
        self.jobs.spawn(stream.run(async move {
            let look = ledger.look(move |reader| known(reader, &id, request.stream));
            look.await.unwrap_or(UNKNOWN)
        }));
        Ok(())
    }

    pub(super) async fn events(
        &mut self,
        request: EventsRequest,
        reply: ReplySender,
    ) -> Result<(), LedgerError> {
        let task = match &request.task {
            None => None,
            Some(name) => match self.resolve(name).await? {
                Ok(id) => Some(id),
                Err(refusal) => {
                    self.batch.answer(reply, Response::Error(refusal));
                    return Ok(());
                }
            },
        };
        let filter = if request.progress {
            Filter::with_progress(task.clone())
        } else {
            Filter::durable(task.clone())
        };
        let subscription = self.hub.subscribe(filter);
        let extent = match (&task, request.follow) {
            (_, false) => Extent::Stored,
            (None, true) => Extent::Endless,
            (Some(id), true) if self.tasks.contains_key(id) => Extent::UntilEnded(id.clone()),
            (Some(_), true) => Extent::Stored,
        };
        let pager = LedgerPager {
            ledger: self.ledger.clone(),
            task: task.clone(),
        };
        let follower = Follower::new(subscription, pager, request.from_seq, task, extent, reply);
        self.jobs.spawn(follower.run());
        Ok(())
    }
}

/// A ledger that cannot be read makes no log an error.
pub(super) const UNKNOWN: Known = Known {
    gap_bytes: 0,
    made: Made::Maybe,
};

/// What the ledger knows of a log.
pub(super) fn known(
    reader: &Reader<'_>,
    id: &TaskId,
    stream: Stream,
) -> Result<Known, LedgerError> {
    let made = match reader.was_started(id)? {
        true => Made::Yes,
        false => Made::Maybe,
    };
    let gap_bytes = reader.gap_bytes(id, stream)?;
    Ok(Known { gap_bytes, made })
}

/// Old events, from the ledger.
struct LedgerPager {
    ledger: LedgerHandle,
    task: Option<TaskId>,
}

impl Pager for LedgerPager {
    async fn page(&self, from_seq: u64, limit: u32) -> Result<Vec<EventView>, PageError> {
        self.ledger
            .events_page(from_seq, self.task.clone(), limit)
            .await
            .map_err(|error| PageError(error.to_string()))
    }
}
