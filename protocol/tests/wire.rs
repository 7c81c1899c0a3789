//! Golden bytes. `wire/v1/*.hex` is what version 1 says: a line that is there
//! is never edited and never removed, because programs of that version are
//! out there. What has to change becomes a new variant, with a new line; what
//! cannot becomes a new version, with a folder of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use protocol::control::{Request, Response};
use protocol::shim::{FromShim, Record, ToShim};
use protocol::vocab::{IntentOutcome, SessionState, SignalledBy, StopOutcome, Stream, Via};
use protocol::{ArchiveReason, Basis, FinishedBasis, Phase, Presence, Status, StopReason};

use crate::samples::{self, Reader, payload};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).expect("hex is ASCII");
        u8::from_str_radix(text, 16).expect("two hex digits")
    };
    digits.map(byte).collect()
}

/// What every file begins with.
const HEAD: &str = "# Version 1 of the wire. Never edit or remove a line: add a new variant with a\n\
                    # line of its own at the end, or a new version.\n";

/// The lines of one file: name and hex.
fn kept(family: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(file(family)).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, hex) = line.split_once(' ').expect("a name and its bytes");
            (name.to_string(), hex.to_string())
        })
        .collect()
}

fn file(family: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/wire/v1");
    folder.join(format!("{family}.hex"))
}

/// Every payload of this build is the kept one, and the other way round.
fn compare(family: &str, built: &[(String, Vec<u8>)]) {
    let kept = kept(family);
    let mut new = Vec::new();
    for (name, bytes) in built {
        match kept.get(name) {
            Some(golden) => assert_eq!(
                *golden,
                hex(bytes),
                "{family}.{name} is written in other bytes than version 1 writes it. Do not edit \
                 the file: add a new variant, or a new version"
            ),
            None => new.push(format!("{name} {}\n", hex(bytes))),
        }
    }
    for name in kept.keys() {
        assert!(
            built.iter().any(|(built, _)| built == name),
            "{family}.{name} is part of version 1 and has no sample any more"
        );
    }
    if std::env::var_os("APPEND_WIRE").is_some() {
        let mut text = std::fs::read_to_string(file(family)).unwrap_or_else(|_| HEAD.to_string());
        text += &new.concat();
        std::fs::write(file(family), text).expect("the repository can be written");
        return;
    }
    assert!(
        new.is_empty(),
        "new messages; append these lines to tests/wire/v1/{family}.hex (APPEND_WIRE=1 does it):\n{}",
        new.concat()
    );
}

fn of_family(family: &str) -> Vec<(String, Vec<u8>, Reader)> {
    let prefix = format!("{family}.");
    samples::all()
        .into_iter()
        .filter_map(|(name, bytes, read)| {
            let name = name.strip_prefix(&prefix)?.to_string();
            Some((name, bytes, read))
        })
        .collect()
}

#[test]
fn every_message_has_the_bytes_of_version_1() {
    for family in ["request", "response", "to_shim", "from_shim", "record"] {
        let built: Vec<_> = of_family(family)
            .into_iter()
            .map(|(name, bytes, _)| (name, bytes))
            .collect();
        compare(family, &built);
    }
}

#[test]
fn the_bytes_of_version_1_are_read_as_the_same_messages() {
    for family in ["request", "response", "to_shim", "from_shim", "record"] {
        let kept = kept(family);
        for (name, bytes, read) in of_family(family) {
            let golden = bytes_of(&kept[&name]);
            assert!(read(&golden).is_ok(), "{family}.{name}");
            assert_eq!(read(&golden), read(&bytes), "{family}.{name}");
        }
    }
}

/// The words of version 1, in the order that is their encoding, spelled as
/// JSON, ledger and command line have them. A new word goes to the end.
#[test]
fn the_vocabularies_of_version_1() {
    macro_rules! words {
        ($($name:ident: $words:literal;)+) => {$(
            let all: Vec<&str> = $name::ALL.iter().map(|word| word.as_str()).collect();
            assert_eq!(all.join(" "), $words);
            let count = u8::try_from(all.len()).expect("few words");
            let numbers: Vec<u8> = std::iter::once(count).chain(0..count).collect();
            assert_eq!(payload(&$name::ALL), numbers);
        )+};
    }
    words! {
        ArchiveReason: "completed failed aborted_no_skill session_not_found spawn_failed crashed \
                        user runner_stop hub_restart hub_shutdown host_shutdown start_timeout \
                        timeout idle_timeout budget superseded_by_task oom_killed \
                        external_signal shim_lost host_reboot unknown";
        Basis: "declared observed inferred";
        FinishedBasis: "exact detected";
        IntentOutcome: "pending effective superseded joined moot";
        Phase: "queued starting running stopping ended";
        Presence: "attached detached none";
        SessionState: "live resumable quarantined";
        SignalledBy: "shim supervisor";
        Status: "queued running success failure cancelled interrupted aborted_no_skill";
        StopOutcome: "stopped already_gone still_alive";
        StopReason: "user runner_stop hub_restart hub_shutdown host_shutdown start_timeout \
                     timeout idle_timeout budget superseded_by_task";
        Stream: "stdout stderr";
        Via: "control http supervisor signal";
    }
}

