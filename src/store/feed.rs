//! The feed index: for each commit batch one row that names its records, in order. Written by the log itself, so that
//! whoever has the batch can make the same row.
//!
//! `epoch u64 · (address 33 · first revision u64) …`. A batch without records has a row too: positions have no gaps.

use super::{
    Db, StoreError,
    db::Family,
    keys::{self, KeyKind},
    log::{Batch, Tail},
    record::StoredRecord,
};
use crate::kernel::{Address, EntityId, EntityKind, FeedCursor, OrgId, UnixMillis};
use rocksdb::{Direction, IteratorMode, ReadOptions};
use std::collections::HashSet;

const EPOCH: usize = 8;
const ENTRY: usize = Address::BYTES + 8;

/// A row while its batch is written.
pub(super) struct IndexRow(Vec<u8>);

impl IndexRow {
    pub fn of(batch: &Batch) -> Self {
        let mut row = Vec::with_capacity(EPOCH + ENTRY * batch.records.len());
        row.extend_from_slice(&batch.epoch.to_be_bytes());
        Self(row)
    }

    /// Everything of an event's key but its partition.
    pub fn add(&mut self, event_key: &[u8]) {
        self.0.extend_from_slice(event_key.get(1..).filter(|entry| entry.len() == ENTRY).unwrap_or_default());
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A row as it is read back.
struct Entries<'a> {
    epoch: u64,
    entries: &'a [u8],
}

impl<'a> Entries<'a> {
    fn read(row: &'a [u8]) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt { what: "row of the feed index", why: format!("{} bytes", row.len()) };
        let (epoch, entries) = row.split_first_chunk::<EPOCH>().ok_or_else(corrupt)?;
        if !entries.len().is_multiple_of(ENTRY) {
            return Err(corrupt());
        }
        Ok(Self { epoch: u64::from_be_bytes(*epoch), entries })
    }

    fn len(&self) -> u32 {
        u32::try_from(self.entries.len() / ENTRY).unwrap_or(u32::MAX)
    }

    fn get(&self, number: u32) -> Option<(Address, u64)> {
        let entry = self.entries.get(number as usize * ENTRY..)?.get(..ENTRY)?;
        let (address, revision) = entry.split_at(Address::BYTES);
        Some((Address::from_bytes(address)?, u64::from_be_bytes(revision.try_into().ok()?)))
    }

    /// Compared as bytes: most records belong to others.
    fn is_of(&self, number: u32, org: &[u8; 16]) -> bool {
        self.entries.get(number as usize * ENTRY..).is_some_and(|entry| entry.starts_with(org))
    }
}

/// Whose events are wanted.
#[derive(Debug, Clone, Copy)]
pub struct FeedQuery {
    pub org: OrgId,
    pub entity: Option<EntityId>,
    pub kind: Option<EntityKind>,
    /// Records at most.
    pub limit: usize,
}

impl FeedQuery {
    pub fn of(org: OrgId, limit: usize) -> Self {
        Self { org, entity: None, kind: None, limit }
    }

    fn wants(&self, entity: EntityId) -> bool {
        self.entity.is_none_or(|wanted| wanted == entity) && self.kind.is_none_or(|wanted| wanted == entity.kind)
    }
}

/// A record and where it stands in the feed. If the reader had seen its first events already, they are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedRecord {
    pub before: FeedCursor,
    pub after: FeedCursor,
    pub record: StoredRecord,
}

impl FeedRecord {
    /// Right before the record's event with this index.
    pub fn cursor_before(&self, event: usize) -> FeedCursor {
        let seen = u32::try_from(event).unwrap_or(u32::MAX);
        FeedCursor { event: self.before.event + seen, ..self.before }
    }

    /// Right behind the record's event with this index.
    pub fn cursor_behind(&self, event: usize) -> FeedCursor {
        if event + 1 >= self.record.events.len() {
            return self.after;
        }
        let seen = u32::try_from(event + 1).unwrap_or(u32::MAX);
        FeedCursor { event: self.before.event + seen, ..self.before }
    }
}

