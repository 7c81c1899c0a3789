//! A shim that speaks the frozen bytes of a release (`tests/released/`), for tests that
//! adopt it. It starts its agent, notes and tells its exit, and stops it when told;
//! everything else a shim does is left out.
//!
//! A file `<its own path>.plan` may say what it speaks from the second link on
//! (`later MIN MAX`), and which versions stand in its files (`claim N`, `journal N`), as a
//! shim of a later release would.

mod bytes;
mod journal;
mod link;
mod script;

use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use journal::Journal;
use link::{Event, Link};
use script::Fill;

fn main() {
    // A supervisor wakes its shims by it.
    let mut ignored = SigSet::empty();
    ignored.add(Signal::SIGUSR1);
    ignored.thread_block().expect("a signal can be blocked");

    let plan = Plan::read();
    let (events, inbox) = mpsc::channel();
    let (link, start) = Link::first(&events);
    let order = Order::read(&start);
    let shim = identity(std::process::id().cast_signed());
    let mut journal = Journal::create(&order, &shim, &plan);
    let mut link = link.of(&order, &shim, plan.later);

    journal.add("claimed", &[("shim", Fill::Process(shim))]);
    let agent = start_agent(&order, &events);
    let program = Fill::Text(order.argv[0].clone());
    let id = Fill::Process(agent.clone());
    journal.add("execd", &[("agent", id), ("program", program)]);
    journal.add("first_output", &[]);
    let mut intent = None;
    loop {
        link.send(&mut journal);
        match inbox.recv().expect("a link or a child is there") {
            Event::Lost => link.dial_again(&events),
            Event::Up(up, known) => link.is_up(up, known, &mut journal),
            Event::Stop {
                intent: id,
                reason,
                grace,
            } => {
                if intent.replace(id) == Some(id) {
                    continue;
                }
                let id = ("intent", Fill::Number(id));
                let reason = ("reason", Fill::Number(reason));
                let grace = ("grace", Fill::Number(grace));
                journal.add("intent", &[id.clone(), reason, grace]);
                journal.add("signalled", &[id]);
                // It may have ended just now.
                let _ = killpg(Pid::from_raw(agent.pid), Signal::SIGTERM);
            }
            Event::Ended(status, mut agent) => {
                note_end(&mut journal, status);
                // Not before: whoever sees it gone finds its exit in the journal.
                agent.wait().expect("a child can be reaped");
            }
            Event::Acknowledged(upto) if journal.is_finished(upto) => return,
            Event::Acknowledged(_) => {}
            Event::Over => return,
        }
    }
}

fn note_end(journal: &mut Journal, status: ExitStatus) {
    let (name, fill) = match (status.code(), status.signal()) {
        (Some(code), _) => ("exited", ("code", Fill::Signed(code.into()))),
        (None, Some(signal)) => ("signaled", ("signal", Fill::Signed(signal.into()))),
        (None, None) => unreachable!("a process exits or is killed"),
    };
    journal.add(name, &[fill]);
    journal.add("swept", &[]);
    journal.add("finished", &[]);
}

/// In a group of its own, its output in the log.
fn start_agent(order: &Order, events: &Sender<Event>) -> script::Id {
    let log = |name| File::create(order.task_dir.join(name)).expect("a log can be made");
    let agent = Command::new(&order.argv[0])
        .args(&order.argv[1..])
        .env_clear()
        .envs(order.env.iter().cloned())
        .current_dir(&order.cwd)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log("stdout.log"))
        .stderr(log("stderr.log"))
        .spawn()
        .expect("the agent can be started");
    let agent_id = identity(agent.id().cast_signed());
    let events = events.clone();
    std::thread::spawn(move || {
        let pid = Pid::from_raw(agent.id().cast_signed());
        let how = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        let status = match waitid(Id::Pid(pid), how) {
            Ok(WaitStatus::Exited(_, code)) => ExitStatus::from_raw(code << 8),
            Ok(WaitStatus::Signaled(_, signal, _)) => ExitStatus::from_raw(signal as i32),
            other => panic!("a child can be waited for: {other:?}"),
        };
        // The main thread may have left.
        let _ = events.send(Event::Ended(status, agent));
    });
    agent_id
}

/// What the start order says, as far as this shim needs it.
pub(crate) struct Order {
    pub(crate) task: String,
    pub(crate) token: Vec<u8>,
    pub(crate) task_dir: PathBuf,
    pub(crate) runtime_dir: PathBuf,
    argv: Vec<String>,
    env: Vec<(String, String)>,
    cwd: String,
}

impl Order {
    fn read(message: &[u8]) -> Self {
        let mut order = script::is("start", message).expect("a start order");
        let (task, token) = (order.text(), order.bytes(32).to_vec());
        let (task_dir, runtime_dir) = (order.text().into(), order.text().into());
        let argv = (0..order.number()).map(|_| order.text()).collect();
        let env = (0..order.number())
            .map(|_| (order.text(), order.text()))
            .collect();
        Self {
            task,
            token,
            task_dir,
            runtime_dir,
            argv,
            env,
            cwd: order.text(),
        }
    }
}

/// How it differs from the release.
pub(crate) struct Plan {
    pub(crate) later: Option<(u16, u16)>,
    pub(crate) claim: Option<u16>,
    pub(crate) journal: Option<u16>,
}

impl Plan {
    fn read() -> Self {
        let mut own = std::env::current_exe()
            .expect("it knows itself")
            .into_os_string();
        own.push(".plan");
        let text = fs::read_to_string(own).unwrap_or_default();
        let words: Vec<&str> = text.split_whitespace().collect();
        let behind = |name: &str, at: usize| {
            let found = words.iter().position(|word| *word == name)?;
            words.get(found + at)?.parse().ok()
        };
        Self {
            later: behind("later", 1).zip(behind("later", 2)),
            claim: behind("claim", 1),
            journal: behind("journal", 1),
        }
    }
}

fn identity(pid: i32) -> script::Id {
    use std::os::unix::fs::MetadataExt;
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("it is there");
    // Of a zombie, too: it may have ended already.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it is not reaped");
    let (_, behind_name) = stat.rsplit_once(") ").expect("a name");
    let start_time = behind_name.split(' ').nth(19).expect("field 22");
    script::Id {
        boot_id: boot_id.trim().to_string(),
        pid_ns: fs::metadata("/proc/self/ns/pid")
            .expect("it is there")
            .ino(),
        pid,
        start_time: start_time.parse().expect("a number"),
    }
}

pub(crate) fn now() -> Fill {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("after 1970").as_millis();
    Fill::Signed(i64::try_from(now).expect("before the year 292277026"))
}
