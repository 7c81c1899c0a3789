//! The log of requests: one JSON value per line.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;

use serde_json::Value;

/// The log file, if one was named.
pub(crate) struct Log(Option<Mutex<File>>);

impl Log {
    pub(crate) fn open(path: Option<PathBuf>) -> Self {
        Self(path.map(|path| {
            let file = OpenOptions::new().create(true).append(true).open(path);
            Mutex::new(file.expect("the log can be opened"))
        }))
    }

    pub(crate) fn write(&self, entry: &Value) {
        if let Some(file) = &self.0 {
            let mut file = file.lock().expect("nobody panics with it");
            file.write_all(format!("{entry}\n").as_bytes())
                .expect("the log can be written");
        }
    }
}
