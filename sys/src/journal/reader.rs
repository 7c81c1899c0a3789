//! Reading a journal that another process wrote.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use protocol::shim::Record;

use super::format::{self, FILE_HEADER_LEN, FileKind, RECORD_HEADER_LEN, RecordHeader};
use super::{JournalError, MAX_JOURNAL_BYTES};

/// One record at its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// From 1.
    pub number: u64,
    /// `None` if this program does not know its type.
    pub record: Option<Record>,
}

/// How the reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With the last byte of the file.
    Complete,
    /// At a record that is damaged or not whole.
    Torn {
        /// Where it begins.
        at_byte: u64,
    },
}

/// What a journal says.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// In order, without a gap.
    pub entries: Vec<Entry>,
    /// Records in the file, those before the first entry included.
    pub records: u64,
    /// How the reading ended.
    pub end: End,
}

/// Reads the records of `path` behind number `after` (0: all).
///
/// A file that is shorter than its header holds no record yet.
///
/// # Errors
/// [`JournalError`] if it cannot be read or is no journal of this version.
pub fn read_from(path: &Path, after: u64) -> Result<Replay, JournalError> {
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(MAX_JOURNAL_BYTES).read_to_end(&mut bytes));
    read.map_err(|source| JournalError::Io {
        path: path.to_owned(),
        source,
    })?;
    if bytes.len() < FILE_HEADER_LEN && format::file_header().starts_with(&bytes) {
        let end = if bytes.is_empty() {
            End::Complete
        } else {
            End::Torn { at_byte: 0 }
        };
        return Ok(Replay {
            entries: Vec::new(),
            records: 0,
            end,
        });
    }
    match format::file_kind(&bytes) {
        FileKind::Journal => Ok(replay(&bytes, after)),
        FileKind::Newer(version) => Err(JournalError::Version {
            path: path.to_owned(),
            version,
        }),
        FileKind::Foreign => Err(JournalError::Foreign(path.to_owned())),
    }
}

fn replay(bytes: &[u8], after: u64) -> Replay {
    let mut replay = Replay {
        entries: Vec::new(),
        records: 0,
        end: End::Complete,
    };
    let mut at = FILE_HEADER_LEN;
    while at < bytes.len() {
        let number = replay.records + 1;
        let Some(payload) = payload_at(bytes, at, number) else {
            replay.end = End::Torn { at_byte: at as u64 };
            break;
        };
        if number > after {
            replay.entries.push(Entry {
                number,
                record: format::decode_payload(payload),
            });
        }
        replay.records = number;
        at += RECORD_HEADER_LEN + payload.len();
    }
    replay
}

