//! `agentctl`: the command line of the agent supervisor, a client of its
//! control socket.
//!
//! Starting is most of its cost, so nothing is done before it is needed: no
//! runtime, no threads, no files but the sockets.

mod cli;
mod client;
mod commands;
mod errors;
mod exit_code;
mod follow;
mod place;
mod render;
mod start;
mod values;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use crate::cli::Cli;
use crate::errors::CliError;
use crate::render::out::{self, Format};

/// Most of a start is memory: what the options need is touched once.
#[global_allocator]
static HEAP: sys::heap::CompactHeap = sys::heap::CompactHeap::new();

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let format = cli.global.format();
    if format == Format::Json {
        out::hold_notes();
    }
    match commands::execute(cli) {
        Ok(code) => {
            for note in out::take_notes() {
                out::say(&note);
            }
            code.into()
        }
        Err(error) => {
            tell(&error, format);
            error.code().into()
        }
    }
}

fn tell(error: &CliError, format: Format) {
    match (error, format) {
        (CliError::StdoutClosed, _) => {}
        (_, Format::Json) => out::say(error.json(&out::take_notes()).trim_end()),
        (_, Format::Text) => out::say(error.text().trim_end()),
    }
}

/// A command line that is not for us, or that only asks for help.
fn refuse(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && wants_json(std::env::args_os().skip(1)) {
        let text = error.render().to_string();
        let text = text.trim().trim_start_matches("error: ");
        let (message, hint) = text
            .split_once("\n\n")
            .map_or((text, None), |(message, rest)| {
                (message, Some(rest.to_owned()))
            });
        tell(
            &CliError::Usage {
                message: message.to_owned(),
                hint,
            },
            Format::Json,
        );
    } else if error
        .print()
        .and_then(|()| std::io::stdout().flush())
        .is_err()
    {
        // Whoever asked for help has stopped reading.
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// `--json` stands before `--`, whatever else is wrong with the line.
fn wants_json(args: impl Iterator<Item = OsString>) -> bool {
    args.take_while(|arg| arg != "--")
        .any(|arg| arg == "--json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_asked_for_before_the_command_only() {
        let line = |words: &[&str]| wants_json(words.iter().map(OsString::from));
        assert!(line(&["list", "--json", "--bad"]));
        assert!(!line(&["run", "--", "x", "--json"]));
    }
}
