//! A stand-in for the model APIs, and what it was asked.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::world::World;

/// One request as it was logged.
#[derive(Clone, Debug)]
pub struct StubRequest(pub Value);

impl StubRequest {
    /// The whole body as text, to look for words of a conversation.
    #[must_use]
    pub fn body(&self) -> String {
        self.0["body"].to_string()
    }
}

/// A running stub.
#[derive(Debug)]
pub struct Stub {
    child: Child,
    log: PathBuf,
    /// On 127.0.0.1.
    pub port: u16,
}

impl Stub {
    /// Starts it in a world; it ends with this value.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(world: &World) -> Self {
        let log = world.path("stub.log");
        let mut child = world
            .command(world.bins().stub_model())
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the stub can be started");
        let stdout = child.stdout.take().expect("it was piped");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the stub tells its port");
        let port = line
            .trim()
            .strip_prefix("PORT ")
            .and_then(|port| port.parse().ok())
            .unwrap_or_else(|| panic!("a strange greeting: {line:?}"));
        Self { child, log, port }
    }

    /// Its address for clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The model requests so far.
    ///
    /// # Panics
    /// When the log is not JSON.
    #[must_use]
    pub fn requests(&self) -> Vec<StubRequest> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str(line).expect("the stub writes JSON lines"))
            .filter(|entry: &Value| entry["kind"] == "request" && entry["body"].is_object())
            .map(StubRequest)
            .collect()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}
