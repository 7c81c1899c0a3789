//! The count of kills for want of memory, in files of the kernel's form: real
//! kills are tested with the whole system.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use protocol::shim::Record;

use super::harness::{Rig, State, order, state};

/// The cgroup of the task, as a folder, with a count of zero.
fn counted() -> (State, PathBuf) {
    let state = state();
    let group = state.path().join("group/task");
    fs::create_dir_all(&group).expect("made");
    symlink(&group, state.path().join("tasks/task/cgroup")).expect("made");
    let file = group.join("memory.events");
    fs::write(&file, "low 0\noom 0\noom_kill 0\n").expect("made");
    (state, file)
}

fn kills(records: &[Record]) -> Vec<(u64, bool)> {
    let of_memory = records.iter().filter_map(|record| match record {
        Record::OutOfMemory(oom) => Some((oom.kills, oom.leader_lives)),
        _ => None,
    });
    of_memory.collect()
}

#[test]
fn a_kill_that_the_leader_lives_through_is_told_while_it_lives() {
    let (state, file) = counted();
    let end = file.with_file_name("end");
    let script = format!("until [ -e {} ]; do sleep 0.01; done", end.display());
    let mut rig = Rig::start_in(state, order(&script));
    rig.until(|record| matches!(record, Record::Execd { .. }));
    fs::write(&file, "low 0\noom 1\noom_kill 2\n").expect("ours");
    rig.until(|record| matches!(record, Record::OutOfMemory(_)));
    fs::write(end, "").expect("ours");
    assert_eq!(kills(&rig.finish().records), [(2, true)]);
}

#[test]
fn a_kill_that_shows_at_the_exit_stands_right_before_it() {
    let (state, file) = counted();
    let script = format!("echo oom_kill 1 > {}; kill -KILL $$", file.display());
    let rig = Rig::start_in(state, order(&script)).finish();
    assert_eq!(kills(&rig.records), [(1, false)]);
    let kinds = rig.kinds();
    let exit = kinds.iter().position(|kind| *kind == "exited");
    assert_eq!(kinds[exit.expect("it ended") - 1], "oom", "{kinds:?}");
}
