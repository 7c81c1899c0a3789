//! `agent-supervisor offline`: questions about a ledger that no supervisor
//! serves. Speaks the control protocol on its standard input, which is a
//! socket; reads only, and creates nothing.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use protocol::codec::{self, CodecError};
use protocol::control::{
    ErrorBody, ErrorCode, EventsRequest, ListFilter, LogsRequest, Request, Response,
};
use protocol::frame::FrameDecoder;
use protocol::hello::{HELLO_LEN, Hello};
use protocol::limits::MAX_CONTROL_FRAME;
use protocol::vocab::Stream;
use protocol::{TaskId, Timestamp};

use super::boot::{TASKS_DIR, configured};
use super::boot_error::BootError;
use super::naming::{self, no_such_task};
use super::requests::{known_sessions, storage_error};
use super::service::{self, Facts};
use super::streams;
use crate::cli::Cli;
use crate::folder::Folders;
use crate::fswatch;
use crate::ledger::{LedgerError, ReadLedger, Reader};
use crate::logs::{LogStream, Made, Until};
use crate::provider::Registry;
use crate::query;
use crate::reply;

/// Events that are read at once.
const PAGE: u32 = 256;

/// What an offline reader looks at.
struct Offline {
    ledger: ReadLedger,
    folders: Folders,
    registry: Registry,
    facts: Facts,
}

/// Serves until the caller hangs up.
pub(super) fn run(cli: &Cli) -> Result<(), BootError> {
    let (places, mode, _config) = configured(cli)?;
    let offline = Offline {
        ledger: ReadLedger::open(Path::new(&places.ledger()))?,
        folders: Folders::new(&Path::new(&places.state_dir).join(TASKS_DIR)),
        registry: Registry::load(Path::new(&places.providers_dir)),
        facts: Facts {
            pid: 0,
            boot_id: String::new(),
            started_at: Timestamp(0),
            runtime_dir: places.runtime_dir,
            mode,
        },
    };
    let socket = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map(UnixStream::from);
    let socket = socket.map_err(BootError::system("use fd 0"))?;
    offline
        .serve(&socket)
        .map_err(BootError::system("speak on fd 0"))
}

