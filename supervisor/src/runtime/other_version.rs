//! Shims of a version that this supervisor does not speak (after a step back to an
//! older program, mostly): held by claim, descriptor and journal, and never ended
//! for what they are.
//!
//! Such a shim comes again every few seconds, and each time its journal is read: it
//! tells how the agent ended as far as this program understands it.

use lifecycle::{Fact, Input};
use protocol::TaskId;
use protocol::hello::{MAX_VERSION, MIN_VERSION};
use sys::journal::JournalError;

use super::core_loop::Core;
use super::live::{Live, ShimEnd};
use super::shims::Replayed;
use crate::shim::OtherVersion;

impl Core {
    /// A process of ours was told that there is no common version.
    pub(super) fn hold_other_version(&mut self, other: OtherVersion) {
        // Watched by descriptor: the number is still that process's.
        let is_it = |live: &Live| {
            live.shim_pid == Some(other.peer_pid) && live.shim_end == ShimEnd::Watched
        };
        let mut lives = self.tasks.iter_mut();
        let Some((id, live)) = lives.find(|(_, live)| is_it(live)) else {
            tracing::debug!(
                pid = other.peer_pid,
                "a shim of another version and of no task"
            );
            return;
        };
        let first = live.speaks.replace(other.speaks) != Some(other.speaks);
        let id = id.clone();
        let unreadable = self.unreadable_journal(&id);
        if first {
            self.tell_of_other_version(&id, other, unreadable);
        }
        if unreadable.is_none() {
            match self.read_journal(&id) {
                // What is not readable for now is read when the shim comes again.
                Replayed::All | Replayed::NotNow => {}
            }
        }
    }

    /// The version of the task's journal, if this program does not know it.
    fn unreadable_journal(&self, id: &TaskId) -> Option<u16> {
        match sys::journal::read_from(&self.service.folders.journal(id), u64::MAX) {
            Err(JournalError::Version { version, .. }) => Some(version),
            Err(_) | Ok(_) => None,
        }
    }

    fn tell_of_other_version(&mut self, id: &TaskId, other: OtherVersion, unreadable: Option<u16>) {
        let (min, max) = other.speaks;
        let journal = match unreadable {
            Some(version) => format!(
                "its journal has the unknown version {version}, so that nothing but the kernel can \
                 tell here how the agent ends"
            ),
            None => "what it sees is read from its journal".to_string(),
        };
        let detail = format!(
            "the shim speaks protocol versions {min} to {max}, this supervisor {MIN_VERSION} to \
             {MAX_VERSION}: the task goes on and is held (detached), {journal}; a newer \
             supervisor adopts it"
        );
        tracing::warn!(task = %id, shim = other.peer_pid, detail, "a shim of another version is held");
        self.step(id, Input::Fact(Fact::ShimHeld { detail }));
    }
}
