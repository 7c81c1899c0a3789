//! Random histories: abstract steps become inputs, whatever their order.

use lifecycle::invariant;
use lifecycle::{Fact, Input, Limits, LinkKind, Policy, SessionPlan, Task, TaskSpec, Timer};
use proptest::collection::vec;
use proptest::prelude::*;
use protocol::shim::{ProgressReport, ProviderError, Record, SupersededBy, Usage};
use protocol::{Exit, StopReason};

use crate::support::*;

/// What happens next; a number is taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    /// The shim's next record.
    Next(Said),
    /// A record behind a hole of so many.
    Behind(u8, Said),
    /// A record with a number that was used before.
    Again(u8, Said),
    Stop(StopReason, Option<u64>),
    Timer(Timer),
    LinkUp,
    LinkDown,
    Progress,
    Restart,
    ShimGone,
    NeverStarted,
    StartFailed,
    TreeSwept,
    TreeUnproven,
    ShimHeld,
    HostRebooted,
    ShimSilent(bool, Option<SupersededBy>),
    ExitLearned(Exit),
    TurnCame,
    StartRefused,
}

/// What a record says, without its time.
#[derive(Clone, Debug)]
enum Said {
    Claimed,
    Execd,
    SpawnFailed,
    Output,
    Session(u8),
    Result(bool, Usage),
    Error(ProviderError),
    Usage(Usage),
    Intent(u8),
    Superseded(u8, SupersededBy),
    Signalled(Option<u8>),
    SignalSeen,
    OutOfMemory(u8, bool),
    Exited(Exit),
    Swept,
    Finished,
}

impl Said {
    /// As a record. A shim only knows intents that were committed; none yet
    /// makes it some output.
    fn record(&self, ms: i64, run: &Run) -> Record {
        let committed = |which: u8| {
            let intents = &run.task.intents;
            let at = usize::from(which) % intents.len().max(1);
            intents.get(at).map(|intent| intent.id)
        };
        match self {
            Self::Claimed => claimed(ms),
            Self::Execd => execd(ms),
            Self::SpawnFailed => spawn_failed(ms),
            Self::Output => output(ms),
            Self::Session(which) => seen(ms, ["s-1", "s-2", "--bad"][usize::from(*which) % 3]),
            Self::Result(success, usage) => {
                let mut result = result_of(ms, *success);
                result.usage = *usage;
                Record::Result(result)
            }
            Self::Error(error) => Record::ProviderError {
                at: at(ms),
                error: *error,
                detail: String::new(),
            },
            Self::Usage(usage) => Record::Usage {
                at: at(ms),
                usage: *usage,
            },
            Self::Intent(which) => committed(*which).map_or(output(ms), |id| intent(ms, id)),
            Self::Superseded(which, by) => {
                committed(*which).map_or(output(ms), |id| superseded(ms, id, *by))
            }
            Self::Signalled(which) => signalled_record(at(ms), which.and_then(committed), TERM),
            Self::SignalSeen => signal_seen(ms),
            Self::OutOfMemory(ago, lives) => oom(ms, ms - 10 * i64::from(*ago), *lives),
            Self::Exited(exit) => exited(ms, exit.clone()),
            Self::Swept => swept(ms),
            Self::Finished => finished(ms),
        }
    }
}

fn some_usage() -> impl Strategy<Value = Usage> {
    let number = || proptest::option::of(0..1000_u64);
    (number(), number(), number(), proptest::option::of(0.0..9.0)).prop_map(
        |(turns, input_tokens, output_tokens, cost_usd)| Usage {
            turns,
            input_tokens,
            output_tokens,
            cost_usd,
        },
    )
}

fn some_exit() -> impl Strategy<Value = Exit> {
    prop_oneof![
        prop_oneof![Just(0), Just(3), Just(143)].prop_map(code),
        prop_oneof![Just(TERM), Just(KILL), Just(SEGV)].prop_map(signal),
        Just(Exit::Unknown {
            why: "reaped by another".to_string()
        }),
    ]
}

fn something_said() -> impl Strategy<Value = Said> {
    let error = prop_oneof![
        Just(ProviderError::SessionNotFound),
        Just(ProviderError::Transient),
        Just(ProviderError::MissingSkill),
    ];
    let by = prop_oneof![Just(SupersededBy::Zombie), Just(SupersededBy::Exiting)];
    prop_oneof![
        1 => Just(Said::Claimed),
        2 => Just(Said::Execd),
        1 => Just(Said::SpawnFailed),
        1 => Just(Said::Output),
        1 => any::<u8>().prop_map(Said::Session),
        1 => (any::<bool>(), some_usage()).prop_map(|(ok, usage)| Said::Result(ok, usage)),
        1 => error.prop_map(Said::Error),
        1 => some_usage().prop_map(Said::Usage),
        2 => any::<u8>().prop_map(Said::Intent),
        1 => (any::<u8>(), by).prop_map(|(id, by)| Said::Superseded(id, by)),
        2 => any::<Option<u8>>().prop_map(Said::Signalled),
        1 => Just(Said::SignalSeen),
        1 => any::<(u8, bool)>().prop_map(|(ago, lives)| Said::OutOfMemory(ago, lives)),
        2 => some_exit().prop_map(Said::Exited),
        1 => Just(Said::Swept),
        1 => Just(Said::Finished),
    ]
}

