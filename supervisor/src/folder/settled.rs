//! `settled`: the terminal row, its intents and its session's state, as JSON.

use std::io;
use std::path::Path;

use sys::{atomic_file, hook};

use super::FolderError;

pub(super) fn write(path: &Path, rows: &serde_json::Value) -> Result<(), FolderError> {
    let mut bytes = serde_json::to_vec_pretty(rows).map_err(FolderError::form(path))?;
    bytes.push(b'\n');
    match atomic_file::write(path, &bytes, &hook::SUP_SETTLED_WRITE) {
        // Retention took the folder meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        written => written.map_err(FolderError::io("write", path)),
    }
}
