//! The built-in files, the commands they make, and every message literally.

mod built_in;
mod documents;
mod files;
mod lacks;
mod launch;
mod messages;
mod reader;
mod registry;
mod transcripts;

use super::{Provider, parse};

/// A provider file that has to be good.
fn provider(text: &str) -> Provider {
    parse::provider("test.toml", text).expect("a good file")
}

/// What is wrong with a file.
fn problems(text: &str) -> Vec<String> {
    super::check("test.toml", text)
}
