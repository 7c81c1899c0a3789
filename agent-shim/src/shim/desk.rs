//! What the shim says, and to whom: the journal, the link, and the two things
//! that are timed on it.

use protocol::Timestamp;
use protocol::limits::PROGRESS_INTERVAL_MS;
use protocol::shim::{AlarmKind, ProgressReport, Record, Usage};

use crate::clock::Clock;
use crate::link::{Introduction, Link, News};
use crate::poller::Poller;
use crate::recorder::Recorder;
use crate::scan::Finding;

/// A session id that is not in the ledger after this time is worth a warning,
/// in ms: were the machine to stop now, the conversation would be lost.
const SESSION_ACK_MS: u64 = 5_000;

/// Journal, link and clock.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) clock: Clock,
    pub(super) poller: Poller,
    pub(super) recorder: Recorder,
    pub(super) link: Link,
    last_output_at: Option<Timestamp>,
    progress: Option<ProgressReport>,
    progress_due: u64,
    /// A text of progress went out.
    told_text: bool,
    session: SessionWatch,
}

#[derive(Clone, Copy, Debug)]
enum SessionWatch {
    Idle,
    Waiting {
        number: u64,
        until: u64,
    },
    /// The warning was given; one is enough.
    Warned,
}

impl Desk {
    pub(super) fn new(clock: Clock, poller: Poller, recorder: Recorder, link: Link) -> Self {
        Self {
            clock,
            poller,
            recorder,
            link,
            last_output_at: None,
            progress: None,
            progress_due: 0,
            told_text: false,
            session: SessionWatch::Idle,
        }
    }

    /// Journals a fact.
    pub(super) fn record(&mut self, record: Record) {
        self.recorder.record(record);
    }

    /// Journals what the output said.
    pub(super) fn record_finding(&mut self, finding: Finding) {
        let is_session = matches!(finding, Finding::Session { .. });
        let number = self.recorder.record_finding(finding, sys::clock::now());
        if let (true, Some(number), SessionWatch::Idle) = (is_session, number, self.session) {
            let until = self.clock.now() + SESSION_ACK_MS;
            self.session = SessionWatch::Waiting { number, until };
        }
    }

    /// The agent printed something; says whether it is the first time.
    pub(super) fn note_output(&mut self, text: Option<String>, usage: Usage) -> Output {
        let at = sys::clock::now();
        let earlier = self.progress.take().and_then(|report| report.text);
        self.progress = Some(ProgressReport {
            at,
            text: text.or(earlier),
            usage,
        });
        match self.last_output_at.replace(at) {
            None => Output::First,
            Some(_) => Output::Later,
        }
    }

    /// Tells the end, and no progress and no warnings any more. A run that was too
    /// short to have told any says before that what it did last.
    pub(super) fn finish(&mut self, end: Record) {
        let report = self.progress.as_ref();
        if !self.told_text && report.is_some_and(|report| report.text.is_some()) {
            self.progress_due = 0;
            self.send();
        }
        self.record(end);
        self.progress = None;
        self.session = SessionWatch::Warned;
        self.send();
    }

    /// Sends what can be sent.
    pub(super) fn send(&mut self) {
        let now = self.clock.now();
        let due = self.link.is_up() && now >= self.progress_due;
        let progress = if due { self.progress.take() } else { None };
        if let Some(report) = &progress {
            self.told_text |= report.text.is_some();
            self.progress_due = now + PROGRESS_INTERVAL_MS;
        }
        self.link
            .send(&mut self.recorder, progress, now, &self.poller);
    }

    /// Takes over what the ledger said about our records; the rest is for the
    /// caller.
    pub(super) fn note(&mut self, news: &News) {
        match news {
            News::Attached(upto) => self.recorder.rewind(*upto),
            News::Acknowledged(upto) => self.recorder.acknowledge(*upto),
            News::Stop(_) | News::Ended => {}
        }
        if let SessionWatch::Waiting { number, .. } = self.session
            && self.recorder.is_acknowledged(number)
        {
            self.session = SessionWatch::Idle;
        }
    }

    /// The ledger has everything.
    pub(super) fn is_settled(&self) -> bool {
        self.recorder.is_acknowledged(self.recorder.records())
    }

    /// When something of this is due.
    pub(super) fn deadline(&self) -> Option<u64> {
        let progress = (self.progress.is_some() && self.link.is_up()).then_some(self.progress_due);
        let session = match self.session {
            SessionWatch::Waiting { until, .. } => Some(until),
            SessionWatch::Idle | SessionWatch::Warned => None,
        };
        [progress, session, self.link.retry_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does what is due.
    pub(super) fn tick(&mut self) {
        let now = self.clock.now();
        if let SessionWatch::Waiting { until, .. } = self.session
            && now >= until
        {
            self.session = SessionWatch::Warned;
            let kind = AlarmKind::SessionUnacknowledged;
            let detail = format!("not in the ledger for {SESSION_ACK_MS} ms");
            self.record(Record::Alarm {
                at: sys::clock::now(),
                kind,
                detail,
            });
        }
        let records = self.recorder.records();
        let introduction = Introduction {
            records,
            last_output_at: self.last_output_at,
        };
        self.link.retry(now, introduction, &self.poller);
    }
}

/// Whether the agent had printed something before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    First,
    Later,
}
