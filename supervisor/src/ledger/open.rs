//! From a path to a running ledger, or to a refusal that changed nothing.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use protocol::TaskId;
use rusqlite::{Connection, OpenFlags};

use super::ballast;
use super::error::{LedgerError, OpenError};
use super::front::Front;
use super::handle::LedgerHandle;
use super::inspect::{self, APPLICATION_ID, Found};
use super::meta;
use super::migrate::{self, MIGRATIONS};
use super::owner::{self, LedgerThreads, Owner};
use super::read::Reader;
use super::syncs::{self, Waited};

/// How long a statement waits for the lock of another program that writes to
/// the file. Nobody should; a person with a shell may.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// The same for the thread that commits, for which all others wait: whoever holds the
/// lock for longer is met again.
const COMMIT_BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_millis(250);

/// Prepared statements that are kept: every one that a commit uses, and the
/// looks of the launch path.
const CACHED_STATEMENTS: usize = 64;

/// What a ledger is opened with.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The file.
    pub path: PathBuf,
    /// `<state>/tasks`: the place of the artifacts.
    pub tasks_dir: PathBuf,
    /// The kernel's boot id.
    pub boot_id: String,
    /// A task folder that exists, if any: then the ledger must exist too.
    pub task_folder: Option<TaskId>,
}

/// A running ledger.
#[derive(Debug)]
pub struct Ledger {
    /// For everyone who asks or commits.
    pub handle: LedgerHandle,
    /// For whoever dispatches.
    pub front: Front,
    /// For whoever closes it.
    pub threads: LedgerThreads,
    /// What was found.
    pub report: OpenReport,
}

impl Ledger {
    /// See [`LedgerThreads::close`]. The connection of whoever dispatches goes first: the
    /// writer's is the last.
    ///
    /// # Errors
    /// As there.
    pub fn close(self) -> Result<(), LedgerError> {
        drop(self.front);
        self.threads.close()
    }

    /// Left as it is, as by a supervisor that is killed; with no connection to it open.
    #[cfg(test)]
    pub(super) fn abandon(self) {
        drop((self.handle, self.front));
        self.threads.left();
    }
}

/// What was found at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenReport {
    /// Its random id.
    pub ledger_id: String,
    /// How the last supervisor left it.
    pub before: Before,
    /// The copy of the old ledger that a migration kept.
    pub kept_copy: Option<PathBuf>,
    /// The last seq that a rebuild wrote; 0 if there was none.
    pub rebuilt_seq: u64,
    /// The seq of the next event.
    pub next_seq: u64,
    /// An intent id that was never used, nor is any above it.
    pub next_intent: u64,
}

/// How the last supervisor left the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// There was none: it is new.
    New,
    /// Closed in order.
    Closed,
    /// Not closed: that supervisor was killed, or the machine went down.
    Abandoned,
}

/// Opens, creates or refuses the ledger, and starts its threads. Where the disk is
/// full, the ballast makes room for it.
///
/// # Errors
/// [`OpenError`]; the files are then as they were.
pub fn open(options: &OpenOptions) -> Result<Ledger, OpenError> {
    match open_once(options) {
        Err(OpenError::Full { .. }) if ballast::throw_off(&options.path) => open_once(options),
        opened => opened,
    }
}

fn open_once(options: &OpenOptions) -> Result<Ledger, OpenError> {
    let path = &options.path;
    let found = inspect::inspect(path, &options.boot_id)?;
    inspect::clear_suspicion(path)?;
    let db = match found {
        Found::Ledger(_) => open_to_write(path)?,
        Found::Nothing => create(options)?,
    };
    let kept_copy = migrate::migrate(&db, path, MIGRATIONS)?;
    let failed = OpenError::sql("read the counters of", path);
    let before = match (found, meta::read(&db, meta::IN_USE).map_err(&failed)?) {
        (Found::Nothing, _) => Before::New,
        (Found::Ledger(_), Some(last)) if last == meta::CLEAN => Before::Closed,
        (Found::Ledger(_), _) => Before::Abandoned,
    };
    let report = OpenReport {
        ledger_id: ledger_id(&db, path)?,
        before,
        kept_copy,
        rebuilt_seq: meta::count(&db, meta::REBUILT_SEQ).map_err(&failed)?,
        next_seq: next_seq(&db).map_err(&failed)?,
        next_intent: next_intent(&db).map_err(&failed)?,
    };
    // The first write: it also readies the write-ahead log, so that the first
    // task's commit takes one sync and not three.
    meta::write(&db, meta::IN_USE, &options.boot_id).map_err(OpenError::sql("mark", path))?;
    syncs::note(Waited::FreshLog);
    let open_reader = || -> Result<Connection, OpenError> {
        let reader = inspect::open_beside_writer(path)?;
        reader.busy_timeout(BUSY_TIMEOUT).map_err(&failed)?;
        reader.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        Ok(reader)
    };
    let (reader, front) = (open_reader()?, open_reader()?);
    let front = Front::new(front, path.clone()).map_err(&failed)?;
    db.busy_timeout(COMMIT_BUSY_TIMEOUT).map_err(&failed)?;
    let owner = Owner::new(db, options, &report);
    let (handle, threads) =
        owner::start(owner, reader, options).map_err(OpenError::io("start a thread for", path))?;
    Ok(Ledger {
        handle,
        front,
        threads,
        report,
    })
}

