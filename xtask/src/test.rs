//! `cargo xtask test`: every test of the workspace, with the real programs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::build;
use crate::run::{cargo, target_dir};

/// The sums over all test programs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Sums {
    /// Adds a line `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split("; ") {
            let mut words = count.split(' ');
            let number = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
            match words.next() {
                Some("passed") => self.passed += number,
                Some("failed") => self.failed += number,
                Some("ignored") => self.ignored += number,
                Some(_) | None => {}
            }
        }
    }
}

/// Runs the tests whose names contain one of the words, or all.
pub(crate) fn test(filters: &[String]) -> Result<()> {
    let dist = build::build(&build::HOOKED)?;
    let skips = target_dir().join("dist/skips");
    fs::write(&skips, "").with_context(|| format!("writing {}", skips.display()))?;

    let mut command = cargo();
    command
        .args(["test", "--workspace", "--no-fail-fast", "--"])
        .args(filters)
        .env("AGENT_TEST_BIN_DIR", &dist)
        .env("AGENT_TEST_SKIP_LOG", &skips)
        .stdout(Stdio::piped());
    let mut child = command.spawn().context("starting cargo test")?;
    let mut sums = Sums::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.context("reading the output of cargo test")?;
            println!("{line}");
            sums.add(&line);
        }
    }
    let status = child.wait().context("waiting for cargo test")?;

    // A skipped test counts as passed for libtest: here it does not.
    let skipped = fs::read_to_string(&skips).unwrap_or_default();
    let count = skipped.lines().count() as u64;
    println!();
    skipped.lines().for_each(|line| println!("{line}"));
    println!(
        "{} passed, {} failed, {} skipped",
        sums.passed.saturating_sub(count),
        sums.failed,
        count + sums.ignored
    );
    ensure!(status.success(), "cargo test ended with {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_added() {
        let mut sums = Sums::default();
        sums.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        sums.add("test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured");
        sums.add("running 3 tests");
        let expected = Sums {
            passed: 5,
            failed: 4,
            ignored: 1,
        };
        assert_eq!(sums, expected);
    }
}
