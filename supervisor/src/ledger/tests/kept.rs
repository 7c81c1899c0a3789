//! What the operator says of a task that has ended.

use lifecycle::EventBody;

use super::projection::text;
use super::support::{Place, admitted, at, commit, ended, requester};

/// A word on how a task is kept.
pub(super) const fn is_the_operators(body: &EventBody) -> bool {
    matches!(
        body,
        EventBody::Archived { .. } | EventBody::Unarchived { .. } | EventBody::Renamed { .. }
    )
}

/// Its name and the archive flag are the operator's; a live task has no flag.
#[test]
fn how_a_task_is_kept_changes_after_its_end() {
    let place = Place::new();
    let ledger = place.open();
    let by = || requester();
    let archived = |time| {
        let set_by = "supervisor".to_string();
        at(Some("t1"), time, EventBody::Archived { by: by(), set_by })
    };
    let kept = || {
        text(
            &place,
            "SELECT name, archived, archived_by FROM task_history",
        )
    };
    commit(&ledger.handle, &[admitted("t1", "k", 0), archived(1)]);
    assert!(kept().ends_with("| 0 | -"), "{}", kept());
    commit(&ledger.handle, &[ended("t1", 2), archived(3)]);
    assert!(kept().ends_with("| 1 | supervisor"), "{}", kept());
    let name = "n".to_string();
    let renamed = EventBody::Renamed { name, by: by() };
    let out = EventBody::Unarchived { by: by() };
    commit(
        &ledger.handle,
        &[at(Some("t1"), 4, renamed), at(Some("t1"), 5, out)],
    );
    assert_eq!(kept(), "n | 0 | -");
    ledger.close().expect("closed");
}
