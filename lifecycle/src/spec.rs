//! What was asked for, as far as the core and the ledger need it. The rest
//! (environment, prompt, real arguments) never leaves the task folder.

use alloc::string::String;

use protocol::control::OnNotFound;
use protocol::shim::Usage;
use protocol::view::Links;
use protocol::{Key, ProviderName, SessionId, TaskId};
use serde::{Deserialize, Serialize};

use crate::session::SessionRow;

/// One dispatch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Its id.
    pub id: TaskId,
    /// Its conversation.
    pub key: Key,
    /// The kind of agent.
    pub provider: ProviderName,
    /// The caller's word for the agent.
    pub agent: Option<String>,
    /// The caller's word for the kind of work.
    pub agent_type: Option<String>,
    /// The model asked for.
    pub model: Option<String>,
    /// The repository.
    pub repo: Option<String>,
    /// The issue.
    pub issue_number: Option<i64>,
    /// On whose behalf.
    pub user: Option<String>,
    /// A name for people.
    pub name: Option<String>,
    /// Which conversation it takes part in.
    pub session: SessionPlan,
    /// What follows when its provider does not know that one.
    #[serde(default)]
    pub on_not_found: OnNotFound,
    /// Its limits.
    pub limits: Limits,
    /// What the verdict has to know of its provider.
    pub policy: Policy,
    /// Other tasks it is related to.
    pub links: Links,
    /// Who its agent runs as, where that is not the supervisor's own user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<RunAs>,
}

/// Another user of the machine, as its accounts named it at the dispatch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAs {
    /// Its name.
    pub user: String,
    /// Its number: by it what a dead shim left is known (R8).
    pub uid: u32,
}

/// Which conversation a task takes part in, decided before its spawn, and not
/// before its turn has come. The other spellings are those of older ledgers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionPlan {
    /// A new one; the provider will tell its id, if it has any.
    #[serde(alias = "Fresh")]
    Fresh,
    /// A new one with this id.
    #[serde(alias = "Chosen")]
    Chosen(SessionId),
    /// This one, whose row was so.
    #[serde(alias = "Resume")]
    Resume(SessionRow),
    /// It waits in the queue: what counts is how the tasks before it end (R6).
    #[serde(alias = "Undecided")]
    Undecided,
}

impl SessionPlan {
    /// The id that is known before the spawn.
    #[must_use]
    pub const fn known_id(&self) -> Option<&SessionId> {
        match self {
            Self::Fresh | Self::Undecided => None,
            Self::Chosen(id) => Some(id),
            Self::Resume(row) => Some(&row.session_id),
        }
    }

    /// The id that is resumed.
    #[must_use]
    pub const fn resumed(&self) -> Option<&SessionId> {
        match self {
            Self::Fresh | Self::Chosen(_) | Self::Undecided => None,
            Self::Resume(row) => Some(&row.session_id),
        }
    }
}

/// A task's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Its whole run.
    pub timeout_ms: Option<u64>,
    /// Silence.
    pub idle_timeout_ms: Option<u64>,
    /// Until the first session id or output.
    pub start_timeout_ms: Option<u64>,
    /// Between TERM and KILL.
    pub grace_ms: u64,
    /// Memory of all its processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Cost, in millionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_micros: Option<u64>,
}

/// What the verdict has to know of a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Exit 0 without a result is a failure.
    pub promises_result: bool,
    /// Its turns count over the whole conversation.
    pub cumulative_turns: bool,
    /// Its tokens count over the whole conversation.
    pub cumulative_tokens: bool,
    /// Its cost counts over the whole conversation.
    pub cumulative_cost: bool,
    /// It has rules for its output, so that a line which none of them knows is no
    /// sign of an agent at work.
    #[serde(default)]
    pub knows_lines: bool,
}

impl Policy {
    /// The figures of one task alone: what the provider printed, less what the
    /// conversation had before where it counts over the whole of it. Not known
    /// where that is not known.
    ///
    /// A counter that says less than before began again with this task (the
    /// provider lost its count, or the conversation was cut short): all it says
    /// is the task's own. Both kinds of tokens are one counter.
    #[must_use]
    pub fn own_usage(&self, printed: &Usage, before: &Usage) -> Usage {
        let anew = Some(0);
        let turns = if !self.cumulative_turns || is_less(printed.turns, before.turns) {
            anew
        } else {
            before.turns
        };
        let tokens_began_again = is_less(printed.input_tokens, before.input_tokens)
            || is_less(printed.output_tokens, before.output_tokens);
        let (input, output) = if !self.cumulative_tokens || tokens_began_again {
            (anew, anew)
        } else {
            (before.input_tokens, before.output_tokens)
        };
        let cost = if !self.cumulative_cost || is_less(printed.cost_usd, before.cost_usd) {
            Some(0.0)
        } else {
            before.cost_usd
        };
        let above = |printed: Option<u64>, before: Option<u64>| printed?.checked_sub(before?);
        Usage {
            turns: above(printed.turns, turns),
            input_tokens: above(printed.input_tokens, input),
            output_tokens: above(printed.output_tokens, output),
            cost_usd: printed
                .cost_usd
                .zip(cost)
                .map(|(printed, before)| printed - before),
        }
    }
}

/// Both are known, and it is.
fn is_less<T: PartialOrd>(printed: Option<T>, before: Option<T>) -> bool {
    printed
        .zip(before)
        .is_some_and(|(printed, before)| printed < before)
}
