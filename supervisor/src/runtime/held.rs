//! What lives on of tasks that have ended: their keys and sessions stay busy
//! until it is gone (R7, R8).

use std::collections::{BTreeMap, HashSet};

use lifecycle::Task;
use protocol::shim::ProcessId;
use protocol::view::Survivor;
use protocol::{Key, ProviderName, SessionId, TaskId};
use sys::process;

/// Every ended task of which something may live on.
#[derive(Debug, Default)]
pub(super) struct Held {
    holdings: BTreeMap<TaskId, Holding>,
    /// Found to have nothing left: what was kept for it can go.
    freed: Vec<TaskId>,
}

#[derive(Debug)]
struct Holding {
    key: Key,
    provider: ProviderName,
    session: Option<SessionId>,
    /// Who lived at the last look.
    alive: Vec<(ProcessId, Survivor)>,
}

impl Held {
    /// Takes note of an ended task, if its end names survivors. `reader` is
    /// this supervisor: processes of another boot or another pid namespace are
    /// none that it could know.
    pub(super) fn hold(&mut self, task: &Task, reader: &ProcessId) {
        let Some(ending) = &task.ending else { return };
        let elsewhere = task
            .shim
            .as_ref()
            .is_some_and(|shim| (&shim.boot_id, shim.pid_ns) != (&reader.boot_id, reader.pid_ns));
        if ending.survivors.is_empty() || elsewhere {
            return;
        }
        let identified = |survivor: &Survivor| {
            let process = ProcessId {
                pid: survivor.pid,
                start_time: survivor.start_time,
                ..reader.clone()
            };
            (process, survivor.clone())
        };
        let holding = Holding {
            key: task.spec.key.clone(),
            provider: task.spec.provider.clone(),
            session: task.session.clone(),
            alive: ending.survivors.iter().map(identified).collect(),
        };
        self.holdings.insert(task.id().clone(), holding);
    }

    /// The ended task that keeps `key` busy, and what lives on of it.
    pub(super) fn of_key(&mut self, key: &Key) -> Option<(TaskId, Vec<Survivor>)> {
        self.first(|holding| holding.key == *key)
    }

    /// The ended task that keeps a session busy.
    pub(super) fn of_session(
        &mut self,
        provider: &ProviderName,
        session: &SessionId,
    ) -> Option<TaskId> {
        self.first(|holding| {
            holding.provider == *provider && holding.session.as_ref() == Some(session)
        })
        .map(|(task, _)| task)
    }

    /// What lives on of one ended task.
    pub(super) fn of_task(&mut self, id: &TaskId) -> Vec<Survivor> {
        let Some(holding) = self.holdings.get_mut(id) else {
            return Vec::new();
        };
        let alive = holding.look();
        if alive.is_empty() {
            self.holdings.remove(id);
            self.freed.push(id.clone());
        }
        alive
    }

    /// The ended tasks of which something had lived on, and nothing does any more.
    pub(super) fn take_freed(&mut self) -> Vec<TaskId> {
        std::mem::take(&mut self.freed)
    }

    /// The ended tasks of which something lives on.
    pub(super) fn tasks(&mut self) -> HashSet<TaskId> {
        let ids: Vec<TaskId> = self.holdings.keys().cloned().collect();
        ids.into_iter()
            .filter(|id| !self.of_task(id).is_empty())
            .collect()
    }

    fn first(&mut self, fits: impl Fn(&Holding) -> bool) -> Option<(TaskId, Vec<Survivor>)> {
        let ids: Vec<TaskId> = self
            .holdings
            .iter()
            .filter(|(_, holding)| fits(holding))
            .map(|(id, _)| id.clone())
            .collect();
        ids.into_iter().find_map(|id| {
            let alive = self.of_task(&id);
            (!alive.is_empty()).then_some((id, alive))
        })
    }
}

impl Holding {
    fn look(&mut self) -> Vec<Survivor> {
        // What cannot be looked at is not proven gone.
        self.alive
            .retain(|(process, _)| !matches!(process::same_process(process), Ok(None)));
        let survivors = self.alive.iter().map(|(_, survivor)| survivor.clone());
        survivors.collect()
    }
}

/// Survivors in words: `12 (sleep), 13 (sh)`.
pub(super) fn in_words(survivors: &[Survivor]) -> String {
    let words: Vec<String> = survivors
        .iter()
        .map(|survivor| format!("{} ({})", survivor.pid, survivor.comm))
        .collect();
    words.join(", ")
}
