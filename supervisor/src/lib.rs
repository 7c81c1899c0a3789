//! The supervisor: thin IO around the pure core. The only writer of the
//! ledger.
//!
//! Edge modules never import each other; they meet in `runtime`. Leaves that
//! any of them may use: [`document`], [`exit_code`], [`fswatch`], [`reply`], [`socket`],
//! [`text`].

pub mod cgroup;
pub mod cli;
pub mod config;
pub mod control;
pub mod document;
pub mod events;
pub mod exit_code;
pub mod folder;
pub mod fswatch;
pub mod gateway;
pub mod ledger;
pub mod logs;
pub mod places;
pub mod process;
pub mod provider;
pub mod query;
mod readiness;
pub mod reply;
pub mod runtime;
pub mod shim;
pub mod socket;
pub mod systemd;
pub mod telemetry;
pub mod text;
