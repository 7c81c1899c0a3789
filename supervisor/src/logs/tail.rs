//! Where the last lines of a file begin, found from its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes that are looked at between two chances for others to run.
const BLOCK: usize = 64 << 10;

/// The offset at which the last `lines` lines of `file` up to `end` begin, but
/// not before `from`. A last line without a newline is a line.
///
/// # Errors
/// The system's answer.
pub(super) async fn last_lines(file: &File, from: u64, end: u64, lines: u64) -> io::Result<u64> {
    let mut block = vec![0; BLOCK];
    let mut at = end;
    // Newlines that end a line which is wanted; the very last byte ends one
    // line and begins none.
    let mut wanted = lines;
    while at > from {
        let length = usize::try_from(at - from).unwrap_or(BLOCK).min(BLOCK);
        let begin = at - length as u64;
        let bytes = &mut block[..length];
        file.read_exact_at(bytes, begin)?;
        for (index, _) in bytes
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, byte)| **byte == b'\n')
        {
            let after = begin + index as u64 + 1;
            if after == end {
                continue;
            }
            if wanted <= 1 {
                return Ok(if wanted == 0 { end } else { after });
            }
            wanted -= 1;
        }
        at = begin;
        tokio::task::yield_now().await;
    }
    Ok(if lines == 0 { end } else { from })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;
    use sys::temp_folder::TempFolder;

    /// The same, of bytes in memory, from the front.
    fn expected(bytes: &[u8], from: usize, lines: u64) -> usize {
        let mut starts = vec![];
        if from < bytes.len() {
            starts.push(from);
        }
        starts.extend(
            (from..bytes.len())
                .filter(|at| bytes[*at] == b'\n')
                .map(|at| at + 1),
        );
        starts.retain(|start| *start < bytes.len());
        match usize::try_from(lines) {
            Ok(0) => bytes.len(),
            Ok(lines) => starts[starts.len().saturating_sub(lines)..]
                .first()
                .copied()
                .unwrap_or(bytes.len()),
            Err(_) => from,
        }
    }

    fn ask(bytes: &[u8], from: usize, lines: u64) -> usize {
        let folder = TempFolder::create(&[std::env::temp_dir()]).expect("a folder");
        let path = folder.path().join("log");
        File::create(&path)
            .and_then(|mut file| file.write_all(bytes))
            .expect("written");
        let file = File::open(&path).expect("there");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let answer = last_lines(&file, from as u64, bytes.len() as u64, lines);
        let offset = runtime.block_on(answer).expect("readable");
        folder.remove().expect("ours");
        usize::try_from(offset).expect("small")
    }

    #[test]
    fn lines_that_span_blocks_are_whole() {
        let mut bytes = vec![b'x'; 3 * BLOCK];
        bytes[BLOCK / 2] = b'\n';
        bytes.push(b'\n');
        assert_eq!(ask(&bytes, 0, 1), BLOCK / 2 + 1);
        assert_eq!(ask(&bytes, 0, 2), 0);
        assert_eq!(ask(&bytes, 7, 9), 7);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_agrees_with_counting_from_the_front(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'a')], 0..40),
            from in 0usize..40,
            lines in 0u64..12,
        ) {
            let from = from.min(bytes.len());
            prop_assert_eq!(ask(&bytes, from, lines), expected(&bytes, from, lines));
        }
    }
}
