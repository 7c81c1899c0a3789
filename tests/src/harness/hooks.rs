//! The test's end of the hook points: a socket at which every active point of
//! supervisor and shims stops and asks whether to go on.
//!
//! A point that nobody armed goes on at once, and is counted.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::process::Process;
use super::wait::{GENEROUS, wait_until};

/// How a hook point asks and is answered: `"<name> <pid>\n"`, then one of
/// these.
const GO: &[u8] = b"go\n";
const DIE: &[u8] = b"die\n";
const FAIL: &[u8] = b"fail\n";

/// What the test wants at the next hit of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Pause,
    Die,
    Fail,
}

#[derive(Debug)]
struct Armed {
    name: String,
    /// Hits to let pass first.
    skip: usize,
    wish: Wish,
}

#[derive(Debug, Default)]
struct State {
    armed: Vec<Armed>,
    hits: Vec<(String, i32)>,
    paused: VecDeque<Paused>,
    died: Vec<(String, Process)>,
    failed: Vec<String>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A test that gives up while it looks at the state must still be able
        // to let everything go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server of the hook points of one world.
#[derive(Clone, Debug)]
pub struct Hooks {
    socket: PathBuf,
    shared: Arc<Shared>,
}

/// A process that stands still at a point until it is told what to do.
#[derive(Debug)]
pub struct Paused {
    /// The point.
    pub name: String,
    /// The process.
    pub process: Process,
    stream: UnixStream,
}

impl Paused {
    /// Lets it go on.
    pub fn go(mut self) {
        // A process that died meanwhile needs no answer.
        let _gone = self.stream.write_all(GO);
    }

    /// Its action fails with `EIO`.
    pub fn fail(mut self) {
        let _gone = self.stream.write_all(FAIL);
    }

    /// Kills it right here, and waits until it is dead.
    ///
    /// # Panics
    /// When it does not die.
    pub fn die(mut self) {
        let _gone = self.stream.write_all(DIE);
        wait_until("death at a hook point", GENEROUS, || {
            !self.process.is_alive()
        });
    }
}

impl Hooks {
    /// Serves at `socket`.
    ///
    /// # Panics
    /// When it cannot be bound.
    #[must_use]
    pub fn serve(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).expect("the hook socket can be bound");
        let hooks = Self {
            socket: socket.to_path_buf(),
            shared: Arc::default(),
        };
        let shared = Arc::clone(&hooks.shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || answer(&shared, stream));
            }
        });
        hooks
    }

    /// Where it serves.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The next hit of `name` pauses.
    pub fn arm(&self, name: &str) {
        self.plan(name, 0, Wish::Pause);
    }

    /// A hit of `name` pauses, after `skip` others.
    pub fn arm_after(&self, name: &str, skip: usize) {
        self.plan(name, skip, Wish::Pause);
    }

    /// The next hit of `name` kills its process.
    pub fn arm_death(&self, name: &str) {
        self.plan(name, 0, Wish::Die);
    }

    /// A hit of `name` kills its process, after `skip` others.
    pub fn arm_death_after(&self, name: &str, skip: usize) {
        self.plan(name, skip, Wish::Die);
    }

    /// The action of a hit of `name` fails with `EIO`, after `skip` others.
    pub fn arm_failure_after(&self, name: &str, skip: usize) {
        self.plan(name, skip, Wish::Fail);
    }

    /// Has an action failed at `name`?
    #[must_use]
    pub fn has_failed(&self, name: &str) -> bool {
        self.shared.state().failed.iter().any(|point| point == name)
    }

    /// Is a step under way, between these two points, in a process that no hook
    /// point has killed?
    #[must_use]
    pub fn under_way(&self, before: &str, after: &str) -> bool {
        let state = self.shared.state();
        let died = |pid: i32| state.died.iter().any(|(_, process)| process.pid == pid);
        let hits = |name: &str| {
            let of_it = |(hit, pid): &&(String, i32)| hit == name && !died(*pid);
            state.hits.iter().filter(of_it).count()
        };
        // What failed before it was done has no point after it.
        let failed = state.failed.iter().filter(|point| *point == before).count();
        hits(before) > hits(after) + failed
    }

    /// Everything goes on from now on; what is paused goes on as well.
    pub fn disarm(&self) {
        let paused = {
            let mut state = self.shared.state();
            state.armed.clear();
            std::mem::take(&mut state.paused)
        };
        paused.into_iter().for_each(Paused::go);
    }

    /// Waits for the next process that pauses.
    ///
    /// # Panics
    /// When none does.
    #[must_use]
    pub fn reached(&self) -> Paused {
        let started = Instant::now();
        let mut state = self.shared.state();
        loop {
            if let Some(paused) = state.paused.pop_front() {
                return paused;
            }
            assert!(
                started.elapsed() < GENEROUS,
                "no armed hook point was reached; armed {:?}, hits {:?}",
                state.armed,
                state.hits
            );
            state = self.wait(state);
        }
    }

    /// Waits until an armed death has happened.
    ///
    /// # Panics
    /// When it does not happen.
    #[must_use]
    pub fn died(&self, name: &str) -> Process {
        let started = Instant::now();
        let mut state = self.shared.state();
        let process = loop {
            if let Some((_, process)) = state.died.iter().find(|(point, _)| point == name) {
                break process.clone();
            }
            assert!(
                started.elapsed() < GENEROUS,
                "the point {name} was not reached; armed {:?}, hits {:?}",
                state.armed,
                state.hits
            );
            state = self.wait(state);
        };
        drop(state);
        wait_until("death at a hook point", GENEROUS, || !process.is_alive());
        process
    }

    /// Has an armed death at `name` happened?
    #[must_use]
    pub fn has_died(&self, name: &str) -> bool {
        let state = self.shared.state();
        state.died.iter().any(|(point, _)| point == name)
    }

    /// Does a process stand at `name` now?
    #[must_use]
    pub fn is_paused(&self, name: &str) -> bool {
        self.paused(name) > 0
    }

    /// How many processes stand at `name` now.
    #[must_use]
    pub fn paused(&self, name: &str) -> usize {
        let state = self.shared.state();
        let at_it = state.paused.iter().filter(|paused| paused.name == name);
        at_it.count()
    }

    /// How often `name` was hit.
    #[must_use]
    pub fn hits(&self, name: &str) -> usize {
        let state = self.shared.state();
        state.hits.iter().filter(|(hit, _)| hit == name).count()
    }

    /// Every hit so far, in order: the point and the pid.
    #[must_use]
    pub fn log(&self) -> Vec<(String, i32)> {
        self.shared.state().hits.clone()
    }

    fn plan(&self, name: &str, skip: usize, wish: Wish) {
        self.shared.state().armed.push(Armed {
            name: name.to_string(),
            skip,
            wish,
        });
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let (state, _timeout) = self
            .shared
            .changed
            .wait_timeout(state, Duration::from_millis(200))
            .unwrap_or_else(PoisonError::into_inner);
        state
    }
}

