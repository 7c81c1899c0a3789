//! The ledger's door for the async side.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use lifecycle::{Event, SessionRow, Task};
use protocol::view::{EventView, SessionView};
use protocol::{ProviderName, SessionId, TaskId, Timestamp};
use tokio::sync::{Semaphore, oneshot};

use super::ballast::{self, Known, Room};
use super::error::LedgerError;
use super::owner::{Request, Ticket};
use super::prune::MoveAside;
use super::read::{LedgerInfo, LiveTask, Reader, TaskRow};
use super::secret::TaskSecret;

/// Requests that wait for a thread. The core loop has one commit under way at
/// a time; the rest are questions of clients, who wait for room.
pub(super) const QUEUE: usize = 64;

/// Commits and questions. Cheap to clone.
///
/// A commit is answered when it is durable. A question sees everything whose
/// commit was answered before it was asked.
#[derive(Clone, Debug)]
pub struct LedgerHandle {
    owner: Lane,
    reader: Lane,
    tasks_dir: Arc<Path>,
    room: Known,
}

/// The queue of one thread.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    sender: SyncSender<Ticket>,
    room: Arc<Semaphore>,
}

impl Lane {
    pub(super) fn new(sender: SyncSender<Ticket>) -> Self {
        Self {
            sender,
            room: Arc::new(Semaphore::new(QUEUE)),
        }
    }

    /// Cancel-safe: the request is in the queue or nowhere.
    async fn send(&self, request: Request) -> Result<(), LedgerError> {
        let place = self
            .room
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| LedgerError::Closed)?;
        // There is a place for it, so this does not wait.
        let ticket = Ticket {
            request,
            place: Some(place),
        };
        self.sender.send(ticket).map_err(|_| LedgerError::Closed)
    }

    async fn ask<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Reader<'_>) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (reply, answer) = oneshot::channel();
        let look = Box::new(move |reader: &Reader<'_>| {
            // A question whose asker is gone is not looked at.
            if !reply.is_closed() {
                let _ = reply.send(look(reader));
            }
        });
        self.send(Request::Look(look)).await?;
        answer.await.unwrap_or(Err(LedgerError::Closed))
    }
}

impl LedgerHandle {
    pub(super) fn new(owner: Lane, reader: Lane, tasks_dir: &Path, room: Known) -> Self {
        Self {
            owner,
            reader,
            tasks_dir: tasks_dir.into(),
            room,
        }
    }

