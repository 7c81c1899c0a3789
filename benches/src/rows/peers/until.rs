//! The end of an agent, as a peer tells it.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// A file that is not there by then never will be.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is waited for.
pub(super) enum Until {
    /// A program that ends then.
    Ended(Child),
    /// A file that is there then.
    Written(Inotify, PathBuf),
}

impl Until {
    /// Watches for `file`, whose folder is there.
    pub(super) fn written(file: PathBuf) -> Result<Self> {
        let watch = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let folder = file.parent().unwrap_or(&file);
        watch.add_watch(
            folder,
            AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO,
        )?;
        Ok(Self::Written(watch, file))
    }

    /// Waits for it.
    pub(super) fn comes(self) -> Result<()> {
        match self {
            Self::Ended(mut child) => {
                let status = child.wait()?;
                ensure!(status.success(), "what waits ended with {status}");
            }
            Self::Written(watch, file) => {
                let timeout = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
                while !file.exists() {
                    let mut waits = [PollFd::new(watch.as_fd(), PollFlags::POLLIN)];
                    ensure!(
                        poll(&mut waits, timeout)? > 0,
                        "{} never came",
                        file.display()
                    );
                    watch.read_events()?;
                }
            }
        }
        Ok(())
    }
}
