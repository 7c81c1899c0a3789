//! The two sockets and the gateway, open for as long as the supervisor lives.

use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::Group;
use protocol::places::{CONTROL_SOCKET, SHIM_SOCKET};
use tokio::net::{TcpListener, UnixStream};
use tokio::time::timeout;

use super::boot_error::BootError;
use crate::config::{Config, Http, Listen};
use crate::control::ControlServer;
use crate::fswatch;
use crate::gateway::{GatewayServer, Listener, Token};
use crate::places::{Held, Restored};
use crate::shim::ShimServer;
use crate::socket::{Acceptor, Admission, Keeper, SocketPlace};

/// How long a program behind a socket that is there may take to be found.
const KNOCK: Duration = Duration::from_secs(2);

/// What serves besides the loop.
pub(super) struct Doors {
    pub(super) control: ControlServer,
    pub(super) shims: ShimServer,
    pub(super) gateway: Option<GatewayServer>,
    pub(super) driver: fswatch::Driver,
}

impl Doors {
    /// Binds both, in a directory that is ours and stays it, and the gateway.
    ///
    /// # Errors
    /// [`BootError::NoGroup`], [`BootError::Bind`], and those of the gateway.
    pub(super) fn open(
        held: &Held,
        config: &Config,
        watches: &fswatch::Watches,
        driver: fswatch::Driver,
        ready: Ready,
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
        let control_place = control.clone();
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
            gateway: open_gateway(ready, group, watches, &control_place)?,
            driver,
        })
    }
}

/// What the gateway needs, found before anything is marked as in use: a start that is
/// refused for it leaves everything as it was.
pub(super) enum Ready {
    /// It is off.
    Off,
    /// Clients wait until they are served.
    Tcp(TcpListener, Token),
    /// Nobody is at that place.
    Unix { folder: PathBuf, name: String },
}

impl Ready {
    /// # Errors
    /// [`BootError::Token`], [`BootError::Taken`], [`BootError::System`].
    pub(super) async fn find(http: &Http) -> Result<Self, BootError> {
        match (&http.listen, &http.token_file) {
            // The configuration has complained about an address without a token.
            (None, _) | (Some(Listen::Address(_)), None) => Ok(Self::Off),
            (Some(Listen::Address(address)), Some(file)) => {
                let token = Token::load(file)?;
                let listener = TcpListener::bind(address)
                    .await
                    .map_err(BootError::system("bind the gateway's address"))?;
                Ok(Self::Tcp(listener, token))
            }
            (Some(Listen::Socket { folder, name }), _) => {
                let (folder, name) = (PathBuf::from(folder), name.clone());
                refuse_what_is_there(folder.join(&name)).await?;
                Ok(Self::Unix { folder, name })
            }
        }
    }
}

/// Binding replaces what is at the place: that may be nothing but a socket, and nobody's.
async fn refuse_what_is_there(path: PathBuf) -> Result<(), BootError> {
    // What cannot be looked at is told when it is bound.
    let Ok(found) = std::fs::symlink_metadata(&path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        let what = "and something is there that is no socket";
        return Err(BootError::Taken { path, what });
    }
    match timeout(KNOCK, UnixStream::connect(&path)).await {
        Ok(Err(_)) => Ok(()),
        Ok(Ok(_)) | Err(_) => {
            let what = "and another program listens there";
            Err(BootError::Taken { path, what })
        }
    }
}

/// Off unless it is configured; a socket file is open to whom the control
/// socket is.
fn open_gateway(
    ready: Ready,
    group: Option<u32>,
    watches: &fswatch::Watches,
    control: &SocketPlace,
) -> Result<Option<GatewayServer>, BootError> {
    let listener = match ready {
        Ready::Off => return Ok(None),
        Ready::Tcp(listener, token) => {
            let at = listener
                .local_addr()
                .map_err(BootError::system("ask for the gateway's address"))?;
            tracing::info!(address = %at, "the gateway listens");
            Listener::Tcp(listener, token)
        }
        Ready::Unix { folder, name } => {
            // The runtime directory is made again in one way only.
            let place = if folder == control.folder() {
                if [CONTROL_SOCKET, SHIM_SOCKET].contains(&name.as_str()) {
                    let taken = std::io::Error::other(format!("{name} is another socket's name"));
                    return Err(BootError::system("bind the gateway's socket")(taken));
                }
                control.beside(&name)
            } else {
                SocketPlace::new(folder, name.as_str()).open_to(group)
            };
            tracing::info!(socket = %place.path().display(), "the gateway listens");
            Listener::Unix(
                Box::new(Acceptor::bind(place, watches.clone())?),
                Admission::own_and(group),
            )
        }
    };
    Ok(Some(GatewayServer::new(listener)))
}
