//! Who is at the other end, and whether it may be there (R13).

use std::fs;
use std::os::fd::AsFd;

use nix::sys::socket::{getsockopt, sockopt};

/// The process that connected, as the kernel recorded it then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its user.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
    /// Its process in our pid namespace; 0 if it is outside of it.
    pub pid: i32,
}

impl Peer {
    /// Asks the kernel.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn of(socket: &impl AsFd) -> std::io::Result<Self> {
        let credentials = getsockopt(socket, sockopt::PeerCredentials)?;
        Ok(Self {
            uid: credentials.uid(),
            gid: credentials.gid(),
            pid: credentials.pid(),
        })
    }
}

/// Who may connect: some users, and the members of one group, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The supervisor's own user, and root.
    pub users: [u32; 2],
    /// `[control] group`.
    pub group: Option<u32>,
}

impl Admission {
    /// The owner of this process, and root.
    #[must_use]
    pub fn own() -> Self {
        Self {
            users: [nix::unistd::geteuid().as_raw(), 0],
            group: None,
        }
    }

    /// The same, and the members of `group`.
    #[must_use]
    pub fn own_and(group: Option<u32>) -> Self {
        Self {
            group,
            ..Self::own()
        }
    }

    /// May this peer talk to us?
    #[must_use]
    pub fn admits(&self, peer: &Peer) -> bool {
        self.users.contains(&peer.uid)
            || self
                .group
                .is_some_and(|group| peer.gid == group || has_group(peer.pid, group))
    }
}

/// Is `group` among the supplementary groups of `pid`? The kernel has asked the
/// same when it connected (the socket file is open to the group alone), so a
/// number that was used again since then opens nothing.
fn has_group(pid: i32, group: u32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else {
        return false;
    };
    lists_group(&status, group)
}

fn lists_group(status: &str, group: u32) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("Groups:"))
        .is_some_and(|groups| {
            groups
                .split_whitespace()
                .any(|word| word.parse() == Ok(group))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_owner_root_and_group_are_admitted() {
        let alone = Admission {
            users: [1000, 0],
            group: None,
        };
        let shared = Admission {
            users: [1000, 0],
            group: Some(77),
        };
        let peer = |uid, gid| Peer { uid, gid, pid: 0 };
        assert!(alone.admits(&peer(1000, 1000)));
        assert!(alone.admits(&peer(0, 0)));
        assert!(!alone.admits(&peer(1001, 77)));
        assert!(shared.admits(&peer(1001, 77)));
        assert!(!shared.admits(&peer(1001, 78)));
    }

    #[test]
    fn supplementary_groups_are_read() {
        let status = "Name:\tx\nGroups:\t4 24 770 \nVmPeak:\t77 kB\n";
        assert!(lists_group(status, 770));
        assert!(!lists_group(status, 77));
        assert!(!lists_group("", 4));
    }

    #[test]
    fn the_kernel_names_the_peer() {
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let peer = Peer::of(&ours).expect("a peer");
        assert_eq!(peer.pid, std::process::id().cast_signed());
        assert!(Admission::own().admits(&peer));
    }
}
