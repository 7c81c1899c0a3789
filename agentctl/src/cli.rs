//! The command line: global options and the verbs. Each verb's own options
//! stand beside its code in `commands`.

use clap::{Args, Parser, Subcommand};
use protocol::places::PlaceFlags;

use crate::commands::{
    completions, events, list, logs, providers, run, sessions, show, status, stop, wait, why,
};
use crate::render::out::Format;

/// Dispatch coding agents, watch them, stop them, and learn why they ended.
#[derive(Debug, Parser)]
#[command(name = "agentctl", version, about, arg_required_else_help = true)]
#[command(after_help = "\
IDs: a task id, a unique prefix of one, a session id, a key, or a name.
Exit codes: 0 ok or success, 1 unexpected error, 2 usage, 3 no such task, session or key,
4 refused, 5 supervisor not reachable, 6 draining, 7 not permitted, 8 not proven gone or timed out,
10 failure, 11 cancelled, 12 interrupted, 13 aborted_no_skill.")]
pub(crate) struct Cli {
    /// Options of every verb.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Options of every verb.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// JSON on stdout; errors as JSON on stderr
    #[arg(long, global = true)]
    json: bool,
    /// Ledger and task folders [env: AGENT_SUPERVISOR_STATE_DIR]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Places")]
    state_dir: Option<String>,
    /// Sockets [env: AGENT_SUPERVISOR_RUNTIME_DIR]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Places")]
    runtime_dir: Option<String>,
    /// The supervisor's configuration [env: AGENT_SUPERVISOR_CONFIG]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Places")]
    config: Option<String>,
    /// Provider files [env: AGENT_SUPERVISOR_PROVIDERS_DIR]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Places")]
    providers_dir: Option<String>,
}

impl Global {
    /// For people or for programs.
    pub(crate) const fn format(&self) -> Format {
        if self.json {
            Format::Json
        } else {
            Format::Text
        }
    }

    /// The places that were named.
    pub(crate) fn places(&self) -> PlaceFlags {
        PlaceFlags {
            state_dir: self.state_dir.clone(),
            runtime_dir: self.runtime_dir.clone(),
            config: self.config.clone(),
            providers_dir: self.providers_dir.clone(),
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Dispatch a task
    Run(Box<run::Args>),
    /// Live and queued tasks
    #[command(visible_aliases = ["ls", "ps"])]
    List(list::Args),
    /// One task, whole, with its intents and evidence
    Show(show::Args),
    /// Why a task ended: who asked what, what was seen, what was concluded
    Why(why::Args),
    /// An agent's output
    Logs(logs::Args),
    /// Stop tasks, and prove that they are gone
    #[command(visible_alias = "stop")]
    StopSession(stop::Args),
    /// Wait until tasks have ended; exit code from the verdict
    Wait(wait::Args),
    /// The event log
    Events(events::Args),
    /// The session table, and the operator's word on it
    Sessions(sessions::Args),
    /// The supervisor's health
    Status(status::Args),
    /// Provider files, and which agent programs are installed
    Providers(providers::Args),
    /// Shell completions
    Completions(completions::Args),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn places_and_json_may_follow_the_verb() {
        let line = [
            "agentctl",
            "list",
            "--state-dir",
            "s",
            "--runtime-dir=r",
            "--json",
        ];
        let cli = Cli::try_parse_from(line).expect("valid");
        assert_eq!(cli.global.format(), Format::Json);
        let places = cli.global.places();
        assert_eq!(
            (places.state_dir.as_deref(), places.runtime_dir.as_deref()),
            (Some("s"), Some("r"))
        );
    }

    #[test]
    fn aliases_mean_their_verbs() {
        for alias in ["ls", "ps"] {
            let cli = Cli::try_parse_from(["agentctl", alias]).expect("valid");
            assert!(matches!(cli.verb, Verb::List(_)), "{alias}");
        }
        let cli = Cli::try_parse_from(["agentctl", "stop", "x"]).expect("valid");
        assert!(matches!(cli.verb, Verb::StopSession(_)));
    }

    #[test]
    fn verbs_of_later_parts_do_not_exist() {
        for verb in ["archive", "rename", "drain", "doctor"] {
            let error = Cli::try_parse_from(["agentctl", verb, "x"]).expect_err("unknown");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
