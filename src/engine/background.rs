//! The server's own clock and post: due timers become ticks, outbox items become messages, the disk is watched.
//!
//! One thread for all partitions, in the lowest class: paced, with a bounded number under way.

use super::{
    Shared, answers, backlog,
    directory::Directory,
    inbox::NO_WORKER,
    lanes::Put,
    work::{Delivered, Envelope, MessageWork, NoticeWork, Work},
};
use crate::{
    kernel::{Address, ClaimSpace, EntityId, EntityKind, Incoming, Machine, OrgId, RowSpace, UnixMillis, VaultField},
    store::{
        Ops, OutboxItem, StoreError,
        keys::{self, KeyKind},
        record::{HighWater, Target},
    },
};
use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::spawn_local,
};

/// What the background asks of a directory, whatever its machine.
pub(super) trait OwnWork {
    fn tick(&self, shared: &Arc<Shared>, to: Address, due: UnixMillis) -> oneshot::Receiver<Delivered>;
    fn message(&self, shared: &Arc<Shared>, letter: Letter<'_>) -> Result<oneshot::Receiver<Delivered>, String>;
    /// Tells an entity about a row of the post, which goes with the record.
    fn notice(
        &self,
        shared: &Arc<Shared>,
        incoming: Incoming<'_>,
        post_key: &[u8],
    ) -> Result<oneshot::Receiver<Delivered>, String>;
}

/// A message with everything it needs on its last way.
pub(super) struct Letter<'a> {
    incoming: Incoming<'a>,
    id: HighWater,
    taken: Option<HighWater>,
    outbox_key: Option<Vec<u8>>,
}

impl<M: Machine> OwnWork for Directory<M> {
    fn tick(&self, shared: &Arc<Shared>, to: Address, due: UnixMillis) -> oneshot::Receiver<Delivered> {
        let (done, receiver) = oneshot::channel();
        let work = Work::Tick { due, now: shared.clock.now(), done };
        shared.route::<M>(Box::new(Envelope { to, origin: NO_WORKER, work }));
        receiver
    }

    fn message(&self, shared: &Arc<Shared>, letter: Letter<'_>) -> Result<oneshot::Receiver<Delivered>, String> {
        let (done, receiver) = oneshot::channel();
        let (to, from) = (letter.incoming.to, letter.incoming.from);
        let command = M::message(letter.incoming)?;
        let Letter { id, taken, outbox_key, .. } = letter;
        let now = shared.clock.now();
        let work = Work::Message(MessageWork { command, from, id, taken, outbox_key, now, done });
        shared.route::<M>(Box::new(Envelope { to, origin: NO_WORKER, work }));
        Ok(receiver)
    }

    fn notice(
        &self,
        shared: &Arc<Shared>,
        incoming: Incoming<'_>,
        post_key: &[u8],
    ) -> Result<oneshot::Receiver<Delivered>, String> {
        let (done, receiver) = oneshot::channel();
        let to = incoming.to;
        let command = M::message(incoming)?;
        let work = Work::Notice(NoticeWork { command, post_key: post_key.to_vec(), now: shared.clock.now(), done });
        shared.route::<M>(Box::new(Envelope { to, origin: NO_WORKER, work }));
        Ok(receiver)
    }
}

pub(super) fn start(shared: Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("background".to_owned()).spawn(move || {
        tokio::task::LocalSet::new().block_on(&runtime, async move {
            let mut loops = vec![spawn_local(watch_disk(Arc::clone(&shared)))];
            for partition in shared.db.partitions().all() {
                loops.push(spawn_local(ticks(Arc::clone(&shared), partition)));
                loops.push(spawn_local(outbox(Arc::clone(&shared), partition)));
                loops.push(spawn_local(answers::forget(Arc::clone(&shared), partition)));
                loops.push(spawn_local(backlog::watch(Arc::clone(&shared), partition)));
            }
            for each in loops {
                let _ = each.await;
            }
        });
    })
}

pub(super) fn is_over(shared: &Shared) -> bool {
    shared.stopping.load(Ordering::Acquire)
}

