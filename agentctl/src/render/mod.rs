//! From answers to text: for people (`table`, `task`, `why`, `service`) and for
//! programs (`json`).

pub(crate) mod detail;
pub(crate) mod event;
pub(crate) mod json;
pub(crate) mod out;
pub(crate) mod prune;
pub(crate) mod service;
pub(crate) mod style;
pub(crate) mod table;
pub(crate) mod task;
pub(crate) mod text;
pub(crate) mod time;
pub(crate) mod why;
