//! `sessions [list] · show KEY · release KEY · quarantine KEY`.

use clap::Subcommand;
use protocol::SessionId;
use protocol::control::{Request, Response, SessionAct, SessionChange, SessionsRequest};
use serde_json::json;

use super::Context;
use crate::errors::CliError;
use crate::exit_code::Code;
use crate::render::out::{self, Format};
use crate::render::task::Screen;
use crate::render::{json, service, time};

/// Options of `sessions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// All sessions
    List,
    /// The sessions of a key
    Show {
        /// The conversation
        key: String,
    },
    /// Let the next task of this key resume the session, and let the key go on if
    /// it rests because its tasks failed as soon as they had begun
    Release(Release),
    /// Never resume the session without the operator's word
    Quarantine(Change),
}

#[derive(Debug, clap::Args)]
struct Change {
    /// The conversation
    key: String,
    /// An older session of the key; the newest if left out
    #[arg(long, value_name = "ID")]
    session_id: Option<SessionId>,
}

#[derive(Debug, clap::Args)]
struct Release {
    #[command(flatten)]
    change: Change,
    /// Let the key go on, and leave its sessions as they are
    #[arg(long, conflicts_with = "session_id")]
    crash_loop: bool,
}

impl Release {
    fn request(self) -> Request {
        self.change.request(if self.crash_loop {
            SessionAct::ReleaseKey
        } else {
            SessionAct::Release
        })
    }
}

impl Change {
    fn request(self, act: SessionAct) -> Request {
        Request::ChangeSession(SessionChange {
            key: self.key,
            session_id: self.session_id,
            act,
        })
    }
}

pub(super) fn execute(args: Args, cx: &Context) -> Result<Code, CliError> {
    let client = cx.client()?;
    let mut none = "agentctl: no sessions";
    let answer = match args.verb.unwrap_or(Verb::List) {
        Verb::List => client.ask_or_read(&Request::Sessions(SessionsRequest { key: None }))?,
        Verb::Show { key } => {
            client.ask_or_read(&Request::Sessions(SessionsRequest { key: Some(key) }))?
        }
        Verb::Release(release) => {
            none = "agentctl: the key may have tasks again; it has no session";
            client.ask(&release.request())?
        }
        Verb::Quarantine(change) => client.ask(&change.request(SessionAct::Quarantine))?,
    };
    let Response::Sessions(sessions) = answer else {
        return Err(CliError::wrong_answer());
    };
    match cx.format {
        Format::Json => out::json(&json!({ "sessions": json::value(&sessions)? }))?,
        Format::Text if sessions.is_empty() => out::say(none),
        Format::Text => {
            out::text(&service::sessions(&sessions, time::now(), Screen::stdout()))?;
        }
    }
    Ok(Code::OK)
}