fn payload_at(bytes: &[u8], at: usize, number: u64) -> Option<&[u8]> {
    let header = RecordHeader::decode(bytes.get(at..)?)?;
    let from = at + RECORD_HEADER_LEN;
    let payload = bytes.get(from..from + header.len)?;
    header.fits(number, payload).then_some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use protocol::{Exit, Timestamp};

    fn file_of(records: &[Record]) -> Vec<u8> {
        let mut bytes = format::file_header().to_vec();
        for (number, record) in (1..).zip(records) {
            bytes.extend(format::encode(number, record).expect("small"));
        }
        bytes
    }

    fn records() -> impl Strategy<Value = Vec<Record>> {
        let at = any::<i64>().prop_map(Timestamp);
        let record = prop_oneof![
            at.clone().prop_map(|at| Record::FirstOutput { at }),
            (at.clone(), ".{0,40}").prop_map(|(at, model)| Record::ModelSeen { at, model }),
            (at.clone(), any::<i32>(), any::<(u64, u64)>()).prop_map(|(at, code, output_bytes)| {
                Record::Exited {
                    at,
                    exit: Exit::Exited { code },
                    output_bytes,
                }
            }),
            (at, any::<(u64, u64)>(), any::<(u64, u64)>()).prop_map(
                |(at, output_bytes, gap_bytes)| {
                    Record::Finished {
                        at,
                        output_bytes,
                        gap_bytes,
                    }
                }
            ),
        ];
        proptest::collection::vec(record, 0..12)
    }

    fn is_prefix(replay: &Replay, records: &[Record]) -> bool {
        replay.entries.len() <= records.len()
            && replay
                .entries
                .iter()
                .zip(1..)
                .zip(records)
                .all(|((entry, number), record)| {
                    entry.number == number && entry.record.as_ref() == Some(record)
                })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(records in records(), after in 0u64..14) {
            let whole = replay(&file_of(&records), 0);
            prop_assert_eq!(whole.end, End::Complete);
            prop_assert_eq!(whole.entries.len(), records.len());
            prop_assert!(is_prefix(&whole, &records));
            let tail = replay(&file_of(&records), after);
            let skipped = usize::try_from(after).expect("small").min(records.len());
            prop_assert_eq!(&tail.entries[..], &whole.entries[skipped..]);
            prop_assert_eq!(tail.records, records.len() as u64);
        }

        #[test]
        fn any_cut_is_a_prefix(records in records(), cut in any::<prop::sample::Index>()) {
            let bytes = file_of(&records);
            let cut = cut.index(bytes.len() + 1).max(FILE_HEADER_LEN);
            let replayed = replay(&bytes[..cut], 0);
            prop_assert!(is_prefix(&replayed, &records));
            prop_assert!(cut == bytes.len() || replayed.entries.len() < records.len());
        }

        #[test]
        fn any_flipped_byte_is_a_prefix(
            records in records(),
            at in any::<prop::sample::Index>(),
            flip in 1u8..=255,
        ) {
            let mut bytes = file_of(&records);
            if bytes.len() > FILE_HEADER_LEN {
                let at = FILE_HEADER_LEN + at.index(bytes.len() - FILE_HEADER_LEN);
                bytes[at] ^= flip;
                let replayed = replay(&bytes, 0);
                prop_assert!(is_prefix(&replayed, &records));
                prop_assert_ne!(replayed.end, End::Complete);
            }
        }

        #[test]
        fn a_repeated_or_moved_record_is_no_record(records in records(), from in any::<prop::sample::Index>()) {
            let bytes = file_of(&records);
            if records.len() > 1 {
                // Drop the first record: what follows is out of its place.
                let first = format::encode(1, &records[0]).expect("small").len();
                let mut moved = bytes[..FILE_HEADER_LEN].to_vec();
                moved.extend_from_slice(&bytes[FILE_HEADER_LEN + first..]);
                prop_assert!(replay(&moved, 0).entries.is_empty());
                // Repeat any tail.
                let mut repeated = bytes.clone();
                repeated.extend_from_slice(&bytes[FILE_HEADER_LEN + from.index(bytes.len() - FILE_HEADER_LEN)..]);
                prop_assert!(replay(&repeated, 0).entries.len() <= records.len());
            }
        }

        #[test]
        fn any_bytes_are_read_or_torn(bytes: Vec<u8>) {
            let mut file = format::file_header().to_vec();
            file.extend(bytes);
            let replayed = replay(&file, 0);
            prop_assert!(replayed.entries.is_empty() || replayed.records > 0);
        }
    }

    #[test]
    fn an_unknown_type_keeps_its_number() {
        let mut bytes = format::file_header().to_vec();
        let known = Record::FirstOutput { at: Timestamp(1) };
        bytes.extend(format::encode(1, &known).expect("small"));
        bytes.extend(format::encode_payload(2, &[0xC8, 0x01, 1, 2, 3]).expect("small"));
        bytes.extend(format::encode(3, &known).expect("small"));
        let replayed = replay(&bytes, 0);
        assert_eq!(replayed.end, End::Complete);
        assert_eq!(
            replayed.entries,
            [
                Entry {
                    number: 1,
                    record: Some(known.clone())
                },
                Entry {
                    number: 2,
                    record: None
                },
                Entry {
                    number: 3,
                    record: Some(known)
                },
            ]
        );
    }

    #[test]
    fn zeros_behind_the_end_are_torn() {
        let mut bytes = file_of(&[Record::FirstOutput { at: Timestamp(1) }]);
        let at_byte = bytes.len() as u64;
        bytes.extend([0; 64]);
        let replayed = replay(&bytes, 0);
        assert_eq!(
            (replayed.entries.len(), replayed.end),
            (1, End::Torn { at_byte })
        );
    }
}
