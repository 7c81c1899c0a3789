//! Task objects.

use lifecycle::{Event, EventBody, Presence, SessionPlan, Task};
use protocol::control::ListFilter;
use protocol::shim::Usage;
use protocol::view::TaskView;
use protocol::{ArchiveReason, Phase, Status, Timestamp};

use super::story::{self, Story};
use crate::folder::{Folders, Shown};
use crate::ledger::tests::support::{
    Place, admitted, at, commit, ended, id, requester, session, spec, wait,
};
use crate::query::{Processes, detail, list, live_view, live_views, settle, unsettled, view};

fn shown() -> Shown {
    Shown::default()
}

fn live(events: &[Event], presence: &Presence) -> TaskView {
    let task = Task::fold(events).expect("it begins with an admission");
    live_view(
        &task,
        presence,
        &shown(),
        Processes {
            supervisor: Some(1),
            shim: Some(100),
        },
    )
}

/// A supervisor that saw the end, and the ledger afterwards, say the same.
#[test]
fn an_ended_task_looks_the_same_from_its_events_and_from_its_row() {
    let stories = [
        story::stopped(),
        story::superseded(),
        story::killed_from_outside(),
        story::shim_signalled(),
        story::spawn_failed(),
        story::never_started(),
        story::shim_lost(),
    ];
    for events in stories {
        let place = Place::new();
        let ledger = place.open();
        // One by one: the version counts over transactions too.
        for event in &events {
            commit(&ledger.handle, std::slice::from_ref(event));
        }
        let folders = Folders::new(&place.tasks_dir());
        let recorded = wait(
            ledger
                .handle
                .look(move |reader| view(reader, &folders, &id("t1"))),
        );
        let recorded = recorded.expect("read").expect("there");
        let presence = Presence {
            attached: true,
            progress: Some((Timestamp(1), "working".into())),
            ..Presence::default()
        };
        assert_eq!(recorded, live(&events, &presence));
        assert_eq!(recorded.phase, Phase::Ended);
        assert_eq!(
            (
                recorded.agent_pid,
                recorded.shim_pid,
                recorded.supervisor_pid
            ),
            (None, None, None)
        );
        ledger.close().expect("closed");
    }
}

#[test]
fn a_live_task_shows_what_is_known_now() {
    let before = Usage {
        turns: Some(10),
        ..Usage::default()
    };
    let mut story = Story::of(SessionPlan::Resume(story::row("s1", before)));
    story.tell(EventBody::UsageSeen {
        usage: Usage {
            turns: Some(11),
            ..Usage::default()
        },
    });
    let mut events = story.events();
    if let EventBody::Admitted { spec } = &mut events[0].body {
        spec.policy.cumulative_turns = true;
    }
    let task = live(&events, &Presence::default());
    assert_eq!(
        (task.status, task.phase),
        (Status::Running, Phase::Starting)
    );
    assert_eq!(task.turns, Some(1), "this task alone");
    assert_eq!(task.resumed, Some(session("s1")));
    let mut presence = Presence {
        attached: true,
        ..Presence::default()
    };
    presence.usage.turns = Some(13);
    presence.progress = Some((Timestamp(9), "reading".into()));
    let task = live(&events, &presence);
    assert_eq!(task.turns, Some(3), "the newest figures");
    assert_eq!(
        task.last_progress.map(|progress| progress.text).as_deref(),
        Some("reading")
    );
    assert_eq!((task.supervisor_pid, task.shim_pid), (Some(1), Some(100)));
    assert_eq!(task.archive_reason, None);
}

#[test]
fn the_ledger_alone_tells_what_a_live_task_is_doing() {
    let place = Place::new();
    let ledger = place.open();
    let mut story = Story::started();
    story.stop_requested(3, None);
    commit(&ledger.handle, &story.events());
    let folders = Folders::new(&place.tasks_dir());
    let views = wait(
        ledger
            .handle
            .look(move |reader| live_views(reader, &folders)),
    );
    let views = views.expect("read");
    assert_eq!(views.len(), 1);
    assert_eq!(
        (views[0].status, views[0].phase),
        (Status::Running, Phase::Stopping)
    );
    assert_eq!(
        (views[0].shim_pid, views[0].agent_pid),
        (Some(100), Some(101))
    );
    ledger.close().expect("closed");
}

#[test]
fn a_task_whole_has_its_intents_and_its_evidence() {
    let place = Place::new();
    let ledger = place.open();
    commit(&ledger.handle, &story::stopped());
    let folders = Folders::new(&place.tasks_dir());
    let whole = wait(ledger.handle.look(move |reader| {
        let task = view(reader, &folders, &id("t1"))?;
        task.map(|task| detail(reader, &folders, task)).transpose()
    }));
    let whole = whole.expect("read").expect("there");
    assert_eq!(whole.task.archive_reason, Some(ArchiveReason::User));
    let intents: Vec<_> = whole
        .intents
        .iter()
        .map(|it| (it.id, it.outcome.as_str()))
        .collect();
    assert_eq!(intents, [(3, "effective"), (4, "joined")]);
    assert_eq!(whole.evidence.len(), 3);
    ledger.close().expect("closed");
}

