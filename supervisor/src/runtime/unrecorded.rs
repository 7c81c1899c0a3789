//! What callers are told while nothing can be recorded.

use protocol::TaskId;
use protocol::control::{ErrorBody, ErrorCode, Response};

use super::batch::Stop;
use super::core_loop::Core;
use crate::control::ReplySender;
use crate::ledger::LedgerError;

/// Why nothing can be recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Why {
    #[default]
    Full,
    Locked,
}

impl Why {
    pub(super) const fn in_words(self) -> &'static str {
        match self {
            Self::Full => "the disk of the ledger is full",
            Self::Locked => "another program has locked the ledger",
        }
    }

    pub(super) const fn of(error: &LedgerError) -> Self {
        if matches!(error, LedgerError::Locked { .. }) {
            Self::Locked
        } else {
            Self::Full
        }
    }
}

impl Core {
    /// A request that cannot be served while nothing can be recorded.
    pub(super) fn not_recorded(&self) -> ErrorBody {
        let why = self.unsaved.why().in_words();
        let what = format!("{why}: what was asked is not recorded, and so it is not done");
        ErrorBody::new(ErrorCode::Storage, what).with_hint(
            "mend that, then look and repeat it; `agentctl list`, `show`, `why` and \
             `stop-session --force` work meanwhile",
        )
    }

    /// A request that was taken and cannot be recorded yet.
    pub(super) fn recorded_later(&self, id: Option<&TaskId>) -> ErrorBody {
        let why = self.unsaved.why().in_words();
        let of = id.map_or_else(String::new, |id| format!(" of task {id}"));
        let what = format!("{why}: what was asked{of} is not recorded yet");
        ErrorBody::new(ErrorCode::Storage, what).with_hint(
            "it is carried out as soon as it can be recorded; `agentctl list`, `show`, `why` and \
             `stop-session --force` work meanwhile",
        )
    }

    /// Commits what was just taken for `reply`, and says whether that is done. Where
    /// it has to wait, the caller is told, and answered.
    pub(super) async fn flush_for(&mut self, reply: &ReplySender) -> Result<bool, LedgerError> {
        match self.flush().await {
            Err(error) if error.passes() => {
                reply.send(Response::Error(self.recorded_later(None)));
                Ok(false)
            }
            flushed => flushed.map(|()| true),
        }
    }

    /// Commits what came before `reply`'s request, and says whether that is done. Where
    /// it has to wait, nothing is begun for the caller, who is told.
    pub(super) async fn flush_before(&mut self, reply: &ReplySender) -> Result<bool, LedgerError> {
        match self.flush().await {
            Err(error) if error.passes() => {
                reply.send(Response::Error(self.not_recorded()));
                Ok(false)
            }
            flushed => flushed.map(|()| true),
        }
    }
}

/// An orderly stop that waits.
pub(super) fn stop_not_recorded(why: Why, stop: &Stop) -> Response {
    let names: Vec<&str> = stop.ids.iter().map(TaskId::as_str).collect();
    let (names, why) = (names.join(" "), why.in_words());
    let what = format!(
        "{why}: the stop of {names} is not recorded, and nothing is signalled before it is"
    );
    Response::Error(ErrorBody::new(ErrorCode::Storage, what).with_hint(format!(
        "it is carried out as soon as it can be recorded; `agentctl stop-session --force {names}` \
         stops now, from memory"
    )))
}
