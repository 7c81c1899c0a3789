//! Numbered migrations. An additive one keeps `compat`, so that an older
//! program can go on using the file; before any other a copy is kept.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::error::OpenError;
use super::meta;

/// One step from a schema to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Migration {
    /// The schema after it.
    pub(super) schema: u32,
    /// The oldest schema number that a program must know after it.
    pub(super) compat: u32,
    /// What it does.
    pub(super) sql: &'static str,
}

/// Every migration, in order. Never edited once released.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration {
        schema: 1,
        compat: 1,
        sql: include_str!("migrations/0001_tables.sql"),
    },
    Migration {
        schema: 2,
        compat: 1,
        sql: include_str!("migrations/0002_sessions_without_task.sql"),
    },
];

/// The newest schema that this program knows.
pub(super) const SCHEMA: u32 = MIGRATIONS[MIGRATIONS.len() - 1].schema;

/// What a file says of itself; zeros before the first migration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Versions {
    pub(super) schema: u32,
    pub(super) compat: u32,
}

impl Versions {
    pub(super) fn read(db: &Connection) -> rusqlite::Result<Self> {
        if !meta::exists(db)? {
            return Ok(Self::default());
        }
        Ok(Self {
            schema: meta::number(db, meta::SCHEMA)?,
            compat: meta::number(db, meta::COMPAT)?,
        })
    }
}

/// Applies what is missing, each migration in a transaction of its own.
/// Returns the copy that was kept, if one had to be.
pub(super) fn migrate(
    db: &Connection,
    path: &Path,
    migrations: &[Migration],
) -> Result<Option<PathBuf>, OpenError> {
    let found = Versions::read(db).map_err(OpenError::sql("read the version of", path))?;
    let missing: Vec<&Migration> = migrations
        .iter()
        .filter(|migration| migration.schema > found.schema)
        .collect();
    let breaks = missing
        .iter()
        .any(|migration| migration.compat > found.compat);
    let copy = if breaks && found != Versions::default() {
        Some(keep_copy(db, path, found)?)
    } else {
        None
    };
    for migration in missing {
        apply(db, migration).map_err(OpenError::sql("migrate the tables of", path))?;
    }
    Ok(copy)
}

fn apply(db: &Connection, migration: &Migration) -> rusqlite::Result<()> {
    db.execute_batch("BEGIN IMMEDIATE")?;
    let done = db
        .execute_batch(migration.sql)
        .and_then(|()| meta::write(db, meta::SCHEMA, &migration.schema.to_string()))
        .and_then(|()| meta::write(db, meta::COMPAT, &migration.compat.to_string()))
        .and_then(|()| db.execute_batch("COMMIT"));
    if done.is_err() && !db.is_autocommit() {
        db.execute_batch("ROLLBACK")?;
    }
    done
}

fn keep_copy(db: &Connection, path: &Path, found: Versions) -> Result<PathBuf, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".schema-{}", found.schema));
    let copy = PathBuf::from(name);
    // An earlier attempt may have left half of one.
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(&copy)
        .map_err(OpenError::io("create the copy", &copy))?;
    db.execute("VACUUM INTO ?1", [copy.to_string_lossy()])
        .map_err(OpenError::sql("copy", path))?;
    Ok(copy)
}
