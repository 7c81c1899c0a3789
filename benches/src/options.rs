//! The command line of the measurements.

use std::path::PathBuf;

use anyhow::{Result, bail};

/// How to use it.
pub const HELP: &str = "\
benches [--quick] [--peers | --peer NAME,…] [--only WORD,…] [--json FILE]
  --quick       fewer repeats and smaller crowds: a look, not a measurement
  --peers       other supervisors beside ours, as far as they are installed
  --peer NAME   only those of them
  --only WORD   only the groups whose name has WORD in it
  --json FILE   the figures for programs as well

The programs are those of `cargo xtask build --release`; AGENT_BENCH_BIN_DIR
names another folder, AGENT_BENCH_HOOKS_BIN_DIR that of a build with hooks
(else target/dist/dev-hooks), which counts and delays syncs.
";

/// How thorough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// A look.
    Quick,
    /// A measurement.
    Full,
}

impl Depth {
    /// One of two numbers.
    #[must_use]
    pub const fn pick(self, quick: usize, full: usize) -> usize {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

/// Which other supervisors are measured too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peers {
    /// None.
    Ignored,
    /// All that are installed.
    All,
    /// Of those, the ones with these names.
    Named(Vec<String>),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How thorough.
    pub depth: Depth,
    /// Other supervisors.
    pub peers: Peers,
    /// Words in the names of the groups that are wanted; all if empty.
    pub only: Vec<String>,
    /// Where the JSON goes.
    pub json: Option<PathBuf>,
}

impl Options {
    /// Reads the words of the command line; `None` asks for help.
    ///
    /// # Errors
    /// A word that is not known.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Option<Self>> {
        let mut options = Self {
            depth: Depth::Full,
            peers: Peers::Ignored,
            only: Vec::new(),
            json: None,
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .ok_or_else(|| anyhow::anyhow!("{word} needs a value"))
            };
            match word.as_str() {
                "--quick" => options.depth = Depth::Quick,
                "--peers" => options.peers = Peers::All,
                "--peer" => {
                    let names = value()?.split(',').map(str::to_string).collect();
                    options.peers = Peers::Named(names);
                }
                "--only" => options.only.extend(value()?.split(',').map(str::to_string)),
                "--json" => options.json = Some(PathBuf::from(value()?)),
                "--help" | "-h" => return Ok(None),
                other => bail!("there is no option `{other}`\n{HELP}"),
            }
        }
        Ok(Some(options))
    }

    /// Is the group `name` wanted?
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| name.contains(word.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Options>> {
        Options::parse(line.split_whitespace().map(str::to_string))
    }

    #[test]
    fn words_are_known_or_refused() {
        let options = parse("--quick --only memory,list --json out.json").expect("good");
        let options = options.expect("no help wanted");
        assert_eq!(options.depth.pick(1, 2), 1);
        assert!(options.wants("memory per task") && !options.wants("latency"));
        assert_eq!(options.json, Some(PathBuf::from("out.json")));
        assert_eq!(parse("--help").expect("good"), None);
        assert!(parse("--json").is_err());
        assert!(parse("--fast").is_err());
    }
}
