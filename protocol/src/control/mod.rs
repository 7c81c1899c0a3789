//! The control socket: `agentctl` asks, the supervisor answers.
//!
//! After the [`hello`](crate::hello) a connection carries one
//! [`Request`] at a time; its answer is one [`Response`], or, where a request
//! follows something, several, the last of which is never a chunk or an event.

mod providers;
mod request;
mod response;

pub use providers::{ProvidersRequest, Surroundings};
pub use request::{
    Again, AgainRequest, DrainRequest, EventsRequest, KeepAct, KeepRequest, ListFilter,
    LogsRequest, OnNotFound, OrphansRequest, PruneRequest, Request, RunOption, RunRequest,
    SessionAct, SessionChange, SessionChoice, SessionsRequest, StopRequest, WaitRequest,
};
pub use response::{ErrorBody, ErrorCode, LogChunk, Response};

impl Request {
    /// The dispatch in it, if it is one.
    pub fn dispatch_mut(&mut self) -> Option<&mut RunRequest> {
        match self {
            Self::Run(run) | Self::RunWith(run, _) => Some(run),
            Self::Again(again) => Some(&mut again.run),
            Self::List(_)
            | Self::Show { .. }
            | Self::Why { .. }
            | Self::Stop(_)
            | Self::Wait(_)
            | Self::Logs(_)
            | Self::Events(_)
            | Self::Sessions(_)
            | Self::ChangeSession(_)
            | Self::Status
            | Self::Providers(_)
            | Self::Orphans(_)
            | Self::Drain(_)
            | Self::Keep(_)
            | Self::Prune(_) => None,
        }
    }
}
