//! What `why` says.

use lifecycle::{Event, EventBody, SessionPlan};
use protocol::Exit;
use protocol::shim::{ProviderError, Usage};

use super::story::{self, Story};
use crate::ledger::tests::support::{at, spec};
use crate::query::chain::chain;

fn told(events: &[Event]) -> String {
    let links = chain(events, Some("/opt/bin:/bin"));
    let lines = links.iter().map(|link| {
        let who = if link.who.is_empty() {
            String::new()
        } else {
            format!(" [{}]", link.who)
        };
        format!("{} {}{who} {}", link.at.0, link.what, link.detail)
    });
    lines
        .map(|line| line.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

fn conclusion(events: &[Event]) -> String {
    let links = chain(events, Some("/opt/bin:/bin"));
    links
        .last()
        .map(|link| link.detail.clone())
        .expect("it was concluded")
}

#[test]
fn a_stop_is_told_from_the_request_to_the_conclusion() {
    assert_eq!(
        told(&story::stopped()),
        "\
0 dispatched provider claude, key k, a fresh session; its row is committed
1 claimed [the shim] it has the claim (pid 100): it alone may start the agent
2 started [the shim] agent pid 101: /bin/claude
3 session [the agent] s1, as the output tells
4 stop requested [uid 0 comm agentctl (pid 4242, under bash ← sshd, on pts/3)] reason user, intent 3: note “enough[2J”
5 stop requested [uid 0 comm agentctl (pid 4242, under bash ← sshd, on pts/3)] reason runner_stop, intent 4, joins intent 3, which stays the reason
6 stop journalled [the shim] intent 3 is in the shim's journal; no signal went out under it before
7 signalled [the shim] SIGTERM to the agent's group under intent 3
8 exit [the agent] ended by SIGTERM
9 tree [the shim] 1 process that outlived the agent was ended; tree proven empty
10 finished [the shim] printed: 10 bytes on stdout, 0 on stderr
11 session quarantined [the supervisor] s1: user; it is kept, and not resumed unless `agentctl sessions release k --session-id s1` allows it
12 concluded [the supervisor] cancelled, User terminated (user), declared, because intent 3 was journalled before the signal"
    );
}

#[test]
fn a_request_that_came_too_late_is_said_to_have() {
    assert_eq!(
        told(&story::superseded()),
        "\
0 dispatched provider claude, key k, a fresh session; its row is committed
1 claimed [the shim] it has the claim (pid 100): it alone may start the agent
2 started [the shim] agent pid 101: /bin/claude
3 result [the agent] its own result says success: “all done”
4 stop requested [uid 0 comm agentctl (pid 4242, under bash ← sshd, on pts/3)] reason user, intent 3
5 stop journalled [the shim] intent 3 is in the shim's journal; no signal went out under it before
6 stop superseded [the shim] the agent had already ended by itself: it had printed its result, so intent 3 did not end it
7 exit [the agent] exited with code 0
8 tree [the shim] tree proven empty
9 concluded [the supervisor] success, Session completed (completed), observed, because its own result says success"
    );
}

#[test]
fn what_an_adoption_brought_stands_where_it_happened() {
    let mut events = story::stopped();
    let shim = protocol::shim::ProcessId {
        boot_id: "b".into(),
        pid_ns: 1,
        pid: 100,
        start_time: 1,
    };
    let in_order = told(&events);
    // The request, told again, and all of it only after the adoption.
    let is_request = |event: &Event| matches!(event.body, EventBody::StopRequested { .. });
    let first = events.iter().position(is_request).expect("it was stopped");
    events.insert(first, events[first].clone());
    let last = events.last().expect("it ended").at;
    let adopted = at(Some("t1"), last.0, EventBody::Adopted { shim });
    events.insert(first, adopted);
    let lines = told(&events);
    let (adopted, rest): (Vec<&str>, Vec<&str>) =
        lines.lines().partition(|line| line.contains("adopted"));
    assert_eq!(rest.join("\n"), in_order);
    assert_eq!(adopted.len(), 1);
    assert!(
        lines
            .lines()
            .rev()
            .take(2)
            .any(|line| line.contains("adopted"))
    );
}

#[test]
fn the_queue_is_told() {
    let mut waited = Story::queued();
    let spec = spec("t1", "k", SessionPlan::Fresh);
    waited.tell(EventBody::Admitted { spec });
    assert_eq!(
        told(&waited.ended()),
        "\
0 queued provider claude, key k; its row is committed, and it waits for its turn
1 its turn came [the supervisor] a fresh session; its row says running
2 concluded [the supervisor] interrupted, Unknown (unknown), inferred, because no exit, no result and no cause were recorded"
    );
    let mut stopped = Story::queued();
    stopped.stop_requested(3, None);
    assert_eq!(
        conclusion(&stopped.ended()),
        "cancelled, User terminated (user), declared, because it waited in the queue, and intent 3 took it out"
    );
    let mut refused = Story::queued();
    let detail = "session s1 is quarantined: user".to_owned();
    refused.tell(EventBody::StartRefused { detail });
    assert_eq!(
        conclusion(&refused.ended()),
        "failure, Could not start (spawn_failed), observed, because when its turn had come, it \
         could not be started: session s1 is quarantined: user"
    );
}

#[test]
fn what_nobody_can_know_is_said() {
    assert_eq!(
        conclusion(&story::killed_from_outside()),
        "interrupted, Killed from outside (external_signal), observed, because SIGKILL ended it, \
         and nobody had declared a stop; the sender of a signal to the agent alone cannot be known"
    );
    assert_eq!(
        conclusion(&story::shim_signalled()),
        "interrupted, Killed from outside (external_signal), observed, because SIGTERM reached \
         the shim, sent by uid 0 comm systemd (pid 1, /usr/lib/systemd/systemd), and nobody had \
         declared a stop"
    );
}

#[test]
fn a_task_that_never_ran_says_why() {
    assert_eq!(
        told(&story::spawn_failed()),
        "\
0 dispatched provider claude, key k, a fresh session; its row is committed
1 could not start [the shim] command “clade” was not found; searched in PATH /opt/bin:/bin (ENOENT)
2 concluded [the supervisor] failure, Could not start (spawn_failed), observed, because command “clade” was not found; searched in PATH /opt/bin:/bin (ENOENT)"
    );
    assert_eq!(
        conclusion(&story::never_started()),
        "interrupted, Could not start (spawn_failed), inferred, because the supervisor took the \
         claim, so that no shim can ever start the agent: the shim could not be spawned"
    );
}

#[test]
fn a_dead_shim_and_what_it_left_are_told() {
    let text = told(&story::shim_lost());
    let lines: Vec<&str> = text.lines().skip(3).collect();
    assert_eq!(
        lines,
        [
            "3 shim lost the shim's process was gone before it had finished; its leader dies with it",
            "4 tree [the supervisor] 2 processes that outlived the agent were ended; still alive: \
             sleep (pid 77)",
            "5 concluded [the supervisor] interrupted, Shim lost (shim_lost), observed, because the \
             shim died before it could record an exit; what it left behind was looked for and ended",
        ]
    );
}

#[test]
fn ends_by_itself_have_their_reasons() {
    let ended = |tell: &dyn Fn(&mut Story)| {
        let mut story = Story::started();
        tell(&mut story);
        conclusion(&story.ended())
    };
    let exit = |exit: Exit| ended(&move |story| drop(story.exited(exit.clone()).events()));
    assert_eq!(
        exit(Exit::Exited { code: 0 }),
        "success, Session completed (completed), observed, because it exited with code 0, and its \
         provider promises no result"
    );
    assert_eq!(
        exit(Exit::Exited { code: 3 }),
        "failure, Agent failed (failed), observed, because it exited with code 3"
    );
    assert_eq!(
        exit(Exit::Signaled {
            signal: 11,
            core: true
        }),
        "failure, Agent crashed (crashed), observed, because SIGSEGV ended it (core dumped), a \
         fault of the program itself, and nobody had declared a stop"
    );
    assert_eq!(
        exit(Exit::Unknown {
            why: "nobody saw it".into()
        }),
        "interrupted, Unknown (unknown), inferred, because no exit, no result and no cause were \
         recorded"
    );
    assert_eq!(
        ended(&|story| drop(
            story
                .result(false, "no")
                .exited(Exit::Exited { code: 1 })
                .events()
        )),
        "failure, Agent failed (failed), observed, because its own result says that it failed"
    );
    let nothing_said = EventBody::ProviderFailed {
        error: ProviderError::Transient,
        detail: " \n".into(),
    };
    let words = told(&Story::started().tell(nothing_said).events());
    let last = words.lines().last();
    let said = "3 provider error [the agent] the provider failed for now";
    assert_eq!(last, Some(said), "without quotes around nothing");
    let missing = |plan: SessionPlan| {
        let mut story = Story::started_with(plan);
        story.tell(EventBody::ProviderFailed {
            error: ProviderError::SessionNotFound,
            detail: "No conversation found\n".into(),
        });
        conclusion(&story.exited(Exit::Exited { code: 1 }).ended())
    };
    assert_eq!(
        missing(SessionPlan::Fresh),
        "failure, Agent failed (failed), observed, because it exited with code 1"
    );
    assert_eq!(
        missing(SessionPlan::Resume(story::row("s0", Usage::default()))),
        "failure, Session not found (session_not_found), observed, because its output says that \
         the session that it was to resume does not exist: “No conversation found”"
    );
}
