//! The rules of a scan, applied to one line at a time.
//!
//! The keys of a JSON object come in any order, so that the values of a line
//! are collected first, tested on the way, and the rules decide at its end.

use protocol::shim::{Field, Scalar, ScanSpec, Test, Usage};
use protocol::vocab::Stream;

use super::capture::{cut, text_of};
use super::finding::{Finding, Findings, MAX_ERROR_TEXT};
use super::json::{Sink, Value};
use super::paths::{Keep, Paths, SlotId, wanted_by_field, wanted_by_test};

/// The rules and what they know so far.
#[derive(Debug)]
pub(super) struct Rules {
    rules: Vec<Rule>,
    conditions: Vec<Condition>,
    slots: Vec<Slot>,
    pub(super) findings: Findings,
    totals: Usage,
    /// The newest text that a result may fall back to.
    spare_text: Option<Text>,
    progress: Option<String>,
}

#[derive(Debug)]
struct Rule {
    when: Vec<usize>,
    take: Vec<(SlotId, Field)>,
    result: Option<Vec<usize>>,
    error: Option<protocol::shim::ProviderError>,
}

#[derive(Debug)]
struct Condition {
    slot: SlotId,
    test: Test,
    /// A value of this line passed the test.
    passed: bool,
}

/// The values of one path in the current line.
#[derive(Debug)]
struct Slot {
    keep: Keep,
    conditions: Vec<usize>,
    kept: Kept,
    seen: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Kept {
    Nothing,
    Number(String),
    Text(Text),
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Text {
    text: String,
    truncated: bool,
}

impl Rules {
    /// `paths` is the trie of the same spec.
    pub(super) fn new(spec: &ScanSpec, paths: &mut Paths) -> Self {
        let mut conditions = Vec::new();
        let mut compile =
            |paths: &mut Paths, list: &[protocol::shim::Condition]| -> Option<Vec<usize>> {
                list.iter()
                    .map(|condition| {
                        let slot = paths.slot(&condition.path, wanted_by_test(&condition.test))?;
                        conditions.push(Condition {
                            slot,
                            test: condition.test.clone(),
                            passed: false,
                        });
                        Some(conditions.len() - 1)
                    })
                    .collect()
            };
        let mut rules = Vec::new();
        for rule in &spec.rules {
            let when = compile(paths, &rule.when);
            let success = compile(paths, &rule.success_when);
            let take = rule.take.iter().map(|take| {
                Some((
                    paths.slot(&take.path, wanted_by_field(take.field))?,
                    take.field,
                ))
            });
            let take: Option<Vec<_>> = take.collect();
            // A rule whose paths found no room in the trie cannot be applied.
            let (Some(when), Some(success), Some(take)) = (when, success, take) else {
                continue;
            };
            let result = rule.is_result.then_some(success);
            rules.push(Rule {
                when,
                take,
                result,
                error: rule.error,
            });
        }
        let slots = paths.wanted().iter().map(|wanted| Slot {
            keep: wanted.keep,
            conditions: Vec::new(),
            kept: Kept::Nothing,
            seen: false,
        });
        let mut slots: Vec<Slot> = slots.collect();
        for (index, condition) in conditions.iter().enumerate() {
            slots[condition.slot].conditions.push(index);
        }
        Self {
            rules,
            conditions,
            slots,
            findings: Findings::default(),
            totals: Usage::default(),
            spare_text: None,
            progress: None,
        }
    }

    /// The figures so far.
    pub(super) const fn usage(&self) -> Usage {
        self.totals
    }

    /// The newest progress text since the last call.
    pub(super) fn take_progress(&mut self) -> Option<String> {
        self.progress.take()
    }

    fn holds(&self, conditions: &[usize]) -> bool {
        conditions.iter().all(|index| {
            let condition = &self.conditions[*index];
            match condition.test {
                Test::Absent => !self.slots[condition.slot].seen,
                Test::Equals(_) | Test::Contains(_) | Test::Present => condition.passed,
            }
        })
    }

    fn apply(&mut self) {
        let mut matched = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            if self.holds(&rule.when) {
                matched.push(index);
            }
        }
        // An error line may echo a session id that does not exist.
        let is_error = matched
            .iter()
            .any(|index| self.rules[*index].error.is_some());
        let session = if is_error {
            TakeSession::No
        } else {
            TakeSession::Yes
        };
        for index in matched {
            self.apply_rule(index, session);
        }
    }

    fn apply_rule(&mut self, index: usize, session: TakeSession) {
        let mut result_text = None;
        let mut error_text = None;
        for at in 0..self.rules[index].take.len() {
            let (slot, field) = self.rules[index].take[at];
            let kept = &self.slots[slot].kept;
            match field {
                Field::SessionId => {
                    if let (TakeSession::Yes, Some(text)) = (session, kept.text()) {
                        self.findings.session(text.text.clone(), Stream::Stdout);
                    }
                }
                Field::Model => {
                    if let Some(text) = kept.text() {
                        self.findings.model(text.text.clone());
                    }
                }
                Field::Progress => {
                    if let Some(text) = kept.text() {
                        self.progress = Some(one_line(&text.text));
                    }
                }
                Field::ResultText => result_text = kept.text().cloned(),
                Field::ErrorText => error_text = kept.text().cloned(),
                Field::Turns
                | Field::InputTokens
                | Field::InputTokensAdd
                | Field::OutputTokens
                | Field::OutputTokensAdd
                | Field::CostUsd
                | Field::CostUsdAdd => count(&mut self.totals, field, kept),
            }
        }
        let error = self.rules[index].error;
        if let Some(error) = error {
            let detail = error_text
                .or_else(|| result_text.clone())
                .unwrap_or_default();
            self.findings
                .error(error, cut(&detail.text, MAX_ERROR_TEXT).to_owned());
        }
        let success = self.rules[index]
            .result
            .as_ref()
            .map(|conditions| self.holds(conditions));
        match success {
            Some(success) => self.end_with(success, result_text),
            None if result_text.is_some() => self.spare_text = result_text,
            None => {}
        }
    }

    fn end_with(&mut self, success: bool, text: Option<Text>) {
        let spare = self.spare_text.take();
        let text = text.filter(|text| !text.text.is_empty()).or(spare);
        let truncated = text.as_ref().is_some_and(|text| text.truncated);
        let text = text.map(|text| text.text);
        self.findings.result(Finding::Result {
            success,
            text,
            truncated,
            usage: self.totals,
        });
    }

    fn clear(&mut self) {
        for slot in &mut self.slots {
            if slot.seen {
                slot.seen = false;
                slot.kept = Kept::Nothing;
                for index in &slot.conditions {
                    self.conditions[*index].passed = false;
                }
            }
        }
    }
}

/// Whether a line's session id is believed.
#[derive(Clone, Copy)]
enum TakeSession {
    Yes,
    No,
}

impl Sink for Rules {
    fn scalar(&mut self, slot: SlotId, value: Value<'_>) {
        let Some(slot) = self.slots.get_mut(slot) else {
            return;
        };
        slot.seen = true;
        for index in &slot.conditions {
            let condition = &mut self.conditions[*index];
            condition.passed = condition.passed || passes(&condition.test, value);
        }
        slot.keep(value);
    }

