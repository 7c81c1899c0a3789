//! The command line of `agent-supervisor`, and its exit codes.

use clap::{Args, Parser, Subcommand};
use protocol::places::{Owner, PlaceFlags};

pub use crate::exit_code::{EXIT_ERROR, EXIT_LEDGER, EXIT_LOCKED, EXIT_OK, EXIT_USAGE};

/// Runs coding agents under supervision.
///
/// In the foreground, with its log on stderr. `agentctl` speaks to it.
#[derive(Clone, Debug, Parser)]
#[command(name = "agent-supervisor", version, after_help = AFTER_HELP)]
pub struct Cli {
    /// Where it works.
    #[command(flatten)]
    places: PlaceArgs,

    /// The log goes to a file in the state directory; on stdout stands one
    /// line, READY or ERROR and why
    #[arg(long)]
    pub background: bool,

    /// Run as the system's service: its places, and agents with the
    /// environment of the configuration instead of their caller's
    #[arg(long, global = true)]
    system: bool,

    /// Leave with every task when stdin ends, and remove the trial's folder. For
    /// `agentctl providers check --try`, which may be killed
    #[arg(long, hide = true, requires = "background")]
    pub trial: bool,

    /// Something else than to serve.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const AFTER_HELP: &str = "\
Variables (flags go before them): AGENT_SUPERVISOR_STATE_DIR, AGENT_SUPERVISOR_RUNTIME_DIR (not
beside --state-dir), AGENT_SUPERVISOR_CONFIG, AGENT_SUPERVISOR_PROVIDERS_DIR, and
AGENT_SUPERVISOR_LOG for the log's level (error, warn, info, debug).

Exit codes: 0 asked to stop, 1 error, 2 usage or configuration, 3 another supervisor holds the
state or runtime directory, 4 the ledger cannot be used.";

/// Something else than to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Answer questions about the ledger on fd 0; reads only. For `agentctl`,
    /// where no supervisor runs
    #[command(hide = true)]
    Offline,
    /// Rebuild a ledger that is damaged, lost or out of date from the task
    /// folders; the old one is kept beside it
    Recover,
}

#[derive(Clone, Debug, Default, Args)]
struct PlaceArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<String>,

    /// The directory of the ledger and the task folders
    #[arg(long, value_name = "DIR", global = true)]
    state_dir: Option<String>,

    /// The directory of the sockets
    #[arg(long, value_name = "DIR", global = true)]
    runtime_dir: Option<String>,

    /// The directory of your own provider files
    #[arg(long, value_name = "DIR", global = true)]
    providers_dir: Option<String>,
}

impl Cli {
    /// Reads the arguments of this process. Help and mistakes are printed, and
    /// the process ends, with [`EXIT_USAGE`] for a mistake.
    #[must_use]
    pub fn from_arguments() -> Self {
        Self::parse()
    }

    /// What was named.
    #[must_use]
    pub fn place_flags(&self) -> PlaceFlags {
        PlaceFlags {
            state_dir: self.places.state_dir.clone(),
            runtime_dir: self.places.runtime_dir.clone(),
            config: self.places.config.clone(),
            providers_dir: self.places.providers_dir.clone(),
        }
    }

    /// Whose supervisor it is to be.
    #[must_use]
    pub const fn owner(&self) -> Owner {
        if self.system {
            Owner::System
        } else {
            Owner::User
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parsed(arguments: &[&str]) -> Cli {
        let arguments = std::iter::once(&"agent-supervisor").chain(arguments);
        Cli::try_parse_from(arguments).expect("a good command line")
    }

    #[test]
    fn the_declaration_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn places_stand_before_or_behind_the_subcommand() {
        for arguments in [
            ["--state-dir", "/s", "offline"],
            ["offline", "--state-dir", "/s"],
        ] {
            let cli = parsed(&arguments);
            assert_eq!(cli.command, Some(Command::Offline));
            assert_eq!(cli.place_flags().state_dir.as_deref(), Some("/s"));
        }
        let cli = parsed(&["--background", "--config", "c", "--runtime-dir", "r"]);
        assert!(cli.background && cli.command.is_none());
        assert_eq!(cli.place_flags().config.as_deref(), Some("c"));
        assert_eq!(cli.owner(), Owner::User);
        assert_eq!(parsed(&["--system"]).owner(), Owner::System);
    }

    #[test]
    fn mistakes_have_the_documented_exit_code() {
        let error = Cli::try_parse_from(["agent-supervisor", "--stat-dir"]).expect_err("a mistake");
        assert_eq!(error.exit_code(), i32::from(EXIT_USAGE));
        assert!(error.to_string().contains("--state-dir"));
    }
}
