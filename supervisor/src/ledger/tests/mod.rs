//! Tests of the whole module, with real files.

mod boots;
mod kept;
mod log;
mod plans;
mod projection;
mod prune;
mod queued;
mod refusals;
mod running;
mod samples;
mod sessions;
pub(crate) mod support;
