//! `stop-session` and `wait`.

use std::time::Duration;

use lifecycle::verdict::name_of;
use lifecycle::{Command, Input};
use protocol::control::{ErrorBody, ErrorCode, Response, StopRequest, WaitRequest};
use protocol::view::{Requester, StopResult, Survivor, TaskView};
use protocol::vocab::StopOutcome;
use protocol::{StopReason, TaskId};
use tokio::sync::oneshot;

use super::admit::check_texts;
use super::batch::{Durable, Stop, Urgency};
use super::core_loop::Core;
use super::gateway::Asker;
use super::live::{End, TreeEnd};
use super::naming::no_such_task;
use crate::control::ReplySender;
use crate::ledger::LedgerError;

/// What is known of one named task when the waiting begins.
enum Watched {
    /// It lives; its end will be told.
    Live(TaskId, oneshot::Receiver<End>),
    /// It has ended, and that is about to be committed: a stop comes too late.
    Ending(TaskId, oneshot::Receiver<End>),
    /// It had ended, and these live on of it.
    Ended(Box<TaskView>, Vec<Survivor>),
}

impl Watched {
    /// Which task has not ended yet, as far as the ledger knows.
    const fn id(&self) -> Option<&TaskId> {
        match self {
            Self::Live(id, _) | Self::Ending(id, _) => Some(id),
            Self::Ended(..) => None,
        }
    }

    /// Of one that had ended.
    fn ended(&self) -> Option<StopResult> {
        match self {
            Self::Live(..) | Self::Ending(..) => None,
            Self::Ended(view, survivors) => Some(gone_before(view, survivors.clone())),
        }
    }
}

impl Core {
    /// Commits an intent for every live task that is named, and answers when
    /// all their trees are proven gone.
    pub(super) async fn stop(
        &mut self,
        request: StopRequest,
        asker: Asker,
        reply: ReplySender,
    ) -> Result<(), LedgerError> {
        if !matches!(request.reason, StopReason::User | StopReason::RunnerStop) {
            let message = format!("the reason {} is not for callers", request.reason);
            let refusal =
                ErrorBody::new(ErrorCode::Usage, message).with_hint("use user or runner_stop");
            self.batch.answer(reply, Response::Error(refusal));
            return Ok(());
        }
        if let Err(refusal) = check_texts(&[("note", &request.note)]) {
            self.batch.answer(reply, Response::Error(refusal));
            return Ok(());
        }
        let by = asker.look_up();
        let (watched, failed) = self.named_tasks(&request).await?;
        for task in &watched {
            if let Watched::Live(id, _) = task {
                self.request_stop(id, &request, &by);
            }
        }
        let ids = watched.iter().filter_map(Watched::id).cloned().collect();
        let known = watched.iter().filter_map(Watched::ended).collect();
        let urgency = if request.force {
            Urgency::Forced
        } else {
            Urgency::Orderly
        };
        let durable = if request.no_wait {
            let results = watched.iter().filter_map(|task| self.so_far(task));
            Durable::Answer(results.collect())
        } else {
            let (reply, failed) = (reply.clone(), failed.clone());
            let (given, told) = oneshot::channel();
            let job = async move {
                tokio::select! {
                    biased;
                    Ok(()) = told => {}
                    results = stopped(watched, &reply) => {
                        reply.send(Response::Stopped { results, failed });
                    }
                }
            };
            Durable::Wait(Box::pin(job), given)
        };
        self.batch.stops.push(Stop {
            ids,
            known,
            failed,
            urgency,
            reply,
            durable,
        });
        Ok(())
    }

    fn request_stop(&mut self, id: &TaskId, request: &StopRequest, by: &Requester) {
        tracing::info!(
            task = %id, reason = %request.reason, by = %name_of(by), via = %by.via, pid = by.pid,
            "stop requested"
        );
        self.step(
            id,
            Input::Command(Command::Stop {
                reason: request.reason,
                requested_by: by.clone(),
                note: request.note.clone(),
                grace_ms: if request.force {
                    Some(0)
                } else {
                    request.grace_ms
                },
            }),
        );
    }

    async fn named_tasks(
        &mut self,
        request: &StopRequest,
    ) -> Result<(Vec<Watched>, Vec<(String, ErrorBody)>), LedgerError> {
        let mut ids = Vec::new();
        let mut failed = Vec::new();
        for name in &request.ids {
            match self.resolve(name).await? {
                Ok(id) => ids.push(id),
                Err(refusal) => failed.push((name.clone(), refusal)),
            }
        }
        if request.all {
            ids.extend(self.tasks.keys().cloned());
        }
        let mut seen = std::collections::HashSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        let mut watched = Vec::new();
        for id in ids {
            match self.watched(&id).await? {
                Some(task) => watched.push(task),
                None => failed.push((id.to_string(), no_such_task(id.as_str()))),
            }
        }
        Ok((watched, failed))
    }

