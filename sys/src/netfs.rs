//! File systems on which locks, links and SQLite's shared memory do not mean
//! what they mean on a local disk.
//!
//! 9p is not among them: it is how virtual machines and WSL share a folder of
//! the one machine that they run on.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::stat::{major, minor};
use nix::sys::statfs::statfs;

/// Magic numbers of `statfs`, and the name for people.
const NETWORK: [(u32, &str); 11] = [
    (0x0000_6969, "nfs"),
    (0x0000_517B, "smb"),
    (0xFE53_4D42, "smb2"),
    (0xFF53_4D42, "cifs"),
    (0x5346_414F, "afs"),
    (0x6B41_4653, "afs"),
    (0x00C3_6400, "ceph"),
    (0x7375_7245, "coda"),
    (0x0000_564C, "ncpfs"),
    (0x0BD0_0BD0, "lustre"),
    (0x4750_4653, "gpfs"),
];

/// FUSE says nothing by its number; its subtype stands in the mount table.
const FUSE: u32 = 0x6573_5546;

/// FUSE file systems whose data is on another machine.
const NETWORK_FUSE: [&str; 10] = [
    "sshfs",
    "s3fs",
    "rclone",
    "glusterfs",
    "davfs",
    "ceph",
    "ceph-fuse",
    "juicefs",
    "gcsfuse",
    "curlftpfs",
];

/// The name of the network file system that `path` is on; `None` if it is on
/// a local one.
///
/// # Errors
/// The kernel's answer.
pub fn network_file_system(path: &Path) -> io::Result<Option<String>> {
    // The type's width and sign differ between targets; the magic has 32 bits.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "32 bits are meant"
    )]
    let magic = statfs(path)?.filesystem_type().0 as u32;
    if let Some((_, name)) = NETWORK.iter().find(|(known, _)| *known == magic) {
        return Ok(Some((*name).to_owned()));
    }
    if magic != FUSE {
        return Ok(None);
    }
    let device = std::fs::metadata(path)?.dev();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let kind = fuse_subtype(&mounts, &format!("{}:{}", major(device), minor(device)));
    Ok(kind
        .filter(|kind| NETWORK_FUSE.contains(kind))
        .map(str::to_owned))
}

/// The subtype of the FUSE mount with `device`, e.g. `sshfs` of `fuse.sshfs`.
fn fuse_subtype<'a>(mounts: &'a str, device: &str) -> Option<&'a str> {
    mounts
        .lines()
        .filter(|line| line.split(' ').nth(2) == Some(device))
        .find_map(|line| {
            line.split_once(" - ")?
                .1
                .split(' ')
                .next()?
                .strip_prefix("fuse.")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_folders_are_local() {
        for path in ["/proc", "/tmp", "/"] {
            assert_eq!(
                network_file_system(Path::new(path)).expect("there"),
                None,
                "{path}"
            );
        }
        assert!(network_file_system(Path::new("/no/such/folder")).is_err());
    }

    #[test]
    fn the_subtype_stands_behind_the_dash() {
        let mounts = "22 1 0:21 / /proc rw shared:5 - proc proc rw\n\
                      40 1 0:52 / /mnt/a rw shared:9 - fuse.sshfs me@host:/ rw,user_id=0\n";
        assert_eq!(fuse_subtype(mounts, "0:52"), Some("sshfs"));
        assert_eq!(fuse_subtype(mounts, "0:21"), None);
        assert_eq!(fuse_subtype(mounts, "9:9"), None);
    }
}
