//! Signals without handlers: a blocked signal does nothing, and a thread that
//! waits for it is the trap.

use std::thread;

use nix::sys::signal::{SigSet, Signal, raise};

use crate::record::Record;

/// A signal by its short name: `TERM`, `KILL`, `USR1`.
pub(crate) fn parse(name: &str) -> Signal {
    let long = format!("SIG{}", name.trim_start_matches("SIG"));
    long.parse()
        .unwrap_or_else(|_| panic!("{name} is no signal"))
}

/// From now on this signal does nothing.
pub(crate) fn ignore(signal: Signal) {
    one(signal).thread_block().expect("a signal can be blocked");
}

/// From now on this signal makes the process exit with this code.
pub(crate) fn trap(record: &Record, signal: Signal, code: i32) {
    ignore(signal);
    let record = record.clone();
    thread::spawn(move || {
        let _signal = one(signal)
            .wait()
            .expect("a blocked signal can be waited for");
        record.mark(&format!("got {signal}"));
        record.exit(code)
    });
}

/// Dies by this signal, by its default action.
pub(crate) fn die(record: &Record, signal: Signal) {
    record.ending(&format!("signal {}", signal as i32));
    one(signal)
        .thread_unblock()
        .expect("a signal can be unblocked");
    // Rust's runtime has a handler for some faults, which gives them back
    // their default action the first time.
    for _ in 0..2 {
        raise(signal).expect("a process may signal itself");
    }
}

fn one(signal: Signal) -> SigSet {
    let mut set = SigSet::empty();
    set.add(signal);
    set
}
