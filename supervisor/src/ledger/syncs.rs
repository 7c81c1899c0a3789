//! How often the ledger waited for the disk: disks differ, counts do not.
//!
//! Counted where SQLite syncs by its own rules: once per commit, twice per
//! checkpoint (log, file), and once more for the first commit after one (the
//! log's new header). In builds with the feature `hooks`,
//! `AGENT_SUPERVISOR_SYNC_DELAY_MS` makes each of them take so much longer, and
//! `AGENT_SUPERVISOR_SYNC_COUNT_FILE` gets one line for each.

use std::sync::atomic::{AtomicU64, Ordering};

static SYNCS: AtomicU64 = AtomicU64::new(0);

/// What the disk was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// A commit.
    Commit,
    /// The log's pages on their way into the file.
    Checkpoint,
    /// The first write to a log that begins again.
    FreshLog,
}

impl Waited {
    const fn syncs(self) -> u64 {
        match self {
            Self::Commit => 1,
            Self::Checkpoint | Self::FreshLog => 2,
        }
    }
}

/// Syncs since the process started.
#[must_use]
pub fn count() -> u64 {
    SYNCS.load(Ordering::Relaxed)
}

/// Counts, and waits where a benchmark wants it.
pub(super) fn note(waited: Waited) {
    SYNCS.fetch_add(waited.syncs(), Ordering::Relaxed);
    #[cfg(feature = "hooks")]
    injected::apply(waited);
}

#[cfg(feature = "hooks")]
mod injected {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::sync::OnceLock;
    use std::time::Duration;

    use super::Waited;

    struct Wanted {
        delay_ms: u64,
        file: Option<String>,
    }

    static WANTED: OnceLock<Wanted> = OnceLock::new();

    pub(super) fn apply(waited: Waited) {
        let wanted = WANTED.get_or_init(|| Wanted {
            delay_ms: std::env::var("AGENT_SUPERVISOR_SYNC_DELAY_MS")
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or(0),
            file: std::env::var("AGENT_SUPERVISOR_SYNC_COUNT_FILE").ok(),
        });
        if wanted.delay_ms > 0 {
            std::thread::sleep(Duration::from_millis(wanted.delay_ms * waited.syncs()));
        }
        if let Some(path) = &wanted.file {
            let line = format!("{waited:?}\n").repeat(usize::try_from(waited.syncs()).unwrap_or(1));
            let written = OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .and_then(|mut file| file.write_all(line.as_bytes()));
            if let Err(error) = written {
                tracing::warn!(path, %error, "the count of syncs cannot be written");
            }
        }
    }
}
