//! A small file system of its own, gone with the test.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted one.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// At `path`.
    ///
    /// # Errors
    /// Why that cannot be.
    pub fn mount(path: &Path) -> Result<Self, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("a file system is mounted by root only".to_owned());
        }
        fs::create_dir_all(path).map_err(|error| error.to_string())?;
        let options = "size=40m,mode=0700";
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", options, "small"])
            .arg(path);
        match mount.status() {
            Ok(status) if status.success() => Ok(Self(path.to_owned())),
            Ok(status) => Err(format!("mount: {status}")),
            Err(error) => Err(format!("mount: {error}")),
        }
    }

    /// Fills it to the last byte.
    ///
    /// # Panics
    /// When it cannot be written for another reason.
    pub fn fill(&self) {
        let mut file = fs::File::create(self.junk()).expect("the file can be made");
        for size in [1 << 20, 4096, 1] {
            let piece = vec![1; size];
            loop {
                match file.write_all(&piece) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{}: {error}", self.0.display()),
                }
            }
        }
    }

    /// Has room again.
    pub fn free(&self) {
        let _freed_before = fs::remove_file(self.junk());
    }

    fn junk(&self) -> PathBuf {
        self.0.join("junk")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
