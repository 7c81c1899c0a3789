//! A word that is an ended task's id and a live task's key: a key is its first task's
//! id where none was named, and `retry` keeps it.
//!
//! The id counts: who repeats a stop or a wait by an id must never meet another task.
//! But whoever meant the key is told.

use protocol::TaskId;
use protocol::control::{ListFilter, Request, Response};
use protocol::view::TaskView;

use crate::client::Client;
use crate::render::out;
use crate::render::text::clean;

/// Says which live tasks have the id of an ended one as their key or name; `verb` is
/// what would do to them what was asked for.
pub(super) fn tell(client: &Client, ended: &TaskId, verb: &str) {
    // What was asked for is answered, whatever cannot be said beside it.
    let Ok(Response::Tasks(live)) = client.ask(&Request::List(ListFilter::default())) else {
        return;
    };
    for task in live {
        if let Some(words) = words(ended, &task, verb) {
            out::say(&words);
        }
    }
}

fn words(ended: &TaskId, live: &TaskView, verb: &str) -> Option<String> {
    let ended = ended.as_str();
    if live.id.as_str() == ended {
        return None;
    }
    let what = if live.key.as_str() == ended {
        "key"
    } else if live.name.as_deref() == Some(ended) {
        "name"
    } else {
        return None;
    };
    Some(format!(
        "agentctl: task {ended} has ended, but {ended} is the {what} of task {0} as well, which is \
         {1}: `agentctl {verb} {0}`",
        live.id,
        clean(live.status.as_str())
    ))
}
