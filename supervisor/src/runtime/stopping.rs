//! Stops that are recorded, and whose callers wait for the end of their tasks: where
//! that cannot be recorded, they are told from memory.

use protocol::TaskId;
use protocol::control::ErrorBody;
use protocol::view::{StopResult, TaskView};
use tokio::sync::oneshot;

use super::live::TreeEnd;
use super::stop::result_of_end;
use super::unsaved::Caller;
use crate::reply::WeakReply;

/// One of them.
pub(super) struct UnderWay {
    /// Its tasks that have not ended.
    pub(super) ids: Vec<TaskId>,
    /// Of the others.
    pub(super) results: Vec<StopResult>,
    /// Of names that matched nothing.
    pub(super) failed: Vec<(String, ErrorBody)>,
    /// Who asks.
    pub(super) reply: WeakReply,
    /// Tells the job that waits that its caller has an answer.
    pub(super) given: oneshot::Sender<()>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Stopping(Vec<UnderWay>);

impl Stopping {
    /// One more; those that were answered are forgotten.
    pub(super) fn add(&mut self, stop: UnderWay) {
        self.0.retain(|stop| stop.reply.upgrade().is_some());
        self.0.push(stop);
    }

    /// The end of a task is on record.
    pub(super) fn note_end(&mut self, id: &TaskId, view: &TaskView, tree: &TreeEnd) {
        for stop in &mut self.0 {
            let before = stop.ids.len();
            stop.ids.retain(|one| one != id);
            if stop.ids.len() < before {
                stop.results.push(result_of_end(view, tree.clone()));
            }
        }
    }

    /// From now on whoever waits is told from memory.
    pub(super) fn take_over(&mut self) -> Vec<Caller> {
        let stops = std::mem::take(&mut self.0).into_iter();
        let waiting = stops.filter(|stop| !stop.ids.is_empty());
        waiting
            .filter_map(|stop| {
                let reply = stop.reply.upgrade()?;
                // Who has just ended has answered.
                stop.given.send(()).ok()?;
                Some(Caller {
                    ids: stop.ids,
                    results: stop.results,
                    failed: stop.failed,
                    reply,
                })
            })
            .collect()
    }
}
