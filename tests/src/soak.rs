//! A soak: many tasks, and a killer that ends supervisor, shims and agents at
//! random times. What a task's reason has to be is known from the killer's own
//! log alone, never from the program's rules.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::{Dispatched, GENEROUS, World, wait_for};

/// Dispatched side by side.
const WORKERS: usize = 4;

/// Between two deaths of the supervisor, in ms.
const BETWEEN_DEATHS: (u64, u64) = (150, 900);

/// Between the agent's first sign of life and what ends it, in ms.
const LIFE: (u64, u64) = (0, 25);

/// What an agent does.
const ENDLESS: [&[&str]; 4] = [
    &["mark:up", "forever"],
    &["ignore:TERM", "mark:up", "forever"],
    &["spawn:daemon:2:ignore=TERM,forever", "mark:up", "forever"],
    &["spawn:session:1:forever", "mark:up", "forever"],
];

/// What ends it, by the killer's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// Nobody: it exits with this code.
    Nothing(i32),
    /// A stop on request.
    Stop,
    /// SIGKILL to its shim.
    KillShim,
    /// SIGKILL to its leader.
    KillAgent,
    /// A stop, and SIGKILL to its shim while that was under way: either may be
    /// first.
    StopAndKillShim,
    /// The supervisor was killed while it was dispatched: it may never have
    /// started.
    KillSupervisorFirst,
}

impl Deed {
    /// The reasons that are right.
    const fn reasons(self) -> &'static [&'static str] {
        match self {
            Self::Nothing(0) => &["completed"],
            Self::Nothing(_) => &["failed"],
            Self::Stop => &["user"],
            Self::KillShim => &["shim_lost"],
            Self::KillAgent => &["external_signal"],
            Self::StopAndKillShim => &["user", "shim_lost"],
            Self::KillSupervisorFirst => &["spawn_failed"],
        }
    }

    /// Does the log alone not tell which of two was first?
    const fn is_ambiguous(self) -> bool {
        matches!(self, Self::StopAndKillShim)
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// The seed of every choice.
    pub seed: u64,
    /// Tasks that were dispatched.
    pub tasks: usize,
    /// Deaths of the supervisor.
    pub deaths: usize,
    /// Shims and agents that were killed.
    pub kills: usize,
    /// Tasks of which the killer's log allows two reasons.
    pub ambiguous: usize,
    /// What was wrong.
    pub violations: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "soak: seed {}, {} tasks, {} deaths of the supervisor, {} of shims and agents, \
             {} ambiguous, {} violations",
            self.seed,
            self.tasks,
            self.deaths,
            self.kills,
            self.ambiguous,
            self.violations.len()
        )?;
        self.violations
            .iter()
            .try_for_each(|violation| writeln!(f, "  {violation}"))
    }
}

/// The same seed makes the same choices; the machine's own timing is not ours.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn between(&mut self, (least, most): (u64, u64)) -> Duration {
        Duration::from_millis(least + self.roll(most - least + 1))
    }

    /// One in a hundred is ambiguous, and no more, however the dice fall.
    fn deed(&mut self, task: usize) -> Deed {
        if task % 100 == 50 {
            return Deed::StopAndKillShim;
        }
        match self.roll(99) {
            0..25 => Deed::Nothing(0),
            25..40 => Deed::Nothing(3),
            40..65 => Deed::Stop,
            65..82 => Deed::KillShim,
            _ => Deed::KillAgent,
        }
    }
}

/// Runs `tasks` tasks, and checks each of them and every invariant.
///
/// # Panics
/// When an invariant is broken, or something hangs.
#[must_use]
pub fn run(tasks: usize, seed: u64) -> Report {
    let world = World::new();
    world.forgive("could not be signalled");
    let mut supervisor = world.start();
    let done = Mutex::new(Vec::with_capacity(tasks));
    let next = AtomicUsize::new(0);
    let deaths = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let (working, over) = mpsc::channel::<()>();
        for worker in 0..WORKERS {
            let (world, done, next, deaths) = (&world, &done, &next, &deaths);
            let working = working.clone();
            scope.spawn(move || {
                let mut dice = Dice(seed ^ (worker as u64 + 1).rotate_left(32));
                loop {
                    let task = next.fetch_add(1, Ordering::Relaxed);
                    if task >= tasks {
                        break;
                    }
                    let deed = dice.deed(task);
                    let ended = lead_to_its_end(world, deed, &mut dice, deaths);
                    done.lock().expect("nobody panics with it").push(ended);
                }
                drop(working);
            });
        }
        drop(working);
        let mut dice = Dice(seed);
        // The last worker that leaves ends it.
        while over.recv_timeout(dice.between(BETWEEN_DEATHS))
            == Err(mpsc::RecvTimeoutError::Timeout)
        {
            let mut deaths = deaths.lock().expect("nobody panics with it");
            supervisor.kill();
            deaths.push(Instant::now());
            drop(deaths);
            supervisor = world.start();
        }
    });
    let done = done.into_inner().expect("nobody panics with it");
    let deaths = deaths.into_inner().expect("nobody panics with it");
    let report = judged(&world, &done, seed, deaths.len());
    world.check();
    report
}

