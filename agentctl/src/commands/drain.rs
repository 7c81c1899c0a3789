//! `drain`: the orderly end of all tasks, while the supervisor stays.

use protocol::control::{DrainRequest, Request};

use super::{Context, status};
use crate::errors::CliError;
use crate::exit_code::Code;
use crate::values;

/// Options of `drain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long running tasks may finish; as configured if not given
    #[arg(long, value_name = "DUR", value_parser = values::duration_ms, conflicts_with_all = ["cancel", "status"])]
    deadline: Option<u64>,
    /// Call the drain off: new work is welcome again
    #[arg(long, conflicts_with_all = ["status", "no_wait"])]
    cancel: bool,
    /// Tell how far it is, and do nothing
    #[arg(long, conflicts_with = "no_wait")]
    status: bool,
    /// Do not wait until it is done
    #[arg(long)]
    no_wait: bool,
}

pub(super) fn execute(args: &Args, cx: &Context) -> Result<Code, CliError> {
    let request = if args.status {
        Request::Status
    } else if args.cancel {
        Request::Drain(DrainRequest::Cancel)
    } else {
        Request::Drain(DrainRequest::Begin {
            deadline_ms: args.deadline,
            no_wait: args.no_wait,
        })
    };
    status::tell(cx.client()?.ask(&request)?, cx.format)
}
