//! A command that runs while the test goes on.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use super::ctl::Output;
use super::process::Process;
use super::wait::{GENEROUS, wait_until};

/// A running command; its output is read all the time.
#[derive(Debug)]
pub struct Background {
    /// The process.
    pub process: Process,
    reader: JoinHandle<Output>,
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
        let reader = std::thread::spawn(move || {
            let output = child.wait_with_output().expect("a child can be waited for");
            Output {
                command: shown,
                status: output.status,
                stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            }
        });
        Self { process, reader }
    }

    /// Has it ended?
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.reader.is_finished()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn output(self) -> Output {
        wait_until("the end of a command in the background", GENEROUS, || {
            self.has_ended()
        });
        self.reader.join().expect("the reader does not panic")
    }
}
