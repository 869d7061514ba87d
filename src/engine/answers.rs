//! Stored answers to idempotency keys go when they are old: nobody repeats a request of last week.

use super::{Engine, Shared, background::is_over, upkeep};
use crate::{
    kernel::{OrgId, UnixMillis},
    store::{
        Db, Ops, StoreError, StoredReplay,
        keys::{self, KeyKind},
    },
};
use std::{sync::Arc, time::Duration};

/// Answers looked at in one go; with the pause some ten thousand a second.
const PAGE: usize = 500;
const PAUSE: Duration = Duration::from_millis(50);
/// From one round over all of them to the next.
const ROUND: Duration = if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(600) };

/// Those of the next page that are older than `before`, and where to go on; `None` at the end.
fn old_ones(
    db: &Db,
    partition: u8,
    after: Option<&[u8]>,
    before: UnixMillis,
) -> Result<(Ops, u64, Option<Vec<u8>>), StoreError> {
    let rows = db.scan_once(&keys::prefix(partition, KeyKind::Replay), after, PAGE)?;
    let (mut ops, mut count) = (Ops::default(), 0);
    for (key, value) in &rows {
        let stored: StoredReplay = minicbor::decode(value)
            .map_err(|error| StoreError::Corrupt { what: "stored answer", why: error.to_string() })?;
        if stored.at < before {
            ops.delete(key);
            count += 1;
        }
    }
    let last = rows.last().filter(|_| rows.len() == PAGE).map(|(key, _)| key.clone());
    Ok((ops, count, last))
}

impl Engine {
    /// The stored answer to an idempotency key, if there is one.
    pub async fn replay(&self, org: OrgId, key: [u8; 32]) -> Result<Option<StoredReplay>, StoreError> {
        let row = self.with_db(move |db, _| db.get(&keys::replay(db.partition_of(org), &key))).await?;
        row.map(|bytes| minicbor::decode(&bytes))
            .transpose()
            .map_err(|error| StoreError::Corrupt { what: "stored answer", why: error.to_string() })
    }
}

/// Removes them as long as the server runs.
pub(super) async fn forget(shared: Arc<Shared>, partition: u8) {
    let removed = metrics::counter!("castellan_stored_answers_removed_total");
    let mut after: Option<Vec<u8>> = None;
    while !is_over(&shared) {
        let now = shared.clock.now();
        let before = UnixMillis(now.0.saturating_sub(shared.config.answers_kept_s.saturating_mul(1000)));
        match old_ones(&shared.db, partition, after.as_deref(), before) {
            Ok((ops, count, next)) => {
                if count > 0 && upkeep::write(&shared, partition, ops).await {
                    removed.increment(count);
                }
                after = next;
            }
            Err(error) => {
                tracing::error!(%error, "stored answers cannot be read");
                after = None;
            }
        }
        let until = if after.is_some() { PAUSE } else { ROUND };
        let mut waited = Duration::ZERO;
        while waited < until && !is_over(&shared) {
            tokio::time::sleep(PAUSE).await;
            waited += PAUSE;
        }
    }
}
