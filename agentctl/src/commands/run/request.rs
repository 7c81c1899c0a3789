//! From options to the wire: everything that can be wrong here is wrong
//! before anything was sent.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use protocol::TaskId;
use protocol::control::{RunRequest, SessionChoice};
use protocol::limits::{MAX_ENV_BYTES, MAX_PROMPT_BYTES};
use uuid::Uuid;

use super::args::Args;
use crate::errors::CliError;
use crate::place::is_task_marker;
use crate::render::{out, time};
use crate::values;

/// Permission bits by which people other than the owner read or change a file.
const OPEN_TO_OTHERS: u32 = 0o066;

/// The request that `args` mean.
///
/// # Errors
/// Usage: a file that is missing, or something that is too large.
pub(super) fn build(args: Args) -> Result<RunRequest, CliError> {
    let prompt = prompt(args.prompt, args.prompt_file)?;
    let mut variables = Vec::new();
    for file in &args.env_file {
        variables.extend(env_file(file)?);
    }
    variables.extend(args.env);
    let session = match (args.session_id, args.resume, args.fresh) {
        (Some(id), _, _) => SessionChoice::Chosen(id),
        (None, Some(id), _) => SessionChoice::Resume(id),
        (None, None, true) => SessionChoice::Fresh,
        (None, None, false) => SessionChoice::Auto,
    };
    let client_env = own_environment();
    check_size(client_env.iter().chain(&variables))?;
    Ok(RunRequest {
        id: args.id.map_or_else(new_id, Ok)?,
        provider: args.provider,
        argv: args.argv,
        key: args.key,
        prompt,
        model: args.model,
        name: args.name,
        cwd: working_folder(args.cwd)?,
        client_env,
        env: variables,
        agent: args.agent,
        agent_type: args.agent_type,
        repo: args.repo,
        issue_number: args.issue,
        user: args.user,
        session,
        unsafe_resume: args.unsafe_resume,
        timeout_ms: args.timeout,
        idle_timeout_ms: args.idle_timeout,
        start_timeout_ms: args.start_timeout,
        grace_ms: args.grace,
        max_log_bytes: args.max_log,
        provider_args: args.provider_arg,
        wait_for_exec: true,
    })
}

pub(super) fn new_id() -> Result<TaskId, CliError> {
    TaskId::new(Uuid::now_v7().to_string()).map_err(|bad| CliError::usage(bad.to_string()))
}

fn prompt(text: Option<String>, file: Option<String>) -> Result<Option<String>, CliError> {
    match (text.as_deref(), file) {
        (Some("-"), _) => read_prompt(&mut io::stdin().lock(), "stdin").map(Some),
        (Some(_), _) => text.map(within_limit).transpose(),
        (None, Some(path)) => {
            let mut file = File::open(&path).map_err(|error| unreadable(&path, &error))?;
            read_prompt(&mut file, &path).map(Some)
        }
        (None, None) => Ok(None),
    }
}

fn read_prompt(source: &mut impl Read, name: &str) -> Result<String, CliError> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells «too large» from «just right».
    let limit = MAX_PROMPT_BYTES as u64 + 1;
    source
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(name, &error))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| CliError::usage(format!("the prompt in {name} is not UTF-8 text")))?;
    within_limit(text)
}

fn within_limit(text: String) -> Result<String, CliError> {
    if text.len() <= MAX_PROMPT_BYTES {
        return Ok(text);
    }
    Err(CliError::Usage {
        message: format!(
            "the prompt is larger than {}",
            time::size(MAX_PROMPT_BYTES as u64)
        ),
        hint: Some("put it into a file that the agent reads, and name that in the prompt".into()),
    })
}

fn unreadable(name: &str, error: &io::Error) -> CliError {
    CliError::usage(format!("cannot read {name}: {error}"))
}

/// `NAME=VALUE` lines; blank lines and `#` comments are left out.
fn env_file(path: &str) -> Result<Vec<(String, String)>, CliError> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let open = fs::metadata(path).is_ok_and(|meta| meta.mode() & OPEN_TO_OTHERS != 0);
    if open {
        out::say(&format!(
            "agentctl: warning: {path} can be read or changed by others (`chmod 600 {path}`)"
        ));
    }
    parse_env(&text).map_err(|(line, why)| CliError::usage(format!("{path}:{line}: {why}")))
}

