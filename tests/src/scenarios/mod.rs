//! What several test files do to a world.

mod crash;
mod expect;
mod keeper;
mod locked;
mod other_user;
mod unheard;

pub use crash::{Path, Strike, strike_at};
pub use expect::{assert_ended, exit_code_of, signal_of};
pub use keeper::install_keeper;
pub use locked::{LedgerLock, is_noticed, is_taken, says_later, up};
pub use other_user::{OTHER_USER, id_of_other, open_the_way, run_as_other, wait_for_output};
pub use unheard::{ended_unheard, next_tells_it};
