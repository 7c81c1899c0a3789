//! Processes of others: who asks, what an agent is given to live in, and the
//! end of what a dead shim left behind.

pub mod account;
pub mod environment;
pub mod lost_shim;
pub mod marker;
pub mod marker_sweep;
pub mod orphans;
pub mod requester;
mod scan;
pub mod watchdog;
