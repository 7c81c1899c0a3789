//! What the shim establishes: written down first, then to be told.
//!
//! Where the disk fails, the rest of the records is kept in memory, so that
//! the supervisor still learns how the task ended; it is told that these are
//! not durable.

use std::path::Path;

use nix::errno::Errno;
use protocol::Timestamp;
use protocol::shim::{AlarmKind, Record, ResultRecord, SpawnStage, Usage};
use sys::journal::{self, Cursor, Journal, JournalError};
use sys::spawn::SpawnError;

use crate::scan::Finding;

/// Records that are kept in memory when the journal cannot be written. The end
/// of a task has a dozen.
const MAX_IN_MEMORY: usize = 64;

/// The records of one task.
#[derive(Debug)]
pub struct Recorder {
    journal: Option<Journal>,
    creation_errno: i32,
    /// Records behind those of the journal.
    in_memory: Vec<Record>,
    disk: Disk,
    /// Up to where records were handed out for sending.
    sent: Cursor,
    sent_from_memory: usize,
    acknowledged: u64,
    told_usage: Usage,
    first_session: FirstSession,
    exit_sync: ExitSync,
    /// The last record is written: nothing follows it.
    is_finished: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    Works,
    /// Full, which was said; the last records still have their room.
    Full,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FirstSession {
    Expected,
    Synced,
}

/// Whether the exit may still be lost with the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExitSync {
    Owed,
    Done,
}

impl Recorder {
    /// A journal in `task_dir`.
    #[must_use]
    pub fn create(task_dir: &Path) -> Self {
        let created = Journal::create(&task_dir.join(journal::FILE_NAME));
        let mut recorder = Self {
            journal: None,
            creation_errno: 0,
            in_memory: Vec::new(),
            disk: Disk::Works,
            sent: Cursor::START,
            sent_from_memory: 0,
            acknowledged: 0,
            told_usage: Usage::default(),
            first_session: FirstSession::Expected,
            exit_sync: ExitSync::Done,
            is_finished: false,
        };
        match created {
            Ok(journal) => recorder.journal = Some(journal),
            Err(error) => {
                recorder.creation_errno = errno_of(&error);
                recorder.fail(&error);
            }
        }
        recorder
    }

    /// Why there is no journal: without one no agent is started.
    #[must_use]
    pub fn creation_error(&self) -> Option<SpawnError> {
        match (&self.journal, self.creation_errno) {
            (Some(_), _) => None,
            (None, errno) => Some(SpawnError::new(
                SpawnStage::Prepare,
                errno,
                journal::FILE_NAME,
            )),
        }
    }

    /// Writes `record` down and returns its number; `None` if it was left out
    /// because only the room for the last records is left.
    pub fn record(&mut self, record: Record) -> Option<u64> {
        if self.disk != Disk::Failed
            && let Some(journal) = &mut self.journal
        {
            match journal.append(&record) {
                Ok(number) => {
                    self.note_end(&record);
                    return Some(number);
                }
                Err(JournalError::Full) => return self.without_room(record),
                Err(
                    error @ (JournalError::Io { .. }
                    | JournalError::Foreign(_)
                    | JournalError::Version { .. }),
                ) => self.fail(&error),
            }
        }
        if self.in_memory.len() >= MAX_IN_MEMORY {
            return None;
        }
        self.in_memory.push(record);
        Some(self.records())
    }

    /// Writes down what the output said.
    pub fn record_finding(&mut self, finding: Finding, at: Timestamp) -> Option<u64> {
        match finding {
            Finding::Session { id, stream } => {
                let number = self.record(Record::SessionSeen {
                    at,
                    session_id: id,
                    stream,
                });
                if self.first_session == FirstSession::Expected {
                    self.first_session = FirstSession::Synced;
                    self.sync();
                }
                number
            }
            Finding::TooManySessions => {
                let detail = "later session ids are not recorded".to_owned();
                self.record(Record::Alarm {
                    at,
                    kind: AlarmKind::TooManySessions,
                    detail,
                })
            }
            Finding::Model(model) => self.record(Record::ModelSeen { at, model }),
            Finding::KnownLine => self.record(Record::LineKnown { at }),
            Finding::Result {
                success,
                text,
                truncated,
                usage,
            } => {
                self.told_usage = usage;
                self.record(Record::Result(ResultRecord {
                    at,
                    success,
                    text,
                    truncated,
                    usage,
                }))
            }
            Finding::Error { error, detail } => {
                self.record(Record::ProviderError { at, error, detail })
            }
        }
    }

    /// Writes the figures down, unless the last result said the same.
    pub fn record_usage(&mut self, usage: Usage, at: Timestamp) {
        if usage != self.told_usage {
            self.told_usage = usage;
            self.record(Record::Usage { at, usage });
        }
    }

    /// Brings the exit to the disk, once.
    ///
    /// Where somebody listens it is told before: what is written outlives every
    /// process, and whoever tells it on has committed it to the ledger, which is
    /// synced as well. Only a power cut before both could lose it.
    pub fn sync_end(&mut self) {
        if self.exit_sync == ExitSync::Owed {
            self.exit_sync = ExitSync::Done;
            self.sync();
        }
    }