/// How often due timers are looked for, and how many are under way at once.
const TICK_PACE: Duration = Duration::from_millis(100);
const TICKS_AT_ONCE: usize = 256;
/// Timers that are over leave marks in the store until it merges, and a look from the beginning walks over all of them:
/// so most looks begin a little before where the last one ended, and every twentieth finds what was armed further back.
const LOOKS_BACK_MS: u64 = 5_000;
const LOOKS_FROM_THE_BEGINNING: u32 = 20;

async fn ticks(shared: Arc<Shared>, partition: u8) {
    let waiting = metrics::gauge!("castellan_timers_due", "partition" => partition.to_string());
    let late = metrics::gauge!("castellan_timers_late_seconds", "partition" => partition.to_string());
    let (mut beats, mut looked_to) = (0u32, UnixMillis(0));
    while !is_over(&shared) {
        tokio::time::sleep(TICK_PACE).await;
        let now = shared.clock.now();
        let is_whole = beats.is_multiple_of(LOOKS_FROM_THE_BEGINNING) || now < looked_to;
        let from = if is_whole { UnixMillis(0) } else { UnixMillis(looked_to.0.saturating_sub(LOOKS_BACK_MS)) };
        let [from, end] = [from, UnixMillis(now.0 + 1)].map(|due| keys::timers_from(partition, due));
        let rows = shared.db.scan_between(&from, &end, TICKS_AT_ONCE).unwrap_or_else(|error| {
            tracing::error!(%error, "timers cannot be read");
            Vec::new()
        });
        let due: Vec<_> = rows.iter().filter_map(|(key, _)| keys::parse_timer(key)).collect();
        // Whoever looked from further back than all that is due has seen the rest.
        if due.len() < TICKS_AT_ONCE {
            (beats, looked_to) = (beats + 1, now);
        }
        late.set(due.first().map_or(0.0, |(due, _)| now.since(*due).as_secs_f64()));
        waiting.set(due.len() as f64);
        let under_way: Vec<_> = due
            .into_iter()
            .filter_map(|(due, address)| {
                shared.kinds.get(&address.entity.kind).map(|kind| kind.own_work().tick(&shared, address, due))
            })
            .collect();
        for tick in under_way {
            let _ = tick.await;
        }
    }
}

const DISK_PACE: Duration = Duration::from_secs(2);

/// Below the watermark the server only reads; it recovers by itself.
async fn watch_disk(shared: Arc<Shared>) {
    let mut beats = 0u32;
    while !is_over(&shared) {
        if beats.is_multiple_of(20) {
            match rustix::fs::statvfs(shared.db.folder()) {
                Ok(disk) => {
                    let free_mib = disk.f_bavail.saturating_mul(disk.f_frsize) >> 20;
                    let low = free_mib < shared.config.disk_low_watermark_mib;
                    if shared.read_only.swap(low, Ordering::AcqRel) != low {
                        tracing::warn!(free_mib, low, "disk watermark");
                    }
                    metrics::gauge!("castellan_disk_free_bytes").set((free_mib << 20) as f64);
                }
                Err(error) => tracing::error!(%error, "free disk space cannot be read"),
            }
        }
        beats += 1;
        tokio::time::sleep(DISK_PACE / 20).await;
    }
}

/// Messages of a partition that may be under way at once, to different recipients.
const LETTERS_AT_ONCE: usize = 512;
/// Rows read in one go.
const OUTBOX_PAGE: usize = 512;

/// Messages of one lane held in memory; further ones wait in the store.
const LANE_MAX: usize = 64;

/// Recipients are served side by side, each in order: an item that waits never blocks another's queue. Fan-outs have a
/// lane of their own, without order among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Lane {
    To(Address),
    FanOuts,
}

type Lanes = super::lanes::Lanes<Lane, (OutboxItem, bool)>;

/// One partition's outbox at work.
struct Outbox {
    shared: Arc<Shared>,
    partition: usize,
    lanes: RefCell<Lanes>,
    room: Arc<Semaphore>,
}

impl Outbox {
    /// A row is done with; its lane may have left others in the store.
    fn done(&self, lane: Lane, key: &[u8]) {
        if self.lanes.borrow_mut().done(&lane, key) {
            self.shared.outbox_news[self.partition].notify_one();
        }
    }
}

