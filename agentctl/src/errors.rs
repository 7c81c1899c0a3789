//! What can go wrong, with which exit code, and how it is told.

use std::io;

use protocol::control::{ErrorBody, ErrorCode};
use protocol::json;
use thiserror::Error;

use crate::exit_code::Code;
use crate::render::text::clean;

/// Why a command could not do its work.
#[derive(Debug, Error)]
pub(crate) enum CliError {
    /// The command line makes no sense, or is for a later version.
    #[error("{message}")]
    Usage {
        /// What and where.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// No supervisor answers.
    #[error("{message}")]
    Unreachable {
        /// What was tried.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A socket is there, and it is not ours to use.
    #[error("{message}")]
    NotPermitted {
        /// Which one.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The supervisor refused or failed.
    #[error("{}", .0.message)]
    Refused(ErrorBody),
    /// It refused because of the state that a task is in.
    #[error("{}", .refusal.message)]
    Conflict {
        /// Its words.
        refusal: ErrorBody,
        /// What the task has now.
        version: u64,
    },
    /// The other side is not, or no longer, one that we understand.
    #[error("the supervisor cannot be understood")]
    Misunderstood(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A file or a descriptor.
    #[error("cannot {what}")]
    Io {
        /// The operation and the thing.
        what: String,
        /// The cause.
        source: io::Error,
    },
    /// Whoever read our output has gone: nothing more to say.
    #[error("stdout was closed")]
    StdoutClosed,
}

impl CliError {
    /// A usage error without a hint.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage {
            message: message.into(),
            hint: None,
        }
    }

    /// An IO error: `what` completes «cannot …».
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            what: what.into(),
            source,
        }
    }

    /// An answer of the wrong kind.
    pub(crate) fn wrong_answer() -> Self {
        Self::Misunderstood("it gave an answer of the wrong kind".into())
    }

    /// The exit code.
    pub(crate) const fn code(&self) -> Code {
        match self {
            Self::Usage { .. } => Code::USAGE,
            Self::Unreachable { .. } => Code::UNREACHABLE,
            Self::NotPermitted { .. } => Code::NOT_PERMITTED,
            Self::Refused(body) | Self::Conflict { refusal: body, .. } => Code::of_error(body.code),
            Self::Misunderstood(_) | Self::Io { .. } => Code::UNEXPECTED,
            Self::StdoutClosed => Code::OK,
        }
    }

    /// The word of the JSON error object.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Usage { .. } => ErrorCode::Usage.as_str(),
            Self::Unreachable { .. } => "unreachable",
            Self::NotPermitted { .. } => ErrorCode::NotPermitted.as_str(),
            Self::Refused(body) | Self::Conflict { refusal: body, .. } => body.code.as_str(),
            Self::Misunderstood(_) => "protocol",
            Self::Io { .. } | Self::StdoutClosed => ErrorCode::Internal.as_str(),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Self::Usage { hint, .. }
            | Self::Unreachable { hint, .. }
            | Self::NotPermitted { hint, .. } => hint.as_deref(),
            Self::Refused(body) | Self::Conflict { refusal: body, .. } => body.hint.as_deref(),
            Self::Misunderstood(_) | Self::Io { .. } | Self::StdoutClosed => None,
        }
    }

    /// What went wrong, with all its causes.
    pub(crate) fn message(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    /// For people, on stderr: one line, and one more for the hint.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("agentctl: {}\n", clean(&self.message()));
        if let Some(hint) = self.hint() {
            text.push_str(&format!("  hint: {}\n", clean(hint)));
        }
        text
    }

    /// For programs, on stderr: `{"error":{"code","message","hint"}}`, and the
    /// `version` that the task has now where that was in the way. With what there was
    /// to say before, where there was something.
    pub(crate) fn json(&self, notes: &[String]) -> String {
        let mut line = json::error(self.word(), &self.message(), self.hint());
        if let Self::Conflict { version, .. } = self {
            line["error"]["version"] = (*version).into();
        }
        if !notes.is_empty() {
            line["error"]["notes"] = notes.into();
        }
        format!("{line}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_in_both_forms() {
        let body = ErrorBody::new(ErrorCode::KeyBusy, "key \u{1b}[31mk is busy").with_hint("wait");
        let error = CliError::Refused(body);
        assert_eq!(error.text(), "agentctl: key k is busy\n  hint: wait\n");
        assert_eq!(
            error.json(&[]),
            "{\"error\":{\"code\":\"key_busy\",\"message\":\"key \\u001b[31mk is busy\",\"hint\":\"wait\"}}\n"
        );
        assert_eq!(error.code(), Code(4));
        let stale = CliError::Conflict {
            refusal: ErrorBody::new(ErrorCode::Conflict, "it has version 3"),
            version: 3,
        };
        assert_eq!(
            stale.json(&["before".to_owned()]),
            "{\"error\":{\"code\":\"conflict\",\"message\":\"it has version 3\",\"hint\":null,\"version\":3,\"notes\":[\"before\"]}}\n"
        );
    }

    #[test]
    fn causes_stand_behind_the_operation() {
        let error = CliError::io("read p.txt", io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(
            error.text(),
            "agentctl: cannot read p.txt: entity not found\n"
        );
        assert_eq!(error.code(), Code::UNEXPECTED);
        assert_eq!(error.word(), "internal");
    }
}
