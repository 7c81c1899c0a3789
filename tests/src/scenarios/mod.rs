//! What several test files do to a world.

mod crash;
mod expect;
mod keeper;

pub use crash::{Path, Strike, strike_at};
pub use expect::{assert_ended, exit_code_of, signal_of};
pub use keeper::install_keeper;