async fn outbox(shared: Arc<Shared>, partition: u8) {
    let outbox = Rc::new(Outbox {
        lanes: RefCell::new(Lanes::new(LANE_MAX)),
        room: Arc::new(Semaphore::new(LETTERS_AT_ONCE)),
        partition: usize::from(partition),
        shared: Arc::clone(&shared),
    });
    let lanes_gauge =
        metrics::gauge!("castellan_outbox_lanes", "outbox" => "messages", "partition" => partition.to_string());
    let prefix = keys::prefix(partition, KeyKind::Outbox);
    let mut after: Option<Vec<u8>> = None;
    while !is_over(&shared) {
        let gap = outbox.lanes.borrow_mut().gap();
        if let Some(mut gap) = gap {
            // What begins a key stands before it: the scan reads the row itself again.
            gap.pop();
            after = after.min(Some(gap));
        }
        let rows = shared.db.scan(&prefix, after.as_deref(), OUTBOX_PAGE).unwrap_or_else(|error| {
            tracing::error!(%error, "the outbox cannot be read");
            Vec::new()
        });
        let full = rows.len() == OUTBOX_PAGE;
        for (key, value) in rows {
            after = Some(key.clone());
            match minicbor::decode::<OutboxItem>(&value) {
                Ok(item) => route(&outbox, key, item).await,
                Err(error) => tracing::error!(%error, "an outbox item cannot be read"),
            }
        }
        lanes_gauge.set(outbox.lanes.borrow().len() as f64);
        if !full {
            let news = shared.outbox_news[usize::from(partition)].notified();
            let _ = tokio::time::timeout(Duration::from_millis(500), news).await;
        }
    }
}

/// Puts an item into its recipient's lane, and a lane that was empty to work.
async fn route(outbox: &Rc<Outbox>, key: Vec<u8>, item: OutboxItem) {
    let org = item.from.org;
    let (to, unclaimed) = match &item.to {
        Target::Entity(address) => (*address, false),
        Target::ClaimHolder(space, digest) => {
            let holder = ClaimSpace::from_number(*space)
                .ok_or(StoreError::Corrupt { what: "claim space", why: space.to_string() })
                .and_then(|space| outbox.shared.db.claim_holder(space, org, digest));
            match holder {
                Ok(Some(holder)) => (holder, false),
                Ok(None) => (item.from, true),
                Err(error) => return tracing::error!(%error, "a claim's holder cannot be read"),
            }
        }
        Target::Index(..) => {
            let put = outbox.lanes.borrow_mut().put(Lane::FanOuts, &key, (item.clone(), false));
            if matches!(put, Put::First | Put::Waits) {
                spawn_local(fan_out(Rc::clone(outbox), key, item));
            }
            return;
        }
    };
    let put = outbox.lanes.borrow_mut().put(Lane::To(to), &key, (item, unclaimed));
    if put == Put::First {
        let Ok(permit) = Arc::clone(&outbox.room).acquire_owned().await else { return };
        spawn_local(run_lane(Rc::clone(outbox), to, permit));
    }
}

async fn run_lane(outbox: Rc<Outbox>, to: Address, _permit: OwnedSemaphorePermit) {
    let lane = Lane::To(to);
    loop {
        let front = outbox.lanes.borrow().front(&lane);
        let Some((key, (item, unclaimed))) = front else { return };
        if !deliver(&outbox.shared, to, &item, unclaimed, Some(key.clone())).await {
            return;
        }
        outbox.done(lane, &key);
    }
}

/// How often a message is sent again whose receiver cannot yet take over a value: some ten seconds in all.
const TAKEN_ATTEMPTS_MAX: u32 = 17;

