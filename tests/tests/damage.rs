//! Damage of the ledger that no look at the start finds: refused, or mended, once it
//! is met.

use std::fs;

use tests::harness::{Bins, World};

fn recover(world: &World) {
    let mut command = world.command(Bins::locate().supervisor());
    command.arg("recover");
    let _recovered = world.finish(command).ok();
}

/// What the start itself reads.
const READ_AT_START: &str = "sqlite_autoindex_task_history_1";

/// A large file that was closed in order is not looked over before.
#[test]
fn damage_that_is_met_later_is_refused_as_at_a_start() {
    let world = World::new();
    let (id, before) = damaged_later(&world, READ_AT_START);
    let refused = world.spawn_supervisor();
    assert_eq!(refused.ended().code(), Some(4), "{}", world.log());
    let log = world.log();
    assert!(log.contains("`agent-supervisor recover`"), "{log}");
    assert_eq!(fs::read(world.ledger().path()).expect("left"), before);
    recovered(&world, &id);

    let world = World::new();
    let (id, _) = damaged_later(&world, "task_history");
    let meets = world.start();
    let _failed = world.ctl(&["show", &id]).expect_code(1);
    assert_eq!(meets.ended().code(), Some(4), "{}", world.log());
    // The next start looks at all of it.
    let refused = world.spawn_supervisor();
    assert_eq!(refused.ended().code(), Some(4), "{}", world.log());
    recovered(&world, &id);
}

#[track_caller]
fn recovered(world: &World, id: &str) {
    recover(world);
    let _next = world.start();
    assert_eq!(world.show(id)["status"], "success");
    world.forgive("ledger");
    world.check();
}

#[test]
fn damage_that_is_met_later_is_mended_where_that_is_wanted() {
    for part in [READ_AT_START, "task_history"] {
        let world = World::builder()
            .config("[ledger]\non_damage = \"recover\"\n")
            .build();
        let (id, _) = damaged_later(&world, part);
        if part != READ_AT_START {
            // The supervisor that meets it ends, and the next one rebuilds it.
            let meets = world.start();
            let _failed = world.ctl(&["show", &id]).expect_code(1);
            assert_eq!(meets.ended().code(), Some(1), "{}", world.log());
        }
        let _next = world.start();
        assert_eq!(world.show(&id)["status"], "success");
        world.forgive("ledger");
        world.forgive("[recovery]");
        world.check();
    }
}

/// A ledger with one ended task, closed in order and then damaged.
fn damaged_later(world: &World, table: &str) -> (String, Vec<u8>) {
    let first = world.start();
    let task = world.run().steps(["exit:0"]).detached();
    let _ended = world.ended(&task.id);
    assert!(first.terminate().success());
    (task.id.clone(), damage_of(world, table))
}

/// Makes the file larger than what is looked over at every start, and overwrites the
/// first page of a table; gives what it is then.
fn damage_of(world: &World, table: &str) -> Vec<u8> {
    let path = world.ledger().path().to_path_buf();
    let sql = rusqlite::Connection::open(&path).expect("the ledger");
    sql.execute_batch("CREATE TABLE bulk AS SELECT zeroblob(2 << 20)")
        .expect("made");
    let page: u32 = sql
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = ?1",
            [table],
            |row| row.get(0),
        )
        .expect("a table");
    let size: u32 = sql
        .query_row("PRAGMA page_size", [], |row| row.get(0))
        .expect("a size");
    sql.close().expect("in order");
    let mut bytes = fs::read(&path).expect("the ledger");
    let (page, size) = (page as usize, size as usize);
    bytes[(page - 1) * size..page * size].fill(0x5a);
    fs::write(&path, &bytes).expect("damaged");
    bytes
}
