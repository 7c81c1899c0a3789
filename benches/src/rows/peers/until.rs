//! The end of an agent, as a peer tells it.

use std::path::PathBuf;
use std::process::Child;

use anyhow::{Result, ensure};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

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
        let watch = Inotify::init(InitFlags::IN_CLOEXEC)?;
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
                while !file.exists() {
                    watch.read_events()?;
                }
            }
        }
        Ok(())
    }
}
