//! `orphans list|kill`: what lives on of tasks that have ended.

use clap::Subcommand;
use protocol::control::{OrphansRequest, Request, Response};
use protocol::view::OrphansView;

use super::Context;
use crate::errors::CliError;
use crate::exit_code::Code;
use crate::render::out::{self, Format};
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
    let Response::Orphans(view) = cx.client()?.ask(&Request::Orphans(request))? else {
        return Err(CliError::wrong_answer());
    };
    match cx.format {
        Format::Json => out::json(&json::value(&view)?)?,
        Format::Text if view.orphans.is_empty() => out::say("agentctl: no orphans"),
        Format::Text => {
            out::text(&service::orphans(&view))?;
            if request == OrphansRequest::List {
                out::say("agentctl: nothing was done; `agentctl orphans kill` ends them");
            }
        }
    }
    Ok(exit_code(&view))
}

/// 8 if something lives on that was to be ended.
fn exit_code(view: &OrphansView) -> Code {
    match view.survivors.as_deref() {
        Some([_, ..]) => Code::NOT_GONE,
        Some([]) | None => Code::OK,
    }
}
