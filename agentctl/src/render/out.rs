//! Writing to stdout: data, in whole pieces.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

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

/// What is held back until the command is over; none where it is said at once.
static HELD: Mutex<Option<Vec<String>>> = Mutex::new(None);

fn held() -> MutexGuard<'static, Option<Vec<String>>> {
    // A list is whole at every point where a panic can happen.
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where programs read, stderr is one JSON object if something fails: nothing stands
/// before it.
pub(crate) fn hold_notes() {
    *held() = Some(Vec::new());
}

/// Are notes held back?
pub(crate) fn holds_notes() -> bool {
    held().is_some()
}

/// Says something on stderr that is not why a command failed; later, if notes are held.
pub(crate) fn note(line: &str) {
    match &mut *held() {
        Some(notes) => notes.push(line.to_owned()),
        None => say(line),
    }
}

/// What was held back.
pub(crate) fn take_notes() -> Vec<String> {
    held().take().unwrap_or_default()
}

/// Says something on stderr. Whoever closed it does not want to know.
pub(crate) fn say(line: &str) {
    let _unheard = writeln!(io::stderr().lock(), "{line}");
}