/// One process at one point.
fn answer(shared: &Shared, mut stream: UnixStream) {
    let mut line = String::new();
    if BufReader::new(&stream).read_line(&mut line).is_err() {
        return;
    }
    let Some((name, _pid)) = line.trim_end().split_once(' ') else {
        return;
    };
    // It may live in a namespace of its own: the kernel tells its pid in ours.
    let peer = getsockopt(&stream, PeerCredentials);
    let Some(process) = peer.ok().and_then(|peer| Process::now(peer.pid())) else {
        return;
    };
    let mut state = shared.state();
    state.hits.push((name.to_string(), process.pid));
    match wish(&mut state.armed, name) {
        None => {
            let _gone = stream.write_all(GO);
        }
        Some(Wish::Die) => {
            let _gone = stream.write_all(DIE);
            state.died.push((name.to_string(), process));
        }
        Some(Wish::Fail) => {
            let _gone = stream.write_all(FAIL);
            state.failed.push(name.to_string());
        }
        Some(Wish::Pause) => state.paused.push_back(Paused {
            name: name.to_string(),
            process,
            stream,
        }),
    }
    drop(state);
    shared.changed.notify_all();
}

/// The plan for this hit, if it is its turn.
fn wish(armed: &mut Vec<Armed>, name: &str) -> Option<Wish> {
    let at = armed.iter().position(|plan| plan.name == name)?;
    if armed[at].skip > 0 {
        armed[at].skip -= 1;
        return None;
    }
    Some(armed.remove(at).wish)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(skip: usize) -> Armed {
        Armed {
            name: "a.b.before".into(),
            skip,
            wish: Wish::Pause,
        }
    }

    #[test]
    fn a_plan_is_used_once_and_in_its_turn() {
        let mut armed = vec![plan(1)];
        assert_eq!(wish(&mut armed, "other"), None);
        assert_eq!(wish(&mut armed, "a.b.before"), None);
        assert_eq!(wish(&mut armed, "a.b.before"), Some(Wish::Pause));
        assert_eq!(wish(&mut armed, "a.b.before"), None);
    }
}
