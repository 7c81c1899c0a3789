//! What lives of lost tasks ([`super::lost`]). The ledger has no nonce of them: theirs
//! is what descends from the very shim that the claim names, and nothing else.

use protocol::TaskId;
use protocol::shim::ProcessId;

use super::lost;
use crate::folder::Folders;
use crate::process::lost_shim::{self, Tree};
use crate::process::orphans::Marked;
use crate::text::{command_name, in_words};

/// A lost task whose shim lives.
pub(super) struct LostAlive {
    pub(super) task: TaskId,
    /// As its claim or its journal names it.
    pub(super) shim: ProcessId,
    /// The shim and what is below it.
    pub(super) tree: Tree,
}

/// Those of which the shim lives; and, in words, what may be of one and is proven by
/// nothing.
pub(super) fn look(folders: &Folders, marked: &[Marked]) -> (Vec<LostAlive>, Vec<String>) {
    let lost = match folders.lost() {
        Ok(lost) => lost,
        Err(error) => {
            return (
                Vec::new(),
                vec![format!("lost tasks: {}", in_words(&error))],
            );
        }
    };
    let (mut alive, mut untold) = (Vec::new(), Vec::new());
    for task in lost {
        match shim_and_tree(folders, &task) {
            Ok(Some((shim, tree))) => alive.push(LostAlive { task, shim, tree }),
            Ok(None) => untold.extend(nameless(&task, marked)),
            Err(why) => untold.push(format!("lost task {task}: {why}")),
        }
    }
    (alive, untold)
}

/// # Errors
/// In words; its shim may live.
fn shim_and_tree(folders: &Folders, task: &TaskId) -> Result<Option<(ProcessId, Tree)>, String> {
    let Some(shim) = lost::shim_of(folders, task)? else {
        return Ok(None);
    };
    let pid = shim.pid;
    let unknown = |why: String| format!("its shim was process {pid}, and {why}");
    if !lost::lives(&shim).map_err(unknown)? {
        return Ok(None);
    }
    let tree = lost_shim::look(task, &shim)
        .map_err(|error| unknown(format!("what is below it cannot be looked at ({error})")))?;
    Ok(tree.map(|tree| (shim, tree)))
}

/// Its shim is dead. A caller may choose an id that another supervisor knows as well:
/// the name of a marker alone proves nothing.
fn nameless(task: &TaskId, marked: &[Marked]) -> Vec<String> {
    let of_task = marked.iter().filter(|found| found.task == *task);
    let lines = of_task.map(|found| {
        let (pid, comm) = (found.pid, command_name(&found.comm));
        format!(
            "lost task {task}: process {pid} ({comm}) carries the name of its marker, and with \
             its shim dead nothing proves that it is its own; `kill {pid}` if it is"
        )
    });
    lines.collect()
}
