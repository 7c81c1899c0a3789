//! The options of `run`.

use protocol::control::{self as wire, RunOption};
use protocol::{ProviderName, SessionId, TaskId};

use crate::values;

/// Options of `run`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The command of provider `exec`; for others more arguments
    #[arg(last = true, value_name = "ARGV")]
    pub(super) argv: Vec<String>,
    /// Print the task id once the agent is started, or has its place in the queue, and leave
    #[arg(short, long)]
    pub(super) detach: bool,
    /// The task's id, [A-Za-z0-9_-]{1,64}; repeated, it names the same task
    #[arg(long)]
    pub(super) id: Option<TaskId>,
    /// The kind of agent; `exec` if a command is given
    #[arg(long)]
    pub(super) provider: Option<ProviderName>,
    /// The conversation; at most one live task per key
    #[arg(long)]
    pub(super) key: Option<String>,
    /// The prompt; - reads it from stdin
    #[arg(
        long,
        value_name = "TEXT",
        conflicts_with = "prompt_file",
        allow_hyphen_values = true
    )]
    pub(super) prompt: Option<String>,
    /// A file with the prompt
    #[arg(long, value_name = "FILE")]
    pub(super) prompt_file: Option<String>,
    /// A model, by the provider's name for it
    #[arg(long)]
    pub(super) model: Option<String>,
    /// A name for people
    #[arg(long)]
    pub(super) name: Option<String>,
    /// The working folder; the current one if left out
    #[arg(long, value_name = "DIR")]
    pub(super) cwd: Option<String>,
    /// A variable for the agent
    #[arg(long, value_name = "NAME=VALUE", value_parser = values::variable)]
    pub(super) env: Vec<(String, String)>,
    /// A file with variables, one NAME=VALUE a line; --env wins over it
    #[arg(long, value_name = "FILE")]
    pub(super) env_file: Vec<String>,
    /// Your word for the agent
    #[arg(long, help_heading = "Labels")]
    pub(super) agent: Option<String>,
    /// Your word for the kind of work
    #[arg(long, value_name = "TYPE", help_heading = "Labels")]
    pub(super) agent_type: Option<String>,
    /// The repository that it works on
    #[arg(long, help_heading = "Labels")]
    pub(super) repo: Option<String>,
    /// The issue that it works on
    #[arg(long, value_name = "N", value_parser = values::whole_number::<i64>, help_heading = "Labels")]
    pub(super) issue: Option<i64>,
    /// On whose behalf
    #[arg(long, help_heading = "Labels")]
    pub(super) user: Option<String>,
    /// The id of the new session, where the provider lets it be chosen
    #[arg(long, value_name = "ID", group = "session", help_heading = "Session")]
    pub(super) session_id: Option<SessionId>,
    /// Resume exactly this session
    #[arg(long, value_name = "ID", group = "session", help_heading = "Session")]
    pub(super) resume: Option<SessionId>,
    /// Begin a new session
    #[arg(long, group = "session", help_heading = "Session")]
    pub(super) fresh: bool,
    /// Resume although the session is quarantined
    #[arg(long, help_heading = "Session")]
    pub(super) unsafe_resume: bool,
    /// End it after this time
    #[arg(long, value_name = "DUR", value_parser = values::limit_ms, help_heading = "Limits")]
    pub(super) timeout: Option<u64>,
    /// End it after this much silence
    #[arg(long, value_name = "DUR", value_parser = values::limit_ms, help_heading = "Limits")]
    pub(super) idle_timeout: Option<u64>,
    /// End it if it shows no sign of life in this time
    #[arg(long, value_name = "DUR", value_parser = values::limit_ms, help_heading = "Limits")]
    pub(super) start_timeout: Option<u64>,
    /// Time between TERM and KILL, whenever it is stopped
    #[arg(long, value_name = "DUR", value_parser = values::duration_ms, help_heading = "Limits")]
    pub(super) grace: Option<u64>,
    /// Most memory of all its processes; the kernel kills what needs more
    #[arg(long, value_name = "SIZE", value_parser = values::memory_bytes, help_heading = "Limits")]
    pub(super) memory: Option<u64>,
    /// End it when its provider says that it has cost more, in US dollars
    #[arg(long, value_name = "USD", value_parser = values::usd_micros, help_heading = "Limits")]
    pub(super) max_cost: Option<u64>,
    /// Output kept per stream
    #[arg(long, value_name = "SIZE", value_parser = values::size_bytes, help_heading = "Limits")]
    pub(super) max_log: Option<u64>,
    /// One more argument for the provider's program; never shown
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub(super) provider_arg: Vec<String>,
    /// What to do while the key has a live task
    #[arg(long, value_enum, default_value = "refuse")]
    pub(super) on_conflict: OnConflict,
    /// Do not start a supervisor [env: AGENTCTL_NO_START=1]
    #[arg(long)]
    pub(super) no_start: bool,
    /// Run inside this container of podman or docker
    #[arg(long, value_name = "NAME")]
    pub(super) container: Option<String>,
    /// What to do when the provider does not know the session to be resumed:
    /// another task in a fresh one, once (the default where the key resumes by
    /// itself), or nothing (that of --resume and reopen)
    #[arg(long, value_enum, value_name = "WHAT", help_heading = "Session")]
    pub(super) on_not_found: Option<OnNotFound>,
    /// Run it as this user of the machine; for a supervisor that root runs
    #[arg(long = "as", value_name = "USER")]
    pub(super) run_as: Option<String>,
    /// The prompt is left out where the provider takes none; for trials
    #[arg(long, hide = true)]
    pub(super) prompt_if_taken: bool,
}

