//! `orphans`: what lives on of tasks that have ended, of whatever life.
//!
//! A process is ours if it carries the marker of a task that our ledger knows,
//! with the nonce that the ledger has, or sits in the cgroup that we made for
//! one. Containers that had tasks are asked as well. Of a lost task the ledger knows
//! nothing: its live shim, which its claim names, and all below it are ours. A process that carries the marker of another supervisor is not named.

use std::collections::BTreeMap;
use std::io;

use protocol::TaskId;
use protocol::control::{ErrorBody, ErrorCode, OrphansRequest, Response};
use protocol::shim::ProcessId;
use protocol::view::{FoundBy, OrphanView, OrphansView, Survivor};
use sys::container::{Container, Emptied, join};
use sys::hook::SUP_SIGNAL;

use super::core_loop::Core;
use super::input::CoreInput;
use super::lost_alive::{self, LostAlive};
use super::run_as;
use super::{cgroups, claims, container};
use crate::cgroup::{Base, Group};
use crate::control::ReplySender;
use crate::folder::Folders;
use crate::ledger::LedgerError;
use crate::process::lost_shim;
use crate::process::marker_sweep::{self, SweepOrder};
use crate::process::orphans::{self, Marked, identified};
use crate::text::command_name;

/// What was found, and whom to tell.
pub(super) struct Search {
    request: OrphansRequest,
    reply: ReplySender,
    seen: Seen,
}

/// What was found, with what it takes to end it.
struct Seen {
    marked: Vec<Marked>,
    /// In containers, by their numbers.
    inside: Vec<Marked>,
    /// What could not be looked into.
    unseen: Vec<String>,
    groups: Vec<(TaskId, Group)>,
    lost: Vec<LostAlive>,
}

/// The end of one task's leftovers.
#[derive(Default)]
struct End {
    /// Of a lost task: it lives.
    shim: Option<ProcessId>,
    order: Option<SweepOrder>,
    group: Option<Group>,
    container: Option<Container>,
}

impl Core {
    /// Looks over all processes, in a thread of its own.
    pub(super) fn look_for_orphans(&mut self, request: OrphansRequest, reply: ReplySender) {
        let bases: Vec<Base> = self.service.managed.bases().cloned().collect();
        let inputs = self.inputs.clone();
        let folders = self.service.folders.clone();
        self.jobs.spawn(async move {
            let looked = tokio::task::spawn_blocking(move || look(&bases, &folders)).await;
            match looked {
                Ok(Ok(seen)) => {
                    let search = Search {
                        request,
                        reply,
                        seen,
                    };
                    // Closed only when the supervisor leaves.
                    let _ = inputs.send(CoreInput::OrphansFound(Box::new(search))).await;
                }
                Ok(Err(error)) => drop(reply.send(cannot_look(&error.to_string()))),
                Err(error) => drop(reply.send(cannot_look(&error.to_string()))),
            }
        });
    }

    /// Which of them are orphans: ours, and of no live task.
    pub(super) async fn orphans_found(&mut self, search: Search) -> Result<(), LedgerError> {
        let Search {
            request,
            reply,
            mut seen,
        } = search;
        let nonces = self.nonces(&mut seen).await?;
        let lives = |task: &TaskId| self.tasks.contains_key(task);
        let ours = |found: &Marked| {
            nonces.get(&found.task) == Some(&Some(found.nonce.clone())) && !lives(&found.task)
        };
        seen.marked.retain(ours);
        seen.inside.retain(ours);
        seen.groups.retain(|(task, _)| !lives(task));
        let orphans = views(&seen);
        match request {
            OrphansRequest::List => {
                let view = OrphansView {
                    orphans,
                    survivors: None,
                };
                self.batch.answer(reply, answer(view, seen.unseen));
            }
            OrphansRequest::Kill => self.end_orphans(orphans, seen, reply),
        }
        Ok(())
    }

    /// The markers' values, of the ledger; of a lost task the one that its agent has.
    /// One that the ledger knows is not lost.
    async fn nonces(
        &self,
        seen: &mut Seen,
    ) -> Result<BTreeMap<TaskId, Option<String>>, LedgerError> {
        let marked = seen.marked.iter().chain(&seen.inside);
        let tasks = marked.map(|found| &found.task);
        let tasks = tasks.chain(seen.lost.iter().map(|lost| &lost.task));
        let mut nonces = BTreeMap::new();
        for task in tasks {
            if !nonces.contains_key(task) {
                let (id, of) = (task.clone(), task.clone());
                let secret = self.ledger.look(move |reader| reader.secret(&of)).await?;
                nonces.insert(id, secret.map(|secret| secret.nonce));
            }
        }
        let is_known = |task: &TaskId| nonces.get(task).is_some_and(Option::is_some);
        seen.lost
            .retain(|lost| !is_known(&lost.task) && !self.tasks.contains_key(&lost.task));
        for lost in &seen.lost {
            nonces.insert(lost.task.clone(), lost.tree.nonce.clone());
        }
        Ok(nonces)
    }

