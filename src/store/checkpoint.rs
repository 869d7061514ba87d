//! Checkpoints: a copy of the open database as it is at one moment, made of links, and what can be seen of one.

use super::{
    Db, Family, MasterKeys, StoreError, Tail,
    db::FORMAT,
    keys::{self, KeyKind},
    vault::{self, PEPPER},
};
use crate::kernel::UnixMillis;
use rocksdb::{DBWithThreadMode, Direction, IteratorMode, SingleThreaded, WriteBatch, WriteOptions, checkpoint};
use std::{collections::BTreeSet, path::Path};

/// A closed database, looked at without changing a byte of it.
pub struct Seen {
    pub format: u32,
    /// Where the log of each partition ends.
    pub tails: Vec<Tail>,
    /// Versions of the master key by which something in it is wrapped.
    pub master_keys: BTreeSet<u32>,
    pepper: Vec<u8>,
}

impl Seen {
    /// Looks into a folder that no program has open. RocksDB writes its own log lines into `scratch`.
    pub fn of(folder: &Path, scratch: &Path) -> Result<Self, StoreError> {
        let mut options = rocksdb::Options::default();
        options.set_db_log_dir(scratch);
        let families = ["events", "default"];
        let db = DBWithThreadMode::<SingleThreaded>::open_cf_for_read_only(&options, folder, families, false)?;
        let global = |name: &'static str| {
            db.get(keys::global(name))?.ok_or(StoreError::Corrupt { what: name, why: "there is none".to_owned() })
        };
        let format = global("format")?.try_into().map_or(u32::MAX, u32::from_be_bytes);
        if format > FORMAT {
            return Err(StoreError::NewerFormat { found: format, known: FORMAT });
        }
        let partitions = global("partitions")?.first().copied().unwrap_or_default();
        let pepper = global(PEPPER)?;
        let mut master_keys: BTreeSet<u32> = vault::wrapped_by(&pepper).into_iter().collect();
        let mut tails = Vec::new();
        for partition in 0..partitions {
            tails.push(Tail::read(db.get_pinned(keys::tail(partition))?.as_deref())?);
            let prefix = keys::prefix(partition, KeyKind::SubjectKey);
            for row in db.iterator(IteratorMode::From(&prefix, Direction::Forward)) {
                let (key, wrapped) = row?;
                if !key.starts_with(&prefix) {
                    break;
                }
                master_keys.extend(vault::wrapped_by(&wrapped));
            }
        }
        Ok(Self { format, tails, master_keys, pepper })
    }

    /// Whether these keys open what is sealed in it.
    pub fn opens_with(&self, masters: &MasterKeys) -> Result<(), StoreError> {
        vault::unwrapped(masters, PEPPER.as_bytes(), &self.pepper).map(drop)
    }
}

/// Epochs count seconds from 2025 on: nine digits, which is what a box's cursor has room for, last until 2056.
const FIRST_EPOCH_S: u64 = 1_735_689_600;

impl Db {
    /// Copies the database as it is now into a folder that must not exist. Commits go on meanwhile.
    pub fn checkpoint(&self, into: &Path) -> Result<(), StoreError> {
        Ok(checkpoint::Checkpoint::new(self.raw())?.create_checkpoint(into)?)
    }

    /// Begins a new epoch in every partition: what was told in the old one may never have happened here. Two restores of
    /// one backup must not begin the same epoch, so it is named by the time.
    pub fn raise_epochs(&self, now: UnixMillis) -> Result<Vec<u64>, StoreError> {
        let mut epochs = Vec::new();
        let mut write = WriteBatch::default();
        for partition in self.partitions().all() {
            let mut tail = Tail::stored(self, partition)?;
            tail.epoch = (tail.epoch + 1).max((now.0 / 1000).saturating_sub(FIRST_EPOCH_S));
            epochs.push(tail.epoch);
            write.put(keys::tail(partition), minicbor::to_vec(&tail).unwrap_or_default());
        }
        let mut durable = WriteOptions::default();
        durable.set_sync(true);
        self.raw().write_opt(write, &durable)?;
        self.raw().flush_cf(&self.family(Family::Default))?;
        Ok(epochs)
    }
}
