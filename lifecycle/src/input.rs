//! What can happen to a task.

use alloc::string::String;

use protocol::shim::{ProcessId, ProgressReport, Record, SpawnStage, SupersededBy, SweepRecord};
use protocol::view::Requester;
use protocol::{Exit, StopReason, Timestamp};

use crate::session::{Joined, PassedOver};
use crate::spec::SessionPlan;
use crate::timer::Timer;

/// Time and identifiers, from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The wall clock.
    pub at: Timestamp,
    /// An intent id that was never used. The caller counts on when an event
    /// used it.
    pub intent_id: u64,
}

/// One input of one task.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Somebody wants something.
    Command(Command),
    /// Something happened; never refused.
    Fact(Fact),
    /// A timer is due.
    Timer(Timer),
}

/// Somebody wants something.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// End the task.
    Stop {
        /// For which reason.
        reason: StopReason,
        /// Who asks.
        requested_by: Requester,
        /// In their words.
        note: Option<String>,
        /// Between TERM and KILL; the task's own if absent; 0 = at once.
        grace_ms: Option<u64>,
    },
    /// Another name for people.
    Rename {
        /// The name.
        name: String,
        /// Who asks.
        by: Requester,
    },
    /// The turn of a queued task has come.
    Start {
        /// Its conversation, decided now.
        session: SessionPlan,
    },
}

/// Something happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// The shim's journal has this record.
    Record {
        /// Its number, from 1.
        number: u64,
        /// The record.
        record: Record,
    },
    /// The shim is connected.
    LinkUp(LinkKind),
    /// The shim's link was lost.
    LinkDown,
    /// A volatile sign of life.
    Progress(ProgressReport),
    /// The shim's process is gone, and everything in its journal was fed in.
    ShimGone,
    /// The supervisor won the claim: no shim ever started the agent.
    NeverStarted {
        /// What is known about why.
        detail: String,
    },
    /// Under the first intent the supervisor spawns no shim, and had spawned none.
    StartCalledOff {
        /// In words.
        detail: String,
    },
    /// The supervisor itself saw why no shim can start the agent: none could be
    /// started, or it gets no order.
    StartFailed {
        /// What was tried.
        stage: SpawnStage,
        /// The kernel's answer; 0 where it was not asked.
        errno: i32,
        /// On which path.
        path: String,
    },
    /// The supervisor looked for what a dead shim had left, and ended it.
    TreeSwept(SweepRecord),
    /// The supervisor looked where it could not see enough: in a container.
    TreeUnproven {
        /// Why, in words.
        detail: String,
    },
    /// It was decided that the task begins afresh, although its key has a session.
    SessionPassedOver(PassedOver),
    /// The agent is about to report a session that is known, and is not the one that
    /// it was asked for.
    SessionJoined(Joined),
    /// The agent has reported a session that another live task is using (R7).
    SessionShared {
        /// Which, and by whom, in words.
        detail: String,
    },
    /// The shim lives and speaks no version of the protocol that the supervisor
    /// speaks: it is left alone.
    ShimHeld {
        /// What each of them speaks.
        detail: String,
    },
    /// Nothing can be recorded for now, and a forced stop does not wait for that.
    NotDurable {
        /// Why not.
        detail: String,
    },
    /// The machine was booted again since the shim was started.
    HostRebooted {
        /// What told it.
        detail: String,
    },
    /// A new supervisor rebuilt the task from its events.
    Recovered,
    /// The shim did not answer a stop; the supervisor looked behind it.
    ShimSilent(LookBehind),
    /// The shim is dead, and the kernel tells how the leader ended.
    ExitLearned(Exit),
    /// The supervisor itself goes away, or stays after all.
    Hub(HubWord),
    /// The shim is dead, and so many kills for want of memory are in the kernel's
    /// count.
    OutOfMemory {
        /// Kills so far.
        kills: u64,
    },
    /// The turn of a queued task had come, and it cannot be started any more.
    StartRefused {
        /// In words.
        detail: String,
    },
}

/// What a supervisor says of its own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HubWord {
    /// It drains, for this reason.
    Drains(StopReason),
    /// It takes new work again.
    Admits,
}

/// What the supervisor saw behind a shim that did not answer. Everything in
/// its journal was fed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookBehind {
    /// Records that were known when it did not answer.
    pub known_records: u64,
    /// The agent had ended by itself.
    pub ended: Option<SupersededBy>,
    /// Processes of its tree that live.
    pub processes: u32,
}

/// How a link came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// The inherited one, of a shim that this supervisor spawned.
    First,
    /// A later one, of a shim that this supervisor spawned or had adopted.
    Again(ProcessId),
    /// The first one of a shim that an earlier supervisor spawned.
    Adopted(ProcessId),
}
