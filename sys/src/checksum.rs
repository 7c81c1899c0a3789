//! The checksums: CRC-32C of claims and journals, by a table; CRC-64 of names.
//!
//! Processors have an instruction for it, but to find out whether this one has
//! it takes `CPUID`, which traps in a virtual machine and costs every shim more
//! than the few hundred bytes that it ever sums.

use crc::{CRC_32_ISCSI, CRC_64_XZ, Crc};

static CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
static CRC64: Crc<u64> = Crc::<u64>::new(&CRC_64_XZ);

/// The CRC-64 of `bytes`: for names that nobody chooses against us.
pub(crate) fn crc64(bytes: &[u8]) -> u64 {
    CRC64.checksum(bytes)
}

/// The CRC-32C of all `parts`, one behind the other.
pub(crate) fn crc32c(parts: &[&[u8]]) -> u32 {
    let mut digest = CRC32C.digest();
    for part in parts {
        digest.update(part);
    }
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_known_sum() {
        assert_eq!(crc32c(&[b"123456789"]), 0xE306_9283);
        assert_eq!(crc32c(&[b"1234", b"", b"56789"]), 0xE306_9283);
        assert_eq!(crc32c(&[]), 0);
        assert_eq!(crc64(b"123456789"), 0x995D_C9BB_DF19_39FA);
    }
}
