//! Reading an agent's output as it streams by.
//!
//! stdout may be JSON lines, read by the rules of the provider file; both
//! streams are searched for texts. Nothing here holds a line: what is kept is
//! bounded per wanted value.

mod capture;
mod figures;
mod finding;
mod json;
mod paths;
mod pattern;
mod rules;
mod slot;

use protocol::shim::{ScanSpec, Usage};
use protocol::vocab::Stream;

pub use finding::{
    Finding, MAX_ERROR_TEXT, MAX_ERRORS_PER_KIND, MAX_MODELS, MAX_RESULTS, MAX_SESSIONS,
};

use json::Reader;
use paths::Paths;
use pattern::LineSearch;
use rules::Rules;

/// Reads both streams of one agent.
#[derive(Debug)]
pub struct Scanner {
    /// Only where stdout is JSON lines of which something is wanted.
    lines: Option<(Reader, Paths)>,
    rules: Rules,
    stdout: Option<LineSearch>,
    stderr: Option<LineSearch>,
}

impl Scanner {
    /// A scanner by `spec`.
    #[must_use]
    pub fn new(spec: &ScanSpec) -> Self {
        let mut paths = paths::compile(spec);
        let rules = Rules::new(spec, &mut paths);
        let lines = spec.reads_lines().then(|| (Reader::new(), paths));
        Self {
            lines,
            rules,
            stdout: LineSearch::new(&spec.patterns, Stream::Stdout),
            stderr: LineSearch::new(&spec.patterns, Stream::Stderr),
        }
    }

    /// Reads on in `stream`.
    pub fn feed(&mut self, stream: Stream, bytes: &[u8]) {
        let search = match stream {
            Stream::Stdout => {
                if let Some((reader, paths)) = &mut self.lines {
                    reader.feed(bytes, paths, &mut self.rules);
                }
                &mut self.stdout
            }
            Stream::Stderr => &mut self.stderr,
        };
        if let Some(search) = search {
            search.feed(bytes, &mut self.rules.findings);
        }
    }

    /// Takes a last line that is whole but for its newline. To be called when
    /// everything that can come before a decision has been read.
    pub fn end_of_input(&mut self) {
        if let Some((reader, _)) = &mut self.lines {
            reader.report_whole(&mut self.rules);
        }
        for search in [&mut self.stdout, &mut self.stderr].into_iter().flatten() {
            search.end_line(&mut self.rules.findings);
        }
        self.rules.findings.end();
    }

    /// What was found since the last call, in order.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        self.rules.findings.take()
    }

    /// The newest progress text since the last call.
    pub fn take_progress(&mut self) -> Option<String> {
        self.rules.take_progress()
    }

    /// The figures so far.
    #[must_use]
    pub const fn usage(&self) -> Usage {
        self.rules.usage()
    }
}

#[cfg(test)]
mod tests;
