//! What a task cost.

use protocol::shim::Usage;

use super::Task;
use crate::spec::SessionPlan;

impl Task {
    /// The figures of this task alone.
    #[must_use]
    pub fn own_usage(&self) -> Usage {
        self.own_usage_of(&self.usage)
    }

    fn own_usage_of(&self, printed: &Usage) -> Usage {
        self.spec.policy.own_usage(printed, &self.usage_before())
    }

    /// Has it cost more than it may, by what its provider has printed?
    #[must_use]
    pub fn is_over_budget(&self, printed: &Usage) -> bool {
        const MICROS: f64 = 1e6;
        let cost = self.own_usage_of(printed).cost_usd;
        match (self.spec.limits.max_cost_micros, cost) {
            (Some(most), Some(cost)) => cost * MICROS > most as f64,
            (Some(_), None) | (None, _) => false,
        }
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
