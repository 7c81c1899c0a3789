//! What retention takes, for eyes.

use protocol::Timestamp;
use protocol::view::PruneView;

use crate::render::table::{Cell, Give, Table};
use crate::render::task::Screen;
use crate::render::time;

/// A line per task.
pub(crate) fn tasks(view: &PruneView, now: Timestamp, screen: Screen) -> String {
    let mut table = Table::new(&[
        ("TASK", Give::Never),
        ("STATUS", Give::Never),
        ("ENDED", Give::Never),
        ("SIZE", Give::Never),
        ("KEY", Give::To(16)),
    ]);
    for task in &view.tasks {
        table.push(vec![
            Cell::plain(task.id.as_str()),
            Cell::plain(task.status.as_str()),
            Cell::plain(&time::ago(task.finished_at, now)),
            Cell::plain(&time::size(task.bytes)),
            Cell::plain(task.key.as_str()),
        ]);
    }
    table.render(screen.width, screen.colour)
}

/// What was done, or would be.
pub(crate) fn summary(view: &PruneView) -> String {
    let size = time::size(view.bytes);
    let mut words = match (view.applied, view.count) {
        (_, 0) => "agentctl: no task is old enough to go".to_owned(),
        (true, count) => format!("agentctl: {count} pruned, {size}"),
        (false, count) => format!("agentctl: {count} would go, {size}"),
    };
    if view.kept > 0 {
        words.push_str(&format!(
            "; {} old enough and kept: a session that may be resumed, a live task or a process \
             needs them",
            view.kept
        ));
    }
    match view.events {
        Some(0) | None => {}
        Some(events) => words.push_str(&format!("; {events} events left the log")),
    }
    if !view.applied && view.count > 0 {
        words.push_str("\nagentctl: nothing was done; `--apply` removes them for good");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::view::PrunedTask;
    use protocol::{Key, Status, TaskId};

    fn view(applied: bool) -> PruneView {
        PruneView {
            applied,
            count: 1,
            bytes: 5_000,
            tasks: vec![PrunedTask {
                id: TaskId::new("t1").expect("a valid id"),
                key: Key::new("k").expect("a valid key"),
                status: Status::Failure,
                finished_at: Timestamp(0),
                bytes: 5_000,
            }],
            kept: 2,
            events: applied.then_some(7),
        }
    }

    #[test]
    fn a_dry_run_says_that_nothing_was_done() {
        let screen = Screen {
            width: None,
            colour: crate::render::style::Colour::Off,
        };
        assert_eq!(
            tasks(&view(false), Timestamp(3_600_000), screen),
            "TASK  STATUS   ENDED   SIZE     KEY\nt1    failure  1h ago  4.8 KiB  k\n"
        );
        assert_eq!(
            summary(&view(false)),
            "agentctl: 1 would go, 4.8 KiB; 2 old enough and kept: a session that may be resumed, \
             a live task or a process needs them\n\
             agentctl: nothing was done; `--apply` removes them for good"
        );
        assert_eq!(
            summary(&view(true)),
            "agentctl: 1 pruned, 4.8 KiB; 2 old enough and kept: a session that may be resumed, \
             a live task or a process needs them; 7 events left the log"
        );
        assert_eq!(
            summary(&PruneView::default()),
            "agentctl: no task is old enough to go"
        );
    }
}
