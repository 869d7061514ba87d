//! What the server does to its own store of its own accord: it trims history behind bases and removes rows. Each step
//! is one record of the partition's log, small enough to hold nobody up; current state never changes by it.

use super::{
    Engine, Failure, Shared,
    committer::Item,
    inbox::NO_WORKER,
    load, marks,
    work::{Delivered, Done},
};
use crate::{
    kernel::{Address, Codec, Machine, OrgId, RowOp, UnixMillis},
    store::{
        Db, Family, Ops, StoreError,
        keys::{self, KeyKind},
        ops::OpTag,
        record::SnapshotHead,
    },
};
use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
};
use tokio::sync::oneshot;

/// What one step of trimming did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trimmed {
    pub records: u64,
    /// There is more that is old enough.
    pub more: bool,
    /// When the oldest record was written that stays.
    pub oldest: Option<UnixMillis>,
}

/// An entity that has records, and when its oldest one was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub of: Address,
    pub oldest: UnixMillis,
}

pub(super) type Trimmer = fn(&Db, Address, UnixMillis) -> Result<Option<Step>, StoreError>;

/// A step that has still to be written.
pub(super) struct Step {
    ops: Ops,
    trimmed: Trimmed,
}

/// Records that one step trims at most.
const RECORDS_PER_STEP: u64 = if cfg!(test) { 16 } else { 1_000 };

/// Folds the oldest records into the base, up to the last that is older than `before`: the base, the end of those
/// records and the word that the feed no longer has them are one step.
pub(super) fn fold<M: Machine>(db: &Db, of: Address, before: UnixMillis) -> Result<Option<Step>, StoreError> {
    let partition = db.partition_of(of.org);
    let mut folded = load::start::<M>(db, of)?;
    let (mut ops, mut trimmed) = (Ops::default(), Trimmed::default());
    db.each_record_while(of, folded.revision + 1, |record| {
        if record.at >= before {
            trimmed.oldest = Some(record.at);
            return Ok(false);
        }
        if trimmed.records == RECORDS_PER_STEP {
            (trimmed.more, trimmed.oldest) = (true, Some(record.at));
            return Ok(false);
        }
        load::apply(&mut folded.state, &mut folded.revision, &record)?;
        folded.last_at = record.at;
        trimmed.records += 1;
        ops.push(OpTag::DeleteEvent, &keys::event(partition, of, record.first_revision), |_| {});
        Ok(true)
    })?;
    if trimmed.records == 0 {
        return Ok(None);
    }
    let head = SnapshotHead { evolve_version: M::EVOLVE_VERSION, revision: folded.revision, last_at: folded.last_at };
    ops.push(OpTag::Put, &keys::base(partition, of), |bytes| {
        head.encode_into(bytes);
        folded.state.to_snapshot(bytes);
    });
    if let Some(floor) = marks::floor(db, partition, of.org, before)? {
        ops.put(&keys::feed_floor(partition, of.org), &floor.to_be_bytes());
    }
    // One from before the base is of no use, and may hold what has expired.
    if load::snapshot_head(db, of)?.is_some_and(|snapshot| snapshot.revision < folded.revision) {
        ops.delete(&keys::snapshot(partition, of));
    }
    Ok(Some(Step { ops, trimmed }))
}

/// Writes operations that belong to no entity's own record.
pub(super) async fn write(shared: &Arc<Shared>, partition: u8, ops: Ops) -> bool {
    let (done, written) = oneshot::channel();
    let finish = Some(Box::new(Done { delivered: Delivered::Done, done }) as Box<dyn super::inbox::Finish>);
    let queue = &shared.queues[usize::from(partition)];
    queue.submit(Item { ops, finish, origin: NO_WORKER, ..Item::default() });
    written.await == Ok(Delivered::Done)
}

impl Engine {
    /// Writes rows of the server's own work, such as how far a webhook has come: nobody decided them, so no event tells
    /// of them. They are durable when this is true. Not for whatever an entity answers for.
    pub async fn keep_rows(&self, org: OrgId, rows: &[RowOp]) -> bool {
        if self.is_closed(org) || self.is_read_only() {
            return false;
        }
        let partition = self.shared.db.partition_of(org);
        let mut ops = Ops::default();
        for row in rows {
            let key = keys::row(partition, row.space, row.org, &row.key);
            match &row.value {
                Some(value) => ops.put(&key, value),
                None => ops.delete(&key),
            }
        }
        write(&self.shared, partition, ops).await
    }

    /// Entities of a partition that have records, in order behind `after`.
    pub async fn histories(
        &self,
        partition: u8,
        after: Option<Address>,
        limit: usize,
    ) -> Result<Vec<Held>, StoreError> {
        let oldest = self.with_db(move |db, _| db.oldest_records(partition, after, limit)).await?;
        Ok(oldest.into_iter().map(|record| Held { of: record.of, oldest: record.at }).collect())
    }

    /// One step of trimming the records of an entity that are older than `before`. Whether it is awake makes no
    /// difference, and one that fails changes nothing.
    pub async fn trim(&self, of: Address, before: UnixMillis) -> Result<Trimmed, Failure<Infallible>> {
        // Two at once would fold the same records, and the slower one would put an older base back.
        let _alone = self.shared.trimming.lock().await;
        let kind = self.shared.kinds.get(&of.entity.kind).filter(|_| !self.is_closed(of.org));
        let Some(kind) = kind else { return Ok(Trimmed::default()) };
        let trimmer = kind.trimmer();
        let step = self.with_db(move |db, _| {
            let fold = catch_unwind(AssertUnwindSafe(|| trimmer(db, of, before)));
            let panicked =
                |_| Err(StoreError::Corrupt { what: "history", why: "its events cannot be folded".to_owned() });
            fold.unwrap_or_else(panicked)
        });
        let step = step.await.map_err(|error| Failure::Store(error.to_string()))?;
        let Some(Step { ops, trimmed }) = step else { return Ok(Trimmed::default()) };
        match write(&self.shared, self.shared.db.partition_of(of.org), ops).await {
            true => Ok(trimmed),
            false => Err(Failure::NotWritten),
        }
    }

    /// Takes deleted keys, and what was sealed under them, out of the tables on disk.
    pub async fn forget_deleted_keys(&self) -> Result<(), StoreError> {
        if !self.shared.keys_deleted.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let db = self.shared.db.clone();
        let compacted = tokio::task::spawn_blocking(move || {
            for partition in db.partitions().all() {
                for kind in [KeyKind::SubjectKey, KeyKind::Vault] {
                    db.compact(&keys::prefix(partition, kind));
                }
            }
        });
        compacted.await.map_err(|error| StoreError::Io(std::io::Error::other(error)))
    }

    /// Removes rows, by their whole keys, in one step.
    pub async fn remove(&self, partition: u8, family: Family, keys: &[Vec<u8>]) -> Result<(), Failure<Infallible>> {
        if keys.is_empty() {
            return Ok(());
        }
        let tag = match family {
            Family::Default => OpTag::Delete,
            Family::Events => OpTag::DeleteEvent,
        };
        let mut ops = Ops::default();
        keys.iter().for_each(|key| ops.push(tag, key, |_| {}));
        if write(&self.shared, partition, ops).await { Ok(()) } else { Err(Failure::NotWritten) }
    }
}
