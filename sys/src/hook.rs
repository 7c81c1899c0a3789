//! Named points at which a crash test can stop or kill the program.
//!
//! Without the feature `hooks` a point is nothing at all. With it,
//! `AGENT_HOOKS` lists the active names (separated by commas) and
//! `AGENT_HOOKS_SOCKET` is a Unix stream socket of the test harness. At an
//! active point the program connects, sends `<name> <pid>` and a newline, and
//! reads one line: `go` lets it continue, `die` makes it kill itself, `fail`
//! makes the action seem to have failed where it can ([`Step::run_or`]). A
//! harness that is not there, or hangs up, lets it continue.

/// One action with a point before and a point after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    before: &'static str,
    after: &'static str,
}

impl Step {
    /// Does `action` between the two points.
    pub fn run<T>(&self, action: impl FnOnce() -> T) -> T {
        let _goes_on = point(self.before);
        let result = action();
        let _goes_on = point(self.after);
        result
    }

    /// The same for what may fail: `failed` is given instead where the harness
    /// says so, before the action as if nothing was done, after it as if nobody
    /// knew.
    pub fn run_or<T>(&self, failed: impl FnOnce() -> T, action: impl FnOnce() -> T) -> T {
        if point(self.before) == Outcome::Fails {
            return failed();
        }
        let result = action();
        match point(self.after) {
            Outcome::GoesOn => result,
            Outcome::Fails => failed(),
        }
    }

    /// The names of the points before and after.
    #[must_use]
    pub const fn names(&self) -> (&'static str, &'static str) {
        (self.before, self.after)
    }
}

macro_rules! steps {
    (steps { $($(#[$doc:meta])* $name:ident = $text:literal;)+ }
     points { $($(#[$pdoc:meta])* $point:ident = $ptext:literal;)+ }) => {
        $($(#[$doc])* pub const $name: Step = Step {
            before: concat!($text, ".before"),
            after: concat!($text, ".after"),
        };)+
        $($(#[$pdoc])* pub const $point: &str = $ptext;)+

        /// Every point that exists.
        pub const POINTS: &[&str] = &[
            $(concat!($text, ".before"), concat!($text, ".after"),)+
            $($ptext,)+
        ];
    };
}

steps! {
    steps {
        /// A transaction of the ledger.
        SUP_COMMIT = "sup.commit";
        /// A task's `spec` file.
        SUP_SPEC_WRITE = "sup.spec_write";
        /// The way of a queued task's `spec` to the disk.
        SUP_SPEC_SYNC = "sup.spec_sync";
        /// The mark of a queued task whose row is committed.
        SUP_QUEUE_MARK = "sup.queue_mark";
        /// The start of a shim.
        SUP_SPAWN = "sup.spawn";
        /// A message to a shim.
        SUP_SHIM_SEND = "sup.shim_send";
        /// An answer on the control socket.
        SUP_CONTROL_SEND = "sup.control_send";
        /// Bytes to a client of the gateway.
        SUP_HTTP_SEND = "sup.http_send";
        /// A signal that the supervisor sends.
        SUP_SIGNAL = "sup.signal";
        /// The supervisor's own claim («never started»).
        SUP_CLAIM = "sup.claim";
        /// A task's `settled` file, or the mark of one that is lost.
        SUP_SETTLED_WRITE = "sup.settled_write";
        /// The file that names the runtime directory.
        SUP_RUNTIME_DIR_WRITE = "sup.runtime_dir_write";
        /// A folder that retention or a rebuild moves aside.
        SUP_PRUNE_MOVE = "sup.prune_move";
        /// The way of such moves to the disk.
        SUP_PRUNE_SYNC = "sup.prune_sync";
        /// The end of a folder that was moved aside.
        SUP_PRUNE_REMOVE = "sup.prune_remove";
        /// A folder that was moved aside and whose row is still there.
        SUP_PRUNE_PUT_BACK = "sup.prune_put_back";
        /// The shim's claim.
        SHIM_CLAIM = "shim.claim";
        /// A record of the journal.
        SHIM_JOURNAL_WRITE = "shim.journal_write";
        /// The journal's way to the disk.
        SHIM_JOURNAL_SYNC = "shim.journal_sync";
        /// The start of the agent.
        SHIM_EXEC = "shim.exec";
        /// Bytes to the supervisor.
        SHIM_SEND = "shim.send";
        /// A signal to the agent or to its tree.
        SHIM_SIGNAL = "shim.signal";
        /// The end of a zombie.
        SHIM_REAP = "shim.reap";
    }
    points {
        /// The shim has its start order and has not tried to claim.
        SHIM_BEFORE_CLAIM = "shim.before_claim";
    }
}

/// What the harness makes of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing.
    GoesOn,
    /// The action is to fail, if it can.
    Fails,
}

/// Nothing: this build has no hooks.
#[cfg(not(feature = "hooks"))]
#[inline]
pub const fn point(_name: &'static str) -> Outcome {
    Outcome::GoesOn
}

/// Stops here for as long as the harness wants, if the point is active.
#[cfg(feature = "hooks")]
pub fn point(name: &'static str) -> Outcome {
    active::reach(name)
}

/// What a disk that is broken says.
///
/// # Errors
/// Always `EIO`.
pub fn broken_disk<T>() -> std::io::Result<T> {
    Err(nix::errno::Errno::EIO.into())
}

#[cfg(feature = "hooks")]
mod active {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;
    use std::sync::OnceLock;

    use super::Outcome;

    struct Hooks {
        names: Vec<String>,
        socket: String,
    }

    static HOOKS: OnceLock<Option<Hooks>> = OnceLock::new();

    pub(super) fn reach(name: &str) -> Outcome {
        let hooks = HOOKS.get_or_init(from_environment);
        let Some(hooks) = hooks else {
            return Outcome::GoesOn;
        };
        if !hooks.names.iter().any(|active| active == name) {
            return Outcome::GoesOn;
        }
        match ask(&hooks.socket, name).as_deref().map(str::trim_end) {
            Some("die") => {
                // Nothing can be done about a failure, and there is none: the
                // process exists and may signal itself.
                let _ = nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::SIGKILL);
                Outcome::GoesOn
            }
            Some("fail") => Outcome::Fails,
            Some(_) | None => Outcome::GoesOn,
        }
    }

    fn from_environment() -> Option<Hooks> {
        let names = std::env::var("AGENT_HOOKS").ok()?;
        let socket = std::env::var("AGENT_HOOKS_SOCKET").ok()?;
        let names = names
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect();
        Some(Hooks { names, socket })
    }

    fn ask(socket: &str, name: &str) -> Option<String> {
        let mut stream = UnixStream::connect(socket).ok()?;
        writeln!(stream, "{name} {}", std::process::id()).ok()?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).ok()?;
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_has_one_name_of_the_documented_form() {
        let mut seen = std::collections::BTreeSet::new();
        for name in POINTS {
            assert!(seen.insert(name), "{name} stands twice");
            assert!(
                name.starts_with("sup.") || name.starts_with("shim."),
                "{name}"
            );
        }
        assert_eq!(
            SHIM_CLAIM.names(),
            ("shim.claim.before", "shim.claim.after")
        );
    }

    #[test]
    fn a_step_does_its_action_once() {
        let mut done = 0;
        assert_eq!(
            SUP_COMMIT.run(|| {
                done += 1;
                done
            }),
            1
        );
    }
}
