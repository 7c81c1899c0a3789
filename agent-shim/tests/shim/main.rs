//! The real shim, with a test in the place of the supervisor.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test looks for the records that it is about"
)]

#[cfg(feature = "hooks")]
mod crashes;
mod endings;
mod harness;
mod links;
mod memory;
mod outputs;
mod starts;
mod stops;
