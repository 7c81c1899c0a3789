//! Output: nothing is held, nothing is lost, nobody waits.

use protocol::Exit;
use protocol::shim::{Field, FromShim, Record, ScanFormat, ScanRule, ScanSpec, Take};

use super::harness::{Rig, order};

fn sessions() -> ScanSpec {
    ScanSpec {
        format: ScanFormat::JsonLines,
        rules: vec![ScanRule {
            when: vec![],
            take: vec![
                Take {
                    path: vec!["id".into()],
                    field: Field::SessionId,
                },
                Take {
                    path: vec!["model".into()],
                    field: Field::Model,
                },
                Take {
                    path: vec!["n".into()],
                    field: Field::OutputTokensAdd,
                },
                Take {
                    path: vec!["text".into()],
                    field: Field::Progress,
                },
            ],
            is_result: false,
            success_when: vec![],
            error: None,
        }],
        patterns: vec![],
        promises_result: false,
    }
}

#[test]
fn facts_are_told_as_they_appear() {
    let mut order = order(
        r#"echo '{"id":"s1","model":"m1","n":5}'; read x; echo '{"id":"s1","n":6}'; printf '{"id":"s2","n":1}'"#,
    );
    order.scan = sessions();
    order.argv[2] =
        order.argv[2].replace("read x;", "while ! [ -e \"$GO\" ]; do sleep 0.01; done;");
    let state = super::harness::state();
    let go = state.path().join("go");
    order
        .env
        .push(("GO".into(), go.to_string_lossy().into_owned()));
    let mut rig = Rig::start_in(state, order);
    let first = rig.until(|record| matches!(record, Record::SessionSeen { .. }));
    assert!(matches!(first, Record::SessionSeen { session_id, .. } if session_id == "s1"));
    std::fs::write(&go, "").expect("written");
    let done = rig.finish();
    let kinds = done.kinds();
    assert_eq!(kinds[2..6], ["output", "session", "model", "session"]);
    let usage = done.find(|record| match record {
        Record::Usage { usage, .. } => Some(*usage),
        _ => None,
    });
    assert_eq!(usage.output_tokens, Some(12));
}

#[test]
fn a_line_of_100_mb_is_nothing_special() {
    let script = "printf '{\"id\":\"s1\",\"x\":\"'; head -c 100000000 /dev/zero | tr '\\0' 'x'; \
                  printf '\",\"model\":\"m\"}\\n\\377\\000{\\n'; printf '{\"id\":\"s2\"}'";
    let mut order = order(script);
    order.scan = sessions();
    order.max_log_bytes = 1_000_000;
    let mut rig = Rig::start(order);
    rig.until(|record| matches!(record, Record::ModelSeen { .. }));
    let smaps = std::fs::read_to_string(format!("/proc/{}/status", rig.shim_pid())).expect("alive");
    let rss = smaps
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .expect("known");
    let kib: u64 = rss
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number");
    assert!(kib < 4096, "{kib} KiB");
    let done = rig.finish();
    let sessions = done
        .records
        .iter()
        .filter(|record| matches!(record, Record::SessionSeen { .. }));
    assert_eq!(sessions.count(), 2);
    let (printed, gap) = done.find(|record| match record {
        Record::Finished {
            output_bytes,
            gap_bytes,
            ..
        } => Some((output_bytes.0, gap_bytes.0)),
        _ => None,
    });
    assert_eq!(done.log("stdout.log").len(), 1_000_000);
    assert_eq!(printed - gap, 1_000_000);
    assert!(printed > 100_000_000);
}

#[test]
fn an_agent_is_not_held_up_by_a_supervisor_that_does_not_read() {
    // Far more facts than a socket holds: the test reads none of them until
    // the agent is done.
    let mut order = order(
        "i=0; while [ $i -lt 60 ]; do printf '{\"model\":\"%s%s\"}\\n' $i \"$PAD\"; i=$((i+1)); done; echo done >&2",
    );
    order.scan = sessions();
    order.env.push(("PAD".into(), "x".repeat(4000)));
    let rig = Rig::start(order);
    super::harness::poll_until(|| {
        std::fs::read(rig.task_dir().join("stderr.log")).is_ok_and(|log| log == b"done\n")
    });
    let done = rig.finish();
    let models = done
        .records
        .iter()
        .filter(|record| matches!(record, Record::ModelSeen { .. }));
    assert_eq!(models.count(), 60);
    assert_eq!(done.exit(), Exit::Exited { code: 0 });
}

#[test]
fn progress_is_sparse_and_the_newest_is_not_lost() {
    let mut order = order(
        "for i in 1 2 3 4 5; do echo \"{\\\"text\\\":\\\"step $i\\\"}\"; sleep 0.02; done; sleep 1000",
    );
    order.scan = sessions();
    let mut rig = Rig::start(order);
    rig.until(|record| matches!(record, Record::LineKnown { .. }));
    let mut texts = Vec::new();
    while texts.last().is_none_or(|text| text != "step 5") {
        match rig.link().next().expect("connected") {
            FromShim::Progress(report) => texts.extend(report.text),
            FromShim::Record { .. } | FromShim::Attach(_) => panic!("nothing else happens"),
        }
    }
    assert!(texts.len() <= 2, "{texts:?}");
    rig.stop(1, 10_000);
    rig.finish();
}
