//! `run --memory`.

use protocol::control::{ErrorBody, ErrorCode, RunOption};

use super::core_loop::Core;
use crate::cgroup::{Memory, SMALLEST};

/// Takes the limit over from the options; one that is not given stays.
///
/// # Errors
/// Usage: too little, or for processes that are not here.
pub(super) fn take_option(limit: &mut Option<u64>, options: &[RunOption]) -> Result<(), ErrorBody> {
    let refuse = |message: &str| Err(ErrorBody::new(ErrorCode::Usage, message));
    let mut contained = false;
    for option in options {
        match option {
            RunOption::Replace
            | RunOption::Queue
            | RunOption::OnNotFound(_)
            | RunOption::MaxCost(_) => {}
            RunOption::Container(_) => contained = true,
            RunOption::Memory(bytes) if *bytes < SMALLEST => {
                return refuse("invalid --memory: it has to be 4M at least");
            }
            RunOption::Memory(bytes) => *limit = Some(*bytes),
        }
    }
    if contained && limit.is_some() {
        let hint = "give the container its limit (`podman update --memory`)";
        return refuse("--memory limits processes of this host, and a container has its own")
            .map_err(|refusal| refusal.with_hint(hint));
    }
    Ok(())
}

impl Core {
    /// A limit that cannot be kept is not promised.
    pub(super) fn refuse_limit(&self, memory_bytes: Option<u64>) -> Result<(), ErrorBody> {
        match (&self.service.managed.memory, memory_bytes) {
            (Memory::Missing(why), Some(_)) => Err(ErrorBody::new(
                ErrorCode::Limit,
                format!("--memory cannot be kept here: {why}"),
            )
            .with_hint(
                "under systemd start agents.service (deploy/README.md); elsewhere run the \
                 supervisor in a memory cgroup that it may divide; or leave --memory out",
            )),
            (Memory::Unified | Memory::Separate(_), _) | (Memory::Missing(_), None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(before: Option<u64>, options: &[RunOption]) -> Result<Option<u64>, String> {
        let mut limit = before;
        match take_option(&mut limit, options) {
            Ok(()) => Ok(limit),
            Err(refusal) => Err(refusal.message),
        }
    }

    #[test]
    fn a_limit_that_is_given_replaces_the_one_before() {
        let given = RunOption::Memory(SMALLEST);
        assert_eq!(taken(None, &[]), Ok(None));
        assert_eq!(taken(Some(SMALLEST * 2), &[]), Ok(Some(SMALLEST * 2)));
        assert_eq!(taken(Some(SMALLEST * 2), &[given]), Ok(Some(SMALLEST)));
    }

    #[test]
    fn too_little_and_a_container_are_refused() {
        let small = taken(None, &[RunOption::Memory(SMALLEST - 1)]);
        assert!(small.is_err_and(|words| words.contains("4M at least")));
        let container = RunOption::Container("c".into());
        for (before, options) in [
            (None, vec![container.clone(), RunOption::Memory(SMALLEST)]),
            (Some(SMALLEST), vec![container.clone()]),
        ] {
            let refused = taken(before, &options);
            assert!(refused.is_err_and(|words| words.contains("container")));
        }
        assert_eq!(taken(None, &[container]), Ok(None));
    }
}