fn parse_env(text: &str) -> Result<Vec<(String, String)>, (usize, String)> {
    text.lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim_start()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| values::variable(line).map_err(|why| (number, why)))
        .collect()
}

/// The caller's environment without the marker of a task that it runs in: the
/// end of that task must not take this one along.
fn own_environment() -> Vec<(String, String)> {
    env::vars_os()
        .filter_map(
            |(name, value)| match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => Some((name, value)),
                (Ok(name), Err(_)) => {
                    out::say(&format!(
                        "agentctl: warning: {name} is not UTF-8 and is not passed on"
                    ));
                    None
                }
                (Err(name), _) => {
                    out::say(&format!(
                        "agentctl: warning: the variable {name:?} is not UTF-8 and is not passed on"
                    ));
                    None
                }
            },
        )
        .filter(|(name, _)| !is_task_marker(name))
        .collect()
}

fn check_size<'a>(variables: impl Iterator<Item = &'a (String, String)>) -> Result<(), CliError> {
    let bytes: usize = variables
        .map(|(name, value)| name.len() + value.len() + 2)
        .sum();
    if bytes <= MAX_ENV_BYTES {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "the environment has {}, and no program could be started with more than {}",
        time::size(bytes as u64),
        time::size(MAX_ENV_BYTES as u64)
    )))
}

/// Absolute, and not looked at: a missing folder is the supervisor's to tell.
fn working_folder(named: Option<String>) -> Result<String, CliError> {
    if let Some(dir) = named.as_ref().filter(|dir| dir.starts_with('/')) {
        return Ok(dir.clone());
    }
    let here = env::current_dir().map_err(|error| {
        CliError::usage(format!(
            "the current folder is gone: {error}; name one with --cwd"
        ))
    })?;
    let path = match named {
        // `.` says nothing in the middle of a path.
        Some(dir) => here.join(dir).components().collect(),
        None => here,
    };
    Path::to_str(&path)
        .map(str::to_owned)
        .ok_or_else(|| CliError::usage(format!("the folder {} is not UTF-8", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_files_are_read_line_by_line() {
        let text = "# comment\n\nA=1\n  B=two words \nC=a=b#c\n";
        let expected = [("A", "1"), ("B", "two words "), ("C", "a=b#c")];
        let read = parse_env(text).expect("valid");
        let read: Vec<(&str, &str)> = read
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(read, expected);
        assert_eq!(parse_env("A=1\nB\n").expect_err("line 2").0, 2);
    }

    #[test]
    fn prompts_have_a_limit_and_are_text() {
        let large = vec![b'x'; MAX_PROMPT_BYTES + 1];
        let error = read_prompt(&mut large.as_slice(), "stdin").expect_err("too large");
        assert!(error.to_string().contains("8.0 MiB"), "{error}");
        let error = read_prompt(&mut [0xff].as_slice(), "p").expect_err("not text");
        assert_eq!(error.code().0, 2);
        let mut exact = &large[1..];
        assert!(read_prompt(&mut exact, "stdin").is_ok());
    }

    #[test]
    fn folders_become_absolute() {
        assert_eq!(
            working_folder(Some("/no/such".into())).expect("absolute"),
            "/no/such"
        );
        let relative = working_folder(Some("sub".into())).expect("a current folder");
        assert!(
            relative.starts_with('/') && relative.ends_with("/sub"),
            "{relative}"
        );
    }

    #[test]
    fn an_environment_that_could_never_start_is_refused() {
        let huge = [("A".to_owned(), "x".repeat(MAX_ENV_BYTES))];
        assert_eq!(check_size(huge.iter()).expect_err("too large").code().0, 2);
    }

    #[test]
    fn ids_are_uuids_of_version_7() {
        let id = new_id().expect("valid");
        assert_eq!(id.as_str().len(), 36);
        assert_eq!(&id.as_str()[14..15], "7");
    }
}
