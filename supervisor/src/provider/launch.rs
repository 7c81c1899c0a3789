//! From a provider and a dispatch to an argument vector.

use std::fmt;

use protocol::limits::{MAX_ARG_BYTES, MAX_PROMPT_BYTES};
use protocol::{ProviderName, SessionId};

use super::{Place, PromptVia, Provider, Session, Template, Word};

/// Shown instead of the prompt.
const SHOWN_PROMPT: &str = "<prompt>";

/// Shown instead of an argument of the caller's.
const SHOWN_ARG: &str = "<arg>";

/// What a dispatch says about its command.
#[derive(Clone, Copy)]
pub struct LaunchInput<'a> {
    /// The caller's ARGV: the command of a provider that takes one, further
    /// arguments for others.
    pub argv: &'a [String],
    /// `--provider-arg`.
    pub provider_args: &'a [String],
    /// Only for providers that take one; see [`Provider::takes_model`].
    pub model: Option<&'a str>,
    /// The conversation.
    pub session: LaunchSession<'a>,
    /// The prompt; an empty one counts as none.
    pub prompt: Option<&'a str>,
}

/// Which conversation the command is about.
#[derive(Clone, Copy, Debug)]
pub enum LaunchSession<'a> {
    /// A new one, about which nothing is said.
    None,
    /// A new one with this id.
    Chosen(&'a SessionId),
    /// This one.
    Resume(&'a SessionId),
}

/// How an agent is started.
#[derive(Clone, PartialEq, Eq)]
pub struct Launch {
    /// Its whole argument vector; never empty.
    pub argv: Vec<String>,
    /// The same for people: `<prompt>` and `<arg>` in place of what may be
    /// secret.
    pub shown_argv: Vec<String>,
    /// For its stdin.
    pub stdin: Option<Vec<u8>>,
    /// Variables that the provider adds.
    pub env_add: Vec<(String, String)>,
    /// Variables that it must not inherit; `*` at the end for any rest.
    pub env_strip: Vec<String>,
    /// The only ones that it inherits, besides those that every program needs;
    /// none = all.
    pub env_allow: Option<Vec<String>>,
    /// Variables without which it cannot run.
    pub env_require: Vec<String>,
}

/// Arguments and prompt never appear in `Debug`.
impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch")
            .field("shown_argv", &self.shown_argv)
            .finish_non_exhaustive()
    }
}

/// Why there is no command for a dispatch. All of them are the caller's to
/// mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// No ARGV where it is the command.
    #[error("provider {0} needs a command: put it behind `--`")]
    CommandMissing(ProviderName),
    /// More arguments, and no place for them.
    #[error("provider {0} takes no further arguments: its file has no `{{args}}`")]
    ArgumentsNotTaken(ProviderName),
    /// No prompt where one is needed.
    #[error("provider {0} needs a prompt: give one with --prompt or --prompt-file")]
    PromptMissing(ProviderName),
    /// A prompt, and no way to give it.
    #[error("provider {0} takes no prompt: leave it out")]
    PromptNotTaken(ProviderName),
    /// A prompt that is larger than any may be.
    #[error(
        "the prompt has {bytes} bytes, and {MAX_PROMPT_BYTES} are allowed: put it in a file and name that file in the prompt"
    )]
    PromptTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A model, and no way to name it.
    #[error("provider {0} takes no model: leave out --model")]
    ModelNotTaken(ProviderName),
    /// A session to resume, and no way to.
    #[error("provider {0} cannot resume a session")]
    CannotResume(ProviderName),
    /// A chosen session id, and no way to say it.
    #[error("provider {0} chooses its session ids itself")]
    CannotChooseSession(ProviderName),
    /// A session id that cannot be one of this provider's.
    #[error("`{id}` is not a session id of provider {provider}: it does not match `{pattern}`")]
    NotItsSessionId {
        /// The provider.
        provider: ProviderName,
        /// The id.
        id: SessionId,
        /// The file's pattern.
        pattern: String,
    },
    /// A value that would be read as an option.
    #[error("the {what} begins with `-`, and provider {provider} would read it as an option")]
    LooksLikeOption {
        /// Which value.
        what: &'static str,
        /// The provider.
        provider: ProviderName,
    },
    /// A word that the kernel would refuse.
    #[error("the {what} has {bytes} bytes, and one argument may have {}: put it in a file and name that file instead", MAX_ARG_BYTES - 1)]
    WordTooLong {
        /// Which value.
        what: &'static str,
        /// Its size.
        bytes: usize,
    },
    /// A word that no argument vector can hold.
    #[error("the {0} has a NUL byte in it")]
    NulByte(&'static str),
}

