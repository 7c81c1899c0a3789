//! What a task cost, and what is kept of it for the next one of its session.

use lifecycle::{EventBody, Fact, Policy, SessionPlan, TaskSpec};
use protocol::shim::{Record, Usage};

use crate::support::*;

/// What the end made of the session.
fn end_of_session(run: &Run) -> EventBody {
    let mut bodies = run.events.iter().rev().map(|event| &event.body);
    let last = bodies.find(|body| body.kind().starts_with("session."));
    last.expect("it had a session").clone()
}

fn cumulative() -> Policy {
    Policy {
        cumulative_cost: true,
        cumulative_turns: true,
        ..Policy::default()
    }
}

fn printed(turns: u64, output_tokens: u64, cost_usd: f64) -> Usage {
    Usage {
        turns: Some(turns),
        input_tokens: None,
        output_tokens: Some(output_tokens),
        cost_usd: Some(cost_usd),
    }
}

fn resumed_with(totals: Usage) -> Run {
    Run::running(TaskSpec {
        policy: cumulative(),
        session: SessionPlan::Resume(row("s-1", totals)),
        ..spec()
    })
}

/// A task that is about to go on with a conversation that cost 0.25 so far.
fn joins_s_9() -> Run {
    let mut run = Run::running(TaskSpec {
        policy: cumulative(),
        ..spec()
    });
    let of_it = printed(2, 100, 0.25);
    run.fact(3, Fact::SessionJoined(joined("s-9", of_it)));
    run
}

#[test]
fn figures_over_the_whole_conversation_are_split_by_task() {
    let mut run = resumed_with(printed(2, 100, 0.25));
    run.record(Record::Usage {
        at: at(5),
        usage: printed(5, 30, 0.75),
    });
    run.finish(9, code(0));
    assert_eq!(run.ending().usage, printed(3, 30, 0.5));
    assert_eq!(end_of_session(&run), resumable("s-1", printed(5, 30, 0.75)));
}

/// Bug: a count that had begun again said that the task cost nothing, and no
/// `--max-cost` could stop it.
#[test]
fn a_counter_that_begins_again_counts_this_task_alone() {
    let policy = Policy {
        cumulative_tokens: true,
        ..cumulative()
    };
    let own = |before: Usage, printed: Usage| policy.own_usage(&printed, &before);
    let tokens = |input: u64, output: u64| Usage {
        input_tokens: Some(input),
        output_tokens: Some(output),
        ..Usage::default()
    };
    let before = printed(5, 100, 0.75);
    assert_eq!(own(before, printed(2, 30, 0.25)), printed(2, 30, 0.25));
    assert_eq!(own(before, before), printed(0, 0, 0.0), "nothing was added");
    // Each counter by itself, and both kinds of tokens are one.
    assert_eq!(own(before, printed(7, 30, 1.0)), printed(2, 30, 0.25));
    assert_eq!(own(tokens(9, 50), tokens(12, 20)), tokens(12, 20));
    assert_eq!(own(tokens(50, 9), tokens(20, 12)), tokens(20, 12));
}

/// Bug: the totals were forgotten, and `--max-cost` stopped none of the next
/// tasks. What the killed one cost is not known: it counts with the next one
/// that prints.
#[test]
fn totals_that_were_not_printed_again_stay() {
    let totals = printed(2, 100, 0.25);
    let mut run = resumed_with(totals);
    run.finish(9, signal(KILL));
    assert_eq!(run.ending().usage, Usage::default());
    assert_eq!(
        end_of_session(&run),
        quarantined("s-1", "external_signal", Some(totals))
    );
    let mut some = resumed_with(totals);
    let usage = Usage {
        turns: Some(3),
        ..Usage::default()
    };
    some.record(Record::Usage { at: at(5), usage });
    some.finish(9, code(0));
    assert_eq!(
        end_of_session(&some),
        resumable("s-1", printed(3, 100, 0.25))
    );
    // Another conversation has none of them.
    let mut other = resumed_with(totals);
    other.record(seen(4, "s-2"));
    other.finish(9, code(0));
    assert_eq!(end_of_session(&other), resumable("s-2", Usage::default()));
}

/// Bug: a task that went on with a known conversation of its own accord was charged
/// all of it.
#[test]
fn what_a_conversation_had_cost_is_not_of_the_task_that_joins_it() {
    let mut run = joins_s_9();
    run.record(seen(4, "s-9"));
    run.record(Record::Usage {
        at: at(5),
        usage: printed(5, 30, 0.75),
    });
    run.finish(9, code(0));
    assert_eq!(run.ending().usage, printed(3, 30, 0.5));
    assert_eq!(end_of_session(&run), resumable("s-9", printed(5, 30, 0.75)));
    // It joined that one, and tells another one after all.
    let mut run = joins_s_9();
    run.record(seen(4, "s-10"));
    run.record(Record::Usage {
        at: at(5),
        usage: printed(5, 30, 0.75),
    });
    run.finish(9, code(0));
    assert_eq!(run.ending().usage, printed(5, 30, 0.75));
}

/// Bug: a CLI that did not find the conversation printed zeros, and the next task of it
/// was charged everything.
#[test]
fn zeros_are_no_totals() {
    let mut run = resumed_with(printed(2, 100, 0.25));
    run.record(Record::Usage {
        at: at(5),
        usage: printed(0, 0, 0.0),
    });
    run.finish(9, code(1));
    assert_eq!(run.ending().usage, printed(0, 0, 0.0));
    assert_eq!(
        end_of_session(&run),
        quarantined("s-1", "failed", Some(printed(2, 100, 0.25)))
    );
}

/// Bug: figures of a whole conversation were given to one task of it, where
/// those before it are not known.
#[test]
fn figures_that_cannot_be_split_are_not_told() {
    let mut run = resumed_with(Usage::default());
    run.record(Record::Usage {
        at: at(5),
        usage: printed(5, 30, 0.75),
    });
    run.finish(9, code(0));
    let own = Usage {
        output_tokens: Some(30),
        ..Usage::default()
    };
    assert_eq!(run.ending().usage, own);
    assert_eq!(end_of_session(&run), resumable("s-1", printed(5, 30, 0.75)));
}
