//! Tests of the pure core: whole effect lists, the table of verdicts, random
//! and exhaustive histories.

mod choose;
mod crash_loop;
mod decide_figures;
mod decide_hub;
mod decide_late;
mod decide_limits;
mod decide_lost;
mod decide_oom;
mod decide_queue;
mod decide_records;
mod decide_run;
mod decide_session;
mod decide_signal;
mod decide_silence;
mod decide_stop;
mod drain;
mod invariants;
mod json;
mod model;
mod prop;
mod support;
mod table;
