//! A private home, the binary in it, and a control server to talk to.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use protocol::codec;
use protocol::control::{LogChunk, ProvidersRequest, Request, Response};
use protocol::frame::FrameDecoder;
use protocol::hello::{HELLO_LEN, Hello};
use protocol::limits::MAX_CONTROL_FRAME;
use protocol::shim::ScanFormat;
use protocol::view::{Links, TaskView};
use protocol::{
    ArchiveReason, Basis, Exit, FinishedBasis, Key, Phase, Presence, ProviderName, Status, TaskId,
    Timestamp,
};

/// 2026-11-20T11:26:42.766Z
pub(crate) const NOW: Timestamp = Timestamp(1_795_174_002_766);

/// A whole id, which `agentctl` does not resolve before it waits.
pub(crate) const ID: &str = "019a3f2c-4d5e-7000-8000-000000000001";

/// Longer than any test may take: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A private home that is removed at the end.
pub(crate) struct Home {
    pub(crate) path: PathBuf,
}

impl Home {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("actl-{}-{number}", std::process::id()));
        fs::create_dir_all(path.join("rt/agent-supervisor")).expect("a temporary folder");
        Self { path }
    }

    /// `agentctl` with nothing but this home.
    pub(crate) fn agentctl(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agentctl"));
        command
            .args(args)
            .env_clear()
            .env("HOME", &self.path)
            .env("XDG_RUNTIME_DIR", self.path.join("rt"))
            .env("AGENT_SUPERVISOR_BIN", self.path.join("no-supervisor"))
            .env("PATH", "/usr/bin:/bin")
            .current_dir(&self.path);
        command
    }

    /// Its whole output.
    pub(crate) fn output(&self, args: &[&str]) -> Output {
        self.agentctl(args).output().expect("the binary starts")
    }

    pub(crate) fn runtime_dir(&self) -> PathBuf {
        self.path.join("rt/agent-supervisor")
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.path.join(".local/state/agent-supervisor")
    }

    /// A script in this home, to be started as the supervisor.
    pub(crate) fn script(&self, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let file = self.path.join("script");
        fs::write(&file, format!("#!/bin/sh\n{text}\n")).expect("a writable home");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("our own file");
        file
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.path);
    }
}

/// One connection of `agentctl`, as its supervisor sees it.
pub(crate) struct Peer {
    stream: UnixStream,
}

impl Peer {
    pub(crate) fn send(&mut self, response: &Response) {
        // The client may have been killed by the test.
        let _gone = self.sent(response);
    }

    /// Output from `offset` on, for as long as somebody takes it.
    ///
    /// One line would not do where a test closes a pipe: a child that another
    /// test is about to exec may hold its end open for a moment.
    pub(crate) fn log_until_hung_up(&mut self, mut offset: u64) {
        let bytes = b"more\n";
        while self.sent(&Response::Log(LogChunk {
            offset,
            bytes: bytes.to_vec(),
        })) {
            offset += bytes.len() as u64;
        }
    }

    /// Sends; false if the client has gone.
    fn sent(&mut self, response: &Response) -> bool {
        let frame = codec::to_frame(response, MAX_CONTROL_FRAME).expect("small enough");
        self.stream.write_all(&frame).is_ok()
    }

    /// Waits until the client has gone.
    pub(crate) fn until_hung_up(&mut self) {
        let mut byte = [0];
        let _end = self.stream.read(&mut byte);
    }
}

type Handler = dyn Fn(Request, &mut Peer) + Send + Sync;

/// A control server; dropping it is a supervisor that dies.
pub(crate) struct Server {
    path: PathBuf,
    alive: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<UnixStream>>>,
    seen: Receiver<Request>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers every request with `handler`, each connection in a thread.
    pub(crate) fn start(
        home: &Home,
        handler: impl Fn(Request, &mut Peer) + Send + Sync + 'static,
    ) -> Self {
        Self::start_at(&home.runtime_dir(), handler)
    }

    pub(crate) fn start_at(
        runtime_dir: &Path,
        handler: impl Fn(Request, &mut Peer) + Send + Sync + 'static,
    ) -> Self {
        fs::create_dir_all(runtime_dir).expect("a writable home");
        let path = runtime_dir.join("control.sock");
        let listener = UnixListener::bind(&path).expect("a free socket");
        let alive = Arc::new(AtomicBool::new(true));
        let connections = Arc::new(Mutex::new(Vec::new()));
        let (sender, seen) = mpsc::channel();
        let handler: Arc<Handler> = Arc::new(handler);
        let accepting = {
            let (alive, connections) = (Arc::clone(&alive), Arc::clone(&connections));
            thread::spawn(move || accept(&listener, &alive, &connections, &sender, &handler))
        };
        Self {
            path,
            alive,
            connections,
            seen,
            accepting: Some(accepting),
        }
    }

    /// The next request that was received.
    pub(crate) fn next(&self) -> Request {
        self.seen.recv_timeout(PATIENCE).expect("a request")
    }