/// What one bounded look at the feed found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPage {
    pub records: Vec<FeedRecord>,
    /// Where to go on. Without a record it has moved on all the same: others' records lay in between.
    pub reached: FeedCursor,
    /// Nothing more is there at the moment (forward), or at all (backward).
    pub at_end: bool,
}

/// Why the feed cannot be read from a cursor.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// What follows the cursor is not kept any more. `first` is the earliest place that is.
    #[error("what follows this cursor is not kept any more")]
    Trimmed { first: FeedCursor },
    /// No such place was ever handed out.
    #[error("the feed has never had this cursor")]
    Unknown,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Rows and entries looked at in one call: some milliseconds.
const ROWS_MAX: usize = 4_096;
const ENTRIES_MAX: usize = 32_768;

impl Db {
    /// Where the log of an organisation's partition ends, and the first place from which its feed is whole.
    fn feed_ends(&self, org: OrgId) -> Result<(Tail, FeedCursor), StoreError> {
        let partition = self.partition_of(org);
        let tail = Tail::stored(self, partition)?;
        let mut first = match self.scan(&keys::prefix(partition, KeyKind::Feed), None, 1)?.first() {
            Some((key, row)) => FeedCursor::before(Entries::read(row)?.epoch, position(key)?),
            None => FeedCursor::before(tail.epoch, tail.position + 1),
        };
        let floor = self.get(&keys::feed_floor(partition, org))?.and_then(|bytes| bytes.try_into().ok());
        let floor = floor.map_or(0, u64::from_be_bytes);
        if floor > first.position {
            let row = self.get(&keys::feed(partition, floor))?;
            let epoch = row.map_or(Ok(tail.epoch), |row| Entries::read(&row).map(|row| row.epoch))?;
            first = FeedCursor::before(epoch, floor);
        }
        Ok((tail, first))
    }

    /// Whether everything that the cursor says was seen is what this log has.
    fn check_cursor(
        &self,
        partition: u8,
        cursor: FeedCursor,
        upto: u64,
        (tail, first): (&Tail, FeedCursor),
    ) -> Result<(), FeedError> {
        let trimmed = || FeedError::Trimmed { first };
        if cursor.epoch > tail.epoch {
            return Err(FeedError::Unknown);
        }
        if cursor.position > upto + 1 || (cursor.position == upto + 1 && !cursor.is_between_batches()) {
            // A restore has taken away what it had seen.
            return Err(if cursor.epoch < tail.epoch { trimmed() } else { FeedError::Unknown });
        }
        if cursor.position < first.position {
            return Err(trimmed());
        }
        let seen = if cursor.is_between_batches() { cursor.position.saturating_sub(1) } else { cursor.position };
        let epoch = match self.get(&keys::feed(partition, seen.max(first.position)))? {
            Some(row) => Entries::read(&row)?.epoch,
            None => first.epoch,
        };
        if epoch > cursor.epoch { Err(trimmed()) } else { Ok(()) }
    }

