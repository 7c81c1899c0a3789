//! `--trial`: the supervisor of `agentctl providers check --try` lives no longer
//! than that command, however it ends.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::thread;

use protocol::places::TRIAL_PREFIX;
use tokio::sync::mpsc;

use super::input::CoreInput;

/// Tells the loop to leave when the other end of stdin is closed: by a kernel that
/// cleans up after a killed process, too.
pub(super) fn leave_with_stdin(inputs: mpsc::Sender<CoreInput>) {
    // Not one of the runtime's threads: nothing waits for this one at the end.
    thread::spawn(move || {
        let ended = io::copy(&mut io::stdin().lock(), &mut io::sink());
        tracing::info!(?ended, "whoever tried a provider file is gone");
        // Closed only when the supervisor leaves.
        drop(inputs.blocking_send(CoreInput::Leave));
    });
}

/// Removes the folder of the trial, in which everything of this supervisor is.
pub(super) fn remove_folder(state_dir: &Path) {
    let folder = state_dir.parent().filter(|folder| is_of_a_trial(folder));
    if let Some(folder) = folder
        && let Err(error) = fs::remove_dir_all(folder)
        && error.kind() != ErrorKind::NotFound
    {
        // The log was in it.
        eprintln!(
            "agent-supervisor: cannot remove {}: {error}",
            folder.display()
        );
    }
}

fn is_of_a_trial(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(TRIAL_PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_other_folder_is_removed() {
        assert!(is_of_a_trial(Path::new("/tmp/agentctl-try-1")));
        for other in ["/", "/tmp", "/home/me/.local", "/tmp/agentctl-try-1/x"] {
            assert!(!is_of_a_trial(Path::new(other)), "{other}");
        }
    }
}
