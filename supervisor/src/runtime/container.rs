//! `run --container`: the option on its way to the shim, and what a dead shim
//! left in the container.

use protocol::TaskId;
use protocol::control::{ErrorBody, ErrorCode, RunRequest};
use protocol::shim::SweepRecord;
use sys::container::{Container, Emptied, VARIABLE, join};
use sys::hook::SUP_SIGNAL;

use super::service::Service;
use crate::folder::Folders;

/// The variable is ours: a caller inside a container task has it, too.
pub(super) fn forget(request: &mut RunRequest) {
    let theirs = |env: &mut Vec<(String, String)>| env.retain(|(name, _)| name != VARIABLE);
    theirs(&mut request.client_env);
    theirs(&mut request.env);
}

/// The container travels with the environment, so that it is in `spec` and part
/// of what a repeated id is compared with.
pub(super) fn enter(request: &mut RunRequest, name: &str) -> Result<(), ErrorBody> {
    let refuse = |message: &str| Err(ErrorBody::new(ErrorCode::Usage, message));
    if !is_container_name(name) {
        return refuse("invalid --container: a name or an id is wanted");
    }
    let mut lines = vec![name.to_owned()];
    lines.extend(request.env.iter().map(|(name, _)| name.clone()));
    if lines.iter().skip(1).any(|name| !is_plain(name)) {
        return refuse("with --container the names in --env are letters, digits and _");
    }
    request.env.push((VARIABLE.to_owned(), lines.join("\n")));
    Ok(())
}

/// Ends what is left of a task in its container, if it has one: `sweep` with that
/// in it, and why nothing is proven, if so. Blocks, for half a minute at most.
pub(super) fn swept(
    mut sweep: SweepRecord,
    container: Option<&Container>,
) -> (SweepRecord, Option<String>) {
    let Some(container) = container else {
        return (sweep, None);
    };
    // Behind the container's wall only the marker tells.
    sweep.marker_only = true;
    match container.end(&SUP_SIGNAL) {
        Emptied::Empty => (sweep, None),
        Emptied::Left { why, survivors } => {
            join(&mut sweep.survivors, survivors);
            sweep.empty = false;
            (sweep, why)
        }
    }
}

/// The container of a task, if it was ever in one.
pub(super) fn of(service: &Service, id: &TaskId) -> Option<Container> {
    Container::read(id, &service.folders.task_dir(id))
}

/// Those of all tasks.
pub(super) fn places(folders: &Folders) -> Vec<Container> {
    let tasks = folders.all().unwrap_or_else(|error| {
        tracing::warn!(%error, "containers are not looked into");
        Vec::new()
    });
    let tasks = tasks.iter();
    tasks
        .filter_map(|id| Container::read(id, &folders.task_dir(id)))
        .collect()
}

/// As the engines allow it.
fn is_container_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 255
        && name.chars().all(fits)
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
