//! Another program holds the ledger.

use rusqlite::Connection;

use crate::harness::{Dispatched, GENEROUS, World, wait_until};

/// A ledger to which nobody else can write, until this goes.
#[derive(Debug)]
pub struct LedgerLock(Connection);

impl LedgerLock {
    /// Waits for whoever writes.
    ///
    /// # Panics
    /// When it cannot be had.
    #[must_use]
    pub fn take(world: &World) -> Self {
        let sql = Connection::open(world.ledger().path()).expect("opens");
        sql.busy_timeout(GENEROUS).expect("set");
        sql.execute_batch("BEGIN IMMEDIATE").expect("locked");
        Self(sql)
    }

    /// Until what had waited is recorded.
    ///
    /// # Panics
    /// When it is not.
    pub fn release(self, world: &World) {
        let recorded = || world.log().matches("what had waited is recorded").count();
        let before = recorded();
        self.0.execute_batch("ROLLBACK").expect("it was locked");
        wait_until("the record of what had waited", GENEROUS, || {
            recorded() > before
        });
    }
}

/// A live task of this key.
#[must_use]
pub fn up(world: &World, key: &str) -> Dispatched {
    let task = world
        .run()
        .id(&format!("locked-{key}"))
        .key(key)
        .steps(["mark:up", "forever"])
        .detached();
    task.marked("up");
    task
}

/// The first request that finds the ledger locked was taken.
#[track_caller]
pub fn is_taken(world: &World, words: &[&str]) {
    says_later(&world.ctl(words).expect_code(1).stderr);
}

/// The supervisor knows that the ledger is locked, by this request or another.
#[track_caller]
pub fn is_noticed(world: &World, words: &[&str]) {
    let said = world.ctl(words).expect_code(1).stderr;
    assert!(said.contains("another program has locked"), "{said}");
}

/// What such a caller is told.
#[track_caller]
pub fn says_later(said: &str) {
    assert!(said.contains("another program has locked"), "{said}");
    assert!(said.contains("is not recorded yet"), "{said}");
    assert!(said.contains("as soon as it can be recorded"), "{said}");
}
