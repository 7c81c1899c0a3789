//! The control socket: `agentctl` asks, the supervisor answers.
//!
//! After the [`hello`](crate::hello) a connection carries one
//! [`Request`] at a time; its answer is one [`Response`], or, where a request
//! follows something, several, the last of which is never a chunk or an event.

mod request;
mod response;

pub use request::{
    Again, AgainRequest, DrainRequest, EventsRequest, KeepAct, KeepRequest, ListFilter,
    LogsRequest, OnNotFound, OrphansRequest, ProvidersRequest, PruneRequest, Request, RunOption,
    RunRequest, SessionAct, SessionChange, SessionChoice, SessionsRequest, StopRequest,
    Surroundings, WaitRequest,
};
pub use response::{ErrorBody, ErrorCode, LogChunk, Response};
