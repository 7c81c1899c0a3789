-- The first schema. Other programs read this file: its tables and columns only
-- ever grow. Columns under «own», and tables so marked, are the supervisor's.

-- own: `schema`, `compat`, `ledger_id` and the like
CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE task_history (
    id                 TEXT NOT NULL UNIQUE,
    key                TEXT NOT NULL,
    repo               TEXT,
    issue_number       INTEGER,
    user               TEXT,
    agent              TEXT,
    agent_type         TEXT,
    model              TEXT,
    provider           TEXT NOT NULL,
    status             TEXT NOT NULL CHECK (status IN (
                           'queued', 'running', 'success', 'failure',
                           'cancelled', 'interrupted', 'aborted_no_skill')),
    started_at         TEXT,
    finished_at        TEXT,
    archive_reason     TEXT,
    archive_basis      TEXT,
    archived_by        TEXT,
    exit_kind          TEXT,
    exit_code          INTEGER,
    exit_signal        TEXT,
    session_id         TEXT,
    resumed_session_id TEXT,
    turns              INTEGER,
    input_tokens       INTEGER,
    output_tokens      INTEGER,
    cost_usd           REAL,
    artifacts          TEXT NOT NULL DEFAULT '[]',
    name               TEXT,
    ended_by           TEXT,
    finished_basis     TEXT,
    last_seen_at       TEXT,
    archived           INTEGER NOT NULL DEFAULT 0 CHECK (archived IN (0, 1)),
    archived_at        TEXT,
    version            INTEGER NOT NULL DEFAULT 1,
    retry_of           TEXT,
    -- own; `number` is the order of admission
    number             INTEGER NOT NULL PRIMARY KEY,
    queued_at          TEXT,
    fresh_after        TEXT,
    reopened_from      TEXT,
    exit_core          INTEGER,
    exit_why           TEXT,
    result_seq         INTEGER,
    -- Terminal is terminal: an end without a time or a reason cannot be
    -- written, nor a live row with either.
    CHECK ((status IN ('queued', 'running')) = (finished_at IS NULL)),
    CHECK ((status IN ('queued', 'running')) = (archive_reason IS NULL)),
    CHECK ((status IN ('queued', 'running')) = (archive_basis IS NULL)),
    CHECK (exit_kind IS NOT 'unknown' OR (exit_code IS NULL AND exit_signal IS NULL))
) STRICT;

-- Every index is a page more in every commit: there is one for each look that
-- is frequent or that somebody waits for, and no other.
CREATE INDEX task_history_live ON task_history (key) WHERE status IN ('queued', 'running');
CREATE INDEX task_history_by_key ON task_history (key);
CREATE INDEX task_history_by_name ON task_history (name) WHERE name IS NOT NULL;

CREATE TABLE agent_sessions (
    key               TEXT NOT NULL,
    provider          TEXT NOT NULL,
    session_id        TEXT NOT NULL,
    task_id           TEXT NOT NULL,
    state             TEXT NOT NULL CHECK (state IN ('live', 'resumable', 'quarantined')),
    quarantine_reason TEXT,
    last_used_at      TEXT NOT NULL,
    version           INTEGER NOT NULL,
    -- own: the figures of the whole conversation, as printed
    totals            TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (key, provider, session_id),
    CHECK ((state = 'quarantined') = (quarantine_reason IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX agent_sessions_by_id ON agent_sessions (session_id);

CREATE TABLE agent_run_event (
    seq     INTEGER NOT NULL PRIMARY KEY,
    at      TEXT NOT NULL,
    task_id TEXT,
    type    TEXT NOT NULL,
    payload TEXT NOT NULL,
    -- own: the record of the shim's journal that it came from
    record  INTEGER
) STRICT;

CREATE INDEX agent_run_event_by_task ON agent_run_event (task_id) WHERE task_id IS NOT NULL;
-- Few rows each: the starts of supervisors, and ends that name survivors.
CREATE INDEX agent_run_event_starts ON agent_run_event (seq) WHERE type = 'supervisor.started';
CREATE INDEX agent_run_event_survivors ON agent_run_event (seq)
    WHERE type = 'task.ended' AND json_extract(payload, '$.survivors[0]') IS NOT NULL;

CREATE TABLE stop_intent (
    id            INTEGER NOT NULL PRIMARY KEY,
    task_id       TEXT NOT NULL,
    reason        TEXT NOT NULL,
    requested_by  TEXT NOT NULL,
    note          TEXT,
    requested_at  TEXT NOT NULL,
    journalled_at TEXT,
    signalled_at  TEXT,
    signalled_by  TEXT CHECK (signalled_by IN ('shim', 'supervisor')),
    outcome       TEXT NOT NULL CHECK (outcome IN (
                      'pending', 'effective', 'superseded', 'joined', 'moot'))
) STRICT;

CREATE INDEX stop_intent_by_task ON stop_intent (task_id);

-- own: by which a shim and a repeated dispatch are known
CREATE TABLE task_secret (
    task_id     TEXT NOT NULL PRIMARY KEY,
    token_hash  TEXT NOT NULL,
    nonce       TEXT NOT NULL,
    spec_digest TEXT NOT NULL
) STRICT, WITHOUT ROWID;
