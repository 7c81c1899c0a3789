//! The record of an agent: who there was, and how each said it would end.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tests::harness::start_time;

use crate::tee;

/// Which process of an agent this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The first one.
    Leader,
    /// One that it made.
    Child,
    /// One that has been written down before.
    Again,
}

/// The record file, once a step has named it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    kind: Kind,
    path: Option<PathBuf>,
}

impl Record {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self { kind, path: None }
    }

    /// The step that names the file again, for a child.
    pub(crate) fn step(&self) -> Option<String> {
        let path = self.path.as_ref()?;
        Some(format!("record:{}", path.display()))
    }

    /// Names the file, and writes this process down.
    pub(crate) fn open(&mut self, path: &str) {
        self.path = Some(PathBuf::from(path));
        match self.kind {
            Kind::Leader => {
                tee::open(Path::new(path));
                self.write("leader", own_pid(), "");
            }
            Kind::Child => self.write("child", own_pid(), ""),
            Kind::Again => tee::open(Path::new(path)),
        }
    }

    /// Writes another process down.
    pub(crate) fn child(&self, pid: u32) {
        self.write("child", i32::try_from(pid).unwrap_or_default(), "");
    }

    /// Leaves a mark for the test.
    pub(crate) fn mark(&self, text: &str) {
        self.write("mark", own_pid(), text);
    }

    /// Says how this process is about to end.
    pub(crate) fn ending(&self, how: &str) {
        self.write("ending", own_pid(), how);
    }

    /// Says it, and exits.
    pub(crate) fn exit(&self, code: i32) -> ! {
        self.ending(&format!("exit {code}"));
        std::process::exit(code)
    }

    fn write(&self, kind: &str, pid: i32, text: &str) {
        let Some(path) = &self.path else { return };
        // A process that is gone already needs no entry.
        let Some(start_time) = start_time(pid) else {
            return;
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_micros());
        let line = format!("{kind} {pid} {start_time} {now} {text}");
        let file = OpenOptions::new().create(true).append(true).open(path);
        // One write per line: lines of several processes never mix.
        let written =
            file.and_then(|mut file| file.write_all(format!("{}\n", line.trim_end()).as_bytes()));
        written.expect("the record file can be written");
    }
}

fn own_pid() -> i32 {
    i32::try_from(std::process::id()).expect("a pid")
}
