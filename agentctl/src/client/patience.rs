//! Going on after the supervisor vanished.
//!
//! ```text
//! attempt ──ok──▶ done            Lost: was connected, is not any more
//!    │ ▲                          Absent: could not connect
//!    │ └─pause 20 ms … 1 s──┐
//!    ├─Lost────────────────▶│     the window opens (anew if the connection
//!    │                      │     had been stable)
//!    └─Absent──in window───▶┘     outside of it: exit code 5 with a hint
//! ```

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::Trouble;
use crate::errors::CliError;

/// How long a vanished supervisor is waited for (CONTRACT §2).
const WINDOW: Duration = Duration::from_secs(60);

/// A connection that lasted so long was a good one: the next loss is a new
/// story. One that is shorter counts as the same crash loop.
const STABLE: Duration = Duration::from_secs(5);

/// The first pause between two attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Is a supervisor that was never reached waited for as well?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// No: the first attempt must connect.
    MustBeThere,
    /// Yes: it was reached before, by another connection.
    WasThere,
}

/// Repeats `attempt` over lost connections for up to 60 s each. `attempt`
/// keeps what it has received so far and asks only for the rest.
///
/// # Errors
/// What is no matter of the connection at once; else exit code 5 with `hint`.
pub(crate) fn persist<T>(
    start: Start,
    hint: &str,
    mut attempt: impl FnMut() -> Result<T, Trouble>,
) -> Result<T, CliError> {
    let mut lost_at = match start {
        Start::MustBeThere => None,
        Start::WasThere => Some(Instant::now()),
    };
    let mut pause = FIRST_PAUSE;
    loop {
        let began = Instant::now();
        let trouble = match attempt() {
            Ok(done) => return Ok(done),
            Err(trouble) => trouble,
        };
        match (trouble, lost_at) {
            (Trouble::Fatal(error), _) => return Err(error),
            (absent @ Trouble::Absent { .. }, None) => return Err(absent.into()),
            (Trouble::Absent { .. }, Some(at)) if at.elapsed() >= WINDOW => return Err(gone(hint)),
            (Trouble::Absent { .. }, Some(_)) => {}
            // One that is there and silent was no good connection, however long
            // that took to see.
            (Trouble::Lost(error), Some(at)) if is_silent(&error) => {
                if at.elapsed() >= WINDOW {
                    return Err(silent(error, hint));
                }
            }
            (Trouble::Lost(_), Some(at)) if began.elapsed() < STABLE => {
                if at.elapsed() >= WINDOW {
                    return Err(gone(hint));
                }
            }
            (Trouble::Lost(_), _) => {
                lost_at = Some(Instant::now());
                pause = FIRST_PAUSE;
            }
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn is_silent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut
}

/// Its own words say who it is, and what to do first.
fn silent(error: io::Error, then: &str) -> CliError {
    let mut error = CliError::from(Trouble::Lost(error));
    if let CliError::Unreachable { message, hint } = &mut error {
        message.push_str(&format!("; it was asked for {} s", WINDOW.as_secs()));
        let first = hint.take().unwrap_or_default();
        *hint = Some(format!("{then}; before that: {first}"));
    }
    error
}

fn gone(hint: &str) -> CliError {
    CliError::Unreachable {
        message: format!(
            "the supervisor vanished and did not come back within {} s",
            WINDOW.as_secs()
        ),
        hint: Some(hint.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> Trouble {
        Trouble::Lost(io::Error::from(io::ErrorKind::UnexpectedEof))
    }

    fn absent() -> Trouble {
        Trouble::Absent {
            message: "nobody".into(),
            hint: "start one".into(),
        }
    }

    #[test]
    fn a_supervisor_that_was_never_there_is_not_waited_for() {
        let error = persist::<()>(Start::MustBeThere, "h", || Err(absent())).expect_err("absent");
        assert_eq!(error.hint(), Some("start one"));
    }

    #[test]
    fn a_lost_one_is_waited_for() {
        let mut script = vec![Ok(5), Err(absent()), Err(lost())];
        let done = persist(Start::MustBeThere, "h", || {
            script.pop().expect("no fourth attempt")
        });
        assert_eq!(done.expect("it came back"), 5);
    }

    #[test]
    fn a_refusal_ends_it_at_once() {
        let mut script = vec![Err(Trouble::Fatal(CliError::usage("no"))), Err(lost())];
        let done: Result<(), _> = persist(Start::MustBeThere, "h", || {
            script.pop().expect("no third attempt")
        });
        assert_eq!(done.expect_err("refused").to_string(), "no");
    }
}
