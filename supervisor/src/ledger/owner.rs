//! The two threads of the ledger.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::{Builder, JoinHandle};

use lifecycle::Event;
use protocol::TaskId;
use protocol::view::EventView;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use sys::hook;
use tokio::sync::oneshot;

use super::ballast::{Ballast, Room};
use super::checkpoint::Upkeep;
use super::error::{LedgerError, StoreError};
use super::handle::{Lane, LedgerHandle, QUEUE};
use super::open::{OpenOptions, OpenReport};
use super::prune::{self, MoveAside};
use super::read::Reader;
use super::secret::TaskSecret;
use super::syncs::{self, Waited};
use super::{log, meta, project};

/// What retention tries.
const PRUNE: &str = "prune the ledger";

/// What a thread is asked.
pub(super) enum Request {
    /// One transaction.
    Commit {
        events: Vec<Event>,
        secrets: Vec<TaskSecret>,
        reply: oneshot::Sender<Result<Vec<EventView>, LedgerError>>,
    },
    /// The rows of ended tasks go.
    Prune {
        ids: Vec<TaskId>,
        move_aside: MoveAside,
        reply: oneshot::Sender<Result<Vec<TaskId>, LedgerError>>,
    },
    /// Events before this seq go, not too many at once.
    Forget {
        before: u64,
        reply: oneshot::Sender<Result<u64, LedgerError>>,
    },
    /// Some of the free pages are given back; tells whether there are more.
    GiveBack(oneshot::Sender<Result<bool, LedgerError>>),
    /// Is there room for new work? Looked at now where there was none.
    Room(oneshot::Sender<Room>),
    /// A question; it knows whom to answer.
    Look(Box<dyn FnOnce(&Reader<'_>) + Send>),
    /// The last request.
    Close,
}

/// A request, and its place in the queue, which is free once it is taken out.
pub(super) struct Ticket {
    pub(super) request: Request,
    pub(super) place: Option<tokio::sync::OwnedSemaphorePermit>,
}

/// The threads, for whoever ends them.
#[derive(Debug)]
pub struct LedgerThreads {
    owner: (SyncSender<Ticket>, JoinHandle<Result<(), LedgerError>>),
    reader: (SyncSender<Ticket>, JoinHandle<()>),
}

impl LedgerThreads {
    /// Answers what was asked before, then closes the ledger in order. What is
    /// asked later is answered with [`LedgerError::Closed`]. Blocks.
    ///
    /// # Errors
    /// [`LedgerError`] if it cannot be marked as closed; the next start then
    /// takes it for abandoned.
    pub fn close(self) -> Result<(), LedgerError> {
        let last = || Ticket {
            request: Request::Close,
            place: None,
        };
        // A thread that is gone has closed already. The writer is the last to
        // close its connection: that works the log into the file.
        let _ = self.reader.0.send(last());
        let _ = self.reader.1.join();
        let _ = self.owner.0.send(last());
        self.owner.1.join().unwrap_or(Err(LedgerError::Closed))
    }
}

#[cfg(test)]
impl LedgerThreads {
    /// Waits until both have ended, because nobody can ask them any more.
    pub(super) fn left(self) {
        drop(self.reader.0);
        self.reader.1.join().expect("no panic");
        drop(self.owner.0);
        let owner = self.owner.1.join().expect("no panic");
        owner.expect("nothing had failed");
    }
}

/// Starts both.
pub(super) fn start(
    owner: Owner,
    reader: Connection,
    options: &OpenOptions,
) -> io::Result<(LedgerHandle, LedgerThreads)> {
    // One more, for the request to close.
    let (to_owner, owner_inbox) = mpsc::sync_channel(QUEUE + 1);
    let (to_reader, reader_inbox) = mpsc::sync_channel(QUEUE + 1);
    let path = options.path.clone();
    let room = owner.ballast.known();
    let owner = Builder::new()
        .name("ledger".to_owned())
        .spawn(move || owner.serve(&owner_inbox))?;
    let reader = Builder::new()
        .name("ledger-reader".to_owned())
        .spawn(move || read_only(&reader, &path, &reader_inbox))?;
    let handle = LedgerHandle::new(
        Lane::new(to_owner.clone()),
        Lane::new(to_reader.clone()),
        &options.tasks_dir,
        room,
    );
    let threads = LedgerThreads {
        owner: (to_owner, owner),
        reader: (to_reader, reader),
    };
    Ok((handle, threads))
}

fn read_only(db: &Connection, path: &Path, inbox: &Receiver<Ticket>) {
    while let Ok(ticket) = inbox.recv() {
        drop(ticket.place);
        match ticket.request {
            Request::Look(look) => look(&Reader::new(db, path)),
            // Only the owner is asked to write.
            Request::Commit { reply, .. } => drop(reply),
            Request::Prune { reply, .. } => drop(reply),
            Request::Forget { reply, .. } => drop(reply),
            Request::GiveBack(reply) => drop(reply),
            Request::Room(reply) => drop(reply),
            Request::Close => return,
        }
    }
}

/// May it still write?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    /// A write failed for another reason than a full disk. What the kernel
    /// does with pages that it could not write is not known, so nothing is
    /// tried again.
    Poisoned,
}

/// The connection that writes, and what goes with it.
pub(super) struct Owner {
    db: Connection,
    path: PathBuf,
    tasks_dir: PathBuf,
    next_seq: u64,
    health: Health,
    upkeep: Upkeep,
    ballast: Ballast,
}

impl Owner {
    pub(super) fn new(db: Connection, options: &OpenOptions, report: &OpenReport) -> Self {
        Self {
            db,
            path: options.path.clone(),
            tasks_dir: options.tasks_dir.clone(),
            next_seq: report.next_seq,
            health: Health::Good,
            upkeep: Upkeep::default(),
            ballast: Ballast::beside(&options.path),
        }
    }

