//! The configuration: one TOML file.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use hyper::Uri;
use serde::Deserialize;
use serde_json::{Map, Value};

/// What the hub knows.
pub(crate) struct Config {
    /// Where Forgejo's webhook goes.
    pub(crate) listen: SocketAddr,
    /// What it signs with.
    pub(crate) secret: Vec<u8>,
    /// The supervisor's gateway.
    pub(crate) gateway: Uri,
    /// Its bearer token.
    pub(crate) token: String,
    /// Who hears what became of a task.
    pub(crate) report_url: Uri,
    /// What the hub has to remember.
    pub(crate) state_file: PathBuf,
    /// The account that issues are assigned to.
    pub(crate) agent: String,
    /// The agent's prompt, with `{title}` and the like.
    pub(crate) prompt: Option<String>,
    /// Fields of `POST /v1/tasks` that are the same for every task.
    pub(crate) task: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: SocketAddr,
    secret_file: PathBuf,
    gateway: String,
    token_file: PathBuf,
    report_url: String,
    state_file: PathBuf,
    agent: String,
    prompt: Option<String>,
    task: Map<String, Value>,
}

impl Config {
    /// Reads it, and the secrets that it names.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let named = || path.display().to_string();
        let text = fs::read_to_string(path).with_context(named)?;
        let file: File = toml::from_str(&text).with_context(named)?;
        Ok(Self {
            listen: file.listen,
            secret: secret(&file.secret_file)?.into_bytes(),
            gateway: plain_http(&file.gateway)?,
            token: secret(&file.token_file)?,
            report_url: plain_http(&file.report_url)?,
            state_file: file.state_file,
            agent: file.agent,
            prompt: file.prompt,
            task: file.task,
        })
    }
}

fn secret(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let text = text.trim_end();
    // Anybody can sign with an empty one.
    ensure!(!text.is_empty(), "{} is empty", path.display());
    Ok(text.to_owned())
}

/// TLS is a proxy's work, as it is for the gateway.
fn plain_http(text: &str) -> Result<Uri> {
    let uri: Uri = text.parse().with_context(|| text.to_owned())?;
    let plain = uri.scheme_str() == Some("http") && uri.authority().is_some();
    ensure!(plain, "{text}: expected http://HOST:PORT/…");
    Ok(uri)
}