fn listed(place: &Place, filter: ListFilter, live: Vec<TaskView>) -> Vec<String> {
    let ledger = place.open();
    let folders = Folders::new(&place.tasks_dir());
    let tasks = wait(
        ledger
            .handle
            .browse(move |reader| list(reader, &folders, &filter, live)),
    );
    ledger.close().expect("closed");
    tasks
        .expect("read")
        .iter()
        .map(|task| format!("{} {}", task.id, task.status))
        .collect()
}

#[test]
fn a_list_has_live_tasks_and_the_ended_ones_that_are_asked_for() {
    let place = Place::new();
    let ledger = place.open();
    let mut batch = Vec::new();
    for (ms, task) in [(10, "t1"), (20, "t2"), (30, "t3"), (40, "t4")] {
        batch.push(admitted(task, task, ms));
    }
    batch.extend([ended("t1", 41), ended("t2", 42), ended("t4", 43)]);
    commit(&ledger.handle, &batch);
    ledger.close().expect("closed");
    // The loop has not heard yet that t4 ended.
    let views = |names: &[&str]| {
        let of = |name: &&str| {
            live(
                &[admitted(name, name, if *name == "t3" { 30 } else { 40 })],
                &Presence::default(),
            )
        };
        names.iter().map(of).collect::<Vec<_>>()
    };
    let bare = ListFilter::default;
    assert_eq!(listed(&place, bare(), views(&["t3"])), ["t3 running"]);
    let all = ListFilter {
        all: true,
        ..bare()
    };
    assert_eq!(
        listed(&place, all.clone(), views(&["t3", "t4"])),
        ["t4 success", "t3 running", "t2 success", "t1 success"]
    );
    let two = ListFilter {
        limit: Some(2),
        ..all.clone()
    };
    assert_eq!(
        listed(&place, two, views(&["t3"])),
        ["t4 success", "t3 running"]
    );
    let of_key = ListFilter {
        key: Some("t2".into()),
        ..all.clone()
    };
    assert_eq!(listed(&place, of_key, views(&["t3"])), ["t2 success"]);
    let since = ListFilter {
        since: Some(Timestamp(30)),
        ..all
    };
    assert_eq!(
        listed(&place, since, views(&["t3"])),
        ["t4 success", "t3 running"]
    );
    let success = ListFilter {
        status: vec![Status::Success],
        limit: Some(1),
        ..bare()
    };
    assert_eq!(listed(&place, success, views(&["t3"])), ["t4 success"]);
    let reason = ListFilter {
        reason: vec![ArchiveReason::Crashed],
        ..bare()
    };
    assert_eq!(listed(&place, reason, views(&["t3"])), Vec::<String>::new());
    let codex = ListFilter {
        all: true,
        provider: Some("codex".into()),
        ..bare()
    };
    assert_eq!(listed(&place, codex, views(&["t3"])), Vec::<String>::new());
}

#[test]
fn a_long_result_is_cut_in_a_list() {
    let place = Place::new();
    let ledger = place.open();
    commit(
        &ledger.handle,
        Story::started()
            .result(true, &"ä".repeat(9000))
            .ended()
            .as_slice(),
    );
    let folders = Folders::new(&place.tasks_dir());
    let all = ListFilter {
        all: true,
        ..ListFilter::default()
    };
    let tasks = wait(
        ledger
            .handle
            .browse(move |reader| list(reader, &folders, &all, Vec::new())),
    );
    let tasks = tasks.expect("read");
    let result = tasks[0].result.clone().expect("a result");
    assert!(result.truncated);
    assert_eq!(result.text.map(|text| text.len()), Some(1024));
    ledger.close().expect("closed");
}

#[test]
fn an_ended_task_is_settled_once_it_has_a_folder() {
    let place = Place::new();
    let folders = Folders::new(&place.tasks_dir());
    let ledger = place.open();
    let body = EventBody::Admitted {
        spec: spec("t1", "k", SessionPlan::Fresh),
    };
    commit(&ledger.handle, &[at(Some("t1"), 0, body), ended("t1", 1)]);
    let left = |folders: Folders| {
        wait(
            ledger
                .handle
                .browse(move |reader| Ok(unsettled(reader, &folders))),
        )
        .expect("read")
        .expect("looked at")
    };
    assert_eq!(left(folders.clone()), Vec::new(), "there is no folder");
    std::fs::create_dir_all(folders.task_dir(&id("t1"))).expect("made");
    assert_eq!(left(folders.clone()), vec![id("t1")]);
    let settle_again = |folders: Folders| {
        let settled = ledger
            .handle
            .browse(move |reader| Ok(settle(reader, &folders, &id("t1"))));
        wait(settled).expect("asked").expect("settled");
    };
    settle_again(folders.clone());
    assert_eq!(left(folders.clone()), Vec::new());
    // What the operator says later is no part of it before it is settled again.
    let name = "late".to_owned();
    let by = requester();
    commit(
        &ledger.handle,
        &[at(Some("t1"), 2, EventBody::Renamed { name, by })],
    );
    assert_eq!(left(folders.clone()), vec![id("t1")]);
    settle_again(folders.clone());
    assert_eq!(left(folders), Vec::new());
    ledger.close().expect("closed");
}
