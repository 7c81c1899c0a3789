//! Lists: short ones whole, long ones in pieces.
//!
//! A ledger may have a hundred thousand tasks. Made into JSON at once they would hold up
//! everybody (there is one thread), and be in memory three times.

use hyper::body::Bytes;
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::body::{Body, CutOff, json_response, response};
use super::error::HttpError;
use super::render;

/// Most rows that are made into JSON without a pause: a fraction of a millisecond each.
const AT_ONCE: usize = 200;

/// Bytes of a piece.
const PIECE: usize = 64 << 10;

/// Answers with `{NAME: [ROWS]}`.
pub(super) fn answer<T>(name: &'static str, rows: Vec<T>) -> Result<Response<Body>, HttpError>
where
    T: Serialize + Send + Sync + 'static,
{
    if rows.len() <= AT_ONCE {
        let whole = json!({ name: render::value(&rows)? });
        return Ok(json_response(StatusCode::OK, &whole));
    }
    let body = Body::stream(|pieces| produce(name, rows, pieces));
    Ok(response(StatusCode::OK, "application/json", body))
}

async fn produce<T: Serialize>(
    name: &str,
    rows: Vec<T>,
    pieces: mpsc::Sender<Bytes>,
) -> Result<(), CutOff> {
    let mut piece = format!("{{\"{name}\":[").into_bytes();
    let mut since_pause = 0;
    for (nth, row) in rows.into_iter().enumerate() {
        if nth > 0 {
            piece.push(b',');
        }
        let value = render::value(&row).map_err(|_| CutOff)?;
        serde_json::to_writer(&mut piece, &value).map_err(|_| CutOff)?;
        since_pause += 1;
        if piece.len() >= PIECE || since_pause >= AT_ONCE {
            if pieces
                .send(std::mem::take(&mut piece).into())
                .await
                .is_err()
            {
                return Ok(());
            }
            // There may be room for many pieces: others have their turn all the same. In the
            // first pause the piece is taken, and whoever took it asks on at once.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            since_pause = 0;
        }
    }
    piece.extend_from_slice(b"]}");
    // Whoever hung up needs no more.
    let _gone = pieces.send(piece.into()).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use serde_json::Value;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    async fn read(rows: usize) -> Value {
        let rows = (0..rows).collect();
        let answer = answer("rows", rows).expect("plain");
        let body = answer.into_body().collect().await.expect("whole");
        serde_json::from_slice(&body.to_bytes()).expect("JSON")
    }

    #[tokio::test]
    async fn short_or_long_it_is_the_same() {
        for count in [0, 1, AT_ONCE, AT_ONCE + 1, 10 * AT_ONCE + 7] {
            let expected: Vec<usize> = (0..count).collect();
            assert_eq!(read(count).await, json!({ "rows": expected }));
        }
    }

    #[tokio::test]
    async fn others_have_their_turn_in_between() {
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = turns.clone();
        let other = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let _whole = read(50 * AT_ONCE).await;
        let turns = turns.load(Ordering::Relaxed);
        other.abort();
        assert!(turns >= 40, "{turns}");
    }
}
