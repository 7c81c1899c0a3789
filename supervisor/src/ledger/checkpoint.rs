//! When the write-ahead log goes into the file: after the answers, never
//! before one.
//!
//! The log is looked at when nothing was asked for a while, and every so many
//! commits under load. The first write to a log that begins again takes a sync
//! more (its header); so that no task's commit pays it, a checkpoint ends with
//! a small write of its own.

use std::time::Duration;

use rusqlite::Connection;

use super::meta;
use super::syncs::{self, Waited};

/// Quiet time after which the log may be worked into the file.
const IDLE: Duration = Duration::from_millis(500);

/// Pages in the log for which that is worth it (1 MiB).
const WORTH_WHILE_PAGES: i64 = 256;

/// Pages in the log that are not exceeded by much even under load (16 MiB): a
/// reader has to look through them, and a start reads them all.
const MAX_PAGES: i64 = 4_096;

/// The same in bytes; the log's file is cut back to it.
pub(super) const MAX_WAL_BYTES: i64 = MAX_PAGES * 4_096;

/// Commits after which the log is looked at under load; each adds a handful
/// of pages.
const LOOK_EVERY: u32 = 128;

/// Keeps the log small.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// Since the log was last looked at.
    commits: u32,
    checkpoints: u64,
}

impl Upkeep {
    /// How long to wait for the next request before [`Upkeep::idle`] is due.
    pub(super) fn patience(&self) -> Option<Duration> {
        (self.commits > 0).then_some(IDLE)
    }

    /// A commit was done and answered.
    pub(super) fn committed(&mut self, db: &Connection) -> rusqlite::Result<()> {
        self.commits += 1;
        if self.commits < LOOK_EVERY {
            return Ok(());
        }
        self.look(db, MAX_PAGES)
    }

    /// Nothing was asked for a while.
    pub(super) fn idle(&mut self, db: &Connection) -> rusqlite::Result<()> {
        self.look(db, WORTH_WHILE_PAGES)
    }

    fn look(&mut self, db: &Connection, enough: i64) -> rusqlite::Result<()> {
        self.commits = 0;
        let state = Log::after(db, "NOOP")?;
        if state.pages - state.done < enough {
            return Ok(());
        }
        let state = Log::after(db, "PASSIVE")?;
        syncs::note(Waited::Checkpoint);
        // A reader may have held some pages back; then the log goes on.
        if state.pages == state.done {
            self.checkpoints += 1;
            meta::write(db, meta::CHECKPOINTS, &self.checkpoints.to_string())?;
            syncs::note(Waited::FreshLog);
        }
        Ok(())
    }
}

/// The log after a checkpoint of some kind.
struct Log {
    /// Pages in it.
    pages: i64,
    /// Of these, pages that are in the file.
    done: i64,
}

impl Log {
    fn after(db: &Connection, kind: &str) -> rusqlite::Result<Self> {
        db.prepare_cached(&format!("PRAGMA wal_checkpoint({kind})"))?
            .query_row([], |row| {
                Ok(Self {
                    pages: row.get(1)?,
                    done: row.get(2)?,
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_worked_in_when_it_is_worth_it_and_made_ready_again() {
        let folder =
            sys::temp_folder::TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
        let db = Connection::open(folder.path().join("db")).expect("opens");
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
             CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
             CREATE TABLE filler (bytes BLOB)",
        )
        .expect("set up");
        let mut upkeep = Upkeep::default();
        assert_eq!(upkeep.patience(), None, "an idle ledger sleeps");
        upkeep.committed(&db).expect("noted");
        assert_eq!(upkeep.patience(), Some(IDLE));
        upkeep.idle(&db).expect("looked");
        assert_eq!(
            (upkeep.patience(), upkeep.checkpoints),
            (None, 0),
            "too little to do"
        );

        db.execute("INSERT INTO filler VALUES (zeroblob(4096 * 300))", [])
            .expect("written");
        upkeep.idle(&db).expect("worked in");
        assert_eq!(upkeep.checkpoints, 1);
        let log = Log::after(&db, "NOOP").expect("looked");
        assert!(
            (1..=4).contains(&log.pages),
            "it began again: {} pages",
            log.pages
        );
        drop(db);
        folder.remove().expect("ours");
    }
}
