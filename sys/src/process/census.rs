//! Who there is, although some come and go meanwhile.

use std::collections::HashSet;
use std::io;

/// The numbers of all processes, each once.
///
/// The names in `/proc` are read all at once, and a process that forks and ends is gone
/// when its turn comes, while its child has no name in that list. So the list is read
/// again, until it names nobody new, or none of the new ones was gone before it could be
/// looked at. A number that was not in the list for once is somebody else's then.
#[derive(Debug, Default)]
pub struct Census {
    named: HashSet<i32>,
}

impl Census {
    /// Those that were not named yet; none when all were.
    ///
    /// # Errors
    /// `/proc` cannot be listed.
    pub fn newcomers(&mut self) -> io::Result<Vec<i32>> {
        let (mut new, mut named) = (Vec::new(), HashSet::new());
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|name| name.parse::<i32>().ok());
            let Some(pid) = pid else { continue };
            if named.insert(pid) && !self.named.contains(&pid) {
                new.push(pid);
            }
        }
        self.named = named;
        Ok(new)
    }

    /// Everybody, for whoever is content with most of them on a machine on which there
    /// is always somebody new.
    ///
    /// # Errors
    /// `/proc` cannot be listed.
    pub fn take(mut visit: impl FnMut(i32)) -> io::Result<()> {
        const ROUNDS: usize = 100;
        let mut census = Self::default();
        for _ in 0..ROUNDS {
            let new = census.newcomers()?;
            if new.is_empty() {
                break;
            }
            new.into_iter().for_each(&mut visit);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn whoever_comes_later_is_named_once() {
        let mut census = Census::default();
        let ourselves = i32::try_from(std::process::id()).expect("a pid");
        assert!(census.newcomers().expect("readable").contains(&ourselves));
        let mut child = Command::new("sleep").arg("1000").spawn().expect("there");
        let pid = i32::try_from(child.id()).expect("a pid");
        let new = census.newcomers().expect("readable");
        assert!(new.contains(&pid) && !new.contains(&ourselves));
        assert!(!census.newcomers().expect("readable").contains(&pid));
        child.kill().expect("ours");
        child.wait().expect("ours");
        let mut times = 0;
        Census::take(|pid| times += u32::from(pid == ourselves)).expect("readable");
        assert_eq!(times, 1);
    }
}
