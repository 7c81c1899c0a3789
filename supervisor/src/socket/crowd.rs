//! How many clients there may be, and how often a failure to accept one is said.

use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use tokio::time::Instant;

/// Between two lines about the same trouble.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// Clients of one door: `most`, and no more than a quarter of the descriptors that
/// this process may have. The rest is for shims, logs and the ledger, so that
/// whoever only connects takes no work away.
pub fn most_clients(most: usize) -> usize {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, _)) => quarter(soft).min(most),
        Err(_) => most,
    }
}

fn quarter(limit: u64) -> usize {
    usize::try_from(limit / 4).unwrap_or(usize::MAX).max(1)
}

/// A line that would come ten times a second.
#[derive(Debug, Default)]
pub struct Sparing(Option<Instant>);

impl Sparing {
    /// Is it time to say it (again)?
    pub fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|last| last.elapsed() >= SAID_EVERY);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_of_the_descriptors_are_not_for_clients() {
        assert_eq!(quarter(1024), 256);
        assert_eq!(quarter(0), 1);
        assert!(most_clients(2) <= 2);
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_that_lasts_is_said_from_time_to_time() {
        let mut sparing = Sparing::default();
        assert!(sparing.is_due() && !sparing.is_due());
        tokio::time::advance(SAID_EVERY).await;
        assert!(sparing.is_due() && !sparing.is_due());
    }
}
