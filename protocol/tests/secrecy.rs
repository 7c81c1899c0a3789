//! R13: environment, prompts, tokens and output never reach `Debug`.

use crate::samples;

/// Every secret of the samples begins with this.
const MARK: &str = "secret";

#[test]
fn nothing_secret_is_in_debug() {
    for (name, bytes, read) in samples::all() {
        let shown = read(&bytes).expect("a sample reads back");
        assert!(!shown.contains(MARK), "{name}: {shown}");
        // The token of the samples.
        assert!(!shown.contains("7, 7, 7"), "{name}: {shown}");
    }
}

#[test]
fn the_samples_do_carry_secrets() {
    let carrying: Vec<String> = samples::all()
        .into_iter()
        .filter(|(_, bytes, _)| {
            bytes
                .windows(MARK.len())
                .any(|window| window == MARK.as_bytes())
        })
        .map(|(name, _, _)| name)
        .collect();
    assert_eq!(
        carrying,
        [
            "request.run",
            "response.log",
            "to_shim.start",
            "to_shim.start_bare",
            "to_shim.start_pieces",
            "to_shim.start_as",
            "to_shim.start_numbers"
        ]
    );
}

#[test]
fn what_identifies_a_message_is_in_debug() {
    let start = format!("{:?}", samples::start());
    assert!(
        start.contains("t-1") && start.contains("/s/tasks/t-1"),
        "{start}"
    );
}
