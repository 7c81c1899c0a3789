//! The shim link and the journal.

use protocol::shim::{
    AgentUser, AlarmKind, Attach, Condition, Field, FromShim, IntentRecord, Leftovers, LinePattern,
    OomRecord, PatternMeaning, ProcessId, ProgressReport, ProviderError, Record, RejectReason,
    ResultRecord, Scalar, ScanFormat, ScanRule, ScanSpec, SenderRecord, SpawnStage, Start,
    StopOrder, SupersededBy, SweepRecord, Take, Target, Test, ToShim, Token, Usage,
};
use protocol::vocab::Stream;
use protocol::{Exit, StopReason};

use super::views::survivor;
use super::{AT, Named, some, task_id};

fn process() -> ProcessId {
    ProcessId {
        boot_id: "b".into(),
        pid_ns: 4_026_531_836,
        pid: 100,
        start_time: 123_456,
    }
}

fn usage() -> Usage {
    Usage {
        turns: Some(1),
        input_tokens: Some(2),
        output_tokens: None,
        cost_usd: Some(0.25),
    }
}

const FIELDS: [Field; 12] = [
    Field::SessionId,
    Field::Model,
    Field::Turns,
    Field::InputTokens,
    Field::InputTokensAdd,
    Field::OutputTokens,
    Field::OutputTokensAdd,
    Field::CostUsd,
    Field::CostUsdAdd,
    Field::Progress,
    Field::ResultText,
    Field::ErrorText,
];

fn scan() -> ScanSpec {
    let condition = |test| Condition {
        path: vec!["errors".into(), "[]".into()],
        test,
    };
    let take = |field| Take {
        path: vec!["a".into()],
        field,
    };
    let pattern = |meaning| LinePattern {
        stream: Stream::Stderr,
        contains: "No conversation".into(),
        meaning,
    };
    ScanSpec {
        format: ScanFormat::JsonLines,
        rules: vec![ScanRule {
            when: vec![
                condition(Test::Equals(Scalar::Null)),
                condition(Test::Equals(Scalar::Bool(true))),
                condition(Test::Equals(Scalar::Number(1.5))),
                condition(Test::Equals(Scalar::Text("x".into()))),
                condition(Test::Contains("y".into())),
                condition(Test::Present),
                condition(Test::Absent),
            ],
            take: FIELDS.into_iter().map(take).collect(),
            is_result: true,
            success_when: vec![condition(Test::Present)],
            error: Some(ProviderError::Transient),
        }],
        patterns: vec![
            pattern(PatternMeaning::Error(ProviderError::SessionNotFound)),
            pattern(PatternMeaning::SessionIdFollows),
        ],
        promises_result: true,
    }
}

/// What was appended to the first version's fields and meanings.
fn scan_in_pieces() -> ScanSpec {
    let take = |field| Take {
        path: vec!["a".into()],
        field,
    };
    ScanSpec {
        format: ScanFormat::JsonLines,
        rules: vec![ScanRule {
            when: vec![],
            take: vec![take(Field::ResultTextAdd), take(Field::ResultTextRestart)],
            is_result: false,
            success_when: vec![],
            error: None,
        }],
        patterns: vec![LinePattern {
            stream: Stream::Stderr,
            contains: "created id=".into(),
            meaning: PatternMeaning::FirstSessionIdFollows,
        }],
        promises_result: true,
    }
}

pub(crate) fn start() -> Start {
    Start {
        task_id: task_id("t-1"),
        token: Token([7; 32]),
        task_dir: "/s/tasks/t-1".into(),
        runtime_dir: "/run/x".into(),
        argv: vec!["claude".into(), "secret-argument".into()],
        env: vec![("TOKEN".into(), "secret-token".into())],
        cwd: "/home/u".into(),
        stdin: Some(b"secret-prompt".to_vec()),
        scan: scan(),
        max_log_bytes: 1 << 30,
        stop_signal: 15,
        term_exit: vec![143],
        leftovers: Leftovers::End,
        grace_ms: 5000,
        nofile_soft: 1024,
    }
}

