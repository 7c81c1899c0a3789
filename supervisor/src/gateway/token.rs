//! The bearer token: read once at the start, compared in constant time.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use sha2::{Digest, Sha256};

/// Shorter ones can be guessed.
const MIN_TOKEN: usize = 16;
/// A file that is longer is not a token.
const MAX_TOKEN: u64 = 4096;
/// Permission bits by which everyone reads or changes a file.
const OPEN_TO_ALL: u32 = 0o006;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("read the gateway's token file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A folder, a named pipe or the like.
    #[error("the gateway's token file {} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// Everyone on this machine knows it.
    #[error("the gateway's token file {} is open to everyone: `chmod 600` it", .0.display())]
    OpenToAll(PathBuf),
    /// Not one line of visible characters.
    #[error(
        "the gateway's token file {} does not hold one line of {MIN_TOKEN} to {MAX_TOKEN} visible \
         characters, e.g. of `openssl rand -hex 32`",
        .0.display()
    )]
    NotAToken(PathBuf),
}

/// The token's digest: the comparison tells nothing of it, its length included.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// Reads the file.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let unreadable = |source| TokenError::Unreadable {
            path: path.to_owned(),
            source,
        };
        // A named pipe would wait for whoever writes into it.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(path)
            .map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(TokenError::NotAFile(path.to_owned()));
        }
        if metadata.mode() & OPEN_TO_ALL != 0 {
            return Err(TokenError::OpenToAll(path.to_owned()));
        }
        let mut text = String::new();
        file.take(MAX_TOKEN + 1)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        let token = text.trim_end_matches(['\n', '\r']);
        let visible = token.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible || token.len() < MIN_TOKEN || token.len() as u64 > MAX_TOKEN {
            return Err(TokenError::NotAToken(path.to_owned()));
        }
        Ok(Self::of(token.as_bytes()))
    }

    fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Is it the same? Takes as long whatever differs.
    #[must_use]
    pub fn is(&self, offered: &[u8]) -> bool {
        let offered = Self::of(offered);
        let pairs = self.0.iter().zip(offered.0);
        let differing = pairs.fold(0, |seen, (ours, theirs)| seen | (ours ^ theirs));
        std::hint::black_box(differing) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use sys::temp_folder::TempFolder;

    fn loaded(text: &str, mode: u32) -> Result<Token, TokenError> {
        let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
        let file = folder.path().join("token");
        fs::write(&file, text).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("ours");
        Token::load(&file)
    }

    #[test]
    fn only_the_whole_token_fits() {
        let token = loaded("0123456789abcdef\n", 0o600).expect("a good one");
        assert!(token.is(b"0123456789abcdef"));
        for other in [&b""[..], b"0123456789abcdeg", b"0123456789abcdef\n"] {
            assert!(!token.is(other));
        }
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).expect("made");
        for path in [pipe.as_path(), folder.path()] {
            let refused = Token::load(path).expect_err("no file");
            assert!(matches!(refused, TokenError::NotAFile(_)), "{refused}");
        }
        folder.remove().expect("ours");
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        let open = loaded("0123456789abcdef\n", 0o644);
        assert!(matches!(open, Err(TokenError::OpenToAll(_))));
        for text in ["", "\n", "short", "0123456789abcdef\n0123456789abcdef"] {
            assert!(matches!(loaded(text, 0o640), Err(TokenError::NotAToken(_))));
        }
    }
}
