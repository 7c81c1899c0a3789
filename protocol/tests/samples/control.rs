//! What clients ask.

use protocol::control::{
    Again, AgainRequest, DrainRequest, EventsRequest, KeepAct, KeepRequest, ListFilter,
    LogsRequest, OnNotFound, OrphansRequest, ProvidersRequest, PruneRequest, Request, RunOption,
    RunRequest, SessionAct, SessionChange, SessionChoice, SessionsRequest, StopRequest,
    Surroundings, WaitRequest,
};
use protocol::vocab::Stream;
use protocol::{ArchiveReason, Status, StopReason};

use super::{AT, Named, provider_name, session_id, some, task_id};

fn run() -> RunRequest {
    RunRequest {
        id: task_id("t-1"),
        provider: Some(provider_name()),
        argv: vec!["echo".into(), "secret-argument".into()],
        key: some("k"),
        prompt: some("secret-prompt"),
        model: some("m"),
        name: some("n"),
        cwd: "/home/u".into(),
        client_env: vec![("PATH".into(), "secret-path".into())],
        env: vec![("TOKEN".into(), "secret-token".into())],
        agent: some("a"),
        agent_type: some("at"),
        repo: some("r"),
        issue_number: Some(-7),
        user: some("u"),
        session: SessionChoice::Resume(session_id()),
        unsafe_resume: true,
        timeout_ms: Some(1),
        idle_timeout_ms: Some(2),
        start_timeout_ms: Some(3),
        grace_ms: Some(4),
        max_log_bytes: Some(u64::MAX),
        provider_args: vec!["secret-flag".into()],
        wait_for_exec: true,
    }
}

fn bare_run(session: SessionChoice) -> RunRequest {
    RunRequest {
        id: task_id("t-2"),
        provider: None,
        argv: Vec::new(),
        key: None,
        prompt: None,
        model: None,
        name: None,
        cwd: "/".into(),
        client_env: Vec::new(),
        env: Vec::new(),
        agent: None,
        agent_type: None,
        repo: None,
        issue_number: None,
        user: None,
        session,
        unsafe_resume: false,
        timeout_ms: None,
        idle_timeout_ms: None,
        start_timeout_ms: None,
        grace_ms: None,
        max_log_bytes: None,
        provider_args: Vec::new(),
        wait_for_exec: false,
    }
}

pub(crate) fn requests() -> Vec<Named<Request>> {
    let bare = |session| Request::Run(Box::new(bare_run(session)));
    let mut found = vec![
        ("run", Request::Run(Box::new(run()))),
        ("run_bare", bare(SessionChoice::Auto)),
        ("run_fresh", bare(SessionChoice::Fresh)),
        ("run_chosen", bare(SessionChoice::Chosen(session_id()))),
        ("list_all", Request::List(ListFilter::default())),
        ("list", Request::List(filter())),
        ("show", Request::Show { id: "t".into() }),
        ("why", Request::Why { id: "t".into() }),
        ("stop", Request::Stop(stop())),
    ];
    found.extend(waiting_ones());
    found.extend(session_ones());
    found.extend(keep_ones());
    found.extend(provider_ones());
    found.push(("orphans_list", Request::Orphans(OrphansRequest::List)));
    found.push(("orphans_kill", Request::Orphans(OrphansRequest::Kill)));
    let begin = DrainRequest::Begin {
        deadline_ms: Some(5),
        no_wait: true,
    };
    found.push(("drain_begin", Request::Drain(begin)));
    found.push(("drain_cancel", Request::Drain(DrainRequest::Cancel)));
    for (name, older_than_ms, apply) in [("prune", None, false), ("prune_apply", Some(6), true)] {
        let prune = PruneRequest {
            older_than_ms,
            apply,
        };
        found.push((name, Request::Prune(prune)));
    }
    found
}

fn filter() -> ListFilter {
    ListFilter {
        all: true,
        status: vec![Status::Running, Status::AbortedNoSkill],
        reason: vec![ArchiveReason::Unknown],
        provider: some("claude"),
        key: some("k"),
        since: Some(AT),
        limit: Some(50),
    }
}

