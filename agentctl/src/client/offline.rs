//! Reading the ledger where no supervisor runs: `agent-supervisor offline`
//! speaks the control protocol on its descriptor 0 and cannot write.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Once;

use protocol::control::{Request, Response};

use super::connection::{Connection, ConnectionError};
use super::{Client, Trouble};
use crate::errors::CliError;
use crate::place::Place;
use crate::render::out;
use crate::start::supervisor_binary;

/// A command that asks twice says it once.
static SAID: Once = Once::new();

/// A helper process and the connection to it.
#[derive(Debug)]
pub(crate) struct Offline {
    connection: Connection,
    child: Child,
}

impl Offline {
    /// Starts the helper at the first place that has a ledger, and says so.
    ///
    /// # Errors
    /// `absence` where there is none; else why it could not start.
    pub(crate) fn open(
        client: &Client,
        request: &Request,
        absence: Trouble,
    ) -> Result<Self, CliError> {
        let places = &client.candidates.places;
        let mut with_ledger = places
            .iter()
            .filter(|place| Path::new(&place.places.ledger()).exists());
        let place = match (with_ledger.next(), request) {
            (Some(place), _) => place,
            // Provider files are there without a ledger.
            (None, Request::Providers(_)) if !places.is_empty() => &places[0],
            (None, _) => return Err(no_ledger(absence)),
        };
        let other = with_ledger.next();
        SAID.call_once(|| say_why(absence, other.map(|other| &*other.places.state_dir)));
        Self::spawn(place, request)
    }

    fn spawn(place: &Place, request: &Request) -> Result<Self, CliError> {
        let binary = supervisor_binary()?;
        let (ours, theirs) =
            UnixStream::pair().map_err(|error| CliError::io("make a socket pair", error))?;
        let child = Command::new(&binary)
            .arg("offline")
            .args(place.flags())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(stderr())
            .spawn()
            .map_err(|error| CliError::io(format!("start {}", binary.display()), error))?;
        match Connection::open(ours, request) {
            Ok(connection) => Ok(Self { connection, child }),
            Err(error) => Err(unreadable(child, error)),
        }
    }

    /// The next answer; a refusal is an error.
    ///
    /// # Errors
    /// Refused, or the helper failed.
    pub(crate) fn answer(&mut self) -> Result<Response, CliError> {
        match self.connection.answer() {
            Ok(Response::Error(body)) => Err(CliError::Refused(body)),
            Ok(answer) => Ok(answer),
            Err(ConnectionError::Lost(_)) => Err(not_read(&mut self.child)),
            Err(error) => Err(CliError::Misunderstood(error.into())),
        }
    }
}

impl Drop for Offline {
    /// The helper ends when its socket closes; it is not left as a zombie.
    fn drop(&mut self) {
        self.connection.hang_up();
        // It cannot fail for our own child, and nothing is left to tell.
        let _ended = self.child.wait();
    }
}

/// One that is there and silent is not one that does not run: the ledger is
/// what it had written before.
///
/// Whoever means the ledger of the `other` place must not take this one's silence for
/// its answer.
fn say_why(absence: Trouble, other: Option<&str>) {
    let why = match absence {
        Trouble::Absent { .. } => {
            let other = other.map(|dir| format!("; not the one of `--state-dir {dir}`"));
            format!(
                "no supervisor is running; reading the ledger read-only{}",
                other.unwrap_or_default()
            )
        }
        Trouble::Lost(_) | Trouble::Fatal(_) => {
            let error = CliError::from(absence);
            let hint = error.hint().map(|hint| format!("\n  hint: {hint}"));
            format!(
                "{}; reading the ledger read-only{}",
                error.message(),
                hint.unwrap_or_default()
            )
        }
    };
    out::note(&format!("agentctl: {why}"));
}

fn unreadable(mut child: Child, error: ConnectionError) -> CliError {
    let lost = not_read(&mut child);
    let _ended = child.wait();
    match error {
        ConnectionError::Lost(_) => lost,
        ConnectionError::Hello(_) | ConnectionError::Codec(_) => {
            CliError::Misunderstood(error.into())
        }
    }
}

/// Where programs read, its words go into the error.
fn stderr() -> Stdio {
    if out::holds_notes() {
        Stdio::piped()
    } else {
        Stdio::inherit()
    }
}

/// The helper has gone without an answer, and has said why.
fn not_read(child: &mut Child) -> CliError {
    let message = "no supervisor answers, and its ledger could not be read";
    let Some(mut stderr) = child.stderr.take() else {
        return CliError::Unreachable {
            message: message.into(),
            hint: Some("the lines above say why".into()),
        };
    };
    let mut said = Vec::new();
    // What cannot be read is not told.
    let _whole = stderr.read_to_end(&mut said);
    let said = String::from_utf8_lossy(&said);
    let said = said.trim().trim_start_matches("agent-supervisor: ");
    CliError::Unreachable {
        message: format!("{message}: {said}"),
        hint: None,
    }
}

fn no_ledger(absence: Trouble) -> CliError {
    let mut error = CliError::from(absence);
    if let CliError::Unreachable { message, hint } = &mut error {
        message.push_str(", and there is no ledger to read");
        *hint = Some("`agentctl run -- COMMAND` starts a supervisor and a first task".into());
    }
    error
}
