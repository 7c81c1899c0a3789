//! A real systemd as the first process of a PID namespace, on a machine that
//! need not run one itself. Needs root; takes half a second.

mod guest;

pub use guest::Guest;
