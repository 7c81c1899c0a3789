//! Secrets of a task, and the digest by which a repeated dispatch is known.

use protocol::TaskId;
use protocol::control::{OnNotFound, RunRequest};
use protocol::shim::Token;
use sha2::{Digest, Sha256};

use crate::ledger::TaskSecret;

/// The digest of everything that the caller chose. What the caller merely has
/// around itself (its environment) is left out: a repeated `run --id` from
/// another shell is the same dispatch. So is what it wants to wait for.
pub(super) fn of_dispatch(
    request: &RunRequest,
    on_not_found: Option<OnNotFound>,
    memory_bytes: Option<u64>,
    max_cost_micros: Option<u64>,
    run_as: Option<&str>,
) -> String {
    let mut chosen = request.clone();
    chosen.client_env.clear();
    chosen.wait_for_exec = true;
    let mut bytes = postcard::to_allocvec(&chosen).unwrap_or_default();
    // The usual leaves no trace: it is what earlier versions did not know.
    if let Some(limit) = memory_bytes {
        bytes.extend(format!("memory {limit}").as_bytes());
    }
    if let Some(limit) = max_cost_micros {
        bytes.extend(format!("max_cost {limit}").as_bytes());
    }
    if let Some(user) = run_as {
        bytes.extend(format!("as {user}").as_bytes());
    }
    match on_not_found.unwrap_or_default() {
        OnNotFound::Fresh => {}
        OnNotFound::Fail => bytes.extend(b"on_not_found=fail"),
    }
    hex(&Sha256::digest(&bytes))
}

/// The hash by which a token is known to the ledger.
pub(super) fn of_token(token: &Token) -> String {
    hex(&Sha256::digest(token.0))
}

/// A fresh token and nonce.
///
/// # Errors
/// When the kernel has no random bytes to give.
pub(super) fn new_secret(
    task: &TaskId,
    spec_digest: String,
) -> Result<(TaskSecret, Token), getrandom::Error> {
    let mut token = Token([0; 32]);
    let mut nonce = [0; 16];
    getrandom::fill(&mut token.0)?;
    getrandom::fill(&mut nonce)?;
    let secret = TaskSecret {
        task_id: task.clone(),
        token_hash: of_token(&token),
        nonce: hex(&nonce),
        spec_digest,
    };
    Ok((secret, token))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
