//! Brings orders to the gateway and reports to their URL, again and again until
//! they are taken.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Result;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::config::Config;
use crate::http::{Ask, Backoff};
use crate::store::{Order, Store};

/// What became of an order.
enum Taken {
    /// The gateway has it.
    Yes,
    /// There is no such task, nor will there be: what its report says.
    Never(Value),
    /// Nobody knows, or not now.
    NotYet(String),
}

/// Answers that are the same however often it is posted.
const NEVER: [StatusCode; 3] = [
    StatusCode::BAD_REQUEST,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
];

/// Orders, for ever.
pub(crate) async fn dispatch(config: Arc<Config>, store: Arc<Store>) -> Result<Infallible> {
    let mut backoff = Backoff::new();
    loop {
        let mut waiting = false;
        for order in store.look(|state| state.orders.clone()) {
            match bring(&config, &order).await {
                Taken::Yes => {
                    eprintln!("{}: the gateway has it", order.task());
                    store.change(|state| state.orders.retain(|other| *other != order))?;
                    backoff.reset();
                }
                Taken::Never(outcome) => {
                    eprintln!("{}: {outcome}", order.task());
                    store.change(|state| {
                        state.orders.retain(|other| *other != order);
                        state.end(order.task(), &outcome);
                    })?;
                }
                Taken::NotYet(why) => {
                    eprintln!("{}: {why}; again later", order.task());
                    waiting = true;
                }
            }
        }
        if waiting {
            tokio::select! {
                () = backoff.pause() => {}
                () = store.orders.notified() => {}
            }
        } else {
            store.orders.notified().await;
        }
    }
}

async fn bring(config: &Config, order: &Order) -> Taken {
    let (path, body) = match order {
        Order::Dispatch { body, .. } => ("/v1/tasks".to_owned(), body.clone()),
        // Its end is an event like any other.
        Order::Stop { task, note } => (
            format!("/v1/tasks/{task}/stop"),
            json!({"note": note, "no_wait": true}),
        ),
    };
    let ask = Ask {
        method: Method::POST,
        uri: &config.gateway,
        path: Some(path),
        headers: vec![
            ("authorization", format!("Bearer {}", config.token)),
            ("idempotency-key", order.task().to_owned()),
        ],
        body: Some(body),
    };
    match ask.answer().await {
        Ok((status, answer)) => judge(order, status, &answer),
        Err(error) => Taken::NotYet(format!("{error:#}")),
    }
}

fn judge(order: &Order, status: StatusCode, answer: &Value) -> Taken {
    let error = &answer["error"];
    let code = error["code"].as_str().unwrap_or_default();
    if status.is_success() {
        return Taken::Yes;
    }
    match order {
        // `id_conflict`: the id is that of something else.
        Order::Dispatch { .. } if NEVER.contains(&status) || code == "id_conflict" => {
            Taken::Never(json!({"status": "refused", "error": error}))
        }
        Order::Stop { .. } if status == StatusCode::NOT_FOUND => {
            Taken::Never(json!({"status": "not_started"}))
        }
        // The key is busy, the supervisor drains, the token is being changed, …
        Order::Dispatch { .. } | Order::Stop { .. } => Taken::NotYet(format!("{status} {code}")),
    }
}

/// Reports, for ever. At least once each: `Idempotency-Key` is the task's id.
pub(crate) async fn report(config: Arc<Config>, store: Arc<Store>) -> Result<Infallible> {
    let mut backoff = Backoff::new();
    loop {
        let mut waiting = false;
        for report in store.look(|state| state.reports.clone()) {
            let task = report["task_id"].as_str().unwrap_or_default().to_owned();
            let ask = Ask {
                method: Method::POST,
                uri: &config.report_url,
                path: None,
                headers: vec![("idempotency-key", task.clone())],
                body: Some(report.clone()),
            };
            match ask.answer().await {
                Ok((status, _)) if status.is_success() => {
                    eprintln!("{task}: reported");
                    store.change(|state| state.reports.retain(|other| *other != report))?;
                    backoff.reset();
                }
                Ok((status, _)) => {
                    eprintln!("{task}: its report was answered {status}; again later");
                    waiting = true;
                }
                Err(error) => {
                    eprintln!("{task}: not reported: {error:#}; again later");
                    waiting = true;
                }
            }
        }
        if waiting {
            backoff.pause().await;
        } else {
            store.reports.notified().await;
        }
    }
}
