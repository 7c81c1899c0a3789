//! The verbs: one file each.

pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod drain;
pub(crate) mod events;
pub(crate) mod keep;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod orphans;
pub(crate) mod providers;
pub(crate) mod prune;
pub(crate) mod run;
pub(crate) mod sessions;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod wait;
pub(crate) mod why;

mod follower;
mod namesake;
mod naming;

use protocol::control::Again;
use protocol::places::PlaceFlags;

use crate::cli::{Cli, Verb};
use crate::client::Client;
use crate::errors::CliError;
use crate::exit_code::Code;
use crate::render::out::Format;

/// What every verb knows.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// For people or for programs.
    pub(crate) format: Format,
    places: PlaceFlags,
}

impl Context {
    /// The way to the supervisor; made only by verbs that need one.
    ///
    /// # Errors
    /// When there is no place at all.
    pub(crate) fn client(&self) -> Result<Client, CliError> {
        Client::new(&self.places)
    }
}

/// Does what the command line says.
///
/// # Errors
/// What the verb could not do.
pub(crate) fn execute(cli: Cli) -> Result<Code, CliError> {
    let cx = Context {
        format: cli.global.format(),
        places: cli.global.places(),
    };
    match cli.verb {
        Verb::Run(args) => run::execute(*args, &cx),
        Verb::Retry(args) => run::again(*args, Again::Retry, &cx),
        Verb::Reopen(args) => run::again(*args, Again::Reopen, &cx),
        Verb::List(args) => list::execute(&args, &cx),
        Verb::Show(args) => show::execute(args, &cx),
        Verb::Why(args) => why::execute(args, &cx),
        Verb::Logs(args) => logs::execute(args, &cx),
        Verb::StopSession(args) => stop::execute(args, &cx),
        Verb::Wait(args) => wait::execute(&args, &cx),
        Verb::Events(args) => events::execute(args, &cx),
        Verb::Sessions(args) => sessions::execute(args, &cx),
        Verb::Archive(args) => keep::archive(args, &cx),
        Verb::Unarchive(args) => keep::unarchive(args, &cx),
        Verb::Rename(args) => keep::rename(args, &cx),
        Verb::Prune(args) => prune::execute(&args, &cx),
        Verb::Status(args) => status::execute(&args, &cx),
        Verb::Doctor(args) => doctor::execute(&args, &cx),
        Verb::Drain(args) => drain::execute(&args, &cx),
        Verb::Orphans(args) => orphans::execute(&args, &cx),
        Verb::Providers(args) => providers::execute(args, &cx),
        Verb::Completions(args) => completions::execute(&args),
    }
}
