//! How often the kernel killed a process of a task for want of memory, by the
//! count of the task's own cgroup.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use protocol::TaskId;

/// In the task's folder: points at its cgroup of version 2.
pub const GROUP_LINK: &str = "cgroup";
/// In the task's folder: points at its cgroup in the memory hierarchy of
/// version 1.
pub const MEMORY_LINK: &str = "cgroup-memory";

/// Longest file that is read, in bytes: a dozen short lines.
const LONGEST: usize = 1024;

/// Where the count stands, by version, and how one hears of a change.
const FILES: [(&str, &str, News); 2] = [
    (MEMORY_LINK, "memory.oom_control", News::Silent),
    (GROUP_LINK, "memory.events", News::Told),
];

/// How one hears of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The descriptor has an exceptional condition (`EPOLLPRI`) until it is read.
    Told,
    /// Not at all: it has to be looked at now and then.
    Silent,
}

/// Takes this process out of the kernel's choice, where it may: who watches over
/// a task is not to be its second victim, while the memory of the first is not
/// free yet. What it starts from now on inherits that.
pub fn spare_this_process() {
    // Without the right to it, it is as likely a victim as before.
    let _ = fs::write("/proc/self/oom_score_adj", "-1000");
}

/// What a process says to be as likely a victim as any, and where it says so.
pub(crate) const PLAIN_SCORE: (&CStr, &[u8]) = (c"/proc/self/oom_score_adj", b"0");

/// Is what this process starts to be made as likely a victim as any? What spares a
/// supervisor (`OOMScoreAdjust=` of its unit) is not meant for agents; what makes
/// it, and them, more likely victims is its operator's choice.
pub(crate) fn is_spared() -> bool {
    fs::read_to_string("/proc/self/oom_score_adj").is_ok_and(|score| spares(&score))
}

fn spares(score: &str) -> bool {
    score.trim().parse().is_ok_and(|score: i32| score < 0)
}

/// The count of one task.
#[derive(Debug)]
pub struct OomCount {
    file: File,
    news: News,
}

impl OomCount {
    /// The count of `task`, if one of its cgroups has it.
    #[must_use]
    pub fn of_task(task: &TaskId, task_dir: &Path) -> Option<Self> {
        FILES.iter().find_map(|(link, name, news)| {
            let group = fs::read_link(task_dir.join(link)).ok()?;
            // The name of the cgroup is the task's id, whoever wrote the link.
            let is_of_task = group.file_name().is_some_and(|name| name == task.as_str());
            let file = File::open(group.join(name)).ok().filter(|_| is_of_task)?;
            Some(Self { file, news: *news })
        })
    }

    /// How one hears of a change.
    #[must_use]
    pub const fn news(&self) -> News {
        self.news
    }

    /// Kills so far.
    ///
    /// # Errors
    /// The kernel's answer, `ENODEV` once the cgroup is gone; a file without
    /// the count.
    pub fn read(&self) -> io::Result<u64> {
        let mut buffer = [0; LONGEST];
        let read = self.file.read_at(&mut buffer, 0)?;
        count_in(&String::from_utf8_lossy(&buffer[..read]))
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }
}

impl AsFd for OomCount {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn count_in(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    line?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::temp_folder::TempFolder;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_count_is_found_in_the_files_of_both_versions() {
        let first = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(count_in(first), Some(3));
        let second = "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 0\n";
        assert_eq!(count_in(second), Some(1));
        assert_eq!(count_in("oom_kill_disable 0\nunder_oom 0\n"), None);
    }

    #[test]
    fn only_what_spares_is_taken_back() {
        for (score, is_spared) in [
            ("-1000\n", true),
            ("-1\n", true),
            ("0\n", false),
            ("300\n", false),
            ("", false),
        ] {
            assert_eq!(spares(score), is_spared, "{score}");
        }
    }

    #[test]
    fn only_a_cgroup_of_the_tasks_own_name_counts() {
        let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
        let task = TaskId::new("t1").expect("a legal id");
        assert!(OomCount::of_task(&task, folder.path()).is_none(), "none");
        for (link, name, news, count) in [
            (GROUP_LINK, "memory.events", News::Told, 4),
            (MEMORY_LINK, "memory.oom_control", News::Silent, 5),
        ] {
            let group = folder.path().join(format!("of {link}"));
            fs::create_dir_all(group.join("t1")).expect("a folder");
            fs::create_dir_all(group.join("t2")).expect("a folder");
            for task in ["t1", "t2"] {
                let text = format!("oom_kill {count}\n");
                fs::write(group.join(task).join(name), text).expect("a file");
            }
            symlink(group.join("t1"), folder.path().join(link)).expect("a link");
            let found = OomCount::of_task(&task, folder.path()).expect("there is one");
            assert_eq!(
                (found.news(), found.read().expect("readable")),
                (news, count)
            );
        }
        let other = TaskId::new("t2").expect("a legal id");
        assert!(OomCount::of_task(&other, folder.path()).is_none());
    }
}
