//! Writing to stdout: data, in whole pieces.

use std::io::{self, Write};

use crate::errors::CliError;

/// Text for people, or JSON for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Writes bytes to stdout at once.
///
/// # Errors
/// [`CliError::StdoutClosed`] when nobody reads any more.
pub(crate) fn bytes(data: &[u8]) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(data).and_then(|()| stdout.flush());
    written.map_err(|error| {
        if error.kind() == io::ErrorKind::BrokenPipe {
            CliError::StdoutClosed
        } else {
            CliError::io("write to stdout", error)
        }
    })
}

/// Writes text to stdout at once.
///
/// # Errors
/// [`CliError::StdoutClosed`] when nobody reads any more.
pub(crate) fn text(data: &str) -> Result<(), CliError> {
    bytes(data.as_bytes())
}

/// Writes one line of JSON.
///
/// # Errors
/// [`CliError::StdoutClosed`] when nobody reads any more.
pub(crate) fn json(value: &serde_json::Value) -> Result<(), CliError> {
    text(&format!("{value}\n"))
}

/// Says something on stderr. Whoever closed it does not want to know.
pub(crate) fn say(line: &str) {
    let _unheard = writeln!(io::stderr().lock(), "{line}");
}
