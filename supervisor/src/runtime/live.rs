//! What the supervisor holds of a task that has not ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lifecycle::{Presence, Task};
use protocol::Timestamp;
use protocol::shim::ToShim;
use protocol::view::{Survivor, TaskView};
use sys::PidFd;
use sys::spawn::SpawnError;
use tokio::sync::{oneshot, watch};

use crate::folder::Shown;
use crate::ledger::TaskSecret;
use crate::provider::Provider;
use crate::query;
use crate::shim::LinkSender;

/// One task of the running set.
pub(super) struct Live {
    /// Durable facts.
    pub(super) task: Task,
    /// Volatile knowledge.
    pub(super) presence: Presence,
    /// Its token's hash and its marker's nonce.
    pub(super) secret: TaskSecret,
    /// What of its command may be shown.
    pub(super) shown: Shown,
    /// Its provider as it was when the files changed for the first time since this
    /// supervisor has the task; none as long as they have not.
    pub(super) provider: Option<Arc<Provider>>,
    /// The shim's process, if this supervisor knows it.
    pub(super) shim_pid: Option<i32>,
    /// The same, by descriptor, once its end is waited for.
    pub(super) shim_fd: Option<Arc<PidFd>>,
    /// The ledger has the records up to this one.
    pub(super) durable: u64,
    /// Numbers of the shim's intents that others have in the ledger, and what they
    /// are called there.
    pub(super) renumbered: BTreeMap<u64, u64>,
    /// What its shim speaks, where that is no version of ours.
    pub(super) speaks: Option<(u16, u16)>,
    /// The agent's leader, once it was exec'd.
    pub(super) agent_fd: Option<Arc<PidFd>>,
    /// What the watchdog does about the shim.
    pub(super) watchdog: Watchdog,
    /// The link, while it is up.
    pub(super) link: Option<LinkSender>,
    /// The order of a shim that is not spawned yet.
    pub(super) start: Option<ToShim>,
    /// Callers who wait for the exec or the end.
    pub(super) on_start: Vec<oneshot::Sender<TaskView>>,
    /// Callers who wait for the end.
    pub(super) on_end: Vec<oneshot::Sender<End>>,
    /// What this supervisor knows of the end of the shim's process.
    pub(super) shim_end: ShimEnd,
    /// Why no shim of this supervisor can start the agent, where it saw that.
    pub(super) start_failed: Option<SpawnError>,
    /// The newest word on when a shim that does not answer a stop is looked behind.
    pub(super) answer_due: Option<Timestamp>,
    /// The pause before its shim is looked at again, where that failed.
    pub(super) look_again: Duration,
    /// Turns true at the end; followers of the logs look at it.
    pub(super) ended: watch::Sender<bool>,
}

/// What is known of the end of a shim's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShimEnd {
    /// Nobody waits for it.
    Unwatched,
    /// A job waits for it.
    Watched,
    /// No process that could claim is left, and none will ever be: the only
    /// shim was seen to end, or could not be spawned.
    Seen,
}

/// What is done about a shim that does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watchdog {
    /// Nothing.
    Rests,
    /// A job ends its tree.
    EndsTree,
    /// So many processes were ended, and none is left: then the shim was.
    EndedTree(u32),
    /// The tree could not be emptied; the shim was ended.
    GaveUp,
}

/// The end of a task, for those who wait for it.
pub(super) struct End {
    /// The task object.
    pub(super) view: TaskView,
    /// What a stop may say of the tree.
    pub(super) tree: TreeEnd,
}

/// What a stop may say of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TreeEnd {
    /// It is gone, as far as it can be proven.
    Gone,
    /// It is not proven gone; these are known to live.
    Left(Vec<Survivor>),
}

/// The first pause before a shim is looked at again.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(250);

impl Live {
    /// A task without a shim yet.
    pub(super) fn new(task: Task, secret: TaskSecret, shown: Shown) -> Self {
        Self {
            task,
            presence: Presence::default(),
            secret,
            shown,
            provider: None,
            shim_pid: None,
            shim_fd: None,
            durable: 0,
            renumbered: BTreeMap::new(),
            speaks: None,
            agent_fd: None,
            watchdog: Watchdog::Rests,
            link: None,
            start: None,
            on_start: Vec::new(),
            on_end: Vec::new(),
            shim_end: ShimEnd::Unwatched,
            start_failed: None,
            answer_due: None,
            look_again: LOOK_AGAIN,
            ended: watch::Sender::new(false),
        }
    }

    /// The shim's process, as far as it is known.
    pub(super) fn shim(&self) -> Option<i32> {
        self.shim_pid
            .or(self.task.shim.as_ref().map(|shim| shim.pid))
    }

    /// The task object as it is now.
    pub(super) fn view(&self) -> TaskView {
        let processes = query::Processes {
            supervisor: i32::try_from(std::process::id()).ok(),
            shim: self.shim(),
        };
        query::live_view(&self.task, &self.presence, &self.shown, processes)
    }

    /// Tells `waiter` of the exec or the end. Those who have hung up are
    /// forgotten.
    pub(super) fn tell_start(&mut self, waiter: oneshot::Sender<TaskView>) {
        self.on_start.retain(|other| !other.is_closed());
        self.on_start.push(waiter);
    }

    /// Tells `waiter` of the end. Those who have hung up are forgotten.
    pub(super) fn tell_end(&mut self, waiter: oneshot::Sender<End>) {
        self.on_end.retain(|other| !other.is_closed());
        self.on_end.push(waiter);
    }

    /// What a stop of this task, which has ended, may say.
    pub(super) fn tree_end(&self) -> TreeEnd {
        if self.task.tree_is_gone() {
            return TreeEnd::Gone;
        }
        let ending = self.task.ending.as_ref();
        TreeEnd::Left(ending.map_or_else(Vec::new, |ending| ending.survivors.clone()))
    }
}