fn some_reason() -> impl Strategy<Value = StopReason> {
    (0..StopReason::ALL.len()).prop_map(|at| StopReason::ALL[at])
}

fn some_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => something_said().prop_map(Step::Next),
        1 => (1..3_u8, something_said()).prop_map(|(hole, said)| Step::Behind(hole, said)),
        1 => (any::<u8>(), something_said()).prop_map(|(which, said)| Step::Again(which, said)),
        3 => (some_reason(), proptest::option::of(0..9000_u64))
            .prop_map(|(reason, grace)| Step::Stop(reason, grace)),
        1 => (0..Timer::ALL.len()).prop_map(|at| Step::Timer(Timer::ALL[at])),
        1 => Just(Step::LinkUp),
        1 => Just(Step::LinkDown),
        1 => Just(Step::Progress),
        1 => Just(Step::Restart),
        1 => Just(Step::ShimGone),
        1 => Just(Step::NeverStarted),
        1 => Just(Step::StartFailed),
        1 => Just(Step::TreeSwept),
        1 => Just(Step::TreeUnproven),
        1 => Just(Step::ShimHeld),
        1 => Just(Step::HostRebooted),
        1 => (any::<bool>(), proptest::option::of(Just(SupersededBy::Zombie)))
            .prop_map(|(nothing_new, seen)| Step::ShimSilent(nothing_new, seen)),
        1 => some_exit().prop_map(Step::ExitLearned),
        4 => Just(Step::TurnCame),
        1 => Just(Step::StartRefused),
    ]
}

fn some_spec() -> impl Strategy<Value = TaskSpec> {
    let plan = prop_oneof![
        Just(SessionPlan::Fresh),
        Just(SessionPlan::Chosen(session("s-1"))),
        some_usage().prop_map(|totals| SessionPlan::Resume(row("s-1", totals))),
    ];
    let limit = || proptest::option::of(1..50_u64);
    let limits = (limit(), limit(), limit());
    let policy = any::<[bool; 5]>();
    (plan, limits, policy).prop_map(|(session, limits, policy)| TaskSpec {
        session,
        limits: Limits {
            timeout_ms: limits.0,
            idle_timeout_ms: limits.1,
            start_timeout_ms: limits.2,
            grace_ms: 5_000,
            memory_bytes: None,
            max_cost_micros: None,
        },
        policy: Policy {
            promises_result: policy[0],
            cumulative_turns: policy[1],
            cumulative_tokens: policy[2],
            cumulative_cost: policy[3],
            knows_lines: policy[4],
        },
        ..spec()
    })
}

fn text() -> String {
    String::from("why")
}

fn progress(run: &mut Run, ms: i64) {
    let report = ProgressReport {
        at: at(ms),
        ..ProgressReport::default()
    };
    run.presence.note_progress(&report, at(ms));
    run.fact(ms, Fact::Progress(report));
}

fn take(run: &mut Run, ms: i64, step: &Step) {
    let next = run.task.journal + 1;
    let record = |run: &mut Run, number: u64, said: &Said| {
        let record = said.record(ms, run);
        run.fact(ms, Fact::Record { number, record });
    };
    match step {
        Step::Next(said) => record(run, next, said),
        Step::Behind(hole, said) => record(run, next + u64::from(*hole), said),
        Step::Again(which, said) => record(run, u64::from(*which) % next, said),
        Step::Stop(reason, grace) => {
            run.feed(ms, stop(*reason, *grace));
        }
        Step::Timer(timer) => {
            run.timer(ms, *timer);
        }
        Step::LinkUp => {
            let link = if run.presence.known {
                LinkKind::Again(shim())
            } else {
                LinkKind::Adopted(shim())
            };
            run.presence = attached();
            run.fact(ms, Fact::LinkUp(link));
        }
        Step::LinkDown => {
            run.presence.attached = false;
            run.fact(ms, Fact::LinkDown);
        }
        Step::Progress => progress(run, ms),
        Step::Restart => {
            run.restart(ms);
        }
        Step::ShimGone => {
            run.fact(ms, Fact::ShimGone);
        }
        Step::NeverStarted => {
            run.fact(ms, Fact::NeverStarted { detail: text() });
        }
        Step::StartFailed => {
            run.fact(ms, start_failed());
        }
        Step::TreeSwept => {
            run.fact(ms, Fact::TreeSwept(sweep(ms)));
        }
        Step::TreeUnproven => drop(run.fact(ms, Fact::TreeUnproven { detail: text() })),
        Step::ShimHeld => drop(run.fact(ms, Fact::ShimHeld { detail: text() })),
        Step::HostRebooted => {
            run.fact(ms, Fact::HostRebooted { detail: text() });
        }
        Step::TurnCame => {
            run.turn(ms, SessionPlan::Chosen(session("s-1")));
        }
        Step::StartRefused => {
            run.fact(ms, Fact::StartRefused { detail: text() });
        }
        Step::ExitLearned(exit) => {
            run.fact(ms, Fact::ExitLearned(exit.clone()));
        }
        Step::ShimSilent(nothing_new, ended) => {
            let known_records = if *nothing_new { u64::MAX } else { 0 };
            run.fact(ms, Fact::ShimSilent(behind(known_records, *ended)));
        }
    }
}

