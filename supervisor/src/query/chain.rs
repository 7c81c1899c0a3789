//! `why`: what happened to a task, in order, in plain words.

use lifecycle::event::{BindKind, Ending};
use lifecycle::{Event, EventBody, SessionPlan, Task, TaskSpec};
use protocol::shim::{SpawnStage, SupersededBy};
use protocol::view::ChainLink;
use protocol::vocab::SignalName;
use protocol::{Key, SessionId, StopReason};

use super::because::because;
use super::evidence::{
    MAX_QUOTE, alarm_words, provider_error_words, result_words, signalled_words, superseded_words,
    sweep_words,
};
use super::spawn_failure::SpawnFailure;
use super::who;
use crate::text::printable;

const NOBODY: &str = "";
const AGENT: &str = "the agent";
const SHIM: &str = "the shim";
const SUPERVISOR: &str = "the supervisor";

/// What happened to a task, in order, in plain words. `events` are all of its
/// events, `search_path` is where its command was searched.
pub(super) fn chain(events: &[Event], search_path: Option<&str>) -> Vec<ChainLink> {
    let task = Task::fold(events);
    let task = task.as_ref();
    let context = Context { task, search_path };
    events
        .iter()
        .filter_map(|event| {
            let Words { what, who, detail } = context.of(&event.body)?;
            Some(ChainLink {
                at: event.at,
                what: what.to_owned(),
                who,
                detail,
            })
        })
        .collect()
}

struct Context<'a> {
    task: Option<&'a Task>,
    search_path: Option<&'a str>,
}

struct Words {
    what: &'static str,
    who: String,
    detail: String,
}

fn words(what: &'static str, who: &str, detail: impl Into<String>) -> Option<Words> {
    Some(Words {
        what,
        who: who.to_owned(),
        detail: detail.into(),
    })
}

impl Context<'_> {
    fn of(&self, body: &EventBody) -> Option<Words> {
        match body {
            EventBody::Admitted { spec } => words("dispatched", &on_behalf(spec), dispatch(spec)),
            EventBody::Claimed { shim } => words("claimed", SHIM, claimed(shim.pid)),
            EventBody::Started { agent, program } => words(
                "started",
                SHIM,
                format!("agent pid {}: {}", agent.pid, quote(program)),
            ),
            EventBody::SpawnFailed { stage, errno, path } => words(
                "could not start",
                SHIM,
                self.spawn_failed(*stage, *errno, path),
            ),
            EventBody::NeverStarted { detail } => {
                words("never started", SUPERVISOR, never_started(detail))
            }
            EventBody::Adopted { shim } => words(
                "adopted",
                SUPERVISOR,
                format!("it took over the live shim (pid {})", shim.pid),
            ),
            EventBody::FirstOutput {} => words("first output", AGENT, ""),
            EventBody::ModelSeen { model } => words("model", AGENT, quote(model)),
            EventBody::Result(result) => words(
                "result",
                AGENT,
                result_words(result.success, result.text.as_deref()),
            ),
            EventBody::ProviderFailed { error, detail } => words(
                "provider error",
                AGENT,
                provider_error_words(*error, detail),
            ),
            EventBody::Alarm { kind, detail } => words("alarm", SHIM, alarm_words(*kind, detail)),
            EventBody::SessionBound {
                session_id, how, ..
            } => bound(session_id, *how),
            EventBody::SessionResumable { session_id, .. } => {
                let detail = format!("{session_id}: the next task of the key resumes it");
                words("session resumable", SUPERVISOR, detail)
            }
            EventBody::SessionQuarantined {
                key,
                session_id,
                reason,
                ..
            } => words(
                "session quarantined",
                SUPERVISOR,
                quarantined(key, session_id, reason),
            ),
            EventBody::SessionReleased { session_id, by, .. } => {
                words("session released", &who::requester(by), session_id.as_str())
            }
            EventBody::SessionRestored { row } => {
                let detail = format!("{}: it is as it was, for it was never used", row.session_id);
                words("session restored", SUPERVISOR, detail)
            }
            EventBody::SessionRemoved { session_id, .. } => {
                let detail = format!("{session_id}: it was chosen and never used");
                words("session removed", SUPERVISOR, detail)
            }
            EventBody::StopRequested {
                intent_id,
                reason,
                requested_by,
                note,
                joined,
                ..
            } => {
                let detail = self.requested(*intent_id, *reason, note.as_deref(), *joined);
                words("stop requested", &who::requester(requested_by), detail)
            }
            EventBody::StopJournalled { intent_id } => words(
                "stop journalled",
                SHIM,
                format!(
                    "intent {intent_id} is in the shim's journal; no signal went out under it before"
                ),
            ),
            EventBody::StopSuperseded { intent_id, by } => {
                words("stop superseded", SHIM, superseded(*intent_id, *by))
            }
            EventBody::Signalled {
                intent_id,
                signal,
                target,
                by,
            } => words(
                "signalled",
                who::signaller(*by),
                signalled_words(*signal, *target, *intent_id),
            ),
            EventBody::SignalSeen { signal, sender } => {
                words("shim signalled", &who::sender(sender), signal_seen(*signal))
            }
            EventBody::Exited { exit } => words("exit", AGENT, quote(&exit.to_string())),
            EventBody::Swept { sweep, by } => {
                words("tree", who::signaller(*by), sweep_words(sweep))
            }
            EventBody::ShimLost {} => words(
                "shim lost",
                NOBODY,
                "the shim's process was gone before it had finished; its leader dies with it",
            ),
            EventBody::HostRebooted { detail } => words("host rebooted", NOBODY, quote(detail)),
            EventBody::Finished {
                output_bytes,
                gap_bytes,
            } => words("finished", SHIM, finished(*output_bytes, *gap_bytes)),
            EventBody::Ended(ending) => words("concluded", SUPERVISOR, self.concluded(ending)),
            // Figures are no step of a story; the others belong to no task.
            EventBody::UsageSeen { .. }
            | EventBody::SupervisorStarted { .. }
            | EventBody::SupervisorStopped { .. } => None,
        }
    }

    fn spawn_failed(&self, stage: SpawnStage, errno: i32, path: &str) -> String {
        SpawnFailure {
            stage,
            errno,
            path,
            search_path: self.search_path,
        }
        .in_words()
    }

    fn requested(&self, id: u64, reason: StopReason, note: Option<&str>, joined: bool) -> String {
        let mut text = format!("reason {reason}, intent {id}");
        if joined {
            let first = self.task.and_then(|task| task.intents.first());
            let first = first.map_or_else(
                || "an earlier one".to_owned(),
                |it| format!("intent {}", it.id),
            );
            text.push_str(&format!(", joins {first}, which stays the reason"));
        }
        if let Some(note) = note {
            text.push_str(&format!(": note “{}”", quote(note)));
        }
        text
    }

    fn concluded(&self, ending: &Ending) -> String {
        let head = format!(
            "{}, {} ({}), {}",
            ending.status,
            ending.reason.label(),
            ending.reason,
            ending.basis
        );
        match self.task {
            Some(task) => format!(
                "{head}, because {}",
                because(task, ending, self.search_path)
            ),
            None => head,
        }
    }
}

