//! Providers: kinds of agent CLIs, each described by a TOML file.
//!
//! A provider is data. Nothing in the code knows a provider's name, but that of the one
//! which a command without a provider means (`runtime/service.rs`): what a CLI
//! needs to be started, resumed, read and stopped stands in its file. The
//! built-in files are embedded; a user's own file of the same name goes before
//! them. `docs/PROVIDERS.md` is the reference for people; in short:
//!
//! | section | keys |
//! |---|---|
//! | (top) | `name`, `description`, `tested`, `command` |
//! | `[prompt]` | `via` = `stdin`, `argument` or `none`; `args`, `required` |
//! | `[model]` | `args` |
//! | `[session]` | `pattern`, `resume`, `choose`, `new_id` |
//! | `[env]` | `set`, `strip`, `allow`, `require` |
//! | `[login]` | `variables`, `files` |
//! | `[process]` | `stop_signal`, `term_exit`, `leftovers` |
//! | `[limits]` | `idle_timeout`, `start_timeout`, `grace` |
//! | `[counters]` | `cumulative` |
//! | `[output]` | `format`, `promises_result`, `[[output.rule]]`, `[[output.pattern]]` |
//!
//! `command` is the whole argument vector with places in it: a word that is
//! `{argv}` (the caller's command), `{args}` (`--provider-arg`), `{model}`,
//! `{session}` or `{prompt}` is replaced by the words of that section, or by
//! nothing. So a file says where each goes, and the order is never guessed.

mod files;
mod lacks;
mod launch;
mod output;
mod parse;
mod path;
mod registry;
mod surroundings;
#[cfg(test)]
mod tests;

use lifecycle::Policy;
use protocol::shim::{Field, Leftovers, ScanRule, ScanSpec, Take};
use protocol::{ProviderName, SessionId};
use regex_lite::Regex;
use uuid::Builder;

pub use files::ProviderFiles;
pub use launch::{Launch, LaunchError, LaunchInput, LaunchSession};
pub use registry::{LookupError, ProviderProblem, Registry, Source, check};

/// A provider file, read and checked.
#[derive(Clone, Debug)]
pub struct Provider {
    name: ProviderName,
    description: String,
    tested: Option<String>,
    command: Vec<Word>,
    prompt: Prompt,
    model: Vec<Template>,
    session: Option<Session>,
    env: EnvRules,
    login: Option<Login>,
    process: ProcessRules,
    limits: LimitRules,
    cumulative: Cumulative,
    scan: ScanSpec,
}

/// When a provider's output tells what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TellsCost {
    /// While it works.
    Meanwhile,
    /// With its result.
    AtTheEnd,
    /// Not at all.
    Never,
}

/// One word of the command.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Literal(String),
    Place(Place),
}

/// A place in the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Argv,
    Args,
    Model,
    Session,
    Prompt,
}

/// One word of a section's `args`: literal, or with the value in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Template {
    before: String,
    /// What follows the value; none when the word is all literal.
    after: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Prompt {
    via: PromptVia,
    args: Vec<Template>,
    required: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum PromptVia {
    Stdin,
    Argument,
    #[default]
    Nowhere,
}

#[derive(Clone, Debug)]
struct Session {
    pattern: Regex,
    /// As in the file, for messages.
    pattern_text: String,
    resume: Vec<Template>,
    choose: Vec<Template>,
    new_id: NewId,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum NewId {
    #[default]
    UuidV4,
}

#[derive(Clone, Default, PartialEq, Eq)]
struct EnvRules {
    set: Vec<(String, String)>,
    strip: Vec<String>,
    /// Nothing else is inherited, where there is such a list.
    allow: Option<Vec<String>>,
    require: Vec<String>,
}

/// What is set may be a key: values never appear in `Debug`.
impl std::fmt::Debug for EnvRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.set.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("EnvRules")
            .field("set", &names)
            .finish_non_exhaustive()
    }
}

/// Signs of a login, of which one is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Login {
    variables: Vec<String>,
    /// Absolute, or below `~/`.
    files: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ProcessRules {
    stop_signal: i32,
    term_exit: Vec<i32>,
    leftovers: Leftovers,
}

/// Limits of a task, where its dispatch does not say otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LimitRules {
    idle_timeout_ms: Option<u64>,
    start_timeout_ms: Option<u64>,
    grace_ms: Option<u64>,
}

/// Which figures count over the whole conversation, and not from zero in each
/// task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cumulative {
    turns: bool,
    tokens: bool,
    cost: bool,
}

impl Provider {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &ProviderName {
        &self.name
    }

    /// What it is, in words.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The program that it starts; none if that is the caller's choice.
    #[must_use]
    pub fn program(&self) -> Option<&str> {
        match self.command.first() {
            Some(Word::Literal(program)) => Some(program),
            Some(Word::Place(_)) | None => None,
        }
    }

