//! TOML documents of which every key is known: the configuration and the
//! provider files are read through this.
//!
//! serde would say what is wrong with the first key only, and not where. This
//! reader goes on after a problem and collects all of them, each with file,
//! line, key and what to do; a key that nobody asked for is a problem too, and
//! the message names the nearest one that somebody did ask for.
//!
//! A leaf: it imports nothing of this crate, so that edge modules may share it.

mod nearest;
mod section;

use std::cell::RefCell;
use std::fmt;

use toml::de::DeTable;

pub use nearest::nearest;
pub use section::{FlagOrTable, Section, Value};

/// Largest document in bytes. People write these; a megabyte of it is a
/// mistake (a log file, a device) and not a configuration.
pub const MAX_DOCUMENT_BYTES: u64 = 1 << 20;

/// One thing that is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The document's name, for people.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// The key with its sections, e.g. `limits.max_tasks`; empty for the
    /// document itself.
    pub key: String,
    /// What is wrong, and what to do about it.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)
    }
}

/// Parses `text` and lets `read` take what it knows from the top section.
/// Keys that `read` did not ask for are added to the problems.
///
/// # Errors
/// All problems in the order of their lines; never an empty list.
pub fn read<T>(
    file: &str,
    text: &str,
    read: impl FnOnce(&mut Section<'_>) -> T,
) -> Result<T, Vec<Problem>> {
    let collector = Collector {
        file,
        text,
        problems: RefCell::new(Vec::new()),
    };
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            collector.add(
                error.span().map_or(0, |span| span.start),
                "",
                error.message(),
            );
            return Err(collector.problems.into_inner());
        }
    };
    let mut top = Section::new(&collector, String::new(), 0, Some(table.get_ref()));
    let value = read(&mut top);
    drop(top);
    let mut problems = collector.problems.into_inner();
    problems.sort_by_key(|problem| problem.line);
    if problems.is_empty() {
        Ok(value)
    } else {
        Err(problems)
    }
}

/// Where the problems of one document meet.
struct Collector<'t> {
    file: &'t str,
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
}

impl Collector<'_> {
    /// Notes a problem at byte `offset`.
    fn add(&self, offset: usize, key: &str, what: &str) {
        let before = self.text.as_bytes().iter().take(offset);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        self.problems.borrow_mut().push(Problem {
            file: self.file.to_owned(),
            line,
            key: key.to_owned(),
            what: what.trim_end().replace('\n', "; "),
        });
    }
}
