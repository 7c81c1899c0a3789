//! `doctor`: what is well, and what should be looked at. Reads only.

use protocol::control::{
    ErrorBody, OrphansRequest, ProvidersRequest, Request, Response, Surroundings,
};
use protocol::view::{OrphansView, ProviderView, StatusView, UnitView};
use serde::Serialize;
use serde_json::json;

use super::{Context, orphans, providers};
use crate::client::Client;
use crate::errors::CliError;
use crate::exit_code::Code;
use crate::render::out::{self, Format};
use crate::render::style::Ink;
use crate::render::task::Screen;
use crate::render::text::clean;

/// Options of `doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Check {
    /// What was looked at.
    name: &'static str,
    state: State,
    /// What was found.
    detail: String,
    /// What to do about it.
    hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Warning,
    Failure,
}

impl Check {
    fn ok(name: &'static str, detail: String) -> Self {
        Self {
            name,
            state: State::Ok,
            detail,
            hint: None,
        }
    }

    fn warning(name: &'static str, detail: String, hint: String) -> Self {
        Self {
            name,
            state: State::Warning,
            detail,
            hint: Some(hint),
        }
    }
}

pub(super) fn execute(_args: &Args, cx: &Context) -> Result<Code, CliError> {
    let (checks, code) = match cx.client().and_then(|client| examined(&client)) {
        // A warning is no failure.
        Ok(checks) => (checks, Code::OK),
        Err(error) => (vec![unexamined(&error)], error.code()),
    };
    match cx.format {
        Format::Json => out::json(&json!({ "checks": checks }))?,
        Format::Text => out::text(&table(&checks, Screen::stdout()))?,
    }
    Ok(code)
}

/// There is nobody to ask, or nobody who answers us.
fn unexamined(error: &CliError) -> Check {
    Check {
        name: "supervisor",
        state: State::Failure,
        detail: error.message(),
        hint: error.hint().map(ToOwned::to_owned),
    }
}

fn examined(client: &Client) -> Result<Vec<Check>, CliError> {
    let Some((status, refusing)) = client.ask(&Request::Status)?.into_status() else {
        return Err(CliError::wrong_answer());
    };
    let (orphans, unseen) = orphans::ask(client, OrphansRequest::List)?;
    let list = Request::Providers(ProvidersRequest::List);
    let Response::Providers(providers) = client.ask(&list)? else {
        return Err(CliError::wrong_answer());
    };
    let mut checks = vec![
        supervisor(&status, refusing.as_ref()),
        restart(status.unit.as_ref(), status.tasks.running),
        leftovers(&orphans),
    ];
    checks.extend(unseen.iter().map(|one| hidden(one)));
    let unused = providers::unused(client).into_iter();
    checks.extend(unused.map(|problem| Check::warning("provider", problem, MEND.to_owned())));
    let around = surroundings();
    for view in &providers {
        checks.extend(provider(client, view, &around)?);
    }
    Ok(checks)
}

/// The next look finds the mended one.
const MEND: &str = "mend the file: `agentctl providers check FILE` says whether it is good";

fn supervisor(status: &StatusView, refusing: Option<&ErrorBody>) -> Check {
    let detail = format!(
        "version {}, pid {}, {}, {} tasks running",
        status.version, status.pid, status.phase, status.tasks.running
    );
    let Some(refusal) = refusing else {
        return Check::ok("supervisor", detail);
    };
    let what = &refusal.message;
    let hint = match &refusal.hint {
        Some(hint) => format!("new work is refused: {what}; {hint}"),
        None => format!("new work is refused: {what}"),
    };
    Check::warning("supervisor", detail, hint)
}

