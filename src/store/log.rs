//! The commit log: batches of records in order, durable before anyone is told.
//!
//! Behind the trait stand RocksDB (`RocksLog`) and, in tests, a log that fails on purpose (`faults::FaultyLog`).

use super::{Db, StoreError, db::Family, feed::IndexRow, keys, ops::OpTag, ops::Ops};
use minicbor::{Decode, Encode};
use rocksdb::{WriteBatch, WriteBatchIteratorCf, WriteOptions};
use xxhash_rust::xxh3::Xxh3;

/// What becomes durable in one step.
#[derive(Debug)]
pub struct Batch {
    pub partition: u8,
    /// Drawn once: the same id offered again is the same batch.
    pub id: u128,
    /// Raised by a restore from backup.
    pub epoch: u64,
    pub position: u64,
    pub prev_hash: [u8; 16],
    pub records: Vec<Ops>,
}

impl Batch {
    /// Chains the records' bytes to all that came before. It shows where two logs diverge; it is no seal, which is why
    /// it need not be cryptographic: SHA-256 was an eighth of the commit thread's work.
    pub fn hash(&self) -> [u8; 16] {
        let mut hash = Xxh3::new();
        hash.update(&self.prev_hash);
        hash.update(&self.position.to_be_bytes());
        self.records.iter().for_each(|record| hash.update(record.as_bytes()));
        hash.digest128().to_be_bytes()
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    Durable {
        position: u64,
    },
    /// Somebody else wrote at this position: nothing of the batch was written.
    Fenced,
    /// Nothing of the batch was written, and a later one may be.
    Rejected,
    /// It may or may not be written: offer the same batch again.
    Unknown,
    /// The log cannot go on; whether the batch was written shows only after a restart.
    Broken,
}

/// Where a partition's log ends.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Tail {
    #[n(0)]
    pub position: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub hash: Vec<u8>,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub batch_id: Vec<u8>,
    #[n(3)]
    pub epoch: u64,
}

impl Tail {
    pub fn hash(&self) -> [u8; 16] {
        self.hash.as_slice().try_into().unwrap_or_default()
    }

    pub fn stored(db: &Db, partition: u8) -> Result<Self, StoreError> {
        Self::read(db.raw().get_pinned(keys::tail(partition))?.as_deref())
    }

    /// Of a partition in which nothing was written there is none.
    pub(super) fn read(stored: Option<&[u8]>) -> Result<Self, StoreError> {
        match stored {
            Some(bytes) => minicbor::decode(bytes)
                .map_err(|error| StoreError::Corrupt { what: "log tail", why: error.to_string() }),
            None => Ok(Self { position: 0, hash: vec![0; 16], batch_id: vec![0; 16], epoch: 1 }),
        }
    }
}

/// An ordered, durable log of batches, one sequence per partition.
pub trait CommitLog: Send + Sync {
    fn append(&self, batch: &Batch) -> Appended;
    fn tail(&self, partition: u8) -> Result<Tail, StoreError>;
}

/// The log is RocksDB's own write-ahead log: one write batch per commit batch, synced, the tail written with it.
#[derive(Clone)]
pub struct RocksLog {
    db: Db,
}

impl RocksLog {
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Batches of a partition behind `from`. What a follower applies. The write-ahead log is not kept for followers: a
    /// position that it no longer reaches is refused.
    pub fn read(&self, partition: u8, from: u64) -> Result<Vec<(Tail, Vec<RawOp>)>, StoreError> {
        let tail_key = keys::tail(partition);
        let mut found = Vec::new();
        for update in self.db.raw().get_updates_since(0)? {
            let (_, batch) = update?;
            let mut reader = BatchReader { tail_key: &tail_key, tail: None, ops: Vec::new() };
            batch.iterate_cf(&mut reader);
            if let Some(tail) = reader.tail.filter(|tail| tail.position > from) {
                found.push((tail, reader.ops));
            }
        }
        let reached = found.first().map_or(self.tail(partition)?.position, |(tail, _)| tail.position - 1);
        if reached > from {
            return Err(StoreError::LogTrimmed { from, first: reached + 1 });
        }
        Ok(found)
    }
}

/// A row operation as it stands in the write-ahead log: column family, key, value (`None`: removed).
pub type RawOp = (u32, Vec<u8>, Option<Vec<u8>>);

struct BatchReader<'a> {
    tail_key: &'a [u8],
    tail: Option<Tail>,
    ops: Vec<RawOp>,
}

impl WriteBatchIteratorCf for BatchReader<'_> {
    fn put_cf(&mut self, family: u32, key: &[u8], value: &[u8]) {
        if key == self.tail_key {
            self.tail = minicbor::decode(value).ok();
        }
        self.ops.push((family, key.to_vec(), Some(value.to_vec())));
    }

    fn delete_cf(&mut self, family: u32, key: &[u8]) {
        self.ops.push((family, key.to_vec(), None));
    }

    fn merge_cf(&mut self, _: u32, _: &[u8], _: &[u8]) {}
}

impl CommitLog for RocksLog {
    fn append(&self, batch: &Batch) -> Appended {
        let before = match self.tail(batch.partition) {
            Ok(tail) => tail,
            Err(_) => return Appended::Broken,
        };
        if before.position == batch.position && before.batch_id == batch.id.to_be_bytes() {
            return Appended::Durable { position: batch.position };
        }
        if before.position + 1 != batch.position || before.hash() != batch.prev_hash || before.epoch > batch.epoch {
            return Appended::Fenced;
        }
        let mut write = WriteBatch::default();
        let events = self.db.family(Family::Events);
        let mut outbox_index = 0;
        let mut index = IndexRow::of(batch);
        for op in batch.records.iter().flat_map(Ops::iter) {
            match op.tag {
                OpTag::Put => write.put(op.key, op.value),
                OpTag::Delete => write.delete(op.key),
                OpTag::PutEvent => {
                    index.add(op.key);
                    write.put_cf(&events, op.key, op.value);
                }
                OpTag::DeleteEvent => write.delete_cf(&events, op.key),
                OpTag::PutOutbox => {
                    write.put(keys::outbox(batch.partition, batch.position, outbox_index), op.value);
                    outbox_index += 1;
                }
                OpTag::PutPost => {
                    write.put(keys::post(op.key, batch.position, outbox_index), op.value);
                    outbox_index += 1;
                }
            }
        }
        write.put(keys::feed(batch.partition, batch.position), index.bytes());
        let tail = Tail {
            position: batch.position,
            hash: batch.hash().to_vec(),
            batch_id: batch.id.to_be_bytes().to_vec(),
            epoch: batch.epoch,
        };
        write.put(keys::tail(batch.partition), minicbor::to_vec(&tail).unwrap_or_default());
        let mut durable = WriteOptions::default();
        durable.set_sync(true);
        match self.db.raw().write_opt(write, &durable) {
            Ok(()) => Appended::Durable { position: batch.position },
            Err(error) => {
                tracing::error!(%error, "the commit log cannot be written");
                Appended::Broken
            }
        }
    }

    fn tail(&self, partition: u8) -> Result<Tail, StoreError> {
        Tail::stored(&self.db, partition)
    }
}
