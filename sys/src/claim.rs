//! The claim: the file that decides, once and for ever, who may conclude what
//! about a task's start.
//!
//! A shim makes it right before it starts the agent; a supervisor makes it to
//! conclude «never started». It appears by `link` of a file that is already
//! written, so it is whole or not there, and the second one finds it taken.
//!
//! ```text
//! 0..4   magic "AGSC"
//! 4..6   version, u16 little endian
//! 6..10  crc32c of all that follows
//! 10..   postcard: who (0 shim, 1 supervisor), process, time
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use protocol::Timestamp;
use protocol::shim::ProcessId;

use crate::atomic_file;
use crate::checksum::crc32c;
use crate::hook::Step;

/// The name of the file in a task's folder.
pub const FILE_NAME: &str = "claim";

const MAGIC: [u8; 4] = *b"AGSC";
const VERSION: u16 = 1;
const HEADER_LEN: usize = 10;

/// Who made the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimedBy {
    /// A shim: it started the agent, or is about to.
    Shim,
    /// A supervisor: the agent was never started and never will be.
    Supervisor,
}

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who made it.
    pub by: ClaimedBy,
    /// Which process that was.
    pub process: ProcessId,
    /// When.
    pub at: Timestamp,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The claim is ours.
    Won,
    /// Somebody was first, and this is theirs.
    Lost(Claim),
}

/// Why a claim could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The file system refused.
    #[error("using {}", path.display())]
    Io {
        /// On which path.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The file is there, but it is no claim: it counts as taken.
    #[error("{} is damaged", .0.display())]
    Damaged(PathBuf),
    /// The file is from a newer program, and not even tells who made it: it
    /// counts as taken.
    #[error("{} has the unknown version {version}", path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: u16,
    },
}

/// Tries to make the claim of the task whose folder is `task_dir`.
///
/// # Errors
/// [`ClaimError`]; whoever gets one has not won.
pub fn create(task_dir: &Path, claim: &Claim, step: &Step) -> Result<Outcome, ClaimError> {
    let path = task_dir.join(FILE_NAME);
    let failed = |source| ClaimError::Io {
        path: path.clone(),
        source,
    };
    let temporary = atomic_file::beside(&path).map_err(failed)?;
    atomic_file::create(&temporary, &encode(claim)).map_err(failed)?;
    let linked = step.run(|| fs::hard_link(&temporary, &path));
    // The link decides; a leftover temporary file harms nobody.
    let _ = fs::remove_file(&temporary);
    match linked {
        Ok(()) => Ok(Outcome::Won),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match read(task_dir)? {
            Some(existing) => Ok(Outcome::Lost(existing)),
            None => Err(failed(error)),
        },
        Err(error) => Err(failed(error)),
    }
}

