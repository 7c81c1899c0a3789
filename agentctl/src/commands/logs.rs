//! `logs ID`: the agent's output.

use protocol::control::{LogChunk, LogsRequest, Request};
use protocol::vocab::Stream;

use super::{Context, naming};
use crate::client::{Client, Offline, Start, Trouble};
use crate::errors::CliError;
use crate::exit_code::Code;
use crate::follow::{LogEnd, LogFollower};
use crate::render::out::{self, Format};
use crate::render::text::Stripper;
use crate::render::{json, time};
use crate::values;

/// Options of `logs`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A task id or its prefix, a session id, a key, or a name
    id: String,
    /// Go on until the task has ended
    #[arg(short, long)]
    follow: bool,
    /// Only the last N lines
    #[arg(short = 'n', long, value_name = "N", value_parser = values::whole_number::<u64>)]
    lines: Option<u64>,
    /// The agent's stderr instead of its stdout
    #[arg(long)]
    stderr: bool,
    /// Every byte as it is; otherwise terminal control is taken out
    #[arg(long)]
    raw: bool,
}

/// How output is shown.
enum Shown {
    Raw,
    Clean(Stripper),
    Json(Stream),
}

impl Shown {
    fn chunk(&mut self, chunk: &LogChunk) -> Result<(), CliError> {
        match self {
            Self::Raw => out::bytes(&chunk.bytes),
            Self::Clean(stripper) => out::text(&stripper.strip(&chunk.bytes)),
            Self::Json(stream) => out::json(&json::log_chunk(*stream, chunk)),
        }
    }

    fn end(&mut self, end: LogEnd) -> Result<(), CliError> {
        if let Self::Clean(stripper) = self {
            out::text(&stripper.finish())?;
        }
        if end.gap_bytes > 0 {
            let size = time::size(end.gap_bytes);
            out::say(&format!(
                "agentctl: {size} more were written than the log's limit keeps"
            ));
        }
        Ok(())
    }
}

pub(super) fn execute(args: Args, cx: &Context) -> Result<Code, CliError> {
    let client = cx.client()?;
    let stream = if args.stderr {
        Stream::Stderr
    } else {
        Stream::Stdout
    };
    let mut shown = match (cx.format, args.raw) {
        (Format::Json, _) => Shown::Json(stream),
        (Format::Text, true) => Shown::Raw,
        (Format::Text, false) => Shown::Clean(Stripper::new()),
    };
    let id = if args.follow {
        naming::pin_one(&client, &args.id)?
    } else {
        args.id
    };
    let hint = format!("agentctl wait {id}");
    let mut follower = LogFollower::new(LogsRequest {
        id,
        stream,
        from_offset: 0,
        last_lines: args.lines,
        follow: args.follow,
    });
    let end = if args.follow {
        follower.run(&client, Start::MustBeThere, &hint, |chunk| {
            shown.chunk(chunk)
        })?
    } else {
        read(&client, &mut follower, |chunk| shown.chunk(chunk))?
    };
    shown.end(end)?;
    Ok(Code::OK)
}

/// What there is by now, from the ledger where no supervisor is left.
///
/// # Errors
/// Of the sink, refused, or neither of them has it.
pub(super) fn read(
    client: &Client,
    follower: &mut LogFollower,
    mut sink: impl FnMut(&LogChunk) -> Result<(), CliError>,
) -> Result<LogEnd, CliError> {
    let request = Request::Logs(follower.rest());
    let absence = match client.open(&request) {
        Ok(mut connection) => match follower.take(|| Ok(connection.answer()?), &mut sink) {
            Ok(end) => return Ok(end),
            Err(trouble) => trouble,
        },
        Err(trouble) => trouble,
    };
    if let Trouble::Fatal(error) = absence {
        return Err(error);
    }
    // Lost half way: the ledger has the rest.
    let mut offline = Offline::open(client, &Request::Logs(follower.rest()), absence)?;
    Ok(follower.take(|| Ok(offline.answer()?), sink)?)
}
