//! A ledger that cannot be used is refused, and its bytes stay as they are.

use rusqlite::Connection;

use super::support::{Place, admitted, commit, ended, id, wait};
use crate::ledger::inspect::APPLICATION_ID;
use crate::ledger::migrate::{MIGRATIONS, Migration, SCHEMA, Versions, migrate};
use crate::ledger::{OpenError, OpenOptions, ReadLedger, open};

/// A ledger with something in it, closed.
fn filled() -> Place {
    let place = Place::new();
    let ledger = place.open();
    for n in 0..50 {
        let (task, at) = (format!("t{n}"), i64::from(n));
        commit(
            &ledger.handle,
            &[admitted(&task, &task, at), ended(&task, at + 1)],
        );
    }
    ledger.close().expect("closed");
    place
}

/// Opening fails in both ways, and no byte of any file differs.
fn refused(place: &Place) -> OpenError {
    let before = place.bytes();
    let error = place.try_open().expect_err("it is refused");
    assert_eq!(place.bytes(), before, "{error}");
    let read = ReadLedger::open(&place.file());
    if !matches!(error, OpenError::Damaged { .. }) {
        assert!(read.is_err());
    }
    assert_eq!(place.bytes(), before, "{error}");
    assert!(
        error.hint().contains("agent-supervisor recover"),
        "{}",
        error.hint()
    );
    assert!(
        error.to_string().contains(&*place.file().to_string_lossy()),
        "{error}"
    );
    error
}

#[test]
fn a_newer_ledger_is_refused() {
    let place = filled();
    set_versions(&place, SCHEMA + 2, SCHEMA + 1);
    let error = refused(&place);
    assert!(
        matches!(error, OpenError::Newer { compat, known, .. } if compat == SCHEMA + 1 && known == SCHEMA),
        "{error}"
    );
}

#[test]
fn a_newer_ledger_whose_log_was_not_worked_in_is_refused() {
    let place = filled();
    let newer = place.sql();
    newer
        .pragma_update(None, "wal_autocheckpoint", 0)
        .expect("set");
    let sql = format!(
        "UPDATE meta SET value = '{}' WHERE name = 'compat'",
        SCHEMA + 1
    );
    newer.execute_batch(&sql).expect("written");
    let copy = Place::new();
    for (name, bytes) in place
        .bytes()
        .into_iter()
        .filter(|(name, _)| !name.ends_with("-shm"))
    {
        std::fs::write(copy.file().with_file_name(name), bytes).expect("copied");
    }
    let before = copy.bytes();
    let error = copy.try_open().expect_err("it is refused");
    assert!(matches!(error, OpenError::Newer { .. }), "{error}");
    let mut after = copy.bytes();
    after.retain(|(name, _)| !name.ends_with("-shm"));
    assert_eq!(after, before);
}

#[test]
fn a_ledger_that_only_grew_is_used() {
    let place = filled();
    set_versions(&place, SCHEMA + 5, SCHEMA);
    place.open().close().expect("closed");
    let versions = Versions::read(&place.sql()).expect("read");
    assert_eq!(
        versions,
        Versions {
            schema: SCHEMA + 5,
            compat: SCHEMA
        },
        "it is not taken back"
    );
}

#[test]
fn other_files_are_refused() {
    let place = Place::new();
    std::fs::write(place.file(), "these are notes of mine\n").expect("written");
    assert!(matches!(refused(&place), OpenError::NotALedger { .. }));
    let long = "these are notes of mine\n".repeat(1000);
    std::fs::write(place.file(), long).expect("written");
    assert!(matches!(refused(&place), OpenError::NotALedger { .. }));
    std::fs::remove_file(place.file()).expect("removed");
    let other = place.sql();
    other
        .execute_batch("CREATE TABLE notes (text TEXT)")
        .expect("made");
    drop(other);
    assert!(matches!(refused(&place), OpenError::NotALedger { .. }));
}

#[test]
fn a_truncated_ledger_is_refused() {
    let place = filled();
    let whole = std::fs::read(place.file()).expect("there");
    for keep in [whole.len() / 2, whole.len() - 1, 4096] {
        std::fs::write(place.file(), &whole[..keep]).expect("cut");
        assert!(
            matches!(refused(&place), OpenError::Damaged { .. }),
            "cut at {keep}"
        );
    }
    std::fs::write(place.file(), &whole[..99]).expect("cut");
    assert!(matches!(refused(&place), OpenError::NotALedger { .. }));
}

