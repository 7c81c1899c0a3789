//! How often a flood of output is looked at.
//!
//! An agent that writes line by line wakes its shim with each of them, and both
//! then do little else than wake and sleep. Once lines come without a pause the
//! shim lets the pipe fill a little between two looks: it is woken for dozens
//! of lines, and a wake-up costs the agent nothing while nobody sleeps on the
//! pipe. A pipe that is nearly full already is read on at once.

use std::time::Duration;

/// Looks that follow each other this closely belong together, in ms.
const CLOSE_MS: u64 = 1;

/// So many looks that belong together are a flood: no agent that a person could
/// read along with comes this far.
const FLOOD_LOOKS: u32 = 32;

/// Looks per event under a flood: other sources wait no longer than these
/// take, a millisecond or two.
const LOOKS_PER_EVENT: u32 = 8;

/// How long the pipe is left to fill. With the kernel's slack (0.05 ms) an
/// agent that prints 100 bytes in each half microsecond fills half of it.
const FILL: Duration = Duration::from_micros(100);

/// So many bytes in one look are nearly a whole pipe (64 KiB): the agent is
/// faster than the shim, and must not wait for it longer than it has to.
const NEARLY_FULL: usize = 48 << 10;

/// Tells a flood from output that comes now and then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace {
    /// Looks so far that belong together.
    close: u32,
    last_ms: u64,
}

impl Pace {
    /// How many more looks an event deserves whose first one found so many
    /// bytes.
    pub(super) fn looks(&mut self, bytes: usize, now_ms: u64) -> u32 {
        if bytes == 0 || now_ms.saturating_sub(self.last_ms) > CLOSE_MS {
            self.close = 0;
            return 0;
        }
        self.close = self.close.saturating_add(1);
        if self.close < FLOOD_LOOKS || bytes >= NEARLY_FULL {
            return 0;
        }
        LOOKS_PER_EVENT
    }

    /// The last look of an event is over.
    pub(super) const fn looked(&mut self, now_ms: u64) {
        self.last_ms = now_ms;
    }
}

/// Lets the pipe fill.
pub(super) fn let_fill() {
    std::thread::sleep(FILL);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(looks: u32, bytes: usize, gap_ms: u64) -> u32 {
        let mut pace = Pace::default();
        let mut now = 100;
        for _ in 0..looks {
            pace.looks(bytes, now);
            pace.looked(now);
            now += gap_ms;
        }
        pace.looks(bytes, now)
    }

    #[test]
    fn only_a_flood_of_small_writes_is_left_to_fill() {
        assert_eq!(after(FLOOD_LOOKS, 100, 0), LOOKS_PER_EVENT);
        assert_eq!(after(FLOOD_LOOKS, 100, CLOSE_MS), LOOKS_PER_EVENT);
        assert_eq!(after(FLOOD_LOOKS / 2, 100, 0), 0, "not yet");
        assert_eq!(after(1000, 100, CLOSE_MS + 1), 0, "a line now and then");
        assert_eq!(after(1000, NEARLY_FULL, 0), 0, "the shim is the slower one");
    }

    #[test]
    fn a_pause_ends_a_flood() {
        let mut pace = Pace::default();
        for _ in 0..100 {
            pace.looks(100, 5);
            pace.looked(5);
        }
        assert_eq!(pace.looks(100, 5), LOOKS_PER_EVENT);
        pace.looked(5);
        assert_eq!(pace.looks(100, 20), 0);
        pace.looked(20);
        assert_eq!(pace.looks(100, 20), 0, "it has to begin anew");
    }
}
