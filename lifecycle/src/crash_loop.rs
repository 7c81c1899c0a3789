//! Keys whose tasks end as soon as they have begun: a wrong model name, a CLI
//! that is not installed, a broken configuration. Whoever dispatches them again
//! and again gets the same each time, so the key rests for a while.
//!
//! A task counts if it failed, was killed for want of memory or ran into a limit
//! of its own, and neither a session id nor any output was seen of it that its
//! provider knows (words on stderr are none, where it has rules). What people, other
//! programs and the end of a supervisor do to a task never counts.
//!
//! Nothing is kept for it: the rows and events of the last tasks say it all, over
//! any restart.

use alloc::format;
use alloc::string::ToString;

use protocol::control::{ErrorBody, ErrorCode};
use protocol::{ArchiveReason, Key, Status, TaskId, Timestamp};

/// So many of the last ended tasks of a key are looked at.
pub const LOOKED_AT: u64 = 64;

/// Most tasks that the limit can be: those that do not count may stand between
/// the others.
pub const MOST_TASKS: u64 = LOOKED_AT / 2;

/// When it is a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// So many tasks; 0: never.
    pub tasks: u64,
    /// Within this time, in ms.
    pub window_ms: u64,
}

/// A task of the key that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// It.
    pub id: TaskId,
    /// When its end was established.
    pub finished_at: Timestamp,
    /// Its verdict.
    pub status: Status,
    /// Why it ended.
    pub reason: ArchiveReason,
    /// What was seen of it.
    pub life: Life,
    /// The operator's word on the key came after it.
    pub released: bool,
}

/// Was anything seen of an agent?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Output that its provider knows, or a session id in it.
    Seen,
    /// Nothing.
    None,
}

/// A key that rests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashLoop {
    /// The newest of its tasks that count.
    pub newest: TaskId,
    /// Why that one ended.
    pub reason: ArchiveReason,
    /// When the key may have a task again.
    pub until: Timestamp,
}

/// Whether a key rests. `past` are its ended tasks, the newest first; those that
/// ended before the window need not be there.
#[must_use]
pub fn find(limit: Limit, past: &[Past], now: Timestamp) -> Option<CrashLoop> {
    let wanted = usize::try_from(limit.tasks)
        .ok()
        .filter(|tasks| *tasks > 0)?;
    let counted = past
        .iter()
        .take_while(|past| !past.released)
        .filter(|past| past.counts() && past.is_within(limit, now));
    let mut last: alloc::vec::Vec<&Past> = counted.take(wanted).collect();
    if last.len() < wanted {
        return None;
    }
    let newest = *last.first()?;
    last.sort_by_key(|past| past.finished_at);
    let oldest = last.first()?;
    Some(CrashLoop {
        newest: newest.id.clone(),
        reason: newest.reason,
        until: oldest.finished_at.plus_ms(limit.window_ms),
    })
}

impl Past {
    /// It failed as soon as it had begun.
    #[must_use]
    pub fn counts(&self) -> bool {
        let by_itself = match self.status {
            Status::Failure => true,
            Status::Cancelled | Status::Interrupted => is_own_limit(self.reason),
            Status::Queued | Status::Running | Status::Success | Status::AbortedNoSkill => false,
        };
        by_itself && self.life == Life::None
    }

    /// An end in the future was seen before the clock was set back: it must not
    /// hold the key for hours.
    fn is_within(&self, limit: Limit, now: Timestamp) -> bool {
        self.finished_at <= now && now.since_ms(self.finished_at) < limit.window_ms
    }
}

const fn is_own_limit(reason: ArchiveReason) -> bool {
    match reason {
        ArchiveReason::StartTimeout
        | ArchiveReason::Timeout
        | ArchiveReason::IdleTimeout
        | ArchiveReason::Budget
        | ArchiveReason::OomKilled => true,
        ArchiveReason::Completed
        | ArchiveReason::Failed
        | ArchiveReason::AbortedNoSkill
        | ArchiveReason::SessionNotFound
        | ArchiveReason::SpawnFailed
        | ArchiveReason::Crashed
        | ArchiveReason::User
        | ArchiveReason::RunnerStop
        | ArchiveReason::HubRestart
        | ArchiveReason::HubShutdown
        | ArchiveReason::HostShutdown
        | ArchiveReason::SupersededByTask
        | ArchiveReason::ExternalSignal
        | ArchiveReason::ShimLost
        | ArchiveReason::HostReboot
        | ArchiveReason::Unknown => false,
    }
}

impl CrashLoop {
    /// In words, without what to do.
    #[must_use]
    pub fn in_words(&self, key: &Key, limit: Limit, now: Timestamp) -> alloc::string::String {
        let seconds = self.until.since_ms(now).div_ceil(1_000);
        let tasks = match limit.tasks {
            1 => "the last task".to_string(),
            tasks => format!("{tasks} tasks"),
        };
        format!(
            "key {key} rests for {seconds} s more: {tasks} of it ended within {} s without a \
             session id or known output (the newest is {}: {})",
            limit.window_ms.div_ceil(1_000),
            self.newest,
            self.reason.label()
        )
    }

    /// For a dispatch.
    #[must_use]
    pub fn refusal(&self, key: &Key, limit: Limit, now: Timestamp) -> ErrorBody {
        ErrorBody::new(ErrorCode::CrashLoop, self.in_words(key, limit, now)).with_hint(format!(
            "`agentctl why {}` tells what is wrong; `agentctl sessions release {key} \
             --crash-loop` lets the key go on at once",
            self.newest
        ))
    }
}
