//! `castellan verify`: folds every entity's base and events against its snapshot, and looks at what must agree with them.

use super::{
    Kinds,
    erasure::ClosedOrgs,
    load,
    verify_feed::{FeedIndex, Folded},
    verify_rows::{self, Standing},
};
use crate::{
    kernel::{Address, EntityKind, Machine, UnixMillis},
    store::{
        Db, Family, OutboxItem, StoreError, StoredRecord, Tail,
        keys::{self, KeyKind},
        record::MailItem,
    },
};
use std::collections::BTreeSet;

/// What was looked at, and what does not hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub entities: u64,
    pub records: u64,
    pub events: u64,
    pub snapshots: u64,
    /// States that stand for trimmed records.
    pub bases: u64,
    pub timers: u64,
    pub claims: u64,
    pub outbox_items: u64,
    pub feed_entries: u64,
    pub mails: u64,
    /// List and index rows that were compared with what they are made from.
    pub rows: u64,
    pub(super) standing: Standing,
    /// Those that wait for a time and whose timer was not found by it: it may be one that fires earlier.
    untimed: BTreeSet<Address>,
    pub findings: Vec<String>,
}

/// More findings than this help nobody.
const FINDINGS_MAX: usize = 100;

impl Report {
    pub(super) fn find(&mut self, finding: String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}

pub(super) type Checker = fn(&Db, Address, &mut Folded, &mut Report) -> Result<(), StoreError>;

/// Folds one entity: revisions are dense behind its base, and its snapshot is what base and events up to it make.
pub(super) fn check_entity<M: Machine>(
    db: &Db,
    of: Address,
    indexed: &mut Folded,
    report: &mut Report,
) -> Result<(), StoreError> {
    match check_history::<M>(db, of, indexed, report) {
        Err(StoreError::Corrupt { what, why }) => report.find(format!("{}: a {what} is wrong: {why}", of.entity)),
        other => other?,
    }
    report.entities += 1;
    Ok(())
}

fn check_history<M: Machine>(
    db: &Db,
    of: Address,
    indexed: &mut Folded,
    report: &mut Report,
) -> Result<(), StoreError> {
    let base = load::base::<M>(db, of)?;
    report.bases += u64::from(base.is_some());
    let load::Folded { mut state, mut revision, .. } = base.unwrap_or_else(|| load::Folded::blank(of));
    let snapshot = load::snapshot::<M>(db, of, 0)?;
    report.snapshots += u64::from(snapshot.is_some());
    // One from before the base is never read again.
    let snapshot = snapshot.filter(|snapshot| snapshot.revision >= revision);
    let mut compared = snapshot.is_none();
    let mut compare = |state: &M, revision, report: &mut Report| {
        let Some(snapshot) = snapshot.as_ref().filter(|snapshot| snapshot.revision == revision) else { return };
        compared = true;
        let (mut folded, mut cached) = (Vec::new(), Vec::new());
        state.to_snapshot(&mut folded);
        snapshot.state.to_snapshot(&mut cached);
        if folded != cached {
            report.find(format!("{}: its snapshot at revision {revision} is not what its events make", of.entity));
        }
    };
    compare(&state, revision, report);
    db.each_record(of, 0, |record: StoredRecord| {
        load::apply(&mut state, &mut revision, &record)?;
        indexed.add(record.first_revision);
        report.records += 1;
        report.events += record.events.len() as u64;
        compare(&state, revision, report);
        Ok(())
    })?;
    if !compared {
        report.find(format!("{}: its snapshot is ahead of its events", of.entity));
    }
    if let Some(deadline) = state.next_deadline()
        && !fires(db, of, load::armed(db, of, Some(deadline))?)?
    {
        report.untimed.insert(of);
    }
    verify_rows::check_state(db, of, &state, report)
}

/// Whether the row of this timer is there.
fn fires(db: &Db, of: Address, armed: Option<UnixMillis>) -> Result<bool, StoreError> {
    let Some(due) = armed else { return Ok(false) };
    Ok(db.get(&keys::timer(db.partition_of(of.org), due, of))?.is_some())
}

const PAGE: usize = 4_096;

/// Hands every row of a kind to `each`.
pub(super) fn each_row(
    db: &Db,
    prefix: &[u8],
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let rows = db.scan(prefix, after.as_deref(), PAGE)?;
        for (key, value) in &rows {
            each(key, value)?;
        }
        match rows.last() {
            Some((last, _)) if rows.len() == PAGE => after = Some(last.clone()),
            _ => return Ok(()),
        }
    }
}

