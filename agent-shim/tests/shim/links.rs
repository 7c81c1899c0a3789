//! Supervisors come and go.

use protocol::Exit;
use protocol::shim::{Record, RejectReason, ToShim};

use super::harness::{Rig, is_gone, order, poll_until, signal};

fn is_finished(rig: &Rig) -> bool {
    let entries = rig.journal().entries;
    entries
        .iter()
        .any(|entry| matches!(entry.record, Some(Record::Finished { .. })))
}

#[test]
fn an_exit_without_a_supervisor_is_in_the_journal() {
    let state = super::harness::state();
    let go = state.path().join("go");
    let script = format!(
        "echo ready; while ! [ -e {} ]; do sleep 0.01; done; exit 9",
        go.display()
    );
    let mut rig = Rig::start_in(state, order(&script));
    rig.until_printed("ready");
    rig.link = None;
    std::fs::write(&go, "").expect("written");
    poll_until(|| is_finished(&rig));
    let exit = rig
        .journal()
        .entries
        .into_iter()
        .find_map(|entry| match entry.record {
            Some(Record::Exited { exit, .. }) => Some(exit),
            _ => None,
        });
    assert_eq!(exit, Some(Exit::Exited { code: 9 }));
    // It stays for whoever asks.
    assert!(!is_gone(rig.shim_pid()));
    let listener = rig.listen();
    signal(rig.shim_pid(), 10);
    let known = rig.records.len() as u64;
    let attach = rig.accept(
        &listener,
        &ToShim::Attached {
            acknowledged: known,
        },
    );
    assert_eq!(attach.task_id.as_str(), "task");
    assert_eq!(attach.token.0, [7; 32]);
    assert_eq!(attach.shim.pid, rig.shim_pid());
    assert_eq!(attach.records, known + 3);
    assert!(attach.last_output_at.is_some());
    let done = rig.finish();
    assert_eq!(done.kinds().last(), Some(&"finished"));
}

#[test]
fn everything_unacknowledged_is_told_again() {
    let mut rig = Rig::ready("echo ready; sleep 1000");
    rig.link = None;
    let listener = rig.listen();
    signal(rig.shim_pid(), 10);
    let told = rig.records.len() as u64;
    rig.records.truncate(1);
    let attach = rig.accept(&listener, &ToShim::Attached { acknowledged: 1 });
    assert_eq!(attach.records, told);
    rig.until(|record| matches!(record, Record::FirstOutput { .. }));
    rig.stop(3, 10_000);
    assert_eq!(
        rig.finish().exit(),
        Exit::Signaled {
            signal: 15,
            core: false
        }
    );
}

#[test]
fn it_finds_a_supervisor_by_itself_and_at_a_later_place() {
    let mut rig = Rig::ready("echo ready; sleep 1000");
    rig.link = None;
    let later = rig.state.path().join("later");
    std::fs::create_dir(&later).expect("made");
    std::fs::write(
        rig.state.path().join("runtime-dir"),
        later.to_str().expect("text"),
    )
    .expect("written");
    let listener = std::os::unix::net::UnixListener::bind(later.join("shim.sock")).expect("free");
    // No signal: the backoff alone.
    let known = rig.records.len() as u64;
    rig.accept(
        &listener,
        &ToShim::Attached {
            acknowledged: known,
        },
    );
    rig.stop(3, 10_000);
    rig.finish();
}

#[test]
fn a_rejection_is_not_the_end_unless_the_task_has_ended() {
    let mut rig = Rig::ready("echo ready; sleep 1000");
    let agent = rig.records.iter().find_map(|(_, record)| match record {
        Record::Execd { agent, .. } => Some(agent.pid),
        _ => None,
    });
    let agent = agent.expect("told");
    rig.link = None;
    let listener = rig.listen();
    for reason in [RejectReason::UnknownTask, RejectReason::NotYou] {
        rig.accept(&listener, &ToShim::Rejected(reason));
        assert!(!is_gone(agent));
    }
    rig.accept(&listener, &ToShim::Rejected(RejectReason::Ended));
    assert!(rig.wait_shim().success());
    assert!(is_gone(agent));
    let records = rig.journal().entries;
    let intents = records
        .iter()
        .filter(|entry| matches!(entry.record, Some(Record::Intent(_))));
    assert_eq!(intents.count(), 0);
}

#[test]
fn a_shim_whose_journal_was_removed_ends() {
    let mut rig = Rig::ready("echo ready; exit 0");
    rig.until(|record| matches!(record, Record::Finished { .. }));
    std::fs::remove_file(rig.task_dir().join("journal")).expect("there");
    rig.link = None;
    assert!(rig.wait_shim().success());
}

#[test]
fn a_stop_right_behind_the_order_is_heeded() {
    let mut rig = Rig::start(order("sleep 1000"));
    rig.stop(1, 10_000);
    let done = rig.finish();
    assert_eq!(
        done.exit(),
        Exit::Signaled {
            signal: 15,
            core: false
        }
    );
    assert_eq!(
        done.kinds()[..4],
        ["claimed", "execd", "intent", "signalled"]
    );
}