    /// What was received and not looked at.
    pub(crate) fn rest(&self) -> Vec<Request> {
        self.seen.try_iter().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.alive.store(false, Ordering::SeqCst);
        // Wakes the accept.
        let _woken = UnixStream::connect(&self.path);
        if let Some(accepting) = self.accepting.take() {
            let _ended = accepting.join();
        }
        let _gone = fs::remove_file(&self.path);
        for connection in self
            .connections
            .lock()
            .expect("no handler panicked")
            .drain(..)
        {
            let _gone = connection.shutdown(Shutdown::Both);
        }
    }
}

fn accept(
    listener: &UnixListener,
    alive: &AtomicBool,
    connections: &Mutex<Vec<UnixStream>>,
    seen: &Sender<Request>,
    handler: &Arc<Handler>,
) {
    while let Ok((stream, _)) = listener.accept() {
        if !alive.load(Ordering::SeqCst) {
            return;
        }
        let copy = stream.try_clone().expect("a descriptor");
        connections.lock().expect("no handler panicked").push(copy);
        let (seen, handler) = (seen.clone(), Arc::clone(handler));
        thread::spawn(move || serve(stream, &seen, &*handler));
    }
}

fn serve(mut stream: UnixStream, seen: &Sender<Request>, handler: &Handler) {
    let mut hello = [0; HELLO_LEN];
    if stream.read_exact(&mut hello).is_err() {
        return;
    }
    let client = Hello::decode(&hello).expect("a client of ours");
    if stream.write_all(&Hello::answer(&client).encode()).is_err() {
        return;
    }
    let mut peer = Peer { stream };
    let mut decoder = FrameDecoder::new(MAX_CONTROL_FRAME);
    let mut buffer = [0; 4096];
    loop {
        while let Some(payload) = decoder.next_frame().expect("valid frames") {
            let request: Request = codec::from_payload(payload).expect("a request");
            // What only `exec` has is no matter of the tests that have other requests.
            if let Request::Providers(ProvidersRequest::Output { name }) = &request {
                let format = match name.as_str() {
                    "exec" => ScanFormat::Opaque,
                    _ => ScanFormat::JsonLines,
                };
                peer.send(&Response::ProviderOutput(format));
                continue;
            }
            // The test may look at no requests at all.
            let _unseen = seen.send(request.clone());
            handler(request, &mut peer);
        }
        match peer.stream.read(&mut buffer) {
            Ok(count) if count > 0 => decoder.push(&buffer[..count]),
            Ok(_) | Err(_) => return,
        }
    }
}

/// A live `exec` task.
pub(crate) fn running(id: &str) -> TaskView {
    let id = TaskId::new(id).expect("a valid id");
    TaskView {
        key: Key::from(&id),
        id,
        provider: ProviderName::new("exec").expect("a valid name"),
        agent: None,
        agent_type: None,
        model: None,
        repo: None,
        issue_number: None,
        user: None,
        name: None,
        cwd: Some("/home/u".into()),
        argv: vec!["sleep".into(), "60".into()],
        status: Status::Running,
        phase: Phase::Running,
        presence: Presence::Attached,
        archive_reason: None,
        archive_label: None,
        archive_basis: None,
        ended_by: None,
        archived: false,
        archived_by: None,
        archived_at: None,
        session_id: None,
        resumed: None,
        supervisor_pid: Some(10),
        shim_pid: Some(11),
        agent_pid: Some(12),
        queued_at: None,
        started_at: Some(Timestamp(NOW.0 - 4_000)),
        finished_at: None,
        last_seen_at: None,
        finished_basis: None,
        result: None,
        links: Links::default(),
        exit: None,
        turns: None,
        input_tokens: None,
        output_tokens: None,
        cost_usd: None,
        last_progress: None,
        version: 1,
    }
}

/// The same, ended.
pub(crate) fn ended(id: &str, status: Status, reason: ArchiveReason, exit: Exit) -> TaskView {
    TaskView {
        status,
        phase: Phase::Ended,
        presence: Presence::None,
        archive_reason: Some(reason),
        archive_label: Some(reason.label().into()),
        archive_basis: Some(Basis::Observed),
        supervisor_pid: None,
        shim_pid: None,
        agent_pid: None,
        finished_at: Some(NOW),
        finished_basis: Some(FinishedBasis::Exact),
        exit: Some(exit),
        ..running(id)
    }
}

/// The same, ended well.
pub(crate) fn succeeded(id: &str) -> TaskView {
    ended(
        id,
        Status::Success,
        ArchiveReason::Completed,
        Exit::Exited { code: 0 },
    )
}

/// The answer to a dispatch.
pub(crate) fn accepted(task: TaskView) -> Response {
    Response::Task {
        task: Box::new(task),
        existing: false,
        warnings: vec![],
    }
}

/// Stdout as text.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// Stderr as text.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// The exit code.
pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().expect("it exited by itself")
}
