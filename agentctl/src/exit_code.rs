//! What `agentctl` exits with. Scripts depend on these numbers.

use protocol::Status;
use protocol::control::ErrorCode;

/// One documented exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code(pub(crate) u8);

impl Code {
    /// Done; or the task reached `success`.
    pub(crate) const OK: Self = Self(0);
    /// Something that should not happen.
    pub(crate) const UNEXPECTED: Self = Self(1);
    /// The command line makes no sense.
    pub(crate) const USAGE: Self = Self(2);
    /// No such task, session or key.
    pub(crate) const NOT_FOUND: Self = Self(3);
    /// No supervisor could be reached.
    pub(crate) const UNREACHABLE: Self = Self(5);
    /// The peer may not do this.
    pub(crate) const NOT_PERMITTED: Self = Self(7);
    /// Not proven gone, or the time to wait is over.
    pub(crate) const NOT_GONE: Self = Self(8);

    /// The verdict of a task as an exit code; a task that goes on is no error.
    pub(crate) const fn of_verdict(status: Status) -> Self {
        Self(match status {
            Status::Queued | Status::Running | Status::Success => 0,
            Status::Failure => 10,
            Status::Cancelled => 11,
            Status::Interrupted => 12,
            Status::AbortedNoSkill => 13,
        })
    }

    /// The exit code of a refusal.
    pub(crate) const fn of_error(code: ErrorCode) -> Self {
        Self(code.exit_code())
    }

    /// The first code that is not 0.
    pub(crate) fn first_bad(codes: impl IntoIterator<Item = Self>) -> Self {
        codes
            .into_iter()
            .find(|code| *code != Self::OK)
            .unwrap_or(Self::OK)
    }
}

impl From<Code> for std::process::ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_have_the_documented_codes() {
        let codes: Vec<u8> = Status::ALL
            .iter()
            .map(|status| Code::of_verdict(*status).0)
            .collect();
        // queued, running, success, failure, cancelled, interrupted, aborted_no_skill
        assert_eq!(codes, [0, 0, 0, 10, 11, 12, 13]);
    }

    #[test]
    fn refusals_have_the_documented_codes() {
        for (error, code) in [
            (ErrorCode::Internal, Code::UNEXPECTED),
            (ErrorCode::Usage, Code::USAGE),
            (ErrorCode::NotFound, Code::NOT_FOUND),
            (ErrorCode::Ambiguous, Code(4)),
            (ErrorCode::KeyBusy, Code(4)),
            (ErrorCode::SessionRefused, Code(4)),
            (ErrorCode::IdConflict, Code(4)),
            (ErrorCode::Draining, Code(6)),
            (ErrorCode::NotPermitted, Code::NOT_PERMITTED),
            (ErrorCode::Timeout, Code::NOT_GONE),
        ] {
            assert_eq!(Code::of_error(error), code, "{error:?}");
        }
    }

    #[test]
    fn the_first_bad_verdict_counts() {
        assert_eq!(Code::first_bad([Code(0), Code(11), Code(10)]), Code(11));
        assert_eq!(Code::first_bad([]), Code::OK);
    }
}
