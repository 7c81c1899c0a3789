//! Tasks and their cgroups.

use std::fs;
use std::os::unix::fs::symlink;

use protocol::TaskId;

use super::core_loop::Core;
use super::service::Service;
use crate::cgroup::{Ended, Group};
use crate::process::marker_sweep::SweepOrder;

/// The name in a task's folder that points at its cgroup.
const LINK_NAME: &str = "cgroup";

/// Moves a shim that has no order yet into a cgroup of its task, where there
/// can be one. Without it the task is as it would be without cgroups.
pub(super) fn place(service: &Service, id: &TaskId, shim: i32) {
    let Some(base) = &service.managed.cgroups else {
        return;
    };
    let placed = base.make(id).and_then(|group| {
        let entered = group.enter(shim).and_then(|()| {
            let link = service.folders.task_dir(id).join(LINK_NAME);
            symlink(group.path(), link)
        });
        if entered.is_err() {
            // Busy if the shim is in it: then it stays until the next start.
            let _ = group.remove();
        }
        entered
    });
    if let Err(error) = placed {
        tracing::warn!(task = %id, %error, "the task gets no cgroup of its own");
    }
}

/// The cgroup that a task was placed in, if it is still there.
pub(super) fn of(service: &Service, id: &TaskId) -> Option<Group> {
    let link = service.folders.task_dir(id).join(LINK_NAME);
    let path = fs::read_link(link).ok()?;
    // The name of the cgroup is the task's id, whoever wrote the link.
    let is_of_task = path.file_name().is_some_and(|name| name == id.as_str());
    if is_of_task {
        Group::existing(&path)
    } else {
        None
    }
}

/// Removes the cgroup of a task that has ended. One in which something lives on
/// stays.
pub(super) fn remove(service: &Service, id: &TaskId) {
    let Some(group) = of(service, id) else { return };
    match group.remove() {
        Ok(()) => {
            let _ = fs::remove_file(service.folders.task_dir(id).join(LINK_NAME));
            if let Some(parent) = group.path().parent() {
                // Not while other tasks have theirs in it.
                let _ = fs::remove_dir(parent);
            }
        }
        Err(error) => {
            tracing::debug!(task = %id, %error, "its cgroup stays for now");
        }
    }
}

/// An empty cgroup is an exact proof, of which the sweep takes note.
pub(super) fn with_proof(order: SweepOrder, by_group: Option<Ended>) -> SweepOrder {
    let proven = match by_group {
        Some(Ended { empty: true, met }) => Some(order.proven.unwrap_or(0).saturating_add(met)),
        Some(Ended { empty: false, .. }) => None,
        None => order.proven,
    };
    SweepOrder { proven, ..order }
}

impl Core {
    /// After a start: cgroups of tasks that ended while nobody was there.
    /// Before anything is dispatched: a fresh one is empty as well.
    pub(super) fn remove_empty_cgroups(&self) {
        if let Some(base) = &self.service.managed.cgroups {
            base.remove_empty(|task| self.tasks.contains_key(task));
        }
    }
}
