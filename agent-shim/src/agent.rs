//! The start of the agent: its files, pipes, private folder and process.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use protocol::shim::{AgentUser, SpawnStage, Start};
use protocol::vocab::Stream;
use sys::container::Container;
use sys::hook::SHIM_EXEC;
use sys::spawn::{Plan, SpawnError, Spawned, spawn};
use sys::temp_folder::{self, TempFolder};

use crate::output::{LogFile, Output};

/// By which an `agentctl` inside the task finds its own supervisor.
const RUNTIME_DIR_VARIABLE: &str = "AGENT_SUPERVISOR_RUNTIME_DIR";

/// An agent that runs.
#[derive(Debug)]
pub struct Agent {
    /// Its leader.
    pub leader: Spawned,
    /// Its stdout and its stderr.
    pub outputs: [Output; 2],
    /// What is left of its stdin to write.
    pub prompt: Option<Prompt>,
    /// Its private folder.
    pub temp: PrivateFolder,
    /// Where it really runs, if not here.
    pub container: Option<Container>,
}

/// Starts the agent of `start`, as `user` if one is given. The environment, the arguments and the prompt
/// are taken out of the order and are gone afterwards.
///
/// # Errors
/// [`SpawnError`]; nothing runs then, and the private folder is removed.
pub fn start(start: &mut Start, user: Option<&AgentUser>) -> Result<Agent, SpawnError> {
    let task_dir = PathBuf::from(&start.task_dir);
    let container = enter(start, &task_dir)?;
    let temp = PrivateFolder::create(&task_dir, user)?;
    let started = start_in(start, &task_dir, &temp, user);
    (start.argv, start.env, start.stdin) = (Vec::new(), Vec::new(), None);
    match started {
        Ok((leader, outputs, prompt)) => Ok(Agent {
            leader,
            outputs,
            prompt,
            temp,
            container,
        }),
        Err(error) => {
            temp.remove();
            Err(error)
        }
    }
}

/// With a container the leader is the program around its exec client.
fn enter(start: &mut Start, task_dir: &Path) -> Result<Option<Container>, SpawnError> {
    let found = Container::take(&start.task_id, task_dir, &mut start.env)?;
    Ok(found.map(|(container, passed)| {
        start.argv = container.argv(passed, std::mem::take(&mut start.argv));
        container
    }))
}

type Started = (Spawned, [Output; 2], Option<Prompt>);

fn start_in(
    start: &mut Start,
    task_dir: &Path,
    temp: &PrivateFolder,
    user: Option<&AgentUser>,
) -> Result<Started, SpawnError> {
    let (stdout, agent_stdout) = output(Stream::Stdout, task_dir, start.max_log_bytes)?;
    let (stderr, agent_stderr) = output(Stream::Stderr, task_dir, start.max_log_bytes)?;
    let (prompt, agent_stdin) = stdin(start.stdin.take())?;
    if let Some(user) = user {
        // `/dev/stderr` and the like are opened anew by whoever writes there.
        for pipe in [&agent_stdin, &agent_stdout, &agent_stderr] {
            give_pipe(pipe, user).map_err(|error| failed(&error, Path::new("stdio")))?;
        }
    }
    let mut env = std::mem::take(&mut start.env);
    env.retain(|(name, _)| name != "TMPDIR");
    env.push((
        "TMPDIR".to_owned(),
        temp.0.path().to_string_lossy().into_owned(),
    ));
    if !env.iter().any(|(name, _)| name == RUNTIME_DIR_VARIABLE) {
        env.push((RUNTIME_DIR_VARIABLE.to_owned(), start.runtime_dir.clone()));
    }
    let plan = Plan {
        argv: &start.argv,
        env: &env,
        cwd: Path::new(&start.cwd),
        stdio: [
            agent_stdin.as_fd(),
            agent_stdout.as_fd(),
            agent_stderr.as_fd(),
        ],
        nofile_soft: start.nofile_soft,
        user,
    };
    let leader = spawn(&plan, &SHIM_EXEC)?;
    Ok((leader, [stdout, stderr], prompt))
}

