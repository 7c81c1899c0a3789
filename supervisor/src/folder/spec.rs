//! `spec`: every field of a dispatch, as JSON. It has secrets in it; nothing
//! of it but [`Shown`] is ever shown.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::Path;

use lifecycle::TaskSpec;
use protocol::Timestamp;
use protocol::control::{RunRequest, SessionChoice};
use protocol::shim::{Leftovers, Start};
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use sys::{atomic_file, hook};

use super::FolderError;

/// The version of the file's form: fields are added, never changed.
const VERSION: u32 = 1;

/// What is written within one of these is written whole, whoever is killed meanwhile:
/// the smallest page of any kernel.
const PAGE_BYTES: usize = 4096;

/// What of a task's command may be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// As started, with `<prompt>` and `<arg>` in place of what may be secret.
    pub argv: Vec<String>,
    /// The working folder.
    pub cwd: Option<String>,
    /// The user that it runs as, where that is not the supervisor's own: it is
    /// asked for whenever the session may be resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<String>,
}

/// The whole file. `shown` stands first, so that a list of tasks needs to read
/// no prompt.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct SpecFile {
    version: u32,
    /// What may be shown.
    pub shown: Shown,
    /// What the core and the ledger know.
    pub task: TaskSpec,
    /// The command's search path; it stays when the environment goes, because
    /// it explains why a command was not found.
    pub search_path: Option<String>,
    /// What the caller asked for, less the environment.
    pub asked: Asked,
    /// How the agent was started.
    pub started: Started,
    /// By what shim, processes and a repeated dispatch are known; absent in files
    /// of early versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_by: Option<KnownBy>,
    /// When it began to wait for its turn, if it had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_at: Option<Timestamp>,
    /// The boot in which that was written: until another one, a row that was committed
    /// has left a mark beside this file. Absent in files of early versions, which
    /// made none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_in: Option<String>,
    /// `--env` and `--env-file`; gone once the task has ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chosen_env: Vec<(String, String)>,
    /// The caller's own environment; gone once the task has ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client_env: Vec<(String, String)>,
    /// The agent's whole environment; gone once the task has ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<(String, String)>,
    /// Its environment is gone because the ledger of a later supervisor had no row
    /// of it: it is not to be started any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rowless: bool,
}

/// By what shim, processes and a repeated dispatch are known, for a rebuild of
/// the ledger.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownBy {
    /// The hash of the shim's token.
    pub token_hash: String,
    /// The value of the task's marker.
    pub nonce: String,
    /// The digest of the dispatch.
    pub spec_digest: String,
}

/// What the caller asked for, where [`TaskSpec`] does not say it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The command of provider `exec`; more arguments for others.
    pub argv: Vec<String>,
    /// Further arguments for the provider's command.
    pub provider_args: Vec<String>,
    /// The prompt.
    pub prompt: Option<String>,
    /// Which conversation.
    pub session: SessionChoice,
    /// Resume although quarantined.
    pub unsafe_resume: bool,
    /// The key, if the caller gave one.
    pub key: Option<String>,
    /// In which container; absent in files of early versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

/// How the agent was started.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// Its whole argument vector.
    pub argv: Vec<String>,
    /// Its working folder.
    pub cwd: String,
    /// Output kept per stream, in bytes.
    pub max_log_bytes: u64,
    /// The first signal of a stop.
    pub stop_signal: i32,
    /// Exit codes that may be the provider's way to die by TERM.
    pub term_exit: Vec<i32>,
    /// What to do with processes that outlive their leader.
    pub leftovers: Leftovers,
}

impl SpecFile {
    /// Of a dispatch that is about to be committed.
    #[must_use]
    pub fn new(
        request: &RunRequest,
        task: &TaskSpec,
        start: &Start,
        shown: &Shown,
        known_by: KnownBy,
    ) -> Self {
        let path = start.env.iter().find(|(name, _)| name == "PATH");
        Self {
            version: VERSION,
            shown: shown.clone(),
            task: task.clone(),
            search_path: path.map(|(_, value)| value.clone()),
            asked: Asked {
                argv: request.argv.clone(),
                provider_args: request.provider_args.clone(),
                prompt: request.prompt.clone(),
                session: request.session.clone(),
                unsafe_resume: request.unsafe_resume,
                key: request.key.clone(),
                container: sys::container::wished(&request.env).map(str::to_owned),
            },
            started: Started {
                argv: start.argv.clone(),
                cwd: start.cwd.clone(),
                max_log_bytes: start.max_log_bytes,
                stop_signal: start.stop_signal,
                term_exit: start.term_exit.clone(),
                leftovers: start.leftovers,
            },
            known_by: Some(known_by),
            queued_at: None,
            queued_in: None,
            chosen_env: request.env.clone(),
            client_env: request.client_env.clone(),
            env: start.env.clone(),
            rowless: false,
        }
    }

    /// The dispatch as it was asked for, for its turn: with the limits and the
    /// model that were settled then.
    #[must_use]
    pub fn request(&self) -> RunRequest {
        let (task, asked) = (&self.task, &self.asked);
        RunRequest {
            id: task.id.clone(),
            provider: Some(task.provider.clone()),
            argv: asked.argv.clone(),
            key: Some(task.key.to_string()),
            prompt: asked.prompt.clone(),
            model: task.model.clone(),
            name: task.name.clone(),
            cwd: self.started.cwd.clone(),
            client_env: self.client_env.clone(),
            env: self.chosen_env.clone(),
            agent: task.agent.clone(),
            agent_type: task.agent_type.clone(),
            repo: task.repo.clone(),
            issue_number: task.issue_number,
            user: task.user.clone(),
            session: asked.session.clone(),
            unsafe_resume: asked.unsafe_resume,
            timeout_ms: task.limits.timeout_ms,
            idle_timeout_ms: task.limits.idle_timeout_ms,
            start_timeout_ms: task.limits.start_timeout_ms,
            grace_ms: Some(task.limits.grace_ms),
            max_log_bytes: Some(self.started.max_log_bytes),
            provider_args: asked.provider_args.clone(),
            wait_for_exec: true,
        }
    }

