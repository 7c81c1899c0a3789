//! The other end of the hook points: it lets everything go on, after a while
//! if that is wanted, and keeps what passed, in order.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// One process at one point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The point.
    pub name: String,
    /// Syncs of the supervisor before it.
    pub supervisor_syncs: u64,
}

/// How long a sync is held back for a step that should not need it.
const HOLD: Duration = Duration::from_secs(5);

/// The points at which a process is about to wait for the disk.
pub const SYNC_POINTS: [&str; 2] = ["sup.commit.before", "shim.journal_sync.before"];

/// What passed so far.
#[derive(Clone, Debug)]
pub struct Hooks {
    socket: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    hits: Vec<Hit>,
    hold: Option<Hold>,
    /// A hold ended by its deadline: the step did need another sync.
    starved: bool,
}

/// Syncs are held back until a step is reached.
#[derive(Debug)]
struct Hold {
    /// So many may still pass.
    passes: usize,
    until: &'static str,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a hit, and returns when its process may go on.
    fn pass(&self, hit: Hit) {
        let mut state = self.state();
        let name = hit.name.clone();
        state.hits.push(hit);
        if state.hold.as_ref().is_some_and(|hold| hold.until == name) {
            state.hold = None;
            self.changed.notify_all();
        }
        if !SYNC_POINTS.contains(&name.as_str()) {
            return;
        }
        match &mut state.hold {
            Some(hold) if hold.passes > 0 => hold.passes -= 1,
            Some(_) => self.wait(state),
            None => {}
        }
    }

    fn wait(&self, state: MutexGuard<'_, State>) {
        let waited = self
            .changed
            .wait_timeout_while(state, HOLD, |state| state.hold.is_some());
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            state.starved = true;
            state.hold = None;
            self.changed.notify_all();
        }
    }
}

impl Hooks {
    /// Serves at `socket`; at each hit it counts the supervisor's syncs in
    /// `count_file`, and waits for `delay`. A process waits at its point
    /// meanwhile, so the order of the hits is that of the processes' steps.
    ///
    /// # Errors
    /// When the socket cannot be bound.
    pub fn serve(socket: PathBuf, count_file: PathBuf, delay: Duration) -> Result<Self> {
        let listener = UnixListener::bind(&socket).context("binding the hook socket")?;
        let hooks = Self {
            socket,
            shared: Arc::default(),
        };
        let shared = (Arc::clone(&hooks.shared), Arc::new(count_file));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, count_file) = shared.clone();
                // One that died at its point needs no answer.
                thread::spawn(move || answer(stream, &count_file, &shared, delay).ok());
            }
        });
        Ok(hooks)
    }

    /// Where it serves.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Everything that passed, in order; forgotten here.
    #[must_use]
    pub fn take(&self) -> Vec<Hit> {
        std::mem::take(&mut self.shared.state().hits)
    }

    /// From now on lets `passes` syncs happen, and no other one until the point
    /// `until` is reached. What runs beside that step, and is not waited for by
    /// it, is so told apart from what it needs.
    pub fn hold(&self, passes: usize, until: &'static str) {
        let mut state = self.shared.state();
        state.starved = false;
        state.hold = Some(Hold { passes, until });
    }

    /// Was the point of the last hold reached without another sync?
    #[must_use]
    pub fn was_enough(&self) -> bool {
        let state = self.shared.state();
        state.hold.is_none() && !state.starved
    }
}

fn answer(
    mut stream: UnixStream,
    count_file: &Path,
    shared: &Shared,
    delay: Duration,
) -> Result<()> {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let (name, _pid) = line.trim_end().split_once(' ').context("not a hook")?;
    let hit = Hit {
        name: name.to_string(),
        supervisor_syncs: count(count_file),
    };
    shared.pass(hit);
    thread::sleep(delay);
    stream.write_all(b"go\n")?;
    Ok(())
}

/// The syncs in the file: a line for each.
#[must_use]
pub fn count(file: &Path) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().count() as u64
}
