//! A ledger that was rebuilt takes the place of one that cannot be used.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use protocol::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::OpenError;
use super::{inspect, meta};

/// What lies beside the file: SQLite's, and ours.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", inspect::MARK];

/// Where the new ledger grows, in the same folder.
#[must_use]
pub fn building(path: &Path) -> PathBuf {
    with_suffix(path, ".rebuilding")
}

/// Removes what a rebuild that was interrupted left.
///
/// # Errors
/// [`OpenError::Io`].
pub fn remove(path: &Path) -> Result<(), OpenError> {
    for file in family(path) {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::io("remove", &file)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Keeps the old ledger beside the new one, which takes its place; gives the old
/// one's new name, if there was one. Interrupted, it leaves no ledger at all,
/// which is refused like a damaged one.
///
/// # Errors
/// [`OpenError::Io`].
pub fn replace(path: &Path, new: &Path, now: Timestamp) -> Result<Option<PathBuf>, OpenError> {
    let kept = with_suffix(path, &format!(".damaged-{}", now.0));
    let mut found = false;
    for (from, to) in family(path).iter().zip(family(&kept)) {
        match fs::rename(from, &to) {
            Ok(()) => found = true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(OpenError::io("rename", from)(error)),
        }
    }
    fs::rename(new, path).map_err(OpenError::io("rename", new))?;
    if let Some(folder) = path.parent() {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(OpenError::io("sync", folder))?;
    }
    Ok(found.then_some(kept))
}

/// No intent of this ledger will have an id up to `id`, and what it holds now is
/// what a rebuild wrote.
///
/// # Errors
/// [`OpenError`], if it cannot be written.
pub fn seal_rebuilt(path: &Path, id: u64) -> Result<(), OpenError> {
    let failed = OpenError::sql("finish the rebuild of", path);
    let db = Connection::open(path).map_err(&failed)?;
    meta::write(&db, meta::PRUNED_INTENT, &id.to_string()).map_err(&failed)?;
    let last: Option<i64> = db
        .query_row("SELECT max(seq) FROM agent_run_event", [], |row| row.get(0))
        .map_err(&failed)?;
    meta::write(&db, meta::REBUILT_SEQ, &last.unwrap_or(0).to_string()).map_err(&failed)?;
    db.close().map_err(|(_, error)| failed(error))
}

/// Does another program hold the ledger at `path`? One that cannot be read is held
/// by nobody. Nothing is written: the last connection would bring the log into the
/// file, which is kept as it is.
#[must_use]
pub fn is_locked(path: &Path) -> bool {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let tried = Connection::open_with_flags(path, flags).and_then(|db| {
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        db.execute_batch("BEGIN IMMEDIATE; ROLLBACK")
    });
    let code = tried.err().and_then(|error| error.sqlite_error_code());
    matches!(
        code,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// Ids and states of the tasks in a ledger that cannot be trusted, as far as it
/// can be read: good for telling differences, and for nothing else.
///
/// # Errors
/// In words.
pub fn tasks_in(path: &Path) -> Result<Vec<(String, String)>, String> {
    let words = |error: rusqlite::Error| error.to_string();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(words)?;
    let mut query = db
        .prepare("SELECT id, status FROM task_history")
        .map_err(words)?;
    let rows = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(words)?;
    rows.collect::<Result<_, _>>().map_err(words)
}

fn family(path: &Path) -> Vec<PathBuf> {
    let companions = COMPANIONS.iter().map(|end| with_suffix(path, end));
    std::iter::once(path.to_owned()).chain(companions).collect()
}

fn with_suffix(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}
