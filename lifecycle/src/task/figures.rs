//! What a task cost.

use protocol::shim::Usage;

use super::Task;
use crate::spec::SessionPlan;

/// Newer figures replace older ones; what was not printed again stays.
pub(super) fn merged(known: Usage, newer: &Usage) -> Usage {
    Usage {
        turns: newer.turns.or(known.turns),
        input_tokens: newer.input_tokens.or(known.input_tokens),
        output_tokens: newer.output_tokens.or(known.output_tokens),
        cost_usd: newer.cost_usd.or(known.cost_usd),
    }
}

impl Task {
    /// The figures of this task alone.
    #[must_use]
    pub fn own_usage(&self) -> Usage {
        self.own_usage_of(&self.usage)
    }

    /// The same, of figures that may be newer than the durable ones.
    #[must_use]
    pub fn own_usage_of(&self, printed: &Usage) -> Usage {
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

    /// The figures of the whole conversation, as they were printed last: by this
    /// task, or else by the one before it.
    pub(super) fn totals(&self) -> Usage {
        merged(self.resumed_totals().unwrap_or_default(), &self.usage)
    }

    /// What the conversation had before: nothing in a new one, and what its
    /// row says in a resumed one.
    fn usage_before(&self) -> Usage {
        self.resumed_totals().unwrap_or(Usage {
            turns: Some(0),
            input_tokens: Some(0),
            output_tokens: Some(0),
            cost_usd: Some(0.0),
        })
    }

    /// What the row of the session says, if the task goes on with one.
    fn resumed_totals(&self) -> Option<Usage> {
        match &self.spec.session {
            SessionPlan::Resume(row) if self.session.as_ref() == Some(&row.session_id) => {
                Some(row.totals)
            }
            SessionPlan::Resume(_)
            | SessionPlan::Chosen(_)
            | SessionPlan::Fresh
            | SessionPlan::Undecided => None,
        }
    }
}
