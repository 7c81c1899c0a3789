//! The provider files as they are now: read again when their folder says that
//! something changed.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use protocol::ProviderName;

use super::registry::{self, LookupError, ProviderProblem, Registry};

/// The providers, and what their files looked like when they were read.
#[derive(Debug)]
pub struct ProviderFiles {
    dir: PathBuf,
    registry: Registry,
    /// None: nobody looks again.
    seen: Option<Sight>,
    /// When they were read first.
    loaded: Instant,
    /// The names whose files are gone: since when, and when something was last done in
    /// the folder.
    lost: HashMap<String, (Instant, Instant)>,
    /// What tells that.
    stamp: Option<Stamp>,
}

/// When a folder was changed.
type Stamp = (i64, i64);

/// A file that is written anew may be missing in between: editors move the old one away.
const BEING_WRITTEN: Duration = Duration::from_secs(3);

/// A file that is gone for so long does not come back.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// What tells one state of the folder from another.
#[derive(Debug, PartialEq, Eq)]
enum Sight {
    Files(Vec<Mark>),
    Failed(io::ErrorKind),
}

/// One file. The time of change tells what the one of modification, which anybody
/// can set, does not.
#[derive(Debug, PartialEq, Eq)]
struct Mark {
    name: OsString,
    inode: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl ProviderFiles {
    /// Reads them. A folder on a network file system is read this once: a look could
    /// take as long as its server likes, and whoever looks serves all tasks.
    #[must_use]
    pub fn load(dir: &Path) -> Self {
        let near = dir.ancestors().find(|path| path.exists());
        let network = near.map(sys::netfs::network_file_system);
        let seen = match network {
            Some(Ok(None)) => Some(sight(dir)),
            Some(Ok(Some(_)) | Err(_)) | None => None,
        };
        Self {
            dir: dir.to_owned(),
            registry: Registry::load(dir),
            seen,
            loaded: Instant::now(),
            lost: HashMap::new(),
            stamp: stamp(dir),
        }
    }

    /// The providers as they were read last.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Looks at the folder, and reads it again if it changed. Gives the providers as
    /// they were before then.
    pub fn look(&mut self) -> Option<Registry> {
        let seen = self.seen.as_mut()?;
        let touched = stamp(&self.dir);
        if touched != self.stamp {
            self.stamp = touched;
            // A file may have come back and gone again between two looks.
            let at = Instant::now();
            self.lost.retain(|_, lost| lost.0.elapsed() < FORGOTTEN);
            self.lost.values_mut().for_each(|lost| lost.1 = at);
        }
        let now = sight(&self.dir);
        if *seen == now {
            return None;
        }
        // Files that cannot be seen for a moment are not gone: without them the built-in
        // ones would stand where the user's own do.
        if matches!(now, Sight::Failed(kind) if kind != io::ErrorKind::NotFound) {
            return None;
        }
        // What changes from here on is seen by the next look.
        *seen = now;
        let before = std::mem::replace(&mut self.registry, Registry::load(&self.dir));
        let at = Instant::now();
        for name in before.names_of_files() {
            self.lost.entry(name.to_owned()).or_insert((at, at));
        }
        for name in self.registry.names_of_files() {
            self.lost.remove(name);
        }
        Some(before)
    }

    /// Is the file of this provider being written, as far as can be told? One with mistakes
    /// is until their end. One that is gone is for a moment, and meanwhile a built-in one
    /// of its name is not what the user wants.
    #[must_use]
    pub fn is_being_written(&self, name: &ProviderName) -> bool {
        let lost = self.lost.get(name.as_str()).map(|lost| lost.1);
        let since = match self.registry.get(name) {
            Err(LookupError::Broken(_)) => return true,
            // It may have been on its way when they were read first.
            Err(LookupError::Unknown { .. }) => Some(lost.unwrap_or(self.loaded)),
            Ok(_) => lost,
        };
        since.is_some_and(|since| since.elapsed() < BEING_WRITTEN)
    }

    /// What is wrong with files now that was not so `before`.
    pub fn new_problems<'a>(
        &'a self,
        before: &'a Registry,
    ) -> impl Iterator<Item = &'a ProviderProblem> {
        let known = before.problems();
        let problems = self.registry.problems().iter();
        problems.filter(|problem| !known.contains(problem))
    }
}

fn stamp(dir: &Path) -> Option<Stamp> {
    let found = fs::metadata(dir).ok()?;
    Some((found.ctime(), found.ctime_nsec()))
}

fn sight(dir: &Path) -> Sight {
    let marks = |paths: Vec<PathBuf>| paths.into_iter().map(|path| mark(&path)).collect();
    match registry::toml_files(dir).and_then(marks) {
        Ok(files) => Sight::Files(files),
        Err(error) => Sight::Failed(error.kind()),
    }
}

fn mark(path: &Path) -> io::Result<Mark> {
    // The file that is read, wherever a link points to.
    let found = fs::metadata(path)?;
    Ok(Mark {
        name: path.file_name().unwrap_or_default().to_owned(),
        inode: (found.dev(), found.ino()),
        bytes: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}
