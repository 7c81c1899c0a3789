//! What does not change while a supervisor runs, and questions that need
//! nothing else.

use std::sync::Arc;

use protocol::control::{
    ErrorBody, ErrorCode, ProvidersRequest, Response, RunRequest, Surroundings,
};
use protocol::hello;
use protocol::shim::ProcessId;
use protocol::view::{LedgerView, ProtocolRange, StatusView, TaskCounts};
use protocol::{ProviderName, Timestamp};

use super::managed::Managed;
use crate::config::Config;
use crate::folder::Folders;
use crate::fswatch::Watches;
use crate::places::{Mode, Places};
use crate::process::account::Account;
use crate::process::environment::{self, Base, EnvironmentError, EnvironmentInput, Marker};
use crate::provider::{self, Launch, LookupError, Provider, Registry};
use crate::shim::ShimProgram;

/// The provider of a dispatch that has a command and names none: the contract with
/// the callers of `run -- COMMAND`, and the only name of a provider in the code.
const COMMAND_PROVIDER: &str = "exec";

/// Everything that is decided at the start.
pub(super) struct Service {
    pub(super) config: Config,
    pub(super) places: Places,
    pub(super) mode: Mode,
    pub(super) folders: Folders,
    pub(super) shim_program: ShimProgram,
    pub(super) watches: Watches,
    /// Who runs us, and where our tasks' processes are.
    pub(super) managed: Managed,
    /// This supervisor.
    pub(super) identity: ProcessId,
    pub(super) started_at: Timestamp,
    /// Soft limit of open files before it was raised.
    pub(super) nofile_soft: u64,
    /// HOME and the like of the supervisor's own user, for a system service.
    pub(super) account: Vec<(String, String)>,
    /// The supervisor's own search path, for `providers`.
    pub(super) path: Option<String>,
}

impl Service {
    /// What `status` says of it.
    pub(super) fn facts(&self) -> Facts {
        Facts {
            pid: self.identity.pid,
            boot_id: self.identity.boot_id.clone(),
            started_at: self.started_at,
            runtime_dir: self.places.runtime_dir.clone(),
            mode: self.mode,
        }
    }

    /// The provider that a dispatch means.
    ///
    /// # Errors
    /// In words for the caller.
    pub(super) fn provider_of(
        &self,
        registry: &Registry,
        request: &RunRequest,
    ) -> Result<Arc<Provider>, ErrorBody> {
        let usage = |message: String| ErrorBody::new(ErrorCode::Usage, message);
        let name = match (&request.provider, &self.config.defaults.provider) {
            (Some(name), _) => name.clone(),
            (None, _) if !request.argv.is_empty() => {
                ProviderName::new(COMMAND_PROVIDER).map_err(|bad| usage(bad.to_string()))?
            }
            (None, Some(name)) => name.clone(),
            (None, None) => {
                return Err(usage("neither a command nor a provider was given".to_string())
                    .with_hint("`agentctl run -- COMMAND…` or `agentctl run --provider NAME --prompt TEXT`"));
            }
        };
        match registry.get(&name) {
            Ok(provider) => Ok(provider.clone()),
            Err(error) => Err(usage(error.to_string()).with_hint(lookup_hint(&error))),
        }
    }

