//! The rules of a scan, applied to one line at a time.
//!
//! The keys of a JSON object come in any order, so that the values of a line
//! are collected first, tested on the way, and the rules decide at its end.

use protocol::shim::{Field, ScanSpec, Test, Usage};
use protocol::vocab::Stream;

use super::capture::{Extent, cut};
use super::figures::count;
use super::finding::{Finding, Findings, MAX_ERROR_TEXT};
use super::json::{Sink, Value};
use super::paths::{Paths, SlotId, wanted_by_field, wanted_by_test};
use super::slot::{Kept, Slot, Text, passes};

/// The rules and what they know so far.
#[derive(Debug)]
pub(super) struct Rules {
    rules: Vec<Rule>,
    conditions: Vec<Condition>,
    slots: Vec<Slot>,
    pub(super) findings: Findings,
    totals: Usage,
    /// The newest text that a result may fall back to; empty for none.
    spare_text: Text,
    /// The newest words on what went wrong, for a failure that has none of its own;
    /// empty for none.
    spare_error: Text,
    /// The newest progress; empty for none.
    progress: Text,
    /// The rules that hold for the current line.
    matched: Vec<usize>,
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
            text: Text::default(),
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
            spare_text: Text::default(),
            spare_error: Text::default(),
            progress: Text::default(),
            matched: Vec::new(),
        }
    }

    /// The figures so far.
    pub(super) const fn usage(&self) -> Usage {
        self.totals
    }

    /// The newest progress text since the last call.
    pub(super) fn take_progress(&mut self) -> Option<String> {
        self.progress.take().map(|(text, _)| one_line(&text))
    }

    fn holds(&self, conditions: &[usize]) -> bool {
        conditions.iter().all(|index| {
            let condition = &self.conditions[*index];
            match condition.test {
                Test::Absent => !self.slots[condition.slot].seen,
                Test::Equals(_) | Test::Contains(_) | Test::Present | Test::AtLeast(_) => {
                    condition.passed
                }
            }
        })
    }

    fn apply(&mut self) {
        let mut matched = std::mem::take(&mut self.matched);
        matched.clear();
        matched.extend((0..self.rules.len()).filter(|at| self.holds(&self.rules[*at].when)));
        // An error line may echo a session id that does not exist.
        let is_error = matched.iter().any(|at| self.rules[*at].error.is_some());
        let session = if is_error {
            TakeSession::No
        } else {
            TakeSession::Yes
        };
        let error_text = self.error_text_of(&matched);
        for at in &matched {
            self.apply_rule(*at, session, error_text);
        }
        if !matched.is_empty() {
            self.findings.known_line();
        }
        self.matched = matched;
    }

    /// The words of the failure, whichever of the line's rules takes them.
    fn error_text_of(&self, matched: &[usize]) -> Option<SlotId> {
        let taken = matched.iter().flat_map(|at| &self.rules[*at].take);
        let mut errors = taken.filter(|(_, field)| *field == Field::ErrorText);
        let has_text = |slot: &SlotId| {
            let text = self.slots[*slot].text();
            text.is_some_and(|text| !text.bytes.is_empty())
        };
        errors.find_map(|(slot, _)| Some(*slot).filter(has_text))
    }

    fn apply_rule(&mut self, at: usize, session: TakeSession, of_line: Option<SlotId>) {
        let rule = &self.rules[at];
        let (mut result_text, mut error_text) = (None, None);
        for (slot, field) in &rule.take {
            let slot_at = *slot;
            let slot = &self.slots[slot_at];
            if *field == Field::ResultTextRestart && slot.seen {
                self.spare_text.clear();
                continue;
            }
            let Some(text) = slot.text() else {
                count(&mut self.totals, *field, slot);
                continue;
            };
            match field {
                Field::SessionId => {
                    if let TakeSession::Yes = session {
                        self.findings.session_bytes(&text.bytes, Stream::Stdout);
                    }
                }
                Field::Model => self.findings.model_bytes(&text.bytes),
                Field::Progress => self.progress.set(text),
                Field::ResultText => result_text = Some(slot_at),
                Field::ResultTextAdd => self.spare_text.append(&text.bytes, text.extent),
                Field::ResultTextRestart => {}
                Field::ErrorText if text.bytes.is_empty() => {}
                Field::ErrorText => error_text = Some(slot_at),
                Field::Turns
                | Field::InputTokens
                | Field::InputTokensAdd
                | Field::OutputTokens
                | Field::OutputTokensAdd
                | Field::CostUsd
                | Field::CostUsdAdd => count(&mut self.totals, *field, slot),
            }
        }
        if let Some(error) = rule.error {
            let detail = error_text
                .or(of_line)
                .or(result_text)
                .map(|at| self.slots[at].text.to_text());
            let detail = detail.unwrap_or_default();
            self.findings
                .error(error, cut(&detail, MAX_ERROR_TEXT).to_owned());
        }
        let success = rule
            .result
            .as_ref()
            .map(|conditions| self.holds(conditions));
        if let (None, Some(at)) = (success, error_text) {
            self.spare_error.set(&self.slots[at].text);
        }
        match (success, result_text) {
            // What it said before does not tell why it failed.
            (Some(false), text) => {
                let own = text.filter(|at| !self.slots[*at].text.bytes.is_empty());
                self.end_with(false, own.or(error_text).or(of_line));
            }
            (Some(success), text) => self.end_with(success, text),
            (None, Some(text)) => self.spare_text.set(&self.slots[text].text),
            (None, None) => {}
        }
    }

    fn end_with(&mut self, success: bool, slot: Option<SlotId>) {
        let (said, wrong) = (self.spare_text.take(), self.spare_error.take());
        let spare = if success { said } else { wrong.or(said) };
        let own = slot
            .map(|slot| &self.slots[slot].text)
            .filter(|text| !text.bytes.is_empty());
        let text = own.map(|text| (text.to_text(), text.extent)).or(spare);
        let was_cut = text
            .as_ref()
            .is_some_and(|(_, extent)| *extent == Extent::Cut);
        let text = text.map(|(text, _)| text);
        // What is no UTF-8 takes more bytes as text than it had.
        let most = protocol::limits::MAX_RESULT_TEXT;
        let truncated = was_cut || text.as_ref().is_some_and(|text| text.len() > most);
        let text = text.map(|mut text| {
            text.truncate(cut(&text, most).len());
            text
        });
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
                slot.text.clear();
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
