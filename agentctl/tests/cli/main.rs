//! The real binary against a control server that the test plays, in a private
//! home.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a played server panics on every request that its test does not expect"
)]

mod attached;
mod errors;
mod json;
mod offline;
mod prune;
mod reconnect;
mod run;
mod support;
mod terminal;
mod text;
