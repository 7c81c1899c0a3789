//! Which cgroup is ours to divide.

use std::fs;
use std::path::{Path, PathBuf};

/// The cgroup that this process lives in, if nobody else manages what is below
/// it: a running service manager says so by an attribute, and without one the
/// cgroup must not be the root of the machine.
pub(super) fn own_and_ours() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let folder = folder_in(Hierarchy::Unified, &mounts, &own)?;
    let ours = if Path::new("/run/systemd/system").is_dir() {
        is_delegated(&folder)
    } else {
        // The root of the machine has no type; the root of a container has.
        folder.join("cgroup.type").exists()
    };
    ours.then_some(folder)
}

/// The memory cgroup (version 1) that this process lives in, if it is ours to
/// divide.
///
/// # Errors
/// In words, why not.
pub(super) fn own_memory() -> Result<PathBuf, String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (mounts, own) = (read("/proc/self/mountinfo"), read("/proc/self/cgroup"));
    let folder = folder_in(Hierarchy::Memory, &mounts, &own)
        .ok_or("there is no memory controller of version 1")?;
    if Path::new("/run/systemd/system").is_dir() {
        return Err("systemd manages the memory cgroups of version 1".to_owned());
    }
    // Only the root of a hierarchy has it, whatever a namespace calls root.
    if folder.join("release_agent").exists() {
        return Err("the supervisor lives in the root of the memory cgroups".to_owned());
    }
    Ok(folder)
}

/// The folder of the cgroup that others name `group`.
#[must_use]
pub fn folder_of_group(group: &str) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    folder_in(Hierarchy::Unified, &mounts, &format!("0::{group}"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hierarchy {
    /// Version 2.
    Unified,
    /// That of the memory controller, version 1.
    Memory,
}

impl Hierarchy {
    /// The path in a line of `/proc/self/cgroup` about it.
    fn path(self, line: &str) -> Option<&str> {
        let (_, named) = line.split_once(':')?;
        let (controllers, path) = named.split_once(':')?;
        self.is_named(controllers).then_some(path)
    }

    fn is_named(self, controllers: &str) -> bool {
        match self {
            Self::Unified => controllers.is_empty(),
            Self::Memory => controllers.split(',').any(|name| name == "memory"),
        }
    }

    /// Is this the end of a line of `/proc/self/mountinfo` about it?
    fn is_mounted(self, mount: &str) -> bool {
        let mut words = mount.split(' ');
        let (kind, options) = (words.next(), words.nth(1).unwrap_or_default());
        match self {
            Self::Unified => kind == Some("cgroup2"),
            Self::Memory => kind == Some("cgroup") && self.is_named(options),
        }
    }
}

/// systemd marks what it delegated, for root and for others.
fn is_delegated(folder: &Path) -> bool {
    ["trusted.delegate", "user.delegate"]
        .iter()
        .any(|name| sys::attribute::read(folder, name).is_ok_and(|value| value == b"1"))
}

/// The folder of the cgroup that `/proc/self/cgroup` names, below the mount point
/// that `/proc/self/mountinfo` tells.
fn folder_in(hierarchy: Hierarchy, mounts: &str, own: &str) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| hierarchy.path(line))?;
    let (root, point) = mounts.lines().find_map(|line| mount(hierarchy, line))?;
    let below = Path::new(path).strip_prefix(root).ok()?;
    Some(point.join(below))
}

/// Root and mount point of a line about `hierarchy`.
fn mount(hierarchy: Hierarchy, line: &str) -> Option<(PathBuf, PathBuf)> {
    let (mount, kind) = line.split_once(" - ")?;
    if !hierarchy.is_mounted(kind) {
        return None;
    }
    let mut fields = mount.split(' ').skip(3);
    Some((unescaped(fields.next()?), unescaped(fields.next()?)))
}

/// Spaces and the like stand there as `\040`.
fn unescaped(field: &str) -> PathBuf {
    let mut text = String::with_capacity(field.len());
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let code = after
            .get(..3)
            .and_then(|code| u8::from_str_radix(code, 8).ok());
        match code {
            Some(byte) => {
                text.push(char::from(byte));
                rest = &after[3..];
            }
            None => {
                text.push('\\');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    PathBuf::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
        30 25 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n\
        31 25 0:27 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_own_cgroup_is_found_below_its_mount() {
        let own = "4:memory:/x\n0::/system.slice/a.service\n";
        let folder = folder_in(Hierarchy::Unified, HYBRID, own).expect("there is one");
        let expected = "/sys/fs/cgroup/unified/system.slice/a.service";
        assert_eq!(folder, Path::new(expected));
        assert_eq!(
            folder_in(Hierarchy::Unified, HYBRID, "0::/\n").as_deref(),
            Some(Path::new("/sys/fs/cgroup/unified"))
        );
    }

    #[test]
    fn a_part_of_the_tree_may_be_mounted_at_a_strange_place() {
        let mounts = "31 25 0:27 /pod/a /mnt/c\\040g rw - cgroup2 cgroup2 rw\n";
        let folder = folder_in(Hierarchy::Unified, mounts, "0::/pod/a/b\n");
        assert_eq!(folder.as_deref(), Some(Path::new("/mnt/c g/b")));
        assert_eq!(
            folder_in(Hierarchy::Unified, mounts, "0::/other\n"),
            None,
            "not to be seen"
        );
    }

    #[test]
    fn without_version_two_there_is_none() {
        let first = HYBRID.lines().next().expect("a line");
        assert_eq!(folder_in(Hierarchy::Unified, first, "0::/\n"), None);
        assert_eq!(folder_in(Hierarchy::Unified, HYBRID, "4:memory:/x\n"), None);
    }

    #[test]
    fn the_memory_cgroup_of_version_one_is_found_as_well() {
        let own = "5:cpu,memory:/a\n4:xmemory:/no\n0::/x\n";
        let folder = folder_in(Hierarchy::Memory, HYBRID, own);
        assert_eq!(
            folder.as_deref(),
            Some(Path::new("/sys/fs/cgroup/memory/a"))
        );
        assert_eq!(folder_in(Hierarchy::Memory, HYBRID, "0::/x\n"), None);
        let unified = HYBRID.lines().nth(1).expect("a line");
        assert_eq!(folder_in(Hierarchy::Memory, unified, own), None);
    }
}
