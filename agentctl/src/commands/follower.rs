//! Who goes on in a fresh session for a task whose own was not found.

use protocol::ArchiveReason;
use protocol::control::{ListFilter, Request, Response};
use protocol::view::TaskView;

use crate::client::Client;
use crate::render::out;

/// The task that goes on in a fresh session for one whose own was not found.
pub(super) fn of(client: &Client, ended: &TaskView) -> Option<Box<TaskView>> {
    if ended.archive_reason != Some(ArchiveReason::SessionNotFound) {
        return None;
    }
    let of_key = ListFilter {
        all: true,
        key: Some(ended.key.to_string()),
        ..ListFilter::default()
    };
    let Ok(Response::Tasks(tasks)) = client.ask_or_read(&Request::List(of_key)) else {
        return None;
    };
    let follows = |task: &TaskView| task.links.fresh_after.as_ref() == Some(&ended.id);
    tasks.into_iter().find(follows).map(Box::new)
}

/// Says who goes on, to whoever knows the first task alone.
pub(super) fn tell(client: &Client, ended: &TaskView) {
    let Some(next) = of(client, ended) else {
        return;
    };
    let words = match next.status.is_terminal() {
        true => format!(
            "went on in a fresh session, and has ended ({})",
            next.status
        ),
        false => format!(
            "goes on in a fresh session; `agentctl wait {0}` waits for it, `agentctl \
             stop-session {0}` stops it",
            next.id
        ),
    };
    out::say(&format!(
        "agentctl: the session of task {} was not found; task {} {words}",
        ended.id, next.id
    ));
}

/// The same, by its id.
pub(super) fn tell_of(client: &Client, id: &str) {
    let request = Request::Show { id: id.to_owned() };
    // A stop is answered, whatever cannot be said beside it.
    if let Ok(Response::Detail(detail)) = client.ask_or_read(&request) {
        tell(client, &detail.task);
    }
}
