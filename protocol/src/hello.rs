//! The frozen opening of every connection: 16 bytes each way, for ever.
//!
//! ```text
//! 0..4   magic  "AGSV"
//! 4      role   1 control client · 2 shim · 3 supervisor
//! 5      verdict (supervisor's answer) 0 welcome · 1 no common version
//! 6..8   lowest message version spoken, u16 little endian
//! 8..10  highest message version spoken
//! 10..12 chosen version (supervisor's answer), else 0
//! 12..16 zero, ignored by readers
//! ```
//!
//! The client may send its first message right behind its hello, encoded in
//! its highest version; a supervisor that chooses a lower one drops it, and
//! the client sends it again.

use core::fmt;

/// Lowest message version that this build speaks.
pub const MIN_VERSION: u16 = 1;
/// Highest message version that this build speaks.
pub const MAX_VERSION: u16 = 1;
/// Bytes of a hello on the wire.
pub const HELLO_LEN: usize = 16;

const MAGIC: [u8; 4] = *b"AGSV";

/// Who opens the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `agentctl` or another client of the control socket.
    Client,
    /// An `agent-shim`.
    Shim,
    /// The supervisor.
    Supervisor,
}

/// The first 16 bytes in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Who speaks.
    pub role: Role,
    /// Lowest version spoken.
    pub min: u16,
    /// Highest version spoken.
    pub max: u16,
    /// The supervisor's choice; `None` in a client's hello, and in an answer
    /// that found no common version.
    pub chosen: Option<u16>,
}

/// Why the other side's hello was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHello {
    /// Not our protocol.
    Magic,
    /// A role that this build does not know.
    Role(u8),
    /// Its range is empty.
    Range(u16, u16),
    /// The supervisor speaks none of our versions; this is its range.
    NoCommonVersion {
        /// Lowest version of the other side.
        min: u16,
        /// Highest version of the other side.
        max: u16,
    },
}

impl fmt::Display for BadHello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("the other side does not speak this protocol"),
            Self::Role(role) => write!(f, "the other side has the unknown role {role}"),
            Self::Range(min, max) => write!(f, "the other side offers no version ({min} to {max})"),
            Self::NoCommonVersion { min, max } => write!(
                f,
                "the other side speaks protocol versions {min} to {max}, \
                 this program {MIN_VERSION} to {MAX_VERSION}: upgrade the older of the two"
            ),
        }
    }
}

impl core::error::Error for BadHello {}

impl Hello {
    /// The opening of a client, a shim, or a supervisor on a fresh shim's link.
    #[must_use]
    pub const fn opening(role: Role) -> Self {
        Self {
            role,
            min: MIN_VERSION,
            max: MAX_VERSION,
            chosen: None,
        }
    }

    /// The supervisor's answer to `peer`: the highest version that both speak.
    #[must_use]
    pub fn answer(peer: &Self) -> Self {
        Self::opening(Role::Supervisor).answering(peer)
    }

    /// This supervisor's answer, whatever it speaks.
    fn answering(self, peer: &Self) -> Self {
        let highest = peer.max.min(self.max);
        let lowest = peer.min.max(self.min);
        Self {
            chosen: (lowest <= highest).then_some(highest),
            ..self
        }
    }

    /// The version to speak after this answer of a supervisor.
    ///
    /// # Errors
    /// [`BadHello::NoCommonVersion`] when it chose none.
    pub fn accepted(&self) -> Result<u16, BadHello> {
        self.chosen.ok_or(BadHello::NoCommonVersion {
            min: self.min,
            max: self.max,
        })
    }

    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HELLO_LEN] {
        let mut bytes = [0; HELLO_LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = match self.role {
            Role::Client => 1,
            Role::Shim => 2,
            Role::Supervisor => 3,
        };
        bytes[5] = u8::from(self.role == Role::Supervisor && self.chosen.is_none());
        bytes[6..8].copy_from_slice(&self.min.to_le_bytes());
        bytes[8..10].copy_from_slice(&self.max.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.chosen.unwrap_or(0).to_le_bytes());
        bytes
    }

    /// Reads the other side's hello.
    ///
    /// # Errors
    /// [`BadHello`] says what is wrong with it.
    pub fn decode(bytes: &[u8; HELLO_LEN]) -> Result<Self, BadHello> {
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        if bytes[..4] != MAGIC {
            return Err(BadHello::Magic);
        }
        let role = match bytes[4] {
            1 => Role::Client,
            2 => Role::Shim,
            3 => Role::Supervisor,
            other => return Err(BadHello::Role(other)),
        };
        let (min, max, chosen) = (word(6), word(8), word(10));
        if min == 0 || min > max {
            return Err(BadHello::Range(min, max));
        }
        let chosen = (chosen != 0 && bytes[5] == 0).then_some(chosen);
        Ok(Self {
            role,
            min,
            max,
            chosen,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bytes_are_frozen() {
        let hello = Hello {
            role: Role::Shim,
            min: 1,
            max: 3,
            chosen: None,
        };
        assert_eq!(
            hello.encode(),
            *b"AGSV\x02\x00\x01\x00\x03\x00\x00\x00\x00\x00\x00\x00"
        );
        let answer = Hello {
            role: Role::Supervisor,
            min: 1,
            max: 1,
            chosen: Some(1),
        };
        assert_eq!(
            answer.encode(),
            *b"AGSV\x03\x00\x01\x00\x01\x00\x01\x00\x00\x00\x00\x00"
        );
        let refusal = Hello {
            chosen: None,
            ..answer
        };
        assert_eq!(
            refusal.encode(),
            *b"AGSV\x03\x01\x01\x00\x01\x00\x00\x00\x00\x00\x00\x00"
        );
        for hello in [hello, answer, refusal] {
            assert_eq!(Hello::decode(&hello.encode()), Ok(hello));
        }
    }

    fn speaks(role: Role, min: u16, max: u16) -> Hello {
        Hello {
            role,
            min,
            max,
            chosen: None,
        }
    }

    #[test]
    fn a_peer_of_another_version_is_told_in_words() {
        let answer = Hello::answer(&speaks(Role::Client, 7, 9));
        assert_eq!(answer.chosen, None);
        let error = answer.accepted().expect_err("no common version");
        assert!(alloc::format!("{error}").contains("upgrade the older"));
    }

    /// Each line: what the other side speaks, what a supervisor does, and what
    /// comes of it. A raised version is met from both sides.
    #[test]
    fn the_highest_common_version_is_chosen() {
        for (peer, ours, chosen) in [
            ((1, 1), (1, 1), Some(1)),
            ((1, 1), (1, 2), Some(1)),
            ((1, 2), (1, 1), Some(1)),
            ((1, 2), (1, 2), Some(2)),
            ((2, 5), (1, 3), Some(3)),
            ((1, 3), (3, 4), Some(3)),
            ((2, 2), (1, 1), None),
            ((1, 1), (2, 3), None),
            ((4, 9), (1, 3), None),
        ] {
            let ours = speaks(Role::Supervisor, ours.0, ours.1);
            let answer = ours.answering(&speaks(Role::Shim, peer.0, peer.1));
            assert_eq!(answer.chosen, chosen, "{peer:?} and {ours:?}");
            assert_eq!((answer.min, answer.max), (ours.min, ours.max));
            assert_eq!(Hello::decode(&answer.encode()), Ok(answer));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: [u8; HELLO_LEN]) {
            let _ = Hello::decode(&bytes);
        }
    }
}
