//! Keys whose tasks end as soon as they have begun.

use lifecycle::crash_loop::{Life, Limit, Past, find};
use protocol::control::ErrorCode;
use protocol::{ArchiveReason as Reason, Status, Timestamp};

use crate::support::*;

const LIMIT: Limit = Limit {
    tasks: 3,
    window_ms: 60_000,
};

/// A task that failed without a word, `second`s after the first.
fn dead(second: i64) -> Past {
    Past {
        id: protocol::TaskId::new(format!("t{second}")).expect("valid"),
        finished_at: Timestamp(1_000 * second),
        status: Status::Failure,
        reason: Reason::Failed,
        life: Life::None,
        released: false,
    }
}

/// At 100 s.
fn rests(past: &[Past]) -> bool {
    find(LIMIT, past, Timestamp(100_000)).is_some()
}

#[test]
fn three_in_the_window_are_a_loop_and_the_first_of_them_ends_it() {
    let past = [dead(90), dead(80), dead(70), dead(60)];
    let found = find(LIMIT, &past, Timestamp(100_000)).expect("a loop");
    assert_eq!(found.newest.as_str(), "t90");
    assert_eq!(found.until, Timestamp(130_000));
    assert!(!rests(&past[..2]));
    // At that moment it is over.
    assert!(find(LIMIT, &past[..3], Timestamp(129_999)).is_some());
    assert!(find(LIMIT, &past[..3], Timestamp(130_000)).is_none());
}

#[test]
fn what_showed_life_or_ended_well_or_by_others_does_not_count() {
    let with = |status, reason, life| Past {
        status,
        reason,
        life,
        ..dead(95)
    };
    let cases = [
        (Status::Failure, Reason::Failed, Life::None, true),
        (Status::Failure, Reason::SpawnFailed, Life::None, true),
        (Status::Failure, Reason::Crashed, Life::None, true),
        (Status::Failure, Reason::SessionNotFound, Life::None, true),
        (Status::Cancelled, Reason::StartTimeout, Life::None, true),
        (Status::Cancelled, Reason::Timeout, Life::None, true),
        (Status::Interrupted, Reason::OomKilled, Life::None, true),
        (Status::Failure, Reason::Failed, Life::Seen, false),
        (Status::Failure, Reason::SessionNotFound, Life::Seen, false),
        (Status::Success, Reason::Completed, Life::None, false),
        (Status::Cancelled, Reason::User, Life::None, false),
        (Status::Cancelled, Reason::RunnerStop, Life::None, false),
        (
            Status::Cancelled,
            Reason::SupersededByTask,
            Life::None,
            false,
        ),
        (Status::Interrupted, Reason::HubRestart, Life::None, false),
        (
            Status::Interrupted,
            Reason::ExternalSignal,
            Life::None,
            false,
        ),
        (Status::Interrupted, Reason::SpawnFailed, Life::None, false),
        (Status::Interrupted, Reason::ShimLost, Life::None, false),
        (Status::Interrupted, Reason::HostReboot, Life::None, false),
        (
            Status::AbortedNoSkill,
            Reason::AbortedNoSkill,
            Life::None,
            false,
        ),
    ];
    for (status, reason, life, counts) in cases {
        let third = with(status, reason, life);
        assert_eq!(third.counts(), counts, "{status} {reason} {life:?}");
        assert_eq!(rests(&[third, dead(94), dead(93)]), counts, "{reason}");
    }
    // It does not end the loop of the others either.
    let good = with(Status::Success, Reason::Completed, Life::Seen);
    assert!(rests(&[good, dead(94), dead(93), dead(92)]));
}

#[test]
fn a_word_of_the_operator_forgets_what_was_before() {
    let released = |second| Past {
        released: true,
        ..dead(second)
    };
    assert!(!rests(&[released(95), dead(94), dead(93)]));
    assert!(!rests(&[dead(96), dead(95), released(94), dead(93)]));
    assert!(rests(&[dead(98), dead(97), dead(96), released(94)]));
}

#[test]
fn it_can_be_off_and_a_clock_that_was_set_back_holds_nothing() {
    let off = Limit { tasks: 0, ..LIMIT };
    let past = [dead(95), dead(94), dead(93)];
    assert!(find(off, &past, Timestamp(100_000)).is_none());
    assert!(!rests(&[dead(9_000), dead(8_999), dead(8_998)]));
    let at_once = Limit { tasks: 1, ..LIMIT };
    assert!(find(at_once, &[dead(95)], Timestamp(100_000)).is_some());
}

#[test]
fn the_refusal_says_what_how_long_and_what_to_do() {
    let past = [dead(90), dead(80), dead(70)];
    let found = find(LIMIT, &past, Timestamp(99_500)).expect("a loop");
    let refusal = found.refusal(&key(), LIMIT, Timestamp(99_500));
    assert_eq!(refusal.code, ErrorCode::CrashLoop);
    assert_eq!(
        refusal.message,
        "key forge:dev:1 rests for 31 s more: 3 tasks of it ended within 60 s without a session id or known \
         output (the newest is t90: Agent failed)"
    );
    let hint = refusal.hint.expect("one");
    for words in [
        "agentctl why t90",
        "agentctl sessions release forge:dev:1 --crash-loop",
    ] {
        assert!(hint.contains(words), "{hint}");
    }
}
