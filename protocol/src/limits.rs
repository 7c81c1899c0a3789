//! Every limit of the wire, by name, with its reason.

/// Largest control frame in bytes: a run request carries a prompt and an
/// environment, and nothing else comes near.
pub const MAX_CONTROL_FRAME: usize = 16 << 20;

/// Largest frame on a shim link in bytes. The start order carries the prompt
/// and the environment; every later message is far smaller.
pub const MAX_SHIM_FRAME: usize = 16 << 20;

/// Largest prompt in bytes; larger ones belong in a file that the agent reads.
pub const MAX_PROMPT_BYTES: usize = 8 << 20;

/// Largest environment of a task in bytes, names and values together. Linux
/// refuses an exec whose arguments and environment exceed a quarter of the
/// stack limit (2 MiB by default), so more could never start.
pub const MAX_ENV_BYTES: usize = 2 << 20;

/// Largest single word of an argument vector in bytes: the kernel's
/// `MAX_ARG_STRLEN`, beyond which `exec` fails with `E2BIG`.
pub const MAX_ARG_BYTES: usize = 128 << 10;

/// Longest task id in bytes.
pub const MAX_TASK_ID: usize = 64;

/// Longest key in bytes: forge, instance, owner, repository and number fit
/// many times over.
pub const MAX_KEY: usize = 512;

/// Longest session id in bytes; those of real providers have 26 to 40.
pub const MAX_SESSION_ID: usize = 256;

/// Longest short text field (name, note, repo, user, model …) in bytes.
pub const MAX_TEXT_FIELD: usize = 4096;

/// Most of a provider's result text that is kept, in bytes.
pub const MAX_RESULT_TEXT: usize = 64 << 10;

/// Longest progress line in bytes.
pub const MAX_PROGRESS_TEXT: usize = 512;

/// Time between two progress reports of a shim, in ms: people cannot read
/// faster, and a report costs the supervisor a wake-up.
pub const PROGRESS_INTERVAL_MS: u64 = 1_000;

/// Most ids in one request.
pub const MAX_IDS: usize = 10_000;

/// Most tasks in one page of a list answer.
pub const MAX_LIST: u32 = 100_000;

/// Most bytes of output in one log chunk.
pub const LOG_CHUNK: usize = 256 << 10;

/// Ancestors of a requester that are recorded.
pub const MAX_ANCESTRY: usize = 5;

/// Most surviving processes that one answer names.
pub const MAX_SURVIVORS: usize = 64;

/// How much of an agent's output is kept per stream by default, in bytes.
pub const DEFAULT_MAX_LOG_BYTES: u64 = 1 << 30;

/// Default time between TERM and KILL, in milliseconds.
pub const DEFAULT_GRACE_MS: u64 = 5_000;
