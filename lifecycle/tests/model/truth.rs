//! What the supervisor concluded, against what happened.

use protocol::vocab::IntentOutcome;
use protocol::{ArchiveReason, Exit};

use super::world::{Fate, Said, World, exit_of};

impl World {
    /// Does the ending tell what happened?
    pub(super) fn truth(&self) -> Result<(), String> {
        let Some(ending) = &self.run.task.ending else {
            return Ok(());
        };
        let fate = self.fate.ok_or("it ended, and nothing had ended it")?;
        let first = self.run.task.intents.first();
        let reason = match fate {
            Fate::Intent => first.map(|intent| ArchiveReason::from(intent.reason)),
            Fate::Itself => Some(ArchiveReason::Completed),
            Fate::ShimSignalled | Fate::Outside => Some(ArchiveReason::ExternalSignal),
            Fate::ShimDied => Some(ArchiveReason::ShimLost),
            Fate::NotStarted | Fate::NeverClaimed => Some(ArchiveReason::SpawnFailed),
        };
        if reason != Some(ending.reason) {
            return Err(format!("{fate:?} is called {}", ending.reason));
        }
        let outcome = first.and_then(|first| {
            let outcomes = ending.intents.iter();
            outcomes.clone().find(|(id, _)| *id == first.id)
        });
        let expected = match fate {
            Fate::Intent => IntentOutcome::Effective,
            Fate::NotStarted | Fate::NeverClaimed => IntentOutcome::Moot,
            Fate::Itself | Fate::ShimSignalled | Fate::Outside | Fate::ShimDied => {
                IntentOutcome::Superseded
            }
        };
        if outcome.is_some_and(|(_, outcome)| *outcome != expected) {
            return Err(format!("{fate:?}, and the first intent is {outcome:?}"));
        }
        let seen = self.journal.iter().find_map(|said| {
            if let Said::Exited(agent) = said {
                Some(exit_of(*agent))
            } else {
                None
            }
        });
        match (&ending.exit, seen) {
            (Some(told), Some(seen)) if *told == seen => Ok(()),
            (Some(Exit::Unknown { .. }) | None, None) => Ok(()),
            (told, seen) => Err(format!("the exit {seen:?} is told as {told:?}")),
        }
    }
}