/// A turn, a shim that is dead and a tree that is swept end every task.
fn close(run: &mut Run, ms: i64) {
    run.turn(ms, SessionPlan::Fresh);
    run.fact(ms, Fact::ShimGone);
    run.fact(ms, Fact::TreeSwept(sweep(ms)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_history_can_be_rebuilt_from_any_of_its_commits(
        spec in some_spec(),
        queued in any::<bool>(),
        steps in vec(some_step(), 0..40),
    ) {
        let mut run = if queued { Run::queued(spec) } else { Run::admitted(spec) };
        for (ms, step) in (1..).zip(&steps) {
            let ended = run.task.ending.is_some();
            let before = run.events.len();
            take(&mut run, ms, step);
            prop_assert!(!ended || run.events.len() == before, "{step:?} after the end");
            prop_assert_eq!(Task::fold(&run.events), Some(run.task.clone()));
            prop_assert_eq!(invariant::check(&run.events), Ok(()));
        }
        close(&mut run, 1000);
        prop_assert!(run.task.ending.is_some());
        prop_assert_eq!(Task::fold(&run.events), Some(run.task.clone()));
        prop_assert_eq!(invariant::check(&run.events), Ok(()));
    }

    #[test]
    fn a_supervisor_that_dies_anywhere_comes_to_the_same_end(
        spec in some_spec(),
        steps in vec(some_step(), 0..25),
        cut in any::<prop::sample::Index>(),
        again_from in any::<prop::sample::Index>(),
    ) {
        let inputs = without_volatile(&spec, &steps);
        let mut unbroken = Run::admitted(spec.clone());
        for (ms, input) in (1..).zip(&inputs) {
            unbroken.feed(ms, input.clone());
        }
        close(&mut unbroken, 1000);

        let cut = cut.index(inputs.len() + 1);
        let mut broken = Run::admitted(spec);
        for (ms, input) in (1..).zip(&inputs[..cut]) {
            broken.feed(ms, input.clone());
        }
        broken.restart(500);
        // The shim sends what is not acknowledged, and perhaps more than that.
        let again_from = again_from.index(cut + 1);
        for (ms, input) in (1..).zip(&inputs).skip(again_from) {
            let known = usize::try_from(ms).expect("small") <= cut;
            let record = matches!(input, Input::Fact(Fact::Record { .. }));
            if !known || record {
                broken.feed(ms, input.clone());
            }
        }
        close(&mut broken, 1000);
        prop_assert_eq!(broken.events, unbroken.events);
        prop_assert_eq!(broken.task, unbroken.task);
    }
}

/// The inputs of a history without those that depend on what only a living
/// supervisor knows.
fn without_volatile(spec: &TaskSpec, steps: &[Step]) -> Vec<Input> {
    let mut run = Run::admitted(spec.clone());
    let mut inputs = Vec::new();
    for (ms, step) in (1..).zip(steps) {
        let next = run.task.journal + 1;
        let input = match step {
            Step::Next(said) | Step::Behind(_, said) | Step::Again(_, said) => {
                let record = said.record(ms, &run);
                Input::Fact(Fact::Record {
                    number: next,
                    record,
                })
            }
            Step::Stop(reason, grace) => stop(*reason, *grace),
            Step::ShimGone => Input::Fact(Fact::ShimGone),
            Step::TreeSwept => Input::Fact(Fact::TreeSwept(sweep(ms))),
            Step::ExitLearned(exit) => Input::Fact(Fact::ExitLearned(exit.clone())),
            Step::TreeUnproven => Input::Fact(Fact::TreeUnproven {
                detail: "why".to_string(),
            }),
            Step::HostRebooted => Input::Fact(Fact::HostRebooted {
                detail: "b".to_string(),
            }),
            Step::Timer(_)
            | Step::LinkUp
            | Step::LinkDown
            | Step::Progress
            | Step::Restart
            | Step::ShimHeld
            | Step::ShimSilent(..)
            | Step::NeverStarted
            | Step::StartFailed
            | Step::TurnCame
            | Step::StartRefused => continue,
        };
        run.feed(ms, input.clone());
        inputs.push(input);
    }
    inputs
}
