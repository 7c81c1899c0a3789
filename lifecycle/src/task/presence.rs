//! Volatile knowledge of a task.

use alloc::string::String;

use protocol::Timestamp;
use protocol::shim::{ProgressReport, Usage};

/// What is known of a task and need not be durable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Presence {
    /// The shim's link is up.
    pub attached: bool,
    /// This supervisor has seen the shim already: spawned or adopted it.
    pub known: bool,
    /// When the shim was last heard.
    pub last_seen: Option<Timestamp>,
    /// When the agent last printed something.
    pub last_output: Option<Timestamp>,
    /// When the shim last told what the agent prints.
    pub told_at: Option<Timestamp>,
    /// The newest progress text.
    pub progress: Option<(Timestamp, String)>,
    /// The newest figures.
    pub usage: Usage,
}

impl Presence {
    /// Takes note of a volatile report that came at `now`.
    pub fn note_progress(&mut self, report: &ProgressReport, now: Timestamp) {
        self.last_seen = self.last_seen.max(Some(report.at));
        self.note_output(Some(report.at), now);
        self.usage = report.usage;
        if let Some(text) = &report.text {
            self.progress = Some((report.at, text.clone()));
        }
    }

    /// Takes note of the last output that the shim knew of at `now`.
    pub fn note_output(&mut self, last_output: Option<Timestamp>, now: Timestamp) {
        self.last_output = self.last_output.max(last_output);
        self.told_at = self.told_at.max(Some(now));
    }
}
