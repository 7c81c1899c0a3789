//! Tasks and their cgroups.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use lifecycle::{Fact, Input};
use protocol::TaskId;
use sys::oom::{GROUP_LINK, MEMORY_LINK, OomCount};

use super::core_loop::Core;
use super::managed::Mover;
use super::service::Service;
use crate::cgroup::{Base, Ended, Group, Memory};
use crate::process::marker_sweep::SweepOrder;
use crate::systemd::Manager;
use crate::text::in_words;

/// Where a task may have cgroups: its own, and one for its memory. The first
/// that is there proves that its tree is gone.
const LINKS: [&str; 2] = [GROUP_LINK, MEMORY_LINK];

/// How far a shim was placed.
#[derive(Debug)]
pub(super) enum Placing {
    /// As far as it can be.
    Done,
    /// Somebody else has to move it.
    Asked(Request),
}

/// What the service manager is asked for.
#[derive(Debug)]
pub(super) struct Request {
    manager: Manager,
    below_holder: String,
    group: Group,
    limit: Limit,
}

/// May a task do without its cgroup?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// It has a limit that only the cgroup can keep.
    Kept,
    /// It has none.
    None,
}

/// Moves a shim that has no order yet into a cgroup of its task, where there
/// can be one, and one that limits its memory, if that is `limited`.
///
/// # Errors
/// The limit cannot be kept. Whatever else fails, the task is as it would be
/// without cgroups.
pub(super) fn place(
    service: &Service,
    id: &TaskId,
    shim: i32,
    limited: Option<u64>,
) -> io::Result<Placing> {
    let managed = &service.managed;
    let of_own = match (&managed.memory, limited) {
        (Memory::Unified, limited) => limited,
        (Memory::Separate(base), Some(limit)) => {
            enter(service, id, shim, (base, MEMORY_LINK, Some(limit)))?;
            None
        }
        (Memory::Missing(why), Some(_)) => return Err(io::Error::other(why.clone())),
        (Memory::Separate(_) | Memory::Missing(_), None) => None,
    };
    let Some(base) = &managed.cgroups else {
        return Ok(Placing::Done);
    };
    let placed = match &managed.mover {
        Mover::Ourselves => {
            enter(service, id, shim, (base, GROUP_LINK, of_own)).map(|()| Placing::Done)
        }
        Mover::Asked { manager, holder } => {
            ask(service, id, (base, of_own), (manager, holder)).map(Placing::Asked)
        }
    };
    match placed {
        Err(error) if of_own.is_none() => {
            tracing::warn!(task = %id, %error, "the task gets no cgroup of its own");
            Ok(Placing::Done)
        }
        placed => placed,
    }
}

/// The cgroup is ours to make, and not ours to move a process of another unit to.
fn ask(
    service: &Service,
    id: &TaskId,
    (base, limit): (&Base, Option<u64>),
    (manager, holder): (&Manager, &Path),
) -> io::Result<Request> {
    let group = made(service, id, (base, GROUP_LINK, limit))?;
    let below = group.path().strip_prefix(holder);
    let below = below.map_err(|_| io::Error::other("it is not below the holder's"))?;
    Ok(Request {
        manager: manager.clone(),
        below_holder: format!("/{}", below.display()),
        limit: limit.map_or(Limit::None, |_| Limit::Kept),
        group,
    })
}

impl Request {
    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// The task has a limit, and cannot have its cgroup.
    pub(super) async fn answered(self, id: &TaskId, shim: i32) -> io::Result<()> {
        let pid = u32::try_from(shim).unwrap_or_default();
        let Err(error) = self.manager.attach(&self.below_holder, &[pid]).await else {
            return Ok(());
        };
        let error = in_words(&error);
        let _ = self.group.remove();
        match self.limit {
            Limit::Kept => Err(io::Error::other(error)),
            Limit::None => {
                tracing::warn!(task = %id, error, "the task gets no cgroup of its own: a stop of the supervisor's unit may end its agent");
                Ok(())
            }
        }
    }
}

fn enter(
    service: &Service,
    id: &TaskId,
    shim: i32,
    wish: (&Base, &str, Option<u64>),
) -> io::Result<()> {
    let group = made(service, id, wish)?;
    let entered = group.enter(shim);
    if entered.is_err() {
        // Busy if the shim is in it: then it stays until the next start.
        let _ = group.remove();
    }
    entered
}

/// A cgroup for the task, its limit set, that its folder names.
fn made(
    service: &Service,
    id: &TaskId,
    (base, link, limit): (&Base, &str, Option<u64>),
) -> io::Result<Group> {
    let group = base.make(id)?;
    let limited = limit.map_or(Ok(()), |bytes| {
        base.pass_memory_on()?;
        group.limit_memory(bytes)
    });
    let linked = limited.and_then(|()| {
        let link = service.folders.task_dir(id).join(link);
        symlink(group.path(), link)
    });
    match linked {
        Ok(()) => Ok(group),
        Err(error) => {
            let _ = group.remove();
            Err(error)
        }
    }
}

/// The cgroup that a task was placed in, if it is still there.
pub(super) fn of(service: &Service, id: &TaskId) -> Option<Group> {
    LINKS.iter().find_map(|link| behind(service, id, link))
}

fn behind(service: &Service, id: &TaskId, link: &str) -> Option<Group> {
    let path = fs::read_link(service.folders.task_dir(id).join(link)).ok()?;
    // The name of the cgroup is the task's id, whoever wrote the link.
    let is_of_task = path.file_name().is_some_and(|name| name == id.as_str());
    if is_of_task {
        Group::existing(&path)
    } else {
        None
    }
}

/// Removes the cgroups of a task that has ended. One in which something lives on
/// stays.
pub(super) fn remove(service: &Service, id: &TaskId) {
    for link in LINKS {
        let Some(group) = behind(service, id, link) else {
            continue;
        };
        match group.remove_empty() {
            Ok(()) => {
                let _ = fs::remove_file(service.folders.task_dir(id).join(link));
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
        for base in self.service.managed.bases() {
            base.remove_empty(|task| self.tasks.contains_key(task));
        }
    }

    /// Behind a shim that died: did the kernel kill processes of the task that it
    /// had not told of?
    pub(super) fn look_at_memory(&mut self, id: &TaskId) {
        let count = OomCount::of_task(id, &self.service.folders.task_dir(id));
        let Some(count) = count else { return };
        match count.read() {
            Ok(kills) => self.step(id, Input::Fact(Fact::OutOfMemory { kills })),
            Err(error) => {
                tracing::debug!(task = %id, %error, "its kills for want of memory cannot be counted");
            }
        }
    }
}
