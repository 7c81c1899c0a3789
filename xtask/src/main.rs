//! The project's own commands: `cargo xtask build|demo|test|matrix|soak|bench`.

mod bench;
mod build;
mod demo;
mod matrix;
mod run;
mod soak;
mod test;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask build [--release] [--hooks]   build the three programs into target/dist/<profile>/
cargo xtask demo                          build, then watch an agent run under supervision
cargo xtask test [FILTER…]                build, then run all tests
cargo xtask matrix [--runs N]             build, then run the fault matrix and print its table
cargo xtask soak [--tasks N] [--seed S]   build, then kill processes at random under load
cargo xtask bench [ARG…]                  build for release, then measure
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.split_first() {
        Some((verb, rest)) => dispatch(verb, rest),
        None => {
            print!("{HELP}");
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(verb: &str, rest: &[String]) -> Result<()> {
    match verb {
        "build" => {
            let dist = build::build(&build::Wishes::parse(rest)?)?;
            println!("{}", dist.display());
            Ok(())
        }
        "demo" => demo::demo(),
        "test" => test::test(rest),
        "matrix" => matrix::matrix(rest),
        "soak" => soak::soak(rest),
        "bench" => bench::bench(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("there is no `{other}`\n{HELP}"),
    }
}
