//! Finding the socket: what flags or variables name, else the user's own
//! supervisor if it answers, else the system's.

use std::env;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr};
use protocol::places::{
    CONTROL_SOCKET, Origin, Owner, PlaceError, PlaceFlags, PlaceInputs, Places, socket_path,
};

use crate::errors::CliError;

/// Any variable that begins so says that we run inside a task.
const TASK_MARKER: &str = "AGENT_TASK_";

/// Where a service is looked for: the folders of systemd's units, the
/// system's first, then those of users' services.
const UNIT_DIRS: [&str; 6] = [
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/etc/systemd/user",
    "/usr/lib/systemd/user",
];

/// How long the kernel may take to find a place in the line of those who wait to
/// be accepted. It has one at once, unless nobody accepts.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The unit's name.
const UNIT: &str = "agent-supervisor.service";

/// Whose supervisor a place belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A flag or a variable said so.
    Named,
    /// The user's own.
    Own,
    /// The system service.
    System,
}

/// One place where a supervisor may be.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Whose.
    pub(crate) kind: Kind,
    /// Its paths.
    pub(crate) places: Places,
}

/// Why no connection could be made at one place.
#[derive(Debug)]
pub(crate) enum Absence {
    /// Nobody listens there.
    Nobody {
        /// The socket.
        path: String,
    },
    /// Somebody does, and accepts nobody.
    Busy {
        /// The socket.
        path: String,
    },
    /// Somebody does, and we may not.
    Denied {
        /// The socket.
        path: String,
    },
    /// The kernel says something else.
    Failed {
        /// The socket.
        path: String,
        /// What.
        source: io::Error,
    },
    /// There cannot be a socket.
    Impossible(PlaceError),
}

/// The places to try, in order.
#[derive(Clone, Debug)]
pub(crate) struct Candidates {
    /// At least one.
    pub(crate) places: Vec<Place>,
    /// For the folders of a user's own services.
    config_home: Option<String>,
}

impl Candidates {
    /// From the flags and this process's environment.
    ///
    /// # Errors
    /// When there is no place at all.
    pub(crate) fn find(flags: &PlaceFlags) -> Result<Self, CliError> {
        let cwd = env::current_dir().ok();
        let cwd = cwd
            .as_deref()
            .and_then(Path::to_str)
            .unwrap_or("/")
            .to_owned();
        let variable = |name: &str| env::var(name).ok();
        Self::from_inputs(&PlaceInputs::new(flags.clone(), variable, cwd))
            .map_err(|error| CliError::usage(error.to_string()))
    }

    fn from_inputs(inputs: &PlaceInputs) -> Result<Self, PlaceError> {
        let config_home = inputs.xdg_config_home.clone().or_else(|| {
            let home = inputs.home.as_deref()?;
            Some(format!("{home}/.config"))
        });
        let mut places = Vec::with_capacity(2);
        match Places::resolve(inputs, Owner::User) {
            Ok(own) if own.is_named() => places.push(Place {
                kind: Kind::Named,
                places: own,
            }),
            Ok(own) => places.push(Place {
                kind: Kind::Own,
                places: own,
            }),
            // A caller without a home can only mean the system's, or the
            // socket that a variable names.
            Err(_) if inputs.named.runtime_dir.is_some() => {
                let named = Places::resolve(inputs, Owner::System)?;
                places.push(Place {
                    kind: Kind::Named,
                    places: named,
                });
            }
            Err(_) => {}
        }
        if places.first().is_none_or(|first| first.kind == Kind::Own) {
            let system = Places::resolve(inputs, Owner::System)?;
            places.push(Place {
                kind: Kind::System,
                places: system,
            });
        }
        Ok(Self {
            places,
            config_home,
        })
    }

    /// The place of a supervisor that `agentctl` may start: never the system's.
    pub(crate) fn startable(&self) -> Option<&Place> {
        self.places.iter().find(|place| match place.kind {
            Kind::Named | Kind::Own => true,
            Kind::System => false,
        })
    }

    /// The unit file of a service that should be running instead, if the
    /// caller named no place.
    pub(crate) fn installed_service(&self) -> Option<String> {
        if self.places.iter().any(|place| place.kind == Kind::Named) {
            return None;
        }
        let own = self
            .config_home
            .iter()
            .map(|home| format!("{home}/systemd/user"));
        let dirs = UNIT_DIRS.iter().map(|dir| (*dir).to_owned()).chain(own);
        dirs.map(|dir| format!("{dir}/{UNIT}"))
            .find(|unit| Path::new(unit).exists())
    }
}

impl Place {
    /// The folder of the sockets: the one that the supervisor wrote down,
    /// unless the caller named one.
    pub(crate) fn runtime_dir(&self) -> String {
        if self.places.runtime_origin == Origin::Default
            && let Ok(text) = fs::read_to_string(self.places.runtime_dir_file())
            && text.starts_with('/')
        {
            return text.trim_end_matches('\n').to_owned();
        }
        self.places.runtime_dir.clone()
    }

    /// Connects to the control socket.
    ///
    /// # Errors
    /// [`Absence`] says why not.
    pub(crate) fn connect(&self) -> Result<UnixStream, Absence> {
        let path = socket_path(&self.runtime_dir(), CONTROL_SOCKET).map_err(Absence::Impossible)?;
        connect_to(&path, CONNECT_TIMEOUT).map_err(|source| {
            let kind = source.kind();
            let nobody = [
                io::ErrorKind::NotFound,
                io::ErrorKind::ConnectionRefused,
                io::ErrorKind::NotADirectory,
            ];
            if nobody.contains(&kind) {
                Absence::Nobody { path }
            } else if kind == io::ErrorKind::WouldBlock {
                Absence::Busy { path }
            } else if kind == io::ErrorKind::PermissionDenied {
                Absence::Denied { path }
            } else {
                Absence::Failed { path, source }
            }
        })
    }

