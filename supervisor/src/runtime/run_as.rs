//! `run --as`: who an agent runs as, and who may say so.
//!
//! Only root can start a process of another user. Whoever asks over a socket
//! without being root or the supervisor's own user (a member of `[control] group`)
//! gets agents of its own user from a supervisor of root's, and no others:
//! everything else would make that group root.

use lifecycle::{RunAs, SessionRow, TaskSpec};
use nix::unistd::geteuid;
use protocol::TaskId;
use protocol::control::{ErrorBody, ErrorCode};

use super::core_loop::Core;
use super::memory::Where;
use super::service::Service;
use crate::process::account::{Account, AccountError};

/// Root's number.
const ROOT: u32 = 0;

/// In words for people.
const OWN_USER: &str = "the supervisor's own user";

/// Who asks, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// Root, the supervisor's own user, or somebody with its token.
    Owner,
    /// A member of the control group.
    Member(u32),
}

/// Who an agent is to run as; the supervisor's own user if none.
///
/// # Errors
/// In words for the caller: no such user, or it may not say so.
pub(super) fn settle(
    named: Option<&str>,
    peer_uid: Option<u32>,
    place: Where,
) -> Result<Option<Account>, ErrorBody> {
    let own = geteuid().as_raw();
    let account = decide(named, peer_uid, own)?;
    match (&account, place, named) {
        (Some(_), Where::InAContainer, Some(_)) => Err(ErrorBody::new(
            ErrorCode::Usage,
            "--as names a user of this host, and a container has its own",
        )
        .with_hint("leave one of --as and --container out; the image says who its agent is")),
        (Some(_), Where::InAContainer, None) => Err(not_permitted(
            "only root may have agents in its containers".to_owned(),
        )),
        (_, Where::OnTheHost, _) | (None, Where::InAContainer, _) => Ok(account),
    }
}

fn decide(
    named: Option<&str>,
    peer_uid: Option<u32>,
    own: u32,
) -> Result<Option<Account>, ErrorBody> {
    let by = match peer_uid {
        Some(uid) if uid != own && uid != ROOT => By::Member(uid),
        Some(_) | None => By::Owner,
    };
    let account = match (named, by) {
        (None, By::Owner) => return Ok(None),
        // They share that user: this is what the group is for.
        (None, By::Member(_)) if own != ROOT => return Ok(None),
        (None, By::Member(uid)) => Account::numbered(uid).map_err(|error| {
            not_permitted(format!(
                "your agents would run as your own user, and {error}"
            ))
        })?,
        (Some(name), By::Owner | By::Member(_)) => Account::named(name).map_err(no_account)?,
    };
    let name = &account.user.name;
    match by {
        By::Member(uid) if own == ROOT && account.user.uid != uid => Err(not_permitted(format!(
            "user {uid} may have agents of its own user only, not of {name}"
        ))),
        By::Owner | By::Member(_) if account.user.uid == own => Ok(None),
        By::Owner | By::Member(_) if own != ROOT => Err(not_permitted(format!(
            "this supervisor runs as user {own}, and only root's can start agents as {name}"
        ))
        .with_hint("leave --as out, or use a supervisor that root runs (deploy/README.md)")),
        By::Owner | By::Member(_) => Ok(Some(account)),
    }
}

fn not_permitted(message: String) -> ErrorBody {
    ErrorBody::new(ErrorCode::NotPermitted, message)
}

fn no_account(error: AccountError) -> ErrorBody {
    match error {
        AccountError::Unknown(_) => ErrorBody::new(ErrorCode::Usage, error.to_string())
            .with_hint("`getent passwd` lists the users; nothing was started"),
        AccountError::Silent { .. } => ErrorBody::new(ErrorCode::Internal, error.to_string()),
    }
}

/// What of an account the core keeps.
pub(super) fn kept(account: &Account) -> RunAs {
    RunAs {
        user: account.user.name.clone(),
        uid: account.user.uid,
    }
}