    async fn watched(&mut self, id: &TaskId) -> Result<Option<Watched>, LedgerError> {
        if let Some(live) = self.tasks.get_mut(id) {
            let has_ended = live.task.ending.is_some();
            let (tell, told) = oneshot::channel();
            live.tell_end(tell);
            return Ok(Some(if has_ended {
                Watched::Ending(id.clone(), told)
            } else {
                Watched::Live(id.clone(), told)
            }));
        }
        let survivors = self.held.of_task(id);
        Ok(self
            .ledger_view(id)
            .await?
            .map(|view| Watched::Ended(Box::new(view), survivors)))
    }

    /// What can be said without waiting.
    fn so_far(&self, task: &Watched) -> Option<StopResult> {
        match task {
            Watched::Live(id, _) | Watched::Ending(id, _) => self.tasks.get(id).map(|live| {
                let view = live.view();
                let outcome = match view.archive_reason {
                    Some(_) => StopOutcome::Stopped,
                    None => StopOutcome::StillAlive,
                };
                result_of(&view, outcome, Vec::new())
            }),
            Watched::Ended(view, survivors) => Some(gone_before(view, survivors.clone())),
        }
    }

    /// Answers when every named task has ended.
    pub(super) async fn wait(
        &mut self,
        request: WaitRequest,
        reply: ReplySender,
    ) -> Result<(), LedgerError> {
        let mut watched = Vec::new();
        for name in &request.ids {
            let task = match self.resolve(name).await? {
                Ok(id) => self.watched(&id).await?.ok_or_else(|| no_such_task(name)),
                Err(refusal) => Err(refusal),
            };
            match task {
                Ok(task) => watched.push(task),
                Err(refusal) => {
                    self.batch.answer(reply, Response::Error(refusal));
                    return Ok(());
                }
            }
        }
        let live: Vec<String> = watched
            .iter()
            .filter_map(|task| match task {
                Watched::Live(id, _) | Watched::Ending(id, _) => Some(id.to_string()),
                Watched::Ended(..) => None,
            })
            .collect();
        self.batch.later(async move {
            let limit = request.timeout_ms.map_or(FOREVER, Duration::from_millis);
            let response = tokio::select! {
                tasks = all_ended(watched) => match tasks {
                    Some(tasks) => Response::Tasks(tasks),
                    None => return,
                },
                () = tokio::time::sleep(limit) => Response::Error(timed_out(&live)),
                () = reply.closed() => return,
            };
            reply.send(response);
        });
        Ok(())
    }
}

fn timed_out(live: &[String]) -> ErrorBody {
    let what = match live {
        [one] => format!("task {one} did not end within the time given"),
        several => format!(
            "not every one of {} tasks ended within the time given",
            several.len()
        ),
    };
    ErrorBody::new(ErrorCode::Timeout, what).with_hint(format!(
        "nothing was stopped; `agentctl wait {}` waits again",
        live.join(" ")
    ))
}

/// A timer that is never due: tokio's clock ends after some decades.
const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// None when the supervisor leaves before.
async fn all_ended(watched: Vec<Watched>) -> Option<Vec<TaskView>> {
    let mut tasks = Vec::with_capacity(watched.len());
    for task in watched {
        tasks.push(match task {
            Watched::Live(_, told) | Watched::Ending(_, told) => told.await.ok()?.view,
            Watched::Ended(view, _) => *view,
        });
    }
    Some(tasks)
}

async fn stopped(watched: Vec<Watched>, reply: &ReplySender) -> Vec<StopResult> {
    let mut results = Vec::with_capacity(watched.len());
    for task in watched {
        match task {
            Watched::Ended(view, survivors) => results.push(gone_before(&view, survivors)),
            Watched::Ending(_, told) => {
                let Ok(End { view, tree }) = told.await else {
                    return results;
                };
                let survivors = match tree {
                    TreeEnd::Gone => Vec::new(),
                    TreeEnd::Left(survivors) => survivors,
                };
                results.push(gone_before(&view, survivors));
            }
            Watched::Live(_, told) => {
                let told = tokio::select! {
                    told = told => told,
                    () = reply.closed() => return results,
                };
                // The supervisor leaves: the intent is durable, the next one
                // goes on with it.
                let Ok(End { view, tree }) = told else {
                    return results;
                };
                results.push(result_of_end(&view, tree));
            }
        }
    }
    results
}

/// Of a task that has ended by a stop.
pub(super) fn result_of_end(view: &TaskView, tree: TreeEnd) -> StopResult {
    let (outcome, survivors) = match tree {
        TreeEnd::Gone => (StopOutcome::Stopped, Vec::new()),
        TreeEnd::Left(survivors) => (StopOutcome::StillAlive, survivors),
    };
    result_of(view, outcome, survivors)
}

/// Of a task that had ended before anybody asked.
fn gone_before(view: &TaskView, survivors: Vec<Survivor>) -> StopResult {
    let outcome = if survivors.is_empty() {
        StopOutcome::AlreadyGone
    } else {
        StopOutcome::StillAlive
    };
    result_of(view, outcome, survivors)
}

fn result_of(view: &TaskView, outcome: StopOutcome, survivors: Vec<Survivor>) -> StopResult {
    StopResult {
        id: view.id.clone(),
        outcome,
        status: view.status,
        archive_reason: view.archive_reason,
        survivors,
    }
}
