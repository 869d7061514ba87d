//! The feed index against the records: each names what the other has, in the same order.

use super::verify::Report;
use crate::{
    kernel::{Address, OrgId},
    store::{Db, StoreError, keys},
};
use std::collections::HashMap;

/// A strictly growing list of revisions, as what is left of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Revisions {
    first: u64,
    last: u64,
    count: u64,
    sum: u64,
}

impl Revisions {
    fn add(&mut self, revision: u64) {
        if self.count == 0 {
            self.first = revision;
        }
        self.last = revision;
        self.count += 1;
        self.sum = self.sum.wrapping_add(mixed(revision));
    }
}

/// Sums of plain numbers would hide that one is missing and another too much.
fn mixed(number: u64) -> u64 {
    let mixed = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

/// What the index of one partition says.
pub(super) struct FeedIndex {
    listed: HashMap<Address, Revisions>,
    /// Organisations of which older records may stand outside the index.
    floors: HashMap<OrgId, u64>,
    first_position: u64,
}

/// The records of one entity as they are folded.
pub(super) struct Folded {
    listed: Revisions,
    found: Revisions,
    /// Older ones are not in the index.
    from: u64,
}

impl Folded {
    pub fn add(&mut self, first_revision: u64) {
        if first_revision >= self.from {
            self.found.add(first_revision);
        }
    }
}

impl FeedIndex {
    pub fn read(db: &Db, partition: u8, end: u64, report: &mut Report) -> Result<Self, StoreError> {
        let mut index = Self { listed: HashMap::new(), floors: HashMap::new(), first_position: 0 };
        let (mut last, mut failed) = (None, None);
        db.each_feed_entry(partition, |position, entry| {
            match last {
                None => index.first_position = position,
                Some(last) if position == last || position == last + 1 => {}
                Some(last) => report.find(format!("the feed index has a gap between {last} and {position}")),
            }
            last = Some(position);
            let Some((of, revision)) = entry else { return };
            let floor = index.floors.entry(of.org).or_insert_with(|| {
                floor_of(db, partition, of.org).unwrap_or_else(|error| {
                    failed = Some(error);
                    0
                })
            });
            if position < *floor {
                return;
            }
            report.feed_entries += 1;
            let listed = index.listed.entry(of).or_default();
            if listed.count > 0 && revision <= listed.last {
                report
                    .find(format!("{}: revision {revision} stands in the feed index after {}", of.entity, listed.last));
            }
            listed.add(revision);
        })?;
        if last.is_some_and(|last| last != end) {
            report.find(format!("the feed index ends at {}, the log at {end}", last.unwrap_or_default()));
        }
        failed.map_or(Ok(index), Err)
    }

    pub fn of(&mut self, of: Address) -> Folded {
        let listed = self.listed.remove(&of).unwrap_or_default();
        let is_whole = self.first_position == 1 && self.floors.get(&of.org).is_none_or(|floor| *floor == 0);
        let from = if is_whole {
            0
        } else if listed.count == 0 {
            u64::MAX
        } else {
            listed.first
        };
        Folded { listed, found: Revisions::default(), from }
    }

    /// Entities that the index names and nobody has met.
    pub fn left(self, report: &mut Report) {
        for of in self.listed.keys() {
            report.find(format!("{}: the feed index names records that are not there", of.entity));
        }
    }
}

impl Folded {
    pub fn compare(&self, of: Address, report: &mut Report) {
        if self.listed != self.found {
            let (listed, found) = (self.listed.count, self.found.count);
            report.find(format!("{}: the feed index names {listed} records, there are {found}, or others", of.entity));
        }
    }
}

fn floor_of(db: &Db, partition: u8, org: OrgId) -> Result<u64, StoreError> {
    let floor = db.get(&keys::feed_floor(partition, org))?;
    Ok(floor.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes))
}
