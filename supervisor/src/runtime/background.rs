//! `--background`: the supervisor leaves its caller, and tells it one line.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{dup2_stderr, dup2_stdout, setsid};

/// Leaves the caller's session, so that neither its terminal nor its process
/// group takes this process with it.
///
/// # Errors
/// The kernel's answer. A process that leads its group already keeps it.
pub(super) fn detach() -> io::Result<()> {
    match setsid() {
        Ok(_) | Err(Errno::EPERM) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// The control socket answers: the caller may go on. Nothing of the caller's is
/// held from now on, so that whoever reads its output sees its end; what a
/// panic says goes to `log`.
pub(super) fn report_ready(log: &Path) {
    if let Ok(file) = OpenOptions::new().append(true).open(log) {
        let _ = dup2_stderr(&file);
    } else if let Ok(null) = OpenOptions::new().write(true).open("/dev/null") {
        let _ = dup2_stderr(&null);
    }
    report("READY");
}

/// It will not answer, and this is why.
pub(super) fn report_failure(words: &str) {
    let line: String = words.lines().collect::<Vec<_>>().join(" ");
    report(&format!("ERROR {line}"));
}

/// One line, then stdout is closed: the caller reads to its end.
fn report(line: &str) {
    let mut stdout = io::stdout().lock();
    // The caller may be gone, which is no reason to stop.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    if let Ok(null) = OpenOptions::new().write(true).open("/dev/null") {
        let _ = dup2_stdout(&null);
    }
}