/// The claim in `task_dir`; `None` if there is none.
///
/// # Errors
/// [`ClaimError`].
pub fn read(task_dir: &Path) -> Result<Option<Claim>, ClaimError> {
    let path = task_dir.join(FILE_NAME);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ClaimError::Io { path, source }),
    };
    match decode(&bytes) {
        Ok(claim) => Ok(Some(claim)),
        Err(Unread::Damaged) => Err(ClaimError::Damaged(path)),
        Err(Unread::Version(version)) => Err(ClaimError::Version { path, version }),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Unread {
    Damaged,
    Version(u16),
}

fn encode(claim: &Claim) -> Vec<u8> {
    let by: u8 = match claim.by {
        ClaimedBy::Shim => 0,
        ClaimedBy::Supervisor => 1,
    };
    // Plain data in memory: postcard has nothing to refuse.
    let payload = postcard::to_allocvec(&(by, &claim.process, claim.at)).unwrap_or_default();
    let mut bytes = Vec::with_capacity(HEADER_LEN + payload.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&crc32c(&[&payload]).to_le_bytes());
    bytes.extend_from_slice(&payload);
    bytes
}

fn decode(bytes: &[u8]) -> Result<Claim, Unread> {
    let (header, payload) = bytes
        .split_first_chunk::<HEADER_LEN>()
        .ok_or(Unread::Damaged)?;
    if header[..4] != MAGIC {
        return Err(Unread::Damaged);
    }
    let version = u16::from_le_bytes([header[4], header[5]]);
    // What a newer program wrote in another way is not damaged.
    let unread = match version {
        VERSION => Unread::Damaged,
        newer => Unread::Version(newer),
    };
    let crc = u32::from_le_bytes([header[6], header[7], header[8], header[9]]);
    if crc32c(&[payload]) != crc {
        return Err(unread);
    }
    // Who it was stands in front in every version: a shim of a newer one must
    // be known, to be left alone.
    let read = postcard::take_from_bytes::<(u8, ProcessId, Timestamp)>(payload);
    let Ok(((by, process, at), behind)) = read else {
        return Err(unread);
    };
    if version == VERSION && !behind.is_empty() {
        return Err(unread);
    }
    let by = match by {
        0 => ClaimedBy::Shim,
        1 => ClaimedBy::Supervisor,
        _ => return Err(unread),
    };
    Ok(Claim { by, process, at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::{SHIM_CLAIM, SUP_CLAIM};
    use crate::temp_folder::TempFolder;
    use proptest::prelude::*;

    fn claim(by: ClaimedBy, pid: i32) -> Claim {
        let process = ProcessId {
            boot_id: "b".into(),
            pid_ns: 4_026_531_836,
            pid,
            start_time: 7,
        };
        Claim {
            by,
            process,
            at: Timestamp(1_795_174_002_766),
        }
    }

    #[test]
    fn the_first_one_wins_for_ever() {
        let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
        assert_eq!(read(folder.path()).expect("no error"), None);
        let first = claim(ClaimedBy::Shim, 10);
        let second = claim(ClaimedBy::Supervisor, 20);
        assert_eq!(
            create(folder.path(), &first, &SHIM_CLAIM).expect("free"),
            Outcome::Won
        );
        let lost = Outcome::Lost(first.clone());
        assert_eq!(
            create(folder.path(), &second, &SUP_CLAIM).expect("taken"),
            lost
        );
        assert_eq!(
            create(folder.path(), &first, &SHIM_CLAIM).expect("taken"),
            lost
        );
        assert_eq!(read(folder.path()).expect("there"), Some(first));
        assert_eq!(
            fs::read_dir(folder.path()).expect("there").count(),
            1,
            "nothing is left over"
        );
        folder.remove().expect("ours");
    }

    #[test]
    fn one_of_many_threads_wins() {
        let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
        // The temporary name is the process's: threads use folders of links.
        let wins: usize = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..8)
                .map(|pid| {
                    let target = folder.path().to_owned();
                    scope.spawn(move || {
                        let temporary = target.join(format!("t{pid}"));
                        atomic_file::create(&temporary, &encode(&claim(ClaimedBy::Shim, pid)))
                            .expect("new");
                        usize::from(fs::hard_link(&temporary, target.join(FILE_NAME)).is_ok())
                    })
                })
                .collect();
            tries
                .into_iter()
                .map(|one| one.join().expect("no panic"))
                .sum()
        });
        assert_eq!(wins, 1);
        assert!(read(folder.path()).expect("whole").is_some());
        folder.remove().expect("ours");
    }

    #[test]
    fn a_newer_or_foreign_file_counts_as_taken() {
        let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
        let mut newer = encode(&claim(ClaimedBy::Shim, 1));
        newer[4] = 9;
        newer[6] ^= 1;
        fs::write(folder.path().join(FILE_NAME), newer).expect("written");
        assert!(matches!(
            read(folder.path()),
            Err(ClaimError::Version { version: 9, .. })
        ));
        fs::write(folder.path().join(FILE_NAME), b"").expect("written");
        let mine = claim(ClaimedBy::Shim, 1);
        assert!(matches!(
            create(folder.path(), &mine, &SHIM_CLAIM),
            Err(ClaimError::Damaged(_))
        ));
        folder.remove().expect("ours");
    }

    #[test]
    fn a_newer_claim_still_tells_who_it_was() {
        let whole = claim(ClaimedBy::Shim, 10);
        let mut payload = encode(&whole).split_off(HEADER_LEN);
        payload.extend(*b"what a later version added");
        let mut newer = MAGIC.to_vec();
        newer.extend(9_u16.to_le_bytes());
        newer.extend(crc32c(&[&payload]).to_le_bytes());
        newer.extend(&payload);
        assert_eq!(decode(&newer), Ok(whole));
        newer[4] = 1;
        assert_eq!(
            decode(&newer),
            Err(Unread::Damaged),
            "version 1 has no more"
        );
    }

    proptest! {
        #[test]
        fn a_flipped_bit_or_a_cut_is_never_another_claim(pid: i32, at: usize, bit in 0u8..8) {
            let whole = claim(ClaimedBy::Shim, pid);
            let bytes = encode(&whole);
            prop_assert_eq!(decode(&bytes), Ok(whole.clone()));
            let at = at % bytes.len();
            prop_assert!(decode(&bytes[..at]).is_err());
            let mut flipped = bytes;
            flipped[at] ^= 1 << bit;
            // Another version says the same of who it was.
            prop_assert!(decode(&flipped).map_or(true, |read| read == whole));
        }
    }
}
