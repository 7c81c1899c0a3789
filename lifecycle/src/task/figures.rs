//! What a task cost.

use protocol::shim::Usage;

use super::Task;
use crate::spec::SessionPlan;

impl Task {
    /// The figures of this task alone.
    #[must_use]
    pub fn own_usage(&self) -> Usage {
        self.spec
            .policy
            .own_usage(&self.usage, &self.usage_before())
    }

    /// What the conversation had before: nothing in a new one, and what its
    /// row says in a resumed one.
    fn usage_before(&self) -> Usage {
        match &self.spec.session {
            SessionPlan::Resume(row) if self.session.as_ref() == Some(&row.session_id) => {
                row.totals
            }
            SessionPlan::Resume(_)
            | SessionPlan::Chosen(_)
            | SessionPlan::Fresh
            | SessionPlan::Undecided => Usage {
                turns: Some(0),
                input_tokens: Some(0),
                output_tokens: Some(0),
                cost_usd: Some(0.0),
            },
        }
    }
}
