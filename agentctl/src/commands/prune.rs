//! `prune`: ended tasks that are old enough go, with their folders.

use protocol::control::{PruneRequest, Request, Response};

use super::Context;
use crate::errors::CliError;
use crate::exit_code::Code;
use crate::render::out::{self, Format};
use crate::render::task::Screen;
use crate::render::{json, prune, time};
use crate::values;

/// Options of `prune`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Tasks that ended so long ago; as configured ([retention]) if not given
    #[arg(long, value_name = "DUR", value_parser = values::duration_ms)]
    older_than: Option<u64>,
    /// Remove them: rows, logs and what was asked for. Without it they are only listed
    #[arg(long)]
    apply: bool,
}

pub(super) fn execute(args: &Args, cx: &Context) -> Result<Code, CliError> {
    let request = Request::Prune(PruneRequest {
        older_than_ms: args.older_than,
        apply: args.apply,
    });
    let Response::Pruned(view) = cx.client()?.ask(&request)? else {
        return Err(CliError::wrong_answer());
    };
    match cx.format {
        Format::Json => out::json(&json::value(&view)?)?,
        Format::Text => {
            if !view.tasks.is_empty() {
                out::text(&prune::tasks(&view, time::now(), Screen::stdout()))?;
            }
            out::say(&prune::summary(&view));
        }
    }
    Ok(Code::OK)
}
