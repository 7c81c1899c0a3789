//! Commands: the order of the words, what is shown, what is refused.

use protocol::SessionId;
use protocol::limits::{MAX_ARG_BYTES, MAX_PROMPT_BYTES};

use super::super::{Launch, LaunchError, LaunchInput, LaunchSession, Provider};
use super::provider;

const EXEC: &str = include_str!("../../../providers/exec.toml");
const CLAUDE: &str = include_str!("../../../providers/claude.toml");

/// A CLI that takes everything as arguments, and resumes by a subcommand.
const WORDY: &str = r#"
name = "wordy"
description = "everything on the command line"
command = ["wordy", "run", "{args}", "{model}", "{session}", "--", "{prompt}"]
[prompt]
via = "argument"
[model]
args = ["--model={model}"]
[session]
pattern = '[a-z0-9-]+'
resume = ["resume", "{session_id}"]
[env]
set = { WORDY_QUIET = "1" }
strip = ["WORDY_*"]
require = ["WORDY_KEY"]
[[output.pattern]]
stream = "stderr"
contains = "chat "
means = "session_id_follows"
"#;

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

const NOTHING: LaunchInput<'static> = LaunchInput {
    argv: &[],
    provider_args: &[],
    model: None,
    session: LaunchSession::None,
    prompt: None,
};

fn launched(provider: &Provider, input: &LaunchInput<'_>) -> Launch {
    provider.launch(input).expect("nothing to refuse")
}

fn refused(provider: &Provider, input: &LaunchInput<'_>) -> String {
    provider.launch(input).expect_err("refused").to_string()
}

#[test]
fn exec_runs_the_words_as_they_are() {
    let argv = words(&["sh", "-c", "echo {prompt}"]);
    let args = words(&["extra"]);
    let input = LaunchInput {
        argv: &argv,
        provider_args: &args,
        prompt: Some("hello"),
        ..NOTHING
    };
    let launch = launched(&provider(EXEC), &input);
    assert_eq!(launch.argv, ["sh", "-c", "echo {prompt}", "extra"]);
    assert_eq!(launch.shown_argv, ["sh", "-c", "echo {prompt}", "<arg>"]);
    assert_eq!(launch.stdin.as_deref(), Some(&b"hello"[..]));
    assert_eq!(format!("{launch:?}").matches("hello").count(), 0);
}

#[test]
fn claude_gets_its_prompt_by_stdin() {
    let claude = provider(CLAUDE);
    let id = claude.fresh_session_id().expect("chosen for it");
    let head = [
        "claude",
        "-p",
        "--output-format",
        "stream-json",
        "--verbose",
    ];
    let args = words(&["--permission-mode", "acceptEdits"]);
    let input = LaunchInput {
        provider_args: &args,
        model: Some("opus"),
        session: LaunchSession::Chosen(&id),
        prompt: Some("- a list\n"),
        ..NOTHING
    };
    let launch = launched(&claude, &input);
    let tail = [
        "--model",
        "opus",
        "--session-id",
        id.as_str(),
        "--permission-mode",
        "acceptEdits",
    ];
    assert_eq!(launch.argv, [&head[..], &tail].concat());
    let shown = [
        "--model",
        "opus",
        "--session-id",
        id.as_str(),
        "<arg>",
        "<arg>",
    ];
    assert_eq!(launch.shown_argv, [&head[..], &shown].concat());
    assert_eq!(launch.stdin.as_deref(), Some(&b"- a list\n"[..]));
    let resumed = launched(
        &claude,
        &LaunchInput {
            session: LaunchSession::Resume(&id),
            prompt: Some("p"),
            ..NOTHING
        },
    );
    assert_eq!(
        resumed.argv,
        [&head[..], &["--resume", id.as_str()]].concat()
    );
    assert_eq!(resumed.argv, resumed.shown_argv);
    assert!(resumed.env_strip.contains(&"CLAUDECODE".to_owned()));
    // Further words of the caller's are arguments, and shown as such.
    let further = words(&["--max-turns", "3"]);
    let input = LaunchInput {
        argv: &further,
        prompt: Some("p"),
        ..NOTHING
    };
    let launch = launched(&claude, &input);
    assert_eq!(launch.argv[head.len()..], ["--max-turns", "3"]);
    assert_eq!(launch.shown_argv[head.len()..], ["<arg>", "<arg>"]);
}

#[test]
fn every_place_is_where_the_file_says() {
    let id = SessionId::new("s-1").expect("legal");
    let args = words(&["-v"]);
    let input = LaunchInput {
        provider_args: &args,
        model: Some("big"),
        session: LaunchSession::Resume(&id),
        prompt: Some("--do it"),
        ..NOTHING
    };
    let wordy = provider(WORDY);
    let launch = launched(&wordy, &input);
    let expected = [
        "wordy",
        "run",
        "-v",
        "--model=big",
        "resume",
        "s-1",
        "--",
        "--do it",
    ];
    assert_eq!(launch.argv, expected);
    let shown = [
        "wordy",
        "run",
        "<arg>",
        "--model=big",
        "resume",
        "s-1",
        "--",
        "<prompt>",
    ];
    assert_eq!(launch.shown_argv, shown);
    assert_eq!(launch.stdin, None);
    assert_eq!(launch.env_add, [("WORDY_QUIET".to_owned(), "1".to_owned())]);
    assert_eq!(launch.env_strip, ["WORDY_*"]);
    assert_eq!(launch.env_require, ["WORDY_KEY"]);
    // Nothing said, nothing there.
    assert_eq!(launched(&wordy, &NOTHING).argv, ["wordy", "run", "--"]);
}

