//! Sentences that hold for every transcript, whatever becomes of it on its way.

use agent_shim::scan::{Finding, MAX_ERRORS_PER_KIND, MAX_MODELS, MAX_RESULTS, MAX_SESSIONS};
use proptest::prelude::*;
use proptest::sample::Index;

use super::{ALL, bytes, scan};

fn results(findings: &[Finding]) -> Vec<&Finding> {
    let is_result = |finding: &&Finding| matches!(finding, Finding::Result { .. });
    findings.iter().filter(is_result).collect()
}

fn ids(findings: &[Finding]) -> Vec<&str> {
    let mut ids = Vec::new();
    for finding in findings {
        if let Finding::Session { id, .. } = finding {
            ids.push(id.as_str());
        }
    }
    ids
}

/// At most as much as the limits of the scanner allow.
fn bounded(findings: &[Finding]) -> bool {
    let most = MAX_SESSIONS + 1 + MAX_MODELS + MAX_RESULTS + 3 * MAX_ERRORS_PER_KIND;
    findings.len() <= most as usize
}

proptest! {
    #[test]
    fn any_cut_of_any_transcript_finds_the_same(cut in 1usize..300) {
        for (provider, name, lines) in ALL.iter() {
            let bytes = bytes(lines);
            let whole = scan(provider, &bytes, usize::MAX);
            prop_assert_eq!(scan(provider, &bytes, cut), whole, "{}", name);
        }
    }

    /// What ends early has no result that the whole does not have, and the
    /// same ids.
    #[test]
    fn an_end_anywhere_invents_nothing(at in any::<Index>()) {
        for (provider, name, lines) in ALL.iter() {
            let mut bytes = bytes(lines);
            let (whole, _) = scan(provider, &bytes, usize::MAX);
            let stdout: usize = bytes.iter().map(|(_, line)| line.len()).sum();
            let mut left = at.index(stdout + 1);
            for (_, line) in &mut bytes {
                line.truncate(left);
                left -= line.len();
            }
            let (found, _) = scan(provider, &bytes, usize::MAX);
            prop_assert!(results(&whole).starts_with(&results(&found)), "{}", name);
            for id in ids(&found) {
                let known = ids(&whole).iter().any(|whole| whole.starts_with(id));
                prop_assert!(known, "{}: {}", name, id);
            }
        }
    }

    /// An inner process and its wrapper write into one pipe: whole lines in any
    /// order. The ids and results are those of the one or of the other.
    #[test]
    fn merged_lines_are_those_of_either(first in any::<Index>(), second in any::<Index>(), order: Vec<bool>) {
        let (provider, _, one) = &ALL[first.index(ALL.len())];
        let (_, _, other) = &ALL[second.index(ALL.len())];
        let (mut one_left, mut other_left) = (bytes(one).into_iter(), bytes(other).into_iter());
        let mut merged = Vec::new();
        for take_one in order {
            merged.extend(if take_one { one_left.next() } else { other_left.next() });
        }
        merged.extend(one_left.chain(other_left));
        let (found, _) = scan(provider, &merged, 7);
        let (of_one, _) = scan(provider, &bytes(one), usize::MAX);
        let (of_other, _) = scan(provider, &bytes(other), usize::MAX);
        prop_assert!(bounded(&found));
        for id in ids(&found) {
            prop_assert!(ids(&of_one).contains(&id) || ids(&of_other).contains(&id), "{}", id);
        }
        let most = results(&of_one).len() + results(&of_other).len();
        prop_assert!(results(&found).len() <= most);
    }

    /// Newlines that are lost glue two lines into one that is none.
    #[test]
    fn glued_lines_are_no_lines(which in any::<Index>(), glue: Vec<bool>) {
        let (provider, _, lines) = &ALL[which.index(ALL.len())];
        let mut bytes = bytes(lines);
        let (whole, _) = scan(provider, &bytes, usize::MAX);
        for ((_, line), glue) in bytes.iter_mut().zip(glue) {
            line.truncate(line.len() - usize::from(glue));
        }
        let (found, _) = scan(provider, &bytes, usize::MAX);
        prop_assert!(results(&found).len() <= results(&whole).len());
        prop_assert!(bounded(&found));
    }

    /// Whatever is damaged: no panic, no flood.
    #[test]
    fn damage_is_survived(
        which in any::<Index>(),
        flips in proptest::collection::vec((any::<Index>(), any::<Index>(), any::<u8>()), 0..30),
        again in 1usize..40,
        cut in 1usize..64,
    ) {
        let (provider, _, lines) = &ALL[which.index(ALL.len())];
        let mut bytes = bytes(lines);
        for (line, at, byte) in flips {
            let line = line.index(bytes.len());
            let at = at.index(bytes[line].1.len());
            bytes[line].1[at] = byte;
        }
        let many: Vec<_> = std::iter::repeat_n(bytes, again).flatten().collect();
        let (found, _) = scan(provider, &many, cut);
        prop_assert!(bounded(&found));
    }
}
