//! Personal data in the whole house: how long history is kept, what is handed out, what is erased. What each room keeps
//! of people stands in docs/personal-data.md.

pub mod api;
mod erasure;
pub mod export;
mod retention;

#[cfg(test)]
mod tests;

pub use erasure::erase_what_is_to_go;
pub use retention::{Round, Settings, round};

use crate::engine::Engine;
use std::time::Duration;

/// How often it is looked whether an organisation is to go.
const ERASURE_PACE: Duration = Duration::from_millis(500);

/// A start has more urgent things to do.
const QUIET_AFTER_START: Duration = Duration::from_secs(60);

/// The server's own rounds, until it is told to stop. Whatever they are in the middle of, the next start goes on with it.
pub async fn run(engine: Engine, settings: Settings) {
    let erasures = async {
        loop {
            if let Err(failure) = erase_what_is_to_go(&engine, &settings).await {
                tracing::warn!(?failure, "an erasure waits");
            }
            tokio::time::sleep(ERASURE_PACE).await;
        }
    };
    let rounds = async {
        tokio::time::sleep(settings.round_every.min(QUIET_AFTER_START)).await;
        loop {
            if let Err(failure) = round(&engine, &settings).await {
                tracing::warn!(?failure, "a round of retention ended early");
            }
            tokio::time::sleep(settings.round_every).await;
        }
    };
    futures_util::future::join(erasures, rounds).await;
}
