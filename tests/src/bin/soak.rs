//! `cargo xtask soak [--tasks N] [--seed S]`.

use std::process::ExitCode;
use std::time::SystemTime;

fn main() -> ExitCode {
    let mut tasks = 2_000;
    let mut seed = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(1, |since| since.as_secs());
    let words: Vec<String> = std::env::args().skip(1).collect();
    for pair in words.chunks(2) {
        let number = pair.get(1).and_then(|word| word.parse::<u64>().ok());
        match (pair[0].as_str(), number) {
            ("--tasks", Some(number)) => tasks = usize::try_from(number).unwrap_or(usize::MAX),
            ("--seed", Some(number)) => seed = number,
            _ => {
                eprintln!("soak [--tasks N] [--seed S]");
                return ExitCode::from(2);
            }
        }
    }
    println!("seed {seed}");
    let report = tests::soak::run(tasks, seed);
    print!("{report}");
    if report.violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
