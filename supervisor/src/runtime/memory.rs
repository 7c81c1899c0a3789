//! `run --memory`.

use protocol::control::{ErrorBody, ErrorCode};

use super::core_loop::Core;
use crate::cgroup::{Memory, SMALLEST};

/// Where the processes of a task are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    OnTheHost,
    InAContainer,
}

/// # Errors
/// Usage: too little, or for processes that are not here.
pub(super) fn check(limit: Option<u64>, place: Where) -> Result<(), ErrorBody> {
    let usage = |message: &str| ErrorBody::new(ErrorCode::Usage, message);
    match (limit, place) {
        (None, _) => Ok(()),
        (Some(bytes), _) if bytes < SMALLEST => {
            Err(usage("invalid --memory: it has to be 4M at least"))
        }
        (Some(_), Where::OnTheHost) => Ok(()),
        (Some(_), Where::InAContainer) => Err(usage(
            "--memory limits processes of this host, and a container has its own",
        )
        .with_hint("give the container its limit (`podman update --memory`)")),
    }
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
                 supervisor in a memory cgroup of version 1 that it may divide (without \
                 systemd there is no limit by version 2); or leave --memory out",
            )),
            (Memory::Unified | Memory::Separate(_), _) | (Memory::Missing(_), None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(limit: Option<u64>, place: Where) -> Result<(), String> {
        check(limit, place).map_err(|refusal| refusal.message)
    }

    #[test]
    fn too_little_and_a_container_are_refused() {
        let small = words(Some(SMALLEST - 1), Where::OnTheHost);
        assert!(small.is_err_and(|words| words.contains("4M at least")));
        let inside = words(Some(SMALLEST), Where::InAContainer);
        assert!(inside.is_err_and(|words| words.contains("container")));
        assert_eq!(words(Some(SMALLEST), Where::OnTheHost), Ok(()));
        assert_eq!(words(None, Where::InAContainer), Ok(()));
    }
}
