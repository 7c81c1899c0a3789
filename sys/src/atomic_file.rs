//! Small files that are whole or not there, for readers and after a crash of
//! the writer. They are not synced unless that is asked for: most of them can be
//! made again from the ledger, or matter only to processes of this boot.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::hook::Step;

/// Writes `bytes` to a new file beside `path` (mode 0600) and renames it to
/// `path`.
///
/// # Errors
/// The file system's answer; `path` is then as it was.
pub fn write(path: &Path, bytes: &[u8], step: &Step) -> io::Result<()> {
    step.run(|| {
        let temporary = beside(path)?;
        let written = create(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            // The error that counts is the first one.
            let _ = fs::remove_file(&temporary);
        }
        written
    })
}

/// Replaces what follows byte `at`, in place, by `ending`, which is no longer. Where
/// that stands within one page, a writer that is killed leaves the file as it was, or
/// with the new ending and the rest of what was there behind it.
///
/// # Errors
/// The file system's answer.
pub fn end_with(path: &Path, at: usize, ending: &[u8], step: &Step) -> io::Result<()> {
    step.run(|| {
        let file = OpenOptions::new().write(true).open(path)?;
        file.write_all_at(ending, at as u64)?;
        file.set_len((at + ending.len()) as u64)
    })
}

/// Makes the file, its name and the folder that it is in survive a power cut.
///
/// # Errors
/// The file system's answer.
pub fn sync(path: &Path, step: &Step) -> io::Result<()> {
    step.run(|| {
        File::open(path)?.sync_all()?;
        let folders = path.ancestors().skip(1).take(2);
        for folder in folders {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    })
}

/// A name beside `path` that no other process uses.
pub(crate) fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(temporary))
}

/// A new file of mode 0600; a leftover of a dead process with our number goes.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            options.open(path)?
        }
        other => other?,
    };
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::SUP_SPEC_WRITE;
    use crate::temp_folder::TempFolder;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_whole_and_private() {
        let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
        let path = folder.path().join("spec");
        write(&path, b"one", &SUP_SPEC_WRITE).expect("written");
        write(&path, b"two", &SUP_SPEC_WRITE).expect("replaced");
        assert_eq!(fs::read(&path).expect("there"), b"two");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 1);
        folder.remove().expect("ours");
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
        let path = folder.path().join("busy");
        fs::create_dir(&path).expect("made");
        fs::write(path.join("file"), b"").expect("written");
        assert!(write(&path, b"one", &SUP_SPEC_WRITE).is_err());
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 1);
        folder.remove().expect("ours");
    }
}
