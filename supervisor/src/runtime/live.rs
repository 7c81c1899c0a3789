//! What the supervisor holds of a task that has not ended.

use lifecycle::{Presence, Task};
use protocol::shim::Start;
use protocol::view::TaskView;
use tokio::sync::{oneshot, watch};

use crate::folder::Shown;
use crate::ledger::TaskSecret;
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
    /// The shim's process, if this supervisor knows it.
    pub(super) shim_pid: Option<i32>,
    /// The link, while it is up.
    pub(super) link: Option<LinkSender>,
    /// The order of a shim that is not spawned yet.
    pub(super) start: Option<Box<Start>>,
    /// Callers who wait for the exec or the end.
    pub(super) on_start: Vec<oneshot::Sender<TaskView>>,
    /// Callers who wait for the end.
    pub(super) on_end: Vec<oneshot::Sender<TaskView>>,
    /// Turns true at the end; followers of the logs look at it.
    pub(super) ended: watch::Sender<bool>,
}

impl Live {
    /// A task without a shim yet.
    pub(super) fn new(task: Task, secret: TaskSecret, shown: Shown) -> Self {
        Self {
            task,
            presence: Presence::default(),
            secret,
            shown,
            shim_pid: None,
            link: None,
            start: None,
            on_start: Vec::new(),
            on_end: Vec::new(),
            ended: watch::Sender::new(false),
        }
    }

    /// The task object as it is now.
    pub(super) fn view(&self) -> TaskView {
        let processes = query::Processes {
            supervisor: i32::try_from(std::process::id()).ok(),
            shim: self
                .shim_pid
                .or(self.task.shim.as_ref().map(|shim| shim.pid)),
        };
        query::live_view(&self.task, &self.presence, &self.shown, processes)
    }
}
