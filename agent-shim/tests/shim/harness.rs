//! A supervisor of one shim.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use protocol::codec;
use protocol::frame::FrameDecoder;
use protocol::hello::{HELLO_LEN, Hello, Role};
use protocol::limits::MAX_SHIM_FRAME;
use protocol::shim::{
    Attach, FromShim, Leftovers, Record, ScanSpec, Start, StopOrder, ToShim, Token,
};
use protocol::{Exit, StopReason, TaskId};
use sys::PidFd;
use sys::journal::{self, Replay};
use sys::temp_folder::TempFolder;

/// Longer than anything here takes; only a failure waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A state directory with one task in it, and the shim that runs it.
pub(crate) struct Rig {
    pub(crate) state: State,
    pub(crate) shim: Child,
    /// Gone once the test hung up.
    pub(crate) link: Option<Wire>,
    /// Everything that was received, in order.
    pub(crate) records: Vec<(u64, Record)>,
}

/// One connection of a shim.
pub(crate) struct Wire {
    socket: UnixStream,
    decoder: FrameDecoder,
}

impl Wire {
    fn new(socket: UnixStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Self {
            socket,
            decoder: FrameDecoder::new(MAX_SHIM_FRAME),
        }
    }

    pub(crate) fn send(&mut self, message: &ToShim) {
        let frame = codec::to_frame(message, MAX_SHIM_FRAME).expect("small");
        self.socket.write_all(&frame).expect("the shim listens");
    }

    fn hello(&mut self) -> Hello {
        let mut bytes = [0; HELLO_LEN];
        self.socket.read_exact(&mut bytes).expect("a hello");
        Hello::decode(&bytes).expect("a hello")
    }

    /// The next message; `None` at the end of the connection.
    pub(crate) fn next(&mut self) -> Option<FromShim> {
        loop {
            if let Some(payload) = self.decoder.next_frame().expect("a frame") {
                return Some(codec::from_payload(payload).expect("a message"));
            }
            let mut buffer = [0; 4096];
            match self.socket.read(&mut buffer).expect("the shim is in time") {
                0 => return None,
                read => self.decoder.push(&buffer[..read]),
            }
        }
    }
}

/// The order for a shell script, to be changed by the test.
pub(crate) fn order(script: &str) -> Start {
    Start {
        task_id: TaskId::new("task").expect("valid"),
        token: Token([7; 32]),
        task_dir: String::new(),
        runtime_dir: String::new(),
        argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        cwd: "/".into(),
        stdin: None,
        scan: ScanSpec::default(),
        max_log_bytes: 1 << 30,
        stop_signal: 15,
        term_exit: vec![],
        leftovers: Leftovers::End,
        grace_ms: 5_000,
        nofile_soft: 0,
    }
}

/// A state directory; it goes with the test.
pub(crate) struct State(TempFolder);

impl State {
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _ = sys::temp_folder::remove_of(&self.path().join("tasks/task"));
        let _ = sys::temp_folder::remove_tree(self.0.path());
    }
}

/// A folder for the state, with an empty task in it.
pub(crate) fn state() -> State {
    let state = State(TempFolder::create(&[std::env::temp_dir()]).expect("a folder"));
    fs::create_dir_all(state.path().join("tasks/task")).expect("made");
    fs::create_dir(state.path().join("run")).expect("made");
    state
}

/// A shim that has not been told anything yet.
pub(crate) fn spawn_shim() -> (Child, UnixStream) {
    spawn(shim_command())
}

pub(crate) fn shim_command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent-shim"));
    command.arg("task").env_clear().stdout(Stdio::null());
    command
}

fn spawn(mut command: Command) -> (Child, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    command.stdin(Stdio::from(OwnedFd::from(theirs)));
    (command.spawn().expect("the shim is built"), ours)
}

impl Rig {
    /// Starts a shim with `order`.
    pub(crate) fn start(order: Start) -> Self {
        Self::start_in(state(), order)
    }

    pub(crate) fn start_in(state: State, order: Start) -> Self {
        Self::start_with(shim_command(), state, order)
    }

