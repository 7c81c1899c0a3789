//! What is posted: the long options of `agentctl` in snake_case. A `null` is as
//! good as left out: many languages write one where there is nothing.

use std::collections::BTreeMap;

use protocol::control::{
    KeepAct, OnNotFound, RunOption, RunRequest, SessionAct, SessionChange, SessionChoice,
    StopRequest,
};
use protocol::{ProviderName, SessionId, StopReason, TaskId};
use serde::Deserialize;
use uuid::Uuid;

use super::conditions::Expected;
use super::error::HttpError;
use super::quantity::{Limit, Size, Span, Usd, or_default, variables};

/// Nothing: the path says it all.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NoBody {}

/// A change of how a task is kept.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TaskChange {
    name: Option<String>,
}

impl TaskChange {
    /// What it means for a task of such a version.
    pub(super) fn into_act(self, expected: Expected) -> Result<KeepAct, HttpError> {
        let Some(name) = self.name else {
            return Err(HttpError::usage("nothing to change: give a `name`"));
        };
        Ok(match expected {
            Expected::Any => KeepAct::Rename {
                name,
                if_version: None,
            },
            Expected::OneOf(versions) => KeepAct::RenameIfOneOf { name, versions },
        })
    }
}

/// A dispatch.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RunBody {
    id: Option<TaskId>,
    provider: Option<ProviderName>,
    #[serde(deserialize_with = "or_default")]
    argv: Vec<String>,
    key: Option<String>,
    prompt: Option<String>,
    model: Option<String>,
    name: Option<String>,
    cwd: Option<String>,
    #[serde(deserialize_with = "variables")]
    env: BTreeMap<String, String>,
    agent: Option<String>,
    agent_type: Option<String>,
    repo: Option<String>,
    issue: Option<i64>,
    user: Option<String>,
    session_id: Option<SessionId>,
    resume: Option<SessionId>,
    #[serde(deserialize_with = "or_default")]
    fresh: bool,
    #[serde(deserialize_with = "or_default")]
    unsafe_resume: bool,
    timeout: Limit,
    idle_timeout: Limit,
    start_timeout: Limit,
    grace: Span,
    max_log: Size,
    #[serde(deserialize_with = "or_default")]
    provider_arg: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    on_conflict: OnConflict,
    container: Option<String>,
    memory: Size,
    max_cost: Usd,
    on_not_found: Option<OnNotFound>,
    r#as: Option<String>,
}

/// What to do while the key has a live task.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OnConflict {
    #[default]
    Refuse,
    Queue,
    Replace,
}

impl RunBody {
    /// Options that the request has no field for.
    pub(super) fn options(&self) -> Vec<RunOption> {
        let mut options = match self.on_conflict {
            OnConflict::Refuse => Vec::new(),
            OnConflict::Queue => vec![RunOption::Queue],
            OnConflict::Replace => vec![RunOption::Replace],
        };
        options.extend(self.container.clone().map(RunOption::Container));
        options.extend(self.memory.0.map(RunOption::Memory));
        options.extend(self.max_cost.0.map(RunOption::MaxCost));
        options.extend(self.on_not_found.map(RunOption::OnNotFound));
        options.extend(self.r#as.clone().map(RunOption::As));
        options
    }

    /// The request; `key` is the `Idempotency-Key`.
    pub(super) fn into_request(self, key: Option<TaskId>) -> Result<RunRequest, HttpError> {
        // The caller has no working folder that could be meant.
        if self.cwd.is_none() {
            return Err(HttpError::usage(
                "`cwd` is missing: the folder that the agent works in",
            ));
        }
        self.into_changes(key)
    }

    /// The same for a task that is done again: what is left out is as it was.
    pub(super) fn into_changes(self, key: Option<TaskId>) -> Result<RunRequest, HttpError> {
        if let Some(cwd) = self.cwd.as_deref()
            && !cwd.starts_with('/')
        {
            return Err(HttpError::usage(format!(
                "cwd: `{cwd}`: a caller over HTTP stands in no folder; begin it with `/`"
            )));
        }
        let id = match (self.id, key) {
            (Some(id), Some(key)) if id != key => {
                return Err(HttpError::usage(format!(
                    "the id {id} and the Idempotency-Key {key} are two names for one thing"
                )));
            }
            (Some(id), _) | (None, Some(id)) => id,
            (None, None) => TaskId::new(Uuid::now_v7().to_string())
                .map_err(|bad| HttpError::internal(bad.to_string()))?,
        };
        let session = match (self.session_id, self.resume, self.fresh) {
            (None, None, false) => SessionChoice::Auto,
            (None, None, true) => SessionChoice::Fresh,
            (Some(id), None, false) => SessionChoice::Chosen(id),
            (None, Some(id), false) => SessionChoice::Resume(id),
            (Some(_), _, _) | (_, Some(_), _) => {
                return Err(HttpError::usage(
                    "only one of `session_id`, `resume` and `fresh` can be meant",
                ));
            }
        };
        Ok(RunRequest {
            id,
            provider: self.provider,
            argv: self.argv,
            key: self.key,
            prompt: self.prompt,
            model: self.model,
            name: self.name,
            cwd: self.cwd.unwrap_or_default(),
            // The core's own, for a caller that has none.
            client_env: Vec::new(),
            env: self.env.into_iter().collect(),
            agent: self.agent,
            agent_type: self.agent_type,
            repo: self.repo,
            issue_number: self.issue,
            user: self.user,
            session,
            unsafe_resume: self.unsafe_resume,
            timeout_ms: self.timeout.0,
            idle_timeout_ms: self.idle_timeout.0,
            start_timeout_ms: self.start_timeout.0,
            grace_ms: self.grace.0,
            max_log_bytes: self.max_log.0,
            provider_args: self.provider_arg,
            wait_for_exec: false,
        })
    }
}

/// A stop.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StopBody {
    reason: Option<StopReason>,
    note: Option<String>,
    grace: Span,
    #[serde(deserialize_with = "or_default")]
    force: bool,
    #[serde(deserialize_with = "or_default")]
    no_wait: bool,
}

