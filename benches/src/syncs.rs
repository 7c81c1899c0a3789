//! How many syncs lie on the way of a launch, a stop and a completion.
//!
//! Times of syncs are those of one disk; their number is ours. It is taken in
//! a build with hooks: the shim's at its hook point, the supervisor's from the
//! count that it keeps of every sync of its ledger, checkpoints included.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::client::{Client, Which};
use crate::hooks::{Hit, Hooks, SYNC_POINTS, count};
use crate::programs::Programs;
use crate::world::{EXEC_PROVIDER, Scratch, World};

const EXEC: &str = "shim.exec.before";
/// The shim's only sync.
pub(crate) const SHIM_SYNC: &str = "shim.journal_sync.before";
const SIGNAL: &str = "shim.signal.before";
const ANSWER: &str = "sup.control_send.before";

/// Syncs on the way of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncCounts {
    /// From the request to run until the agent's exec.
    pub launch_exec: u64,
    /// From the request to run until its answer.
    pub launch_answer: u64,
    /// From the request to stop until the first signal.
    pub stop_signal: u64,
    /// From the request to stop until its answer.
    pub stop_answer: u64,
    /// From the agent's last instruction until a waiting client's answer: those that
    /// it waits for, which are the ledger's.
    pub completion: u64,
    /// Of that end in the shim's journal, beside the way to the answer.
    pub completion_beside: u64,
}

/// A supervisor whose steps are watched.
struct Watched {
    world: World,
    hooks: Hooks,
}

/// How often each way is counted. Whether two records of a shim meet in one
/// commit depends on the moment, so one count alone could be a lucky one.
const ROUNDS: usize = 10;

/// The largest count of each way in several rounds.
///
/// # Errors
/// When the programs have no hooks, or a step does not happen.
pub fn count_syncs(scratch: &Scratch, hooked: &Programs) -> Result<SyncCounts> {
    let watched = Watched::start(scratch, hooked)?;
    let mut client = watched.world.connect()?;
    let mut worst = watched.round(&mut client)?;
    for _ in 1..ROUNDS {
        worst = worst.larger(watched.round(&mut client)?);
    }
    Ok(worst)
}

impl SyncCounts {
    /// Of an end, wherever they are.
    #[must_use]
    pub const fn all_of_completion(self) -> u64 {
        self.completion + self.completion_beside
    }

    fn larger(self, other: Self) -> Self {
        Self {
            launch_exec: self.launch_exec.max(other.launch_exec),
            launch_answer: self.launch_answer.max(other.launch_answer),
            stop_signal: self.stop_signal.max(other.stop_signal),
            stop_answer: self.stop_answer.max(other.stop_answer),
            completion: self.completion.max(other.completion),
            completion_beside: self.completion_beside.max(other.completion_beside),
        }
    }
}

impl Watched {
    fn start(scratch: &Scratch, hooked: &Programs) -> Result<Self> {
        let world = World::new(scratch, hooked)?;
        let counts = world.path("syncs");
        let hooks = Hooks::serve(world.path("hooks"), counts.clone(), Duration::ZERO)?;
        let mut world = world
            .with_variable(
                "AGENT_HOOKS",
                &[EXEC, SHIM_SYNC, SIGNAL, ANSWER, SYNC_POINTS[0]].join(","),
            )
            .with_variable("AGENT_HOOKS_SOCKET", &hooks.socket().to_string_lossy())
            .with_variable(
                "AGENT_SUPERVISOR_SYNC_COUNT_FILE",
                &counts.to_string_lossy(),
            );
        world.start()?;
        ensure!(
            count(&counts) > 0,
            "this build of the supervisor counts no syncs"
        );
        Ok(Self { world, hooks })
    }

    /// One launch that is stopped, and one that ends by itself.
    fn round(&self, client: &mut Client) -> Result<SyncCounts> {
        let dispatch = self.world.dispatch(EXEC_PROVIDER, self.world.hold());
        let id = self.world.fresh_id()?;
        let before = self.begin();
        self.hooks.hold(1, EXEC);
        client.run(id.clone(), &dispatch)?;
        ensure!(
            self.hooks.was_enough(),
            "the exec waits for more than one sync"
        );
        let launch = self.hooks.take();
        let _hand = self.world.crew.arrive()?;

        let before_stop = self.begin();
        self.hooks.hold(1, SIGNAL);
        client.stop(Which::One(&id))?;
        ensure!(
            self.hooks.was_enough(),
            "the signal waits for more than one sync"
        );
        let stop = self.hooks.take();
        self.world.settle()?;

        let id = self.world.fresh_id()?;
        client.run(id.clone(), &dispatch)?;
        let mut hand = self.world.crew.arrive()?;
        client.begin_wait(&id)?;
        let before_end = self.begin();
        hand.dismiss()?;
        client.tasks()?;
        self.world.settle()?;
        let completion = self.hooks.take();

        Ok(SyncCounts {
            launch_exec: syncs(&launch, before, EXEC)?,
            launch_answer: syncs(&launch, before, ANSWER)?,
            stop_signal: syncs(&stop, before_stop, SIGNAL)?,
            stop_answer: syncs(&stop, before_stop, ANSWER)?,
            completion: ledger_syncs(&completion, before_end, ANSWER)?.0,
            completion_beside: shim_syncs(&completion),
        })
    }

    /// Forgets what was, and gives the supervisor's count.
    fn begin(&self) -> u64 {
        drop(self.hooks.take());
        count(&self.world.path("syncs"))
    }
}

/// Syncs before the first hit of `point`.
fn syncs(hits: &[Hit], before: u64, point: &str) -> Result<u64> {
    let (ledger, at) = ledger_syncs(hits, before, point)?;
    Ok(ledger + shim_syncs(&hits[..at]))
}

/// The ledger's before the first hit of `point`, and which hit that is.
fn ledger_syncs(hits: &[Hit], before: u64, point: &str) -> Result<(u64, usize)> {
    let at = hits
        .iter()
        .position(|hit| hit.name == point)
        .with_context(|| format!("{point} was not reached: {hits:?}"))?;
    Ok((hits[at].supervisor_syncs.saturating_sub(before), at))
}

fn shim_syncs(hits: &[Hit]) -> u64 {
    hits.iter().filter(|hit| hit.name == SHIM_SYNC).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_before_counts() {
        let hit = |name: &str, supervisor_syncs| Hit {
            name: name.into(),
            supervisor_syncs,
        };
        let hits = [
            hit(EXEC, 8),
            hit(SHIM_SYNC, 8),
            hit(ANSWER, 9),
            hit(SHIM_SYNC, 9),
        ];
        assert_eq!(syncs(&hits, 7, EXEC).expect("there"), 1);
        assert_eq!(syncs(&hits, 7, ANSWER).expect("there"), 3);
        assert!(syncs(&hits, 7, SIGNAL).is_err());
        assert_eq!(ledger_syncs(&hits, 7, ANSWER).expect("there"), (2, 2));
        assert_eq!(shim_syncs(&hits), 2);
    }
}
