//! The real binary against a control server that the test plays, in a private
//! home.

mod attached;
mod errors;
mod json;
mod offline;
mod reconnect;
mod run;
mod support;
mod text;
