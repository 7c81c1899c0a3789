//! The marker: the environment variable by which a task's processes are known.
//!
//! Its name has the task's id in it, its value is the task's nonce. The name is
//! a legal one for shells, because some drop variables that are not.

use protocol::TaskId;

/// How every marker begins.
pub const PREFIX: &str = "AGENT_TASK_";

/// The name of the task's marker: every byte of the id outside `[A-Za-z0-9]`
/// becomes `_hh`.
#[must_use]
pub fn marker_name(task: &TaskId) -> String {
    let mut name = String::from(PREFIX);
    for byte in task.as_str().bytes() {
        if byte.is_ascii_alphanumeric() {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("_{byte:02x}"));
        }
    }
    name
}

/// The task whose marker has this name; none for any other name.
#[must_use]
pub fn parse_marker_name(name: &str) -> Option<TaskId> {
    let mut rest = name.strip_prefix(PREFIX)?;
    let mut id = String::new();
    while let Some(c) = rest.chars().next() {
        if c == '_' {
            let byte = u8::from_str_radix(rest.get(1..3)?, 16).ok()?;
            id.push(char::from(byte));
            rest = rest.get(3..)?;
        } else {
            id.push(c);
            rest = rest.get(c.len_utf8()..)?;
        }
    }
    let task = TaskId::new(id).ok()?;
    // One name per id: `_41` for a letter is not ours.
    (marker_name(&task) == name).then_some(task)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_name_is_legal_in_a_shell() {
        let task = TaskId::new("01a1-x_Y").expect("legal");
        assert_eq!(marker_name(&task), "AGENT_TASK_01a1_2dx_5fY");
        assert_eq!(parse_marker_name("AGENT_TASK_01a1_2dx_5fY"), Some(task));
    }

    #[test]
    fn other_names_are_no_markers() {
        for name in [
            "",
            "PATH",
            "AGENT_TASK",
            "AGENT_TASK_",
            "AGENT_TASK_a_",
            "AGENT_TASK_a_2",
            "AGENT_TASK_a_2D",
            "AGENT_TASK_a_zz",
            "AGENT_TASK__41",
            "AGENT_TASK_a_2f",
            "AGENT_TASK_ä",
            "AGENT_TASK__2da",
        ] {
            assert_eq!(parse_marker_name(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_id_reads_back(id in "[A-Za-z0-9_][A-Za-z0-9_-]{0,63}") {
            let task = TaskId::new(id).expect("legal");
            let name = marker_name(&task);
            prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
            prop_assert_eq!(parse_marker_name(&name), Some(task));
        }

        #[test]
        fn any_name_is_read_or_refused(name in ".{0,40}") {
            let _ = parse_marker_name(&format!("{PREFIX}{name}"));
        }
    }
}
