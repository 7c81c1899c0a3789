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
    (
        super::find::COUNT_BY_PREFIX,
        3,
        "sqlite_autoindex_task_history_1 (id>? AND id<?)",
    ),
    (super::find::BY_SESSION, 1, "agent_sessions_by_id"),
    (super::find::LIVE_OF_KEY, 1, "task_history_live"),
    (super::find::NEWEST_OF_KEY, 1, "task_history_by_key"),
    (super::follower::FRESH_AFTER, 1, "task_history_by_key"),
    (super::past::OF_KEY, 2, "task_history_by_key"),
    (super::find::LIVE_OF_NAME, 1, "task_history_live"),
    (super::find::NEWEST_OF_NAME, 1, "task_history_by_name"),
    (super::live::LIVE_IDS, 0, "task_history_live"),
    (super::live::SECRET, 1, "USING PRIMARY KEY"),
    (
        super::sessions::NEWEST,
        2,
        "PRIMARY KEY (key=? AND provider=?)",
    ),
    (super::sessions::NAMED, 3, "agent_sessions_by_id"),
    (super::sessions::OF_SESSION, 2, "agent_sessions_by_id"),
    (
        super::settled::IN_THE_SAME_SESSION,
        1,
        "agent_sessions_by_id",
    ),
    (super::events::OF_TASK, 1, "agent_run_event_by_task"),
    (super::events::ANY_OF_TASK, 1, "agent_run_event_by_task"),
    (super::events::PAGE, 2, "USING INTEGER PRIMARY KEY"),
    (super::events::PAGE_OF_TASK, 3, "agent_run_event_by_task"),
    (super::events::LAST_OF_KIND, 2, "agent_run_event_by_task"),
    (super::boots::START_BEFORE, 1, "agent_run_event_starts"),
    (super::boots::FIRST_OF_BOOT, 1, "agent_run_event_starts"),
    (super::boots::WITH_SURVIVORS, 1, "agent_run_event_survivors"),
    (super::intents::OF_TASK, 1, "stop_intent_by_task"),
    (super::info::QUEUED, 0, "task_history_live"),
    (super::info::RUNNING, 0, "task_history_live"),
];
