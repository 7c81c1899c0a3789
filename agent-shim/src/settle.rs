//! Which ends may be somebody else's work although they do not say so.

use std::path::Path;

use protocol::Exit;

use crate::ladder::Settle;

/// Shells and many programs report a death by signal as 128 plus its number.
const SIGNAL_CODES: std::ops::RangeInclusive<i32> = 129..=192;

/// Whether to wait for a signal before `exit` is believed.
#[must_use]
pub fn settle(exit: &Exit, term_exit: &[i32], result: OwnResult, manager: Manager) -> Settle {
    let suspicious = match exit {
        Exit::Exited { code } => SIGNAL_CODES.contains(code) || term_exit.contains(code),
        Exit::Signaled { .. } | Exit::Unknown { .. } => true,
    };
    let maybe_stopped_with_its_unit = (result, manager) == (OwnResult::Missing, Manager::Systemd);
    if suspicious || maybe_stopped_with_its_unit {
        Settle::Wait
    } else {
        Settle::AtOnce
    }
}

/// Whether the provider's own result was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnResult {
    /// It was.
    Seen,
    /// It was not, or the provider has none.
    Missing,
}

/// Who could end all processes of the task at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// A running systemd, of which we live in a unit.
    Systemd,
    /// Nobody.
    None,
}

impl Manager {
    /// Looks where this process lives.
    #[must_use]
    pub fn detect() -> Self {
        match unit_of_this_process() {
            Some(_) => Self::Systemd,
            None => Self::None,
        }
    }
}

/// The unit of a running systemd in which this process is now.
#[must_use]
pub fn unit_of_this_process() -> Option<String> {
    if !Path::new("/run/systemd/system").is_dir() {
        return None;
    }
    let cgroups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    unit_in(&cgroups).map(str::to_owned)
}

/// systemd's own tree is that of cgroup v2 (`0::`), or is named after it.
///
/// The innermost is the one that a person knows: a user's manager is a unit, too.
fn unit_in(cgroups: &str) -> Option<&str> {
    cgroups
        .lines()
        .filter_map(|line| {
            line.strip_prefix("0::")
                .or_else(|| line.split_once(":name=systemd:").map(|(_, path)| path))
        })
        .flat_map(|path| path.split('/'))
        .rfind(|name| name.ends_with(".service") || name.ends_with(".scope"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ends_that_speak_for_themselves_are_believed_at_once() {
        let of = |exit: Exit, result, manager| settle(&exit, &[0], result, manager);
        let exited = |code| Exit::Exited { code };
        let (seen, missing) = (OwnResult::Seen, OwnResult::Missing);
        let (alone, systemd) = (Manager::None, Manager::Systemd);
        assert_eq!(of(exited(1), missing, alone), Settle::AtOnce);
        assert_eq!(of(exited(1), missing, systemd), Settle::Wait);
        assert_eq!(of(exited(1), seen, systemd), Settle::AtOnce);
        assert_eq!(
            of(exited(0), seen, alone),
            Settle::Wait,
            "a code of this provider"
        );
        assert_eq!(of(exited(128), seen, alone), Settle::AtOnce);
        assert_eq!(of(exited(143), seen, alone), Settle::Wait);
        assert_eq!(of(exited(255), seen, alone), Settle::AtOnce);
        assert_eq!(
            of(
                Exit::Signaled {
                    signal: 11,
                    core: true
                },
                seen,
                alone
            ),
            Settle::Wait
        );
    }

    #[test]
    fn units_are_known_by_their_names() {
        let of = unit_in;
        assert_eq!(
            of("0::/system.slice/agents.service/t1\n"),
            Some("agents.service")
        );
        assert_eq!(
            of("0::/user.slice/user-1000.slice/user@1000.service/app.slice/agents.service\n"),
            Some("agents.service")
        );
        assert_eq!(
            of("0::/user.slice/user-1000.slice/session-3.scope\n"),
            Some("session-3.scope")
        );
        assert_eq!(
            of("3:cpu:/\n1:name=systemd:/system.slice/a.service\n0::/\n"),
            Some("a.service")
        );
        assert_eq!(of("0::/\n"), None);
        assert_eq!(of("0::/system.slice\n"), None);
        assert_eq!(of("4:memory:/x.service\n0::/\n"), None);
    }
}
