//! The only place where tests let time pass.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for any state on a loaded machine with two cores: a test that
/// is right never gets near it.
pub const GENEROUS: Duration = Duration::from_secs(30);

/// Between two looks at a state that nothing announces. Short: it adds to the
/// time of every test.
const BETWEEN_LOOKS: Duration = Duration::from_millis(3);

/// Looks again and again until `look` gives a value.
///
/// # Panics
/// When the deadline passes first; the message shows the last state seen.
pub fn wait_for<T, S: Debug>(
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> Result<T, S>,
) -> T {
    let started = Instant::now();
    loop {
        match look() {
            Ok(value) => return value,
            Err(state) => assert!(
                started.elapsed() < deadline,
                "waited {:?} for: {what}; the last state was {state:#?}",
                started.elapsed(),
            ),
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}

/// Looks again and again until `holds` is true; `explain` is asked only when it
/// never is.
///
/// # Panics
/// When the deadline passes first.
pub fn wait_explained<S: Debug>(
    what: &str,
    deadline: Duration,
    mut holds: impl FnMut() -> bool,
    explain: impl FnOnce() -> S,
) {
    let started = Instant::now();
    while !holds() {
        if started.elapsed() >= deadline {
            panic!("waited {deadline:?} for: {what}; {:#?}", explain());
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}

/// Looks again and again until `holds` is true.
///
/// # Panics
/// When the deadline passes first.
pub fn wait_until(what: &str, deadline: Duration, holds: impl FnMut() -> bool) {
    wait_explained(what, deadline, holds, || "nothing more is known");
}
