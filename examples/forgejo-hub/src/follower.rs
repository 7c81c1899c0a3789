//! Follows the supervisor's events, over its restarts and the hub's own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::BodyExt;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::config::Config;
use crate::http::{Ask, Backoff};
use crate::store::Store;

/// The gateway gives a sign of life every 15 s.
const SILENCE: Duration = Duration::from_secs(45);

/// Events, for ever.
pub(crate) async fn follow(config: Arc<Config>, store: Arc<Store>) -> Result<Infallible> {
    let mut backoff = Backoff::new();
    loop {
        let follower = Follower {
            config: &config,
            store: &store,
            backoff: &mut backoff,
        };
        if let Err(error) = follower.until_it_breaks().await {
            eprintln!("events: {error:#}; again later");
        }
        backoff.pause().await;
    }
}

struct Follower<'a> {
    config: &'a Config,
    store: &'a Store,
    backoff: &'a mut Backoff,
}

impl Follower<'_> {
    async fn until_it_breaks(mut self) -> Result<()> {
        let last = self.store.look(|state| state.last_event);
        let mut headers = vec![self.token()];
        headers.extend(last.map(|seq| ("last-event-id", seq.to_string())));
        let ask = Ask {
            method: Method::GET,
            uri: &self.config.gateway,
            path: Some("/v1/events?type=task.ended".to_owned()),
            headers,
            body: None,
        };
        let mut stream = ask.stream().await?;
        let mut lines = Vec::new();
        loop {
            let frame = timeout(SILENCE, stream.frame())
                .await
                .context("no sign of life")?;
            let Some(frame) = frame else {
                bail!("the stream ended");
            };
            let Ok(bytes) = frame?.into_data() else {
                continue;
            };
            for byte in bytes {
                if byte != b'\n' {
                    lines.push(byte);
                } else if lines.is_empty() || lines.ends_with(b"\n") {
                    self.take(Block::of(&lines)).await?;
                    lines.clear();
                } else {
                    lines.push(b'\n');
                }
            }
        }
    }

    async fn take(&mut self, block: Block) -> Result<()> {
        match block.event.as_str() {
            "hello" => self.hello(&block.data).await,
            "gap" => self.look_at_all().await,
            "task.ended" => {
                let task = block.data["task_id"].as_str().unwrap_or_default();
                self.ended(task, block.seq).await
            }
            // A comment, or a shutdown: it comes back, and so do we.
            _other => Ok(()),
        }
    }

    /// Where the log goes on. Without a place to go on from, and where events are
    /// missing, the tasks themselves are asked for.
    async fn hello(&mut self, hello: &Value) -> Result<()> {
        self.backoff.reset();
        let ledger = hello["ledger_id"].as_str().map(str::to_owned);
        let same = self
            .store
            .look(|state| state.last_event.is_some() && state.ledger_id == ledger);
        if !same || hello["resume"] != "ok" {
            self.look_at_all().await?;
            let last = hello["seq"].as_u64();
            self.store.change(|state| {
                state.last_event = last;
                state.ledger_id = ledger;
            })?;
        }
        Ok(())
    }

    async fn look_at_all(&self) -> Result<()> {
        let tasks: Vec<String> = self.store.look(|state| {
            let ours = state.tasks.keys().filter(|task| !state.is_ordered(task));
            ours.cloned().collect()
        });
        for task in tasks {
            if let Some(outcome) = self.outcome(&task).await? {
                self.store.change(|state| state.end(&task, &outcome))?;
            }
        }
        Ok(())
    }

    async fn ended(&self, task: &str, seq: Option<u64>) -> Result<()> {
        let outcome = match self.store.look(|state| state.tasks.contains_key(task)) {
            true => self.outcome(task).await?,
            false => None,
        };
        self.store.change(|state| {
            if let Some(outcome) = &outcome {
                state.end(task, outcome);
            }
            state.last_event = seq.or(state.last_event);
        })
    }

    /// What a report says of a task; none while it has not ended.
    async fn outcome(&self, task: &str) -> Result<Option<Value>> {
        let ask = Ask {
            method: Method::GET,
            uri: &self.config.gateway,
            path: Some(format!("/v1/tasks/{task}")),
            headers: vec![self.token()],
            body: None,
        };
        let (status, answer) = ask.answer().await?;
        match status {
            StatusCode::OK if answer["finished_at"].is_null() => Ok(None),
            StatusCode::OK => Ok(Some(json!({
                "status": answer["status"],
                "reason": answer["archive_reason"],
                "label": answer["archive_label"],
                "text": answer["result"]["text"],
                "finished_at": answer["finished_at"],
            }))),
            StatusCode::NOT_FOUND => Ok(Some(json!({"status": "unknown"}))),
            other => bail!("task {task}: the answer was {other}"),
        }
    }

    fn token(&self) -> (&'static str, String) {
        ("authorization", format!("Bearer {}", self.config.token))
    }
}

/// One event of the stream.
#[derive(Debug, Default, PartialEq)]
struct Block {
    event: String,
    seq: Option<u64>,
    data: Value,
}

impl Block {
    fn of(lines: &[u8]) -> Self {
        let mut block = Self::default();
        for line in String::from_utf8_lossy(lines).lines() {
            match line.split_once(": ") {
                Some(("event", event)) => block.event = event.to_owned(),
                Some(("id", seq)) => block.seq = seq.parse().ok(),
                Some(("data", data)) => {
                    block.data = serde_json::from_str(data).unwrap_or_default();
                }
                Some(_) | None => {}
            }
        }
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_an_event() {
        let block = Block::of(b"id: 7\nevent: task.ended\ndata: {\"task_id\":\"a\"}\n");
        assert_eq!((block.event.as_str(), block.seq), ("task.ended", Some(7)));
        assert_eq!(block.data["task_id"], "a");
        assert_eq!(Block::of(b": heartbeat\n"), Block::default());
    }
}
