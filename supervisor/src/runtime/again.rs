//! `retry` and `reopen`: a new task from the `spec` of one that has ended.

use protocol::control::SessionChoice;
use protocol::control::{
    Again, AgainRequest, ErrorBody, ErrorCode, Response, RunOption, RunRequest,
};
use protocol::view::{Links, TaskView};
use protocol::{SessionId, TaskId};

use super::container;
use super::core_loop::Core;
use super::gateway::Asker;
use super::naming::no_such_task;
use super::replace::Dispatch;
use crate::control::ReplySender;
use crate::folder::SpecFile;
use crate::ledger::LedgerError;

/// Whether a task of the id that is asked for was made in this way before.
enum Repeated {
    /// It was not, or not from the task that is meant.
    No,
    /// It was, from this one, which had this name then.
    Of {
        before: TaskId,
        name: Option<String>,
    },
    /// It was, and the earlier one is not known any more.
    OfNone,
}

impl Core {
    /// Dispatches an ended task again, and answers as `run` does.
    pub(super) async fn again(
        &mut self,
        again: AgainRequest,
        asker: &Asker,
        reply: ReplySender,
    ) -> Result<(), LedgerError> {
        // What ended right now is in the ledger afterwards.
        self.flush().await?;
        let AgainRequest {
            of,
            how,
            run,
            mut options,
        } = again;
        let (of, name) = match self.repeated(&of, how, &run.id).await? {
            Repeated::No => (of, None),
            Repeated::Of { before, name } => (before.to_string(), Some(name)),
            Repeated::OfNone => return self.answer_known(run.id, reply).await,
        };
        let mut before = match self.ended_task(&of).await? {
            Ok(before) => before,
            Err(refused) => {
                self.batch.answer(reply, refused);
                return Ok(());
            }
        };
        // It may have been renamed since.
        if let Some(name) = name {
            before.name = name;
        }
        let spec = self.service.folders.spec(&before.id);
        let (mut on_not_found, mut run_as) = (None, None);
        let done_again = match spec {
            Ok(Some(spec)) => {
                options = self.in_its_container(options, &spec);
                on_not_found = match how {
                    Again::Retry => Some(spec.task.on_not_found),
                    // It names its conversation.
                    Again::Reopen => None,
                };
                run_as = spec.task.run_as.as_ref().map(|it| it.user.clone());
                completed(run, &spec, &before, how).map(|request| (request, spec.task.limits))
            }
            Ok(None) => Err(spec_lost(&before, "it is gone")),
            Err(error) => Err(spec_lost(&before, &error.to_string())),
        };
        let (request, limits) = match done_again {
            Ok(found) => found,
            Err(refusal) => {
                self.batch.answer(reply, Response::Error(refusal));
                return Ok(());
            }
        };
        let unarchives = how == Again::Reopen && before.archived;
        let dispatch = Dispatch {
            links: links(&before, how),
            memory_bytes: limits.memory_bytes,
            max_cost_micros: limits.max_cost_micros,
            unarchives: unarchives.then(|| (before.id, asker.look_up())),
            on_not_found,
            run_as,
            ..Dispatch::new(request)
        };
        self.dispatch_with(dispatch, &options, asker, reply).await
    }

    /// Is this asked once more, and `of` the name of something else by now: of the new
    /// task itself, or of nothing any more?
    async fn repeated(
        &mut self,
        of: &str,
        how: Again,
        id: &TaskId,
    ) -> Result<Repeated, LedgerError> {
        let made = self.task_view(id).await?;
        let before = made.and_then(|made| match how {
            Again::Retry => made.links.retry_of,
            Again::Reopen => made.links.reopened_from,
        });
        let Some(before) = before else {
            return Ok(Repeated::No);
        };
        if let Ok(meant) = self.resolve(of).await?
            && meant != before
            && meant != *id
        {
            return Ok(Repeated::No);
        }
        if self.task_view(&before).await?.is_none() {
            return Ok(Repeated::OfNone);
        }
        let spec = self.service.folders.spec(id).ok().flatten();
        let name = spec.and_then(|spec| spec.task.name);
        Ok(Repeated::Of { before, name })
    }

    /// A task of a container is done again in it, unless another is named: never
    /// on the host. Early versions did not keep it in `spec`.
    fn in_its_container(&self, mut options: Vec<RunOption>, spec: &SpecFile) -> Vec<RunOption> {
        let given = |option: &RunOption| matches!(option, RunOption::Container(_));
        if options.iter().any(given) {
            return options;
        }
        let id = &spec.task.id;
        let kept = || container::of(&self.service, id);
        let before = spec.asked.container.clone();
        let before = before.or_else(|| kept().map(|container| container.id().to_owned()));
        options.extend(before.map(RunOption::Container));
        options
    }

