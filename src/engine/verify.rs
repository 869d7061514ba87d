//! `castellan verify`: folds every entity's events against its snapshot, and looks at what must agree with them.

use super::{
    Kinds, load,
    verify_feed::{FeedIndex, Folded},
};
use crate::{
    kernel::{Address, EntityKind, Machine},
    store::{
        Db, Family, OutboxItem, StoreError, StoredRecord, Tail,
        keys::{self, KeyKind},
        record::MailItem,
    },
};

/// What was looked at, and what does not hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub entities: u64,
    pub records: u64,
    pub events: u64,
    pub snapshots: u64,
    pub timers: u64,
    pub claims: u64,
    pub outbox_items: u64,
    pub feed_entries: u64,
    pub mails: u64,
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

/// Folds one entity: revisions are dense, and its snapshot is what the events up to it make.
pub(super) fn check_entity<M: Machine>(
    db: &Db,
    of: Address,
    folded: &mut Folded,
    report: &mut Report,
) -> Result<(), StoreError> {
    let stored = load::snapshot::<M>(db, of)?;
    let mut compared = stored.is_none();
    let (mut state, mut revision) = (M::blank(of), 0);
    let result = db.each_record(of, 0, |record: StoredRecord| {
        load::apply(&mut state, &mut revision, &record)?;
        folded.add(record.first_revision);
        report.records += 1;
        report.events += record.events.len() as u64;
        if let Some((head, snapshot, _)) = &stored
            && head.revision == revision
        {
            compared = true;
            let (mut folded, mut cached) = (Vec::new(), Vec::new());
            state.to_snapshot(&mut folded);
            snapshot.to_snapshot(&mut cached);
            if folded != cached {
                report.find(format!("{}: its snapshot at revision {revision} is not what its events make", of.entity));
            }
        }
        Ok(())
    });
    match result {
        Err(StoreError::Corrupt { what, why }) => report.find(format!("{}: a {what} is wrong: {why}", of.entity)),
        other => other?,
    }
    if !compared {
        report.find(format!("{}: its snapshot is ahead of its events", of.entity));
    }
    report.snapshots += u64::from(stored.is_some());
    report.entities += 1;
    Ok(())
}

const PAGE: usize = 4_096;

/// Hands every row of a kind to `each`.
fn each_row(
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
    }
    Ok(report)
}

fn check_timers(db: &Db, partition: u8, report: &mut Report) -> Result<(), StoreError> {
    each_row(db, &keys::prefix(partition, KeyKind::Timer), |key, _| {
        report.timers += 1;
        match keys::parse_timer(key) {
            Some((due, of)) if db.armed(of)? != Some(due) => {
                report.find(format!("{}: a timer row that the entity does not know", of.entity));
            }
            Some(_) => {}
            None => report.find("a timer key cannot be read".to_owned()),
        }
        Ok(())
    })
}

fn check_claims(db: &Db, partition: u8, report: &mut Report) -> Result<(), StoreError> {
    each_row(db, &keys::prefix(partition, KeyKind::Claim), |_, value| {
        report.claims += 1;
        let known = match Address::from_bytes(value) {
            Some(holder) => !db.history(holder, None, 1)?.is_empty(),
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
