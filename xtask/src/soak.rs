//! `cargo xtask soak`: a random-kill soak.

use anyhow::Result;

use crate::build;
use crate::run::{cargo, run};

pub(crate) fn soak(words: &[String]) -> Result<()> {
    let dist = build::build(&build::RELEASE)?;
    // Beside it stands the fake agent.
    run(cargo().args(["build", "--quiet", "--package", "tests", "--bins"]))?;
    run(cargo()
        .args([
            "run",
            "--quiet",
            "--package",
            "tests",
            "--bin",
            "soak",
            "--",
        ])
        .args(words)
        .env("AGENT_TEST_BIN_DIR", dist))
}
