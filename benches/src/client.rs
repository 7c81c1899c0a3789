//! A kept connection to the control socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use protocol::control::{
    KeepAct, KeepRequest, ListFilter, Request, Response, RunRequest, SessionChoice, StopRequest,
    WaitRequest,
};
use protocol::frame::FrameDecoder;
use protocol::hello::{HELLO_LEN, Hello, Role};
use protocol::limits::MAX_CONTROL_FRAME;
use protocol::view::{StatusView, StopResult, TaskView};
use protocol::{ProviderName, StopReason, TaskId, codec};

/// One connection, one request at a time.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    decoder: FrameDecoder,
}

impl Client {
    /// Connects and says hello.
    ///
    /// # Errors
    /// When nobody answers, or nobody of our version.
    pub fn connect(socket: &Path) -> Result<Self> {
        let mut stream = UnixStream::connect(socket)
            .with_context(|| format!("connecting to {}", socket.display()))?;
        stream.write_all(&Hello::opening(Role::Client).encode())?;
        let mut answer = [0; HELLO_LEN];
        stream.read_exact(&mut answer).context("no hello")?;
        Hello::decode(&answer)?.accepted()?;
        Ok(Self {
            stream,
            decoder: FrameDecoder::new(MAX_CONTROL_FRAME),
        })
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn send(&mut self, request: &Request) -> Result<()> {
        let frame = codec::to_frame(request, MAX_CONTROL_FRAME)?;
        self.stream.write_all(&frame).context("sending a request")
    }

    /// Waits for an answer; a refusal is an error.
    ///
    /// # Errors
    /// The refusal, or a lost connection.
    pub fn receive(&mut self) -> Result<Response> {
        let mut buffer = [0; 16 << 10];
        loop {
            if let Some(payload) = self.decoder.next_frame()? {
                let answer: Response = codec::from_payload(payload)?;
                if let Response::Error(body) = &answer {
                    bail!("{}: {}", body.code.as_str(), body.message);
                }
                return Ok(answer);
            }
            let read = self
                .stream
                .read(&mut buffer)
                .context("waiting for an answer")?;
            ensure!(read > 0, "the supervisor hung up");
            self.decoder.push(&buffer[..read]);
        }
    }

    /// Dispatches `argv`; returns once it is exec'd.
    ///
    /// # Errors
    /// When it is refused or could not be started.
    pub fn run(&mut self, id: TaskId, dispatch: &Dispatch<'_>) -> Result<TaskView> {
        self.send(&Request::Run(Box::new(run_request(id, dispatch))))?;
        let Response::Task { task, .. } = self.receive()? else {
            bail!("an unexpected answer to run");
        };
        Ok(*task)
    }

    /// Asks for the end of a task; [`Self::tasks`] receives it.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn begin_wait(&mut self, id: &TaskId) -> Result<()> {
        self.send(&Request::Wait(WaitRequest {
            ids: vec![id.to_string()],
            timeout_ms: None,
        }))
    }

    /// Receives a list of tasks.
    ///
    /// # Errors
    /// When something else comes.
    pub fn tasks(&mut self) -> Result<Vec<TaskView>> {
        let Response::Tasks(tasks) = self.receive()? else {
            bail!("an unexpected answer");
        };
        Ok(tasks)
    }

    /// Gives a task another name.
    ///
    /// # Errors
    /// The refusal, or a lost connection.
    pub fn rename(&mut self, id: &TaskId, name: &str) -> Result<()> {
        self.send(&Request::Keep(KeepRequest {
            id: id.to_string(),
            act: KeepAct::Rename {
                name: name.to_string(),
                if_version: None,
            },
        }))?;
        let Response::Kept { .. } = self.receive()? else {
            bail!("an unexpected answer to rename");
        };
        Ok(())
    }

    /// The live tasks.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn live(&mut self) -> Result<Vec<TaskView>> {
        self.send(&Request::List(ListFilter::default()))?;
        self.tasks()
    }

    /// What the supervisor says of itself.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn status(&mut self) -> Result<StatusView> {
        self.send(&Request::Status)?;
        let Some((status, _refusing)) = self.receive()?.into_status() else {
            bail!("an unexpected answer to status");
        };
        Ok(status)
    }

    /// Stops these tasks, or all; returns when their trees are proven gone.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn stop(&mut self, which: Which<'_>) -> Result<Vec<StopResult>> {
        let (ids, all) = match which {
            Which::One(id) => (vec![id.to_string()], false),
            Which::All => (Vec::new(), true),
        };
        self.send(&Request::Stop(StopRequest {
            ids,
            all,
            reason: StopReason::User,
            note: None,
            grace_ms: None,
            force: false,
            no_wait: false,
        }))?;
        let Response::Stopped { results, .. } = self.receive()? else {
            bail!("an unexpected answer to stop");
        };
        Ok(results)
    }
}

/// Which tasks are to stop.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// This one.
    One(&'a TaskId),
    /// Every live one.
    All,
}

/// What to start, and as what.
#[derive(Clone, Debug)]
pub struct Dispatch<'a> {
    /// The provider.
    pub provider: &'a str,
    /// The agent's words.
    pub argv: Vec<String>,
    /// Its folder.
    pub cwd: &'a Path,
}

fn run_request(id: TaskId, dispatch: &Dispatch<'_>) -> RunRequest {
    let path = std::env::var("PATH").unwrap_or_default();
    RunRequest {
        id,
        provider: ProviderName::new(dispatch.provider).ok(),
        argv: dispatch.argv.clone(),
        key: None,
        prompt: None,
        model: None,
        name: None,
        cwd: dispatch.cwd.to_string_lossy().into_owned(),
        client_env: vec![("PATH".to_string(), path)],
        env: Vec::new(),
        agent: None,
        agent_type: None,
        repo: None,
        issue_number: None,
        user: None,
        session: SessionChoice::Auto,
        unsafe_resume: false,
        timeout_ms: None,
        idle_timeout_ms: None,
        start_timeout_ms: None,
        grace_ms: None,
        max_log_bytes: None,
        provider_args: Vec::new(),
        wait_for_exec: true,
    }
}