/// A ledger that is only read, without a supervisor: it makes and changes
/// nothing (where an unclosed write-ahead log lies beside it, SQLite may make
/// the index of that log).
#[derive(Debug)]
pub struct ReadLedger {
    db: Connection,
    path: PathBuf,
}

impl ReadLedger {
    /// Opens it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let absent = || OpenError::Absent(path.to_owned());
        if inspect::look_at_header(path)? == inspect::Header::Empty {
            return Err(absent());
        }
        let db = inspect::open_to_read(path)?;
        let failed = OpenError::sql("read the version of", path);
        db.busy_timeout(BUSY_TIMEOUT).map_err(&failed)?;
        let versions = migrate::Versions::read(&db).map_err(&failed)?;
        if versions == migrate::Versions::default() {
            return Err(absent());
        }
        inspect::refuse_newer(path, versions)?;
        if versions.schema < migrate::SCHEMA {
            return Err(OpenError::Older {
                path: path.to_owned(),
                schema: versions.schema,
                known: migrate::SCHEMA,
            });
        }
        Ok(Self {
            db,
            path: path.to_owned(),
        })
    }

    /// What can be asked.
    #[must_use]
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(&self.db, &self.path)
    }
}

/// A connection that writes: every commit reaches the disk before it returns,
/// and checkpoints come only when they are asked for.
fn open_to_write(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(OpenError::sql("open", path))?;
    configure(&db).map_err(OpenError::sql("set up", path))?;
    inspect::keep_plans(&db).map_err(OpenError::sql("set up", path))?;
    Ok(db)
}

fn configure(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    // Only a file without tables takes it: what retention frees can be given
    // back then.
    db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    // In the file itself before there is a log, so that a look at the first
    // bytes always tells whose it is.
    let id: i32 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if id != APPLICATION_ID {
        db.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    // What a burst made it grow to is given back.
    db.pragma_update(None, "journal_size_limit", super::checkpoint::MAX_WAL_BYTES)?;
    db.pragma_update(None, "temp_store", "MEMORY")
}

fn create(options: &OpenOptions) -> Result<Connection, OpenError> {
    let path = &options.path;
    if let Some(folder) = &options.task_folder {
        return Err(OpenError::Missing {
            path: path.clone(),
            folder: folder.clone(),
        });
    }
    let mut file = fs::OpenOptions::new();
    file.write(true).create(true).truncate(false).mode(0o600);
    file.open(path).map_err(OpenError::io("create", path))?;
    open_to_write(path)
}

fn ledger_id(db: &Connection, path: &Path) -> Result<String, OpenError> {
    let failed = OpenError::sql("read the id of", path);
    if let Some(id) = meta::read(db, meta::LEDGER_ID).map_err(&failed)? {
        return Ok(id);
    }
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| std::io::Error::other(error.to_string()))
        .map_err(OpenError::io("draw an id for", path))?;
    let id = format!("{:032x}", u128::from_be_bytes(random));
    meta::write(db, meta::LEDGER_ID, &id).map_err(&failed)?;
    Ok(id)
}

fn next_seq(db: &Connection) -> rusqlite::Result<u64> {
    let next = next_id(db, "SELECT max(seq) FROM agent_run_event")?;
    Ok(next.max(meta::count(db, meta::PRUNED_SEQ)?.saturating_add(1)))
}

fn next_intent(db: &Connection) -> rusqlite::Result<u64> {
    let next = next_id(db, "SELECT max(id) FROM stop_intent")?;
    Ok(next.max(meta::count(db, meta::PRUNED_INTENT)?.saturating_add(1)))
}

fn next_id(db: &Connection, sql: &str) -> rusqlite::Result<u64> {
    let highest: Option<i64> = db.query_row(sql, [], |row| row.get(0))?;
    Ok(highest
        .and_then(|id| u64::try_from(id).ok())
        .map_or(1, |id| id.saturating_add(1)))
}
