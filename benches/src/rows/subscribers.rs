//! Clients of the gateway that follow the events: what a thousand of them cost while
//! nothing happens, and how soon all of them have an event.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::Bench;
use crate::clock::{ms_between, now_ns};
use crate::processes::{pss_kib, threads_run_time_ms};
use crate::report::{Group, Row};
use crate::stats::Samples;
use crate::world::{EXEC_PROVIDER, World};

/// How long they are watched while nothing happens: until each has had its heartbeat.
const IDLE: Duration = Duration::from_secs(15);

/// Who has heard nothing for so long never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// How an event begins that is nobody's but the measurement's.
const EVENT: &[u8] = b"event: task.renamed\n";

pub(super) fn measure(bench: &Bench) -> Result<Vec<Group>> {
    let many = bench.depth.pick(200, 1000);
    let room = u64::try_from(many)? + 500;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(
        hard >= room,
        "{many} subscribers need {room} descriptors, and {hard} are allowed"
    );
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let world = World::with_gateway(&bench.scratch, &bench.programs)?;
    let supervisor = world.supervisor_pid()?;
    // The first one has parts of the program read that all of them share.
    let first = Subscriber::connect(&world.gateway_socket())?;
    let before = pss_kib(supervisor)?;
    let mut all = vec![first];
    while all.len() < many {
        all.push(Subscriber::connect(&world.gateway_socket())?);
    }
    #[expect(clippy::cast_precision_loss, reason = "a thousand")]
    let each = (pss_kib(supervisor)? - before) / (many - 1) as f64;
    let used = threads_run_time_ms(supervisor)?;
    thread::sleep(IDLE);
    let percent = (threads_run_time_ms(supervisor)? - used) / IDLE.as_secs_f64() / 10.0;
    Ok(vec![Group {
        name: "subscribers of the events, over HTTP",
        rows: vec![
            Row::single(
                format!("{many} idle: PSS of the supervisor for each"),
                each,
                "KiB",
            ),
            Row::single(
                format!("{many} idle, a heartbeat each: supervisor"),
                percent,
                "% of a CPU",
            ),
            to_all(&world, &mut all, bench.depth.pick(20, 80))?,
        ],
    }])
}

/// From asking for something to the last subscriber's event.
fn to_all(world: &World, all: &mut [Subscriber], times: usize) -> Result<Row> {
    let mut client = world.connect()?;
    let id = world.fresh_id()?;
    let task = world.dispatch(EXEC_PROVIDER, world.hold());
    client.run(id.clone(), &task)?;
    let _hand = world.crew.arrive()?;
    let mut samples = Samples::default();
    for turn in 0..times {
        let asked = now_ns();
        client.rename(&id, &format!("turn {turn}"))?;
        wait_for_all(all)?;
        samples.add(ms_between(asked, now_ns()));
    }
    Ok(Row::latency(
        format!("{}: a request → its event at the last of them", all.len()),
        samples.summary(),
    ))
}

/// Until each has had the event once more.
fn wait_for_all(all: &mut [Subscriber]) -> Result<()> {
    let timeout = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
    let mut waiting: Vec<&mut Subscriber> = all.iter_mut().collect();
    while !waiting.is_empty() {
        let readable: Vec<bool> = {
            let mut polled: Vec<PollFd<'_>> = waiting
                .iter()
                .map(|one| PollFd::new(one.stream.as_fd(), PollFlags::POLLIN))
                .collect();
            ensure!(
                poll(&mut polled, timeout)? > 0,
                "{} subscribers did not hear of it",
                polled.len()
            );
            polled.iter().map(|one| one.any().unwrap_or(true)).collect()
        };
        let mut left = Vec::with_capacity(waiting.len());
        for (one, readable) in waiting.into_iter().zip(readable) {
            if !(readable && one.heard()?) {
                left.push(one);
            }
        }
        waiting = left;
    }
    Ok(())
}

/// One client, behind its hello.
struct Subscriber {
    stream: UnixStream,
    /// The end of what it has read, shorter than what is looked for.
    tail: Vec<u8>,
}

impl Subscriber {
    fn connect(socket: &Path) -> Result<Self> {
        let mut stream =
            UnixStream::connect(socket).with_context(|| format!("at {}", socket.display()))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: bench\r\n\r\n")?;
        let mut said = Vec::new();
        let mut buffer = [0; 4096];
        while !said.windows(13).any(|part| part == b"event: hello\n") {
            let read = stream.read(&mut buffer).context("no hello")?;
            ensure!(read > 0, "no hello: {}", String::from_utf8_lossy(&said));
            said.extend_from_slice(&buffer[..read]);
        }
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            tail: Vec::new(),
        })
    }

    /// Reads what is there: is the event among it?
    fn heard(&mut self) -> Result<bool> {
        let mut buffer = [0; 4096];
        let read = match self.stream.read(&mut buffer) {
            Ok(0) => bail!("a subscriber was dropped"),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).context("reading the events"),
        };
        self.tail.extend_from_slice(&buffer[..read]);
        let heard = self.tail.windows(EVENT.len()).any(|part| part == EVENT);
        let kept = if heard { 0 } else { EVENT.len() - 1 };
        let gone = self.tail.len().saturating_sub(kept);
        self.tail.drain(..gone);
        Ok(heard)
    }
}
