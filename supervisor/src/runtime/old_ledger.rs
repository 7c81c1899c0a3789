//! What the ledger before a rebuild says, as far as it can still be read.

use std::collections::HashMap;
use std::path::Path;

use protocol::TaskId;

use crate::ledger;

/// The ledger that is replaced.
pub(super) enum OldLedger {
    /// There is none.
    Missing,
    /// Nothing can be read from it, because of this.
    Unreadable(String),
    /// Its rows: the status of each task.
    Rows(HashMap<String, String>),
}

impl OldLedger {
    pub(super) fn read(path: &Path) -> Self {
        if !path.exists() {
            return Self::Missing;
        }
        match ledger::tasks_in(path) {
            Ok(rows) => Self::Rows(rows.into_iter().collect()),
            Err(why) => Self::Unreadable(why),
        }
    }

    /// Is it known to have a row of this task? Without one nothing is known: it may
    /// be damaged, or an older copy.
    pub(super) fn has_row(&self, id: &TaskId) -> bool {
        match self {
            Self::Rows(rows) => rows.contains_key(id.as_str()),
            Self::Missing | Self::Unreadable(_) => false,
        }
    }

    /// What it said otherwise than what is known `now`: the status of each task.
    pub(super) fn differences(&self, now: &HashMap<&str, &str>) -> Vec<String> {
        let old = match self {
            Self::Missing => return vec!["there is no old ledger to compare with".to_owned()],
            Self::Unreadable(why) => {
                return vec![format!(
                    "the old ledger cannot be read ({why}): nothing was compared"
                )];
            }
            Self::Rows(old) => old,
        };
        let mut changed: Vec<String> = old
            .iter()
            .filter_map(|(id, status)| match now.get(id.as_str()) {
                None => Some(format!(
                    "task {id} ({status}) of the old ledger has no folder: it is gone"
                )),
                Some(now) if now != status => Some(format!(
                    "task {id} was {status} in the old ledger, and is {now}"
                )),
                Some(_) => None,
            })
            .collect();
        changed.sort_unstable();
        let mut added: Vec<&str> = now
            .keys()
            .copied()
            .filter(|id| !old.contains_key(*id))
            .collect();
        added.sort_unstable();
        let added = added
            .into_iter()
            .map(|id| format!("task {id} was not in the old ledger"));
        changed.into_iter().chain(added).collect()
    }
}