/// Command, prompt and variables never appear in `Debug`.
impl std::fmt::Debug for Args {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Args")
            .field("id", &self.id)
            .field("provider", &self.provider)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// What to do while the key has a live task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OnConflict {
    /// Refuse with exit code 4
    Refuse,
    /// Wait for its end
    Queue,
    /// Stop it first; its reason is superseded_by_task
    Replace,
}

/// What to do when the session is not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OnNotFound {
    /// It ends as session_not_found
    Fail,
    /// One task like it follows, in a fresh session
    Fresh,
}

impl From<OnNotFound> for wire::OnNotFound {
    fn from(word: OnNotFound) -> Self {
        match word {
            OnNotFound::Fail => Self::Fail,
            OnNotFound::Fresh => Self::Fresh,
        }
    }
}

impl Args {
    /// Options that the request has no field for.
    pub(super) fn options(&self) -> Vec<RunOption> {
        let mut options = match self.on_conflict {
            OnConflict::Refuse => Vec::new(),
            OnConflict::Queue => vec![RunOption::Queue],
            OnConflict::Replace => vec![RunOption::Replace],
        };
        options.extend(self.container.clone().map(RunOption::Container));
        options.extend(self.memory.map(RunOption::Memory));
        options.extend(self.max_cost.map(RunOption::MaxCost));
        let on_not_found = self.on_not_found.map(wire::OnNotFound::from);
        options.extend(on_not_found.map(RunOption::OnNotFound));
        options.extend(self.run_as.clone().map(RunOption::As));
        options.extend(self.prompt_if_taken.then_some(RunOption::PromptIfTaken));
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &[&str]) -> Result<Args, clap::Error> {
        Line::try_parse_from(std::iter::once(&"run").chain(line)).map(|line| line.args)
    }

    #[test]
    fn options_without_a_field_travel_beside_the_request() {
        let args = parse(&["--as", "bob", "--on-conflict", "refuse"]).expect("parsed");
        assert_eq!(args.options(), [RunOption::As("bob".to_owned())]);
    }

    #[test]
    fn no_secret_is_in_debug() {
        let line = [
            "--env=TOKEN=hush",
            "--prompt=hush",
            "--provider-arg=hush",
            "--key=k",
            "--",
            "hush",
        ];
        let shown = format!("{:?}", parse(&line).expect("parsed"));
        assert!(
            shown.contains("\"k\"") && !shown.contains("hush"),
            "{shown}"
        );
    }

    #[test]
    fn one_word_on_the_session_is_enough() {
        for line in [
            ["--fresh", "--resume=a"],
            ["--fresh", "--session-id=a"],
            ["--resume=a", "--session-id=b"],
            ["--prompt=a", "--prompt-file=b"],
        ] {
            assert_eq!(parse(&line).expect_err("too many").exit_code(), 2);
        }
    }

    #[test]
    fn bad_ids_and_durations_are_refused_in_words() {
        let words = |line: &[&str]| parse(line).expect_err("refused").to_string();
        assert!(words(&["--id", "a/b"]).contains("'/' is not allowed"));
        assert!(words(&["--timeout", "5"]).contains("90s, 10m"));
        assert!(words(&["--max-log", "5X"]).contains("512K"));
        assert!(words(&["--max-cost", "5$"]).contains("1.25"));
        assert!(words(&["--memory", "5X"]).contains("512K"));
        assert!(words(&["--memory", "4095K"]).contains("4M at least"));
        parse(&["--memory", "4M"]).expect("enough");
        assert!(words(&["--resume=--x"]).contains("begins with `-`"));
    }

    #[test]
    fn what_follows_two_dashes_is_the_command() {
        let args = parse(&["-d", "--", "sh", "-c", "echo --json"]).expect("parsed");
        assert_eq!(args.argv, ["sh", "-c", "echo --json"]);
        assert!(args.detach);
    }
}
