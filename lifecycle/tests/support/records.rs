//! The records of a shim's journal in few words.

use lifecycle::Fact;
use protocol::shim::{
    IntentRecord, OomRecord, Record, ResultRecord, SpawnStage, SupersededBy, SweepRecord, Target,
    Usage,
};
use protocol::vocab::Stream;
use protocol::{Exit, StopReason, Timestamp};

use super::words::{TERM, agent, at, sender, shim};

pub(crate) fn claimed(ms: i64) -> Record {
    Record::Claimed {
        at: at(ms),
        shim: shim(),
    }
}

pub(crate) fn execd(ms: i64) -> Record {
    Record::Execd {
        at: at(ms),
        agent: agent(),
        program: "/bin/demo".to_string(),
    }
}

pub(crate) fn spawn_failed(ms: i64) -> Record {
    Record::SpawnFailed {
        at: at(ms),
        stage: SpawnStage::Search,
        errno: 2,
        path: "nothing".to_string(),
    }
}

/// What a supervisor says that could not start a shim.
pub(crate) fn start_failed() -> Fact {
    Fact::StartFailed {
        stage: SpawnStage::Shim,
        errno: 11,
        path: "/opt/agent-shim".to_string(),
    }
}

pub(crate) fn output(ms: i64) -> Record {
    Record::FirstOutput { at: at(ms) }
}

pub(crate) fn seen(ms: i64, id: &str) -> Record {
    Record::SessionSeen {
        at: at(ms),
        session_id: id.to_string(),
        stream: Stream::Stdout,
    }
}

pub(crate) fn result_of(ms: i64, success: bool) -> ResultRecord {
    ResultRecord {
        at: at(ms),
        success,
        text: Some("done".to_string()),
        truncated: false,
        usage: Usage::default(),
    }
}

pub(crate) fn result(ms: i64, success: bool) -> Record {
    Record::Result(result_of(ms, success))
}

pub(crate) fn intent(ms: i64, id: u64) -> Record {
    Record::Intent(IntentRecord {
        at: at(ms),
        intent_id: id,
        reason: StopReason::User,
        grace_ms: 5_000,
        joined: id > 1,
    })
}

pub(crate) fn superseded(ms: i64, id: u64, by: SupersededBy) -> Record {
    Record::Superseded {
        at: at(ms),
        intent_id: id,
        by,
    }
}

pub(crate) const fn signalled_record(ms: Timestamp, id: Option<u64>, signal: i32) -> Record {
    Record::Signalled {
        at: ms,
        intent_id: id,
        signal,
        target: Target::Group,
    }
}

pub(crate) fn signalled(ms: i64, id: u64, signal: i32) -> Record {
    signalled_record(at(ms), Some(id), signal)
}

pub(crate) fn signal_seen(ms: i64) -> Record {
    Record::SignalSeen {
        at: at(ms),
        signal: TERM,
        sender: sender(),
    }
}

/// The first kill; there was none at `since`.
pub(crate) fn oom_of(ms: i64, since: i64, leader_lives: bool) -> OomRecord {
    OomRecord {
        at: at(ms),
        kills: 1,
        since: at(since),
        leader_lives,
    }
}

pub(crate) fn oom(ms: i64, since: i64, leader_lives: bool) -> Record {
    Record::OutOfMemory(oom_of(ms, since, leader_lives))
}

pub(crate) fn exited(ms: i64, exit: Exit) -> Record {
    Record::Exited {
        at: at(ms),
        exit,
        output_bytes: (0, 0),
    }
}

pub(crate) fn swept(ms: i64) -> Record {
    Record::Swept(sweep(ms))
}

pub(crate) fn sweep(ms: i64) -> SweepRecord {
    SweepRecord {
        at: at(ms),
        empty: true,
        ..SweepRecord::default()
    }
}

pub(crate) fn finished(ms: i64) -> Record {
    Record::Finished {
        at: at(ms),
        output_bytes: (10, 2),
        gap_bytes: (0, 0),
    }
}
