//! The ledger's own small facts, by name.

use rusqlite::{Connection, OptionalExtension};

/// The newest migration that was applied.
pub(super) const SCHEMA: &str = "schema";
/// The oldest schema number that a program must know to use the file.
pub(super) const COMPAT: &str = "compat";
/// Random, made with the file: seq is unique within it.
pub(super) const LEDGER_ID: &str = "ledger_id";
/// `clean`, or the boot id of the supervisor that has it open.
pub(super) const IN_USE: &str = "in_use";
/// Counts checkpoints; written right after one (see `checkpoint`).
pub(super) const CHECKPOINTS: &str = "checkpoints";
/// The highest seq that retention took away, so that none is used again.
pub(super) const PRUNED_SEQ: &str = "pruned_seq";
/// The boot id of the last supervisor's start up to it.
pub(super) const PRUNED_BOOT: &str = "pruned_boot";
/// The highest intent that retention took away, or that may have been lost with
/// an earlier ledger, so that none is used again.
pub(super) const PRUNED_INTENT: &str = "pruned_intent";
/// The last seq that a rebuild wrote: up to it the numbers are not those of the
/// ledger before. Missing where there was no rebuild.
pub(super) const REBUILT_SEQ: &str = "rebuilt_seq";

/// The value of [`IN_USE`] after an orderly end.
pub(super) const CLEAN: &str = "clean";

pub(super) fn read(db: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    db.prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

pub(super) fn write(db: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO meta (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )?
    .execute([name, value])?;
    Ok(())
}

pub(super) fn number(db: &Connection, name: &str) -> rusqlite::Result<u32> {
    Ok(read(db, name)?
        .and_then(|text| text.parse().ok())
        .unwrap_or(0))
}

/// A count that may be larger than any version; zero if it was never written.
pub(super) fn count(db: &Connection, name: &str) -> rusqlite::Result<u64> {
    Ok(read(db, name)?
        .and_then(|text| text.parse().ok())
        .unwrap_or(0))
}

/// Does the table exist at all?
pub(super) fn exists(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'meta'",
        [],
        |row| row.get::<_, i64>(0),
    )
    .map(|count| count > 0)
}
