//! The files of the task folder that a shim writes.

use std::fs::{self, File};
use std::io::Write;

use crate::bytes::crc32c;
use crate::script::{self, Fill, Id};
use crate::{Order, Plan, now};

/// Where the version stands in both files.
const VERSION: std::ops::Range<usize> = 4..6;

/// The journal, and what was written to it.
pub(crate) struct Journal {
    file: File,
    records: Vec<Vec<u8>>,
    sent: usize,
    finished: Option<u64>,
}

impl Journal {
    /// Claims the task, and begins the journal.
    pub(crate) fn create(order: &Order, shim: &Id, plan: &Plan) -> Self {
        let who = ("shim", Fill::Process(shim.clone()));
        let mut claim = script::write("claim", &[who, ("at", now())]);
        put_version(&mut claim, plan.claim);
        let written = order.task_dir.join("claim.new");
        fs::write(&written, claim).expect("a claim can be written");
        fs::hard_link(&written, order.task_dir.join("claim")).expect("nobody was faster");
        fs::remove_file(&written).expect("ours");
        let mut file = File::create(order.task_dir.join("journal")).expect("a journal");
        let mut header = script::write("journal", &[]);
        put_version(&mut header, plan.journal);
        file.write_all(&header).expect("it can be written");
        Self {
            file,
            records: Vec::new(),
            sent: 0,
            finished: None,
        }
    }

    /// Writes a record.
    pub(crate) fn add(&mut self, name: &str, fills: &[(&str, Fill)]) {
        let mut fills = fills.to_vec();
        fills.push(("at", now()));
        let payload = script::write(name, &fills);
        let number = self.records.len() as u64 + 1;
        let kind = u16::from(payload[0]);
        let length = u32::try_from(payload.len()).expect("short");
        let summed = [
            &number.to_le_bytes()[..],
            &u64::from(length).to_le_bytes(),
            &kind.to_le_bytes(),
            &payload,
        ];
        let sum = crc32c(&summed.concat());
        let record = [
            &length.to_le_bytes()[..],
            &sum.to_le_bytes(),
            &kind.to_le_bytes(),
            &payload,
        ];
        self.file
            .write_all(&record.concat())
            .expect("it can be written");
        self.file.sync_data().expect("it can be synced");
        self.records.push(payload);
        if name == "finished" {
            self.finished = Some(number);
        }
    }

    /// The next message for the supervisor, if there is one.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        let payload = self.records.get(self.sent)?.clone();
        self.sent += 1;
        let number = ("number", Fill::Number(self.sent as u64));
        Some(script::write(
            "record",
            &[number, ("payload", Fill::Raw(payload))],
        ))
    }

    /// Everything behind the record `upto` is sent again.
    pub(crate) fn rewind(&mut self, upto: u64) {
        self.sent = usize::try_from(upto).expect("it fits");
    }

    /// So many.
    pub(crate) fn records(&self) -> u64 {
        self.records.len() as u64
    }

    /// Is the end known, with everything before?
    pub(crate) fn is_finished(&self, acknowledged: u64) -> bool {
        self.finished.is_some_and(|last| acknowledged >= last)
    }
}

fn put_version(bytes: &mut [u8], version: Option<u16>) {
    if let Some(version) = version {
        bytes[VERSION].copy_from_slice(&version.to_le_bytes());
    }
}