impl Provider {
    /// Builds the command of a dispatch.
    ///
    /// # Errors
    /// [`LaunchError`] says what the caller should change.
    pub fn launch(&self, input: &LaunchInput<'_>) -> Result<Launch, LaunchError> {
        let prompt = input.prompt.filter(|prompt| !prompt.is_empty());
        self.check_prompt(prompt)?;
        let session = self.session_words(input.session)?;
        if input.model.is_some() && !self.takes_model() {
            return Err(LaunchError::ModelNotTaken(self.name.clone()));
        }
        if self.takes_command() && input.argv.is_empty() {
            return Err(LaunchError::CommandMissing(self.name.clone()));
        }
        let further = if self.takes_command() {
            &[]
        } else {
            input.argv
        };
        let has_further = !(input.provider_args.is_empty() && further.is_empty());
        if has_further && !self.has(Place::Args) {
            return Err(LaunchError::ArgumentsNotTaken(self.name.clone()));
        }
        let mut words = Words {
            provider: self,
            argv: Vec::new(),
            shown: Vec::new(),
        };
        for word in &self.command {
            match word {
                Word::Literal(text) => words.add("command", text.clone(), None)?,
                Word::Place(Place::Argv) => words.add_all("command", input.argv, None)?,
                Word::Place(Place::Args) => {
                    words.add_all("provider argument", input.provider_args, Some(SHOWN_ARG))?;
                    words.add_all("argument", further, Some(SHOWN_ARG))?;
                }
                Word::Place(Place::Model) => {
                    words.fill("model", &self.model, input.model, None)?;
                }
                Word::Place(Place::Session) => {
                    let (templates, id) = session;
                    words.fill("session id", templates, id.map(SessionId::as_str), None)?;
                }
                Word::Place(Place::Prompt) => {
                    words.fill("prompt", &self.prompt.args, prompt, Some(SHOWN_PROMPT))?;
                }
            }
        }
        let stdin = match self.prompt.via {
            PromptVia::Stdin => prompt.map(|prompt| prompt.as_bytes().to_vec()),
            PromptVia::Argument | PromptVia::Nowhere => None,
        };
        Ok(Launch {
            argv: words.argv,
            shown_argv: words.shown,
            stdin,
            env_add: self.env.set.clone(),
            env_strip: self.env.strip.clone(),
            env_allow: self.env.allow.clone(),
            env_require: self.env.require.clone(),
        })
    }

    fn check_prompt(&self, prompt: Option<&str>) -> Result<(), LaunchError> {
        match (prompt, self.prompt.via) {
            (None, _) if self.prompt.required => Err(LaunchError::PromptMissing(self.name.clone())),
            (Some(_), PromptVia::Nowhere) => Err(LaunchError::PromptNotTaken(self.name.clone())),
            (Some(prompt), PromptVia::Stdin | PromptVia::Argument)
                if prompt.len() > MAX_PROMPT_BYTES =>
            {
                Err(LaunchError::PromptTooLarge {
                    bytes: prompt.len(),
                })
            }
            (Some(_), PromptVia::Stdin | PromptVia::Argument) | (None, _) => Ok(()),
        }
    }

    /// The words about the session, and the id for them.
    fn session_words<'a>(
        &'a self,
        session: LaunchSession<'a>,
    ) -> Result<(&'a [Template], Option<&'a SessionId>), LaunchError> {
        match (session, &self.session) {
            (LaunchSession::None, _) => Ok((&[], None)),
            (LaunchSession::Chosen(id), Some(rules)) if !rules.choose.is_empty() => {
                self.check_session_id(rules, id)?;
                Ok((&rules.choose, Some(id)))
            }
            (LaunchSession::Resume(id), Some(rules)) if !rules.resume.is_empty() => {
                self.check_session_id(rules, id)?;
                Ok((&rules.resume, Some(id)))
            }
            (LaunchSession::Chosen(_), _) => {
                Err(LaunchError::CannotChooseSession(self.name.clone()))
            }
            (LaunchSession::Resume(_), _) => Err(LaunchError::CannotResume(self.name.clone())),
        }
    }

    fn check_session_id(&self, rules: &Session, id: &SessionId) -> Result<(), LaunchError> {
        if rules.accepts(id) {
            return Ok(());
        }
        Err(LaunchError::NotItsSessionId {
            provider: self.name.clone(),
            id: id.clone(),
            pattern: rules.pattern_text.clone(),
        })
    }
}

/// The two vectors as they grow.
struct Words<'a> {
    provider: &'a Provider,
    argv: Vec<String>,
    shown: Vec<String>,
}

impl Words<'_> {
    /// Adds the section's words, if there is a value for them.
    fn fill(
        &mut self,
        what: &'static str,
        templates: &[Template],
        value: Option<&str>,
        shown: Option<&str>,
    ) -> Result<(), LaunchError> {
        let Some(value) = value else { return Ok(()) };
        for template in templates {
            let option_like = value.starts_with('-') && template.begins_with_value();
            if option_like && self.argv.last().is_none_or(|last| last != "--") {
                let provider = self.provider.name.clone();
                return Err(LaunchError::LooksLikeOption { what, provider });
            }
            let shown = shown.map(|shown| template.fill(shown));
            self.add(what, template.fill(value), shown)?;
        }
        Ok(())
    }

    fn add_all(
        &mut self,
        what: &'static str,
        words: &[String],
        shown: Option<&str>,
    ) -> Result<(), LaunchError> {
        words
            .iter()
            .try_for_each(|word| self.add(what, word.clone(), shown.map(str::to_owned)))
    }

    fn add(
        &mut self,
        what: &'static str,
        word: String,
        shown: Option<String>,
    ) -> Result<(), LaunchError> {
        if word.contains('\0') {
            return Err(LaunchError::NulByte(what));
        }
        // The kernel counts the NUL at the end.
        if word.len() >= MAX_ARG_BYTES {
            return Err(LaunchError::WordTooLong {
                what,
                bytes: word.len(),
            });
        }
        self.shown.push(shown.unwrap_or_else(|| word.clone()));
        self.argv.push(word);
        Ok(())
    }
}
