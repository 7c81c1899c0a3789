//! A gate: a FIFO at which a fake agent stops until the test opens it. Both
//! sides know then that the other one is there; nobody sleeps.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::wait::{GENEROUS, wait_for};

/// One FIFO.
#[derive(Clone, Debug)]
pub struct Gate {
    path: PathBuf,
}

impl Gate {
    /// Makes it.
    ///
    /// # Panics
    /// When the file cannot be made.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("a FIFO can be made");
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The agent's step that waits here.
    #[must_use]
    pub fn step(&self) -> String {
        format!("gate:{}", self.path.display())
    }

    /// Waits until someone stands at the gate, and lets it pass.
    ///
    /// # Panics
    /// When nobody comes.
    pub fn open(&self) {
        wait_for("somebody at the gate", GENEROUS, || self.let_pass());
    }

    /// Lets somebody pass who stands there now, and says whether anybody did.
    #[must_use]
    pub fn try_open(&self) -> bool {
        self.let_pass().is_ok()
    }

    /// Without a reader a non-blocking open for writing says ENXIO.
    fn let_pass(&self) -> io::Result<()> {
        OpenOptions::new()
            .write(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(&self.path)
            .map(drop)
    }
}
