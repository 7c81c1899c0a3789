//! The rules a second time, from the documents: every reason has one full
//! condition, in no order.

use protocol::{ArchiveReason, Basis, Status, StopReason};

/// One combination, each fact by its place in [`FACTS`].
pub(super) type Facts = [&'static str; 8];

/// Every fact that a verdict looks at, with its values.
pub(super) const FACTS: [(&str, &[&str]); 8] = [
    ("start", &["pending", "exec'd", "failed", "never"]),
    ("cause", &["none", "intent", "signal at the shim"]),
    ("result", &["none", "success", "failure"]),
    ("error", &["none", "transient", "not found", "no skill"]),
    (
        "exit",
        &[
            "none", "0", "3", "143", "TERM", "KILL", "OOM KILL", "SEGV", "unknown",
        ],
    ),
    ("lost", &["no", "shim", "host"]),
    ("promises a result", &["no", "yes"]),
    ("session", &["new", "resumed", "goes on"]),
];

/// When is this the reason, known on this basis?
pub(super) type Rule = (ArchiveReason, Basis, fn(&Case) -> bool);

pub(super) const RULES: [Rule; 15] = [
    (ArchiveReason::SpawnFailed, Basis::Observed, |case| {
        case.start == "failed"
    }),
    (ArchiveReason::SpawnFailed, Basis::Inferred, |case| {
        case.start == "never" && case.cause != "intent"
    }),
    (ArchiveReason::User, Basis::Declared, |case| {
        (case.may_have_run() || case.start == "never") && case.cause == "intent"
    }),
    (ArchiveReason::ExternalSignal, Basis::Observed, |case| {
        case.may_have_run() && case.cause == "signal at the shim"
    }),
    (ArchiveReason::AbortedNoSkill, Basis::Observed, |case| {
        case.undisturbed() && case.error == "no skill" && case.shows_own_end()
    }),
    (ArchiveReason::Completed, Basis::Observed, |case| {
        let by_word = case.result == "success" && case.error != "no skill";
        let by_exit = case.result == "none"
            && case.exit == "0"
            && case.promises == "no"
            && case.error_is_no_reason();
        case.undisturbed() && (by_word || by_exit)
    }),
    (ArchiveReason::SessionNotFound, Basis::Observed, |case| {
        case.undisturbed()
            && case.session_is_missing()
            && case.shows_own_end()
            && case.result != "success"
    }),
    (ArchiveReason::Failed, Basis::Observed, |case| {
        let by_exit = case.result == "none"
            && (["3", "143"].contains(&case.exit) || (case.exit == "0" && case.promises == "yes"));
        case.undisturbed() && case.error_is_no_reason() && (case.result == "failure" || by_exit)
    }),
    (ArchiveReason::Crashed, Basis::Observed, |case| {
        case.undisturbed() && case.result == "none" && case.exit == "SEGV"
    }),
    (ArchiveReason::ExternalSignal, Basis::Observed, |case| {
        case.undisturbed() && case.result == "none" && ["TERM", "KILL"].contains(&case.exit)
    }),
    (ArchiveReason::OomKilled, Basis::Inferred, |case| {
        case.undisturbed() && case.result == "none" && case.exit == "OOM KILL"
    }),
    (ArchiveReason::ShimLost, Basis::Observed, |case| {
        case.undisturbed() && case.left_no_trace() && case.lost == "shim"
    }),
    (ArchiveReason::HostReboot, Basis::Inferred, |case| {
        case.undisturbed() && case.left_no_trace() && case.lost == "host"
    }),
    (ArchiveReason::Unknown, Basis::Inferred, |case| {
        case.undisturbed() && case.left_no_trace() && case.lost == "no"
    }),
    (ArchiveReason::Unknown, Basis::Inferred, |case| {
        case.undisturbed()
            && case.result == "none"
            && case.exit == "unknown"
            && case.error_is_no_reason()
    }),
];

/// The facts by name.
pub(super) struct Case {
    pub(super) start: &'static str,
    pub(super) cause: &'static str,
    pub(super) result: &'static str,
    pub(super) error: &'static str,
    pub(super) exit: &'static str,
    pub(super) lost: &'static str,
    pub(super) promises: &'static str,
    pub(super) session: &'static str,
}

impl Case {
    pub(super) const fn new(facts: &Facts) -> Self {
        let [start, cause, result, error, exit, lost, promises, session] = *facts;
        Self {
            start,
            cause,
            result,
            error,
            exit,
            lost,
            promises,
            session,
        }
    }

    fn may_have_run(&self) -> bool {
        ["pending", "exec'd"].contains(&self.start)
    }

    fn undisturbed(&self) -> bool {
        self.may_have_run() && self.cause == "none"
    }

    fn shows_own_end(&self) -> bool {
        self.result != "none" || ["0", "3", "143", "unknown"].contains(&self.exit)
    }

    fn session_is_missing(&self) -> bool {
        self.error == "not found" && self.session == "resumed"
    }

    fn error_is_no_reason(&self) -> bool {
        self.error != "no skill" && !self.session_is_missing()
    }

    fn left_no_trace(&self) -> bool {
        self.result == "none" && self.exit == "none"
    }
}

/// Status, reason, basis and who ended it.
pub(super) fn expected(facts: &Facts) -> String {
    let case = Case::new(facts);
    let holding: Vec<&Rule> = RULES.iter().filter(|(_, _, holds)| holds(&case)).collect();
    let [(reason, basis, _)] = holding[..] else {
        panic!(
            "{} rules hold for {facts:?}, and it has to be one",
            holding.len()
        );
    };
    let status = status_by_the_book(*reason, *basis).expect("a possible pair");
    let by = match (status, reason.as_str(), case.cause) {
        (_, "spawn_failed", _) => "null",
        (Status::Success | Status::Failure | Status::AbortedNoSkill, ..) => "agent",
        (_, _, "intent") => "who asked",
        (_, _, "signal at the shim") => "its sender",
        (_, "shim_lost" | "oom_killed", _) => "kernel",
        (_, _other, _none) => "null",
    };
    format!("{status} | {reason} | {basis} | {by}")
}

/// What the record says of the exit.
pub(super) fn expected_exit(facts: &Facts) -> &'static str {
    let case = Case::new(facts);
    match (case.may_have_run(), case.exit, case.lost) {
        (false, ..) => "null",
        (true, "none", "shim") => "unknown (shim died)",
        (true, "none", "host") => "unknown (reboot)",
        (true, "none", _no) if case.start == "pending" && case.result == "none" => "null",
        (true, "none", _no) => "unknown (not recorded)",
        (true, ..) => "as seen",
    }
}

/// DESIGN: verdict = f(reason, basis), by who ended the task. None for pairs
/// that cannot be: only a reason that an intent can have is ever declared.
pub(super) fn status_by_the_book(reason: ArchiveReason, basis: Basis) -> Option<Status> {
    let can_be_declared = StopReason::parse(reason.as_str()).is_some();
    if basis == Basis::Declared && !can_be_declared {
        return None;
    }
    let hub = ["hub_restart", "hub_shutdown", "host_shutdown"];
    Some(match (reason.as_str(), basis) {
        ("completed", _) => Status::Success,
        ("failed" | "session_not_found" | "crashed", _) => Status::Failure,
        ("aborted_no_skill", _) => Status::AbortedNoSkill,
        ("spawn_failed", Basis::Observed) => Status::Failure,
        (word, _) if hub.contains(&word) => Status::Interrupted,
        (_, Basis::Declared) => Status::Cancelled,
        (_, Basis::Observed | Basis::Inferred) => Status::Interrupted,
    })
}