    /// The caller's ARGV is the command (`exec`), not an addition to one.
    #[must_use]
    pub fn takes_command(&self) -> bool {
        self.has(Place::Argv)
    }

    /// It can be told which model to use.
    #[must_use]
    pub fn takes_model(&self) -> bool {
        self.has(Place::Model)
    }

    /// It can be given a prompt.
    #[must_use]
    pub fn takes_prompt(&self) -> bool {
        match self.prompt.via {
            PromptVia::Stdin | PromptVia::Argument => true,
            PromptVia::Nowhere => false,
        }
    }

    /// It can resume a conversation.
    #[must_use]
    pub fn can_resume(&self) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| !session.resume.is_empty())
    }

    /// The id of a new conversation can be chosen for it.
    #[must_use]
    pub fn can_choose_session(&self) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| !session.choose.is_empty())
    }

    /// A new random id of its kind; none if it chooses its ids itself, or if
    /// the kernel has no randomness to give.
    #[must_use]
    pub fn fresh_session_id(&self) -> Option<SessionId> {
        let session = self
            .session
            .as_ref()
            .filter(|session| !session.choose.is_empty())?;
        let mut random = [0; 16];
        getrandom::fill(&mut random).ok()?;
        let id = session.new_id.make(random);
        SessionId::new(id).ok().filter(|id| session.accepts(id))
    }

    /// Does the id look like one of its own? Where it has no sessions, no.
    #[must_use]
    pub fn accepts_session_id(&self, id: &SessionId) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| session.accepts(id))
    }

    /// What its shims look for in the output.
    #[must_use]
    pub const fn scan(&self) -> &ScanSpec {
        &self.scan
    }

    /// When its output tells what it costs.
    #[must_use]
    pub fn tells_cost(&self) -> TellsCost {
        let is_cost = |take: &Take| matches!(take.field, Field::CostUsd | Field::CostUsdAdd);
        let tells = |rule: &&ScanRule| rule.take.iter().any(is_cost);
        let mut meanwhile = self.scan.rules.iter().filter(|rule| !rule.is_result);
        let mut at_the_end = self.scan.rules.iter().filter(|rule| rule.is_result);
        if meanwhile.any(|rule| tells(&rule)) {
            TellsCost::Meanwhile
        } else if at_the_end.any(|rule| tells(&rule)) {
            TellsCost::AtTheEnd
        } else {
            TellsCost::Never
        }
    }

    /// What the verdict has to know of it.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        Policy {
            promises_result: self.scan.promises_result,
            cumulative_turns: self.cumulative.turns,
            cumulative_tokens: self.cumulative.tokens,
            cumulative_cost: self.cumulative.cost,
            knows_lines: self.scan.reads_lines(),
        }
    }

    /// Its own limit for a task's silence.
    #[must_use]
    pub const fn idle_timeout_ms(&self) -> Option<u64> {
        self.limits.idle_timeout_ms
    }

    /// Its own limit for the time until the first session id or output.
    #[must_use]
    pub const fn start_timeout_ms(&self) -> Option<u64> {
        self.limits.start_timeout_ms
    }

    /// Its own time between the first signal and KILL.
    #[must_use]
    pub const fn grace_ms(&self) -> Option<u64> {
        self.limits.grace_ms
    }

    /// The first signal of a stop.
    #[must_use]
    pub const fn stop_signal(&self) -> i32 {
        self.process.stop_signal
    }

    /// Exit codes that may be its way to die by TERM.
    #[must_use]
    pub fn term_exit(&self) -> &[i32] {
        &self.process.term_exit
    }

    /// What to do with processes that outlive their leader.
    #[must_use]
    pub const fn leftovers(&self) -> Leftovers {
        self.process.leftovers
    }

    fn has(&self, place: Place) -> bool {
        self.command.contains(&Word::Place(place))
    }
}

impl Session {
    fn accepts(&self, id: &SessionId) -> bool {
        self.pattern.is_match(id.as_str())
    }
}

impl NewId {
    fn make(self, random: [u8; 16]) -> String {
        match self {
            Self::UuidV4 => Builder::from_random_bytes(random)
                .into_uuid()
                .hyphenated()
                .to_string(),
        }
    }
}

impl Template {
    fn literal(text: &str) -> Self {
        Self {
            before: text.to_owned(),
            after: None,
        }
    }

    /// The word with `value` in it.
    fn fill(&self, value: &str) -> String {
        match &self.after {
            Some(after) => format!("{}{value}{after}", self.before),
            None => self.before.clone(),
        }
    }

    /// Does the value stand at the beginning of the word?
    const fn begins_with_value(&self) -> bool {
        self.before.is_empty() && self.after.is_some()
    }
}
