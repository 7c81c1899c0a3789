//! The webhook's end: `POST /webhook`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::config::Config;
use crate::delivery::{self, Delivery};
use crate::store::{self, Store};

/// An issue's text is far smaller.
const MAX_BODY: usize = 4 << 20;

/// For a whole delivery; Forgejo gives up after 5 s itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two tries to accept, when there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// Deliveries, for ever.
pub(crate) async fn serve(
    listener: TcpListener,
    config: Arc<Config>,
    store: Arc<Store>,
) -> Result<Infallible> {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                eprintln!("accept: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (config, store) = (config.clone(), store.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let (config, store) = (config.clone(), store.clone());
                async move { Ok::<_, Infallible>(answer(request, &config, &store).await) }
            });
            let connection = http1::Builder::new()
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // Whoever breaks it off delivers again, or does not.
            drop(timeout(PATIENCE, connection).await);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    config: &Config,
    store: &Store,
) -> Response<Full<Bytes>> {
    let (status, words) = match take(request, config, store).await {
        Ok(words) => (StatusCode::OK, words.to_owned()),
        Err(refused) => refused,
    };
    let mut response = Response::new(Full::from(format!("{words}\n")));
    *response.status_mut() = status;
    response
}

/// Answers only what is on the disk.
async fn take(
    request: Request<Incoming>,
    config: &Config,
    store: &Store,
) -> Result<&'static str, (StatusCode, String)> {
    let refuse = |status, words: &str| Err((status, words.to_owned()));
    if request.uri().path() != "/webhook" {
        return refuse(StatusCode::NOT_FOUND, "the webhook is /webhook");
    }
    if request.method() != Method::POST {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "POST");
    }
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "too large, or cut off");
    };
    let body = body.to_bytes();
    if !delivery::is_signed(&head.headers, &config.secret, &body) {
        return refuse(StatusCode::FORBIDDEN, "the signature does not fit");
    }
    let delivery = match delivery::read(&head.headers, &body, &config.agent) {
        Ok(Some(delivery)) => delivery,
        Ok(None) => return Ok("nothing to do"),
        Err(why) => return refuse(StatusCode::BAD_REQUEST, &why),
    };
    let task = task_of(config, &delivery);
    match store.change(|state| state.take(&delivery, &config.agent, task)) {
        Ok(true) => Ok("taken"),
        Ok(false) => Ok("nothing to do"),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}")),
    }
}

/// The body of `POST /v1/tasks`.
fn task_of(config: &Config, delivery: &Delivery) -> Value {
    let issue = &delivery.issue;
    let mut task = config.task.clone();
    let own = json!({
        "key": store::key(&config.agent, &issue.repo, issue.number),
        "agent": config.agent,
        "repo": issue.repo,
        "issue": issue.number,
        "user": delivery.sender,
    });
    // A task that followed by itself would be none of ours: assigned again, the issue
    // gets one that begins afresh.
    task.entry("on_not_found").or_insert("fail".into());
    task.extend(own.as_object().cloned().unwrap_or_else(Map::new));
    if let Some(prompt) = &config.prompt {
        let filled = fill(
            prompt,
            &[
                ("{repo}", &issue.repo),
                ("{number}", &issue.number.to_string()),
                ("{url}", &issue.url),
                ("{title}", &issue.title),
                ("{body}", &issue.body),
            ],
        );
        task.insert("prompt".to_owned(), Value::String(filled));
    }
    Value::Object(task)
}

/// One pass: what an issue's text has in braces is text.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        match values.iter().find(|(name, _)| rest.starts_with(name)) {
            Some((name, value)) => {
                filled.push_str(value);
                rest = &rest[name.len()..];
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bug: the task that followed a forgotten conversation was nobody's.
    #[test]
    fn nothing_follows_by_itself_unless_it_is_configured() {
        let uri = || hyper::Uri::from_static("http://127.0.0.1:1/");
        let config = |task: Value| Config {
            listen: ([127, 0, 0, 1], 0).into(),
            secret: Vec::new(),
            gateway: uri(),
            token: String::new(),
            report_url: uri(),
            state_file: "state".into(),
            agent: "dev".into(),
            prompt: None,
            task: task.as_object().cloned().unwrap_or_default(),
        };
        let delivery = Delivery {
            id: "1".into(),
            assigned: true,
            issue: crate::delivery::Issue {
                repo: "a/b".into(),
                number: 1,
                url: String::new(),
                title: String::new(),
                body: String::new(),
            },
            sender: "charles".into(),
        };
        let of = |task| task_of(&config(task), &delivery)["on_not_found"].clone();
        assert_eq!(of(json!({})), "fail");
        assert_eq!(of(json!({"on_not_found": "fresh"})), "fresh");
    }

    #[test]
    fn a_template_is_filled_once() {
        let values = [("{title}", "{body}"), ("{body}", "B")];
        assert_eq!(fill("{title} {x} {body}{", &values), "{body} {x} B{");
        assert_eq!(fill("plain", &values), "plain");
    }
}