#[test]
fn a_value_is_never_read_as_an_option() {
    let bare = WORDY
        .replace("\"--\", ", "")
        .replace("--model={model}", "{model}");
    let bare = provider(&bare);
    assert_eq!(
        refused(
            &bare,
            &LaunchInput {
                prompt: Some("-rf"),
                ..NOTHING
            }
        ),
        "the prompt begins with `-`, and provider wordy would read it as an option"
    );
    assert_eq!(
        refused(
            &bare,
            &LaunchInput {
                model: Some("--x"),
                ..NOTHING
            }
        ),
        "the model begins with `-`, and provider wordy would read it as an option"
    );
    let input = LaunchInput {
        model: Some("--x"),
        ..NOTHING
    };
    assert_eq!(launched(&provider(WORDY), &input).argv[2], "--model=--x");
}

#[test]
fn what_a_provider_cannot_do_is_refused_in_words() {
    let exec = provider(EXEC);
    let id = SessionId::new("s-1").expect("legal");
    let argv = words(&["true"]);
    let exec_input = LaunchInput {
        argv: &argv,
        ..NOTHING
    };
    assert_eq!(
        refused(&exec, &NOTHING),
        "provider exec needs a command: put it behind `--`"
    );
    assert_eq!(
        refused(
            &exec,
            &LaunchInput {
                model: Some("m"),
                ..exec_input
            }
        ),
        "provider exec takes no model: leave out --model"
    );
    assert_eq!(
        refused(
            &exec,
            &LaunchInput {
                session: LaunchSession::Resume(&id),
                ..exec_input
            }
        ),
        "provider exec cannot resume a session"
    );
    assert_eq!(
        refused(
            &exec,
            &LaunchInput {
                session: LaunchSession::Chosen(&id),
                ..exec_input
            }
        ),
        "provider exec chooses its session ids itself"
    );
}

#[test]
fn a_provider_is_not_started_without_what_it_needs() {
    let claude = provider(CLAUDE);
    let id = SessionId::new("s-1").expect("legal");
    let argv = words(&["true"]);
    let prompted = LaunchInput {
        prompt: Some("p"),
        ..NOTHING
    };
    for prompt in [None, Some("")] {
        assert_eq!(
            refused(&claude, &LaunchInput { prompt, ..NOTHING }),
            "provider claude needs a prompt: give one with --prompt or --prompt-file"
        );
    }
    assert_eq!(
        refused(
            &claude,
            &LaunchInput {
                session: LaunchSession::Resume(&id),
                ..prompted
            }
        ),
        "`s-1` is not a session id of provider claude: it does not match \
         `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`"
    );
    let closed = "name = \"closed\"\ndescription = \"d\"\ncommand = [\"closed\"]\n";
    let closed = provider(closed);
    assert_eq!(
        refused(&closed, &prompted),
        "provider closed takes no prompt: leave it out"
    );
    assert_eq!(
        refused(
            &closed,
            &LaunchInput {
                argv: &argv,
                ..NOTHING
            }
        ),
        "provider closed takes no further arguments: its file has no `{args}`"
    );
    let args = LaunchInput {
        provider_args: &argv,
        ..NOTHING
    };
    assert_eq!(
        refused(&closed, &args),
        "provider closed takes no further arguments: its file has no `{args}`"
    );
}

#[test]
fn what_the_kernel_would_refuse_is_refused_before() {
    let wordy = provider(WORDY);
    let long = "x".repeat(MAX_ARG_BYTES);
    assert_eq!(
        refused(
            &wordy,
            &LaunchInput {
                prompt: Some(&long),
                ..NOTHING
            }
        ),
        "the prompt has 131072 bytes, and one argument may have 131071: put it in a file \
         and name that file instead"
    );
    assert!(
        wordy
            .launch(&LaunchInput {
                prompt: Some(&long[1..]),
                ..NOTHING
            })
            .is_ok()
    );
    let claude = provider(CLAUDE);
    assert!(
        claude
            .launch(&LaunchInput {
                prompt: Some(&long),
                ..NOTHING
            })
            .is_ok(),
        "by stdin"
    );
    let huge = "x".repeat(MAX_PROMPT_BYTES + 1);
    assert_eq!(
        claude.launch(&LaunchInput {
            prompt: Some(&huge),
            ..NOTHING
        }),
        Err(LaunchError::PromptTooLarge {
            bytes: MAX_PROMPT_BYTES + 1
        })
    );
    assert_eq!(
        refused(
            &wordy,
            &LaunchInput {
                prompt: Some("a\0b"),
                ..NOTHING
            }
        ),
        "the prompt has a NUL byte in it"
    );
}
