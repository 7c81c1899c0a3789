//! The world of a system test.

mod background;
mod bins;
mod cgroup;
mod ctl;
mod events;
mod gate;
mod hooks;
mod http;
mod ledger;
mod podman;
mod process;
mod record;
mod run;
mod skip;
mod small_disk;
mod stranger;
mod stub;
mod supervisor;
mod wait;
mod world;

pub use background::Background;
pub use bins::{Bins, cli_dir};
pub use cgroup::{
    Delegated, MemoryHome, PidsHome, counts_memory, kernel_kills, memory_root, unified_root,
};
pub use ctl::Output;
pub use events::{Sent, Source};
pub use gate::Gate;
pub use hooks::{Hooks, Paused};
pub use http::{Http, HttpAnswer, HttpLines};
pub use ledger::{Ledger, Row};
pub use podman::{Podman, STUBBORN};
pub use process::{Process, own_user, processes, start_time};
pub use record::{Recorded, Records};
pub use run::{Dispatched, Run};
pub use skip::{elsewhere, record_skip};
pub use small_disk::SmallDisk;
pub use stranger::Stranger;
pub use stub::{Stub, StubRequest};
pub use supervisor::Supervisor;
pub use wait::{GENEROUS, wait_explained, wait_for, wait_until};
pub use world::{Oracle, World, WorldBuilder};
