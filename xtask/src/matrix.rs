//! `cargo xtask matrix`: the fault matrix as a table.

use anyhow::Result;

use crate::build;
use crate::run::{cargo, run};

pub(crate) fn matrix(words: &[String]) -> Result<()> {
    let dist = build::build(&build::HOOKED)?;
    // Beside it stands the fake agent.
    run(cargo().args(["build", "--quiet", "--package", "tests", "--bins"]))?;
    run(cargo()
        .args([
            "run",
            "--quiet",
            "--package",
            "tests",
            "--bin",
            "matrix",
            "--",
        ])
        .args(words)
        .env("AGENT_TEST_BIN_DIR", dist))
}
