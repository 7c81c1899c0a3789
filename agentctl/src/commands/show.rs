//! `show ID`: one task, whole.

use protocol::control::{Request, Response};

use super::Context;
use crate::errors::CliError;
use crate::exit_code::Code;
use crate::render::out::{self, Format};
use crate::render::task::Screen;
use crate::render::{detail, json, time};

/// Options of `show`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A task id or its prefix, a session id, a key, or a name
    id: String,
}

pub(super) fn execute(args: Args, cx: &Context) -> Result<Code, CliError> {
    let answer = cx.client()?.ask_or_read(&Request::Show { id: args.id })?;
    let Response::Detail(view) = answer else {
        return Err(CliError::wrong_answer());
    };
    match cx.format {
        Format::Json => out::json(&json::detail(&view)?)?,
        Format::Text => out::text(&detail::show(&view, time::now(), Screen::stdout()))?,
    }
    Ok(Code::OK)
}