/// What a restart or a stop of the present unit would do to the agents.
fn restart(unit: Option<&UnitView>, running: u64) -> Check {
    let Some(unit) = unit else {
        let detail = "no service manager runs the supervisor: agents are plain children of \
                      their shims and live through its restart; nothing starts it again"
            .to_owned();
        return Check::ok("restart", detail);
    };
    let (name, mode) = (&unit.name, &unit.kill_mode);
    if unit.survives_restart {
        let detail = format!(
            "a restart of {name} (KillMode={mode}) leaves the {running} running agents alone, \
             unless `[shutdown] on_restart` says drain"
        );
        return Check::ok("restart", detail);
    }
    let detail = format!(
        "a restart or stop of {name} (KillMode={mode}) ENDS the {running} running agents: they \
         are drained first, and a kill of the unit takes them at once"
    );
    let hint = "start agents.service before it, or set KillMode=process (deploy/README.md)";
    Check::warning("restart", detail, hint.to_owned())
}

fn leftovers(view: &OrphansView) -> Check {
    match view.orphans.len() {
        0 => Check::ok(
            "leftovers",
            "no process of an ended or lost task lives".to_owned(),
        ),
        count => Check::warning(
            "leftovers",
            format!("{count} processes of ended or lost tasks live on"),
            "`agentctl orphans` names them, `agentctl orphans kill` ends them".to_owned(),
        ),
    }
}

/// What may live there is not known.
fn hidden(what: &str) -> Check {
    Check::warning(
        "leftovers",
        format!("not looked into: {what}"),
        "processes of ended or lost tasks may live there; `agentctl orphans` looks again"
            .to_owned(),
    )
}

/// Would its agent run from here? Nothing is asked of one that runs anything.
fn provider(
    client: &Client,
    view: &ProviderView,
    around: &Surroundings,
) -> Result<Option<Check>, CliError> {
    let (name, Some(command)) = (&view.name, &view.command) else {
        return Ok(None);
    };
    let request = Request::Providers(ProvidersRequest::Lacks {
        name: name.to_string(),
        around: around.clone(),
    });
    let Response::ProviderChecked { problems } = client.ask(&request)? else {
        return Err(CliError::wrong_answer());
    };
    let tested = if view.tested { "" } else { " (untested)" };
    Ok(Some(if problems.is_empty() {
        Check::ok("provider", format!("{name}{tested}: {command} is ready"))
    } else {
        Check::warning(
            "provider",
            format!("{name}{tested}: {}", problems.join("; ")),
            format!("only if {name} is to be used"),
        )
    }))
}

/// This process's own; a system service puts its own in the place of it.
fn surroundings() -> Surroundings {
    let variables = std::env::vars_os()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, _)| name.into_string().ok());
    Surroundings {
        path: std::env::var("PATH").ok(),
        home: std::env::var("HOME").ok(),
        variables: variables.collect(),
    }
}

fn table(checks: &[Check], screen: Screen) -> String {
    let mut text = String::new();
    for check in checks {
        let (ink, word) = match check.state {
            State::Ok => (Ink::Green, "ok"),
            State::Warning => (Ink::Yellow, "WARNING"),
            State::Failure => (Ink::Red, "FAILED"),
        };
        let word = screen.colour.paint(ink, &format!("{word:<8}"));
        let detail = clean(&check.detail);
        text.push_str(&format!("{word}{:<12}{detail}\n", check.name));
        if let Some(hint) = &check.hint {
            text.push_str(&format!("{:20}{}\n", "", clean(hint)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(survives_restart: bool) -> UnitView {
        UnitView {
            name: "a.service".to_owned(),
            kill_mode: "mixed".to_owned(),
            survives_restart,
        }
    }

    #[test]
    fn a_restart_that_kills_is_a_warning_with_the_number_of_agents() {
        let check = restart(Some(&unit(false)), 3);
        assert_eq!(check.state, State::Warning);
        assert!(
            check.detail.contains("ENDS the 3 running agents"),
            "{check:?}"
        );
        assert_eq!(restart(Some(&unit(true)), 3).state, State::Ok);
        assert_eq!(restart(None, 3).state, State::Ok);
    }
}
