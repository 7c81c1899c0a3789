//! Syncs are counted, not timed: disks differ, their number does not.

use std::path::PathBuf;

use benches::programs::Programs;
use benches::syncs::count_syncs;
use benches::world::Scratch;

/// Set by `cargo xtask test`: the programs, built with hooks.
const BIN_DIR: &str = "AGENT_TEST_BIN_DIR";

#[test]
fn each_way_has_as_few_syncs_as_promised() {
    let folder = std::env::var_os(BIN_DIR).map(PathBuf::from);
    let folder = folder.expect("run the system tests with `cargo xtask test`");
    let agent = PathBuf::from(env!("CARGO_BIN_EXE_bench_agent"));
    let programs = Programs::new(folder, agent).expect("the programs were built");
    let scratch = Scratch::new().expect("a folder can be made");
    let counts = count_syncs(&scratch, &programs).expect("the programs work");
    assert!(
        counts.launch_exec >= 1,
        "the row is durable before the agent: {counts:?}"
    );
    assert!(counts.launch_exec <= 1, "{counts:?}");
    assert!(counts.launch_answer <= 2, "{counts:?}");
    assert!(
        counts.stop_signal >= 1,
        "the intent is durable before the signal: {counts:?}"
    );
    assert!(counts.stop_signal <= 1, "{counts:?}");
    assert_eq!(
        counts.completion, 1,
        "the end is durable before the answer, in one commit: {counts:?}"
    );
    assert_eq!(
        counts.completion_beside, 1,
        "and in the shim's journal: {counts:?}"
    );
}