/// The agent's TMPDIR.
#[derive(Debug)]
pub struct PrivateFolder(TempFolder);

impl PrivateFolder {
    fn create(task_dir: &Path, user: Option<&AgentUser>) -> Result<Self, SpawnError> {
        let failed = |error: io::Error| failed(&error, Path::new("TMPDIR"));
        let mut places: Vec<_> = temp_folder::PLACES.iter().map(Path::new).collect();
        let folder = match user {
            // The task's own folder is closed to another user; and what is another
            // user's has to be named.
            Some(user) => {
                let folder = TempFolder::linked(task_dir, &places).map_err(failed)?;
                folder.give_to(user.uid, user.gid).map_err(failed)?;
                folder
            }
            None => {
                places.push(task_dir);
                TempFolder::of_task(task_dir, &places).map_err(failed)?
            }
        };
        Ok(Self(folder))
    }

    /// Removes it with everything in it. What stays is only temporary files.
    pub fn remove(self) {
        let _ = self.0.remove();
    }
}

fn output(stream: Stream, task_dir: &Path, cap: u64) -> Result<(Output, OwnedFd), SpawnError> {
    let path = task_dir.join(format!("{stream}.log"));
    let log = LogFile::open(&path, cap).map_err(|error| failed(&error, &path))?;
    let pipe = || -> io::Result<(Output, OwnedFd)> {
        let (reader, writer) = io::pipe()?;
        Ok((Output::new(stream, reader.into(), log)?, writer.into()))
    };
    pipe().map_err(|error| failed(&error, Path::new(stream.as_str())))
}

/// Makes a pipe the user's; a stdin that is none stays as it is.
fn give_pipe(pipe: &OwnedFd, user: &AgentUser) -> io::Result<()> {
    let file = File::from(pipe.try_clone()?);
    if file.metadata()?.file_type().is_fifo() {
        std::os::unix::fs::fchown(pipe, Some(user.uid), Some(user.gid))?;
    }
    Ok(())
}

/// The agent's end of its stdin, and the rest of the prompt if it does not fit
/// in a pipe.
fn stdin(prompt: Option<Vec<u8>>) -> Result<(Option<Prompt>, OwnedFd), SpawnError> {
    let open = || -> io::Result<(Option<Prompt>, OwnedFd)> {
        let Some(bytes) = prompt else {
            return Ok((None, File::open("/dev/null")?.into()));
        };
        let (reader, writer) = io::pipe()?;
        let writer = OwnedFd::from(writer);
        fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let prompt = Prompt {
            pipe: File::from(writer),
            bytes,
            written: 0,
        };
        Ok((prompt.write(), reader.into()))
    };
    open().map_err(|error| failed(&error, Path::new("stdin")))
}

fn failed(error: &io::Error, path: &Path) -> SpawnError {
    SpawnError::from_io(SpawnStage::Prepare, error, path)
}

/// A prompt that is being written to the agent's stdin.
pub struct Prompt {
    pipe: File,
    bytes: Vec<u8>,
    written: usize,
}

/// A prompt never appears in `Debug`.
impl std::fmt::Debug for Prompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prompt")
            .field("left", &(self.bytes.len() - self.written))
            .finish()
    }
}

impl Prompt {
    /// Writes what the pipe takes. `None` once nothing is left to do, because
    /// all is written or nobody reads it: the pipe is closed then.
    #[must_use]
    pub fn write(mut self) -> Option<Self> {
        while self.written < self.bytes.len() {
            match self.pipe.write(&self.bytes[self.written..]) {
                Ok(written) if written > 0 => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(self),
                Ok(_) | Err(_) => return None,
            }
        }
        None
    }
}

impl AsFd for Prompt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