#[test]
fn a_ledger_with_torn_pages_is_refused() {
    let place = filled();
    let whole = std::fs::read(place.file()).expect("there");
    let pages = whole.len() / 4096;
    let mut found = 0;
    for page in 1..pages {
        let mut torn = whole.clone();
        torn[page * 4096..][..4096].fill(0xa5);
        std::fs::write(place.file(), &torn).expect("torn");
        let error = refused(&place);
        assert!(
            matches!(error, OpenError::Damaged { .. }),
            "page {page}: {error}"
        );
        found += 1;
    }
    assert!(found > 5, "there were {pages} pages");
}

#[test]
fn a_missing_ledger_is_not_started_over_tasks() {
    let place = Place::new();
    let options = OpenOptions {
        task_folder: Some(id("t1")),
        ..place.options()
    };
    let error = open(&options).expect_err("it is refused");
    assert!(matches!(error, OpenError::Missing { .. }));
    assert!(error.to_string().contains("t1"), "{error}");
    assert!(error.hint().contains("agent-supervisor recover"));
    assert_eq!(place.bytes(), Vec::new(), "nothing was made");
    // An empty file is no ledger either.
    std::fs::write(place.file(), b"").expect("made");
    assert!(matches!(open(&options), Err(OpenError::Missing { .. })));
    // Without tasks it is where a new one begins.
    place.open().close().expect("closed");
}

#[test]
fn a_start_that_was_cut_off_is_begun_again() {
    let place = Place::new();
    let half = place.sql();
    half.pragma_update(None, "application_id", APPLICATION_ID)
        .expect("set");
    drop(half);
    assert!(matches!(
        ReadLedger::open(&place.file()),
        Err(OpenError::Absent(_))
    ));
    place.open().close().expect("closed");
}

const ADDS: Migration = Migration {
    schema: SCHEMA + 1,
    compat: 1,
    sql: "CREATE TABLE added (x INTEGER) STRICT",
};
const BREAKS: Migration = Migration {
    schema: SCHEMA + 2,
    compat: SCHEMA + 2,
    sql: "DROP TABLE added",
};
const FAILS: Migration = Migration {
    schema: SCHEMA + 3,
    compat: SCHEMA + 2,
    sql: "CREATE TABLE more (x); DROP TABLE none",
};

fn versions(db: &Connection) -> (u32, u32) {
    let versions = Versions::read(db).expect("read");
    (versions.schema, versions.compat)
}

fn count(db: &Connection, from: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {from}");
    db.query_row(&sql, [], |row| row.get(0)).expect("read")
}

#[test]
fn a_migration_keeps_a_copy_only_where_it_breaks() {
    let place = filled();
    let db = place.sql();
    let with = |more: &[Migration]| [MIGRATIONS, more].concat();
    let kept = migrate(&db, &place.file(), &with(&[ADDS])).expect("migrated");
    assert_eq!((kept, versions(&db)), (None, (SCHEMA + 1, 1)));
    let kept = migrate(&db, &place.file(), &with(&[ADDS, BREAKS])).expect("migrated");
    assert_eq!(versions(&db), (SCHEMA + 2, SCHEMA + 2));
    let copy = Connection::open(kept.expect("a copy")).expect("opens");
    assert_eq!(versions(&copy), (SCHEMA + 1, 1));
    assert_eq!(count(&copy, "task_history"), 50);
}

/// A file of the first schema is used on, and an older program can still open it.
#[test]
fn a_ledger_of_the_first_schema_goes_on() {
    let place = Place::new();
    let db = place.sql();
    db.pragma_update(None, "application_id", APPLICATION_ID)
        .expect("set");
    migrate(&db, &place.file(), &MIGRATIONS[..1]).expect("made");
    db.execute_batch(
        "INSERT INTO agent_sessions VALUES ('k', 'claude', 's', 't', 'resumable', NULL,
             '2026-01-01T00:00:00.000Z', 1, '{}')",
    )
    .expect("written");
    drop(db);
    let ledger = place.open();
    let rows = wait(ledger.handle.session_rows_of("k".into())).expect("read");
    assert_eq!((rows.len(), &rows[0].without_task), (1, &None));
    ledger.close().expect("closed");
    assert_eq!(versions(&place.sql()), (SCHEMA, 1));
}

#[test]
fn half_a_migration_is_none() {
    let place = filled();
    let db = place.sql();
    let all = [MIGRATIONS, &[ADDS, BREAKS, FAILS]].concat();
    assert!(migrate(&db, &place.file(), &all).is_err());
    assert_eq!(versions(&db), (SCHEMA + 2, SCHEMA + 2));
    assert_eq!(count(&db, "sqlite_schema WHERE name = 'more'"), 0);
}

fn set_versions(place: &Place, schema: u32, compat: u32) {
    let db = place.sql();
    for (name, value) in [("schema", schema), ("compat", compat)] {
        db.execute(
            "UPDATE meta SET value = ?2 WHERE name = ?1",
            (name, value.to_string()),
        )
        .expect("written");
    }
}