    pub(crate) fn start_with(command: Command, state: State, mut order: Start) -> Self {
        order.task_dir = state
            .path()
            .join("tasks/task")
            .to_string_lossy()
            .into_owned();
        order.runtime_dir = state.path().join("run").to_string_lossy().into_owned();
        let (shim, socket) = spawn(command);
        let mut wire = Wire::new(socket);
        wire.socket
            .write_all(&Hello::opening(Role::Supervisor).encode())
            .expect("open");
        wire.send(&ToShim::Start(Box::new(order)));
        Self {
            state,
            shim,
            link: Some(wire),
            records: Vec::new(),
        }
    }

    /// Starts a shell script and waits until it printed `ready`.
    pub(crate) fn ready(script: &str) -> Self {
        let mut rig = Self::start(order(script));
        rig.until_printed("ready");
        rig
    }

    pub(crate) fn task_dir(&self) -> PathBuf {
        self.state.path().join("tasks/task")
    }

    pub(crate) fn shim_pid(&self) -> i32 {
        i32::try_from(self.shim.id()).expect("a pid")
    }

    pub(crate) fn link(&mut self) -> &mut Wire {
        self.link.as_mut().expect("connected")
    }

    pub(crate) fn log(&self, name: &str) -> Vec<u8> {
        fs::read(self.task_dir().join(name)).expect("the shim made it")
    }

    /// Waits until the agent's stdout has `text` in it. Output without a
    /// meaning reaches us as progress only, so that the file is watched.
    pub(crate) fn until_printed(&mut self, text: &str) {
        self.until(|record| matches!(record, Record::FirstOutput { .. }));
        poll_until(|| String::from_utf8_lossy(&self.log("stdout.log")).contains(text));
    }

    /// The next record.
    pub(crate) fn next(&mut self) -> Record {
        loop {
            if self.records.is_empty() {
                assert_eq!(self.link().hello().role, Role::Shim);
            }
            match self.link().next().expect("the shim has more to say") {
                FromShim::Record { number, record } => {
                    let expected = self.records.last().map_or(1, |(number, _)| number + 1);
                    assert_eq!(number, expected, "{record:?}");
                    self.records.push((number, record.clone()));
                    return record;
                }
                FromShim::Progress(_) => {
                    assert!(!self.records.is_empty(), "records go first");
                }
                FromShim::Attach(_) => panic!("only a later link is attached"),
            }
        }
    }

    /// Receives records up to the first that is wanted.
    pub(crate) fn until(&mut self, wanted: impl Fn(&Record) -> bool) -> Record {
        loop {
            let record = self.next();
            if wanted(&record) {
                return record;
            }
        }
    }

    pub(crate) fn stop(&mut self, intent_id: u64, grace_ms: u64) {
        let order = StopOrder {
            intent_id,
            reason: StopReason::User,
            grace_ms,
        };
        self.link().send(&ToShim::Stop(order));
    }

    /// Receives everything up to the last record, acknowledges it, waits for
    /// the end of the shim, and compares with its journal.
    pub(crate) fn finish(mut self) -> Finished {
        self.until(|record| matches!(record, Record::Finished { .. }));
        let upto = self.records.len() as u64;
        self.link().send(&ToShim::Ack { upto });
        let status = self.shim.wait().expect("ours");
        assert!(status.success(), "{status}");
        let replay = self.journal();
        let journal: Vec<Record> = replay
            .entries
            .into_iter()
            .filter_map(|entry| entry.record)
            .collect();
        let records: Vec<Record> = self.records.drain(..).map(|(_, record)| record).collect();
        assert_eq!(journal, records, "what was told is what was written");
        Finished {
            state: self.state,
            records,
        }
    }

    /// The last record is written.
    #[cfg(feature = "hooks")]
    pub(crate) fn journal_ends(&self) -> bool {
        let replay = journal::read_from(&self.task_dir().join(journal::FILE_NAME), 0);
        replay.is_ok_and(|replay| {
            let last = replay
                .entries
                .last()
                .and_then(|entry| entry.record.as_ref());
            matches!(last, Some(Record::Finished { .. }))
        })
    }

