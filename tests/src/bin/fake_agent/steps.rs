//! The steps.
//!
//! | step | what it does |
//! |---|---|
//! | `record:PATH` | names the record file and writes this process down |
//! | `mark:TEXT` | leaves a mark in the record |
//! | `touch:PATH` | makes a file |
//! | `gate:PATH` | waits at a FIFO until the test opens it |
//! | `forever` | waits without end |
//! | `print:TEXT` `eprint:TEXT` `raw:TEXT` | a line to stdout, to stderr; bytes with `\n \0 \xNN` |
//! | `lines:N[:WIDTH]` `long-line:BYTES` `garbage` | output that hurts; only an agent's first process prints |
//! | `env` `env:NAME` `cwd` `ids` `fds` `stdin` | what it was given |
//! | `fill:PATH` `keep-filling:PATH` | writes there until the disk is full; and takes whatever gets free, for ever |
//! | `tmp:NAME` | makes a file in its TMPDIR |
//! | `close-stdout` `close-stderr` | closes it and goes on |
//! | `ignore:SIGNAL` `on:SIGNAL:CODE` | ignores it; exits upon it |
//! | `session` | goes into a session of its own |
//! | `spawn:plain\|group\|session\|daemon:COUNT:STEP,STEP` | children, whose steps have `=` for `:` |
//! | `storm:WIDTH:LENGTH` | so many chains of so many processes, each making the next |
//! | `alloc:MEGABYTES` | touches memory and keeps it |
//! | `wipe-env` | goes on with the same pid and an empty environment |
//! | `cores` | allows core dumps |
//! | `stop-self` | SIGSTOP |
//! | `exit:N` `die:SIGNAL` `abort` | the end |

use std::fs;
use std::io::Read;
use std::sync::Mutex;

use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use nix::sys::signal::{Signal, raise};

use crate::record::Record;
use crate::{children, output, signals};

/// Memory that is kept until the end.
static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// One step after the other; an exit code if one of them ends the process.
pub(crate) fn run_all(record: &mut Record, steps: &[String]) -> Option<i32> {
    for (at, step) in steps.iter().enumerate() {
        let (name, rest) = step.split_once(':').unwrap_or((step, ""));
        if name == "exit" {
            return Some(rest.parse().expect("exit:N"));
        }
        if name == "wipe-env" {
            children::wipe_environment(record, &steps[at + 1..]);
        }
        let known = talk(name, rest) || wait(record, name, rest) || end(record, name, rest);
        assert!(known, "{step} is no step");
    }
    None
}

/// Is this word a step?
pub(crate) fn is_step(word: &str) -> bool {
    const NAMES: [&str; 32] = [
        "record",
        "mark",
        "touch",
        "gate",
        "forever",
        "print",
        "eprint",
        "raw",
        "lines",
        "long-line",
        "garbage",
        "env",
        "cwd",
        "ids",
        "fds",
        "stdin",
        "tmp",
        "close-stdout",
        "close-stderr",
        "ignore",
        "on",
        "session",
        "spawn",
        "storm",
        "chain",
        "alloc",
        "wipe-env",
        "cores",
        "stop-self",
        "exit",
        "die",
        "abort",
    ];
    let name = word.split_once(':').map_or(word, |(name, _)| name);
    NAMES.contains(&name)
}

/// Steps that print.
fn talk(name: &str, rest: &str) -> bool {
    match name {
        "print" => output::print(format!("{rest}\n").as_bytes()),
        "eprint" => output::complain(format!("{rest}\n").as_bytes()),
        "raw" => output::print(&output::unescape(rest)),
        "lines" => output::lines(rest),
        "long-line" => output::long_line(rest),
        "garbage" => output::garbage(),
        "env" if rest.is_empty() => output::environment(),
        "env" => {
            let value = std::env::var(rest).unwrap_or_else(|_| "(not set)".to_string());
            output::print(format!("{rest}={value}\n").as_bytes());
        }
        "cwd" => {
            let cwd = std::env::current_dir().expect("there is a working folder");
            output::print(format!("{}\n", cwd.display()).as_bytes());
        }
        "ids" => output::identity(),
        "fds" => output::descriptors(),
        "stdin" => output::echo_stdin(),
        "close-stdout" => nix::unistd::close(1).expect("it was open"),
        "close-stderr" => nix::unistd::close(2).expect("it was open"),
        _ => return false,
    }
    true
}

/// Steps that wait, and that leave something for the test or for the kernel.
fn wait(record: &mut Record, name: &str, rest: &str) -> bool {
    match name {
        "record" => record.open(rest),
        "mark" => record.mark(rest),
        "touch" => fs::write(rest, "").expect("a file can be made"),
        "tmp" => {
            let folder = std::env::var("TMPDIR").expect("TMPDIR is set");
            fs::write(format!("{folder}/{rest}"), "").expect("TMPDIR is writable");
        }
        "gate" => gate(rest),
        "fill" => fill(rest),
        "keep-filling" => keep_filling(rest),
        "forever" => loop {
            std::thread::park();
        },
        "alloc" => {
            let megabytes: usize = rest.parse().expect("alloc:MEGABYTES");
            let mut kept = KEPT.lock().expect("nobody panics with it");
            kept.push(vec![1; megabytes << 20]);
        }
        "session" => {
            nix::unistd::setsid().expect("only a fresh child can leave its session");
        }
        "spawn" => children::spawn(record, rest),
        "storm" => {
            let (width, length) = rest.split_once(':').expect("storm:WIDTH:LENGTH");
            for _ in 0..width.parse::<u32>().expect("storm:WIDTH") {
                children::chain(record, length.parse().expect("storm:WIDTH:LENGTH"));
            }
        }
        "chain" => children::chain(record, rest.parse().expect("chain:LEFT")),
        _ => return false,
    }
    true
}

/// Steps about signals and ends.
fn end(record: &Record, name: &str, rest: &str) -> bool {
    match name {
        "ignore" => signals::ignore(signals::parse(rest)),
        "on" => {
            let (signal, code) = rest.split_once(':').expect("on:SIGNAL:CODE");
            let code = code.parse().expect("on:SIGNAL:CODE");
            signals::trap(record, signals::parse(signal), code);
        }
        "die" => signals::die(record, signals::parse(rest)),
        "cores" => setrlimit(Resource::RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY)
            .expect("the limit of cores can be raised"),
        "stop-self" => raise(Signal::SIGSTOP).expect("a process may signal itself"),
        "abort" => {
            record.ending(&format!("signal {}", Signal::SIGABRT as i32));
            std::process::abort();
        }
        _ => return false,
    }
    true
}

/// Opening a FIFO for reading waits for its writer: the test.
fn gate(path: &str) {
    let mut file = fs::File::open(path).expect("the gate is there");
    let mut nothing = Vec::new();
    file.read_to_end(&mut nothing)
        .expect("the gate can be read");
}

/// Whatever becomes free is taken at once.
fn keep_filling(path: &str) -> ! {
    let mut file = fs::File::options()
        .append(true)
        .create(true)
        .open(path)
        .expect("the file can be made");
    loop {
        while std::io::Write::write(&mut file, &[1; 4096]).is_ok() {}
        std::thread::yield_now();
    }
}

/// First in large pieces, then to the last byte.
fn fill(path: &str) {
    use std::io::{ErrorKind, Write};
    let mut file = fs::File::create(path).expect("the file can be made");
    for size in [1 << 20, 4096, 1] {
        let piece = vec![1; size];
        loop {
            match file.write_all(&piece) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{path}: {error}"),
            }
        }
    }
}