    /// It has to wait for its turn.
    pub fn wait_from(&mut self, at: Timestamp, boot_id: &str) {
        self.queued_at = Some(at);
        self.queued_in = Some(boot_id.to_owned());
    }

    fn has_env(&self) -> bool {
        !(self.chosen_env.is_empty() && self.client_env.is_empty() && self.env.is_empty())
    }

    pub(super) fn without_env(mut self) -> Self {
        self.chosen_env.clear();
        self.client_env.clear();
        self.env.clear();
        self
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), FolderError> {
        let bytes = serde_json::to_vec(self).map_err(FolderError::form(path))?;
        atomic_file::write(path, &bytes, &hook::SUP_SPEC_WRITE)
            .map_err(FolderError::io("write", path))
    }

    pub(super) fn read(path: &Path) -> Result<Option<Self>, FolderError> {
        Ok(Contents::read(path)?.map(|contents| contents.spec))
    }

    /// Takes the environment out of the file, which stands at its end.
    pub(super) fn wipe_env(path: &Path) -> Result<(), FolderError> {
        Self::wipe(path, false)
    }

    /// The same, and keeps that no ledger had it.
    pub(super) fn wipe_rowless(path: &Path) -> Result<(), FolderError> {
        Self::wipe(path, true)
    }

    /// The time of the file stays that of the dispatch: a rebuild has no other.
    fn wipe(path: &Path, rowless: bool) -> Result<(), FolderError> {
        let written = fs::metadata(path).and_then(|file| file.modified());
        Self::rewrite(path, rowless)?;
        // Where it is not there, nothing was wiped.
        let Ok(written) = written else { return Ok(()) };
        let file = File::options().write(true).open(path);
        file.and_then(|file| file.set_modified(written))
            .map_err(FolderError::io("date", path))
    }

    fn rewrite(path: &Path, rowless: bool) -> Result<(), FolderError> {
        let Some(Contents {
            spec,
            bytes,
            length,
        }) = Contents::read(path)?
        else {
            return Ok(());
        };
        let (at, ending) = if spec.has_env() || (rowless && !spec.rowless) {
            let mut wiped = spec.without_env();
            wiped.rowless |= rowless;
            let new = serde_json::to_vec(&wiped).map_err(FolderError::form(path))?;
            let same = bytes.iter().zip(&new).take_while(|(old, new)| old == new);
            let at = same.count();
            if at / PAGE_BYTES != new.len().saturating_sub(1) / PAGE_BYTES {
                return wiped.write(path);
            }
            (at, new[at..].to_vec())
        } else if length < bytes.len() {
            (length, Vec::new())
        } else {
            return Ok(());
        };
        // In place: a new file that takes the place of another one costs its way to
        // the disk.
        atomic_file::end_with(path, at, &ending, &hook::SUP_SPEC_WRITE)
            .map_err(FolderError::io("write", path))
    }
}

/// The file as it is.
struct Contents {
    spec: SpecFile,
    bytes: Vec<u8>,
    /// Bytes of the spec; what follows is the rest of an older one.
    length: usize,
}

impl Contents {
    fn read(path: &Path) -> Result<Option<Self>, FolderError> {
        #[derive(Deserialize)]
        struct Form {
            version: u32,
        }
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FolderError::io("read", path)(error)),
        };
        let mut values = serde_json::Deserializer::from_slice(&bytes).into_iter();
        let error = match values.next() {
            Some(Ok(spec)) => {
                let length = values.byte_offset();
                return Ok(Some(Self {
                    spec,
                    bytes,
                    length,
                }));
            }
            Some(Err(error)) => error,
            None => serde_json::Error::custom("the file is empty"),
        };
        match serde_json::from_slice::<Form>(&bytes) {
            Ok(Form { version }) if version > VERSION => Err(FolderError::Version {
                path: path.to_owned(),
                version,
            }),
            Ok(_) | Err(_) => Err(FolderError::form(path)(error)),
        }
    }
}

/// Environment, arguments and prompt never appear in `Debug`.
impl fmt::Debug for SpecFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpecFile")
            .field("task", &self.task.id)
            .field("shown", &self.shown)
            .finish_non_exhaustive()
    }
}

impl Shown {
    /// Reads no further than it has to: a prompt may have megabytes.
    pub(super) fn read(path: &Path) -> Self {
        let Ok(file) = File::open(path) else {
            return Self::default();
        };
        let mut found = None;
        let mut json = serde_json::Deserializer::from_reader(BufReader::new(file));
        // The first field that is found ends the reading, with an error.
        let _ = UpToShown { found: &mut found }.deserialize(&mut json);
        found.unwrap_or_default()
    }
}

struct UpToShown<'f> {
    found: &'f mut Option<Shown>,
}

impl<'de> DeserializeSeed<'de> for UpToShown<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for UpToShown<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a spec file")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if name == "shown" {
                *self.found = Some(map.next_value()?);
                return Ok(());
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}
