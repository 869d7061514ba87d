//! What retention needs to know of the log's positions: now and then the server notes where each partition's log ends.
//! A record that is older than a mark stands at its position or before it, so that the feed's index can be trimmed, and
//! its readers told from where on it is whole, without looking at a single record.

use super::{Engine, Failure, upkeep};
use crate::{
    kernel::{OrgId, UnixMillis},
    store::{
        Db, Family, Ops, StoreError, Tail,
        keys::{self, KeyKind},
    },
};
use std::{convert::Infallible, time::Duration};

/// A record is durable a moment after its time: marks are trusted from then on.
const SETTLED: Duration = Duration::from_secs(60);
const ROWS_PER_STEP: usize = 1_000;

/// Marks in order from `from` on, as time and position.
fn marks(db: &Db, partition: u8, from: UnixMillis, limit: usize) -> Result<Vec<(UnixMillis, u64)>, StoreError> {
    let before = keys::mark(partition, UnixMillis(from.0.saturating_sub(1)));
    let rows = db.scan(&keys::marks(partition), Some(&before), limit)?;
    let read = |(key, value): &(Vec<u8>, Vec<u8>)| {
        Some((keys::parse_mark(key)?, u64::from_be_bytes(value.as_slice().try_into().ok()?)))
    };
    Ok(rows.iter().filter_map(read).collect())
}

/// From which position on an organisation's feed is whole when its records older than `before` are gone; `None`: so it
/// is said already. Read it after the records: then the log's end lies behind them all.
pub(super) fn floor(db: &Db, partition: u8, org: OrgId, before: UnixMillis) -> Result<Option<u64>, StoreError> {
    let position = match marks(db, partition, before.plus(SETTLED), 1)?.first() {
        Some((_, position)) => *position,
        None => Tail::stored(db, partition)?.position,
    };
    let said = db.get(&keys::feed_floor(partition, org))?.and_then(|bytes| bytes.try_into().ok());
    Ok(Some(position + 1).filter(|floor| *floor > said.map_or(0, u64::from_be_bytes)))
}

impl Engine {
    /// Notes where the partition's log ends now.
    pub async fn mark_time(&self, partition: u8) -> Result<(), Failure<Infallible>> {
        let tail = self.shared.log.tail(partition).map_err(|error| Failure::Store(error.to_string()))?;
        let mut ops = Ops::default();
        ops.put(&keys::mark(partition, self.clock().now()), &tail.position.to_be_bytes());
        if upkeep::write(&self.shared, partition, ops).await { Ok(()) } else { Err(Failure::NotWritten) }
    }

    /// Says that nothing of an organisation is in its feed. It is erased: this says so for as long as the index names it.
    pub async fn close_feed(&self, org: OrgId) -> Result<(), Failure<Infallible>> {
        let partition = self.shared.db.partition_of(org);
        let floor = self.with_db(move |db, _| floor(db, partition, org, UnixMillis(u64::MAX))).await;
        let Some(floor) = floor.map_err(|error| Failure::Store(error.to_string()))? else { return Ok(()) };
        let mut ops = Ops::default();
        ops.put(&keys::feed_floor(partition, org), &floor.to_be_bytes());
        if upkeep::write(&self.shared, partition, ops).await { Ok(()) } else { Err(Failure::NotWritten) }
    }

    /// Removes rows of the feed's index whose records are all older than `before`. How many.
    pub async fn trim_feed(&self, partition: u8, before: UnixMillis) -> Result<u64, Failure<Infallible>> {
        let mut removed = 0;
        loop {
            let found = self.with_db(move |db, _| {
                let old = marks(db, partition, UnixMillis(0), ROWS_PER_STEP)?;
                let old: Vec<_> = old.into_iter().take_while(|(at, _)| *at <= before).collect();
                let Some((_, position)) = old.last().copied() else { return Ok((Vec::new(), Vec::new())) };
                let rows = db.scan(&keys::prefix(partition, KeyKind::Feed), None, ROWS_PER_STEP)?;
                let keys = rows.into_iter().map(|(key, _)| key);
                let gone = keys.take_while(|key| keys::parse_feed(key).is_some_and(|at| at <= position));
                let passed = old.iter().map(|(at, _)| keys::mark(partition, *at));
                Ok((gone.collect::<Vec<_>>(), passed.collect::<Vec<_>>()))
            });
            let (rows, marks) = found.await.map_err(|error| Failure::Store(error.to_string()))?;
            self.remove(partition, Family::Default, &rows).await?;
            removed += rows.len() as u64;
            if rows.len() < ROWS_PER_STEP {
                // Marks go last: they say how far to go.
                self.remove(partition, Family::Default, &marks).await?;
                return Ok(removed);
            }
        }
    }
}
