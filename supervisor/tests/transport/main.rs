//! The transport edges, with real sockets, processes and files.

mod control;
mod events;
mod logs;
mod rebind;
mod shim_link;
mod shim_socket;
mod wire;
