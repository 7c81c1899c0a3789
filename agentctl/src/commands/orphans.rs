//! `orphans list|kill`: what lives on of tasks that have ended.

use clap::Subcommand;
use protocol::control::{OrphansRequest, Request, Response};
use protocol::view::OrphansView;

use serde_json::json;

use super::Context;
use crate::client::Client;
use crate::errors::CliError;
use crate::exit_code::Code;
use crate::render::out::{self, Format};
use crate::render::text::clean;
use crate::render::{json, service};

/// Options of `orphans`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    act: Option<Act>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
enum Act {
    /// Name them, and do nothing (the default)
    List,
    /// End them, and name what lives on
    Kill,
}

pub(super) fn execute(args: &Args, cx: &Context) -> Result<Code, CliError> {
    let request = match args.act {
        None | Some(Act::List) => OrphansRequest::List,
        Some(Act::Kill) => OrphansRequest::Kill,
    };
    let (view, unseen) = ask(&cx.client()?, request)?;
    match cx.format {
        Format::Json => {
            let mut object = json::value(&view)?;
            object["unseen"] = json!(unseen);
            out::json(&object)?;
        }
        Format::Text if view.orphans.is_empty() && unseen.is_empty() => {
            out::say("agentctl: no orphans");
        }
        Format::Text if view.orphans.is_empty() => {
            out::say("agentctl: no orphans, as far as it could be seen");
        }
        Format::Text => {
            out::text(&service::orphans(&view))?;
            if request == OrphansRequest::List {
                out::say("agentctl: nothing was done; `agentctl orphans kill` ends them");
            }
        }
    }
    for one in &unseen {
        out::say(&format!("agentctl: not looked into: {}", clean(one)));
    }
    Ok(exit_code(&view, &unseen))
}

/// What was found, and what could not be looked into.
pub(super) fn ask(
    client: &Client,
    request: OrphansRequest,
) -> Result<(OrphansView, Vec<String>), CliError> {
    let answer = client.ask(&Request::Orphans(request))?;
    if let Response::OrphansPartly { view, unseen } = answer {
        return Ok((view, unseen));
    }
    let Response::Orphans(view) = answer else {
        return Err(CliError::wrong_answer());
    };
    Ok((view, Vec::new()))
}

/// 8 if something lives on that was to be ended, or may.
fn exit_code(view: &OrphansView, unseen: &[String]) -> Code {
    match view.survivors.as_deref() {
        Some([_, ..]) => Code::NOT_GONE,
        Some([]) if !unseen.is_empty() => Code::NOT_GONE,
        Some([]) | None => Code::OK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_is_not_proven_is_none() {
        let killed = OrphansView {
            orphans: Vec::new(),
            survivors: Some(Vec::new()),
        };
        let unseen = ["container c is paused".to_owned()];
        assert_eq!(exit_code(&killed, &[]), Code::OK);
        assert_eq!(exit_code(&killed, &unseen), Code::NOT_GONE);
        let listed = OrphansView {
            survivors: None,
            ..killed
        };
        assert_eq!(exit_code(&listed, &unseen), Code::OK);
    }
}
