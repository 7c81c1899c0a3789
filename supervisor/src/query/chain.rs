//! `why`: what happened to a task, in order, in plain words.

use std::collections::BTreeSet;

use lifecycle::event::Ending;
use lifecycle::{Event, EventBody, EventBody as E, Task, TaskSpec};
use protocol::StopReason;
use protocol::shim::SpawnStage;
use protocol::view::ChainLink;

use super::because::because;
use super::facts;
use super::quote::quote;
use super::spawn_failure::SpawnFailure;
use super::step::{self, SHIM, SUPERVISOR, Step, step};
use super::who;

/// What happened to a task, in order, in plain words. `events` are all of its
/// events, `search_path` is where its command was searched.
pub(super) fn chain(events: &[Event], search_path: Option<&str>) -> Vec<ChainLink> {
    let task = Task::fold(events);
    let context = Context {
        task: task.as_ref(),
        search_path,
    };
    let link = |event: &Event| {
        let Step { what, who, detail } = context.step(&event.body)?;
        let who = match (facts::is_past_the_shim(context.task, event), who.as_str()) {
            (true, SHIM) => SUPERVISOR.to_owned(),
            (true | false, _) => who,
        };
        let what = what.to_owned();
        Some(ChainLink {
            at: event.at,
            what,
            who,
            detail,
        })
    };
    let mut links: Vec<ChainLink> = told_once(events).filter_map(link).collect();
    // What a shim tells after an adoption happened before it.
    links.sort_by_key(|link| link.at);
    links
}

/// A request that was recorded more than once is told by its first record.
fn told_once(events: &[Event]) -> impl Iterator<Item = &Event> {
    let mut requested = BTreeSet::new();
    events.iter().filter(move |event| {
        let E::StopRequested { intent_id, .. } = &event.body else {
            return true;
        };
        requested.insert(*intent_id)
    })
}

struct Context<'a> {
    task: Option<&'a Task>,
    search_path: Option<&'a str>,
}

impl Context<'_> {
    /// Figures and known lines are no step of a story, and some events belong to no task.
    fn step(&self, body: &EventBody) -> Option<Step> {
        match body {
            E::Queued { .. } | E::StartRefused { .. } => step::waited(body),
            E::Admitted { spec } => self.admitted(spec),
            E::Claimed { shim } => step::claimed(shim.pid),
            E::Started { agent, program } => step::started(agent.pid, program),
            E::SpawnFailed { stage, errno, path } => self.spawn_failed(*stage, *errno, path),
            E::NeverStarted { detail, intent_id } => step::never_started(detail, *intent_id),
            E::Adopted { shim } => step::adopted(shim.pid),
            E::FirstOutput {} => step::first_output(),
            E::ModelSeen { model } => step::model(model),
            E::Result(result) => step::result(result),
            E::ProviderFailed { error, detail } => step::provider_error(*error, detail),
            E::Alarm { kind, detail } => step::alarm(*kind, detail),
            E::SessionBound { .. } => step::bound(body),
            E::SessionResumable { session_id, .. } => step::resumable(session_id),
            E::SessionQuarantined { .. } => step::quarantined(body),
            E::SessionPassedOver(it) => step::passed_over(&it.detail),
            E::SessionJoined(it) => step::joined(&it.session_id),
            E::SessionReleased { session_id, by, .. } => step::released(session_id, by),
            E::KeyReleased { .. }
            | E::Archived { .. }
            | E::Unarchived { .. }
            | E::Renamed { .. } => step::kept(body),
            E::SessionRestored { row } => step::restored(&row.session_id),
            E::SessionRemoved { session_id, .. } => step::removed(session_id),
            E::StopRequested {
                intent_id,
                reason,
                requested_by,
                note,
                joined,
                ..
            } => {
                let detail = self.requested(*intent_id, *reason, note.as_deref(), *joined);
                step("stop requested", &who::requester(requested_by), detail)
            }
            E::StopJournalled { intent_id } => step::journalled(*intent_id),
            E::StopSuperseded { intent_id, by } => step::superseded(*intent_id, *by),
            E::Signalled {
                intent_id,
                signal,
                target,
                by,
            } => step::signalled(*intent_id, *signal, *target, *by),
            E::SignalSeen { signal, sender } => step::signal_seen(*signal, sender),
            E::OutOfMemory(oom) => step::out_of_memory(oom),
            E::UnitSeen { unit } => step::unit_seen(unit),
            E::Exited { exit } => step::exited(exit),
            E::Swept { sweep, by } => step::swept(sweep, *by),
            E::ExitLearned { exit } => step::exit_learned(exit),
            E::ShimLost {} => step::shim_lost(),
            E::HubDraining { .. } | E::HubGone { .. } | E::HubAdmitting {} => step::hub(body),
            E::HostRebooted { detail } => step::host_rebooted(detail),
            E::Finished {
                output_bytes,
                gap_bytes,
            } => step::finished(*output_bytes, *gap_bytes),
            E::Ended(ending) => self.concluded(ending),
            E::UsageSeen { .. }
            | E::LineKnown {}
            | E::SupervisorStarted { .. }
            | E::SupervisorStopped { .. }
            | E::Draining { .. }
            | E::Drained { .. }
            | E::Admitting {}
            | E::ServiceShutdown { .. } => None,
        }
    }

    fn admitted(&self, spec: &TaskSpec) -> Option<Step> {
        match self.task.and_then(|task| task.queued_at) {
            Some(_) => step::turn_came(spec),
            None => step::dispatched(spec),
        }
    }

    fn spawn_failed(&self, stage: SpawnStage, errno: i32, path: &str) -> Option<Step> {
        let search_path = self.search_path;
        let failure = SpawnFailure {
            stage,
            errno,
            path,
            search_path,
            user: self.task.and_then(facts::user_of),
        };
        step("could not start", failure.seen_by(), failure.in_words())
    }

    fn requested(&self, id: u64, reason: StopReason, note: Option<&str>, joined: bool) -> String {
        let mut text = format!("reason {reason}, intent {id}");
        if joined {
            let first = self.task.and_then(|task| task.intents.first());
            let first = match first {
                Some(intent) => format!("intent {}", intent.id),
                None => "an earlier one".to_owned(),
            };
            text.push_str(&format!(", joins {first}, which stays the reason"));
        }
        if let Some(note) = note {
            text.push_str(&format!(": note “{}”", quote(note)));
        }
        text
    }

    fn concluded(&self, ending: &Ending) -> Option<Step> {
        let (status, reason, basis) = (ending.status, ending.reason, ending.basis);
        let mut text = format!("{status}, {} ({reason}), {basis}", reason.label());
        if let Some(task) = self.task {
            let because = because(task, ending, self.search_path);
            text.push_str(&format!(", because {because}"));
        }
        step("concluded", SUPERVISOR, text)
    }
}
