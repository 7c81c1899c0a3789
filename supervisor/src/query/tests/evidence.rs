//! What `show` lists as seen.

use lifecycle::Event;
use lifecycle::EventBody;
use protocol::Exit;
use protocol::shim::{AlarmKind, SweepRecord, Target};
use protocol::vocab::SignalledBy;

use super::story::{self, Story};
use crate::query::evidence::evidence;

/// The kinds that CONTRACT names.
const KINDS: [&str; 8] = [
    "exit",
    "result",
    "signal",
    "oom",
    "sweep",
    "shim",
    "supervisor",
    "not_durable",
];

fn told(events: &[Event]) -> String {
    let lines = evidence(events, Some("/bin")).into_iter().map(|seen| {
        assert!(KINDS.contains(&seen.kind.as_str()), "{}", seen.kind);
        format!("{} {}: {}", seen.at.0, seen.kind, seen.detail)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_stopped_task_shows_signal_exit_and_tree() {
    assert_eq!(
        told(&story::stopped()),
        "\
7 signal: SIGTERM to the agent's group under intent 3, by the shim
8 exit: ended by SIGTERM
9 sweep: 1 process that outlived the agent was ended; tree proven empty; looked at by the shim"
    );
}

#[test]
fn an_unknown_sender_and_an_unknown_exit_are_evidence_too() {
    assert_eq!(
        told(&story::killed_from_outside()),
        "\
3 exit: ended by SIGKILL
4 sweep: tree proven empty; looked at by the shim
5 signal: nobody declared it; the sender of a signal to the agent alone cannot be known"
    );
    assert_eq!(
        told(&story::shim_lost()),
        "\
3 shim: the shim's process was gone before it had finished (tail_unknown: what stood in its pipes is lost, the logs are an exact beginning of the output)
4 sweep: 2 processes that outlived the agent were ended; still alive: sleep (pid 77); looked at by the supervisor
5 exit: exit unknown: the shim died before it could record the exit"
    );
}

#[test]
fn starts_that_failed_are_in_words() {
    assert_eq!(
        told(&story::spawn_failed()),
        "1 shim: command “clade” was not found; searched in PATH /bin (ENOENT)"
    );
    assert_eq!(
        told(&story::never_started()),
        "1 supervisor: never started: the shim could not be spawned"
    );
}

#[test]
fn what_others_wrote_cannot_move_the_cursor() {
    let mut story = Story::started();
    let events = story
        .result(true, "\u{1b}[2Jdone\r\nreally")
        .tell(EventBody::Alarm {
            kind: AlarmKind::LogWriteFailed,
            detail: "\u{7}bell".into(),
        })
        .signalled(9, Target::Tree(2), SignalledBy::Supervisor)
        .exited(Exit::Exited { code: 0 })
        .swept(
            SweepRecord {
                marker_only: true,
                ..story::empty()
            },
            SignalledBy::Supervisor,
        )
        .tell(EventBody::Finished {
            output_bytes: (9, 9),
            gap_bytes: (4, 0),
        })
        .events();
    assert_eq!(
        told(&events),
        "\
3 result: its own result says success: “[2Jdone really”
4 shim: a log file could not be written: bell
5 signal: SIGKILL to 2 processes that were left of the tree, by the supervisor
6 exit: exited with code 0
7 sweep: nothing is left that carries the task's marker (marker_only: a process that wiped its environment could not be seen); looked at by the supervisor
8 shim: not kept: 4 bytes of stdout, 0 bytes of stderr"
    );
}
