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
    let Response::Status(view) = cx.client()?.ask(&Request::Status)? else {
        return Err(CliError::wrong_answer());
    };
    match cx.format {
        Format::Json => out::json(&json::value(&view)?)?,
        Format::Text => out::text(&service::status(&view, time::now(), Screen::stdout()))?,
    }
    Ok(Code::OK)
}
