//! Lines as they are written.

use super::*;
use std::sync::Arc;

use sys::temp_folder::TempFolder;
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .expect("not poisoned")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Sink {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// What `log` writes.
fn logged(style: Style, log: impl FnOnce()) -> String {
    let sink = Sink::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_env_filter(filter(None).expect("info"))
        .event_format(Lines { style })
        .with_writer(sink.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, log);
    let bytes = sink.0.lock().expect("not poisoned").clone();
    String::from_utf8(bytes).expect("text")
}

#[test]
fn the_journal_gets_priorities_and_fields() {
    let text = logged(Style::Journal, || {
        tracing::info!(task = "t-1", pid = 7, "started");
        tracing::warn!("look");
        tracing::error!(error = %"no space left", "broken");
        tracing::debug!("not at this level");
    });
    assert_eq!(
        text,
        "<6>started task=t-1 pid=7\n<4>look\n<3>broken error=\"no space left\"\n"
    );
}

#[test]
fn a_plain_line_begins_with_time_and_level() {
    let text = logged(Style::Plain, || tracing::warn!(task = "t-1", "look"));
    let (time, rest) = text.split_once(' ').expect("a time");
    assert!(protocol::Timestamp::parse(time).is_ok(), "{time}");
    assert_eq!(rest, "WARN  look task=t-1\n");
}

#[test]
fn spans_give_their_fields() {
    let text = logged(Style::Journal, || {
        let _outer = tracing::info_span!("task", task = "t-1").entered();
        let _inner = tracing::info_span!("stop", intent = 3).entered();
        tracing::info!(signal = 15, "sent");
    });
    assert_eq!(text, "<6>sent signal=15 intent=3 task=\"t-1\"\n");
}

#[test]
fn nobody_can_forge_a_line() {
    let text = logged(Style::Journal, || {
        tracing::info!(name = "x\n<3>forged\u{1b}[31m", "a\nb");
        tracing::info!(task = %"y\u{202e}", "{}", "z".repeat(MAX_LINE * 2));
    });
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0], "<6>ab name=\"x\\n<3>forged\\u{1b}[31m\"");
    assert!(lines[1].len() <= MAX_LINE);
}

#[test]
fn causes_are_told() {
    #[derive(Debug, thiserror::Error)]
    #[error("write the row")]
    struct Outer(#[source] io::Error);
    let text = logged(Style::Journal, || {
        let error = Outer(io::Error::other("disk full"));
        tracing::error!(error = &error as &dyn std::error::Error, "lost");
    });
    assert_eq!(text, "<3>lost error=\"write the row: disk full\"\n");
}

#[test]
fn a_wrong_level_is_named() {
    let error = filter(Some("task=loud".into())).expect_err("no level");
    assert_eq!(
        error.to_string(),
        "`task=loud` in AGENT_SUPERVISOR_LOG is not a level: use error, warn, info or debug"
    );
    assert!(filter(Some(" ".into())).is_ok());
    assert!(filter(Some("debug".into())).is_ok());
}

#[test]
fn a_full_file_is_moved_aside_once() {
    let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
    let path = folder.path().join("supervisor.log");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    let mut log = LogFile::open(&path, 20).expect("made");
    for line in ["first line\n", "2nd\n", "third line\n", "fourth line\n"] {
        log.write_all(line.as_bytes()).expect("written");
    }
    assert_eq!(read("supervisor.log.1"), "third line\n");
    assert_eq!(read("supervisor.log"), "fourth line\n");
    drop(log);
    // The next supervisor goes on with it.
    let mut log = LogFile::open(&path, 20).expect("there");
    log.write_all(b"fifth\n").expect("written");
    assert_eq!(read("supervisor.log"), "fourth line\nfifth\n");
    folder.remove().expect("ours");
}
