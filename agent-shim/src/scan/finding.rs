//! What a scan establishes, each thing once and in bounded number.

use protocol::shim::{ProviderError, Usage};
use protocol::vocab::Stream;

use super::capture::{Extent, text_of};

/// Different session ids that are reported: one run of an agent has one or
/// two, a flood of them is noise.
pub const MAX_SESSIONS: u32 = 16;
/// Changes of the model that are reported.
pub const MAX_MODELS: u32 = 64;
/// Results that are reported at once. The last one counts: of those beyond, the
/// newest is reported at the end.
pub const MAX_RESULTS: u32 = 64;
/// Reports of each kind of error: a retry loop prints the same one for hours.
pub const MAX_ERRORS_PER_KIND: u32 = 4;
/// Most of an error's text that is kept, in bytes.
pub const MAX_ERROR_TEXT: usize = 1 << 10;

/// One fact about the agent, from its own output.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// A session id that differs from the one before.
    Session {
        /// As printed.
        id: String,
        /// Where.
        stream: Stream,
    },
    /// There were more session ids than are reported.
    TooManySessions,
    /// A model that differs from the one before.
    Model(String),
    /// The provider's own final result.
    Result {
        /// Its own judgement.
        success: bool,
        /// Its final text.
        text: Option<String>,
        /// The text was cut.
        truncated: bool,
        /// The figures up to here.
        usage: Usage,
    },
    /// A line that a rule knows, the first sign of the agent, and nothing else was
    /// found in it.
    KnownLine,
    /// The provider failed in a known way.
    Error {
        /// Which way.
        error: ProviderError,
        /// In its words.
        detail: String,
    },
}

/// Collects findings and drops what is said twice or too often.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<Finding>,
    last_session: Option<String>,
    sessions: u32,
    last_model: Option<String>,
    models: u32,
    results: u32,
    newest_result: Option<Finding>,
    errors: [u32; 3],
    /// Something tells of an agent at work.
    life_told: bool,
}

impl Findings {
    /// Everything since the last call, in order.
    pub(super) fn take(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.found)
    }

    /// A session id, most often the one that every line has.
    #[inline]
    pub(super) fn session_bytes(&mut self, id: &[u8], stream: Stream) {
        if self
            .last_session
            .as_ref()
            .is_none_or(|last| last.as_bytes() != id)
        {
            self.session(text_of(id, Extent::Whole), stream);
        }
    }

    /// A model, most often the one that many lines have.
    #[inline]
    pub(super) fn model_bytes(&mut self, model: &[u8]) {
        if self
            .last_model
            .as_ref()
            .is_none_or(|last| last.as_bytes() != model)
        {
            self.model(text_of(model, Extent::Whole));
        }
    }

    /// A line fits a rule: told once, and only where nothing else tells the same.
    pub(super) fn known_line(&mut self) {
        if std::mem::replace(&mut self.life_told, true) {
            return;
        }
        let told = self.found.iter().any(|finding| match finding {
            Finding::Session { .. }
            | Finding::Model(_)
            | Finding::Result { .. }
            | Finding::KnownLine => true,
            Finding::TooManySessions | Finding::Error { .. } => false,
        });
        if !told && self.sessions == 0 {
            self.found.push(Finding::KnownLine);
        }
    }

    pub(super) fn session(&mut self, id: String, stream: Stream) {
        let impossible = id.is_empty() || id.len() > protocol::limits::MAX_SESSION_ID;
        if impossible || self.last_session.as_ref() == Some(&id) || self.sessions > MAX_SESSIONS {
            return;
        }
        self.sessions += 1;
        if self.sessions > MAX_SESSIONS {
            return self.found.push(Finding::TooManySessions);
        }
        self.last_session = Some(id.clone());
        self.found.push(Finding::Session { id, stream });
    }

    /// A session id that counts only while none is known.
    pub(super) fn first_session(&mut self, id: String, stream: Stream) {
        if self.last_session.is_none() {
            self.session(id, stream);
        }
    }

    pub(super) fn model(&mut self, model: String) {
        let seen = model.is_empty() || self.last_model.as_ref() == Some(&model);
        if seen || self.models >= MAX_MODELS {
            return;
        }
        self.models += 1;
        self.last_model = Some(model.clone());
        self.found.push(Finding::Model(model));
    }

    pub(super) fn result(&mut self, result: Finding) {
        if self.results < MAX_RESULTS {
            self.results += 1;
            self.found.push(result);
        } else {
            self.newest_result = Some(result);
        }
    }

    /// What was held back comes before anything is decided.
    pub(super) fn end(&mut self) {
        self.found.extend(self.newest_result.take());
    }

    pub(super) fn error(&mut self, error: ProviderError, detail: String) {
        let kind = match error {
            ProviderError::SessionNotFound => 0,
            ProviderError::Transient => 1,
            ProviderError::MissingSkill => 2,
        };
        if self.errors[kind] < MAX_ERRORS_PER_KIND {
            self.errors[kind] += 1;
            self.found.push(Finding::Error { error, detail });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_of_results_the_last_one_is_not_lost() {
        let mut findings = Findings::default();
        let result = |success| Finding::Result {
            success,
            text: None,
            truncated: false,
            usage: Usage::default(),
        };
        for _ in 0..100 {
            findings.result(result(true));
        }
        findings.result(result(false));
        assert_eq!(findings.take().len(), 64);
        findings.end();
        assert_eq!(findings.take(), [result(false)]);
        findings.end();
        assert_eq!(findings.take(), []);
    }

    #[test]
    fn repetitions_and_floods_are_dropped() {
        let mut findings = Findings::default();
        for id in ["a", "a", "b", "a", "", &"x".repeat(257)] {
            findings.session(id.to_owned(), Stream::Stdout);
        }
        assert_eq!(findings.take().len(), 3);
        for number in 0..100 {
            findings.session(number.to_string(), Stream::Stdout);
            findings.model(number.to_string());
            findings.error(ProviderError::Transient, String::new());
        }
        let found = findings.take();
        let alarms = found
            .iter()
            .filter(|one| **one == Finding::TooManySessions)
            .count();
        assert_eq!(alarms, 1);
        assert_eq!(found.len(), 13 + 1 + 64 + 4);
    }
}