/// The account of a task whose turn has come: as it is now, if it is still the
/// same user.
///
/// # Errors
/// In words.
pub(super) fn at_its_turn(spec: &TaskSpec) -> Result<Option<Account>, ErrorBody> {
    let Some(run_as) = &spec.run_as else {
        return Ok(None);
    };
    let account = Account::named(&run_as.user).map_err(no_account)?;
    if account.user.uid != run_as.uid {
        return Err(not_permitted(format!(
            "user {} had the number {}, and has {} now",
            run_as.user, run_as.uid, account.user.uid
        )));
    }
    Ok(Some(account))
}

/// By which user's processes what is left of a task is known.
pub(super) fn uid_of(run_as: Option<&RunAs>) -> u32 {
    run_as.map_or_else(|| geteuid().as_raw(), |run_as| run_as.uid)
}

/// The same of a task that is known by its folder alone.
pub(super) fn uid_by_folder(service: &Service, id: &TaskId) -> u32 {
    let spec = service.folders.spec(id).ok().flatten();
    uid_of(spec.and_then(|spec| spec.task.run_as).as_ref())
}

impl Core {
    /// Both users in words, if the last task of a session ran as another one than
    /// `run_as`.
    pub(super) fn other_user(
        &self,
        session: Option<&SessionRow>,
        run_as: Option<&RunAs>,
    ) -> Option<String> {
        let session = session?;
        let last = &session.task_id;
        let before = match (self.tasks.get(last), &session.without_task) {
            (Some(live), _) => live.task.spec.run_as.as_ref().map(|it| it.user.clone()),
            (None, Some(gone)) => gone.ran_as.clone(),
            (None, None) => self.service.folders.shown(last).run_as,
        };
        let now = run_as.map(|run_as| run_as.user.clone());
        let word = |user: &Option<String>| match user {
            Some(user) => format!("user {user}"),
            None => OWN_USER.to_owned(),
        };
        (before != now).then(|| format!("{} before, {} now", word(&before), word(&now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: u32 = 65_534;

    /// The name, or the code of the refusal.
    fn who(named: Option<&str>, peer: Option<u32>, own: u32) -> Result<Option<String>, ErrorCode> {
        match decide(named, peer, own) {
            Ok(account) => Ok(account.map(|account| account.user.name)),
            Err(refusal) => Err(refusal.code),
        }
    }

    #[test]
    fn root_may_name_anybody_and_others_only_themselves() {
        let nobody = Account::numbered(NOBODY).expect("it is there").user.name;
        let it = Some(nobody.as_str());
        let runs_as_it = || Ok(it.map(str::to_owned));
        let refused = Err(ErrorCode::NotPermitted);
        for (named, peer, own, expected) in [
            // A supervisor of root's: root, its token, a member of the group.
            (None, Some(0), 0, Ok(None)),
            (it, Some(0), 0, runs_as_it()),
            (it, None, 0, runs_as_it()),
            (Some("root"), Some(0), 0, Ok(None)),
            (None, Some(NOBODY), 0, runs_as_it()),
            (it, Some(NOBODY), 0, runs_as_it()),
            (Some("root"), Some(NOBODY), 0, refused.clone()),
            (it, Some(4_000_000_000), 0, refused.clone()),
            (None, Some(4_000_000_000), 0, refused.clone()),
            // One of another user's.
            (None, Some(NOBODY), 1_000, Ok(None)),
            (it, Some(1_000), 1_000, refused.clone()),
            (it, Some(0), 1_000, refused.clone()),
            (it, Some(NOBODY), 1_000, refused.clone()),
            (it, Some(NOBODY), NOBODY, Ok(None)),
            // Nobody of that name.
            (Some("no-such-user-here"), Some(0), 0, Err(ErrorCode::Usage)),
        ] {
            assert_eq!(who(named, peer, own), expected, "{named:?} {peer:?} {own}");
        }
    }
}