    /// Where an agent would stand: its caller's place, or that of a system
    /// service.
    pub(super) fn around(&self, caller: &Surroundings) -> Surroundings {
        if self.mode == Mode::User {
            return caller.clone();
        }
        let all: Vec<_> = self.account.iter().chain(&self.config.env.base).collect();
        let value = |name: &str| {
            let found = all.iter().rev().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone())
        };
        Surroundings {
            path: value("PATH"),
            home: value("HOME"),
            variables: all.iter().map(|(name, _)| name.clone()).collect(),
        }
    }

    /// The whole environment of an agent, of `account` if one is given.
    ///
    /// # Errors
    /// In words for the caller.
    pub(super) fn environment(
        &self,
        request: &RunRequest,
        launch: &Launch,
        marker: Marker<'_>,
        account: Option<&Account>,
    ) -> Result<Vec<(String, String)>, EnvironmentError> {
        let other_user = account.map(Account::environment);
        environment::compose(&EnvironmentInput {
            base: match (&other_user, self.mode) {
                (Some(account), Mode::User | Mode::System) => Base::OtherUser {
                    configured: &self.config.env.base,
                    account,
                },
                (None, Mode::User) => Base::Client(&request.client_env),
                (None, Mode::System) => Base::System {
                    account: &self.account,
                    configured: &self.config.env.base,
                },
            },
            strip: &self.config.env.strip,
            provider_strip: &launch.env_strip,
            provider_allow: launch.env_allow.as_deref(),
            provider_add: &launch.env_add,
            provider_require: &launch.env_require,
            requested: &request.env,
            marker,
            state_dir: &self.places.state_dir,
            runtime_dir: &self.places.runtime_dir,
        })
    }
}

/// HOME and the like of our own user.
pub(super) fn own_account() -> Vec<(String, String)> {
    Account::own_environment()
}

/// What `status` says without loop and ledger.
pub(super) struct Facts {
    pub(super) pid: i32,
    pub(super) boot_id: String,
    pub(super) started_at: Timestamp,
    pub(super) runtime_dir: String,
    pub(super) mode: Mode,
}

impl Facts {
    /// `status`, less what only loop, ledger and service manager know.
    pub(super) fn status(&self) -> StatusView {
        StatusView {
            version: env!("CARGO_PKG_VERSION").to_string(),
            protocol: ProtocolRange {
                min: hello::MIN_VERSION,
                max: hello::MAX_VERSION,
            },
            pid: self.pid,
            boot_id: self.boot_id.clone(),
            started_at: self.started_at,
            tasks: TaskCounts::default(),
            adopted: 0,
            phase: "admitting".to_string(),
            unit: None,
            ledger: LedgerView {
                path: String::new(),
                schema: 0,
                bytes: 0,
            },
            drain: None,
            ledger_id: String::new(),
            runtime_dir: self.runtime_dir.clone(),
            mode: self.mode.to_string(),
        }
    }
}

/// Answers a question about provider files.
pub(super) fn providers(
    registry: &Registry,
    path: Option<&str>,
    request: &ProvidersRequest,
) -> Response {
    match request {
        ProvidersRequest::List => Response::Providers(registry.views(path)),
        ProvidersRequest::Show { name } => match registry.show(name, path) {
            Ok(view) => Response::Providers(vec![view]),
            Err(error) => unknown(&error),
        },
        ProvidersRequest::Lacks { name, around } => match registry.lacks(name, around) {
            Ok(problems) => Response::ProviderChecked { problems },
            Err(error) => unknown(&error),
        },
        ProvidersRequest::Output { name } => match registry.output(name) {
            Ok(format) => Response::ProviderOutput(format),
            Err(error) => unknown(&error),
        },
        ProvidersRequest::Unused => Response::ProviderChecked {
            problems: registry
                .problems()
                .iter()
                .map(ToString::to_string)
                .collect(),
        },
        ProvidersRequest::Check { file, text } => Response::ProviderChecked {
            problems: provider::check(file, text),
        },
    }
}

fn unknown(error: &LookupError) -> Response {
    let words = ErrorBody::new(ErrorCode::NotFound, error.to_string());
    Response::Error(words.with_hint(lookup_hint(error)))
}

fn lookup_hint(error: &LookupError) -> String {
    match error {
        LookupError::Unknown { .. } => "`agentctl providers` lists the known ones".to_owned(),
        LookupError::Broken(problem) => format!(
            "mend the file: `agentctl providers check {}` says whether it is good",
            problem.file
        ),
    }
}