    fn serve(mut self, inbox: &Receiver<Ticket>) -> Result<(), LedgerError> {
        loop {
            let ticket = match self.upkeep.patience() {
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(patience) => inbox.recv_timeout(patience),
            };
            match ticket {
                Ok(ticket) => {
                    drop(ticket.place);
                    match ticket.request {
                        Request::Commit {
                            events,
                            secrets,
                            reply,
                        } => {
                            // Whoever does not wait for the answer is gone.
                            let _ = reply.send(self.commit(&events, &secrets));
                            self.keep_up(Upkeep::committed);
                        }
                        Request::Prune {
                            ids,
                            mut move_aside,
                            reply,
                        } => {
                            let gone =
                                self.change(PRUNE, |db| prune::tasks(db, &ids, &mut move_aside));
                            drop(reply.send(gone));
                            self.keep_up(Upkeep::idle);
                        }
                        Request::Forget { before, reply } => {
                            drop(reply.send(self.change(PRUNE, |db| prune::events(db, before))));
                            self.keep_up(Upkeep::idle);
                        }
                        Request::GiveBack(reply) => {
                            drop(reply.send(self.change(PRUNE, |db| prune::give_back(db))));
                            self.keep_up(Upkeep::idle);
                        }
                        Request::Room(reply) => drop(reply.send(self.ballast.look())),
                        Request::Look(look) => look(&Reader::new(&self.db, &self.path)),
                        Request::Close => return self.close(),
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.keep_up(Upkeep::idle),
                // Everyone who could ask is gone, and nobody closed it.
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    fn commit(
        &mut self,
        events: &[Event],
        secrets: &[TaskSecret],
    ) -> Result<Vec<EventView>, LedgerError> {
        if self.health == Health::Poisoned {
            return Err(LedgerError::Poisoned);
        }
        let mut written = self.write(events, secrets);
        if written.as_ref().is_err_and(StoreError::is_full) && self.ballast.release() {
            written = self.write(events, secrets);
        }
        match written {
            Ok(views) => {
                self.next_seq += views.len() as u64;
                Ok(views)
            }
            Err(error) => {
                let cause = error.to_string();
                let error = error.of_write("commit to the ledger");
                if error.passes() {
                    // Tried again, and again.
                    tracing::debug!(cause, events = events.len(), "a commit has to wait");
                } else {
                    tracing::warn!(cause, events = events.len(), "a commit failed");
                    self.health = Health::Poisoned;
                }
                Err(error)
            }
        }
    }

    /// A change that is no commit of events. Where the disk is full, the ballast
    /// makes room for it: it makes room itself.
    fn change<T>(
        &mut self,
        operation: &'static str,
        mut work: impl FnMut(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, LedgerError> {
        if self.health == Health::Poisoned {
            return Err(LedgerError::Poisoned);
        }
        let mut done = work(&mut self.db);
        if done.as_ref().is_err_and(StoreError::is_full) && self.ballast.release() {
            done = work(&mut self.db);
        }
        done.map_err(|error| {
            let error = error.of_write(operation);
            if matches!(error, LedgerError::Fatal { .. }) {
                self.health = Health::Poisoned;
            }
            error
        })
    }

    /// The one transaction. Without an answer nothing of it has happened.
    fn write(
        &mut self,
        events: &[Event],
        secrets: &[TaskSecret],
    ) -> Result<Vec<EventView>, StoreError> {
        let transaction = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut views = Vec::with_capacity(events.len());
        for (seq, event) in (self.next_seq..).zip(events) {
            views.push(log::append(&transaction, seq, event)?);
            project::apply(&transaction, &self.tasks_dir, seq, event)?;
        }
        for secret in secrets {
            secret.write(&transaction)?;
        }
        hook::SUP_COMMIT.run_or(failed_sync, || {
            let committed = transaction.commit();
            syncs::note(Waited::Commit);
            committed
        })?;
        Ok(views)
    }

    /// A failure here has cost nothing yet, but what follows could not be
    /// trusted; a full disk is worth a later try.
    fn keep_up(&mut self, work: impl FnOnce(&mut Upkeep, &Connection) -> rusqlite::Result<()>) {
        if self.health == Health::Poisoned {
            return;
        }
        if let Err(error) = work(&mut self.upkeep, &self.db) {
            match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy) => {
                    tracing::warn!(%error, "the ledger's log could not be worked into its file");
                }
                Some(_) | None => {
                    tracing::error!(%error, "the ledger's log could not be worked into its file");
                    self.health = Health::Poisoned;
                }
            }
        }
    }

    fn close(self) -> Result<(), LedgerError> {
        if self.health == Health::Poisoned {
            return Err(LedgerError::Poisoned);
        }
        let closed = meta::write(&self.db, meta::IN_USE, meta::CLEAN)
            .and_then(|()| self.db.close().map_err(|(_, error)| error));
        closed.map_err(|error| StoreError::Sql(error).of_write("close the ledger"))
    }
}

/// What SQLite says when the disk lost what was to be synced.
fn failed_sync() -> rusqlite::Result<()> {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
    Err(rusqlite::Error::SqliteFailure(code, None))
}
