//! A task has ended: its folder keeps what the ledger says, and no secret that
//! is not needed any more.

use protocol::TaskId;

use crate::folder::{FolderError, Folders};
use crate::ledger::{LedgerError, Reader};

/// A folder could not be settled. Nothing depends on it but `recover`.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The folder could not be written.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// Writes `settled` and wipes the environment from `spec`. Repeated, it writes
/// what is true now.
///
/// # Errors
/// [`SettleError`].
pub fn settle(reader: &Reader<'_>, folders: &Folders, id: &TaskId) -> Result<(), SettleError> {
    // The secrets go first: they matter more than what can be read elsewhere.
    folders.wipe_env(id)?;
    match reader.settled(id)? {
        Some(rows) => folders.settle(id, &rows)?,
        // Retention took it: what the operator said is of its session.
        None => keep_sessions(reader, folders)?,
    }
    // What its end says of the conversation is true under other keys as well.
    for other in reader.in_the_same_session(id)? {
        if !folders.is_settled(&other) {
            continue;
        }
        if let Some(rows) = reader.settled(&other)?
            && !folders.is_settled_as(&other, &rows)
        {
            folders.settle(&other, &rows)?;
        }
    }
    Ok(())
}

/// Writes which sessions have outlived their tasks, and how they stand.
///
/// # Errors
/// [`SettleError`].
pub fn keep_sessions(reader: &Reader<'_>, folders: &Folders) -> Result<(), SettleError> {
    Ok(folders.keep_sessions(reader.sessions_without_task()?)?)
}

/// Tasks that ended lately and whose folders were not settled, or whose folders
/// lack what the operator said since: a supervisor was killed in between.
///
/// # Errors
/// [`LedgerError`], or of a folder.
pub fn unsettled(reader: &Reader<'_>, folders: &Folders) -> Result<Vec<TaskId>, SettleError> {
    let mut ids = reader.ended_lately()?;
    ids.retain(|id| folders.task_dir(id).exists() && !folders.is_settled(id));
    for id in reader.reworded_lately()? {
        let Some(rows) = reader.settled(&id)? else {
            continue;
        };
        if folders.is_settled(&id) && !folders.is_settled_as(&id, &rows) {
            ids.push(id);
        }
    }
    Ok(ids)
}
