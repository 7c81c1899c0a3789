//! Starting a supervisor of the user's own, in the background.

use std::env;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow};

use crate::client::Client;
use crate::errors::CliError;
use crate::place::{Place, inside_a_task};
use crate::render::out;

/// The program.
const SUPERVISOR: &str = "agent-supervisor";

/// Names another program to start.
const BINARY_VAR: &str = "AGENT_SUPERVISOR_BIN";

/// How long a new supervisor may take until its socket answers: a migration
/// of a large ledger fits.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Between two looks at the socket of a supervisor that another process starts.
const RACE_PAUSE: Duration = Duration::from_millis(5);

/// How long its socket is looked for before another start is tried.
const SOON: Duration = Duration::from_secs(2);

/// Longest answer of a starting supervisor, in bytes: one line.
const MAX_ANSWER: u64 = 16 << 10;

/// The exit code of a supervisor that found the place locked by another.
const LOCKED: i32 = 3;

/// May this command start a supervisor?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Yes.
    Start,
    /// `--no-start` or `AGENTCTL_NO_START=1`.
    Refuse,
}

/// Starts a supervisor where none answered; says so on stderr.
///
/// # Errors
/// Exit code 5 with the reason where none may or can be started.
pub(crate) fn start(client: &Client, permission: Permission) -> Result<(), CliError> {
    let candidates = client.candidates();
    if inside_a_task() {
        return Err(refused(
            "no supervisor answers, and inside a task none is started: it would be ended together with the task",
            "start `agent-supervisor` outside of the task",
        ));
    }
    if permission == Permission::Refuse {
        return Err(refused(
            "no supervisor answers, and --no-start (or AGENTCTL_NO_START=1) forbids to start one",
            "start `agent-supervisor`, or leave the option out",
        ));
    }
    if let Some(unit) = candidates.installed_service() {
        return Err(refused(
            &format!("no supervisor answers, and it is installed as a service ({unit})"),
            "`systemctl start agent-supervisor` (`--user` for a user's unit); or name a place of your own with --state-dir",
        ));
    }
    let Some(place) = candidates.startable() else {
        return Err(refused(
            "no supervisor answers, and without HOME there is no place for one of your own",
            "set HOME, or name a place with --state-dir",
        ));
    };
    if let Some(child) = spawn_or_find(place)? {
        out::note(&format!(
            "agentctl: no supervisor was running; started one (pid {}, state in {})",
            child.id(),
            place.places.state_dir
        ));
    }
    Ok(())
}

/// None where another process was faster. That one may still fail; the next of
/// ours then takes its place, or says why nobody can.
fn spawn_or_find(place: &Place) -> Result<Option<Child>, CliError> {
    let began = Instant::now();
    loop {
        if let Spawned::Ready(child) = spawn(place, Life::ItsOwn)? {
            return Ok(Some(child));
        }
        if answers_soon(place) {
            return Ok(None);
        }
        if began.elapsed() >= START_LIMIT {
            return Err(not_ready(
                "another supervisor holds the place and does not answer",
            ));
        }
    }
}

/// Starts a supervisor at the one place that `client` was given: for a trial,
/// apart from everybody else's. It leaves, and takes its tasks and its folder with it,
/// when its stdin is closed: by its caller, or because that is no more.
///
/// # Errors
/// Exit code 5 with the reason where none can be started.
pub(crate) fn start_apart(client: &Client) -> Result<Child, CliError> {
    if inside_a_task() {
        return Err(refused(
            "inside a task no supervisor is started: it would be ended together with the task",
            "try it outside of the task",
        ));
    }
    let place = client.candidates().startable();
    match place.map(|place| spawn(place, Life::AsOurs)).transpose()? {
        Some(Spawned::Ready(child)) => Ok(child),
        Some(Spawned::Locked) | None => Err(not_ready("its place is taken")),
    }
}