pub(crate) fn to_shim() -> Vec<Named<ToShim>> {
    let bare = Start {
        stdin: None,
        scan: ScanSpec::default(),
        leftovers: Leftovers::Report,
        ..start()
    };
    let pieces = Start {
        scan: scan_in_pieces(),
        ..start()
    };
    // A test that was appended.
    let mut numbers = start();
    numbers.scan.rules[0].when[0].test = Test::AtLeast(500.0);
    let user = AgentUser {
        name: "nobody".into(),
        uid: 65534,
        gid: 65533,
        groups: vec![65533, 100],
    };
    let order = StopOrder {
        intent_id: 3,
        reason: StopReason::IdleTimeout,
        grace_ms: 0,
    };
    vec![
        ("start", ToShim::Start(Box::new(start()))),
        ("start_bare", ToShim::Start(Box::new(bare))),
        ("attached", ToShim::Attached { acknowledged: 300 }),
        (
            "rejected_unknown",
            ToShim::Rejected(RejectReason::UnknownTask),
        ),
        ("rejected_not_you", ToShim::Rejected(RejectReason::NotYou)),
        ("rejected_ended", ToShim::Rejected(RejectReason::Ended)),
        ("stop", ToShim::Stop(order)),
        ("ack", ToShim::Ack { upto: 300 }),
        ("start_pieces", ToShim::Start(Box::new(pieces))),
        ("start_as", ToShim::StartAs(Box::new(start()), user)),
        ("start_numbers", ToShim::Start(Box::new(numbers))),
    ]
}

pub(crate) fn from_shim() -> Vec<Named<FromShim>> {
    let attach = Attach {
        task_id: task_id("t-1"),
        token: Token([7; 32]),
        shim: process(),
        records: 9,
        last_output_at: Some(AT),
    };
    let record = FromShim::Record {
        number: 300,
        record: Record::FirstOutput { at: AT },
    };
    let progress = ProgressReport {
        at: AT,
        text: some("reading"),
        usage: usage(),
    };
    vec![
        ("attach", FromShim::Attach(attach)),
        ("record", record),
        ("progress", FromShim::Progress(progress)),
    ]
}

pub(crate) fn records() -> Vec<Named<Record>> {
    let mut found = of_the_start();
    found.extend(of_the_output());
    found.extend(of_a_stop());
    found.extend(of_the_end());
    found.extend(alarms());
    found
}

fn of_the_start() -> Vec<Named<Record>> {
    let failed = |stage| Record::SpawnFailed {
        at: AT,
        stage,
        errno: 2,
        path: "/bin/x".into(),
    };
    vec![
        (
            "claimed",
            Record::Claimed {
                at: AT,
                shim: process(),
            },
        ),
        (
            "execd",
            Record::Execd {
                at: AT,
                agent: process(),
                program: "/bin/x".into(),
            },
        ),
        ("spawn_failed_search", failed(SpawnStage::Search)),
        ("spawn_failed_chdir", failed(SpawnStage::Chdir)),
        ("spawn_failed_exec", failed(SpawnStage::Exec)),
        ("spawn_failed_fork", failed(SpawnStage::Fork)),
        ("spawn_failed_prepare", failed(SpawnStage::Prepare)),
        ("spawn_failed_shim", failed(SpawnStage::Shim)),
        ("spawn_failed_memory", failed(SpawnStage::Memory)),
    ]
}

