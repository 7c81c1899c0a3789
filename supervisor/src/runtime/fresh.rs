//! A task whose session was not found is followed by one in a fresh session.
//!
//! The follower is queued in the transaction of the other one's end: whoever
//! dies in between, there is exactly one.

use lifecycle::{SessionPlan, TaskSpec};
use protocol::TaskId;
use protocol::control::SessionChoice;
use protocol::ids::BadId;
use protocol::view::Links;
use uuid::Uuid;

use super::clock;
use super::core_loop::Core;
use super::digest;
use crate::folder::{FolderError, KnownBy, Shown};

/// Why there is no follower.
#[derive(Debug, thiserror::Error)]
enum NotFollowed {
    #[error("what was asked for is lost")]
    Lost,
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("there is no new id")]
    Id(#[from] BadId),
    #[error("there are no random bytes")]
    Random(#[from] getrandom::Error),
}

impl Core {
    /// The end of `id` is in the batch, and its follower comes beside it.
    pub(super) fn follow_fresh(&mut self, id: &TaskId) {
        match self.follower(id) {
            Ok(next) => tracing::warn!(
                task = %id, %next,
                "its session was not found: another task begins afresh, resume=<none>"
            ),
            Err(error) => {
                tracing::warn!(task = %id, %error, "its session was not found, and nothing follows")
            }
        }
    }

    fn follower(&mut self, id: &TaskId) -> Result<TaskId, NotFollowed> {
        let folders = &self.service.folders;
        let mut file = folders.spec(id)?.ok_or(NotFollowed::Lost)?;
        let next = TaskId::new(Uuid::now_v7().to_string())?;
        let at = clock::now();
        let spec = TaskSpec {
            id: next.clone(),
            session: SessionPlan::Undecided,
            links: Links {
                fresh_after: Some(id.clone()),
                ..Links::default()
            },
            ..file.task
        };
        file.task = spec.clone();
        file.asked.session = SessionChoice::Fresh;
        file.wait_from(at, &self.service.identity.boot_id);
        // Its command is known when its session is.
        let shown = Shown {
            argv: Vec::new(),
            ..file.shown
        };
        file.shown = shown.clone();
        let dispatch = digest::of_dispatch(
            &file.request(),
            Some(spec.on_not_found),
            spec.limits.memory_bytes,
            spec.limits.max_cost_micros,
            spec.run_as.as_ref().map(|run_as| run_as.user.as_str()),
        );
        let (secret, _token) = digest::new_secret(&next, dispatch)?;
        file.known_by = Some(KnownBy {
            token_hash: secret.token_hash.clone(),
            nonce: secret.nonce.clone(),
            spec_digest: secret.spec_digest.clone(),
        });
        folders.create(&next, &file)?;
        folders.sync_spec(&next)?;
        self.join_the_queue(spec, secret, shown, at);
        Ok(next)
    }
}