/// Sends one message until it is taken or refused; false when the server is over.
async fn deliver(
    shared: &Arc<Shared>,
    to: Address,
    item: &OutboxItem,
    unclaimed: bool,
    outbox_key: Option<Vec<u8>>,
) -> bool {
    let mut pause = Duration::from_millis(5);
    let mut patience = TAKEN_ATTEMPTS_MAX;
    loop {
        if is_over(shared) {
            return false;
        }
        match send(shared, to, item, unclaimed, outbox_key.clone()) {
            Ok(sent) => match sent.await {
                Ok(Delivered::Done) => return true,
                Ok(Delivered::Taken) if patience > 0 => patience -= 1,
                Ok(Delivered::Refused | Delivered::Taken) => {
                    shared.stats.messages_refused.increment(1);
                    return forget(shared, item.from.org, outbox_key).await;
                }
                Ok(Delivered::Later) | Err(_) => {}
            },
            Err(why) => {
                tracing::error!(%why, from = %item.from.entity, to = %to.entity, "a message cannot be sent");
                shared.stats.messages_refused.increment(1);
                return forget(shared, item.from.org, outbox_key).await;
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

fn send(
    shared: &Arc<Shared>,
    to: Address,
    item: &OutboxItem,
    unclaimed: bool,
    outbox_key: Option<Vec<u8>>,
) -> Result<oneshot::Receiver<Delivered>, String> {
    let (db, from) = (&shared.db, item.from);
    let secret = match item.secret.and_then(|(subject, field)| Some((subject, VaultField::from_number(field)?))) {
        Some((subject, field)) => shared.keys.read(db, subject, field).map_err(|error| error.to_string())?,
        None => None,
    };
    let taken = db
        .get(&keys::high_water(db.partition_of(to.org), to, from))
        .map_err(|error| error.to_string())?
        .and_then(|bytes| minicbor::decode(&bytes).ok());
    let id = HighWater { revision: item.revision, n: item.n };
    let secret = secret.as_ref().map(|secret| secret.as_slice());
    let (keys, chance) = (&*shared.keys, &shared.chance);
    let incoming = Incoming { to, from, body: &item.body, secret, unclaimed, keys, chance };
    let kind = shared.kinds.get(&to.entity.kind).ok_or("no such kind of entity")?;
    kind.own_work().message(shared, Letter { incoming, id, taken, outbox_key })
}

/// Removes an outbox row without its recipient.
pub(super) async fn forget(shared: &Arc<Shared>, org: OrgId, outbox_key: Option<Vec<u8>>) -> bool {
    let Some(key) = outbox_key else { return true };
    let mut ops = Ops::default();
    ops.delete(&key);
    write(shared, org, ops).await
}

async fn write(shared: &Arc<Shared>, org: OrgId, ops: Ops) -> bool {
    super::upkeep::write(shared, shared.db.partition_of(org), ops).await
}

/// Recipients of a fan-out that are asked at once before its cursor moves on.
const FAN_OUT_AT_ONCE: usize = 128;

/// One row for however many recipients: it carries a cursor over an index and moves it on as they are served.
async fn fan_out(outbox: Rc<Outbox>, key: Vec<u8>, mut item: OutboxItem) {
    let (shared, org) = (Arc::clone(&outbox.shared), item.from.org);
    while let Target::Index(space, prefix, kind, cursor) = item.to.clone() {
        let after = (!cursor.is_empty()).then_some(cursor.as_slice());
        let rows = match RowSpace::from_number(space) {
            Some(space) => shared.db.rows(space, org, &prefix, after, FAN_OUT_AT_ONCE),
            None => Err(StoreError::Corrupt { what: "row space", why: space.to_string() }),
        };
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => return tracing::error!(%error, "a fan-out's index cannot be read"),
        };
        let Some(last) = rows.last().map(|(key, _)| key.clone()) else {
            if forget(&shared, org, Some(key.clone())).await {
                outbox.done(Lane::FanOuts, &key);
            }
            return;
        };
        let recipients = rows.iter().filter_map(|(row, _)| {
            let raw = row.last_chunk::<16>().map(|bytes| u128::from_be_bytes(*bytes))?;
            Some(Address { org, entity: EntityId { kind: EntityKind::from_number(kind)?, raw } })
        });
        let one = &item;
        let served = recipients.map(|to| deliver(&shared, to, one, false, None));
        if futures_util::future::join_all(served).await.contains(&false) {
            return;
        }
        item.to = Target::Index(space, prefix, kind, last);
        let mut ops = Ops::default();
        ops.put(&key, &minicbor::to_vec(&item).unwrap_or_default());
        write(&shared, org, ops).await;
    }
}
