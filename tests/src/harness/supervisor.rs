//! A supervisor in the foreground, as a child of the test.

use std::fs;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;

use nix::sys::signal::Signal;

use super::process::Process;
use super::wait::{GENEROUS, wait_for};

/// One run of `agent-supervisor`.
#[derive(Debug)]
pub struct Supervisor {
    /// The process.
    pub process: Process,
    child: Mutex<Child>,
    log: PathBuf,
}

impl Supervisor {
    /// Starts it and waits until its control socket accepts.
    ///
    /// # Panics
    /// When it ends instead; the message shows what it said.
    #[must_use]
    pub fn start(command: Command, log: PathBuf, control_socket: &Path) -> Self {
        let supervisor = Self::spawn(command, log);
        wait_for("the control socket", GENEROUS, || {
            if let Some(status) = supervisor.has_ended() {
                panic!("the supervisor ended ({status}):\n{}", supervisor.log());
            }
            UnixStream::connect(control_socket).map(drop)
        });
        supervisor
    }

    /// Starts it and waits for nothing.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn spawn(mut command: Command, log: PathBuf) -> Self {
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .expect("the supervisor's log can be opened");
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("the supervisor can be started");
        let pid = i32::try_from(child.id()).expect("a pid");
        let process = Process::now(pid).unwrap_or(Process { pid, start_time: 0 });
        Self {
            process,
            child: Mutex::new(child),
            log,
        }
    }

    /// What it said so far.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// How it ended, if it did.
    ///
    /// # Panics
    /// When the kernel does not tell.
    #[must_use]
    pub fn has_ended(&self) -> Option<ExitStatus> {
        self.child
            .lock()
            .expect("nobody panics with it")
            .try_wait()
            .expect("a child can be waited for")
    }

    /// SIGKILL; it is gone when this returns.
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
        let _status = self.ended();
    }

    /// A signal.
    pub fn signal(&self, signal: Signal) {
        if self.has_ended().is_none() {
            self.process.signal(signal);
        }
    }

    /// SIGTERM, and how it ended.
    #[must_use]
    pub fn terminate(&self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.ended()
    }

    /// Waits for its end.
    #[must_use]
    pub fn ended(&self) -> ExitStatus {
        wait_for("the supervisor's end", GENEROUS, || {
            self.has_ended().ok_or_else(|| self.process.state())
        })
    }

    /// Did SIGKILL end it?
    #[must_use]
    pub fn was_killed(&self) -> bool {
        self.has_ended()
            .is_some_and(|status| status.signal() == Some(Signal::SIGKILL as i32))
    }
}
