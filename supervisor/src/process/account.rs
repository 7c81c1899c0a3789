//! The accounts of the machine.

use std::ffi::CString;
use std::path::Path;

use nix::unistd::{Gid, Uid, User, getgrouplist};
use protocol::shim::AgentUser;

/// A user that an agent may run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its numbers, groups included.
    pub user: AgentUser,
    /// Its home folder.
    pub home: String,
    /// Its shell.
    pub shell: String,
}

/// Why there is no account.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The machine has none of that name or number.
    #[error("this machine has no user {0:?}")]
    Unknown(String),
    /// The accounts could not be asked.
    #[error("the accounts of this machine could not be asked for user {name:?}: {}", errno.desc())]
    Silent {
        /// Who was looked for.
        name: String,
        /// Why not.
        errno: nix::errno::Errno,
    },
}

impl Account {
    /// By name, or by number where no name fits. Asks whatever the machine is
    /// configured to ask for accounts.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn named(name: &str) -> Result<Self, AccountError> {
        let unknown = || AccountError::Unknown(name.to_owned());
        // No name has these, and libc would see another one.
        if name.is_empty() || name.contains('\0') {
            return Err(unknown());
        }
        let silent = |errno| AccountError::Silent {
            name: name.to_owned(),
            errno,
        };
        match User::from_name(name).map_err(silent)? {
            Some(user) => Self::of(&user),
            None => Self::numbered(name.parse().map_err(|_| unknown())?),
        }
    }

    /// By number.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn numbered(uid: u32) -> Result<Self, AccountError> {
        let found = User::from_uid(Uid::from_raw(uid));
        match found {
            Ok(Some(user)) => Self::of(&user),
            Ok(None) => Err(AccountError::Unknown(uid.to_string())),
            Err(errno) => Err(AccountError::Silent {
                name: uid.to_string(),
                errno,
            }),
        }
    }

    /// `HOME`, `LOGNAME`, `SHELL` and `USER` of our own user; a service may have none
    /// of them. Empty for a user without an account.
    #[must_use]
    pub fn own_environment() -> Vec<(String, String)> {
        Self::numbered(nix::unistd::geteuid().as_raw())
            .map_or_else(|_| Vec::new(), |account| account.environment())
    }

    fn of(user: &User) -> Result<Self, AccountError> {
        let unknown = || AccountError::Unknown(user.name.clone());
        let name = CString::new(user.name.clone()).map_err(|_| unknown())?;
        let groups = getgrouplist(&name, user.gid).map_err(|errno| AccountError::Silent {
            name: user.name.clone(),
            errno,
        })?;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Ok(Self {
            user: AgentUser {
                name: user.name.clone(),
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
                groups: groups.into_iter().map(Gid::as_raw).collect(),
            },
            home: text(&user.dir),
            shell: text(&user.shell),
        })
    }

    /// `HOME`, `LOGNAME`, `SHELL` and `USER`.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let name = &self.user.name;
        [
            ("HOME", &self.home),
            ("LOGNAME", name),
            ("SHELL", &self.shell),
            ("USER", name),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_name_and_by_number() {
        let root = Account::named("root").expect("every machine has it");
        assert_eq!((root.user.uid, root.user.gid), (0, 0));
        assert!(root.user.groups.contains(&0));
        assert!(root.home.starts_with('/'), "{root:?}");
        assert_eq!(Account::named("0").expect("by number"), root);
        assert_eq!(Account::numbered(0).expect("by number"), root);
        let names: Vec<String> = root.environment().into_iter().map(|it| it.0).collect();
        assert_eq!(names, ["HOME", "LOGNAME", "SHELL", "USER"]);
    }

    #[test]
    fn who_is_not_there_is_named() {
        for name in ["no-such-user-here", "", "root\0x", "4294967294", "-1"] {
            let error = Account::named(name).expect_err(name);
            assert!(error.to_string().contains("has no user"), "{error}");
        }
    }
}
