//! Disks, journals and ledgers that fail.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use nix::sys::signal::Signal;

use crate::harness::{GENEROUS, Supervisor, World, wait_until};
use crate::matrix::State;
use crate::matrix::ground::Ground;
use crate::matrix::reach::Reached;

/// SQLite's own three files.
const ENDS: [&str; 3] = ["", "-wal", "-shm"];

/// The exit code of a supervisor whose ledger cannot be used.
const UNUSABLE: i32 = 4;

pub(super) fn fill(reached: &Reached) {
    let Ground::Small(disk) = &reached.ground else {
        unreachable!("its ground is this one");
    };
    disk.fill();
}

/// What stands at a write: it fails. Before there is one, the next commit does.
pub(super) fn break_disk(world: &World, reached: &Reached) {
    world.forgive("the ledger failed; leaving");
    world.forgive("the ledger was not closed in order");
    if reached.state == State::RowOnly {
        world.hooks().arm_failure_after("sup.commit.before", 0);
        world.hooks().reached().go();
        wait_until("the failure", GENEROUS, || {
            world.hooks().has_failed("sup.commit.before")
        });
        let _gone = reached.supervisor.ended();
    } else {
        world.hooks().reached().fail();
    }
}

/// The last record is there in part.
pub(super) fn tear_journal(world: &World, reached: &Reached) {
    let shim = world.shim_of(&reached.task).expect("the shim lives");
    reached.supervisor.kill();
    world.kill(&shim, Signal::SIGKILL);
    wait_until("the shim's death", GENEROUS, || !shim.is_alive());
    let path = world.task_dir(&reached.task).join("journal");
    let before = records(&path);
    let bytes = fs::read(&path).expect("the journal");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("records");
    let file = fs::File::options().write(true).open(&path);
    let torn = file.and_then(|file| file.write_all_at(&[0; 4], end as u64 - 3));
    torn.expect("the journal is a file");
    assert_eq!(records(&path), before - 1, "one record is torn");
}

fn records(path: &Path) -> u64 {
    sys::journal::read_from(path, 0).expect("a journal").records
}

/// Everything behind the header is overwritten.
pub(super) fn damage_ledger(world: &World, reached: &Reached) -> Arc<Supervisor> {
    reached.supervisor.kill();
    let path = world.ledger().path().to_path_buf();
    let connection = rusqlite::Connection::open(&path).expect("the ledger");
    let plain = connection.pragma_update(None, "journal_mode", "DELETE");
    plain.expect("a plain file");
    drop(connection);
    let mut bytes = fs::read(&path).expect("the ledger");
    for byte in bytes.iter_mut().skip(100) {
        *byte ^= 0x5a;
    }
    fs::write(&path, &bytes).expect("damaged");
    rebuilt(world)
}

pub(super) fn lose_ledger(world: &World, reached: &Reached) -> Arc<Supervisor> {
    reached.supervisor.kill();
    remove(world);
    rebuilt(world)
}

/// One that does not know the task. Before its start was decided it is none.
pub(super) fn put_back_ledger(world: &World, reached: &Reached) -> Arc<Supervisor> {
    reached.supervisor.kill();
    remove(world);
    fs::copy(old_ledger(world), world.ledger().path()).expect("put back");
    if reached.state == State::RowOnly {
        return world.start();
    }
    rebuilt(world)
}

/// Where a copy of the ledger lies that was made before the dispatch.
pub(in crate::matrix) fn old_ledger(world: &World) -> std::path::PathBuf {
    world.path("old-ledger")
}

fn remove(world: &World) {
    for end in ENDS {
        let path = format!("{}{end}", world.ledger().path().display());
        let _absent = fs::remove_file(path);
    }
}

/// It is refused, and then built anew from the task folders.
fn rebuilt(world: &World) -> Arc<Supervisor> {
    world.forgive("ledger");
    world.forgive("[recovery]");
    let refused = world.spawn_supervisor();
    assert_eq!(refused.ended().code(), Some(UNUSABLE), "{}", world.log());
    let mut command = world.command(world.bins().supervisor());
    command.arg("recover");
    let _said = world.finish(command).ok();
    world.start()
}