    async fn ended_task(&mut self, name: &str) -> Result<Result<TaskView, Response>, LedgerError> {
        let id = match self.resolve(name).await? {
            Ok(id) => id,
            Err(refusal) => return Ok(Err(Response::Error(refusal))),
        };
        let Some(task) = self.task_view(&id).await? else {
            return Ok(Err(Response::Error(no_such_task(name))));
        };
        if task.archive_reason.is_none() {
            let message = format!("task {id} has not ended: there is nothing to do again");
            let hint = format!("stop it first (`agentctl stop-session {id}`)");
            return Ok(Err(Response::Conflict {
                refusal: ErrorBody::new(ErrorCode::Conflict, message).with_hint(hint),
                task: Box::new(task),
            }));
        }
        Ok(Ok(task))
    }
}

fn links(before: &TaskView, how: Again) -> Links {
    let id = Some(before.id.clone());
    match how {
        Again::Retry => Links {
            retry_of: id,
            ..Links::default()
        },
        Again::Reopen => Links {
            reopened_from: id,
            ..Links::default()
        },
    }
}

/// What was given, and for the rest what was asked for the first time. The
/// variables of `--env` are not kept beyond the end of a task.
fn completed(
    given: RunRequest,
    spec: &SpecFile,
    before: &TaskView,
    how: Again,
) -> Result<RunRequest, ErrorBody> {
    let (task, asked) = (&spec.task, &spec.asked);
    let session = session(&given.session, before, how)?;
    if how == Again::Reopen && given.prompt.is_none() {
        return Err(
            ErrorBody::new(ErrorCode::Usage, "a conversation goes on with a prompt")
                .with_hint("`agentctl reopen ID --prompt TEXT`"),
        );
    }
    let limits = &task.limits;
    let or_before = |given: Vec<String>, before: &Vec<String>| {
        if given.is_empty() {
            before.clone()
        } else {
            given
        }
    };
    Ok(RunRequest {
        provider: given.provider.or_else(|| Some(task.provider.clone())),
        argv: or_before(given.argv, &asked.argv),
        key: given.key.or_else(|| Some(task.key.to_string())),
        prompt: given.prompt.or_else(|| asked.prompt.clone()),
        model: given.model.or_else(|| task.model.clone()),
        name: given.name.or_else(|| before.name.clone()),
        cwd: if given.cwd.is_empty() {
            spec.started.cwd.clone()
        } else {
            given.cwd
        },
        agent: given.agent.or_else(|| task.agent.clone()),
        agent_type: given.agent_type.or_else(|| task.agent_type.clone()),
        repo: given.repo.or_else(|| task.repo.clone()),
        issue_number: given.issue_number.or(task.issue_number),
        user: given.user.or_else(|| task.user.clone()),
        session,
        timeout_ms: given.timeout_ms.or(limits.timeout_ms),
        idle_timeout_ms: given.idle_timeout_ms.or(limits.idle_timeout_ms),
        start_timeout_ms: given.start_timeout_ms.or(limits.start_timeout_ms),
        grace_ms: given.grace_ms.or(Some(limits.grace_ms)),
        max_log_bytes: given.max_log_bytes.or(Some(spec.started.max_log_bytes)),
        provider_args: or_before(given.provider_args, &asked.provider_args),
        id: given.id,
        client_env: given.client_env,
        env: given.env,
        unsafe_resume: given.unsafe_resume,
        wait_for_exec: given.wait_for_exec,
    })
}

/// Whether a session may be resumed is decided as for `run --resume` (R6, R7).
fn session(
    given: &SessionChoice,
    before: &TaskView,
    how: Again,
) -> Result<SessionChoice, ErrorBody> {
    let usage = |words: &str| Err(ErrorBody::new(ErrorCode::Usage, words));
    match (how, given) {
        (Again::Retry, SessionChoice::Auto | SessionChoice::Fresh) => Ok(SessionChoice::Fresh),
        (Again::Retry, SessionChoice::Chosen(id)) => Ok(SessionChoice::Chosen(id.clone())),
        (Again::Retry, SessionChoice::Resume(_)) => {
            usage("a retry has a fresh session; `agentctl reopen` resumes one")
        }
        (Again::Reopen, SessionChoice::Auto) => own_session(before).map(SessionChoice::Resume),
        (
            Again::Reopen,
            SessionChoice::Fresh | SessionChoice::Chosen(_) | SessionChoice::Resume(_),
        ) => usage("a reopened task resumes its own session; `agentctl retry` has a fresh one"),
    }
}

fn own_session(before: &TaskView) -> Result<SessionId, ErrorBody> {
    before.session_id.clone().ok_or_else(|| {
        let id = &before.id;
        ErrorBody::new(
            ErrorCode::Conflict,
            format!("task {id} has no session that could be resumed"),
        )
        .with_hint(format!(
            "`agentctl retry {id}` does it again in a fresh one"
        ))
    })
}

fn spec_lost(before: &TaskView, why: &str) -> ErrorBody {
    ErrorBody::new(
        ErrorCode::Conflict,
        format!(
            "what was asked for in task {} is not known: {why}",
            before.id
        ),
    )
    .with_hint("dispatch it with `agentctl run`")
}
