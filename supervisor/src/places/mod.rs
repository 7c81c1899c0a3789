//! The supervisor's directories: found, made, checked, and held by a lock
//! each, so that one supervisor at a time uses them (R7).
//!
//! The rules of the paths are [`protocol::places`], shared with `agentctl`.

mod folder;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::places::{
    CONTROL_SOCKET, Origin, Owner, PlaceError, PlaceFlags, PlaceInputs, SHIM_SOCKET, socket_path,
};
use sys::hook::SUP_RUNTIME_DIR_WRITE;
use sys::lock::Lock;

pub use folder::{Folder, FolderError};
pub use protocol::places::Places;

/// The state directory of the system's service, by which it is known.
const SYSTEM_STATE_DIR: &str = "/var/lib/agent-supervisor";

/// Whose environment agents get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A user's own supervisor: their caller's.
    User,
    /// The system's service: the configured one.
    System,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::System => "system",
        })
    }
}

/// Why there is no place to work in.
#[derive(Debug, thiserror::Error)]
pub enum PlacesError {
    /// The rules yield none.
    #[error(transparent)]
    Rules(#[from] PlaceError),
    /// A directory cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The directory of the provider files was named, and is not there.
    #[error(
        "the providers directory {0} is not there: make it, or name another one with --providers-dir"
    )]
    NoProviders(String),
    /// The file that names the runtime directory.
    #[error("cannot write {path}")]
    Announce {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl PlacesError {
    /// The documented exit code.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Rules(_) | Self::NoProviders(_) => crate::exit_code::EXIT_USAGE,
            Self::Announce { .. } => crate::exit_code::EXIT_ERROR,
            Self::Folder(error) => match error {
                FolderError::Held { .. } => crate::exit_code::EXIT_LOCKED,
                FolderError::Io { .. } => crate::exit_code::EXIT_ERROR,
                FolderError::NotAFolder { .. }
                | FolderError::OfAnother { .. }
                | FolderError::OpenToOthers { .. }
                | FolderError::Network { .. } => crate::exit_code::EXIT_USAGE,
            },
        }
    }
}

/// Finds the places: flags, then this process's variables, then the rules.
/// The system's state directory makes it the system's service.
///
/// # Errors
/// [`PlacesError::Rules`], [`PlacesError::NoProviders`].
pub fn find(flags: PlaceFlags, owner: Owner) -> Result<(Places, Mode), PlacesError> {
    let cwd = std::env::current_dir().unwrap_or_default();
    let variable = |name: &str| std::env::var(name).ok();
    let inputs = PlaceInputs::new(flags, variable, cwd.to_string_lossy());
    let (places, mode) = find_from(&inputs, owner)?;
    check_providers(&places)?;
    Ok((places, mode))
}

/// What was named has to be there.
fn check_providers(places: &Places) -> Result<(), PlacesError> {
    let missing = !Path::new(&places.providers_dir).is_dir();
    if places.providers_origin == Origin::Named && missing {
        return Err(PlacesError::NoProviders(places.providers_dir.clone()));
    }
    Ok(())
}

fn find_from(inputs: &PlaceInputs, owner: Owner) -> Result<(Places, Mode), PlacesError> {
    match owner {
        Owner::System => Ok((Places::resolve(inputs, Owner::System)?, Mode::System)),
        Owner::User => {
            let places = Places::resolve(inputs, Owner::User)?;
            if places.state_dir.trim_end_matches('/') == SYSTEM_STATE_DIR {
                return find_from(inputs, Owner::System);
            }
            Ok((places, Mode::User))
        }
    }
}

/// The places, made and locked. The locks go with this.
#[derive(Debug)]
pub struct Held {
    places: Places,
    _state_lock: Lock,
    runtime: Arc<RuntimeFolder>,
}

/// The runtime directory, held for as long as this is.
#[derive(Debug)]
pub struct RuntimeFolder {
    path: String,
    /// None where it is the state directory as well.
    lock: Option<Mutex<Lock>>,
}