impl StopBody {
    pub(super) fn into_request(self, id: String) -> StopRequest {
        StopRequest {
            ids: vec![id],
            all: false,
            reason: self.reason.unwrap_or(StopReason::User),
            note: self.note,
            grace_ms: if self.force { Some(0) } else { self.grace.0 },
            force: self.force,
            no_wait: self.no_wait,
        }
    }
}

/// A word on a session.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SessionBody {
    pub(super) session_id: Option<SessionId>,
}

/// A release of a session, or of a key that rests.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ReleaseBody {
    session_id: Option<SessionId>,
    #[serde(deserialize_with = "or_default")]
    crash_loop: bool,
}

impl ReleaseBody {
    pub(super) fn into_request(self, key: String) -> Result<SessionChange, HttpError> {
        let act = match (&self.session_id, self.crash_loop) {
            (_, false) => SessionAct::Release,
            (None, true) => SessionAct::ReleaseKey,
            (Some(_), true) => {
                return Err(HttpError::usage(
                    "`crash_loop` is about the key: leave `session_id` out",
                ));
            }
        };
        Ok(SessionChange {
            key,
            session_id: self.session_id,
            act,
        })
    }
}

/// A drain.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DrainBody {
    pub(super) deadline: Span,
    #[serde(deserialize_with = "or_default")]
    pub(super) no_wait: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::body::from_json;

    fn request(text: &str, key: Option<&str>) -> Result<RunRequest, String> {
        let body: RunBody = from_json(text.as_bytes())?;
        let key = key.map(|key| TaskId::new(key).expect("valid"));
        body.into_request(key).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn options_have_their_long_names() {
        let text = r#"{"argv":["true"],"cwd":"/","env":{"A":"b"},"timeout":"1m","max_log":"1K",
            "issue":7,"fresh":true,"provider_arg":["x"],"memory":"64M","as":"bob"}"#;
        let body: RunBody = serde_json::from_str(text).expect("good");
        let options = [RunOption::Memory(64 << 20), RunOption::As("bob".to_owned())];
        assert_eq!(body.options(), options);
        let request = request(text, Some("t1")).expect("good");
        assert_eq!(request.id.as_str(), "t1");
        assert_eq!(request.env, [("A".to_owned(), "b".to_owned())]);
        assert_eq!(request.timeout_ms, Some(60_000));
        assert_eq!(request.max_log_bytes, Some(1024));
        assert_eq!(request.session, SessionChoice::Fresh);
    }

    #[test]
    fn a_null_is_left_out() {
        let text = r#"{"cwd":"/","argv":null,"env":null,"fresh":null,"unsafe_resume":null,
            "timeout":null,"memory":null,"max_cost":null,"provider_arg":null,"on_conflict":null,
            "key":null,"issue":null,"on_not_found":null}"#;
        let full = request(text, Some("t1")).expect("good");
        assert_eq!(Ok(full), request(r#"{"cwd":"/"}"#, Some("t1")));
    }

    #[test]
    fn nothing_is_ignored_or_guessed() {
        for (text, words) in [
            (r#"{"cwd":"/","colour":"red"}"#, "unknown field `colour`"),
            (r#"{"argv":["true"]}"#, "`cwd` is missing"),
            (r#"{"cwd":"work"}"#, "cwd: `work`: a caller"),
            (r#"{"cwd":""}"#, "cwd: ``: a caller"),
            (r#"{"cwd":"/","timeout":"0s"}"#, "zero would end"),
            (
                r#"{"cwd":"/","timeout":"5"}"#,
                "timeout: `\"5\"`: a duration has its unit",
            ),
            (r#"{"cwd":"/","grace":5}"#, "grace: `5`: a duration"),
            (
                r#"{"cwd":"/","argv":"ls -l"}"#,
                "argv: invalid type: string",
            ),
            (r#"{"cwd":"/","argv":["ls",1]}"#, "argv[1]: invalid type"),
            (r#"{"cwd":"/","env":{"N":1}}"#, "env.N: invalid type"),
            (
                r#"{"cwd":"/","env":{"N":"1","N":"2"}}"#,
                "`N` is given twice",
            ),
            (r#"{"cwd":"/","fresh":"yes"}"#, "fresh: invalid type"),
            (r#"{"cwd":"/","issue":"7"}"#, "issue: invalid type"),
            (r#"{"cwd":"/"} x"#, "trailing characters"),
            (r#"["/"]"#, "not an object"),
            (r#"{"cwd":"/","id":"a/b"}"#, "not allowed"),
            (r#"{"cwd":"/","id":"other"}"#, "two names"),
            (r#"{"cwd":"/","fresh":true,"resume":"x"}"#, "only one of"),
            (r#"{"cwd":"/","on_conflict":"wait"}"#, "unknown variant"),
        ] {
            let refusal = request(text, Some("t1")).expect_err(text);
            assert!(refusal.contains(words), "{refusal}");
        }
    }
}
