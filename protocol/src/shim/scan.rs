//! What a shim looks for in an agent's output: a provider file, compiled.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::record::ProviderError;
use crate::vocab::Stream;

/// The whole of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScanSpec {
    /// How stdout is to be read.
    pub format: ScanFormat,
    /// Applied to each line of stdout that is a JSON object. All that match
    /// take effect, in order.
    pub rules: Vec<ScanRule>,
    /// Looked for in the raw lines of a stream.
    pub patterns: Vec<LinePattern>,
    /// The provider promises a result; an exit without one is a failure.
    pub promises_result: bool,
}

impl ScanSpec {
    /// There are rules, and lines that they are for.
    #[must_use]
    pub const fn reads_lines(&self) -> bool {
        match self.format {
            ScanFormat::JsonLines => !self.rules.is_empty(),
            ScanFormat::Opaque => false,
        }
    }

    /// Something in it finds session ids.
    #[must_use]
    pub fn tells_session(&self) -> bool {
        let in_rule = |rule: &ScanRule| {
            let mut taken = rule.take.iter();
            taken.any(|take| take.field == Field::SessionId)
        };
        let in_line = |pattern: &LinePattern| match pattern.meaning {
            PatternMeaning::SessionIdFollows | PatternMeaning::FirstSessionIdFollows => true,
            PatternMeaning::Error(_) => false,
        };
        let in_rules = self.reads_lines() && self.rules.iter().any(in_rule);
        in_rules || self.patterns.iter().any(in_line)
    }
}

/// How stdout is to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScanFormat {
    /// Bytes without a meaning.
    #[default]
    Opaque,
    /// One JSON value per line.
    JsonLines,
}

/// If all conditions hold for a line, take these fields from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScanRule {
    /// All must hold; none = every line.
    pub when: Vec<Condition>,
    /// What to take.
    pub take: Vec<Take>,
    /// The line is the provider's final result; its success is that of
    /// `success_when`.
    pub is_result: bool,
    /// All must hold for a success. Only for a result.
    pub success_when: Vec<Condition>,
    /// The line means this error.
    pub error: Option<ProviderError>,
}

/// A test on one value of a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// Keys from the top, e.g. `["message","role"]`; `[]` as a key means any
    /// element of an array (`["errors","[]"]`).
    pub path: Vec<String>,
    /// The test. It fails if there is no such value.
    pub test: Test,
}

/// A test on a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Test {
    /// Equal to this scalar.
    Equals(Scalar),
    /// A string with this in it.
    Contains(String),
    /// Any scalar at all.
    Present,
    /// No scalar at all.
    Absent,
    /// A number, and no smaller than this.
    AtLeast(f64),
}

/// A JSON scalar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Scalar {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Any number.
    Number(f64),
    /// A string, unescaped.
    Text(String),
}

/// Take the value at `path` as `field`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Take {
    /// As in [`Condition`]; with `[]` the last element's value counts, but
    /// texts of [`Field::ResultText`] and [`Field::Progress`] are joined.
    pub path: Vec<String>,
    /// What it is.
    pub field: Field,
}

/// The things that a shim reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Field {
    /// The provider's id of the conversation.
    SessionId,
    /// The model in use.
    Model,
    /// Turns so far.
    Turns,
    /// Input tokens so far.
    InputTokens,
    /// Input tokens to add to those so far.
    InputTokensAdd,
    /// Output tokens so far.
    OutputTokens,
    /// Output tokens to add to those so far.
    OutputTokensAdd,
    /// US dollars so far.
    CostUsd,
    /// US dollars to add to those so far.
    CostUsdAdd,
    /// What the agent is doing, for people.
    Progress,
    /// The final text. Outside of a result rule: the newest is kept and used
    /// when the result itself carries none.
    ResultText,
    /// What went wrong, for people.
    ErrorText,
    /// A piece of the final text: put behind the text that is kept, without
    /// anything between them.
    ResultTextAdd,
    /// Where there is such a value, the kept text is over, and the next piece
    /// begins a new one.
    ResultTextRestart,
}

/// A text in a raw line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinePattern {
    /// In which stream.
    pub stream: Stream,
    /// The line has this in it (ASCII control sequences ignored).
    pub contains: String,
    /// What it means.
    pub meaning: PatternMeaning,
}

/// What a raw line means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PatternMeaning {
    /// The provider failed in this way.
    Error(ProviderError),
    /// The session id follows the text, up to a space or the line's end.
    SessionIdFollows,
    /// As before, but only while no session id is known: later ones are those
    /// of others, e.g. of agents that this one starts.
    FirstSessionIdFollows,
}
