//! The few calls that are made. The only file that knows the D-Bus library.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use zbus::{Connection, DynamicType, OwnedVariant, Type};

use super::Scope;

/// The longest that an answer is waited for: a service manager that is stopping
/// answers in milliseconds, and a stop must not wait for one that hangs.
const DEADLINE: Duration = Duration::from_secs(2);

const DESTINATION: &str = "org.freedesktop.systemd1";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// The object of the manager itself.
pub(super) const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
/// Its interface.
pub(super) const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// The service manager could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// There is no way to it, or it refused.
    #[error("ask systemd for {what}")]
    Call {
        /// For what.
        what: String,
        /// Why not.
        source: zbus::Error,
    },
    /// It did not answer.
    #[error("ask systemd for {what}: no answer within {DEADLINE:?}")]
    Late {
        /// For what.
        what: String,
    },
}

/// A connection that is kept.
#[derive(Clone, Debug)]
pub(super) struct Bus(Connection);

impl Bus {
    pub(super) async fn open(scope: Scope) -> Result<Self, BusError> {
        let opened = async {
            match scope {
                Scope::System => Connection::system().await,
                Scope::User => Connection::session().await,
            }
        };
        within("a connection", opened).await.map(Self)
    }

    /// One call.
    pub(super) async fn call<A, R>(
        &self,
        path: &str,
        interface: &str,
        method: &str,
        arguments: &A,
    ) -> Result<R, BusError>
    where
        A: Serialize + DynamicType,
        R: DeserializeOwned + Type,
    {
        let called = async {
            let answer = self
                .0
                .call_method(Some(DESTINATION), path, Some(interface), method, arguments)
                .await?;
            answer.body().deserialize::<R>()
        };
        within(method, called).await
    }

    /// One property.
    pub(super) async fn property<T>(
        &self,
        path: &str,
        interface: &str,
        name: &str,
    ) -> Result<T, BusError>
    where
        T: TryFrom<OwnedVariant>,
        T::Error: Into<zbus::Error>,
    {
        let asked = async {
            let answer = self
                .0
                .call_method(
                    Some(DESTINATION),
                    path,
                    Some(PROPERTIES),
                    "Get",
                    &(interface, name),
                )
                .await?;
            let value: OwnedVariant = answer.body().deserialize()?;
            T::try_from(value).map_err(Into::into)
        };
        within(name, asked).await
    }
}

async fn within<T>(
    what: &str,
    asked: impl Future<Output = Result<T, zbus::Error>>,
) -> Result<T, BusError> {
    let what = || what.to_string();
    match tokio::time::timeout(DEADLINE, asked).await {
        Ok(answer) => answer.map_err(|source| BusError::Call {
            what: what(),
            source,
        }),
        Err(_) => Err(BusError::Late { what: what() }),
    }
}
