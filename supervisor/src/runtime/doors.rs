//! The two sockets, open for as long as the supervisor lives.

use nix::unistd::Group;
use protocol::places::{CONTROL_SOCKET, SHIM_SOCKET};

use super::boot::BootError;
use crate::config::Config;
use crate::control::ControlServer;
use crate::fswatch;
use crate::places::{Held, Restored};
use crate::shim::ShimServer;
use crate::socket::{Acceptor, Admission, Keeper, SocketPlace};

/// What serves besides the loop.
pub(super) struct Doors {
    pub(super) control: ControlServer,
    pub(super) shims: ShimServer,
    pub(super) driver: fswatch::Driver,
}

impl Doors {
    /// Binds both, in a directory that is ours and stays it.
    ///
    /// # Errors
    /// [`BootError::NoGroup`], [`BootError::Bind`].
    pub(super) fn open(
        held: &Held,
        config: &Config,
        watches: &fswatch::Watches,
        driver: fswatch::Driver,
    ) -> Result<Self, BootError> {
        let group = match &config.control.group {
            None => None,
            Some(name) => match Group::from_name(name) {
                Ok(Some(group)) => Some(group.gid.as_raw()),
                Ok(None) | Err(_) => return Err(BootError::NoGroup(name.clone())),
            },
        };
        let runtime = held.runtime();
        let keeper = Keeper::new(move || match runtime.restore() {
            Ok(Restored::WasThere | Restored::MadeAgain) => Ok(()),
            Err(error) => Err(error.to_string()),
        });
        let folder = &held.places().runtime_dir;
        let control = SocketPlace::new(folder, CONTROL_SOCKET)
            .open_to(group)
            .kept_by(keeper.clone());
        let shims = SocketPlace::new(folder, SHIM_SOCKET).kept_by(keeper);
        if let Some(closed) = control.closed_above() {
            tracing::warn!(
                folder = %closed.display(),
                "the group of `[control] group` cannot pass through this folder to the socket; \
                 name another runtime directory with --runtime-dir, or open the folder"
            );
        }
        Ok(Self {
            control: ControlServer::new(
                Acceptor::bind(control, watches.clone())?,
                Admission::own_and(group),
            ),
            shims: ShimServer::new(Acceptor::bind(shims, watches.clone())?, Admission::own()),
            driver,
        })
    }
}
