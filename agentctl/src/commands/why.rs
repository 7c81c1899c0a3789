//! `why ID`: the causal chain, in plain words.

use protocol::control::{Request, Response};
use serde_json::json;

use super::{Context, last_words};
use crate::errors::CliError;
use crate::exit_code::Code;
use crate::render::out::{self, Format};
use crate::render::task::Screen;
use crate::render::{json, time, why};

/// Options of `why`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A task id or its prefix, a session id, a key, or a name
    id: String,
}

pub(super) fn execute(args: Args, cx: &Context) -> Result<Code, CliError> {
    let client = cx.client()?;
    let answer = client.ask_or_read(&Request::Why { id: args.id })?;
    let Response::Why { task, chain } = answer else {
        return Err(CliError::wrong_answer());
    };
    match cx.format {
        Format::Json => {
            out::json(&json!({ "task": json::value(&task)?, "chain": json::value(&chain)? }))?;
        }
        Format::Text => {
            out::text(&why::why(&task, &chain, time::now(), Screen::stdout()))?;
            if let Some(words) = last_words::of(&client, &task) {
                out::text(&format!("  {words}\n"))?;
            }
        }
    }
    Ok(Code::OK)
}
