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
        if !Path::new("/run/systemd/system").is_dir() {
            return Self::None;
        }
        let cgroups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        if is_in_unit(&cgroups) {
            Self::Systemd
        } else {
            Self::None
        }
    }
}

/// systemd's own tree is that of cgroup v2 (`0::`), or is named after it.
fn is_in_unit(cgroups: &str) -> bool {
    cgroups
        .lines()
        .filter_map(|line| {
            line.strip_prefix("0::")
                .or_else(|| line.split_once(":name=systemd:").map(|(_, path)| path))
        })
        .flat_map(|path| path.split('/'))
        .any(|name| name.ends_with(".service") || name.ends_with(".scope"))
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
        assert!(is_in_unit("0::/system.slice/agents.service/t1\n"));
        assert!(is_in_unit(
            "0::/user.slice/user-1000.slice/session-3.scope\n"
        ));
        assert!(is_in_unit(
            "3:cpu:/\n1:name=systemd:/system.slice/a.service\n0::/\n"
        ));
        assert!(!is_in_unit("0::/\n"));
        assert!(!is_in_unit("0::/system.slice\n"));
        assert!(!is_in_unit("4:memory:/x.service\n0::/\n"));
    }
}
