//! Opening the database and reading from it. Writing is the commit log's business alone.

use super::{StoreError, keys, record::StoredRecord, scan::behind};
use crate::kernel::{Address, ClaimSpace, OrgId, RowSpace, UnixMillis};
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, BoundColumnFamily, Cache, ColumnFamilyDescriptor, DBCompactionStyle,
    DBCompressionType, DBWithThreadMode, Direction, IteratorMode, MultiThreaded, ReadOptions, properties,
};
use std::{path::Path, sync::Arc};

/// The data format of this program. Older data is read for ever, newer is refused.
pub const FORMAT: u32 = 1;

const METADATA_PART_BYTES: usize = 4096;

/// Column families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Everything that is overwritten or removed.
    Default,
    /// Records, which are only ever appended and trimmed.
    Events,
}

/// How RocksDB is tuned.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub partitions: u8,
    pub max_total_wal_mib: u64,
    pub block_cache_mib: usize,
    pub write_buffer_mib: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { partitions: 1, max_total_wal_mib: 512, block_cache_mib: 256, write_buffer_mib: 64 }
    }
}

/// Which partition an organisation's entities live in.
#[derive(Debug, Clone, Copy)]
pub struct Partitions {
    count: u8,
}

impl Partitions {
    pub fn new(count: u8) -> Self {
        Self { count: count.max(1) }
    }

    pub fn of(self, org: OrgId) -> u8 {
        // The low byte of an id is random, so organisations spread evenly; SYSTEM is 0.
        (org.0 as u8) % self.count
    }

    pub fn all(self) -> std::ops::Range<u8> {
        0..self.count
    }
}

/// One open data folder.
#[derive(Clone)]
pub struct Db {
    raw: Arc<DBWithThreadMode<MultiThreaded>>,
    partitions: Partitions,
}

/// In bytes.
#[derive(Debug, Clone, Copy)]
pub struct StoreMemory {
    /// Blocks read from disk, with the tables' indexes and filters.
    pub block_cache: u64,
    /// Rows that are not yet in tables.
    pub memtables: u64,
    /// What open tables hold outside the cache.
    pub table_readers: u64,
}

/// A key and its value.
pub type KeyValue = (Vec<u8>, Vec<u8>);

impl Db {
    /// Opens a data folder, or makes a new one when `create` is set.
    pub fn open(folder: &Path, options: Options, create: bool) -> Result<Self, StoreError> {
        if !create && !folder.join("CURRENT").exists() {
            return Err(StoreError::NotInitialised(folder.display().to_string()));
        }
        let cache = Cache::new_lru_cache(options.block_cache_mib << 20);
        let mut family = rocksdb::Options::default();
        family.set_write_buffer_size(options.write_buffer_mib << 20);
        // The upper levels are rewritten soon: compressing them would be work for nothing.
        family.set_compression_type(DBCompressionType::Lz4);
        family.set_compression_per_level(&[
            DBCompressionType::None,
            DBCompressionType::None,
            DBCompressionType::Lz4,
            DBCompressionType::Lz4,
            DBCompressionType::Lz4,
            DBCompressionType::Zstd,
            DBCompressionType::Zstd,
        ]);
        let mut general = family.clone();
        general.create_if_missing(create);
        general.create_missing_column_families(true);
        general.set_max_total_wal_size(options.max_total_wal_mib << 20);
        general.set_max_background_jobs(2);
        general.set_bytes_per_sync(1 << 20);
        // Syncing bytes written over an old log file takes half as long as syncing a file that grows.
        general.set_recycle_log_file_num(4);
        general.set_keep_log_file_num(4);
        // A storm is over before merging what it wrote is due: that waits for quieter minutes, and never goes before it.
        let mut environment = rocksdb::Env::new()?;
        environment.lower_thread_pool_cpu_priority();
        general.set_env(&environment);
        let families = [
            ColumnFamilyDescriptor::new("events", append_only(family.clone(), &cache)),
            ColumnFamilyDescriptor::new("default", overwritten(family, &cache, options)),
        ];
        let raw = DBWithThreadMode::open_cf_descriptors(&general, folder, families).map_err(|error| {
            let locked = error.kind() == rocksdb::ErrorKind::IOError && error.as_ref().contains("lock file");
            if locked { StoreError::InUse(folder.display().to_string()) } else { error.into() }
        })?;
        let db = Self { raw: Arc::new(raw), partitions: Partitions::new(options.partitions) };
        db.check_format(options.partitions, create)?;
        Ok(db)
    }

