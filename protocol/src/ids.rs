//! Identifiers, checked where they enter.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::limits;

/// Why an identifier was refused. The text completes «invalid … : ».
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadId {
    /// Nothing at all.
    Empty,
    /// Longer than the limit, in bytes.
    TooLong(usize),
    /// A character outside of the allowed set.
    Character(char),
    /// It begins with `-` and would be read as an option.
    LeadingDash,
}

impl fmt::Display for BadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::TooLong(max) => write!(f, "it is longer than {max} bytes"),
            Self::Character(c) => write!(f, "the character {c:?} is not allowed"),
            Self::LeadingDash => f.write_str("it begins with `-`"),
        }
    }
}

impl core::error::Error for BadId {}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub struct $name(String);

        impl $name {
            /// Checks `text` and takes it over.
            ///
            /// # Errors
            /// [`BadId`] says what is wrong with it.
            pub fn new(text: impl Into<String>) -> Result<Self, BadId> {
                let text = text.into();
                let check: fn(&str) -> Result<(), BadId> = $check;
                check(&text)?;
                Ok(Self(text))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl core::str::FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::new(text.to_owned())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// One dispatch: `[A-Za-z0-9_-]{1,64}`, not beginning with `-`. A UUIDv7
    /// unless the caller chose it. It names a folder, so it is never a path.
    TaskId,
    |text| {
        bounded(text, limits::MAX_TASK_ID)?;
        match text.chars().find(|c| !(c.is_ascii_alphanumeric() || *c == '_' || *c == '-')) {
            Some(c) => Err(BadId::Character(c)),
            None => Ok(()),
        }
    }
);

id!(
    /// The conversation that a task belongs to, e.g.
    /// `forgejo:dev:charles/claude-hooks:1104`. No control characters.
    Key,
    |text| printable(text, limits::MAX_KEY)
);

id!(
    /// A provider's id of a resumable conversation. Printable, without spaces,
    /// and never beginning with `-`, so that it can be an argument of its own.
    SessionId,
    |text| {
        bounded(text, limits::MAX_SESSION_ID)?;
        match text.chars().find(|c| c.is_control() || c.is_whitespace()) {
            Some(c) => Err(BadId::Character(c)),
            None => Ok(()),
        }
    }
);

id!(
    /// A provider file's name: `[a-z0-9_-]{1,64}`.
    ProviderName,
    |text| {
        bounded(text, limits::MAX_TASK_ID)?;
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        match text.chars().find(|c| !allowed(*c)) {
            Some(c) => Err(BadId::Character(c)),
            None => Ok(()),
        }
    }
);

impl From<&TaskId> for Key {
    /// A task without a key is a conversation of its own, named by its id.
    fn from(id: &TaskId) -> Self {
        Self(id.0.clone())
    }
}

fn bounded(text: &str, max: usize) -> Result<(), BadId> {
    if text.is_empty() {
        Err(BadId::Empty)
    } else if text.len() > max {
        Err(BadId::TooLong(max))
    } else if text.starts_with('-') {
        Err(BadId::LeadingDash)
    } else {
        Ok(())
    }
}

fn printable(text: &str, max: usize) -> Result<(), BadId> {
    bounded(text, max)?;
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(BadId::Character(c)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_its_own_words() {
        assert_eq!(TaskId::new(""), Err(BadId::Empty));
        assert_eq!(TaskId::new("a/b"), Err(BadId::Character('/')));
        assert_eq!(TaskId::new(".."), Err(BadId::Character('.')));
        assert_eq!(TaskId::new("-rf"), Err(BadId::LeadingDash));
        assert_eq!(TaskId::new("x".repeat(65)), Err(BadId::TooLong(64)));
        assert_eq!(SessionId::new("a b"), Err(BadId::Character(' ')));
        assert_eq!(SessionId::new("--resume"), Err(BadId::LeadingDash));
        assert_eq!(Key::new("a\u{1b}[31m"), Err(BadId::Character('\u{1b}')));
        assert!(Key::new("forgejo:dev:charles/claude-hooks:1104").is_ok());
        assert_eq!(ProviderName::new("Claude"), Err(BadId::Character('C')));
    }
}
