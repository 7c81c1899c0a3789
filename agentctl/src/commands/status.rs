//! `status`: the supervisor's health. Without one it is exit code 5, so that
//! it can serve as a check.

use protocol::control::{Request, Response};

use super::Context;
use crate::errors::CliError;
use crate::exit_code::Code;
use crate::render::out::{self, Format};
use crate::render::task::Screen;
use crate::render::{json, service, time};

/// Options of `status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(super) fn execute(_args: &Args, cx: &Context) -> Result<Code, CliError> {
    let answer = cx.client()?.ask(&Request::Status)?;
    tell(answer, cx.format)
}

/// Prints a status.
///
/// # Errors
/// `answer` is another one, or nobody reads.
pub(super) fn tell(answer: Response, format: Format) -> Result<Code, CliError> {
    let Some((view, refusing)) = answer.into_status() else {
        return Err(CliError::wrong_answer());
    };
    let refusing = refusing.as_ref();
    match format {
        Format::Json => out::json(&json::status(&view, refusing)?)?,
        Format::Text => {
            out::text(&service::status(
                &view,
                refusing,
                time::now(),
                Screen::stdout(),
            ))?;
        }
    }
    Ok(Code::OK)
}
