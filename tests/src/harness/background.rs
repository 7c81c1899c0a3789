//! A command that runs while the test goes on.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use super::ctl::Output;
use super::process::Process;
use super::wait::GENEROUS;

/// A running command; its output is read all the time.
#[derive(Debug)]
pub struct Background {
    /// The process.
    pub process: Process,
    command: String,
    answer: Receiver<Output>,
    reader: JoinHandle<()>,
}

impl Background {
    /// Starts it, in a process group of its own as a shell would.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        let shown = format!("{:?} {:?}", command.get_program(), command.get_args());
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{shown}: {error}"));
        let pid = i32::try_from(child.id()).expect("a pid");
        let process = Process::now(pid).unwrap_or(Process { pid, start_time: 0 });
        let (send, answer) = channel();
        let command = shown.clone();
        let reader = std::thread::spawn(move || {
            let output = child.wait_with_output().expect("a child can be waited for");
            // A test that gave up does not listen any more.
            let _gone = send.send(Output {
                command: shown,
                status: output.status,
                stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        });
        Self {
            process,
            command,
            answer,
            reader,
        }
    }

    /// Has it ended?
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.reader.is_finished()
    }

    /// Waits for its end, and for that of everything that holds its stdout or
    /// stderr.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn output(self) -> Output {
        self.answer.recv_timeout(GENEROUS).unwrap_or_else(|_| {
            let lives = self.process.is_alive();
            let command = &self.command;
            panic!("{command} did not end, or something holds its output; it lives: {lives}")
        })
    }
}