    pub(crate) fn journal(&self) -> Replay {
        journal::read_from(&self.task_dir().join(journal::FILE_NAME), 0).expect("readable")
    }

    /// Waits for the end of the shim without a word to it.
    pub(crate) fn wait_shim(&mut self) -> ExitStatus {
        self.shim.wait().expect("ours")
    }

    /// Listens where a shim looks for a supervisor.
    pub(crate) fn listen(&self) -> UnixListener {
        UnixListener::bind(self.state.path().join("run/shim.sock")).expect("free")
    }

    /// Takes the shim's next call and lets it introduce itself.
    pub(crate) fn accept(&mut self, listener: &UnixListener, answer: &ToShim) -> Attach {
        let (socket, _) = listener.accept().expect("a call");
        let mut wire = Wire::new(socket);
        let hello = wire.hello();
        assert_eq!(hello.role, Role::Shim);
        wire.socket
            .write_all(&Hello::answer(&hello).encode())
            .expect("open");
        wire.send(answer);
        let attach = match wire.next().expect("an introduction") {
            FromShim::Attach(attach) => attach,
            other => panic!("{other:?}"),
        };
        self.link = Some(wire);
        attach
    }
}

/// A task that is over.
pub(crate) struct Finished {
    pub(crate) state: State,
    pub(crate) records: Vec<Record>,
}

impl Finished {
    pub(crate) fn exit(&self) -> Exit {
        self.find(|record| match record {
            Record::Exited { exit, .. } => Some(exit.clone()),
            _ => None,
        })
    }

    pub(crate) fn swept(&self) -> protocol::shim::SweepRecord {
        self.find(|record| match record {
            Record::Swept(swept) => Some(swept.clone()),
            _ => None,
        })
    }

    pub(crate) fn find<T>(&self, wanted: impl Fn(&Record) -> Option<T>) -> T {
        let found = self.records.iter().find_map(wanted);
        found.unwrap_or_else(|| panic!("not in {:#?}", self.records))
    }

    pub(crate) fn log(&self, name: &str) -> Vec<u8> {
        fs::read(self.state.path().join("tasks/task").join(name)).expect("the shim made it")
    }

    /// The records' kinds in order, each only once in a row.
    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        let mut kinds: Vec<_> = self.records.iter().map(kind).collect();
        kinds.dedup();
        kinds
    }
}

pub(crate) fn kind(record: &Record) -> &'static str {
    match record {
        Record::Claimed { .. } => "claimed",
        Record::Execd { .. } => "execd",
        Record::SpawnFailed { .. } => "spawn_failed",
        Record::SessionSeen { .. } => "session",
        Record::Result(_) => "result",
        Record::ProviderError { .. } => "error",
        Record::Usage { .. } => "usage",
        Record::Intent(_) => "intent",
        Record::Superseded { .. } => "superseded",
        Record::Signalled { .. } => "signalled",
        Record::SignalSeen { .. } => "signal_seen",
        Record::Exited { .. } => "exited",
        Record::Swept(_) => "swept",
        Record::Alarm { .. } => "alarm",
        Record::Finished { .. } => "finished",
        Record::ModelSeen { .. } => "model",
        Record::FirstOutput { .. } => "output",
        Record::OutOfMemory(_) => "oom",
        Record::UnitSeen { .. } => "unit",
        Record::LineKnown { .. } => "line_known",
    }
}

/// Looks until `condition` holds, giving way in between.
pub(crate) fn poll_until(condition: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "it never happened");
        std::thread::yield_now();
    }
}

/// The process ids that a script wrote to `path`, one per line.
pub(crate) fn pids_in(path: &Path) -> Vec<i32> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// A process that runs nowhere any more.
pub(crate) fn is_gone(pid: i32) -> bool {
    sys::process::stat(pid)
        .expect("readable")
        .is_none_or(|stat| stat.is_dead())
}

pub(crate) fn signal(pid: i32, signal: i32) {
    let target = PidFd::open(pid).expect("allowed").expect("it lives");
    target
        .send_signal(signal, &sys::hook::SUP_SIGNAL)
        .expect("allowed");
}