    /// Records behind `after`, oldest first, up to the durable position `upto`; from the first that is kept if there is
    /// no cursor.
    pub fn feed(&self, query: FeedQuery, after: Option<FeedCursor>, upto: u64) -> Result<FeedPage, FeedError> {
        let partition = self.partition_of(query.org);
        let (tail, first) = self.feed_ends(query.org)?;
        if let Some(after) = after {
            self.check_cursor(partition, after, upto, (&tail, first))?;
        }
        let from = after.unwrap_or(first);
        let mut read = ReadOptions::default();
        read.set_iterate_upper_bound(keys::feed(partition, upto.saturating_add(1)).to_vec());
        let start = keys::feed(partition, from.position);
        let (mut records, mut rows, mut looked_at) = (Vec::new(), 0, 0);
        let org = query.org.to_bytes();
        for row in self.raw().iterator_opt(IteratorMode::From(&start, Direction::Forward), read) {
            let (key, row) = row.map_err(StoreError::from)?;
            let (position, row) = (position(&key)?, Entries::read(&row)?);
            let begin = FeedCursor::before(row.epoch, position);
            if rows == ROWS_MAX || looked_at >= ENTRIES_MAX {
                return Ok(FeedPage { records, reached: begin, at_end: false });
            }
            rows += 1;
            let (skipped, events) = if position == from.position { (from.record, from.event) } else { (0, 0) };
            for number in (skipped..row.len()).filter(|number| row.is_of(*number, &org)) {
                looked_at += 1;
                let before = FeedCursor { record: number, event: if number == skipped { events } else { 0 }, ..begin };
                if records.len() == query.limit {
                    return Ok(FeedPage { records, reached: before, at_end: false });
                }
                let Some((of, revision)) = row.get(number).filter(|(of, _)| query.wants(of.entity)) else { continue };
                match self.record_at(of, revision)? {
                    Some(record) => records.extend(without_seen(record, before, begin, number)),
                    // Retention has taken it. Whoever goes on from a cursor must hear of it.
                    None if after.is_some() => return Err(FeedError::Trimmed { first }),
                    None => {}
                }
            }
            looked_at += (row.len() as usize).div_ceil(8);
        }
        Ok(FeedPage { records, reached: FeedCursor::before(tail.epoch, upto + 1), at_end: true })
    }

    /// Records before `before` (or the durable position `upto`), newest first.
    pub fn feed_back(&self, query: FeedQuery, before: Option<FeedCursor>, upto: u64) -> Result<FeedPage, FeedError> {
        let partition = self.partition_of(query.org);
        let (tail, first) = self.feed_ends(query.org)?;
        let end = FeedCursor::before(tail.epoch, upto + 1);
        let from = before.filter(|before| before.position <= upto).unwrap_or(end);
        let mut read = ReadOptions::default();
        read.set_iterate_lower_bound(keys::prefix(partition, KeyKind::Feed));
        let last = if from.is_between_batches() { from.position.saturating_sub(1) } else { from.position };
        let start = keys::feed(partition, last);
        let (mut records, mut rows, mut looked_at) = (Vec::new(), 0, 0);
        let org = query.org.to_bytes();
        for row in self.raw().iterator_opt(IteratorMode::From(&start, Direction::Reverse), read) {
            let (key, row) = row.map_err(StoreError::from)?;
            let (position, row) = (position(&key)?, Entries::read(&row)?);
            let begin = FeedCursor::before(row.epoch, position);
            if rows == ROWS_MAX || looked_at >= ENTRIES_MAX {
                return Ok(FeedPage { records, reached: FeedCursor::before(row.epoch, position + 1), at_end: false });
            }
            rows += 1;
            let partly = position == from.position && !from.is_between_batches();
            let (end, events) = if partly { (from.record, from.event) } else { (row.len(), 0) };
            // The record in whose middle the cursor stands, then those before it.
            let newest_first = (0..end.min(row.len())).rev().map(|number| (number, false));
            let cut = (events > 0).then_some((end, true));
            let of_org = cut.into_iter().chain(newest_first).filter(|(number, _)| row.is_of(*number, &org));
            for (number, cut) in of_org {
                looked_at += 1;
                if records.len() == query.limit {
                    let reached = FeedCursor { record: number + 1, ..begin };
                    return Ok(FeedPage { records, reached, at_end: false });
                }
                let Some((of, revision)) = row.get(number).filter(|(of, _)| query.wants(of.entity)) else { continue };
                let Some(mut record) = self.record_at(of, revision)? else { continue };
                let mut after = FeedCursor { record: number + 1, ..begin };
                if cut {
                    record.events.truncate(events as usize);
                    after = from;
                }
                records.push(FeedRecord { before: FeedCursor { record: number, ..begin }, after, record });
            }
            looked_at += (row.len() as usize).div_ceil(8);
        }
        Ok(FeedPage { records, reached: first, at_end: true })
    }

