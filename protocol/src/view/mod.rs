//! What users see. The field names are the JSON of `agentctl --json` and of
//! the gateway, literally; the same structs travel as postcard.

mod event;
mod orphan;
mod prune;
mod service;
mod session;
mod task;

pub use event::{EventView, GAP_EVENT, PROGRESS_EVENT};
pub use orphan::{FoundBy, OrphanView, OrphansView};
pub use prune::{PruneView, PrunedTask};
pub use service::{
    DrainView, LedgerView, ProtocolRange, ProviderView, StatusView, TaskCounts, UnitView,
};
pub use session::SessionView;
pub use task::{
    Ancestor, ChainLink, EvidenceView, IntentView, Links, ProgressView, Requester, ResultView,
    StopResult, Survivor, TaskDetail, TaskView,
};
