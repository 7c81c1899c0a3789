//! One question to an engine by its client, which may hang for ever.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::{DEADLINE, found};
use crate::PidFd;
use crate::hook::Step;
use crate::signal::send_to_own_group;

/// Of the environment, what a client needs to find its engine: no secrets.
const VARIABLES: [&str; 20] = [
    "PATH",
    "HOME",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSH_AUTH_SOCK",
    "STORAGE_DRIVER",
    "STORAGE_OPTS",
    "CONTAINERS_CONF",
    "CONTAINERS_STORAGE_CONF",
    "CONTAINER_HOST",
    "CONTAINER_CONNECTION",
    "CONTAINER_SSHKEY",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
    "DOCKER_API_VERSION",
];

/// Between two looks at what was said: a full pipe holds the client up so long.
const PACE: Duration = Duration::from_millis(50);
/// How long a killed client is waited for. One that hangs in the kernel is left.
const KILLED: Duration = Duration::from_secs(1);
/// Most of an answer that is kept, in bytes.
const MOST_SAID: usize = 1 << 20;

const SIGKILL: i32 = 9;

/// An engine's client, and what it needs to find its engine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Client {
    pub(super) engine: PathBuf,
    pub(super) env: Vec<(String, String)>,
}

impl Client {
    pub(super) fn new(engine: PathBuf, env: impl IntoIterator<Item = (String, String)>) -> Self {
        let needed = |(name, value): &(String, String)| {
            VARIABLES.contains(&name.as_str()) && !value.contains('\n')
        };
        let env = env.into_iter().filter(needed).collect();
        Self { engine, env }
    }

    /// What the client says, on stdout and stderr together.
    ///
    /// # Errors
    /// `TimedOut` if it has not ended by `until`; it is killed then.
    pub(super) fn ask(&self, words: &[&str], until: Instant, step: &Step) -> io::Result<String> {
        let (reader, writer) = io::pipe()?;
        let reader = OwnedFd::from(reader);
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let mut child = Command::new(&self.engine)
            .args(words)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            // Whatever it starts is killed with it.
            .process_group(0)
            .spawn()?;
        let mut said = Vec::new();
        let ended = follow(&child, &mut File::from(reader), &mut said, until);
        if !matches!(ended, Ok(true)) {
            give_up(&child, step);
        }
        match ended {
            Ok(true) => {
                child.wait()?;
                Ok(String::from_utf8_lossy(&said).into_owned())
            }
            Ok(false) => {
                let _ = child.try_wait();
                Err(io::ErrorKind::TimedOut.into())
            }
            Err(error) => {
                let _ = child.try_wait();
                Err(error)
            }
        }
    }

    /// What it said, for people.
    pub(super) fn says(&self, said: &str) -> String {
        format!("{} says: {}", self.name(), found::quoted(said))
    }

    /// Why it said nothing, for people.
    pub(super) fn silent(&self, error: &io::Error) -> String {
        let name = self.name();
        if error.kind() == io::ErrorKind::TimedOut {
            let seconds = DEADLINE.as_secs();
            return format!("{name} did not answer for {seconds} s");
        }
        format!("{name} could not be asked: {error}")
    }

    fn name(&self) -> String {
        let name = self.engine.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

/// Reads until the client has ended. What it leaves behind may hold the pipe, so
/// its end is not waited for.
fn follow(
    child: &Child,
    reader: &mut File,
    said: &mut Vec<u8>,
    until: Instant,
) -> io::Result<bool> {
    let Some(pidfd) = PidFd::open(pid(child)?)? else {
        return Ok(false);
    };
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let ended = pidfd.wait_ended(left.min(PACE))?;
        read_all(reader, said)?;
        if ended || left.is_zero() {
            return Ok(ended);
        }
    }
}

fn read_all(reader: &mut File, said: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => said.extend(buffer.iter().take(count.min(MOST_SAID - said.len()))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn give_up(child: &Child, step: &Step) {
    let Ok(pid) = pid(child) else { return };
    // It is ours and not taken away yet: the number is its own.
    let _ = send_to_own_group(pid, SIGKILL, step);
    if let Ok(Some(pidfd)) = PidFd::open(pid) {
        let _ = pidfd.wait_ended(KILLED);
    }
}

fn pid(child: &Child) -> io::Result<i32> {
    i32::try_from(child.id()).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::SHIM_SIGNAL;

    fn shell() -> Client {
        let env = [("PATH", "/usr/bin:/bin"), ("TOKEN", "secret")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Client::new("/bin/sh".into(), env)
    }

    #[test]
    fn what_it_says_comes_without_waiting_for_what_it_leaves_behind() {
        let script = "echo out; echo err >&2; echo $TOKEN; sleep 1000 & echo $!";
        let until = Instant::now() + Duration::from_secs(600);
        let said = shell().ask(&["-c", script], until, &SHIM_SIGNAL);
        let said = said.expect("an answer");
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[..3], ["out", "err", ""]);
        let left = lines[3].parse().expect("a pid");
        let left = PidFd::open(left).expect("readable").expect("it lives");
        left.send_signal(SIGKILL, &SHIM_SIGNAL).expect("ours");
    }

    #[test]
    fn a_client_that_hangs_is_killed_with_what_it_started() {
        let place = std::env::temp_dir().join(format!("ask-{}", std::process::id()));
        let script = format!(
            "sleep 1000 & echo $! >{0}.new && mv {0}.new {0}; wait",
            place.display()
        );
        let until = Instant::now() + Duration::from_millis(500);
        let error = shell().ask(&["-c", &script], until, &SHIM_SIGNAL);
        let error = error.expect_err("it hangs");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let pid = std::fs::read_to_string(&place).expect("it had begun");
        std::fs::remove_file(&place).expect("ours");
        let pid: i32 = pid.trim().parse().expect("a pid");
        if let Some(left) = PidFd::open(pid).expect("readable") {
            assert!(left.wait_ended(Duration::from_secs(60)).expect("readable"));
        }
    }
}