    /// Commits everything in one transaction, or nothing; returns what
    /// subscribers see of the events, in order. If it is cancelled, the commit
    /// may still happen.
    ///
    /// # Errors
    /// [`LedgerError::Full`] and [`LedgerError::Locked`] (may be tried again), or
    /// [`LedgerError::Fatal`].
    pub async fn commit(
        &self,
        events: Vec<Event>,
        secrets: Vec<TaskSecret>,
    ) -> Result<Vec<EventView>, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.owner
            .send(Request::Commit {
                events,
                secrets,
                reply,
            })
            .await?;
        answer.await.unwrap_or(Err(LedgerError::Closed))
    }

    /// Removes the rows of those of `ids` that may still go, right after
    /// `move_aside` moved their folders aside; gives which. If it is cancelled,
    /// it may still happen.
    ///
    /// # Errors
    /// [`LedgerError::Aside`], [`LedgerError::Full`]: nothing was written.
    /// [`LedgerError::Fatal`].
    pub async fn prune(
        &self,
        ids: Vec<TaskId>,
        move_aside: MoveAside,
    ) -> Result<Vec<TaskId>, LedgerError> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Prune {
            ids,
            move_aside,
            reply,
        };
        self.owner.send(request).await?;
        answer.await.unwrap_or(Err(LedgerError::Closed))
    }

    /// Removes some events from the beginning of the log, none from `before` on.
    /// Gives how many; zero: there are no more.
    ///
    /// # Errors
    /// [`LedgerError::Full`] or [`LedgerError::Fatal`].
    pub async fn forget(&self, before: u64) -> Result<u64, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.owner.send(Request::Forget { before, reply }).await?;
        answer.await.unwrap_or(Err(LedgerError::Closed))
    }

    /// Gives some of the file's free pages back to the file system. Tells whether
    /// there are more.
    ///
    /// # Errors
    /// [`LedgerError::Full`] or [`LedgerError::Fatal`].
    pub async fn give_back(&self) -> Result<bool, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.owner.send(Request::GiveBack(reply)).await?;
        answer.await.unwrap_or(Err(LedgerError::Closed))
    }

    /// Is there room for new work? Where there was none, it is looked at again.
    ///
    /// # Errors
    /// [`LedgerError::Closed`].
    pub async fn room(&self) -> Result<Room, LedgerError> {
        if self.room.room() == Room::Enough {
            return Ok(ballast::left_at(&self.tasks_dir));
        }
        let (reply, answer) = oneshot::channel();
        self.owner.send(Request::Room(reply)).await?;
        answer.await.map_err(|_| LedgerError::Closed)
    }

    /// Asks the thread that commits: for looks by an index, at a few rows.
    ///
    /// # Errors
    /// Those of `look`, or [`LedgerError::Closed`].
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Reader<'_>) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.owner.ask(look).await
    }

    /// Asks the thread that only reads: for what may take its time, so that no
    /// commit waits for it.
    ///
    /// # Errors
    /// Those of `look`, or [`LedgerError::Closed`].
    pub async fn browse<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Reader<'_>) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.reader.ask(look).await
    }

    /// `<state>/tasks`.
    #[must_use]
    pub fn tasks_dir(&self) -> PathBuf {
        self.tasks_dir.to_path_buf()
    }

    /// See [`Reader::live`].
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn live(&self) -> Result<Vec<LiveTask>, LedgerError> {
        self.look(|reader| reader.live()).await
    }

    /// See [`Reader::find`].
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn find(&self, name: String) -> Result<Vec<TaskId>, LedgerError> {
        self.look(move |reader| reader.find(&name)).await
    }

    /// See [`Reader::task_ids`].
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn task_ids(&self) -> Result<HashSet<TaskId>, LedgerError> {
        self.browse(|reader| reader.task_ids()).await
    }

    /// See [`Reader::live_ids`].
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn live_ids(&self) -> Result<Vec<TaskId>, LedgerError> {
        self.browse(|reader| reader.live_ids()).await
    }

    /// See [`Reader::task_row`].
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn task_row(&self, id: TaskId) -> Result<Option<TaskRow>, LedgerError> {
        self.look(move |reader| reader.task_row(&id)).await
    }

    /// See [`Reader::session_rows`].
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn session_rows_of(&self, key: String) -> Result<Vec<SessionRow>, LedgerError> {
        self.look(move |reader| reader.session_rows(&key)).await
    }

    /// See [`Reader::rows_of_session`].
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn rows_of_session(
        &self,
        provider: ProviderName,
        id: SessionId,
    ) -> Result<Vec<SessionRow>, LedgerError> {
        self.look(move |reader| reader.rows_of_session(&provider, &id))
            .await
    }

    /// See [`Reader::sessions`].
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn sessions(&self, key: Option<String>) -> Result<Vec<SessionView>, LedgerError> {
        self.browse(move |reader| reader.sessions(key.as_deref()))
            .await
    }

    /// See [`Reader::sweep_sessions`].
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn sweep_sessions(&self, at: Timestamp) -> Result<Vec<Event>, LedgerError> {
        self.browse(move |reader| reader.sweep_sessions(at)).await
    }

    /// See [`Reader::events_page`].
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn events_page(
        &self,
        from_seq: u64,
        task: Option<TaskId>,
        limit: u32,
    ) -> Result<Vec<EventView>, LedgerError> {
        self.browse(move |reader| reader.events_page(from_seq, task.as_ref(), limit))
            .await
    }

    /// See [`Reader::boot_of`].
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn boot_of(&self, id: TaskId) -> Result<Option<String>, LedgerError> {
        self.look(move |reader| reader.boot_of(&id)).await
    }

    /// See [`Reader::with_survivors`].
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn with_survivors(&self, boot_id: String) -> Result<Vec<Task>, LedgerError> {
        self.look(move |reader| reader.with_survivors(&boot_id))
            .await
    }

    /// See [`Reader::ever_with_survivors`].
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn ever_with_survivors(&self) -> Result<Vec<TaskId>, LedgerError> {
        self.look(|reader| reader.ever_with_survivors()).await
    }

    /// See [`Reader::info`].
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn info(&self) -> Result<LedgerInfo, LedgerError> {
        self.browse(|reader| reader.info()).await
    }
}
