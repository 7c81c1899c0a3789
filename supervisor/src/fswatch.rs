//! Changes of files and directories, without polling.
//!
//! One inotify instance serves the whole process (a user has only 128 of
//! them). Where the kernel gives none, or no further watch, the files in
//! question are looked at once a second instead.
//!
//! [`Watches`] is the handle, [`Driver::run`] the future that serves it.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot, watch};

use crate::readiness;

/// Registrations that wait for the driver; each is answered at once.
const MAX_WAITING: usize = 64;

/// How often a file is looked at for which the kernel gave no watch.
const WITHOUT_INOTIFY: Duration = Duration::from_secs(1);

/// Registers interest in paths. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Watches(mpsc::Sender<Registration>);

/// What to watch for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// The file's bytes.
    Content,
    /// The directory's names, and the directory itself.
    Names,
}

/// What happened since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Something, possibly nothing of interest.
    Seen,
    /// The watch is over: the thing itself was deleted. Watch the path again.
    Over,
}

/// The changes of one path. Dropping it ends the interest.
#[derive(Debug)]
pub struct Changes(watch::Receiver<()>);

/// Serves the [`Watches`]; see [`Driver::run`].
#[derive(Debug)]
pub struct Driver {
    inotify: Option<AsyncFd<Descriptor>>,
    registrations: mpsc::Receiver<Registration>,
    watched: HashMap<WatchDescriptor, Vec<watch::Sender<()>>>,
    /// Interest for which the kernel gave no watch.
    unwatched: Vec<watch::Sender<()>>,
}

#[derive(Debug)]
struct Registration {
    path: PathBuf,
    interest: Interest,
    answer: oneshot::Sender<io::Result<Changes>>,
}

#[derive(Debug)]
struct Descriptor(Inotify);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// A handle and its driver. Must be called within the runtime.
#[must_use]
pub fn open() -> (Watches, Driver) {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)
        .map_err(io::Error::from)
        .and_then(|inotify| readiness::of(Descriptor(inotify)));
    if let Err(error) = &inotify {
        tracing::warn!(%error, "no inotify instance: files are looked at once a second");
    }
    let (sender, registrations) = mpsc::channel(MAX_WAITING);
    let driver = Driver {
        inotify: inotify.ok(),
        registrations,
        watched: HashMap::new(),
        unwatched: Vec::new(),
    };
    (Watches(sender), driver)
}

impl Watches {
    /// Begins to watch `path`. Changes from before this call are not seen, so
    /// look at the path afterwards. Cancel-safe.
    ///
    /// # Errors
    /// The kernel's answer, `NotFound` above all; `BrokenPipe` if the driver
    /// is gone.
    pub async fn watch(&self, path: &Path, interest: Interest) -> io::Result<Changes> {
        let (answer, answered) = oneshot::channel();
        let registration = Registration {
            path: path.to_owned(),
            interest,
            answer,
        };
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.send(registration).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

impl Changes {
    /// Waits for a change since the last one that was returned. Several are
    /// one. Cancel-safe.
    pub async fn changed(&mut self) -> Change {
        match self.0.changed().await {
            Ok(()) => Change::Seen,
            Err(_) => Change::Over,
        }
    }
}

impl Driver {
    /// Runs until the last handle is dropped.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                registration = self.registrations.recv() => match registration {
                    Some(registration) => self.register(registration),
                    None => return,
                },
                events = next_events(self.inotify.as_ref()) => match events {
                    Ok(events) => events.iter().for_each(|event| self.deliver(event)),
                    Err(error) => self.give_up(&error),
                },
                () = tokio::time::sleep(WITHOUT_INOTIFY), if !self.unwatched.is_empty() => {
                    tell(&mut self.unwatched);
                }
            }
        }
    }

    fn register(&mut self, registration: Registration) {
        self.sweep();
        let (teller, changes) = watch::channel(());
        let answer = match self.add_watch(&registration.path, registration.interest) {
            Ok(Some(descriptor)) => {
                self.watched.entry(descriptor).or_default().push(teller);
                Ok(Changes(changes))
            }
            Ok(None) => {
                self.unwatched.push(teller);
                Ok(Changes(changes))
            }
            Err(error) => Err(error),
        };
        // Whoever asked may have been cancelled; the next sweep sees it.
        let _ = registration.answer.send(answer);
    }

    /// `None` when the path is there, but the kernel has no watch for it.
    fn add_watch(&self, path: &Path, interest: Interest) -> io::Result<Option<WatchDescriptor>> {
        let Some(inotify) = &self.inotify else {
            return path.symlink_metadata().map(|_| None);
        };
        match inotify.get_ref().0.add_watch(path, flags(interest)) {
            Ok(descriptor) => Ok(Some(descriptor)),
            Err(Errno::ENOSPC | Errno::ENOMEM) => {
                tracing::warn!(path = %path.display(), "no inotify watch left: looking once a second");
                Ok(None)
            }
            Err(errno) => Err(errno.into()),
        }
    }

    fn deliver(&mut self, event: &InotifyEvent) {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            self.watched.values_mut().for_each(tell);
        } else if event.mask.contains(AddWatchFlags::IN_IGNORED) {
            self.watched.remove(&event.wd);
        } else if let Some(tellers) = self.watched.get_mut(&event.wd) {
            tell(tellers);
        }
    }

    /// Ends watches that nobody is interested in any more. A file that is
    /// never written again has no event to notice that by, so this runs with
    /// each registration; there are as many as clients that follow something.
    fn sweep(&mut self) {
        self.unwatched.retain(|teller| !teller.is_closed());
        let inotify = self.inotify.as_ref();
        self.watched.retain(|descriptor, tellers| {
            tellers.retain(|teller| !teller.is_closed());
            if tellers.is_empty()
                && let Some(inotify) = inotify
            {
                // Gone already if the file was deleted just now.
                let _ = inotify.get_ref().0.rm_watch(*descriptor);
            }
            !tellers.is_empty()
        });
    }

    /// The instance failed: everything is looked at once a second from now on.
    fn give_up(&mut self, error: &io::Error) {
        tracing::warn!(%error, "inotify failed: files are looked at once a second");
        self.inotify = None;
        self.unwatched
            .extend(self.watched.drain().flat_map(|(_, tellers)| tellers));
        tell(&mut self.unwatched);
    }
}