/// Looks at the whole data folder.
pub fn verify(db: &Db, kinds: &Kinds, mut progress: impl FnMut(&Report)) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let closed = ClosedOrgs::stored(db)?;
    for partition in db.partitions().all() {
        let end = Tail::stored(db, partition)?.position;
        let mut index = FeedIndex::read(db, partition, end, &mut report)?;
        let mut next = Some(vec![partition]);
        while let Some(from) = next.take() {
            let Some((key, _)) = db.first_from(Family::Events, &[partition], &from)? else { break };
            let Some((address, _)) = keys::parse_event(&key) else {
                report.find("an event key cannot be read".to_owned());
                break;
            };
            match kinds.kinds.get(&address.entity.kind) {
                // What is left of it is on its way out.
                _ if closed.has(address.org) => drop(index.of(address)),
                Some(kind) => {
                    let mut folded = index.of(address);
                    kind.checker()(db, address, &mut folded, &mut report)?;
                    folded.compare(address, &mut report);
                }
                None => report.find(format!("{}: nobody serves this kind", address.entity)),
            }
            progress(&report);
            next = Some(keys::event(partition, address, u64::MAX).to_vec());
        }
        check_bases(db, kinds, partition, &closed, &mut index, &mut report)?;
        index.left(&mut report);
        check_timers(db, partition, &mut report)?;
        check_claims(db, partition, &mut report)?;
        each_row(db, &keys::prefix(partition, KeyKind::Outbox), |_, value| {
            report.outbox_items += 1;
            if let Err(error) = minicbor::decode::<OutboxItem>(value) {
                report.find(format!("an outbox item cannot be read: {error}"));
            }
            Ok(())
        })?;
        each_row(db, &keys::prefix(partition, KeyKind::Post), |_, value| {
            report.mails += 1;
            if let Err(error) = minicbor::decode::<MailItem>(value) {
                report.find(format!("a mail in the outbox cannot be read: {error}"));
            }
            Ok(())
        })?;
        verify_rows::check_rest(db, partition, &closed, &mut report)?;
    }
    Ok(report)
}

/// Entities whose records are all trimmed: their base is all there is.
fn check_bases(
    db: &Db,
    kinds: &Kinds,
    partition: u8,
    closed: &ClosedOrgs,
    index: &mut FeedIndex,
    report: &mut Report,
) -> Result<(), StoreError> {
    each_row(db, &keys::prefix(partition, KeyKind::Base), |key, _| {
        let Some(address) = keys::parse_address(key) else {
            report.find("the key of a base cannot be read".to_owned());
            return Ok(());
        };
        if closed.has(address.org) || !db.history(address, None, 1)?.is_empty() {
            return Ok(());
        }
        match kinds.kinds.get(&address.entity.kind) {
            Some(kind) => {
                let mut indexed = index.of(address);
                kind.checker()(db, address, &mut indexed, report)?;
                indexed.compare(address, report);
            }
            None => report.find(format!("{}: nobody serves this kind", address.entity)),
        }
        Ok(())
    })
}

/// A timer fires when its entity asks for it or, left over from an earlier deadline, before that. To be called when the
/// partition's entities were looked at.
fn check_timers(db: &Db, partition: u8, report: &mut Report) -> Result<(), StoreError> {
    each_row(db, &keys::prefix(partition, KeyKind::Timer), |key, _| {
        report.timers += 1;
        let Some((due, of)) = keys::parse_timer(key) else {
            report.find("a timer key cannot be read".to_owned());
            return Ok(());
        };
        report.untimed.remove(&of);
        let known = match db.armed(of)? {
            // One before it, or one of an entity's first deadline, fires once for nothing.
            Some(armed) => due <= armed || fires(db, of, Some(armed))?,
            None => is_known(db, partition, of)?,
        };
        if !known {
            report.find(format!("{}: a timer row that the entity does not know", of.entity));
        }
        Ok(())
    })?;
    for of in std::mem::take(&mut report.untimed) {
        report.find(format!("{}: it waits for a time, and no timer will fire", of.entity));
    }
    Ok(())
}

fn is_known(db: &Db, partition: u8, of: Address) -> Result<bool, StoreError> {
    Ok(!db.history(of, None, 1)?.is_empty() || db.get(&keys::base(partition, of))?.is_some())
}

fn check_claims(db: &Db, partition: u8, report: &mut Report) -> Result<(), StoreError> {
    each_row(db, &keys::prefix(partition, KeyKind::Claim), |_, value| {
        report.claims += 1;
        let known = match Address::from_bytes(value) {
            Some(holder) => is_known(db, partition, holder)?,
            None => false,
        };
        if !known {
            report.find("a claim belongs to nobody".to_owned());
        }
        Ok(())
    })
}

impl Kinds {
    /// The kinds that are served, for a report.
    pub fn names(&self) -> Vec<&'static str> {
        let mut kinds: Vec<_> = self.kinds.keys().copied().map(EntityKind::name).collect();
        kinds.sort_unstable();
        kinds
    }
}
