//! A look at the file before anything may change it.
//!
//! ```text
//! bytes of the header → kind, truncation          reads 100 bytes
//! meta                → a newer program's?        a read-only connection
//! PRAGMA quick_check  → damage                    only where it pays
//! ```
//!
//! The check reads every page and every row: 2 to 6 ms per MiB, 0.5 to 0.9 s
//! for the 400 MB of 100,000 tasks. So it is done for small files always, and
//! for large ones only where pages may have been torn: the last supervisor did
//! not close the file, and the machine was booted since. The death of a
//! process tears nothing: what it wrote is in the page cache. Damage that is
//! met later ends the supervisor, with the same exit code, and leaves a mark
//! beside the file ([`suspect`]), so that the next start looks at all of it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::OpenError;
use super::meta;
use super::migrate::{self, Versions};

/// Files up to this size are checked whole at every start, in bytes.
const ALWAYS_CHECKED: u64 = 1 << 20;

/// In the header of every ledger: `AGSL`.
pub(super) const APPLICATION_ID: i32 = i32::from_be_bytes(*b"AGSL");

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const HEADER_LEN: usize = 100;

/// What is at the ledger's path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No file, or one without any content or tables.
    Nothing,
    /// A ledger that can be used.
    Ledger(Versions),
}

/// Looks, and changes nothing.
pub(super) fn inspect(path: &Path, boot_id: &str) -> Result<Found, OpenError> {
    if look_at_header(path)? == Header::Empty {
        return Ok(Found::Nothing);
    }
    let db = open_to_read(path)?;
    let versions = Versions::read(&db).map_err(OpenError::sql("read the version of", path))?;
    if versions == Versions::default() {
        return Ok(Found::Nothing);
    }
    refuse_newer(path, versions)?;
    if may_be_torn(&db, path, boot_id)? {
        quick_check(&db, path)?;
    }
    Ok(Found::Ledger(versions))
}

/// A connection that cannot write. Where there is no write-ahead log it makes
/// no file either; else SQLite needs the index file beside it.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, OpenError> {
    let unchanging = match fs::metadata(wal_of(path)) {
        Ok(wal) if wal.len() > 0 => "",
        Ok(_) | Err(_) => "?immutable=1",
    };
    open_read_only(path, unchanging)
}

/// A connection that cannot write, beside one that does: whether there is a
/// write-ahead log yet or not, it will see what is written to it.
pub(super) fn open_beside_writer(path: &Path) -> Result<Connection, OpenError> {
    open_read_only(path, "")
}

fn open_read_only(path: &Path, parameters: &str) -> Result<Connection, OpenError> {
    let text = path
        .to_string_lossy()
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(format!("file:{text}{parameters}"), flags)
        .map_err(OpenError::sql("open", path))?;
    keep_plans(&db).map_err(OpenError::sql("set up", path))?;
    Ok(db)
}

/// A cached statement keeps its plan. Without this SQLite prepares it again
/// for other parameters, which took a fifth of both threads.
pub(super) fn keep_plans(db: &Connection) -> rusqlite::Result<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// The write-ahead log beside the file.
pub(super) fn wal_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

pub(super) fn refuse_newer(path: &Path, versions: Versions) -> Result<(), OpenError> {
    if versions.compat > migrate::SCHEMA {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            compat: versions.compat,
            known: migrate::SCHEMA,
        });
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    Empty,
    Ours,
}

pub(super) fn look_at_header(path: &Path) -> Result<Header, OpenError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Header::Empty),
        Err(error) => return Err(OpenError::io("open", path)(error)),
    };
    let metadata = file.metadata().map_err(OpenError::io("look at", path))?;
    if !metadata.is_file() {
        return Err(OpenError::NotALedger {
            path: path.to_owned(),
            detail: "it is no regular file",
        });
    }
    if metadata.len() == 0 {
        return Ok(Header::Empty);
    }
    let mut header = [0; HEADER_LEN];
    match file.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => header = [0; HEADER_LEN],
        Err(error) => return Err(OpenError::io("read", path)(error)),
    }
    judge_header(path, &header, metadata.len())
}

fn judge_header(
    path: &Path,
    header: &[u8; HEADER_LEN],
    file_len: u64,
) -> Result<Header, OpenError> {
    let not = |detail| OpenError::NotALedger {
        path: path.to_owned(),
        detail,
    };
    if header[..16] != *MAGIC {
        return Err(not("it is not an SQLite database"));
    }
    let word = |at: usize| {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    if word(68) != APPLICATION_ID.unsigned_abs() {
        return Err(not("it is the database of another program"));
    }
    let page_size = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    let wanted = page_size * u64::from(word(28));
    // While there is a log, pages may stand there and not yet in the file.
    let logged = fs::metadata(wal_of(path)).is_ok_and(|wal| wal.len() > 0);
    if file_len < wanted && !logged {
        let detail = format!("it has {file_len} bytes, and its header says {wanted}");
        return Err(OpenError::Damaged {
            path: path.to_owned(),
            detail,
        });
    }
    Ok(Header::Ours)
}

/// What lies beside a ledger in which damage was met.
pub(super) const MARK: &str = "-suspect";

fn mark_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(MARK);
    PathBuf::from(name)
}

/// Damage was met in this ledger: the next start is to look at all of it.
///
/// # Errors
/// [`OpenError::Io`].
pub fn suspect(path: &Path) -> Result<(), OpenError> {
    let mark = mark_of(path);
    File::create(&mark).map_err(OpenError::io("make", &mark))?;
    Ok(())
}

/// All of it was looked at.
pub(super) fn clear_suspicion(path: &Path) -> Result<(), OpenError> {
    let mark = mark_of(path);
    match fs::remove_file(&mark) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(OpenError::io("remove", &mark)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn may_be_torn(db: &Connection, path: &Path, boot_id: &str) -> Result<bool, OpenError> {
    if mark_of(path).exists() {
        return Ok(true);
    }
    let size = fs::metadata(path)
        .map_err(OpenError::io("look at", path))?
        .len();
    if size <= ALWAYS_CHECKED {
        return Ok(true);
    }
    let in_use =
        meta::read(db, meta::IN_USE).map_err(OpenError::sql("read the version of", path))?;
    Ok(in_use.is_none_or(|last| last != meta::CLEAN && last != boot_id))
}

fn quick_check(db: &Connection, path: &Path) -> Result<(), OpenError> {
    let finding: String = db
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(OpenError::sql("check", path))?;
    if finding == "ok" {
        return Ok(());
    }
    Err(OpenError::Damaged {
        path: path.to_owned(),
        detail: finding,
    })
}