/// The supervisor's program: `AGENT_SUPERVISOR_BIN`, else beside this one,
/// else on the search path.
///
/// # Errors
/// When it is nowhere.
pub(crate) fn supervisor_binary() -> Result<PathBuf, CliError> {
    if let Some(named) = env::var_os(BINARY_VAR).filter(|name| !name.is_empty()) {
        return Ok(PathBuf::from(named));
    }
    let beside = env::current_exe()
        .ok()
        .and_then(|own| Some(own.parent()?.join(SUPERVISOR)));
    let on_path = env::var_os("PATH").unwrap_or_default();
    let found = beside
        .into_iter()
        .chain(env::split_paths(&on_path).map(|dir| dir.join(SUPERVISOR)))
        .find(|file| is_program(file));
    found.ok_or_else(|| CliError::Unreachable {
        message: format!("{SUPERVISOR} is neither beside agentctl nor on the PATH"),
        hint: Some(format!("install it, or name it with {BINARY_VAR}")),
    })
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// What became of a supervisor that was started.
enum Spawned {
    /// It answers.
    Ready(Child),
    /// It is gone: another one holds the place.
    Locked,
}

/// How long a supervisor lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Until it is told to leave.
    ItsOwn,
    /// No longer than this process.
    AsOurs,
}

fn spawn(place: &Place, life: Life) -> Result<Spawned, CliError> {
    let binary = supervisor_binary()?;
    let mut command = Command::new(&binary);
    command
        .arg("--background")
        .args(place.flags())
        .stdout(Stdio::piped());
    if out::holds_notes() {
        // Why it does not come up is its answer; whatever else it says is no JSON.
        command.stderr(Stdio::null());
    }
    match life {
        Life::ItsOwn => command.stdin(Stdio::null()),
        Life::AsOurs => command.arg("--trial").stdin(Stdio::piped()),
    };
    let child = with_all_signals(|| command.spawn());
    let mut child = child.map_err(|error| CliError::Unreachable {
        message: format!("cannot start {}: {error}", binary.display()),
        hint: None,
    })?;
    let stdout = child.stdout.take();
    let answer = match stdout {
        Some(stdout) => read_answer(stdout).map_err(|error| not_ready(&error.to_string()))?,
        None => return Err(not_ready("it has no stdout")),
    };
    if answer.lines().any(|line| line == "READY") {
        return Ok(Spawned::Ready(child));
    }
    failed(&mut child, &answer)
}

/// A child inherits what this thread blocks, and a supervisor that blocks TERM
/// could not be stopped.
fn with_all_signals<T>(spawn: impl FnOnce() -> T) -> T {
    let before = SigSet::empty().thread_swap_mask(SigmaskHow::SIG_SETMASK);
    let spawned = spawn();
    if let Ok(before) = before {
        // It was valid a moment ago.
        let _restored = before.thread_set_mask();
    }
    spawned
}

/// Reads what the new supervisor says until it closes its stdout.
fn read_answer(stdout: ChildStdout) -> io::Result<String> {
    let began = Instant::now();
    let mut reader = BufReader::new(stdout.take(MAX_ANSWER));
    let mut answer = String::new();
    loop {
        if reader.buffer().is_empty() {
            wait_readable(reader.get_ref().get_ref(), began)?;
        }
        // One line at a time: it is written at once.
        if reader.read_line(&mut answer)? == 0 || answer.ends_with("READY\n") {
            return Ok(answer);
        }
    }
}

fn wait_readable(source: &ChildStdout, began: Instant) -> io::Result<()> {
    loop {
        let left = START_LIMIT.saturating_sub(began.elapsed());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(
            &mut [PollFd::new(source.as_fd(), PollFlags::POLLIN)],
            timeout,
        ) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::TimedOut)),
            Ok(_) => return Ok(()),
            Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// It did not come up: somebody else was faster, or something is wrong.
fn failed(child: &mut Child, answer: &str) -> Result<Spawned, CliError> {
    let status = child
        .wait()
        .map_err(|error| CliError::io("wait for the new supervisor", error))?;
    if status.code() == Some(LOCKED) {
        return Ok(Spawned::Locked);
    }
    let said = answer.lines().find_map(|line| line.strip_prefix("ERROR "));
    Err(not_ready(
        &said.map_or_else(|| status.to_string(), str::to_owned),
    ))
}

/// The winner of the race holds the locks already; its socket follows.
fn answers_soon(place: &Place) -> bool {
    let began = Instant::now();
    while began.elapsed() < SOON {
        if place.connect().is_ok() {
            return true;
        }
        thread::sleep(RACE_PAUSE);
    }
    false
}

fn not_ready(why: &str) -> CliError {
    CliError::Unreachable {
        message: format!("the supervisor could not be started: {why}"),
        hint: Some("run `agent-supervisor` in the foreground to see more".into()),
    }
}

fn refused(message: &str, hint: &str) -> CliError {
    CliError::Unreachable {
        message: message.to_owned(),
        hint: Some(hint.to_owned()),
    }
}
