//! What a client can ask about provider files.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// About provider files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProvidersRequest {
    /// All of them.
    List,
    /// One, with its text.
    Show {
        /// Its name.
        name: String,
    },
    /// Is this text a good provider file?
    Check {
        /// The file's name, for messages.
        file: String,
        /// The file's text.
        text: String,
    },
    /// What is missing for a run from here? → `ProviderChecked`.
    Lacks {
        /// Its name.
        name: String,
        /// Where the caller stands.
        around: Surroundings,
    },
    /// Which files of the user are not used? → `ProviderChecked`.
    Unused,
}

/// As much of a caller's environment as says whether a program would run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// The search path.
    pub path: Option<String>,
    /// The home folder.
    pub home: Option<String>,
    /// The names of all variables that are set and not empty; never a value.
    pub variables: Vec<String>,
}
