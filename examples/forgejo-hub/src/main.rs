//! A hub between Forgejo and an agent supervisor: an issue that is assigned to
//! the agent becomes a task, and what became of the task is reported back.
//!
//! ```text
//! Forgejo ──webhook──▶ web ─▶ store ─▶ courier ──POST /v1/tasks──▶ gateway
//!                               ▲  └──▶ courier ──report URL
//!                               └── follower ◀──SSE /v1/events── gateway
//! ```
//!
//! Whatever was answered to Forgejo is in the state file before: the hub, the
//! supervisor and whoever takes the reports may each be away for any time.

mod config;
mod courier;
mod delivery;
mod follower;
mod http;
mod store;
mod web;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::net::TcpListener;

use crate::config::Config;
use crate::store::Store;

fn main() -> Result<()> {
    let file = std::env::args_os()
        .nth(1)
        .context("which configuration? `forgejo-hub CONFIG.toml`")?;
    let config = Config::load(Path::new(&file))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(config))
}

/// Serves for ever: a kill loses nothing.
async fn serve(config: Config) -> Result<()> {
    let store = Arc::new(Store::open(&config.state_file)?);
    let config = Arc::new(config);
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("listening on {}", config.listen))?;
    println!("forgejo-hub listens on {}", listener.local_addr()?);
    let never = tokio::try_join!(
        web::serve(listener, config.clone(), store.clone()),
        courier::dispatch(config.clone(), store.clone()),
        courier::report(config.clone(), store.clone()),
        follower::follow(config, store),
    );
    never.map(|_: (std::convert::Infallible, _, _, _)| ())
}