    fn line(&mut self) {
        self.apply();
        self.clear();
    }

    fn discard(&mut self) {
        self.clear();
    }
}

impl Slot {
    fn keep(&mut self, value: Value<'_>) {
        if self.keep == Keep::Nothing {
            return;
        }
        let new = match value {
            Value::Null | Value::Bool(_) => return,
            Value::Number(bytes) => Kept::Number(String::from_utf8_lossy(bytes).into_owned()),
            Value::Text { bytes, truncated } => Kept::Text(Text {
                text: text_of(bytes, truncated),
                truncated,
            }),
        };
        match (self.keep, &mut self.kept, new) {
            (Keep::Joined, Kept::Text(so_far), Kept::Text(more)) => so_far.append(&more),
            (_, kept, new) => *kept = new,
        }
    }
}

impl Kept {
    fn text(&self) -> Option<&Text> {
        match self {
            Self::Text(text) => Some(text),
            Self::Nothing | Self::Number(_) => None,
        }
    }

    /// The figure, whether it was printed as a number or as a text.
    fn figure(&self) -> Option<&str> {
        match self {
            Self::Nothing => None,
            Self::Number(text) => Some(text),
            Self::Text(text) => Some(&text.text),
        }
    }
}

impl Text {
    /// Joins another element's text, on a line of its own.
    fn append(&mut self, more: &Self) {
        const CAP: usize = protocol::limits::MAX_RESULT_TEXT;
        if !self.text.is_empty() && self.text.len() < CAP {
            self.text.push('\n');
        }
        let fitting = cut(&more.text, CAP - self.text.len());
        self.text.push_str(fitting);
        self.truncated = self.truncated || more.truncated || fitting.len() < more.text.len();
    }
}

fn passes(test: &Test, value: Value<'_>) -> bool {
    match test {
        Test::Present => true,
        // Decided by the line's end.
        Test::Absent => false,
        Test::Contains(part) => match value {
            Value::Text { bytes, .. } => memchr::memmem::find(bytes, part.as_bytes()).is_some(),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        },
        Test::Equals(wanted) => match (wanted, value) {
            (Scalar::Null, Value::Null) => true,
            (Scalar::Bool(wanted), Value::Bool(value)) => *wanted == value,
            (Scalar::Number(wanted), Value::Number(bytes)) => {
                std::str::from_utf8(bytes).is_ok_and(|text| text.parse() == Ok(*wanted))
            }
            (Scalar::Text(wanted), Value::Text { bytes, truncated }) => {
                !truncated && wanted.as_bytes() == bytes
            }
            (Scalar::Null | Scalar::Bool(_) | Scalar::Number(_) | Scalar::Text(_), _) => false,
        },
    }
}

fn count(totals: &mut Usage, field: Field, kept: &Kept) {
    let Some(figure) = kept.figure() else { return };
    match field {
        Field::Turns => set(&mut totals.turns, whole(figure)),
        Field::InputTokens => set(&mut totals.input_tokens, whole(figure)),
        Field::OutputTokens => set(&mut totals.output_tokens, whole(figure)),
        Field::InputTokensAdd => add(&mut totals.input_tokens, whole(figure)),
        Field::OutputTokensAdd => add(&mut totals.output_tokens, whole(figure)),
        Field::CostUsd => set(&mut totals.cost_usd, amount(figure)),
        Field::CostUsdAdd => {
            let sum = amount(figure).map(|more| totals.cost_usd.unwrap_or(0.0) + more);
            set(&mut totals.cost_usd, sum.filter(|sum| sum.is_finite()));
        }
        Field::SessionId
        | Field::Model
        | Field::Progress
        | Field::ResultText
        | Field::ErrorText => {}
    }
}

fn set<T>(total: &mut Option<T>, figure: Option<T>) {
    if figure.is_some() {
        *total = figure;
    }
}

fn add(total: &mut Option<u64>, figure: Option<u64>) {
    set(
        total,
        figure.map(|more| total.unwrap_or(0).saturating_add(more)),
    );
}

/// A count; `12.0` and `1.2e1` are counts, `-1`, `0.5` and words are not.
fn whole(figure: &str) -> Option<u64> {
    /// Beyond this a float has no units any more.
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    figure.parse().ok().or_else(|| {
        let number = amount(figure)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in range and whole"
        )]
        (number.fract() == 0.0 && number <= LARGEST).then_some(number as u64)
    })
}

fn amount(figure: &str) -> Option<f64> {
    figure
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite() && *number >= 0.0)
}

/// Progress is one line for people: no control characters, and short.
fn one_line(text: &str) -> String {
    let plain = |character: char| {
        if character.is_control() {
            ' '
        } else {
            character
        }
    };
    cut(text, protocol::limits::MAX_PROGRESS_TEXT)
        .trim()
        .chars()
        .map(plain)
        .collect()
}