    fn check_format(&self, partitions: u8, create: bool) -> Result<(), StoreError> {
        match self.raw.get(keys::global("format"))? {
            None if create => {
                self.raw.put(keys::global("format"), FORMAT.to_be_bytes())?;
                self.raw.put(keys::global("partitions"), [partitions])?;
                Ok(())
            }
            None => Err(StoreError::Corrupt { what: "format", why: "there is none".to_owned() }),
            Some(bytes) => {
                let found = bytes.try_into().map(u32::from_be_bytes).unwrap_or(u32::MAX);
                if found > FORMAT {
                    return Err(StoreError::NewerFormat { found, known: FORMAT });
                }
                let found = self.raw.get(keys::global("partitions"))?.and_then(|bytes| bytes.first().copied());
                match found {
                    Some(found) if found != partitions => Err(StoreError::Partitions { found, configured: partitions }),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Closes the database if nobody else holds it, else gives it back.
    pub fn try_close(self) -> Result<(), Self> {
        let Self { raw, partitions } = self;
        Arc::try_unwrap(raw).map(drop).map_err(|raw| Self { raw, partitions })
    }

    pub(super) fn raw(&self) -> &DBWithThreadMode<MultiThreaded> {
        &self.raw
    }

    /// # Panics
    /// Never: both families are opened with the database.
    #[expect(clippy::expect_used, reason = "both families are opened with the database")]
    pub(super) fn family(&self, family: Family) -> Arc<BoundColumnFamily<'_>> {
        let name = match family {
            Family::Default => "default",
            Family::Events => "events",
        };
        self.raw.cf_handle(name).expect("opened with the database")
    }

    /// Memory that the database itself holds: bounded by its options, whatever is known or awake.
    pub fn memory(&self) -> Result<StoreMemory, StoreError> {
        let of = |family, what| {
            Ok::<_, StoreError>(self.raw.property_int_value_cf(&self.family(family), what)?.unwrap_or_default())
        };
        // One cache for both families.
        Ok(StoreMemory {
            block_cache: of(Family::Default, properties::BLOCK_CACHE_USAGE)?,
            memtables: of(Family::Default, properties::SIZE_ALL_MEM_TABLES)?
                + of(Family::Events, properties::SIZE_ALL_MEM_TABLES)?,
            table_readers: of(Family::Default, properties::ESTIMATE_TABLE_READERS_MEM)?
                + of(Family::Events, properties::ESTIMATE_TABLE_READERS_MEM)?,
        })
    }

    pub fn folder(&self) -> &Path {
        self.raw.path()
    }

    pub fn partitions(&self) -> Partitions {
        self.partitions
    }

    pub fn partition_of(&self, org: OrgId) -> u8 {
        self.partitions.of(org)
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.raw.get(key)?)
    }

    /// The same of a value that is not asked for again soon: it leaves the cache to others.
    pub fn get_once(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.raw.get_opt(key, &passing_by())?)
    }

    /// A value that belongs to the whole folder and is written once, by `init`.
    pub fn put_global(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        let mut durable = rocksdb::WriteOptions::default();
        durable.set_sync(true);
        Ok(self.raw.put_opt(keys::global(name), value, &durable)?)
    }

    /// What no server does: tests of damage and of what old data looks like.
    #[cfg(test)]
    pub fn raw_put(&self, key: &[u8], value: &[u8]) {
        self.raw.put(key, value).unwrap();
    }

    #[cfg(test)]
    pub fn raw_delete(&self, key: &[u8]) {
        self.raw.delete(key).unwrap();
    }

    /// The first row at or behind `from` whose key begins with `prefix`.
    pub fn first_from(&self, family: Family, prefix: &[u8], from: &[u8]) -> Result<Option<KeyValue>, StoreError> {
        let mode = IteratorMode::From(from, Direction::Forward);
        match self.raw.iterator_cf(&self.family(family), mode).next().transpose()? {
            Some((key, value)) if key.starts_with(prefix) => Ok(Some((key.into_vec(), value.into_vec()))),
            _ => Ok(None),
        }
    }

    /// Rows of one organisation; keys come without the organisation's prefix.
    pub fn rows(
        &self,
        space: RowSpace,
        org: OrgId,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, StoreError> {
        let partition = self.partition_of(org);
        let prefix = keys::row(partition, space, org, prefix);
        let after = after.map(|after| keys::row(partition, space, org, after));
        let mut rows = self.scan(&prefix, after.as_deref(), limit)?;
        rows.iter_mut().for_each(|(key, _)| {
            key.drain(..keys::ROW_PREFIX);
        });
        Ok(rows)
    }

    /// Organisations and their list rows, in order, behind `after`.
    pub fn organisations(&self, after: Option<OrgId>, limit: usize) -> Result<Vec<(OrgId, Vec<u8>)>, StoreError> {
        let mut found = Vec::new();
        for partition in self.partitions.all() {
            let after = after.map(|after| keys::row(partition, RowSpace::Organisations, after, &[]));
            let prefix = keys::row_space(partition, RowSpace::Organisations);
            for (key, row) in self.scan(&prefix, after.as_deref(), limit)? {
                let org = key.get(keys::ROW_PREFIX - 16..).and_then(OrgId::from_bytes);
                let org = org.ok_or(StoreError::Corrupt { what: "organisation's row", why: "its key".to_owned() })?;
                found.push((org, row));
            }
        }
        found.sort_unstable_by_key(|(org, _)| *org);
        found.truncate(limit);
        Ok(found)
    }

    /// Rows of one space of all organisations, partition after partition, behind the whole key `after`. For counts over
    /// everything: they leave the cache to others.
    pub fn rows_of_all(
        &self,
        space: RowSpace,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, StoreError> {
        let first = after.and_then(|after| after.first().copied()).unwrap_or_default();
        for partition in self.partitions.all().filter(|partition| *partition >= first) {
            let rows = self.scan_once(&keys::row_space(partition, space), after, limit)?;
            if !rows.is_empty() {
                return Ok(rows);
            }
        }
        Ok(Vec::new())
    }

    /// The first organisation that has this row.
    pub fn row_everywhere(&self, space: RowSpace, key: &[u8]) -> Result<Option<(OrgId, Vec<u8>)>, StoreError> {
        const PAGE: usize = 1000;
        let mut after = None;
        loop {
            let page = self.organisations(after, PAGE)?;
            for (org, _) in &page {
                if let Some(row) = self.get(&keys::row(self.partition_of(*org), space, *org, key))? {
                    return Ok(Some((*org, row)));
                }
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE => after = Some(*last),
                _ => return Ok(None),
            }
        }
    }

    /// Rewrites the rows under a prefix, so that what was deleted is in no table any more.
    pub fn compact(&self, prefix: &[u8]) {
        let mut options = rocksdb::CompactOptions::default();
        options.set_bottommost_level_compaction(rocksdb::BottommostLevelCompaction::Force);
        let end = behind(prefix);
        self.raw.compact_range_cf_opt(&self.family(Family::Default), Some(prefix), end.as_deref(), &options);
    }

    pub fn claim_holder(
        &self,
        space: ClaimSpace,
        org: OrgId,
        digest: &[u8; 32],
    ) -> Result<Option<Address>, StoreError> {
        let row = self.get(&keys::claim(self.partition_of(org), space, org, digest))?;
        Ok(row.and_then(|bytes| Address::from_bytes(&bytes)))
    }

    pub fn armed(&self, of: Address) -> Result<Option<UnixMillis>, StoreError> {
        let row = self.get(&keys::armed(self.partition_of(of.org), of))?;
        Ok(row.and_then(|bytes| bytes.try_into().ok()).map(|bytes| UnixMillis(u64::from_be_bytes(bytes))))
    }

    /// Records of an entity from revision `from` on, oldest first, handed to `each`.
    pub fn each_record(
        &self,
        of: Address,
        from: u64,
        mut each: impl FnMut(StoredRecord) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.each_record_while(of, from, |record| each(record).map(|()| true))
    }

    /// The same until `each` says that it has enough.
    pub fn each_record_while(
        &self,
        of: Address,
        from: u64,
        mut each: impl FnMut(StoredRecord) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let partition = self.partition_of(of.org);
        let mut read = passing_by();
        if let Some(end) = behind(&keys::event(partition, of, 0)[..=Address::BYTES]) {
            read.set_iterate_upper_bound(end);
        }
        let start = keys::event(partition, of, from);
        let mode = IteratorMode::From(&start, Direction::Forward);
        for row in self.raw.iterator_cf_opt(&self.family(Family::Events), read, mode) {
            let (key, value) = row?;
            if !each(StoredRecord::read(&key, &value)?)? {
                break;
            }
        }
        Ok(())
    }

    /// The oldest record of each entity of a partition, in order behind `after`.
    pub fn oldest_records(
        &self,
        partition: u8,
        after: Option<Address>,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let mut from = after.map_or_else(|| vec![partition], |after| keys::event(partition, after, u64::MAX).to_vec());
        let mut rows = self.raw.raw_iterator_cf_opt(&self.family(Family::Events), passing_by());
        let mut found = Vec::new();
        while found.len() < limit {
            rows.seek(&from);
            let Some((key, value)) = rows.item().filter(|(key, _)| key.first() == Some(&partition)) else { break };
            let record = StoredRecord::read(key, value)?;
            from = keys::event(partition, record.of, u64::MAX).to_vec();
            found.push(record);
        }
        rows.status()?;
        Ok(found)
    }

    /// Records of an entity before revision `before`, newest first.
    pub fn history(&self, of: Address, before: Option<u64>, limit: usize) -> Result<Vec<StoredRecord>, StoreError> {
        let partition = self.partition_of(of.org);
        let first = keys::event(partition, of, 0);
        let mut read = ReadOptions::default();
        read.set_iterate_lower_bound(first.to_vec());
        let last = keys::event(partition, of, before.map_or(u64::MAX, |before| before.saturating_sub(1)));
        let mode = IteratorMode::From(&last, Direction::Reverse);
        let mut records = Vec::new();
        for row in self.raw.iterator_cf_opt(&self.family(Family::Events), read, mode).take(limit) {
            let (key, value) = row?;
            records.push(StoredRecord::read(&key, &value)?);
        }
        Ok(records)
    }
}

/// For entities on their way into memory, where they are read from then on, and for rounds over everything. Parts
/// of indexes and filters are not brought into the cache by it either.
pub(super) fn passing_by() -> ReadOptions {
    let mut read = ReadOptions::default();
    read.fill_cache(false);
    read
}

/// Snapshots, rows and timers are a small part of what is written.
/// What both families' tables have in common.
fn tables(cache: &Cache) -> BlockBasedOptions {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_bloom_filter(10.0, false);
    table.set_partition_filters(true);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // In parts of a few KiB: a read that does not fill the cache would unpack a table's whole index each time.
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_metadata_block_size(METADATA_PART_BYTES);
    table
}

/// Snapshots are written over again and again: the more tables a merge takes at once, the less it writes.
fn overwritten(mut family: rocksdb::Options, cache: &Cache, options: Options) -> rocksdb::Options {
    family.set_block_based_table_factory(&tables(cache));
    family.set_write_buffer_size((options.write_buffer_mib << 20) / 2);
    family.set_level_zero_file_num_compaction_trigger(8);
    family
}

/// Records are written once and read rarely, and then many in a row: in large blocks, merged late, seldom rewritten.
fn append_only(mut family: rocksdb::Options, cache: &Cache) -> rocksdb::Options {
    let mut table = tables(cache);
    table.set_block_size(16 << 10);
    family.set_block_based_table_factory(&table);
    family.set_compaction_style(DBCompactionStyle::Universal);
    family.set_level_zero_file_num_compaction_trigger(10);
    family.set_level_zero_slowdown_writes_trigger(40);
    family.set_level_zero_stop_writes_trigger(60);
    family
}

#[cfg(test)]
mod tests;