fn lead_to_its_end(
    world: &World,
    deed: Deed,
    dice: &mut Dice,
    deaths: &Mutex<Vec<Instant>>,
) -> (String, Deed) {
    let exit = match deed {
        Deed::Nothing(code) => Some(format!("exit:{code}")),
        Deed::Stop
        | Deed::KillShim
        | Deed::KillAgent
        | Deed::StopAndKillShim
        | Deed::KillSupervisorFirst => None,
    };
    let endless = ENDLESS[usize::try_from(dice.roll(4)).unwrap_or(0)];
    let steps: Vec<&str> = match &exit {
        Some(exit) => vec!["print:hello", exit],
        None => endless.to_vec(),
    };
    let begun = Instant::now();
    let task = match dispatched(world, &steps) {
        Dispatch::Started(task) => task,
        Dispatch::NeverStarted(id) => {
            let deaths = deaths.lock().expect("nobody panics with it");
            // Without such a death this is no deed of the killer's, and wrong.
            let deed = if deaths.iter().any(|death| *death >= begun) {
                Deed::KillSupervisorFirst
            } else {
                deed
            };
            return (id, deed);
        }
    };
    if exit.is_none() {
        task.marked("up");
        pause(dice.between(LIFE));
        match deed {
            Deed::Nothing(_) | Deed::KillSupervisorFirst => {}
            Deed::Stop => stop(world, &task.id),
            Deed::KillShim => kill_shim(world, &task.id),
            Deed::KillAgent => world.kill(&task.leader(), Signal::SIGKILL),
            Deed::StopAndKillShim => {
                let stop = world.stop_in_background(&task.id, &["--grace", "20ms", "--no-wait"]);
                kill_shim(world, &task.id);
                drop(stop.output());
            }
        }
    }
    wait_for(&format!("the end of {}", task.id), GENEROUS, || {
        let waited = world.ctl(&["wait", &task.id, "--timeout", "20s"]);
        match waited.code() {
            0 | 10..=13 => Ok(()),
            _ => Err(waited),
        }
    });
    (task.id, deed)
}

/// What a dispatch came to.
enum Dispatch {
    Started(Dispatched),
    NeverStarted(String),
}

/// The same id until there is an answer: a supervisor may die before it.
fn dispatched(world: &World, steps: &[&str]) -> Dispatch {
    let first = world.run();
    let id = first.task_id().to_owned();
    wait_for(&format!("the dispatch of {id}"), GENEROUS, || {
        let run = world
            .run()
            .id(&id)
            .option("--grace", "50ms")
            .steps(steps.iter().copied());
        let records = run.records();
        let output = run.try_detached();
        match output.code() {
            0 => Ok(Dispatch::Started(Dispatched {
                id: id.clone(),
                records,
                task: output.json(),
            })),
            12 if output.json()["archive_reason"] == "spawn_failed" => {
                Ok(Dispatch::NeverStarted(id.clone()))
            }
            _ => Err(output),
        }
    })
}

fn stop(world: &World, id: &str) {
    wait_for(&format!("the stop of {id}"), GENEROUS, || {
        let output = world.ctl(&["stop-session", id, "--json"]);
        match output.code() {
            0 => Ok(()),
            _ => Err(output),
        }
    });
}

fn kill_shim(world: &World, id: &str) {
    if let Some(shim) = world.shim_of(id) {
        world.kill(&shim, Signal::SIGKILL);
    }
}

/// Nobody can end it before.
fn pause(time: Duration) {
    let (_held, nothing) = mpsc::channel::<()>();
    let _late = nothing.recv_timeout(time);
}

fn judged(world: &World, done: &[(String, Deed)], seed: u64, deaths: usize) -> Report {
    let mut report = Report {
        seed,
        tasks: done.len(),
        deaths,
        kills: world.oracle().killed.len(),
        ..Report::default()
    };
    for (id, deed) in done {
        report.ambiguous += usize::from(deed.is_ambiguous());
        let Some(row) = world.ledger().task(id) else {
            report.violations.push(format!("{id} has no row"));
            continue;
        };
        let reason = row.text("archive_reason").unwrap_or("none");
        if !deed.reasons().contains(&reason) {
            report
                .violations
                .push(format!("{id}: {reason} after {deed:?}"));
        }
        let ends = world.ledger().event_types(id);
        let ends = ends.iter().filter(|kind| *kind == "task.ended").count();
        if ends != 1 {
            report.violations.push(format!("{id} ended {ends} times"));
        }
        let left = world.marked(id);
        if !left.is_empty() {
            report.violations.push(format!("{id} left {left:?}"));
        }
    }
    report
}