fn of_the_output() -> Vec<Named<Record>> {
    let failed = |error| Record::ProviderError {
        at: AT,
        error,
        detail: "x".into(),
    };
    let result = ResultRecord {
        at: AT,
        success: true,
        text: some("done"),
        truncated: false,
        usage: usage(),
    };
    vec![
        (
            "session_seen",
            Record::SessionSeen {
                at: AT,
                session_id: "0199-s".into(),
                stream: Stream::Stdout,
            },
        ),
        ("result", Record::Result(result)),
        ("error_not_found", failed(ProviderError::SessionNotFound)),
        ("error_transient", failed(ProviderError::Transient)),
        ("error_no_skill", failed(ProviderError::MissingSkill)),
        (
            "usage",
            Record::Usage {
                at: AT,
                usage: usage(),
            },
        ),
        (
            "model_seen",
            Record::ModelSeen {
                at: AT,
                model: "m".into(),
            },
        ),
        ("first_output", Record::FirstOutput { at: AT }),
    ]
}

fn of_a_stop() -> Vec<Named<Record>> {
    let intent = IntentRecord {
        at: AT,
        intent_id: 3,
        reason: StopReason::User,
        grace_ms: 5000,
        joined: true,
    };
    let superseded = |by| Record::Superseded {
        at: AT,
        intent_id: 3,
        by,
    };
    let signalled = |intent_id, target| Record::Signalled {
        at: AT,
        intent_id,
        signal: 15,
        target,
    };
    vec![
        ("intent", Record::Intent(intent)),
        ("superseded_result", superseded(SupersededBy::Result)),
        ("superseded_zombie", superseded(SupersededBy::Zombie)),
        ("superseded_exiting", superseded(SupersededBy::Exiting)),
        ("superseded_exited", superseded(SupersededBy::Exited)),
        ("signalled_group", signalled(Some(3), Target::Group)),
        ("signalled_tree", signalled(None, Target::Tree(300))),
        (
            "signal_seen",
            Record::SignalSeen {
                at: AT,
                signal: 1,
                sender: SenderRecord {
                    pid: 1,
                    uid: 0,
                    comm: some("systemd"),
                    exe: some("/sbin/init"),
                },
            },
        ),
    ]
}

fn of_the_end() -> Vec<Named<Record>> {
    let exited = |exit| Record::Exited {
        at: AT,
        exit,
        output_bytes: (1 << 40, 2),
    };
    let core = Exit::Signaled {
        signal: 11,
        core: true,
    };
    let unknown = Exit::Unknown {
        why: "reaped".into(),
    };
    let sweep = SweepRecord {
        at: AT,
        empty: false,
        swept: 300,
        survivors: vec![survivor()],
        marker_only: true,
    };
    let oom = |leader_lives| {
        Record::OutOfMemory(OomRecord {
            at: AT,
            kills: 300,
            since: AT,
            leader_lives,
        })
    };
    vec![
        ("out_of_memory", oom(false)),
        ("out_of_memory_of_a_child", oom(true)),
        (
            "unit_seen",
            Record::UnitSeen {
                at: AT,
                unit: "agents.service".to_string(),
            },
        ),
        ("line_known", Record::LineKnown { at: AT }),
        ("exited_code", exited(Exit::Exited { code: 143 })),
        ("exited_signal", exited(core)),
        ("exited_unknown", exited(unknown)),
        ("swept", Record::Swept(sweep)),
        (
            "finished",
            Record::Finished {
                at: AT,
                output_bytes: (300, 2),
                gap_bytes: (1, 0),
            },
        ),
    ]
}

fn alarms() -> Vec<Named<Record>> {
    let alarm = |kind| Record::Alarm {
        at: AT,
        kind,
        detail: "x".into(),
    };
    vec![
        (
            "alarm_unacknowledged",
            alarm(AlarmKind::SessionUnacknowledged),
        ),
        ("alarm_log", alarm(AlarmKind::LogWriteFailed)),
        ("alarm_journal_full", alarm(AlarmKind::JournalFull)),
        ("alarm_sessions", alarm(AlarmKind::TooManySessions)),
        ("alarm_session_id", alarm(AlarmKind::InvalidSessionId)),
        ("alarm_unexpected", alarm(AlarmKind::Unexpected)),
        ("alarm_not_durable", alarm(AlarmKind::NotDurable)),
    ]
}
