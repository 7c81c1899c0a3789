//! What the service manager is told, over the socket that it names.

use std::time::Duration;

use sd_notify::NotifyState;

/// The manager's socket, if there is one: without it nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notify {
    listens: Listens,
    watchdog: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listens {
    Yes,
    No,
}

impl Notify {
    /// As the environment says.
    #[must_use]
    pub fn find() -> Self {
        let listens = match std::env::var_os("NOTIFY_SOCKET") {
            Some(_) => Listens::Yes,
            None => Listens::No,
        };
        Self {
            listens,
            watchdog: sd_notify::watchdog_enabled(),
        }
    }

    /// How often a sign of life is due: half of what the manager waits. None
    /// where it waits for none.
    #[must_use]
    pub fn pulse(&self) -> Option<Duration> {
        let waits = self.watchdog.filter(|waits| !waits.is_zero())?;
        Some(waits / 2)
    }

    /// It serves.
    pub fn ready(&self) {
        self.say(&[NotifyState::Ready]);
    }

    /// It is on its way out.
    pub fn stopping(&self) {
        self.say(&[NotifyState::Stopping]);
    }

    /// A sign of life.
    pub fn alive(&self) {
        self.say(&[NotifyState::Watchdog]);
    }

    /// A line for `systemctl status`.
    pub fn status(&self, text: &str) {
        self.say(&[NotifyState::Status(text)]);
    }

    /// The stop takes so much longer, from now on.
    pub fn extend(&self, by: Duration) {
        let us = u32::try_from(by.as_micros()).unwrap_or(u32::MAX);
        self.say(&[NotifyState::ExtendTimeoutUsec(us)]);
    }

    fn say(&self, state: &[NotifyState<'_>]) {
        match self.listens {
            Listens::No => {}
            Listens::Yes => {
                if let Err(error) = sd_notify::notify(state) {
                    tracing::debug!(%error, "the service manager could not be told");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pulse_is_twice_as_fast_as_the_managers_patience() {
        let with = |watchdog| Notify {
            listens: Listens::No,
            watchdog,
        };
        assert_eq!(with(None).pulse(), None);
        assert_eq!(with(Some(Duration::ZERO)).pulse(), None);
        let pulse = with(Some(Duration::from_secs(10))).pulse();
        assert_eq!(pulse, Some(Duration::from_secs(5)));
    }
}