fn flags(interest: Interest) -> AddWatchFlags {
    match interest {
        Interest::Content => AddWatchFlags::IN_MODIFY,
        Interest::Names => {
            AddWatchFlags::IN_CREATE
                | AddWatchFlags::IN_DELETE
                | AddWatchFlags::IN_MOVE
                | AddWatchFlags::IN_DELETE_SELF
                | AddWatchFlags::IN_MOVE_SELF
                | AddWatchFlags::IN_ONLYDIR
        }
    }
}

fn tell(tellers: &mut Vec<watch::Sender<()>>) {
    tellers.retain(|teller| teller.send(()).is_ok());
}

/// Cancel-safe: events are taken from the kernel only when they are returned.
async fn next_events(inotify: Option<&AsyncFd<Descriptor>>) -> io::Result<Vec<InotifyEvent>> {
    let Some(inotify) = inotify else {
        return std::future::pending().await;
    };
    loop {
        let mut ready = inotify.readable().await?;
        match ready.try_io(|descriptor| Ok(descriptor.get_ref().0.read_events()?)) {
            Ok(events) => return events,
            Err(_not_ready) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use sys::temp_folder::TempFolder;
    use tokio::task::JoinSet;

    fn folder() -> TempFolder {
        TempFolder::create(&[std::env::temp_dir()]).expect("a folder")
    }

    #[tokio::test]
    async fn changes_of_files_and_folders_are_seen_and_their_end_is_said() {
        let folder = folder();
        let (watches, driver) = open();
        let mut jobs = JoinSet::new();
        jobs.spawn(driver.run());
        let file = folder.path().join("log");
        fs::write(&file, b"").expect("written");
        let sub = folder.path().join("sub");
        fs::create_dir(&sub).expect("made");

        let mut content = watches
            .watch(&file, Interest::Content)
            .await
            .expect("there");
        let mut again = watches
            .watch(&file, Interest::Content)
            .await
            .expect("twice");
        let mut names = watches.watch(&sub, Interest::Names).await.expect("there");
        fs::write(&file, b"more").expect("written");
        assert_eq!(content.changed().await, Change::Seen);
        assert_eq!(again.changed().await, Change::Seen);
        fs::write(sub.join("x"), b"").expect("written");
        assert_eq!(names.changed().await, Change::Seen);
        fs::remove_dir_all(&sub).expect("ours");
        while names.changed().await == Change::Seen {}

        let missing = watches
            .watch(&sub, Interest::Names)
            .await
            .expect_err("gone");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        drop(watches);
        jobs.join_all().await;
        folder.remove().expect("ours");
    }

    #[tokio::test]
    async fn interest_that_is_over_costs_no_watch() {
        let folder = folder();
        let (watches, mut driver) = open();
        for name in ["a", "b", "c"] {
            let file = folder.path().join(name);
            fs::write(&file, b"").expect("written");
            let (answer, mut answered) = oneshot::channel();
            driver.register(Registration {
                path: file,
                interest: Interest::Content,
                answer,
            });
            drop(answered.try_recv().expect("at once").expect("there"));
        }
        driver.sweep();
        assert!(driver.watched.is_empty());
        drop(watches);
        folder.remove().expect("ours");
    }

    #[tokio::test(start_paused = true)]
    async fn without_inotify_files_are_looked_at() {
        let folder = folder();
        let (watches, mut driver) = open();
        driver.inotify = None;
        let mut jobs = JoinSet::new();
        jobs.spawn(driver.run());
        let mut changes = watches
            .watch(folder.path(), Interest::Names)
            .await
            .expect("there");
        assert_eq!(changes.changed().await, Change::Seen);
        assert_eq!(changes.changed().await, Change::Seen);
        folder.remove().expect("ours");
    }
}
