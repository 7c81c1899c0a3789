//! The agent of the system tests: does what its words say, step by step.
//!
//! ```text
//! fake_agent record:/t/r print:hello spawn:daemon:2:forever gate:/t/g exit:3
//! ```
//!
//! It writes every process that it makes into the file of `record:`, so that a
//! test counts from this record and not from what the supervisor says. Under
//! another name than its own it behaves like that agent CLI, and takes its
//! steps from the prompt, one per line. The steps are listed in `steps.rs`.

mod children;
mod claude;
mod output;
mod record;
mod signals;
mod steps;
mod tee;

use std::path::Path;

use record::{Kind, Record};

/// A process that an agent made: its steps follow.
const CHILD: &str = "@child";
/// Makes one child and ends: the middle of a double fork.
const MIDDLE: &str = "@middle";
/// The same process after a new exec.
const AGAIN: &str = "@again";

fn main() {
    let mut words = std::env::args();
    let name = words.next().unwrap_or_default();
    let words: Vec<String> = words.collect();
    let base = Path::new(&name).file_name().and_then(|name| name.to_str());
    match (base, words.split_first()) {
        (_, Some((first, rest))) if first == CHILD => run(Kind::Child, rest),
        (_, Some((first, rest))) if first == AGAIN => run(Kind::Again, rest),
        (_, Some((first, rest))) if first == MIDDLE => children::middle(rest),
        (Some("claude"), _) => claude::run(&words),
        (_, _) => run(Kind::Leader, &words),
    }
}

fn run(kind: Kind, words: &[String]) {
    let mut record = Record::new(kind);
    let code = steps::run_all(&mut record, words);
    record.exit(code.unwrap_or(0));
}
