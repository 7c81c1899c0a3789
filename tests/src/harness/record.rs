//! What the fake agents themselves wrote down: the oracle of the tests. It
//! owes nothing to the programs under test.

use std::fs;
use std::path::{Path, PathBuf};

use super::process::Process;

/// One line of a record file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// An agent's first process began.
    Leader(Process),
    /// A process that an agent made.
    Child(Process),
    /// A process is about to end by itself: `exit 3`, `signal 9`; when, in
    /// microseconds since the epoch.
    Ending(Process, String, u64),
    /// Anything else that a step wrote: `mark ready`.
    Mark(Process, String),
}

/// A record file, read.
#[derive(Clone, Debug)]
pub struct Records {
    path: PathBuf,
}

impl Records {
    /// Of this file; it need not exist yet.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All whole lines so far.
    ///
    /// # Panics
    /// When a line is not understood.
    #[must_use]
    pub fn lines(&self) -> Vec<Recorded> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| parse(line.trim_end()).unwrap_or_else(|| panic!("strange record: {line}")))
            .collect()
    }

    /// The first processes of agents: more than one means a doubled start.
    #[must_use]
    pub fn leaders(&self) -> Vec<Process> {
        self.lines()
            .into_iter()
            .filter_map(|line| match line {
                Recorded::Leader(process) => Some(process),
                Recorded::Child(_) | Recorded::Ending(..) | Recorded::Mark(..) => None,
            })
            .collect()
    }

    /// Every process that ever was.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        self.lines()
            .into_iter()
            .filter_map(|line| match line {
                Recorded::Leader(process) | Recorded::Child(process) => Some(process),
                Recorded::Ending(..) | Recorded::Mark(..) => None,
            })
            .collect()
    }

    /// Those that live now.
    #[must_use]
    pub fn alive(&self) -> Vec<Process> {
        self.processes()
            .into_iter()
            .filter(Process::is_alive)
            .collect()
    }

    /// How the leader said it would end: `exit 3`, `signal 9`.
    #[must_use]
    pub fn ending(&self) -> Option<String> {
        self.ending_at().map(|(how, _)| how)
    }

    /// The same, and when, in microseconds since the epoch.
    #[must_use]
    pub fn ending_at(&self) -> Option<(String, u64)> {
        let leaders = self.leaders();
        self.lines().into_iter().find_map(|line| match line {
            Recorded::Ending(process, how, at) => leaders.contains(&process).then_some((how, at)),
            Recorded::Leader(_) | Recorded::Child(_) | Recorded::Mark(..) => None,
        })
    }

    /// All that the first process has printed or was about to print to `stdout`
    /// or `stderr`, and how many of these bytes it surely printed.
    ///
    /// # Panics
    /// When what was kept cannot be read.
    #[must_use]
    pub fn printed(&self, stream: &str) -> (Vec<u8>, u64) {
        let said = format!("{}.{stream}", self.path.display());
        let sure = fs::read_to_string(format!("{said}.sure")).unwrap_or_default();
        let sure = match sure.as_str() {
            "" => 0,
            number => number.parse().expect("a count"),
        };
        (fs::read(&said).unwrap_or_default(), sure)
    }

    /// Did a step leave this mark?
    #[must_use]
    pub fn has_mark(&self, mark: &str) -> bool {
        self.lines().iter().any(|line| match line {
            Recorded::Mark(_, text) => text == mark,
            Recorded::Leader(_) | Recorded::Child(_) | Recorded::Ending(..) => false,
        })
    }
}

/// `<kind> <pid> <start time> <microseconds> [text]`
fn parse(line: &str) -> Option<Recorded> {
    let mut words = line.splitn(5, ' ');
    let kind = words.next()?;
    let process = Process {
        pid: words.next()?.parse().ok()?,
        start_time: words.next()?.parse().ok()?,
    };
    let at = words.next()?.parse().ok()?;
    let text = words.next().unwrap_or_default().to_string();
    match kind {
        "leader" => Some(Recorded::Leader(process)),
        "child" => Some(Recorded::Child(process)),
        "ending" => Some(Recorded::Ending(process, text, at)),
        "mark" => Some(Recorded::Mark(process, text)),
        _ => None,
    }
}
