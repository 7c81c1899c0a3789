//! The word that somebody probably meant.

/// Largest part of a word that may be wrong for it to count as a slip: one
/// character in three. Beyond that a suggestion misleads more than it helps.
const SLIP: usize = 3;

/// The candidate that is nearest to `word`, if any is near enough.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| {
            let longest = word.chars().count().max(candidate.chars().count());
            *distance <= longest.div_ceil(SLIP)
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace, swap of neighbours) from one to the other.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.to_lowercase().chars().collect();
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, &l) in left.iter().enumerate() {
        let mut this = vec![row + 1];
        for (column, &r) in right.iter().enumerate() {
            let replace = last[column] + usize::from(l != r);
            let mut best = replace.min(last[column + 1] + 1).min(this[column] + 1);
            let swapped = row > 0 && column > 0 && l == right[column - 1] && left[row - 1] == r;
            if swapped {
                best = best.min(before_last[column - 1] + 1);
            }
            this.push(best);
        }
        before_last = std::mem::replace(&mut last, this);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let known = ["max_tasks", "max_queued", "max_log_bytes"];
        assert_eq!(nearest("max_taks", known), Some("max_tasks"));
        assert_eq!(nearest("maxtasks", known), Some("max_tasks"));
        assert_eq!(nearest("MAX_QUEUED", known), Some("max_queued"));
        assert_eq!(nearest("max_tasks_total_here", known), None);
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn distances_are_exact() {
        assert_eq!(distance("", ""), 0);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("abc", "acb"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
