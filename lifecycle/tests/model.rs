//! Every interleaving of a small world: two people who stop the task, an agent
//! that ends by itself or is killed, a shim that can die between any two of
//! its steps, and a supervisor that can be restarted at any point.
//!
//! In every state the invariants hold and the task equals the fold over its
//! events; in every end the verdict is what really happened, as far as the
//! journal tells it (see [`world::Fate`]).

mod moves;
mod truth;
mod world;

use std::collections::HashSet;

use lifecycle::{Task, invariant};

use self::moves::moves;
use self::world::World;

/// More states than the alphabet yields; reaching it means that the model is
/// not finite any more.
const TOO_MANY: usize = 400_000;

/// What the search saw.
#[derive(Debug, Default)]
struct Seen {
    states: usize,
    ends: usize,
    longest: usize,
}

/// All states that can be reached, each once.
fn explore(start: World) -> Seen {
    let mut seen = Seen::default();
    let mut known = HashSet::new();
    let mut waiting = vec![(start, Vec::new())];
    while let Some((world, path)) = waiting.pop() {
        if !known.insert(world.fingerprint()) {
            continue;
        }
        seen.states += 1;
        seen.longest = seen.longest.max(path.len());
        assert!(seen.states < TOO_MANY, "the model does not end: {path:?}");
        check(&world, &path);
        let next = moves(&world);
        if world.run.task.ending.is_some() {
            seen.ends += 1;
        } else {
            assert!(!next.is_empty(), "nothing can happen any more: {path:?}");
        }
        for step in next {
            let mut later = world.clone();
            later.take(step);
            let mut path = path.clone();
            path.push(step);
            waiting.push((later, path));
        }
    }
    seen
}

fn check(world: &World, path: &[moves::Move]) {
    let events = &world.run.events;
    if let Err(violation) = invariant::check(events) {
        panic!("{violation}, after {path:?}: {events:#?}");
    }
    let folded = Task::fold(events);
    assert_eq!(folded.as_ref(), Some(&world.run.task), "after {path:?}");
    if let Err(wrong) = world.truth() {
        panic!("{wrong}, after {path:?}: {events:#?}");
    }
}

/// Tries everything, and says how much that was.
fn try_all(start: World) {
    let seen = explore(start);
    println!("{seen:?}");
    // So many that the alphabet was really tried.
    assert!(seen.states > 10_000 && seen.ends > 100, "{seen:?}");
}

#[test]
fn two_people_and_a_shim_that_can_die_anywhere() {
    try_all(World::new(2, 0));
}

#[test]
fn one_person_and_a_supervisor_that_can_die_anywhere() {
    try_all(World::new(1, 1));
}