fn quote(text: &str) -> String {
    printable(text, MAX_QUOTE)
}

fn on_behalf(spec: &TaskSpec) -> String {
    spec.user
        .as_deref()
        .map_or_else(String::new, |user| format!("on behalf of {}", quote(user)))
}

fn dispatch(spec: &TaskSpec) -> String {
    let session = match &spec.session {
        SessionPlan::Fresh => "a fresh session".to_owned(),
        SessionPlan::Chosen(id) => format!("a fresh session, {id}"),
        SessionPlan::Resume(row) => format!("resumes session {}", row.session_id),
    };
    format!(
        "provider {}, key {}, {session}; its row is committed",
        spec.provider, spec.key
    )
}

fn claimed(pid: i32) -> String {
    format!("it has the claim (pid {pid}): it alone may start the agent")
}

fn never_started(detail: &str) -> String {
    format!(
        "it took the claim, so that no shim can ever start the agent: {}",
        quote(detail)
    )
}

fn bound(id: &SessionId, how: BindKind) -> Option<Words> {
    match how {
        BindKind::Chosen => words(
            "session",
            SUPERVISOR,
            format!("{id}, chosen before the start"),
        ),
        BindKind::Resumed => words("session", SUPERVISOR, format!("{id} is resumed")),
        BindKind::Reported => words("session", AGENT, format!("{id}, as the output tells")),
        BindKind::Confirmed => words("session", AGENT, format!("{id}, confirmed by the output")),
    }
}

fn quarantined(key: &Key, id: &SessionId, reason: &str) -> String {
    format!(
        "{id}: {}; it is kept, and not resumed unless `agentctl sessions release {key} \
         --session-id {id}` allows it",
        quote(reason)
    )
}

fn superseded(id: u64, by: SupersededBy) -> String {
    format!("{}, so intent {id} did not end it", superseded_words(by))
}

fn signal_seen(signal: i32) -> String {
    format!(
        "{} reached the shim itself: somebody ends this task",
        SignalName(signal)
    )
}

fn finished(printed: (u64, u64), lost: (u64, u64)) -> String {
    let mut text = format!(
        "printed: {} bytes on stdout, {} on stderr",
        printed.0, printed.1
    );
    if lost.0 + lost.1 > 0 {
        text.push_str(&format!("; not kept: {} and {}", lost.0, lost.1));
    }
    text
}
