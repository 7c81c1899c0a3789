//! Writing a journal, and reading it again from where it was sent.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use protocol::shim::Record;

use super::format::{self, FILE_HEADER_LEN, RECORD_HEADER_LEN, RecordHeader};
use super::{JournalError, MAX_JOURNAL_BYTES, RESERVE_BYTES};
use crate::hook;

/// Disk space is taken in steps of this many bytes.
const ALLOCATION_STEP: u64 = 32 << 10;

/// The journal of a living shim.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    /// Where the next record goes.
    end: u64,
    /// Records so far.
    records: u64,
    allocated: Allocated,
}

/// Disk space that is ours, whoever else fills the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allocated {
    UpTo(u64),
    /// The file system cannot promise any.
    Unsupported,
}

/// A place between two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    offset: u64,
    number: u64,
}

impl Cursor {
    /// Before the first record.
    pub const START: Self = Self {
        offset: FILE_HEADER_LEN as u64,
        number: 0,
    };

    /// The number of the record before it; 0 at the start.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }
}

impl Journal {
    /// Makes the file, which must not exist, with room for the last records.
    ///
    /// # Errors
    /// [`JournalError::Io`]; [`JournalError::Full`] without room for the reserve.
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        let failed = |source| JournalError::Io {
            path: path.to_owned(),
            source,
        };
        let file = opened.map_err(failed)?;
        let mut journal = Self {
            file,
            path: path.to_owned(),
            end: FILE_HEADER_LEN as u64,
            records: 0,
            allocated: Allocated::UpTo(0),
        };
        journal.allocate(FILE_HEADER_LEN as u64 + RESERVE_BYTES)?;
        journal
            .file
            .write_all_at(&format::file_header(), 0)
            .map_err(failed)?;
        Ok(journal)
    }

    /// Appends `record` and returns its number. It is safe from the death of
    /// this process; [`Self::sync`] makes it safe from a power cut, too.
    ///
    /// # Errors
    /// [`JournalError::Full`] if it is not one of the last records and only
    /// their room is left; [`JournalError::Io`]. It was not written then.
    pub fn append(&mut self, record: &Record) -> Result<u64, JournalError> {
        let number = self.records + 1;
        let bytes = format::encode(number, record).ok_or(JournalError::Full)?;
        let end = self.end + bytes.len() as u64;
        match room(record) {
            Room::Common => self.allocate(end + RESERVE_BYTES)?,
            Room::Reserved if end > MAX_JOURNAL_BYTES => return Err(JournalError::Full),
            Room::Reserved => {}
        }
        let write = || self.file.write_all_at(&bytes, self.end);
        let written = hook::SHIM_JOURNAL_WRITE.run_or(hook::broken_disk, write);
        // A part that was written lies behind the end and will be overwritten.
        written.map_err(|source| self.failed(source))?;
        self.end = end;
        self.records = number;
        Ok(number)
    }

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// [`JournalError::Io`]; it must not be tried again.
    pub fn sync(&self) -> Result<(), JournalError> {
        let synced = hook::SHIM_JOURNAL_SYNC.run_or(hook::broken_disk, || self.file.sync_data());
        synced.map_err(|source| self.failed(source))
    }

    /// Records so far.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// The record behind `cursor`, and moves the cursor behind it; `None` at
    /// the end.
    ///
    /// # Errors
    /// [`JournalError::Io`]; [`JournalError::Foreign`] if the file is no longer
    /// what was written.
    pub fn next(&self, cursor: &mut Cursor) -> Result<Option<(u64, Record)>, JournalError> {
        if cursor.number >= self.records {
            return Ok(None);
        }
        let number = cursor.number + 1;
        let mut head = [0; RECORD_HEADER_LEN];
        self.read_exact(&mut head, cursor.offset)?;
        let foreign = || JournalError::Foreign(self.path.clone());
        let header = RecordHeader::decode(&head).ok_or_else(foreign)?;
        let mut payload = vec![0; header.len];
        self.read_exact(&mut payload, cursor.offset + RECORD_HEADER_LEN as u64)?;
        if !header.fits(number, &payload) {
            return Err(foreign());
        }
        let record = format::decode_payload(&payload).ok_or_else(foreign)?;
        *cursor = Cursor {
            offset: cursor.offset + (RECORD_HEADER_LEN + header.len) as u64,
            number,
        };
        Ok(Some((number, record)))
    }

    /// The place behind record `number`, or the end if there are fewer.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn seek(&self, number: u64) -> Result<Cursor, JournalError> {
        let mut cursor = Cursor::START;
        while cursor.number < number.min(self.records) {
            let mut head = [0; RECORD_HEADER_LEN];
            self.read_exact(&mut head, cursor.offset)?;
            let header = RecordHeader::decode(&head)
                .ok_or_else(|| JournalError::Foreign(self.path.clone()))?;
            cursor.offset += (RECORD_HEADER_LEN + header.len) as u64;
            cursor.number += 1;
        }
        Ok(cursor)
    }

    /// Gives back the disk space that was kept for more records.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn trim(&mut self) -> Result<(), JournalError> {
        self.file
            .set_len(self.end)
            .map_err(|source| self.failed(source))?;
        self.allocated = match self.allocated {
            Allocated::UpTo(_) => Allocated::UpTo(self.end),
            Allocated::Unsupported => Allocated::Unsupported,
        };
        Ok(())
    }

    /// Somebody removed the file: nobody will ever ask for it again.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn is_unlinked(&self) -> Result<bool, JournalError> {
        let metadata = self.file.metadata().map_err(|source| self.failed(source))?;
        Ok(metadata.nlink() == 0)
    }

    /// Takes disk space for the file up to `wanted` bytes.
    fn allocate(&mut self, wanted: u64) -> Result<(), JournalError> {
        if wanted > MAX_JOURNAL_BYTES {
            return Err(JournalError::Full);
        }
        let Allocated::UpTo(allocated) = self.allocated else {
            return Ok(());
        };
        if wanted <= allocated {
            return Ok(());
        }
        let upto = wanted
            .next_multiple_of(ALLOCATION_STEP)
            .min(MAX_JOURNAL_BYTES);
        let length = i64::try_from(upto).map_err(|_| JournalError::Full)?;
        match fallocate(&self.file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, length) {
            Ok(()) => self.allocated = Allocated::UpTo(upto),
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => self.allocated = Allocated::Unsupported,
            Err(Errno::ENOSPC | Errno::EDQUOT) => return Err(JournalError::Full),
            Err(errno) => return Err(self.failed(errno.into())),
        }
        Ok(())
    }

    fn read_exact(&self, buffer: &mut [u8], offset: u64) -> Result<(), JournalError> {
        self.file
            .read_exact_at(buffer, offset)
            .map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> JournalError {
        JournalError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

/// Which room a record may use.
enum Room {
    Common,
    Reserved,
}

/// Without these the end of a task could not be told, or a stop not be done.
fn room(record: &Record) -> Room {
    match record {
        Record::Claimed { .. }
        | Record::Execd { .. }
        | Record::SpawnFailed { .. }
        | Record::Superseded { .. }
        | Record::Signalled { .. }
        | Record::SignalSeen { .. }
        | Record::Exited { .. }
        | Record::Swept(_)
        | Record::Alarm { .. }
        | Record::Finished { .. } => Room::Reserved,
        // The first stop is a reason; others only join it.
        Record::Intent(intent) if !intent.joined => Room::Reserved,
        // A result is a fact, its text is a luxury.
        Record::Result(result) if result.text.is_none() => Room::Reserved,
        // What may explain the end.
        Record::OutOfMemory(oom) if !oom.leader_lives => Room::Reserved,
        Record::Intent(_)
        | Record::Result(_)
        | Record::SessionSeen { .. }
        | Record::ProviderError { .. }
        | Record::Usage { .. }
        | Record::ModelSeen { .. }
        | Record::FirstOutput { .. }
        | Record::LineKnown { .. }
        | Record::OutOfMemory(_)
        | Record::UnitSeen { .. } => Room::Common,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{End, read_from};
    use super::*;
    use crate::temp_folder::TempFolder;
    use protocol::{Exit, Timestamp};

    fn journal() -> (TempFolder, Journal) {
        let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
        let journal = Journal::create(&folder.path().join("journal")).expect("new");
        (folder, journal)
    }

    fn seen(model: &str) -> Record {
        Record::ModelSeen {
            at: Timestamp(1),
            model: model.into(),
        }
    }

    #[test]
    fn what_is_appended_is_read_by_us_and_by_others() {
        let (folder, mut journal) = journal();
        for (number, model) in (1..).zip(["a", "b", "c"]) {
            assert_eq!(journal.append(&seen(model)).expect("room"), number);
        }
        journal.sync().expect("a disk");
        let mut cursor = journal.seek(1).expect("readable");
        assert_eq!(
            journal.next(&mut cursor).expect("readable"),
            Some((2, seen("b")))
        );
        assert_eq!(
            journal.next(&mut cursor).expect("readable"),
            Some((3, seen("c")))
        );
        assert_eq!(journal.next(&mut cursor).expect("readable"), None);
        assert_eq!(journal.seek(9).expect("readable").number(), 3);
        journal.trim().expect("a disk");
        let replay = read_from(&folder.path().join("journal"), 0).expect("readable");
        assert_eq!((replay.records, replay.end), (3, End::Complete));
        assert!(!journal.is_unlinked().expect("readable"));
        folder.remove().expect("ours");
        assert!(journal.is_unlinked().expect("readable"));
    }

    #[test]
    fn it_is_made_once() {
        let (folder, journal) = journal();
        drop(journal);
        let again = Journal::create(&folder.path().join("journal"));
        assert!(matches!(again, Err(JournalError::Io { .. })));
        folder.remove().expect("ours");
    }

    #[test]
    fn a_flood_leaves_room_for_the_end() {
        let (folder, mut journal) = journal();
        let flood = seen(&"x".repeat(60_000));
        let mut written = 0;
        let error = loop {
            match journal.append(&flood) {
                Ok(number) => written = number,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, JournalError::Full));
        assert!(written > 60);
        let exited = Record::Exited {
            at: Timestamp(2),
            exit: Exit::Exited { code: 0 },
            output_bytes: (0, 0),
        };
        assert_eq!(journal.append(&exited).expect("reserved"), written + 1);
        let replay = read_from(&folder.path().join("journal"), written).expect("readable");
        assert_eq!(replay.entries[0].record, Some(exited));
        folder.remove().expect("ours");
    }
}
