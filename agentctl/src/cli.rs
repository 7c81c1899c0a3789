//! The command line: global options and the verbs. Each verb's own options
//! stand beside its code in `commands`.

use std::ffi::OsString;
use std::mem::ManuallyDrop;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use protocol::places::PlaceFlags;

use crate::commands::{
    completions, doctor, drain, events, keep, list, logs, orphans, providers, prune, run, sessions,
    show, status, stop, wait, why,
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
    /// Sockets [env: AGENT_SUPERVISOR_RUNTIME_DIR, not beside --state-dir]
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
    /// Do an ended task again, in a fresh session
    Retry(Box<run::AgainArgs>),
    /// Go on with an ended task's conversation
    Reopen(Box<run::AgainArgs>),
    /// Put a task aside; a live one is stopped first
    Archive(keep::Named),
    /// Take a task out again that was put aside
    Unarchive(keep::Named),
    /// Give a task another name
    Rename(keep::Rename),
    /// Remove ended tasks that are old enough, with their logs (a dry run without --apply)
    Prune(prune::Args),
    /// The supervisor's health
    Status(status::Args),
    /// Provider files, and which agent programs are installed
    Providers(providers::Args),
    /// Leftover processes of tasks that have ended
    Orphans(orphans::Args),
    /// Let running tasks finish, then stop them; no new work
    Drain(drain::Args),
    /// What should be looked at: what a restart would do to the agents, leftovers, providers
    Doctor(doctor::Args),
    /// Shell completions
    Completions(completions::Args),
}

/// A command line of one verb, without the verb.
#[derive(Debug, Parser)]
#[command(name = "agentctl", no_binary_name = true)]
struct Line<A: Args> {
    #[command(flatten)]
    global: Global,
    #[command(flatten)]
    args: A,
}

impl Cli {
    /// Reads a command line, with the program's name in front.
    ///
    /// # Errors
    /// What is wrong with it, or the help that it asks for.
    pub(crate) fn read(words: Vec<OsString>) -> Result<Self, clap::Error> {
        match Self::read_quickly(&words) {
            Some(cli) => Ok(cli),
            None => Self::try_parse_from(words),
        }
    }

    /// Building the options of all verbs takes longer than everything else
    /// that a verb does here, so the named one is tried alone. Whatever is
    /// not plainly right is left to the whole definition and its messages.
    fn read_quickly(words: &[OsString]) -> Option<Self> {
        let (verb, rest) = words.get(1..)?.split_first()?;
        match verb.to_str()? {
            "run" => line(rest, |args| Verb::Run(Box::new(args))),
            "list" | "ls" | "ps" => line(rest, Verb::List),
            "show" => line(rest, Verb::Show),
            "why" => line(rest, Verb::Why),
            "logs" => line(rest, Verb::Logs),
            "stop-session" | "stop" => line(rest, Verb::StopSession),
            "wait" => line(rest, Verb::Wait),
            "events" => line(rest, Verb::Events),
            "sessions" => line(rest, Verb::Sessions),
            "status" => line(rest, Verb::Status),
            _ => None,
        }
    }
}

fn line<A: Args>(rest: &[OsString], verb: impl FnOnce(A) -> Verb) -> Option<Cli> {
    // Taking the definition apart again would be a seventh of the start.
    let mut command = ManuallyDrop::new(Line::<A>::command());
    let mut matches = command.try_get_matches_from_mut(rest).ok()?;
    let line = Line::<A>::from_arg_matches_mut(&mut matches).ok()?;
    Some(Cli {
        global: line.global,
        verb: verb(line.args),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn the_quick_way_knows_the_same_verbs_and_says_the_same() {
        let words = |line: &str| -> Vec<OsString> { line.split(' ').map(OsString::from).collect() };
        for good in [
            "agentctl run -d --json --key k -- sh --json",
            "agentctl list -a",
            "agentctl ls --watch",
            "agentctl ps -q --state-dir x",
            "agentctl show i",
            "agentctl why i",
            "agentctl logs -f i",
            "agentctl stop --all",
            "agentctl stop-session a b --grace 2s",
            "agentctl wait a b --timeout 2s",
            "agentctl events --from 3",
            "agentctl sessions",
            "agentctl sessions release k --json",
            "agentctl status",
        ] {
            let quick = Cli::read_quickly(&words(good)).unwrap_or_else(|| panic!("{good}"));
            let whole = Cli::try_parse_from(words(good)).expect("valid");
            assert_eq!(format!("{quick:?}"), format!("{whole:?}"), "{good}");
        }
        for other in [
            "agentctl",
            "agentctl --json list",
            "agentctl run --help",
            "agentctl wait",
        ] {
            assert!(Cli::read_quickly(&words(other)).is_none(), "{other}");
        }
    }

    #[test]
    fn an_unknown_verb_is_usage() {
        let error = Cli::try_parse_from(["agentctl", "resurrect"]).expect_err("unknown");
        assert_eq!(error.exit_code(), 2);
    }
}
