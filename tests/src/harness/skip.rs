//! Tests that cannot run on a machine say so, loudly.

use std::fs::OpenOptions;
use std::io::Write;

/// With this variable at `1` every skip is a failure.
const REQUIRE_ALL: &str = "AGENT_TEST_REQUIRE_ALL";
/// Names the file in which `xtask test` collects the skips.
const SKIP_LOG: &str = "AGENT_TEST_SKIP_LOG";

/// Ends the calling test as skipped, with a reason.
#[macro_export]
macro_rules! skip {
    ($($why:tt)*) => {{
        $crate::harness::record_skip(&format!($($why)*));
        return;
    }};
}

/// Prints the skip and appends it to the log of `xtask test`.
///
/// # Panics
/// When nothing may be skipped.
pub fn record_skip(why: &str) {
    let test = std::thread::current()
        .name()
        .unwrap_or("a test")
        .to_string();
    assert!(
        std::env::var(REQUIRE_ALL).as_deref() != Ok("1"),
        "{test} may not be skipped here: {why}"
    );
    let line = format!("SKIP {test}: {why}\n");
    print!("{line}");
    if let Ok(path) = std::env::var(SKIP_LOG) {
        let mut log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .expect("the skip log can be opened");
        log.write_all(line.as_bytes())
            .expect("the skip log can be written");
    }
}

/// Says that what the calling test shows is shown by another one on a machine like
/// this: no skip.
pub fn elsewhere(place: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    println!("{test} has its like for this machine: {place}");
}
