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

/// A counter that says nothing yet takes nothing away: some CLIs print zeros where the
/// conversation was not found, or the model never answered.
fn counted_on(before: Usage, printed: Usage) -> Usage {
    Usage {
        turns: on(before.turns, printed.turns),
        input_tokens: on(before.input_tokens, printed.input_tokens),
        output_tokens: on(before.output_tokens, printed.output_tokens),
        cost_usd: on(before.cost_usd, printed.cost_usd),
    }
}

fn on<T: Default + PartialOrd>(before: Option<T>, printed: Option<T>) -> Option<T> {
    let says_something = printed.as_ref().is_some_and(|it| *it > T::default());
    if says_something {
        printed
    } else {
        before.or(printed)
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
        counted_on(self.totals_before().unwrap_or_default(), self.usage)
    }

    /// What the conversation had before: nothing in a new one, and what the ledger
    /// said in one that goes on.
    fn usage_before(&self) -> Usage {
        self.totals_before().unwrap_or(Usage {
            turns: Some(0),
            input_tokens: Some(0),
            output_tokens: Some(0),
            cost_usd: Some(0.0),
        })
    }

    /// What was known of the conversation, if the task goes on with one: as it was
    /// asked to, or of its own accord.
    fn totals_before(&self) -> Option<Usage> {
        let joined = self.joined.as_ref();
        if let Some(joined) = joined.filter(|it| self.session.as_ref() == Some(&it.session_id)) {
            return Some(joined.totals);
        }
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
