//! One of each message, with a name. The names stand in the files of golden
//! bytes: a sample is never changed, new ones are added.

mod control;
mod response;
mod shim;
mod views;

use std::fmt::Debug;

use protocol::codec::{CodecError, from_payload, to_frame};
use protocol::frame::HEADER_LEN;
use protocol::limits::MAX_CONTROL_FRAME;
use protocol::{Key, ProviderName, SessionId, TaskId, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use control::requests;
pub(crate) use response::responses;
pub(crate) use shim::{from_shim, records, start, to_shim};
pub(crate) use views::{detail, event, provider, session, status, stop_result, task};

/// A message by name.
pub(crate) type Named<T> = (&'static str, T);

/// The payload of a frame.
pub(crate) fn payload<T: Serialize>(message: &T) -> Vec<u8> {
    let frame = to_frame(message, MAX_CONTROL_FRAME).expect("within the limit");
    frame[HEADER_LEN..].to_vec()
}

/// Reads a payload of one kind of message, whatever it is.
pub(crate) type Reader = fn(&[u8]) -> Result<String, CodecError>;

/// Every sample of both sockets and of the journal: name, payload, and how it
/// is read back (as `Debug`).
pub(crate) fn all() -> Vec<(String, Vec<u8>, Reader)> {
    let mut found = Vec::new();
    add(&mut found, "request", requests());
    add(&mut found, "response", responses());
    add(&mut found, "to_shim", to_shim());
    add(&mut found, "from_shim", from_shim());
    add(&mut found, "record", records());
    found
}

fn add<T: Serialize + DeserializeOwned + Debug>(
    found: &mut Vec<(String, Vec<u8>, Reader)>,
    family: &str,
    samples: Vec<Named<T>>,
) {
    for (name, message) in samples {
        found.push((format!("{family}.{name}"), payload(&message), read::<T>));
    }
}

fn read<T: DeserializeOwned + Debug>(payload: &[u8]) -> Result<String, CodecError> {
    from_payload::<T>(payload).map(|message| format!("{message:?}"))
}

pub(crate) const AT: Timestamp = Timestamp(1_795_174_002_766);

pub(crate) fn task_id(text: &str) -> TaskId {
    TaskId::new(text).expect("a legal id")
}

pub(crate) fn key() -> Key {
    Key::new("forgejo:dev:charles/claude-hooks:1104").expect("a legal key")
}

pub(crate) fn provider_name() -> ProviderName {
    ProviderName::new("claude").expect("a legal name")
}

pub(crate) fn session_id() -> SessionId {
    SessionId::new("0199-s").expect("a legal session id")
}

pub(crate) fn some(text: &str) -> Option<String> {
    Some(text.to_string())
}
