//! Why an agent could not be started, in words: what was tried, on what, and
//! what to look at.

use nix::errno::Errno;
use protocol::shim::SpawnStage;
use sys::spawn::USER_PLACE;

use super::step::{SHIM, SUPERVISOR};
use crate::text::printable;

/// Longest path or word that is quoted, in bytes.
const MAX_PATH: usize = 512;

/// A start that failed.
#[derive(Clone, Copy, Debug)]
pub struct SpawnFailure<'a> {
    /// What was tried.
    pub stage: SpawnStage,
    /// The kernel's answer.
    pub errno: i32,
    /// On which path.
    pub path: &'a str,
    /// Where a command was searched.
    pub search_path: Option<&'a str>,
    /// Who was to run it, if not the supervisor's own user.
    pub user: Option<&'a str>,
}

impl SpawnFailure<'_> {
    /// The words, without a full stop.
    #[must_use]
    pub fn in_words(&self) -> String {
        let errno = Errno::from_raw(self.errno);
        // Where the shim looked for it, as it says by this path.
        if let (SpawnStage::Prepare, Some(name)) =
            (self.stage, self.path.strip_prefix("container "))
        {
            return container(name, errno);
        }
        if let (SpawnStage::Prepare, Some(name)) = (self.stage, self.path.strip_prefix(USER_PLACE))
        {
            let name = printable(name, MAX_PATH);
            return format!(
                "no process could become user {name}: {}; the supervisor needs the rights of \
                 root for it ({errno:?})",
                errno.desc()
            );
        }
        let told = match self.stage {
            SpawnStage::Search => self.search(errno),
            SpawnStage::Chdir => self.chdir(errno),
            SpawnStage::Exec => self.exec(errno),
            SpawnStage::Fork => Some(format!(
                "no process could be made for the agent: {}",
                no_process(errno)
            )),
            SpawnStage::Prepare => Some(format!(
                "the pipes, the log files or the private TMPDIR could not be made{}: {}",
                self.at(),
                errno.desc()
            )),
            SpawnStage::Shim => Some(format!(
                "the task's shim {} could not be started: {}",
                self.quoted(),
                no_process(errno)
            )),
            SpawnStage::Memory => Some(self.memory(errno)),
        };
        let told = told.unwrap_or_else(|| self.plainly(errno));
        if errno == Errno::UnknownErrno {
            told
        } else {
            format!("{told} ({errno:?})")
        }
    }

    /// Who saw it, in a chain.
    pub(super) const fn seen_by(&self) -> &'static str {
        match self.stage {
            SpawnStage::Shim | SpawnStage::Memory => SUPERVISOR,
            SpawnStage::Search
            | SpawnStage::Chdir
            | SpawnStage::Exec
            | SpawnStage::Fork
            | SpawnStage::Prepare => SHIM,
        }
    }

    /// Who saw it, as a kind of evidence.
    pub(super) const fn kind(&self) -> &'static str {
        match self.stage {
            SpawnStage::Shim | SpawnStage::Memory => "supervisor",
            SpawnStage::Search
            | SpawnStage::Chdir
            | SpawnStage::Exec
            | SpawnStage::Fork
            | SpawnStage::Prepare => "shim",
        }
    }

    fn search(&self, errno: Errno) -> Option<String> {
        let path = self.quoted();
        if self.path.is_empty() {
            return Some("there is no command: its first word is empty".to_owned());
        }
        if errno == Errno::ENOENT && !self.path.contains('/') {
            let place = match self.search_path {
                Some(searched) => format!("PATH {}", printable(searched, MAX_PATH)),
                None => "the task's PATH".to_owned(),
            };
            return Some(format!("command {path} was not found; searched in {place}"));
        }
        self.program(errno)
    }

    /// What the kernel says of a program file, wherever it is asked.
    fn program(&self, errno: Errno) -> Option<String> {
        let path = self.quoted();
        if errno == Errno::ENOENT {
            Some(format!("command {path} does not exist"))
        } else if errno == Errno::EACCES {
            Some(format!(
                "{path} is not executable{}: its mode, or that of a folder above, forbids it",
                self.for_user()
            ))
        } else if errno == Errno::EISDIR {
            Some(format!("{path} is a folder, not a program"))
        } else if errno == Errno::ENOTDIR {
            Some(format!("a part of {path} is not a folder"))
        } else {
            None
        }
    }

    fn chdir(&self, errno: Errno) -> Option<String> {
        let path = self.quoted();
        if errno == Errno::ENOENT {
            Some(format!("the working folder {path} does not exist"))
        } else if errno == Errno::ENOTDIR {
            Some(format!("the working folder {path} is not a folder"))
        } else if errno == Errno::EACCES {
            Some(format!(
                "the working folder {path} may not be entered{}",
                self.for_user()
            ))
        } else {
            Some(format!(
                "the working folder {path} cannot be entered: {}",
                errno.desc()
            ))
        }
    }

    fn exec(&self, errno: Errno) -> Option<String> {
        let path = self.quoted();
        if errno == Errno::ENOENT {
            // The file itself was found before.
            Some(format!(
                "{path} is there, but the interpreter of its first line, or its loader, is not"
            ))
        } else if errno == Errno::ENOEXEC {
            Some(format!(
                "{path} is neither a program for this machine nor a script with a #! line"
            ))
        } else if errno == Errno::E2BIG {
            Some(format!(
                "the arguments and the environment of {path} are too long for the kernel: one word \
                 may have 128 KiB; long prompts belong in a file or on stdin"
            ))
        } else if errno == Errno::ETXTBSY {
            Some(format!("{path} is being written right now"))
        } else {
            self.program(errno)
        }
    }

    /// Where the kernel was not asked, the path is the words.
    fn memory(&self, errno: Errno) -> String {
        let why = if errno == Errno::UnknownErrno {
            printable(self.path, MAX_PATH)
        } else {
            errno.desc().to_owned()
        };
        format!("the memory of the task could not be limited: {why}")
    }

    fn plainly(&self, errno: Errno) -> String {
        format!("{} could not be started: {}", self.quoted(), errno.desc())
    }

    fn for_user(&self) -> String {
        self.user.map_or_else(String::new, |user| {
            format!(" by user {}", printable(user, MAX_PATH))
        })
    }

    fn quoted(&self) -> String {
        format!("“{}”", printable(self.path, MAX_PATH))
    }

    fn at(&self) -> String {
        if self.path.is_empty() {
            String::new()
        } else {
            format!(" at {}", self.quoted())
        }
    }
}

