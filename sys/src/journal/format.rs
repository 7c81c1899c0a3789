//! Bytes of the journal.

use protocol::shim::Record;

use super::MAX_RECORD_BYTES;
use crate::checksum::crc32c;

/// Bytes before the first record.
pub(super) const FILE_HEADER_LEN: usize = 8;
/// Bytes before each payload.
pub(super) const RECORD_HEADER_LEN: usize = 10;

const MAGIC: [u8; 4] = *b"AGSJ";
const VERSION: u16 = 1;

/// The start of every file.
pub(super) fn file_header() -> [u8; FILE_HEADER_LEN] {
    let mut header = [0; FILE_HEADER_LEN];
    header[..4].copy_from_slice(&MAGIC);
    header[4..6].copy_from_slice(&VERSION.to_le_bytes());
    header
}

/// What a file's first bytes say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Journal,
    Newer(u16),
    Foreign,
}

pub(super) fn file_kind(bytes: &[u8]) -> FileKind {
    let Some(header) = bytes.first_chunk::<FILE_HEADER_LEN>() else {
        return FileKind::Foreign;
    };
    let version = u16::from_le_bytes([header[4], header[5]]);
    if header[..4] != MAGIC {
        FileKind::Foreign
    } else if version != VERSION {
        FileKind::Newer(version)
    } else {
        FileKind::Journal
    }
}

/// The fixed part in front of a payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordHeader {
    pub(super) len: usize,
    crc: u32,
    kind: u16,
}

impl RecordHeader {
    /// `None` if no record can begin like this.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let [l0, l1, l2, l3, c0, c1, c2, c3, k0, k1] = *bytes.first_chunk::<RECORD_HEADER_LEN>()?;
        let len = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).ok()?;
        let possible = (1..=MAX_RECORD_BYTES).contains(&len);
        possible.then_some(Self {
            len,
            crc: u32::from_le_bytes([c0, c1, c2, c3]),
            kind: u16::from_le_bytes([k0, k1]),
        })
    }

    /// The payload is what was written here as record `number`.
    pub(super) fn fits(&self, number: u64, payload: &[u8]) -> bool {
        payload.len() == self.len && checksum(number, self.kind, payload) == self.crc
    }
}

/// A payload's record; `None` if this program does not know it.
pub(super) fn decode_payload(payload: &[u8]) -> Option<Record> {
    protocol::codec::from_payload(payload).ok()
}

/// Record `number` as it stands in the file; `None` if it is too large.
pub(super) fn encode(number: u64, record: &Record) -> Option<Vec<u8>> {
    let payload = postcard::to_allocvec(record).ok()?;
    encode_payload(number, &payload)
}

pub(super) fn encode_payload(number: u64, payload: &[u8]) -> Option<Vec<u8>> {
    if payload.is_empty() || payload.len() > MAX_RECORD_BYTES {
        return None;
    }
    let kind = variant_index(payload);
    let len = u32::try_from(payload.len()).ok()?;
    let mut bytes = Vec::with_capacity(RECORD_HEADER_LEN + payload.len());
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&checksum(number, kind, payload).to_le_bytes());
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(payload);
    Some(bytes)
}

/// postcard writes a variant's index first, seven bits to a byte. There will
/// never be more than 2^14 of them.
fn variant_index(payload: &[u8]) -> u16 {
    match payload {
        [low, high, ..] if low & 0x80 != 0 => u16::from(low & 0x7F) | u16::from(high & 0x7F) << 7,
        [low, ..] => u16::from(*low),
        [] => 0,
    }
}

fn checksum(number: u64, kind: u16, payload: &[u8]) -> u32 {
    let mut head = [0; 18];
    head[..8].copy_from_slice(&number.to_le_bytes());
    head[8..16].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    head[16..].copy_from_slice(&kind.to_le_bytes());
    crc32c(&[&head, payload])
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Timestamp;

    #[test]
    fn the_bytes_are_those_of_version_1() {
        assert_eq!(file_header(), *b"AGSJ\x01\x00\x00\x00");
        let record = Record::FirstOutput { at: Timestamp(5) };
        let bytes = encode(1, &record).expect("small");
        // len 2, checksum, type 16, variant 16, zigzag of 5.
        assert_eq!(bytes[..4], [2, 0, 0, 0]);
        assert_eq!(bytes[8..], [16, 0, 16, 10]);
        let header = RecordHeader::decode(&bytes).expect("a header");
        assert!(header.fits(1, &bytes[RECORD_HEADER_LEN..]));
        assert!(
            !header.fits(2, &bytes[RECORD_HEADER_LEN..]),
            "only at its own place"
        );
    }

    #[test]
    fn two_byte_indices_are_read() {
        assert_eq!(variant_index(&[0x85, 0x02, 9]), 261);
        assert_eq!(variant_index(&[0x05, 0x02]), 5);
        assert_eq!(variant_index(&[]), 0);
    }
}