fn stop() -> StopRequest {
    StopRequest {
        ids: vec!["t".into(), "u".into()],
        all: true,
        reason: StopReason::RunnerStop,
        note: some("note"),
        grace_ms: Some(0),
        force: true,
        no_wait: true,
    }
}

fn waiting_ones() -> Vec<Named<Request>> {
    let wait = WaitRequest {
        ids: vec!["t".into()],
        timeout_ms: Some(300),
    };
    let logs = LogsRequest {
        id: "t".into(),
        stream: Stream::Stderr,
        from_offset: 1 << 40,
        last_lines: Some(10),
        follow: true,
    };
    let events = EventsRequest {
        from_seq: Some(1),
        task: some("t"),
        follow: true,
        progress: true,
    };
    vec![
        ("wait", Request::Wait(wait)),
        ("logs", Request::Logs(logs)),
        ("events", Request::Events(events)),
        ("status", Request::Status),
    ]
}

fn session_ones() -> Vec<Named<Request>> {
    let change = |session_id, act| {
        Request::ChangeSession(SessionChange {
            key: "k".into(),
            session_id,
            act,
        })
    };
    vec![
        (
            "sessions",
            Request::Sessions(SessionsRequest { key: some("k") }),
        ),
        ("session_release", change(None, SessionAct::Release)),
        (
            "session_quarantine",
            change(Some(session_id()), SessionAct::Quarantine),
        ),
        ("session_release_key", change(None, SessionAct::ReleaseKey)),
    ]
}

fn with_all(options: Vec<RunOption>) -> Request {
    Request::RunWith(Box::new(bare_run(SessionChoice::Auto)), options)
}

fn keep_ones() -> Vec<Named<Request>> {
    let with = |option| with_all(vec![option]);
    let keep = |act| {
        Request::Keep(KeepRequest {
            id: "t".into(),
            act,
        })
    };
    let again = |how| {
        Request::Again(Box::new(AgainRequest {
            of: "t".into(),
            how,
            run: bare_run(SessionChoice::Auto),
            options: vec![RunOption::Replace],
        }))
    };
    let rename = |if_version| KeepAct::Rename {
        name: "n".into(),
        if_version,
    };
    vec![
        ("archive", keep(KeepAct::Archive)),
        ("unarchive", keep(KeepAct::Unarchive)),
        ("rename", keep(rename(None))),
        ("rename_if", keep(rename(Some(7)))),
        (
            "rename_if_one_of",
            keep(KeepAct::RenameIfOneOf {
                name: "n".into(),
                versions: vec![7, 300],
            }),
        ),
        ("retry", again(Again::Retry)),
        ("reopen", again(Again::Reopen)),
        ("run_in_container", with(RunOption::Container("c".into()))),
        ("run_with_memory", with(RunOption::Memory(1 << 30))),
        ("run_in_turn", with(RunOption::Queue)),
        (
            "run_or_fail",
            with_all(vec![
                RunOption::OnNotFound(OnNotFound::Fresh),
                RunOption::OnNotFound(OnNotFound::Fail),
            ]),
        ),
        ("run_on_a_budget", with(RunOption::MaxCost(1_500_000))),
        ("run_with", with(RunOption::Replace)),
        ("run_as", with(RunOption::As("nobody".into()))),
        ("run_with_a_spare_prompt", with(RunOption::PromptIfTaken)),
    ]
}

fn provider_ones() -> Vec<Named<Request>> {
    let show = ProvidersRequest::Show {
        name: "claude".into(),
    };
    let check = ProvidersRequest::Check {
        file: "x.toml".into(),
        text: "a = 1".into(),
    };
    let lacks = ProvidersRequest::Lacks {
        name: "claude".into(),
        around: Surroundings {
            path: some("/bin"),
            home: None,
            variables: vec!["A".into()],
        },
    };
    vec![
        ("providers_list", Request::Providers(ProvidersRequest::List)),
        ("providers_show", Request::Providers(show)),
        ("providers_check", Request::Providers(check)),
        ("providers_lacks", Request::Providers(lacks)),
        (
            "providers_unused",
            Request::Providers(ProvidersRequest::Unused),
        ),
        (
            "providers_output",
            Request::Providers(ProvidersRequest::Output {
                name: "claude".into(),
            }),
        ),
    ]
}
