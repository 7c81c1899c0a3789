//! `archive ID · unarchive ID · rename ID NAME`: how a task is kept.

use protocol::control::{KeepAct, KeepRequest, Request, Response};
use protocol::view::TaskView;
use serde_json::json;

use super::{Context, naming};
use crate::client::{Start, Trouble, persist};
use crate::errors::CliError;
use crate::exit_code::Code;
use crate::render::json;
use crate::render::out::{self, Format};
use crate::values;

/// Options of `archive` and `unarchive`.
#[derive(Debug, clap::Args)]
pub(crate) struct Named {
    /// A task id or its prefix, a session id, a key, or a name
    id: String,
}

/// Options of `rename`.
#[derive(Debug, clap::Args)]
pub(crate) struct Rename {
    /// A task id or its prefix, a session id, a key, or a name
    id: String,
    /// The new name
    name: String,
    /// Refuse if the task has changed since it had this version
    #[arg(long, value_name = "N", value_parser = values::whole_number::<u64>)]
    if_version: Option<u64>,
}

pub(super) fn archive(args: Named, cx: &Context) -> Result<Code, CliError> {
    let (task, changed) = keep(args.id, KeepAct::Archive, cx)?;
    let words = if changed {
        "archived"
    } else {
        "archived already"
    };
    match cx.format {
        Format::Json => {
            let mut object = json::value(&task)?;
            object["already_archived"] = json!(!changed);
            out::json(&object)?;
            Ok(Code::OK)
        }
        Format::Text => show(&task, words, cx.format),
    }
}

pub(super) fn unarchive(args: Named, cx: &Context) -> Result<Code, CliError> {
    let (task, changed) = keep(args.id, KeepAct::Unarchive, cx)?;
    let words = if changed {
        "unarchived"
    } else {
        "not archived"
    };
    show(&task, words, cx.format)
}

pub(super) fn rename(args: Rename, cx: &Context) -> Result<Code, CliError> {
    let act = KeepAct::Rename {
        name: args.name,
        if_version: args.if_version,
    };
    let (task, _changed) = keep(args.id, act, cx)?;
    show(&task, "renamed", cx.format)
}

/// A lost answer is asked for again: archive and unarchive are the same twice,
/// and so is a name. With a version the second answer may be a refusal, which
/// tells the version that the first made.
fn keep(name: String, act: KeepAct, cx: &Context) -> Result<(TaskView, bool), CliError> {
    let client = cx.client()?;
    let id = naming::pin_one(&client, &name)?;
    let hint = format!("agentctl show {id}");
    let request = Request::Keep(KeepRequest { id, act });
    persist(Start::MustBeThere, &hint, || {
        let answer = client.try_ask(&request)?;
        let Response::Kept { task, changed } = answer else {
            return Err(Trouble::Fatal(CliError::wrong_answer()));
        };
        Ok((*task, changed))
    })
}

fn show(task: &TaskView, words: &str, format: Format) -> Result<Code, CliError> {
    match format {
        Format::Json => out::json(&json::value(task)?)?,
        Format::Text => out::text(&format!("{} {words}\n", task.id))?,
    }
    Ok(Code::OK)
}
