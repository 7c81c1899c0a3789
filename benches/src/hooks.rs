//! The other end of the hook points: it lets everything go on, after a while
//! if that is wanted, and keeps what passed, in order.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
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

/// What passed so far.
#[derive(Clone, Debug)]
pub struct Hooks {
    socket: PathBuf,
    hits: Arc<Mutex<Vec<Hit>>>,
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
            hits: Arc::default(),
        };
        let shared = (Arc::clone(&hooks.hits), Arc::new(count_file));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (hits, count_file) = shared.clone();
                // One that died at its point needs no answer.
                thread::spawn(move || answer(stream, &count_file, &hits, delay).ok());
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
        std::mem::take(&mut self.hits.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn answer(
    mut stream: UnixStream,
    count_file: &Path,
    hits: &Mutex<Vec<Hit>>,
    delay: Duration,
) -> Result<()> {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let (name, _pid) = line.trim_end().split_once(' ').context("not a hook")?;
    let hit = Hit {
        name: name.to_string(),
        supervisor_syncs: count(count_file),
    };
    hits.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(hit);
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
