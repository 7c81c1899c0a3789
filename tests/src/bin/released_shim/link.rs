//! The link: inherited first, dialled again when it is lost.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::Order;
use crate::journal::Journal;
use crate::script::{self, Fill, Id};

/// Between two attempts to reach a supervisor.
const BACKOFF: Duration = Duration::from_millis(50);

/// What can happen.
pub(crate) enum Event {
    /// The link is gone.
    Lost,
    /// A supervisor is there, and its ledger has the records up to this one.
    Up(UnixStream, u64),
    Stop {
        intent: u64,
        reason: u64,
        grace: u64,
    },
    Acknowledged(u64),
    /// The ledger says that the task has ended.
    Over,
    Ended(ExitStatus, Child),
}

/// The link before its order was read.
pub(crate) struct Fresh(UnixStream);

pub(crate) struct Link {
    stream: Option<UnixStream>,
    caller: Caller,
}

/// Whoever dials.
#[derive(Clone)]
struct Caller {
    order: (String, Vec<u8>),
    place_file: PathBuf,
    first_place: PathBuf,
    shim: Id,
    speaks: Option<(u16, u16)>,
    records: u64,
}

impl Link {
    /// The inherited one, and the order that came on it.
    pub(crate) fn first(events: &Sender<Event>) -> (Fresh, Vec<u8>) {
        let inherited = std::io::stdin().as_fd().try_clone_to_owned();
        let mut stream = UnixStream::from(inherited.expect("a descriptor"));
        stream.set_nonblocking(false).expect("a socket");
        let mut hello = [0; 16];
        stream.read_exact(&mut hello).expect("a supervisor's hello");
        stream
            .write_all(&script::write("hello", &[]))
            .expect("it listens");
        let start = frame(&mut stream).expect("a start order");
        listen(stream.try_clone().expect("a descriptor"), events.clone());
        (Fresh(stream), start)
    }

    /// Sends what was not sent yet.
    pub(crate) fn send(&mut self, journal: &mut Journal) {
        self.caller.records = journal.records();
        while let Some(stream) = &mut self.stream {
            let Some(message) = journal.next() else {
                return;
            };
            if stream.write_all(&framed(&message)).is_err() {
                self.stream = None;
            }
        }
    }

    /// It was lost: until somebody answers.
    pub(crate) fn dial_again(&mut self, events: &Sender<Event>) {
        self.stream = None;
        let (caller, events) = (self.caller.clone(), events.clone());
        std::thread::spawn(move || {
            let (stream, first) = loop {
                match caller.dial() {
                    Some(up) => break up,
                    None => std::thread::park_timeout(BACKOFF),
                }
            };
            let Some(mut attached) = script::is("attached", &first) else {
                hear(&first, &events);
                return;
            };
            let up = stream.try_clone().expect("a descriptor");
            if events.send(Event::Up(up, attached.number())).is_ok() {
                listen(stream, events);
            }
        });
    }

    /// What the ledger lacks is sent again.
    pub(crate) fn is_up(&mut self, stream: UnixStream, known: u64, journal: &mut Journal) {
        self.stream = Some(stream);
        journal.rewind(known);
    }
}

impl Fresh {
    pub(crate) fn of(self, order: &Order, shim: &Id, speaks: Option<(u16, u16)>) -> Link {
        let state = order.task_dir.ancestors().nth(2).unwrap_or(Path::new("/"));
        let caller = Caller {
            order: (order.task.clone(), order.token.clone()),
            place_file: state.join("runtime-dir"),
            first_place: order.runtime_dir.clone(),
            shim: shim.clone(),
            speaks,
            records: 0,
        };
        Link {
            stream: Some(self.0),
            caller,
        }
    }
}

impl Caller {
    /// A supervisor that accepts, and the first thing that it says.
    fn dial(&self) -> Option<(UnixStream, Vec<u8>)> {
        let place = fs::read_to_string(&self.place_file)
            .map_or_else(|_| self.first_place.clone(), |place| place.trim().into());
        let mut stream = UnixStream::connect(place.join("shim.sock")).ok()?;
        let mut hello = script::write("hello", &[]);
        if let Some((min, max)) = self.speaks {
            hello[6..8].copy_from_slice(&min.to_le_bytes());
            hello[8..10].copy_from_slice(&max.to_le_bytes());
        }
        let attach = script::write(
            "attach",
            &[
                ("task", Fill::Text(self.order.0.clone())),
                ("token", Fill::Raw(self.order.1.clone())),
                ("shim", Fill::Process(self.shim.clone())),
                ("records", Fill::Number(self.records)),
            ],
        );
        hello.extend(framed(&attach));
        stream.write_all(&hello).ok()?;
        let mut answer = [0; 16];
        stream.read_exact(&mut answer).ok()?;
        // The verdict: no common version.
        if answer[5] != 0 {
            return None;
        }
        let first = frame(&mut stream)?;
        Some((stream, first))
    }
}

fn listen(mut stream: UnixStream, events: Sender<Event>) {
    std::thread::spawn(move || {
        while let Some(message) = frame(&mut stream) {
            if !hear(&message, &events) {
                return;
            }
        }
        let _ = events.send(Event::Lost);
    });
}

/// Passes on what a message means. Is there somebody to hear it?
fn hear(message: &[u8], events: &Sender<Event>) -> bool {
    let event = if let Some(mut told) = script::is("ack", message) {
        Event::Acknowledged(told.number())
    } else if let Some(mut told) = script::is("stop", message) {
        Event::Stop {
            intent: told.number(),
            reason: told.number(),
            grace: told.number(),
        }
    } else if script::is("ended", message).is_some() {
        Event::Over
    } else {
        panic!("a shim of this release cannot understand {message:02x?}");
    };
    events.send(event).is_ok()
}

fn frame(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
    let mut message = vec![0; length];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("short");
    [&length.to_le_bytes()[..], message].concat()
}
