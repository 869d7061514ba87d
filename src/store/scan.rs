//! Reading rows in order.

use super::{
    StoreError,
    db::{Db, Family, KeyValue, passing_by},
};
use rocksdb::{Direction, IteratorMode, ReadOptions};

impl Db {
    /// Rows whose key begins with `prefix`, behind `after` (a whole key), in order.
    pub fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<KeyValue>, StoreError> {
        self.scan_family(Family::Default, prefix, after, limit)
    }

    /// Rows from `from` to before `end`. What was removed behind `end` is not walked over.
    pub fn scan_between(&self, from: &[u8], end: &[u8], limit: usize) -> Result<Vec<KeyValue>, StoreError> {
        let mut read = ReadOptions::default();
        read.set_iterate_upper_bound(end);
        let mode = IteratorMode::From(from, Direction::Forward);
        let rows = self.raw().iterator_cf_opt(&self.family(Family::Default), read, mode).take(limit);
        rows.map(|row| row.map(|(key, value)| (key.into_vec(), value.into_vec())).map_err(StoreError::from)).collect()
    }

    /// The same for whoever passes everything that there is: it leaves the cache to others.
    pub fn scan_once(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<KeyValue>, StoreError> {
        self.scan_with(passing_by(), Family::Default, prefix, after, limit)
    }

    pub fn scan_family(
        &self,
        family: Family,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, StoreError> {
        self.scan_with(ReadOptions::default(), family, prefix, after, limit)
    }

    fn scan_with(
        &self,
        mut read: ReadOptions,
        family: Family,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, StoreError> {
        if let Some(end) = behind(prefix) {
            read.set_iterate_upper_bound(end);
        }
        let from = after.filter(|after| *after >= prefix).unwrap_or(prefix);
        let mode = IteratorMode::From(from, Direction::Forward);
        let mut rows = Vec::new();
        for row in self.raw().iterator_cf_opt(&self.family(family), read, mode) {
            let (key, value) = row?;
            if after == Some(&key[..]) {
                continue;
            }
            if rows.len() == limit {
                break;
            }
            rows.push((key.into_vec(), value.into_vec()));
        }
        Ok(rows)
    }
}

/// The first key behind everything that begins with `prefix`.
pub(super) fn behind(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}
