//! F13: strangers have the pids of the dead. In a program of its own, because it
//! reaps the orphans of others meanwhile.

use tests::matrix::{Fault, run_all};

/// R9: a pid alone means nothing. Nobody touches them: not the supervisor that is
/// taking the task over, not a stop, not the sweep of orphans.
#[test]
fn strangers_with_recorded_pids_are_left_alone() {
    run_all(Fault::PidsWrap);
}
