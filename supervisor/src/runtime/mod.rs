//! Where the edges meet: one loop owns all state, everything else sends it
//! messages.
//!
//! ```text
//! control ─┐                                  ┌─▶ ledger (commit)
//! shims ───┼─▶ CoreInput ─▶ Core ─▶ lifecycle ┼─▶ shims (orders, acks)
//! watches ─┤                                  ├─▶ clients (answers)
//! timers ──┘                                  └─▶ subscribers (events)
//! ```

mod admit;
mod again;
mod background;
mod batch;
mod boot;
mod boot_error;
mod called_off;
mod cgroups;
mod claims;
mod clock;
mod container;
mod core_loop;
mod crash_loop;
mod damage;
mod digest;
mod dispatch;
mod doors;
mod drain;
mod flight;
mod fresh;
mod gateway;
mod handle;
mod held;
mod input;
mod keep;
mod kept;
mod leave;
mod live;
mod lost;
mod lost_alive;
mod managed;
mod memory;
mod naming;
mod offline;
mod old_ledger;
mod orphans;
mod other_version;
mod perform;
mod placed;
mod provider_files;
mod prune;
mod pulse;
mod queue;
mod rebuild;
mod recover;
mod replace;
mod requests;
mod resume;
mod run_as;
mod service;
mod settle;
mod shims;
mod signals;
mod stop;
mod stopping;
mod streams;
mod timers;
mod trial;
mod turns;
mod unknown_intents;
mod unrecorded;
mod unsaved;
mod watchdog;

pub use boot::main;
