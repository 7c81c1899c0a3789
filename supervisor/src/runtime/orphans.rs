//! `orphans`: what lives on of tasks that have ended, of whatever life.
//!
//! A process is ours if it carries the marker of a task that our ledger knows,
//! with the nonce that the ledger has, or sits in the cgroup that we made for
//! one. Containers that had tasks are asked as well. A process that carries the marker of another supervisor is not named.

use std::collections::BTreeMap;

use protocol::TaskId;
use protocol::control::{ErrorBody, ErrorCode, OrphansRequest, Response};
use protocol::view::{FoundBy, OrphanView, OrphansView, Survivor};
use sys::container::{Container, Emptied, join};
use sys::hook::SUP_SIGNAL;
use sys::process;

use super::core_loop::Core;
use super::input::CoreInput;
use super::run_as;
use super::{cgroups, claims, container};
use crate::cgroup::{Base, Group};
use crate::control::ReplySender;
use crate::ledger::LedgerError;
use crate::process::marker_sweep::{self, SweepOrder};
use crate::process::orphans::{self, Marked};
use crate::text::printable;

/// Longest command name in bytes in an answer.
const MAX_COMM: usize = 64;

/// What was found, with what it takes to end it.
pub(super) struct Search {
    request: OrphansRequest,
    reply: ReplySender,
    marked: Vec<Marked>,
    /// In containers, by their numbers.
    inside: Vec<Marked>,
    /// What could not be looked into.
    unseen: Vec<String>,
    groups: Vec<(TaskId, Group)>,
}

/// The end of one task's leftovers.
struct End {
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
            let look = move || {
                let groups = bases.iter().flat_map(Base::populated).collect();
                let (inside, unseen) = orphans::inside(container::places(&folders));
                orphans::marked().map(|marked| (marked, inside, unseen, groups))
            };
            match tokio::task::spawn_blocking(look).await {
                Ok(Ok((marked, inside, unseen, groups))) => {
                    let search = Search {
                        request,
                        reply,
                        marked,
                        inside,
                        unseen,
                        groups,
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
            marked,
            inside,
            unseen,
            groups,
        } = search;
        let mut nonces = BTreeMap::new();
        for task in marked.iter().chain(&inside).map(|found| &found.task) {
            if !nonces.contains_key(task) {
                let (id, of) = (task.clone(), task.clone());
                let secret = self.ledger.look(move |reader| reader.secret(&of)).await?;
                nonces.insert(id, secret.map(|secret| secret.nonce));
            }
        }
        let ours = |found: &Marked| nonces.get(&found.task) == Some(&Some(found.nonce.clone()));
        let lives = |task: &TaskId| self.tasks.contains_key(task);
        let orphaned = |all: Vec<Marked>| -> Vec<Marked> {
            let all = all.into_iter();
            all.filter(|found| ours(found) && !lives(&found.task))
                .collect()
        };
        let (marked, inside) = (orphaned(marked), orphaned(inside));
        let groups: Vec<(TaskId, Group)> = groups
            .into_iter()
            .filter(|(task, _)| !lives(task))
            .collect();
        let orphans = views(&marked, &inside, &groups);
        match request {
            OrphansRequest::List => {
                let view = OrphansView {
                    orphans,
                    survivors: None,
                };
                self.batch.answer(reply, answer(view, unseen));
            }
            OrphansRequest::Kill => {
                let all = [marked, inside].concat();
                self.end_orphans((orphans, unseen), &all, groups, reply);
            }
        }
        Ok(())
    }

    fn end_orphans(
        &mut self,
        (orphans, unseen): (Vec<OrphanView>, Vec<String>),
        marked: &[Marked],
        groups: Vec<(TaskId, Group)>,
        reply: ReplySender,
    ) {
        tracing::info!(processes = orphans.len(), "orphans are ended on request");
        let mut ends: BTreeMap<TaskId, End> = BTreeMap::new();
        for found in marked {
            let order = self.order_for(found);
            ends.entry(found.task.clone()).or_insert_with(|| End {
                order: Some(order),
                group: cgroups::of(&self.service, &found.task),
                container: container::of(&self.service, &found.task),
            });
        }
        for (task, group) in groups {
            let container = container::of(&self.service, &task);
            let end = ends.entry(task).or_insert(End {
                order: None,
                group: None,
                container,
            });
            end.group = Some(group);
        }
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

impl End {
    /// Blocks until all are gone, or 30 s for each way to find them.
    fn run(self) -> Vec<Survivor> {
        let mut survivors = Vec::new();
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
fn views(marked: &[Marked], inside: &[Marked], groups: &[(TaskId, Group)]) -> Vec<OrphanView> {
    let view = |found: &Marked, found_by: FoundBy| OrphanView {
        task_id: found.task.clone(),
        pid: found.pid,
        start_time: found.start_time,
        comm: printable(&found.comm, MAX_COMM),
        found_by,
    };
    // What the host sees has another number there, and the same start.
    let is_seen = |found: &Marked| {
        let same = |seen: &Marked| {
            (&seen.task, seen.start_time, &seen.comm)
                == (&found.task, found.start_time, &found.comm)
        };
        marked.iter().any(same)
    };
    let hidden = inside.iter().filter(|found| !is_seen(found));
    let seen = marked.iter().map(|found| view(found, FoundBy::Marker));
    let hidden = hidden.map(|found| view(found, FoundBy::Container));
    let mut views: Vec<OrphanView> = seen.chain(hidden).collect();
    for (task, group) in groups {
        for one in group.members().into_iter().filter_map(identified) {
            let known = views.iter().any(|view| view.pid == one.pid);
            if !known {
                views.push(OrphanView {
                    task_id: task.clone(),
                    pid: one.pid,
                    start_time: one.start_time,
                    comm: one.comm,
                    found_by: FoundBy::Cgroup,
                });
            }
        }
    }
    views.sort_by_key(|view| view.pid);
    views
}

fn identified(pid: i32) -> Option<Survivor> {
    let stat = process::stat(pid).ok()??;
    (!stat.is_dead()).then(|| Survivor {
        pid,
        start_time: stat.start_time,
        comm: printable(&stat.comm, MAX_COMM),
    })
}

fn cannot_look(why: &str) -> Response {
    Response::Error(
        ErrorBody::new(ErrorCode::Internal, "the processes cannot be looked at")
            .with_hint(why.to_owned()),
    )
}
