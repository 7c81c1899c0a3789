//! What both sockets of the runtime directory have in common: a place that is
//! bound race-free and bound again when it vanishes, peers with credentials,
//! and hello and frames on a stream.

mod acceptor;
mod bind;
mod crowd;
mod frames;
mod peer;

pub use acceptor::Acceptor;
pub use bind::{BindError, Keeper, SocketPlace};
pub use crowd::{Sparing, most_clients};
pub use frames::{FrameReader, OpenError, WireError, send_all};
pub use peer::{Admission, Peer};