impl Offline {
    fn serve(&self, mut socket: &UnixStream) -> io::Result<()> {
        let mut hello = [0; HELLO_LEN];
        if !filled(socket.read_exact(&mut hello))? {
            return Ok(());
        }
        let hello = Hello::decode(&hello).map_err(io::Error::other)?;
        socket.write_all(&Hello::answer(&hello).encode())?;
        let mut frames = FrameDecoder::new(MAX_CONTROL_FRAME);
        let mut buffer = vec![0; 16 << 10];
        loop {
            while let Some(payload) = frames.next_frame().map_err(io::Error::other)? {
                match codec::from_payload(payload) {
                    Ok(request) => self.answer(request, &mut |response| say(socket, &response))?,
                    Err(error @ (CodecError::Frame(_) | CodecError::Message)) => {
                        return Err(io::Error::other(error));
                    }
                }
            }
            match socket.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => frames.push(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn answer(
        &self,
        request: Request,
        say: &mut dyn FnMut(Response) -> io::Result<()>,
    ) -> io::Result<()> {
        match request {
            Request::Logs(logs) => self.logs(&logs, say),
            Request::Events(events) => self.events(&events, say),
            Request::Providers(providers) => {
                let path = std::env::var("PATH").ok();
                say(service::providers(
                    &self.registry,
                    path.as_deref(),
                    &providers,
                ))
            }
            Request::List(_)
            | Request::Show { .. }
            | Request::Why { .. }
            | Request::Sessions(_)
            | Request::Status
            | Request::Run(_)
            | Request::Stop(_)
            | Request::Wait(_)
            | Request::Orphans(_)
            | Request::Drain(_)
            | Request::Keep(_)
            | Request::Again(_)
            | Request::RunWith(..)
            | Request::Prune(_)
            | Request::ChangeSession(_) => {
                let answer = self.one_answer(request);
                say(answer.unwrap_or_else(|error| storage_error(&error)))
            }
        }
    }

    fn one_answer(&self, request: Request) -> Result<Response, LedgerError> {
        let reader = self.ledger.reader();
        match request {
            Request::List(filter) => self.list(&reader, &filter),
            Request::Show { id } => self.of_task(&reader, &id, |id| {
                let Some(task) = query::view(&reader, &self.folders, id)? else {
                    return Ok(Response::Error(no_such_task(id.as_str())));
                };
                let detail = query::detail(&reader, &self.folders, task)?;
                Ok(Response::Detail(Box::new(detail)))
            }),
            Request::Why { id } => self.of_task(&reader, &id, |id| {
                let Some(task) = query::view(&reader, &self.folders, id)? else {
                    return Ok(Response::Error(no_such_task(id.as_str())));
                };
                let chain = query::why(&reader, &self.folders, id)?;
                Ok(Response::Why {
                    task: Box::new(task),
                    chain,
                })
            }),
            Request::Sessions(sessions) => {
                let rows = reader.sessions(sessions.key.as_deref())?;
                Ok(known_sessions(sessions.key.as_deref(), rows))
            }
            Request::Status => {
                let info = reader.info()?;
                let mut status = self.facts.status();
                status.tasks = info.tasks;
                status.ledger = info.view;
                status.ledger_id = info.ledger_id;
                Ok(Response::of_status(status, None))
            }
            Request::Run(_)
            | Request::Stop(_)
            | Request::Wait(_)
            | Request::ChangeSession(_)
            | Request::Orphans(_)
            | Request::Drain(_)
            | Request::Keep(_)
            | Request::Again(_)
            | Request::RunWith(..)
            | Request::Prune(_)
            | Request::Logs(_)
            | Request::Events(_)
            | Request::Providers(_) => Ok(Response::Error(ErrorBody::new(
                ErrorCode::Unsupported,
                "no supervisor is running, and this needs one",
            ))),
        }
    }

    fn list(&self, reader: &Reader<'_>, filter: &ListFilter) -> Result<Response, LedgerError> {
        let live = query::live_views(reader, &self.folders)?;
        Ok(Response::Tasks(query::list(
            reader,
            &self.folders,
            filter,
            live,
        )?))
    }

    fn of_task(
        &self,
        reader: &Reader<'_>,
        name: &str,
        answer: impl FnOnce(&TaskId) -> Result<Response, LedgerError>,
    ) -> Result<Response, LedgerError> {
        match naming::resolve(reader, name)? {
            Ok(id) => answer(&id),
            Err(refusal) => Ok(Response::Error(refusal)),
        }
    }

    fn named(&self, name: &str) -> Result<TaskId, Response> {
        match naming::resolve(&self.ledger.reader(), name) {
            Ok(Ok(id)) => Ok(id),
            Ok(Err(refusal)) => Err(Response::Error(refusal)),
            Err(error) => Err(storage_error(&error)),
        }
    }

    /// The log as it is; nobody tells that it grows.
    fn logs(
        &self,
        request: &LogsRequest,
        say: &mut dyn FnMut(Response) -> io::Result<()>,
    ) -> io::Result<()> {
        let id = match self.named(&request.id) {
            Ok(id) => id,
            Err(response) => return say(response),
        };
        let path = match request.stream {
            Stream::Stdout => self.folders.stdout(&id),
            Stream::Stderr => self.folders.stderr(&id),
        };
        let known = streams::known(&self.ledger.reader(), &id, request.stream);
        let known = known.unwrap_or(streams::UNKNOWN);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let (watches, _driver) = fswatch::open();
            let (reply, mut answers) = reply::channel();
            let stream = LogStream {
                path,
                from_offset: request.from_offset,
                last_lines: request.last_lines,
                until: Until::Now,
                made: Made::Maybe,
                watches,
                reply,
            };
            let relay = async {
                while let Some(response) = answers.recv().await {
                    say(response)?;
                }
                Ok(())
            };
            tokio::join!(stream.run(async move { known }), relay).1
        })
    }

    fn events(
        &self,
        request: &EventsRequest,
        say: &mut dyn FnMut(Response) -> io::Result<()>,
    ) -> io::Result<()> {
        let task = match request
            .task
            .as_deref()
            .map(|name| self.named(name))
            .transpose()
        {
            Ok(task) => task,
            Err(response) => return say(response),
        };
        let mut next_seq = request.from_seq.unwrap_or(1);
        loop {
            let page = self
                .ledger
                .reader()
                .events_page(next_seq, task.as_ref(), PAGE);
            let page = match page {
                Ok(page) => page,
                Err(error) => return say(storage_error(&error)),
            };
            let more = page.len() >= PAGE as usize;
            for event in page {
                next_seq = event.seq.map_or(next_seq, |seq| seq + 1);
                say(Response::Event(event))?;
            }
            if !more {
                return say(Response::EventsEnd { next_seq });
            }
        }
    }
}

/// A frame to the caller.
fn say(mut socket: &UnixStream, response: &Response) -> io::Result<()> {
    let frame = codec::to_frame(response, MAX_CONTROL_FRAME).map_err(io::Error::other)?;
    socket.write_all(&frame)
}

/// Did the bytes come, or did the caller hang up before?
fn filled(read: io::Result<()>) -> io::Result<bool> {
    match read {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
