//! An organisation that goes: nobody reaches it any more, whoever is awake falls asleep, then everything of it is
//! removed, step by step. A row of the system organisation says so until nothing is left, so that a restart goes on.

use super::{
    Engine, Failure, Shared,
    inbox::{Deliver, Parcel},
};
use crate::{
    kernel::{Address, ClaimSpace, OrgId, RowSpace},
    store::{
        Db, Family, OutboxItem, StoreError,
        keys::{self, Channel, KeyKind},
    },
};
use parking_lot::RwLock;
use std::{
    collections::HashSet,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Organisations that are being erased. Asked for every request: one load as long as there is none.
#[derive(Default)]
pub(super) struct ClosedOrgs {
    any: AtomicBool,
    orgs: RwLock<HashSet<OrgId>>,
}

impl ClosedOrgs {
    /// Those whose erasure has begun and not ended.
    pub fn stored(db: &Db) -> Result<Self, StoreError> {
        let closed = Self::default();
        erasures(db)?.into_iter().for_each(|org| closed.close(org));
        Ok(closed)
    }

    pub fn has(&self, org: OrgId) -> bool {
        self.any.load(Ordering::Acquire) && self.orgs.read().contains(&org)
    }

    fn close(&self, org: OrgId) {
        self.orgs.write().insert(org);
        self.any.store(true, Ordering::Release);
    }

    fn open(&self, org: OrgId) {
        let mut orgs = self.orgs.write();
        orgs.remove(&org);
        self.any.store(!orgs.is_empty(), Ordering::Release);
    }
}

/// More organisations than this are not erased at once.
const ERASURES_MAX: usize = 10_000;

fn erasures(db: &Db) -> Result<Vec<OrgId>, StoreError> {
    let rows = db.rows(RowSpace::Erasures, OrgId::SYSTEM, &[], None, ERASURES_MAX)?;
    Ok(rows.iter().filter_map(|(key, _)| OrgId::from_bytes(key)).collect())
}

/// Sends entities to sleep, on the thread of their owner.
struct Dismiss(Vec<Address>);

impl Deliver for Dismiss {
    fn deliver(self: Box<Self>, shared: &Arc<Shared>) {
        for address in self.0 {
            if let Some(kind) = shared.kinds.get(&address.entity.kind) {
                kind.dismiss(address);
            }
        }
    }
}

/// Entities dismissed in one go of a worker.
const DISMISSED_AT_ONCE: usize = 256;
/// Rows removed in one step.
const ROWS_PER_STEP: usize = 1_000;
/// Rows looked at in one go of a reader.
const ROWS_PER_LOOK: usize = 8_192;

impl Engine {
    /// Organisations whose erasure has begun and not ended.
    pub async fn erasures(&self) -> Result<Vec<OrgId>, StoreError> {
        self.with_db(|db, _| erasures(db)).await
    }

    /// From now on nobody reaches this organisation: to all who ask it is not there.
    pub fn close_organisation(&self, org: OrgId) {
        self.shared.closed_orgs.close(org);
    }

    pub fn is_closed(&self, org: OrgId) -> bool {
        self.shared.closed_orgs.has(org)
    }

    /// When nothing of it is left: the id is unknown from now on.
    pub fn forget_organisation(&self, org: OrgId) {
        self.shared.kinds.values().for_each(|kind| kind.forget_views(org));
        self.shared.closed_orgs.open(org);
    }

    /// Waits until no entity of a closed organisation is awake and all they wrote is durable.
    pub async fn put_to_sleep(&self, org: OrgId) {
        const PAUSE: Duration = Duration::from_millis(20);
        let shared = &self.shared;
        loop {
            let restless: Vec<_> = shared.kinds.values().flat_map(|kind| kind.restless(org)).collect();
            if restless.is_empty() {
                return;
            }
            for (worker, inbox) in shared.inboxes.iter().enumerate() {
                let own: Vec<_> = restless.iter().copied().filter(|of| shared.owner(*of) == worker).collect();
                for some in own.chunks(DISMISSED_AT_ONCE) {
                    inbox.push(Parcel::Deliver(Box::new(Dismiss(some.to_vec()))));
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Removes some rows of a closed organisation that sleeps, first what opens its sealed values. How many they were;
    /// 0: nothing is left.
    pub async fn erase_step(&self, org: OrgId) -> Result<u64, Failure<Infallible>> {
        // A step of trimming that is under way would put a base back.
        let _alone = self.shared.trimming.lock().await;
        self.shared.keys_deleted.store(true, Ordering::Release);
        let partition = self.shared.db.partition_of(org);
        let of = |kind| keys::of_organisation(partition, kind, org);
        let mut prefixes = vec![of(KeyKind::SubjectKey), of(KeyKind::Vault)];
        prefixes.extend(RowSpace::ALL.map(|space| keys::row(partition, space, org, &[])));
        prefixes.extend(Channel::ALL.map(|channel| keys::posts_of(partition, channel, org)));
        prefixes.extend(ClaimSpace::STORED.map(|space| keys::claims_of(partition, space, org)));
        for prefix in prefixes {
            if let removed @ 1.. = self.remove_under(partition, Family::Default, prefix).await? {
                return Ok(removed);
            }
        }
        let of_org = move |key: &[u8], _: &[u8]| keys::parse_timer(key).is_some_and(|(_, of)| of.org == org);
        let timers = self.remove_where(partition, KeyKind::Timer, of_org).await?;
        let of_org =
            move |_: &[u8], item: &[u8]| minicbor::decode::<OutboxItem>(item).is_ok_and(|item| item.from.org == org);
        let messages = self.remove_where(partition, KeyKind::Outbox, of_org).await?;
        if timers + messages > 0 {
            return Ok(timers + messages);
        }
        // Records before what stands for them: whoever looks in between finds a whole entity or none.
        let events = keys::events_of(partition, org).to_vec();
        let mut rest = vec![(Family::Events, events)];
        let kinds = [KeyKind::Armed, KeyKind::HighWater, KeyKind::Snapshot, KeyKind::Base];
        rest.extend(kinds.map(|kind| (Family::Default, of(kind))));
        for (family, prefix) in rest {
            if let removed @ 1.. = self.remove_under(partition, family, prefix).await? {
                return Ok(removed);
            }
        }
        Ok(0)
    }

    async fn remove_under(&self, partition: u8, family: Family, prefix: Vec<u8>) -> Result<u64, Failure<Infallible>> {
        let rows = self.with_db(move |db, _| db.scan_family(family, &prefix, None, ROWS_PER_STEP)).await;
        let rows = rows.map_err(|error| Failure::Store(error.to_string()))?;
        let keys: Vec<_> = rows.into_iter().map(|(key, _)| key).collect();
        self.remove(partition, family, &keys).await?;
        Ok(keys.len() as u64)
    }

    /// Removes the rows of a kind that `is` says so of, wherever they stand.
    async fn remove_where(
        &self,
        partition: u8,
        kind: KeyKind,
        is: impl Fn(&[u8], &[u8]) -> bool + Clone + Send + 'static,
    ) -> Result<u64, Failure<Infallible>> {
        let (mut after, mut removed) = (None::<Vec<u8>>, 0);
        loop {
            let (from, is) = (after.take(), is.clone());
            let look = move |db: &Db| {
                let rows = db.scan(&keys::prefix(partition, kind), from.as_deref(), ROWS_PER_LOOK)?;
                let last = rows.last().map(|(key, _)| key.clone()).filter(|_| rows.len() == ROWS_PER_LOOK);
                let found = rows.into_iter().filter(|(key, row)| is(key, row)).map(|(key, _)| key);
                Ok((found.collect::<Vec<_>>(), last))
            };
            let looked = self.with_db(move |db, _| look(db)).await;
            let (found, last) = looked.map_err(|error| Failure::Store(error.to_string()))?;
            for some in found.chunks(ROWS_PER_STEP) {
                self.remove(partition, Family::Default, some).await?;
            }
            removed += found.len() as u64;
            match last {
                Some(last) => after = Some(last),
                None => return Ok(removed),
            }
        }
    }
}