/// Did the runtime directory have to be made again?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// It was there.
    WasThere,
    /// It had vanished; its sockets have to be bound again.
    MadeAgain,
}

impl Held {
    /// Makes both directories where need be (0700), checks that nobody else
    /// can write them and that no network is between, and locks them. A
    /// runtime directory that nobody named is the one of the last supervisor.
    ///
    /// # Errors
    /// [`PlacesError`]; nothing is held then.
    pub fn take(mut places: Places) -> Result<Self, PlacesError> {
        let state = Folder::State.at(&places.state_dir);
        state.make()?;
        state.check()?;
        let state_lock = state.lock_after_the_dying()?;
        places.runtime_dir = runtime_dir(&places);
        for socket in [CONTROL_SOCKET, SHIM_SOCKET] {
            socket_path(&places.runtime_dir, socket)?;
        }
        let runtime = Folder::Runtime.at(&places.runtime_dir);
        runtime.make()?;
        runtime.check()?;
        let one_folder = state.is_same_as(&runtime)?;
        let lock = if one_folder {
            None
        } else {
            Some(Mutex::new(runtime.lock_after_the_dying()?))
        };
        let path = places.runtime_dir.clone();
        Ok(Self {
            places,
            _state_lock: state_lock,
            runtime: Arc::new(RuntimeFolder { path, lock }),
        })
    }

    /// The runtime directory, for whoever binds sockets in it again.
    #[must_use]
    pub fn runtime(&self) -> Arc<RuntimeFolder> {
        self.runtime.clone()
    }

    /// The places; `runtime_dir` is the one in use.
    #[must_use]
    pub const fn places(&self) -> &Places {
        &self.places
    }

    /// Writes the runtime directory down, for clients, shims and the next
    /// supervisor. To be done once the sockets are bound.
    ///
    /// # Errors
    /// [`PlacesError::Announce`].
    pub fn announce(&self) -> Result<(), PlacesError> {
        let path = self.places.runtime_dir_file();
        let line = format!("{}\n", self.places.runtime_dir);
        sys::atomic_file::write(Path::new(&path), line.as_bytes(), &SUP_RUNTIME_DIR_WRITE)
            .map_err(|source| PlacesError::Announce { path, source })
    }
}

impl RuntimeFolder {
    /// Makes a runtime directory that vanished (a logout, a clean-up of
    /// `/run`) again, and locks it again.
    ///
    /// # Errors
    /// [`PlacesError::Folder`]; the next try may succeed.
    pub fn restore(&self) -> Result<Restored, PlacesError> {
        let Some(lock) = &self.lock else {
            return Ok(Restored::WasThere);
        };
        let mut lock = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = Folder::Runtime.at(&self.path);
        if runtime.is_held_by(&lock)? {
            return Ok(Restored::WasThere);
        }
        runtime.make()?;
        runtime.check()?;
        *lock = runtime.lock()?;
        Ok(Restored::MadeAgain)
    }
}

/// The named one; else the last supervisor's, if it can be had; else the one
/// of the rules.
fn runtime_dir(places: &Places) -> String {
    let by_rule = places.runtime_dir.clone();
    match places.runtime_origin {
        Origin::Named => by_rule,
        Origin::Default => {
            let Some(last) = announced(places).filter(|last| *last != by_rule) else {
                return by_rule;
            };
            match Folder::Runtime.at(&last).make_and_check_in_place() {
                Ok(()) => last,
                Err(error) => {
                    tracing::warn!(
                        %error,
                        now = by_rule,
                        "the runtime directory of the last supervisor cannot be used"
                    );
                    by_rule
                }
            }
        }
    }
}

fn announced(places: &Places) -> Option<String> {
    let text = std::fs::read_to_string(places.runtime_dir_file()).ok()?;
    let line = text.trim_end_matches('\n');
    (line.starts_with('/') && !line.contains('\n')).then(|| line.to_owned())
}