    /// A place before which no record of the partition is from `at` or later, give or take what clocks and queues make
    /// of it: where to begin when only what is older is wanted.
    pub fn feed_around(&self, org: OrgId, at: UnixMillis, upto: u64) -> Result<FeedCursor, StoreError> {
        let partition = self.partition_of(org);
        let (tail, first) = self.feed_ends(org)?;
        let (mut low, mut high) = (first.position, upto + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.first_time_from(partition, middle, high)? {
                Some((position, found)) if found < at => low = position + 1,
                _ => high = middle,
            }
        }
        Ok(FeedCursor::before(tail.epoch, low))
    }

    /// When the first record was made that stands at `from` or behind it, before `end`; and where it stands.
    fn first_time_from(&self, partition: u8, from: u64, end: u64) -> Result<Option<(u64, UnixMillis)>, StoreError> {
        const ROWS: usize = 64;
        let start = keys::feed(partition, from.saturating_sub(1));
        for (key, row) in self.scan(&keys::prefix(partition, KeyKind::Feed), Some(&start), ROWS)? {
            let (position, row) = (position(&key)?, Entries::read(&row)?);
            if position >= end {
                break;
            }
            if let Some((of, revision)) = row.get(0)
                && let Some(record) = self.record_at(of, revision)?
            {
                return Ok(Some((position, record.at)));
            }
        }
        Ok(None)
    }

    /// The first place that an organisation's feed still has.
    pub fn feed_begin(&self, org: OrgId) -> Result<FeedCursor, StoreError> {
        Ok(self.feed_ends(org)?.1)
    }

    /// Organisations with a record at or behind the position `from`, before `end`, and how far was looked.
    pub fn feed_orgs(&self, partition: u8, from: u64, end: u64) -> Result<(HashSet<OrgId>, u64), StoreError> {
        let mut read = ReadOptions::default();
        read.set_iterate_upper_bound(keys::feed(partition, end).to_vec());
        let start = keys::feed(partition, from);
        let (mut orgs, mut rows) = (HashSet::new(), 0);
        for row in self.raw().iterator_opt(IteratorMode::From(&start, Direction::Forward), read) {
            let (key, row) = row?;
            if rows == ROWS_MAX {
                return Ok((orgs, position(&key)?));
            }
            rows += 1;
            let row = Entries::read(&row)?;
            orgs.extend((0..row.len()).filter_map(|number| Some(row.get(number)?.0.org)));
        }
        Ok((orgs, end))
    }

    fn record_at(&self, of: Address, first_revision: u64) -> Result<Option<StoredRecord>, StoreError> {
        let key = keys::event(self.partition_of(of.org), of, first_revision);
        let value = self.raw().get_pinned_cf(&self.family(Family::Events), key)?;
        value.map(|value| StoredRecord::read(&key, &value)).transpose()
    }

    /// Hands every entry of a partition's index to `each`, in order, with its position.
    pub fn each_feed_entry(
        &self,
        partition: u8,
        mut each: impl FnMut(u64, Option<(Address, u64)>),
    ) -> Result<(), StoreError> {
        let mut read = ReadOptions::default();
        read.set_iterate_upper_bound(vec![partition, KeyKind::Feed as u8 + 1]);
        let prefix = keys::prefix(partition, KeyKind::Feed);
        for row in self.raw().iterator_opt(IteratorMode::From(&prefix, Direction::Forward), read) {
            let (key, row) = row?;
            let (position, row) = (position(&key)?, Entries::read(&row)?);
            if row.len() == 0 {
                each(position, None);
            }
            (0..row.len()).for_each(|number| each(position, row.get(number)));
        }
        Ok(())
    }
}

fn position(key: &[u8]) -> Result<u64, StoreError> {
    keys::parse_feed(key).ok_or(StoreError::Corrupt { what: "row of the feed index", why: "its key".to_owned() })
}

/// The part of a record that the reader has not seen, if there is one.
fn without_seen(mut record: StoredRecord, before: FeedCursor, begin: FeedCursor, number: u32) -> Option<FeedRecord> {
    let seen = before.event as usize;
    if seen > 0 {
        record.events.drain(..seen.min(record.events.len()));
        record.first_revision += seen as u64;
    }
    let after = FeedCursor { record: number + 1, ..begin };
    (!record.events.is_empty()).then_some(FeedRecord { before, after, record })
}