/// Its name, and behind a colon its state or why nobody knows.
fn container(name: &str, errno: Errno) -> String {
    let (name, more) = name.split_once(": ").unwrap_or((name, ""));
    let (name, more) = (printable(name, MAX_PATH), printable(more, MAX_PATH));
    if errno == Errno::ENOTCONN {
        format!("container {name} does not run: it is {more}; start it, then dispatch again")
    } else if errno == Errno::ETIMEDOUT {
        format!("container {name} was not found: {more}")
    } else {
        format!("container {name} was not found: neither podman nor docker in PATH knows it")
    }
}

/// Why there is no further process, or no further descriptor for it.
fn no_process(errno: Errno) -> &'static str {
    if errno == Errno::EAGAIN {
        "the limit of processes is reached"
    } else if errno == Errno::ENOMEM {
        "memory is short"
    } else if errno == Errno::EMFILE {
        "the supervisor has as many files open as it may"
    } else if errno == Errno::ENFILE {
        "the machine has as many files open as it may"
    } else {
        errno.desc()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_has_its_own_words() {
        let words = |stage, errno: Errno, path| {
            let search_path = Some("/opt/bin:/bin");
            SpawnFailure {
                stage,
                errno: errno as i32,
                path,
                search_path,
                user: None,
            }
            .in_words()
        };
        let table = [
            words(SpawnStage::Search, Errno::ENOENT, "clade"),
            words(SpawnStage::Search, Errno::ENOENT, "/opt/clade"),
            words(SpawnStage::Search, Errno::EACCES, "/etc/passwd"),
            words(SpawnStage::Search, Errno::EISDIR, "/etc"),
            words(SpawnStage::Search, Errno::ENOENT, ""),
            words(SpawnStage::Chdir, Errno::ENOENT, "/gone"),
            words(SpawnStage::Chdir, Errno::ENOTDIR, "/etc/passwd"),
            words(SpawnStage::Chdir, Errno::EACCES, "/root"),
            words(SpawnStage::Exec, Errno::EACCES, "/mnt/noexec/a"),
            words(SpawnStage::Exec, Errno::ENOENT, "/bin/script"),
            words(SpawnStage::Exec, Errno::ENOEXEC, "/bin/text"),
            words(SpawnStage::Exec, Errno::E2BIG, "/bin/claude"),
            words(SpawnStage::Exec, Errno::EIO, "/bin/a\u{1b}[2J"),
            words(SpawnStage::Fork, Errno::EAGAIN, ""),
            words(
                SpawnStage::Prepare,
                Errno::ENOSPC,
                "/state/tasks/t/stdout.log",
            ),
            words(SpawnStage::Prepare, Errno::ENOENT, "container box"),
            words(
                SpawnStage::Prepare,
                Errno::ENOTCONN,
                "container box: exited",
            ),
            words(
                SpawnStage::Prepare,
                Errno::ETIMEDOUT,
                "container box: docker says: no",
            ),
        ];
        let expected = [
            "command “clade” was not found; searched in PATH /opt/bin:/bin (ENOENT)",
            "command “/opt/clade” does not exist (ENOENT)",
            "“/etc/passwd” is not executable: its mode, or that of a folder above, forbids it (EACCES)",
            "“/etc” is a folder, not a program (EISDIR)",
            "there is no command: its first word is empty (ENOENT)",
            "the working folder “/gone” does not exist (ENOENT)",
            "the working folder “/etc/passwd” is not a folder (ENOTDIR)",
            "the working folder “/root” may not be entered (EACCES)",
            "“/mnt/noexec/a” is not executable: its mode, or that of a folder above, forbids it (EACCES)",
            "“/bin/script” is there, but the interpreter of its first line, or its loader, is not (ENOENT)",
            "“/bin/text” is neither a program for this machine nor a script with a #! line (ENOEXEC)",
            "the arguments and the environment of “/bin/claude” are too long for the kernel: one word may have 128 KiB; long prompts belong in a file or on stdin (E2BIG)",
            "“/bin/a[2J” could not be started: I/O error (EIO)",
            "no process could be made for the agent: the limit of processes is reached (EAGAIN)",
            "the pipes, the log files or the private TMPDIR could not be made at “/state/tasks/t/stdout.log”: No space left on device (ENOSPC)",
            "container box was not found: neither podman nor docker in PATH knows it",
            "container box does not run: it is exited; start it, then dispatch again",
            "container box was not found: docker says: no",
        ];
        for (words, expected) in table.iter().zip(expected) {
            assert_eq!(words, expected);
        }
    }

    #[test]
    fn another_user_is_named() {
        let words = |stage, errno: Errno, path| {
            SpawnFailure {
                stage,
                errno: errno as i32,
                path,
                search_path: None,
                user: Some("bob"),
            }
            .in_words()
        };
        assert_eq!(
            words(SpawnStage::Chdir, Errno::EACCES, "/root"),
            "the working folder “/root” may not be entered by user bob (EACCES)"
        );
        assert_eq!(
            words(SpawnStage::Exec, Errno::EACCES, "/home/al/x"),
            "“/home/al/x” is not executable by user bob: its mode, or that of a folder above, \
             forbids it (EACCES)"
        );
        assert_eq!(
            words(SpawnStage::Prepare, Errno::EPERM, "user bob"),
            "no process could become user bob: Operation not permitted; the supervisor needs \
             the rights of root for it (EPERM)"
        );
    }

    #[test]
    fn what_the_supervisor_saw_is_its_own() {
        let words = |stage, errno: Errno, path| {
            let failure = SpawnFailure {
                stage,
                errno: errno as i32,
                path,
                search_path: None,
                user: None,
            };
            assert_eq!(
                (failure.seen_by(), failure.kind()),
                (SUPERVISOR, "supervisor")
            );
            failure.in_words()
        };
        let shim = |errno| words(SpawnStage::Shim, errno, "/opt/agent-shim");
        let told = [
            shim(Errno::EAGAIN),
            shim(Errno::EMFILE),
            shim(Errno::ENOEXEC),
            words(SpawnStage::Memory, Errno::EBUSY, ""),
            words(
                SpawnStage::Memory,
                Errno::UnknownErrno,
                "there is no cgroup",
            ),
        ];
        let expected = [
            "the task's shim “/opt/agent-shim” could not be started: the limit of processes is reached (EAGAIN)",
            "the task's shim “/opt/agent-shim” could not be started: the supervisor has as many files open as it may (EMFILE)",
            "the task's shim “/opt/agent-shim” could not be started: Exec format error (ENOEXEC)",
            "the memory of the task could not be limited: Device or resource busy (EBUSY)",
            "the memory of the task could not be limited: there is no cgroup",
        ];
        assert_eq!(told, expected);
    }
}