    /// The flags that make `agent-supervisor` mean the same place.
    pub(crate) fn flags(&self) -> Vec<String> {
        let places = &self.places;
        let system = (self.kind == Kind::System).then(|| "--system".to_owned());
        let named = [
            ("--state-dir", &places.state_dir, places.state_origin),
            ("--runtime-dir", &places.runtime_dir, places.runtime_origin),
            ("--config", &places.config_file, places.config_origin),
            (
                "--providers-dir",
                &places.providers_dir,
                places.providers_origin,
            ),
        ]
        .into_iter()
        .filter(|(_, _, origin)| *origin == Origin::Named)
        .flat_map(|(flag, path, _)| [flag.to_owned(), path.clone()]);
        system.into_iter().chain(named).collect()
    }
}

/// A supervisor that stands still does not accept, and when as many wait as the
/// kernel lets, a plain connect would wait for ever.
fn connect_to(path: &str, at_most: Duration) -> io::Result<UnixStream> {
    let (family, kind) = (AddressFamily::Unix, SockType::Stream);
    let socket = socket::socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
    let stream = UnixStream::from(socket);
    stream.set_write_timeout(Some(at_most))?;
    socket::connect(stream.as_raw_fd(), &UnixAddr::new(path)?)?;
    stream.set_write_timeout(None)?;
    Ok(stream)
}

/// Does this process run inside of a task?
pub(crate) fn inside_a_task() -> bool {
    env::vars_os().any(|(name, _)| name.as_encoded_bytes().starts_with(TASK_MARKER.as_bytes()))
}

/// Is this variable a task's marker, which no other task may inherit?
pub(crate) fn is_task_marker(name: &str) -> bool {
    name.starts_with(TASK_MARKER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::Backlog;

    /// Nobody accepts, and the line is full: a plain connect waits for ever.
    #[test]
    fn a_full_line_of_those_who_wait_is_left_after_a_while() {
        let folder = env::temp_dir().join(format!("agentctl-line-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("made");
        let path = folder.join("control.sock");
        let path = path.to_str().expect("text");
        let (family, kind) = (AddressFamily::Unix, SockType::Stream);
        let socket = socket::socket(family, kind, SockFlag::SOCK_CLOEXEC, None).expect("made");
        let address = UnixAddr::new(path).expect("short");
        socket::bind(socket.as_raw_fd(), &address).expect("free");
        socket::listen(&socket, Backlog::new(0).expect("a number")).expect("bound");
        let mut waiting = Vec::new();
        // So many as the kernel lets, which is one or two.
        let refused = (0..10).find_map(|_| {
            let connected = connect_to(path, Duration::from_millis(50));
            connected.map(|stream| waiting.push(stream)).err()
        });
        let refused = refused.expect("the line has an end");
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock, "{refused}");
        assert!(!waiting.is_empty());
        fs::remove_dir_all(&folder).expect("ours");
    }

    fn candidates(flags: PlaceFlags, variables: &[(&str, &str)]) -> Vec<(Kind, Places)> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let inputs = PlaceInputs::new(flags, variable, "/here");
        let found = Candidates::from_inputs(&inputs).expect("a place exists");
        found
            .places
            .into_iter()
            .map(|place| (place.kind, place.places))
            .collect()
    }

    #[test]
    fn own_first_then_the_systems_unless_named() {
        let found = candidates(PlaceFlags::default(), &[("HOME", "/h")]);
        let kinds: Vec<Kind> = found.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [Kind::Own, Kind::System]);
        let runtime_dir = Some("/r".to_owned());
        let named = candidates(
            PlaceFlags {
                runtime_dir,
                ..PlaceFlags::default()
            },
            &[("HOME", "/h")],
        );
        assert_eq!(named.len(), 1);
        assert_eq!(named[0].0, Kind::Named);
        assert_eq!(named[0].1.runtime_dir, "/r");
    }

    #[test]
    fn without_a_home_only_the_system_or_a_name_is_left() {
        assert_eq!(candidates(PlaceFlags::default(), &[])[0].0, Kind::System);
        let task = candidates(
            PlaceFlags::default(),
            &[("AGENT_SUPERVISOR_RUNTIME_DIR", "/r")],
        );
        assert_eq!(task.len(), 1);
        assert_eq!(
            (task[0].0, task[0].1.runtime_dir.as_str()),
            (Kind::Named, "/r")
        );
    }

    #[test]
    fn only_what_was_named_is_passed_on() {
        let flags = PlaceFlags {
            state_dir: Some("s".into()),
            ..PlaceFlags::default()
        };
        let home = |name: &str| (name == "HOME").then(|| "/h".to_owned());
        let named = Candidates::from_inputs(&PlaceInputs::new(flags, home, "/here"));
        let named = named.expect("a home is set");
        assert_eq!(named.places[0].flags(), ["--state-dir", "/here/s"]);
        assert!(named.installed_service().is_none());
        let inputs = PlaceInputs::new(PlaceFlags::default(), home, "/here");
        let default = Candidates::from_inputs(&inputs).expect("a home is set");
        assert_eq!(default.places[0].flags(), Vec::<String>::new());
        assert_eq!(default.places[1].flags(), ["--system"]);
    }
}
