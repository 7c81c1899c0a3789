//! Reading the ledger where no supervisor runs: `agent-supervisor offline`
//! speaks the control protocol on its descriptor 0 and cannot write.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use protocol::control::{Request, Response};

use super::connection::{Connection, ConnectionError};
use super::{Client, Trouble};
use crate::errors::CliError;
use crate::place::Place;
use crate::render::out;
use crate::start::supervisor_binary;

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
        let with_ledger = places
            .iter()
            .find(|place| Path::new(&place.places.ledger()).exists());
        let place = match (with_ledger, request) {
            (Some(place), _) => place,
            // Provider files are there without a ledger.
            (None, Request::Providers(_)) if !places.is_empty() => &places[0],
            (None, _) => return Err(no_ledger(absence)),
        };
        say_why(absence);
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
            Err(ConnectionError::Lost(_)) => Err(CliError::Unreachable {
                message: "no supervisor answers, and its ledger could not be read".into(),
                hint: Some("the lines above say why".into()),
            }),
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
fn say_why(absence: Trouble) {
    let why = match absence {
        Trouble::Absent { .. } => "no supervisor is running; reading the ledger read-only".into(),
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
    out::say(&format!("agentctl: {why}"));
}

fn unreadable(mut child: Child, error: ConnectionError) -> CliError {
    let _ended = child.wait();
    match error {
        ConnectionError::Lost(_) => CliError::Unreachable {
            message: "no supervisor answers, and its ledger could not be read".into(),
            hint: Some("the lines above say why".into()),
        },
        ConnectionError::Hello(_) | ConnectionError::Codec(_) => {
            CliError::Misunderstood(error.into())
        }
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