    fn end_orphans(&mut self, orphans: Vec<OrphanView>, seen: Seen, reply: ReplySender) {
        tracing::info!(processes = orphans.len(), "orphans are ended on request");
        let mut ends: BTreeMap<TaskId, End> = BTreeMap::new();
        let end_of = |task: &TaskId| End {
            group: cgroups::of(&self.service, task),
            container: container::of(&self.service, task),
            ..End::default()
        };
        for found in seen.marked.iter().chain(&seen.inside) {
            let task = &found.task;
            let end = ends.entry(task.clone()).or_insert_with(|| end_of(task));
            end.order.get_or_insert_with(|| self.order_for(found));
        }
        for (task, group) in seen.groups {
            let end = ends.entry(task.clone()).or_insert_with(|| end_of(&task));
            end.group = Some(group);
        }
        for LostAlive { task, shim, .. } in seen.lost {
            let end = ends.entry(task.clone()).or_insert_with(|| end_of(&task));
            end.shim = Some(shim);
        }
        let unseen = seen.unseen;
        self.jobs.spawn(async move {
            let mut jobs = tokio::task::JoinSet::new();
            for end in ends.into_values() {
                jobs.spawn_blocking(move || end.run());
            }
            let mut survivors = Vec::new();
            while let Some(ended) = jobs.join_next().await {
                match ended {
                    Ok(left) => survivors.extend(left),
                    Err(error) => {
                        reply.send(cannot_look(&error.to_string()));
                        return;
                    }
                }
            }
            let view = OrphansView {
                orphans,
                survivors: Some(survivors),
            };
            reply.send(answer(view, unseen));
        });
    }

    fn order_for(&self, found: &Marked) -> SweepOrder {
        // Every process of a task is younger than its shim.
        let claim = claims::read(&self.service, &found.task).ok().flatten();
        SweepOrder {
            task: found.task.clone(),
            nonce: found.nonce.clone(),
            shim: claim.map(|claim| claim.process),
            uid: run_as::uid_by_folder(&self.service, &found.task),
            grace_ms: 0,
            proven: None,
        }
    }
}

/// Blocks, for as long as engines of containers take.
fn look(bases: &[Base], folders: &Folders) -> io::Result<Seen> {
    let groups = bases.iter().flat_map(Base::populated).collect();
    let (inside, mut unseen) = orphans::inside(container::places(folders));
    let marked = orphans::marked()?;
    let (lost, untold) = lost_alive::look(folders, &marked);
    unseen.extend(untold);
    Ok(Seen {
        marked,
        inside,
        unseen,
        groups,
        lost,
    })
}

impl End {
    /// Blocks until all are gone, or 30 s for each way to find them.
    fn run(self) -> Vec<Survivor> {
        let mut survivors = Vec::new();
        // First: while it lives, it knows all that is below it.
        if let Some(shim) = self.shim {
            survivors.extend(lost_shim::end(&shim));
        }
        if let Some(group) = self.group
            && !group.end().empty
        {
            survivors.extend(group.members().into_iter().filter_map(identified));
        }
        if let Some(order) = self.order {
            let swept = marker_sweep::run(&order);
            survivors.extend(swept.survivors);
        }
        if let Some(container) = self.container
            && let Emptied::Left {
                survivors: inside, ..
            } = container.end(&SUP_SIGNAL)
        {
            join(&mut survivors, inside);
        }
        survivors.sort_by_key(|one| one.pid);
        survivors.dedup();
        survivors
    }
}

fn answer(view: OrphansView, unseen: Vec<String>) -> Response {
    if unseen.is_empty() {
        Response::Orphans(view)
    } else {
        Response::OrphansPartly { view, unseen }
    }
}

/// Each process once, by the way in which it was found first.
fn views(seen: &Seen) -> Vec<OrphanView> {
    let view = |found: &Marked, found_by: FoundBy| OrphanView {
        task_id: found.task.clone(),
        pid: found.pid,
        start_time: found.start_time,
        comm: command_name(&found.comm),
        found_by,
    };
    // What the host sees has another number there, and the same start.
    let is_seen = |found: &Marked| {
        let same = |seen: &Marked| {
            (&seen.task, seen.start_time, &seen.comm)
                == (&found.task, found.start_time, &found.comm)
        };
        seen.marked.iter().any(same)
    };
    let hidden = seen.inside.iter().filter(|found| !is_seen(found));
    let marked = seen.marked.iter().map(|found| view(found, FoundBy::Marker));
    let hidden = hidden.map(|found| view(found, FoundBy::Container));
    let mut views: Vec<OrphanView> = marked.chain(hidden).collect();
    let mut add = |task: &TaskId, one: Survivor, found_by: FoundBy| {
        if !views.iter().any(|view| view.pid == one.pid) {
            views.push(OrphanView {
                task_id: task.clone(),
                pid: one.pid,
                start_time: one.start_time,
                comm: one.comm,
                found_by,
            });
        }
    };
    for LostAlive { task, tree, .. } in &seen.lost {
        for one in tree.members.iter().cloned() {
            add(task, one, FoundBy::Shim);
        }
    }
    for (task, group) in &seen.groups {
        for one in group.members().into_iter().filter_map(identified) {
            add(task, one, FoundBy::Cgroup);
        }
    }
    views.sort_by_key(|view| view.pid);
    views
}

fn cannot_look(why: &str) -> Response {
    Response::Error(
        ErrorBody::new(ErrorCode::Internal, "the processes cannot be looked at")
            .with_hint(why.to_owned()),
    )
}
