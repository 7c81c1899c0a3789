//! `events`: the event log.

use protocol::control::{EventsRequest, Request, Response};
use protocol::view::EventView;

use super::{Context, naming};
use crate::client::{Client, Offline, Start, Trouble, accept};
use crate::errors::CliError;
use crate::exit_code::Code;
use crate::follow::EventFollower;
use crate::render::out::{self, Format};
use crate::render::style::Colour;
use crate::render::{event, json};
use crate::values;

/// Options of `events`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Go on with what happens; with --task until it has ended
    #[arg(short, long)]
    follow: bool,
    /// The first seq wanted; the log begins with 1
    #[arg(long, value_name = "SEQ", value_parser = values::whole_number::<u64>)]
    from: Option<u64>,
    /// Only this task's events
    #[arg(long, value_name = "ID")]
    task: Option<String>,
}

pub(super) fn execute(args: Args, cx: &Context) -> Result<Code, CliError> {
    let client = cx.client()?;
    let colour = Colour::stdout();
    let sink = |event: &EventView| match cx.format {
        Format::Json => out::json(&json::event(event)),
        Format::Text => out::text(&format!("{}\n", event::line(event, colour))),
    };
    if args.follow {
        follow(args, &client, sink)?;
    } else {
        read(args, &client, sink)?;
    }
    Ok(Code::OK)
}

/// Without `--from` only what is new; of one task the whole story.
fn follow(
    args: Args,
    client: &Client,
    sink: impl FnMut(&EventView) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let task = args
        .task
        .map(|name| naming::pin_one(client, &name))
        .transpose()?;
    let hint = match &task {
        Some(id) => format!("agentctl wait {id}"),
        None => "agentctl events --follow".to_owned(),
    };
    let from_seq = args.from.or_else(|| task.as_ref().map(|_| 1));
    let request = EventsRequest {
        from_seq,
        task,
        follow: true,
        progress: true,
    };
    EventFollower::new(request).run(client, Start::MustBeThere, &hint, sink)
}

fn read(
    args: Args,
    client: &Client,
    mut sink: impl FnMut(&EventView) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let request = Request::Events(EventsRequest {
        from_seq: Some(args.from.unwrap_or(1)),
        task: args.task,
        follow: false,
        progress: false,
    });
    match client.open(&request) {
        Ok(mut connection) => drain(|| Ok(connection.answer()?), &mut sink)?,
        Err(Trouble::Fatal(error)) => return Err(error),
        Err(absence) => {
            let mut offline = Offline::open(client, &request, absence)?;
            drain(|| Ok(offline.answer()?), &mut sink)?;
        }
    }
    Ok(())
}

fn drain(
    mut answer: impl FnMut() -> Result<Response, Trouble>,
    sink: &mut impl FnMut(&EventView) -> Result<(), CliError>,
) -> Result<(), Trouble> {
    loop {
        let answer = accept(answer()?)?;
        if let Response::EventsEnd { .. } = answer {
            return Ok(());
        }
        let Response::Event(event) = answer else {
            return Err(CliError::wrong_answer().into());
        };
        sink(&event)?;
    }
}
