//! The statements whose plans are tested.

pub(in crate::ledger) use super::list::ended_query;

/// A frequent statement, its parameters, and what its plan must name.
pub(in crate::ledger) const FREQUENT: &[(&str, usize, &str)] = &[
    (
        super::find::BY_ID,
        1,
        "sqlite_autoindex_task_history_1 (id=?)",
    ),
    (
        super::find::BY_PREFIX,
        3,
        "sqlite_autoindex_task_history_1 (id>? AND id<?)",
    ),
    (super::find::BY_NAMES[0][0], 1, "task_history_by_session"),
    (super::find::BY_NAMES[0][1], 1, "task_history_by_session"),
    (super::find::BY_NAMES[1][0], 1, "task_history_live"),
    (super::find::BY_NAMES[1][1], 1, "task_history_by_key"),
    (super::find::BY_NAMES[2][0], 1, "task_history_live"),
    (super::find::BY_NAMES[2][1], 1, "task_history_by_name"),
    (super::live::LIVE_IDS, 0, "task_history_live"),
    (super::live::SECRET, 1, "USING PRIMARY KEY"),
    (super::sessions::NEWEST, 2, "agent_sessions_newest"),
    (super::sessions::NAMED, 2, "agent_sessions_by_id"),
    (super::sessions::SWEEPS[0].0, 0, "agent_sessions_resumable"),
    (super::sessions::SWEEPS[1].0, 0, "agent_sessions_in_use"),
    (super::sessions::SWEEPS[2].0, 0, "agent_sessions_in_use"),
    (super::events::OF_TASK, 1, "agent_run_event_by_task"),
    (super::events::PAGE, 2, "USING INTEGER PRIMARY KEY"),
    (super::events::PAGE_OF_TASK, 3, "agent_run_event_by_task"),
    (super::events::LAST_OF_KIND, 2, "agent_run_event_by_task"),
    (super::intents::OF_TASK, 1, "stop_intent_by_task"),
    (super::info::QUEUED, 0, "task_history_live"),
    (super::info::RUNNING, 0, "task_history_live"),
];
