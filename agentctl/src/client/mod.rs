//! Talking to the supervisor: one question, one answer; or a stream of them,
//! over reconnects where a command waits or follows.

mod connection;
mod offline;
mod patience;

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use protocol::control::{Request, Response};
use protocol::places::PlaceFlags;

use connection::Silence;
pub(crate) use connection::{Connection, ConnectionError};
pub(crate) use offline::Offline;
pub(crate) use patience::{Start, persist};

use crate::errors::CliError;
use crate::place::{Absence, Candidates, Place};

/// Why a question got no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Nobody answers at any place.
    Absent {
        /// What was tried.
        message: String,
        /// What to do.
        hint: String,
    },
    /// The connection was there and is gone.
    Lost(io::Error),
    /// Trying again would not help.
    Fatal(CliError),
}

impl From<Trouble> for CliError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Absent { message, hint } => Self::Unreachable {
                message,
                hint: Some(hint),
            },
            Trouble::Lost(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Self::Unreachable {
                    message: "the supervisor hung up before it answered".into(),
                    hint: Some("try again; `agentctl status` says how it is".into()),
                }
            }
            Trouble::Lost(error) => Self::Unreachable {
                message: format!("the supervisor does not answer: {error}"),
                hint: Some(
                    Silence::of(&error)
                        .map_or_else(|| "`agentctl status` says how it is".into(), Silence::hint),
                ),
            },
            Trouble::Fatal(error) => error,
        }
    }
}

impl From<ConnectionError> for Trouble {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Lost(source) => Self::Lost(source),
            ConnectionError::Hello(_) | ConnectionError::Codec(_) => {
                Self::Fatal(CliError::Misunderstood(error.into()))
            }
        }
    }
}

impl From<CliError> for Trouble {
    fn from(error: CliError) -> Self {
        Self::Fatal(error)
    }
}

/// The way to one supervisor. The first connection decides which one.
#[derive(Debug)]
pub(crate) struct Client {
    candidates: Candidates,
    /// The place of the first connection: a reconnect must not end up at
    /// another supervisor.
    chosen: OnceLock<usize>,
    /// A connection whose last question was answered.
    spare: Mutex<Option<Connection>>,
}

impl Client {
    /// Finds the places; connects to nothing yet.
    ///
    /// # Errors
    /// When there is no place at all.
    pub(crate) fn new(flags: &PlaceFlags) -> Result<Self, CliError> {
        Ok(Self {
            candidates: Candidates::find(flags)?,
            chosen: OnceLock::new(),
            spare: Mutex::new(None),
        })
    }

    /// The places that it may talk to.
    pub(crate) const fn candidates(&self) -> &Candidates {
        &self.candidates
    }

    /// The place that it talks to.
    pub(crate) fn place(&self) -> Option<&Place> {
        self.candidates.places.get(*self.chosen.get()?)
    }

    /// Connects to the place chosen before, else to the first that answers.
    ///
    /// # Errors
    /// [`Trouble::Absent`], or fatal where the door is closed.
    pub(crate) fn connect(&self) -> Result<UnixStream, Trouble> {
        if let Some(place) = self.place() {
            return place.connect().map_err(|absence| trouble(vec![absence]));
        }
        let mut absences = Vec::new();
        for (at, place) in self.candidates.places.iter().enumerate() {
            match place.connect() {
                Ok(stream) => {
                    // Another thread of ours can only have chosen the same.
                    self.chosen.get_or_init(|| at);
                    return Ok(stream);
                }
                Err(absence) => absences.push(absence),
            }
        }
        Err(trouble(absences))
    }

    /// Sends a request, on a connection that was kept if there is one. The
    /// supervisor behind that may be gone: then it is lost, and the next try connects.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(crate) fn open(&self, request: &Request) -> Result<Connection, Trouble> {
        if let Some(mut kept) = self.spare().take() {
            kept.ask(request)?;
            return Ok(kept);
        }
        Ok(Connection::open(self.connect()?, request)?)
    }

    /// Keeps a connection whose question was answered for the next one. For whoever
    /// tries again when it is lost.
    pub(crate) fn keep(&self, answered: Connection) {
        *self.spare() = Some(answered);
    }

    fn spare(&self) -> MutexGuard<'_, Option<Connection>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One question and its one answer.
    ///
    /// # Errors
    /// [`Trouble`]; a refusal is fatal.
    pub(crate) fn try_ask(&self, request: &Request) -> Result<Response, Trouble> {
        accept(self.open(request)?.answer()?)
    }

    /// One question and its one answer.
    ///
    /// # Errors
    /// Unreachable, refused or misunderstood.
    pub(crate) fn ask(&self, request: &Request) -> Result<Response, CliError> {
        Ok(self.try_ask(request)?)
    }

    /// One question that the ledger alone can answer as well.
    ///
    /// # Errors
    /// Unreachable and without a ledger, refused or misunderstood.
    pub(crate) fn ask_or_read(&self, request: &Request) -> Result<Response, CliError> {
        match self.try_ask(request) {
            Ok(answer) => Ok(answer),
            Err(Trouble::Fatal(error)) => Err(error),
            Err(absence) => Offline::open(self, request, absence)?.answer(),
        }
    }
}

/// A refusal as an error.
///
/// # Errors
/// [`Trouble::Fatal`] for `Response::Error` and `Response::Conflict`.
pub(crate) fn accept(answer: Response) -> Result<Response, Trouble> {
    if let Response::Error(body) = answer {
        return Err(Trouble::Fatal(CliError::Refused(body)));
    }
    if let Response::Conflict { refusal, task } = answer {
        let version = task.version;
        return Err(Trouble::Fatal(CliError::Conflict { refusal, version }));
    }
    Ok(answer)
}

/// What the absence at every place means together.
fn trouble(absences: Vec<Absence>) -> Trouble {
    let mut tried = Vec::new();
    let mut denied = None;
    for absence in absences {
        match absence {
            Absence::Nobody { path } => tried.push(path),
            Absence::Busy { path } => {
                let why = format!("whoever listens at {path} accepts nobody");
                return Trouble::Lost(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            Absence::Denied { path } => denied = Some(path),
            Absence::Failed { path, source } => tried.push(format!("{path} ({source})")),
            Absence::Impossible(error) => {
                return Trouble::Fatal(CliError::usage(error.to_string()));
            }
        }
    }
    match denied {
        Some(path) => Trouble::Fatal(CliError::NotPermitted {
            message: format!("the supervisor's socket {path} is not open to this user"),
            hint: Some(
                "its operator can name a group in `[control] group`; \
                 `--state-dir DIR` keeps a supervisor of your own there"
                    .into(),
            ),
        }),
        None => Trouble::Absent {
            message: format!("no supervisor answers at {}", tried.join(" or ")),
            hint: "`agentctl run` starts one".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_door_is_not_an_absence() {
        let nobody = || Absence::Nobody {
            path: "/a/control.sock".into(),
        };
        let both = trouble(vec![
            nobody(),
            Absence::Denied {
                path: "/b/control.sock".into(),
            },
        ]);
        assert_eq!(CliError::from(both).code().0, 7);
        let error = CliError::from(trouble(vec![nobody()]));
        assert_eq!(error.code().0, 5);
        assert_eq!(
            error.to_string(),
            "no supervisor answers at /a/control.sock"
        );
    }
}
