//! The two sockets and the gateway, open for as long as the supervisor lives.

use nix::unistd::Group;
use protocol::places::{CONTROL_SOCKET, SHIM_SOCKET};
use tokio::net::TcpListener;

use super::boot::BootError;
use crate::config::{Config, Http, Listen};
use crate::control::ControlServer;
use crate::fswatch;
use crate::gateway::{GatewayServer, Listener, Token};
use crate::places::{Held, Restored};
use crate::shim::ShimServer;
use crate::socket::{Acceptor, Admission, Keeper, SocketPlace};

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
    pub(super) async fn open(
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
            gateway: open_gateway(&config.http, group, watches, &control_place).await?,
            driver,
        })
    }
}

/// Off unless it is configured; a socket file is open to whom the control
/// socket is.
async fn open_gateway(
    http: &Http,
    group: Option<u32>,
    watches: &fswatch::Watches,
    control: &SocketPlace,
) -> Result<Option<GatewayServer>, BootError> {
    let listener = match (&http.listen, &http.token_file) {
        // The configuration has complained about an address without a token.
        (None, _) | (Some(Listen::Address(_)), None) => return Ok(None),
        (Some(Listen::Address(address)), Some(file)) => {
            let token = Token::load(file)?;
            let listener = TcpListener::bind(address)
                .await
                .map_err(BootError::system("bind the gateway's address"))?;
            let at = listener
                .local_addr()
                .map_err(BootError::system("ask for the gateway's address"))?;
            tracing::info!(address = %at, "the gateway listens");
            Listener::Tcp(listener, token)
        }
        (Some(Listen::Socket { folder, name }), _) => {
            // The runtime directory is made again in one way only.
            let place = if folder == control.folder() {
                if [CONTROL_SOCKET, SHIM_SOCKET].contains(&name.as_str()) {
                    let taken = std::io::Error::other(format!("{name} is another socket's name"));
                    return Err(BootError::system("bind the gateway's socket")(taken));
                }
                control.beside(name)
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
