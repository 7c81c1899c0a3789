//! The log: one line per event on stderr, ids as fields.
//!
//! On a terminal or in a file a line is `time LEVEL message field=value …`. In
//! the journal, which has its own times, it is `<N>message field=value …`,
//! where N is the priority that journald takes from it.
//!
//! Fields of the spans around an event stand behind its own. Control
//! characters are left out, so that a task's output or name can neither forge
//! a line nor speak to the operator's terminal.

use std::fmt::{self, Write as _};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::text::{hidden, printable};

/// Names the level: `error`, `warn`, `info`, `debug`, or a list of
/// `module=level`.
pub const LOG_VAR: &str = "AGENT_SUPERVISOR_LOG";

/// Set by systemd: device and inode of the journal's end of our stderr.
const JOURNAL_VAR: &str = "JOURNAL_STREAM";

/// Longest line in bytes; more is cut. Journald cuts at 48 KiB by default.
const MAX_LINE: usize = 16 << 10;

/// A log file that is larger than this is moved aside, once: with the one
/// before it a background supervisor's log takes at most twice this much disk.
pub const MAX_LOG_FILE: u64 = 16 << 20;

/// Where the log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// stderr: a terminal, a file of the caller's, or the journal.
    Stderr,
    /// A file of our own (`--background`).
    File(PathBuf),
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is none.
    #[error("`{value}` in {LOG_VAR} is not a level: use error, warn, info or debug")]
    Level {
        /// As it was set.
        value: String,
    },
    /// The file cannot be written.
    #[error("cannot open the log file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is one already.
    #[error("the log was set up before")]
    Twice,
}

/// Sets the process's log up. To be called once.
///
/// # Errors
/// [`TelemetryError`].
pub fn init(target: &LogTarget) -> Result<(), TelemetryError> {
    let filter = filter(std::env::var(LOG_VAR).ok())?;
    let builder = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_env_filter(filter);
    let done = match target {
        LogTarget::Stderr => {
            let style = if stderr_is_journal() {
                Style::Journal
            } else {
                Style::Plain
            };
            builder
                .event_format(Lines { style })
                .with_writer(io::stderr)
                .try_init()
        }
        LogTarget::File(path) => {
            let file =
                LogFile::open(path, MAX_LOG_FILE).map_err(|source| TelemetryError::File {
                    path: path.clone(),
                    source,
                })?;
            builder
                .event_format(Lines {
                    style: Style::Plain,
                })
                .with_writer(Mutex::new(file))
                .try_init()
        }
    };
    done.map_err(|_| TelemetryError::Twice)
}

fn filter(level: Option<String>) -> Result<EnvFilter, TelemetryError> {
    let value = level
        .filter(|value| !value.trim().is_empty())
        .unwrap_or_else(|| "info".into());
    EnvFilter::try_new(&value).map_err(|_| TelemetryError::Level { value })
}

fn stderr_is_journal() -> bool {
    let Ok(named) = std::env::var(JOURNAL_VAR) else {
        return false;
    };
    let Ok(stat) = nix::sys::stat::fstat(io::stderr().as_fd()) else {
        return false;
    };
    named == format!("{}:{}", stat.st_dev, stat.st_ino)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Journal,
}

/// Formats events as lines.
struct Lines {
    style: Style,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        let mut line = match self.style {
            Style::Plain => format!("{} {level:<5} ", sys::clock::now()),
            Style::Journal => format!("<{}>", priority(level)),
        };
        let mut fields = Fields::default();
        event.record(&mut fields);
        line.push_str(&fields.message);
        line.push_str(&fields.others);
        // The innermost first.
        for span in context.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            if let Some(fields) = extensions.get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                line.push(' ');
                line.push_str(fields);
            }
        }
        writeln!(writer, "{}", printable(&line, MAX_LINE))
    }
}

/// The priorities of syslog.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: String,
}

impl Fields {
    /// A value with spaces in it is quoted, so that fields can be told apart.
    fn add(&mut self, field: &Field, value: &str) {
        let field = field.name();
        let quoted = value.is_empty() || value.contains([' ', '"', '=']) || value.contains(hidden);
        // Writing to a string cannot fail.
        let _ = if field == "message" {
            self.message.write_str(value)
        } else if quoted {
            write!(self.others, " {field}={value:?}")
        } else {
            write!(self.others, " {field}={value}")
        };
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_error(&mut self, field: &Field, error: &(dyn std::error::Error + 'static)) {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        self.add(field, &text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

/// A log file that is moved aside when it is full.
struct LogFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    most: u64,
}

impl LogFile {
    fn open(path: &Path, most: u64) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            file,
            bytes,
            most,
        })
    }

    /// `supervisor.log` becomes `supervisor.log.1`, which is replaced.
    fn move_aside(&mut self) -> io::Result<()> {
        let mut aside = self.path.clone().into_os_string();
        aside.push(".1");
        fs::rename(&self.path, aside)?;
        *self = Self::open(&self.path, self.most)?;
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.most {
            // Rather a file that is too large than a line that is lost.
            let _ = self.move_aside();
        }
        let written = self.file.write(line)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
#[path = "telemetry_tests.rs"]
mod tests;