/// Every variant has a sample: their numbers have no hole, and a new variant
/// does not compile before it is counted here.
#[test]
fn no_variant_is_without_a_sample() {
    let numbers = |family: &str| {
        let mut found: Vec<u8> = of_family(family)
            .iter()
            .map(|(_, bytes, _)| bytes[0])
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    };
    let up_to = |last: u8| (0..=last).collect::<Vec<u8>>();
    assert_eq!(numbers("request"), up_to(last_request(&Request::Status)));
    assert_eq!(
        numbers("response"),
        up_to(last_response(&Response::Tasks(vec![])))
    );
    assert_eq!(
        numbers("to_shim"),
        up_to(last_to_shim(&ToShim::Ack { upto: 0 }))
    );
    let progress = FromShim::Progress(protocol::shim::ProgressReport::default());
    assert_eq!(numbers("from_shim"), up_to(last_from_shim(&progress)));
    let output = Record::FirstOutput {
        at: protocol::Timestamp(0),
    };
    assert_eq!(numbers("record"), up_to(last_record(&output)));
}

const fn last_request(any: &Request) -> u8 {
    match any {
        Request::Run(_)
        | Request::List(_)
        | Request::Show { .. }
        | Request::Why { .. }
        | Request::Stop(_)
        | Request::Wait(_)
        | Request::Logs(_)
        | Request::Events(_)
        | Request::Sessions(_)
        | Request::ChangeSession(_)
        | Request::Status
        | Request::Providers(_)
        | Request::Orphans(_)
        | Request::Drain(_)
        | Request::Keep(_)
        | Request::Again(_)
        | Request::RunWith(..)
        | Request::Prune(_) => 17,
    }
}

const fn last_response(any: &Response) -> u8 {
    match any {
        Response::Error(_)
        | Response::Task { .. }
        | Response::Tasks(_)
        | Response::Detail(_)
        | Response::Why { .. }
        | Response::Stopped { .. }
        | Response::Log(_)
        | Response::LogEnd { .. }
        | Response::Event(_)
        | Response::EventsEnd { .. }
        | Response::Sessions(_)
        | Response::Status(_)
        | Response::Providers(_)
        | Response::ProviderChecked { .. }
        | Response::Orphans(_)
        | Response::Kept { .. }
        | Response::Conflict { .. }
        | Response::Pruned(_)
        | Response::StatusWith(..)
        | Response::StoppedFromMemory { .. }
        | Response::OrphansPartly { .. }
        | Response::ProviderOutput(_) => 21,
    }
}

const fn last_to_shim(any: &ToShim) -> u8 {
    match any {
        ToShim::Start(_)
        | ToShim::Attached { .. }
        | ToShim::Rejected(_)
        | ToShim::Stop(_)
        | ToShim::Ack { .. }
        | ToShim::StartAs(..) => 5,
    }
}

const fn last_from_shim(any: &FromShim) -> u8 {
    match any {
        FromShim::Attach(_) | FromShim::Record { .. } | FromShim::Progress(_) => 2,
    }
}

const fn last_record(any: &Record) -> u8 {
    match any {
        Record::Claimed { .. }
        | Record::Execd { .. }
        | Record::SpawnFailed { .. }
        | Record::SessionSeen { .. }
        | Record::Result(_)
        | Record::ProviderError { .. }
        | Record::Usage { .. }
        | Record::Intent(_)
        | Record::Superseded { .. }
        | Record::Signalled { .. }
        | Record::SignalSeen { .. }
        | Record::Exited { .. }
        | Record::Swept(_)
        | Record::Alarm { .. }
        | Record::Finished { .. }
        | Record::ModelSeen { .. }
        | Record::FirstOutput { .. }
        | Record::OutOfMemory(_)
        | Record::UnitSeen { .. }
        | Record::LineKnown { .. } => 19,
    }
}