    fn note_end(&mut self, written: &Record) {
        if let Record::Exited { .. } = written {
            self.exit_sync = ExitSync::Owed;
        }
        self.is_finished |= matches!(written, Record::Finished { .. });
    }

    fn sync(&mut self) {
        if self.disk == Disk::Failed {
            return;
        }
        if let Some(Err(error)) = self.journal.as_ref().map(Journal::sync) {
            self.fail(&error);
        }
    }

    /// The next record to send, in order.
    pub fn next_to_send(&mut self) -> Option<(u64, Record)> {
        let on_disk = self.journal.as_ref().map_or(0, Journal::records);
        if let Some(journal) = &self.journal
            && self.sent.number() < on_disk
        {
            // What cannot be read back is not passed over: its number must not
            // be used for another fact.
            return journal.next(&mut self.sent).ok().flatten();
        }
        let record = self.in_memory.get(self.sent_from_memory)?.clone();
        self.sent_from_memory += 1;
        Some((on_disk + self.sent_from_memory as u64, record))
    }

    /// Sends everything behind number `acknowledged` again.
    pub fn rewind(&mut self, acknowledged: u64) {
        // The ledger may know less than it did: it was rolled back.
        self.acknowledged = acknowledged.min(self.records());
        let on_disk = self
            .journal
            .as_ref()
            .map_or(0, Journal::records)
            .min(self.acknowledged);
        let found = self
            .journal
            .as_ref()
            .and_then(|journal| journal.seek(on_disk).ok());
        self.sent = found.unwrap_or(Cursor::START);
        let in_memory = usize::try_from(self.acknowledged - on_disk).unwrap_or(usize::MAX);
        self.sent_from_memory = in_memory.min(self.in_memory.len());
    }

    /// The ledger has everything up to `upto`.
    pub fn acknowledge(&mut self, upto: u64) {
        self.acknowledged = self.acknowledged.max(upto.min(self.records()));
    }

    /// The ledger has this record.
    #[must_use]
    pub const fn is_acknowledged(&self, number: u64) -> bool {
        number <= self.acknowledged
    }

    /// Records so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.journal.as_ref().map_or(0, Journal::records) + self.in_memory.len() as u64
    }

    /// Nobody will ever ask for these records: their file was removed.
    #[must_use]
    pub fn is_unlinked(&self) -> bool {
        self.journal
            .as_ref()
            .is_some_and(|journal| journal.is_unlinked().unwrap_or(false))
    }

    /// Gives back the disk space that no record will need any more.
    pub fn trim(&mut self) {
        if let Some(journal) = &mut self.journal {
            // It is only space.
            let _ = journal.trim();
        }
    }

    /// A result loses its text before it is lost; anything else is left out.
    fn without_room(&mut self, record: Record) -> Option<u64> {
        if self.disk == Disk::Works {
            self.disk = Disk::Full;
            let detail = "only the end of the task is still recorded".to_owned();
            self.record(Record::Alarm {
                at: sys::clock::now(),
                kind: AlarmKind::JournalFull,
                detail,
            });
        }
        match record {
            Record::Result(ResultRecord {
                at,
                success,
                text: Some(_),
                usage,
                ..
            }) => {
                let short = ResultRecord {
                    at,
                    success,
                    text: None,
                    truncated: true,
                    usage,
                };
                self.record(Record::Result(short))
            }
            Record::Result(_)
            | Record::Claimed { .. }
            | Record::Execd { .. }
            | Record::SpawnFailed { .. }
            | Record::SessionSeen { .. }
            | Record::ProviderError { .. }
            | Record::Usage { .. }
            | Record::Intent(_)
            | Record::Superseded { .. }
            | Record::Signalled { .. }
            | Record::SignalSeen { .. }
            | Record::Exited { .. }
            | Record::Swept(_)
            | Record::Alarm { .. }
            | Record::Finished { .. }
            | Record::ModelSeen { .. }
            | Record::FirstOutput { .. }
            | Record::LineKnown { .. }
            | Record::OutOfMemory(_)
            | Record::UnitSeen { .. } => None,
        }
    }

    fn fail(&mut self, error: &JournalError) {
        self.disk = Disk::Failed;
        if self.is_finished {
            // Whoever listened was told all of it; where nobody did, the sync came before.
            return;
        }
        let source = std::error::Error::source(error).map(|source| format!(": {source}"));
        let detail = format!("not durable: {error}{}", source.unwrap_or_default());
        let alarm = Record::Alarm {
            at: sys::clock::now(),
            kind: AlarmKind::JournalFull,
            detail,
        };
        if self.in_memory.len() < MAX_IN_MEMORY {
            self.in_memory.push(alarm);
        }
    }
}

fn errno_of(error: &JournalError) -> i32 {
    match error {
        JournalError::Io { source, .. } => source.raw_os_error().unwrap_or(Errno::EIO as i32),
        JournalError::Full => Errno::ENOSPC as i32,
        JournalError::Foreign(_) | JournalError::Version { .. } => Errno::EIO as i32,
    }
}
