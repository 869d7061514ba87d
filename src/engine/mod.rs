//! The actor shell, once for all contexts: inboxes, directory, actors, claims, commit threads, timers, outbox.
//!
//! Nothing leaves the process before what it shows is durable: not an answer, not a read, not a refusal.

mod actor;
mod answers;
mod background;
mod backlog;
mod bells;
mod call;
mod claims;
mod committer;
mod directory;
mod erasure;
mod feed;
mod guarded;
mod inbox;
mod lanes;
mod load;
mod marks;
mod permit;
mod post;
mod readers;
mod stats;
mod subject_keys;
mod upkeep;
pub mod verify;
mod verify_feed;
mod verify_rows;
mod work;
mod write;

#[cfg(test)]
mod tests;

pub use bells::{Bell, Bells};
pub use call::{Call, Committed, Failure};
pub use guarded::Guarded;
pub use permit::{Permit, Room};
pub use post::{Carried, Courier, Post, PostLimits};
pub use upkeep::{Held, Trimmed};
pub use work::ReplayWrite;

use crate::{
    kernel::{
        Address, Chance, ClaimSpace, Clock, EntityKind, FeedCursor, KeyedHash, Machine, OrgId, RowSpace, Stamp,
        UnixMillis, VaultField, invariants::Invariant,
    },
    store::{CommitLog, Db, Keyring, StoreError, StoredRecord, db::KeyValue, keys},
};
use committer::{CommitQueue, Committer};
use directory::{Directory, Kind};
use inbox::{Deliver, Inbox, NO_WORKER, Parcel};
use parking_lot::Mutex;
use stats::Stats;
use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::{Notify, oneshot, watch};
use work::{Asked, CommandWork, Envelope, Reading, Work};

/// Limits of the shell. `config/castellan.toml` says what each is for.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    pub workers: usize,
    pub readers: usize,
    pub awake_entities_max: usize,
    pub mailbox_capacity: usize,
    pub idle_before_sleep_s: u32,
    pub snapshot_every_events: u32,
    /// How long answers to idempotency keys are kept.
    pub answers_kept_s: u64,
    /// Read-only below so much free disk.
    pub disk_low_watermark_mib: u64,
    /// Who carries mails out. Without one they wait in the outbox.
    pub courier: Option<Arc<dyn Courier>>,
    /// What a broken log leads to: in production the end of the process.
    pub on_broken_log: fn(),
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            workers: 2,
            readers: 2,
            awake_entities_max: 100_000,
            mailbox_capacity: 64,
            idle_before_sleep_s: 900,
            snapshot_every_events: 256,
            answers_kept_s: 7 * 24 * 3600,
            disk_low_watermark_mib: 512,
            courier: None,
            on_broken_log: || {},
        }
    }
}

struct Shared {
    /// Tells engines of one process apart, from 1: a thread may outlive the one it worked for.
    number: u64,
    config: EngineConfig,
    db: Db,
    keys: Arc<Keyring>,
    log: Arc<dyn CommitLog>,
    clock: Clock,
    chance: Chance,
    up_since: UnixMillis,
    started: std::time::Instant,
    /// Of each partition's log.
    epochs: Box<[u32]>,
    inboxes: Box<[Inbox]>,
    queues: Box<[CommitQueue]>,
    outbox_news: Box<[Notify]>,
    feed_news: Box<[watch::Sender<FeedCursor>]>,
    post_news: Notify,
    bells: Arc<Bells>,
    claims: claims::Claims,
    subject_keys: subject_keys::SubjectKeys,
    closed_orgs: erasure::ClosedOrgs,
    /// Somebody's key was deleted, and may still stand in a table on disk. After a start nobody knows.
    keys_deleted: AtomicBool,
    /// Held while a history is trimmed.
    trimming: tokio::sync::Mutex<()>,
    kinds: HashMap<EntityKind, Arc<dyn Kind>>,
    readers: readers::Readers,
    stats: Stats,
    generation: AtomicU64,
    awake: AtomicUsize,
    /// Commands that somebody waits for.
    asked: AtomicUsize,
    read_only: AtomicBool,
    broken: AtomicBool,
    /// The server's own work ends.
    stopping: AtomicBool,
    /// Nobody submits any more: the commit threads end when they have written what they have.
    closed: AtomicBool,
    threads: Mutex<Threads>,
}

impl Shared {
    fn owner(&self, of: Address) -> usize {
        let mixed = (of.entity.raw as u64 ^ (of.entity.raw >> 64) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 32) as usize % self.inboxes.len()
    }

    fn worker_index(self: &Arc<Self>) -> Option<usize> {
        let worker = inbox::current_worker(self);
        (worker != NO_WORKER).then_some(usize::from(worker))
    }

    /// Seconds since the start, for idleness.
    fn coarse_s(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    fn claim_digest(&self, space: ClaimSpace, org: OrgId, value: &[u8]) -> [u8; 32] {
        self.keys.keyed_hash("claim", &[&[space as u8], &org.to_bytes(), value])
    }

    fn violated(&self, invariant: Invariant) {
        tracing::error!(invariant.id, invariant.says, "invariant violated");
        metrics::counter!("castellan_invariant_violations_total", "id" => invariant.id).increment(1);
    }

    /// Gives work to the worker that owns the entity.
    fn route<M: Machine>(self: &Arc<Self>, envelope: Box<Envelope<M>>) {
        let owner = self.owner(envelope.to);
        if usize::from(inbox::current_worker(self)) == owner {
            envelope.deliver(self);
        } else {
            self.inboxes[owner].push(Parcel::Deliver(envelope));
        }
    }

    fn poison(&self, address: Address, generation: u64) {
        struct Poison(Address, u64);
        impl Deliver for Poison {
            fn deliver(self: Box<Self>, shared: &Arc<Shared>) {
                if let Some(kind) = shared.kinds.get(&self.0.entity.kind) {
                    kind.poison(shared, self.0, self.1);
                }
            }
        }
        self.inboxes[self.owner(address)].push(Parcel::Deliver(Box::new(Poison(address, generation))));
    }

    /// The log cannot go on. Waiters hear that their outcome is unknown; a restart reads what is durable.
    fn broke(&self) {
        if !self.broken.swap(true, Ordering::AcqRel) {
            tracing::error!("the commit log is broken: stopping, a restart reads what is durable");
            (self.config.on_broken_log)();
        }
    }
}

/// The kinds of entities an engine serves.
pub struct Kinds {
    workers: usize,
    kinds: HashMap<EntityKind, Arc<dyn Kind>>,
}

impl Kinds {
    pub fn new(workers: usize) -> Self {
        Self { workers, kinds: HashMap::new() }
    }

    #[must_use]
    pub fn with<M: Machine>(mut self) -> Self {
        self.kinds.insert(M::KIND, Arc::new(Directory::<M>::new(self.workers)));
        self
    }
}

/// The running shell. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

impl Engine {
    /// Starts commit, reader and background threads. Workers attach themselves.
    pub fn start(
        config: EngineConfig,
        kinds: Kinds,
        db: Db,
        log: Arc<dyn CommitLog>,
        keys: Arc<Keyring>,
        clock: Clock,
        chance: Chance,
    ) -> Result<Self, StoreError> {
        let partitions = usize::from(db.partitions().all().end);
        static ENGINES: AtomicU64 = AtomicU64::new(1);
        let tails: Vec<_> = db.partitions().all().map(|partition| log.tail(partition)).collect::<Result<_, _>>()?;
        let shared = Arc::new(Shared {
            epochs: tails.iter().map(|tail| u32::try_from(tail.epoch).unwrap_or(u32::MAX)).collect(),
            number: ENGINES.fetch_add(1, Ordering::Relaxed),
            up_since: clock.now(),
            started: crate::kernel::time::instant(),
            inboxes: (0..config.workers.max(1)).map(|_| Inbox::default()).collect(),
            queues: (0..partitions).map(|_| CommitQueue::default()).collect(),
            outbox_news: (0..partitions).map(|_| Notify::new()).collect(),
            feed_news: (0..partitions).map(|_| watch::Sender::default()).collect(),
            post_news: Notify::new(),
            bells: Arc::default(),
            claims: claims::Claims::default(),
            subject_keys: subject_keys::SubjectKeys::default(),
            closed_orgs: erasure::ClosedOrgs::stored(&db)?,
            keys_deleted: AtomicBool::new(true),
            trimming: tokio::sync::Mutex::default(),
            kinds: kinds.kinds,
            readers: readers::Readers::start(config.readers.max(1))?,
            stats: Stats::new(),
            generation: AtomicU64::new(1),
            awake: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
            read_only: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            threads: Mutex::default(),
            config,
            db,
            keys,
            log,
            clock,
            chance,
        });
        let mut commit = Vec::new();
        for (partition, tail) in shared.db.partitions().all().zip(tails) {
            shared.tell_followers(partition, &tail);
            let committer = Committer::new(Arc::clone(&shared), partition, tail);
            let name = format!("commit-{partition}");
            commit.push(std::thread::Builder::new().name(name).spawn(move || committer.run())?);
        }
        let mut background = vec![background::start(Arc::clone(&shared))?];
        if let Some(courier) = shared.config.courier.clone() {
            background.push(post::start(Arc::clone(&shared), courier)?);
        }
        *shared.threads.lock() = Threads { background, commit };
        Ok(Self { shared })
    }

    /// Makes the calling thread a worker. It must run a tokio `LocalSet`; calling it twice does no harm.
    pub fn attach_worker(&self) {
        inbox::attach(&self.shared);
    }

    /// Whether every worker is there, so that every entity has its owner.
    pub fn is_ready(&self) -> bool {
        let shared = &self.shared;
        !shared.broken.load(Ordering::Acquire)
            && !shared.stopping.load(Ordering::Acquire)
            && shared.inboxes.iter().all(Inbox::is_attached)
    }

    pub fn is_read_only(&self) -> bool {
        self.shared.read_only.load(Ordering::Acquire)
    }

    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    pub fn chance(&self) -> &Chance {
        &self.shared.chance
    }

    pub fn up_since(&self) -> UnixMillis {
        self.shared.up_since
    }

    pub fn keys(&self) -> &Keyring {
        &self.shared.keys
    }

    pub fn db(&self) -> &Db {
        &self.shared.db
    }

    /// Lets an entity decide. The answer comes when everything it shows is durable.
    pub async fn ask<M: Machine>(
        &self,
        to: Address,
        command: M::Command,
        call: Call<M>,
    ) -> Result<Committed<M::Answer>, Failure<M::Refusal>> {
        self.ask_one(to, command, call, false).await
    }

    /// The same for an entity whose id was drawn a moment ago from 128 random bits or more: it cannot have been written,
    /// so nothing is read for it.
    pub async fn ask_new<M: Machine>(
        &self,
        to: Address,
        command: M::Command,
        call: Call<M>,
    ) -> Result<Committed<M::Answer>, Failure<M::Refusal>> {
        self.ask_one(to, command, call, true).await
    }

    async fn ask_one<M: Machine>(
        &self,
        to: Address,
        command: M::Command,
        call: Call<M>,
        to_new: bool,
    ) -> Result<Committed<M::Answer>, Failure<M::Refusal>> {
        if self.is_read_only() {
            return Err(Failure::ReadOnly);
        }
        let (answer, answered) = oneshot::channel();
        let Call { by, from, now, permit, only_if, replay } = call;
        let work = Work::Command(CommandWork { command, by, from, now, only_if, replay, permit, to_new, answer });
        let origin = inbox::current_worker(&self.shared);
        let _asked = Asked::count(&self.shared.asked);
        self.shared.route(Box::new(Envelope { to, origin, work }));
        answered.await.unwrap_or(Err(Failure::Stopping))
    }

    /// Looks at an entity's state. What is seen is durable when the answer comes; an unknown entity has revision 0.
    pub async fn read<M: Machine, R: Send + 'static>(
        &self,
        of: Address,
        read: impl FnOnce(&M, Stamp) -> R + Send + 'static,
    ) -> Result<R, Failure<Infallible>> {
        let (answer, answered) = oneshot::channel();
        let work = Work::Read(Box::new(Reading { read, answer }));
        let origin = inbox::current_worker(&self.shared);
        self.shared.route::<M>(Box::new(Envelope { to: of, origin, work }));
        answered.await.unwrap_or(Err(Failure::Stopping))
    }

    /// What an entity publishes, without a hop through its actor once it has been awake. `None` for unknown ones.
    pub async fn view<M: Machine>(&self, of: Address) -> Result<Option<Arc<M::View>>, Failure<Infallible>> {
        if self.shared.closed_orgs.has(of.org) {
            return Err(Failure::Gone);
        }
        let directory = Directory::<M>::of(&self.shared);
        if let Some(view) = directory.view(of) {
            return Ok(Some(view));
        }
        self.read::<M, ()>(of, |_, _| ()).await?;
        Ok(directory.view(of))
    }

    /// From now on `listener` hears of every view of a kind that is published, just before others can read it.
    pub fn listen<M: Machine>(&self, listener: impl Fn(&M::View) + Send + Sync + 'static) {
        Directory::<M>::of(&self.shared).listen(Box::new(listener));
    }

    /// Runs a read of the store on a reader thread.
    pub async fn with_db<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Db, &Keyring) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (db, keys) = (self.shared.db.clone(), Arc::clone(&self.shared.keys));
        self.shared.readers.run(move || read(&db, &keys)).await
    }

    /// Rows of a list or an index, in order, behind `after`. Keys come without the organisation's prefix.
    pub async fn rows(
        &self,
        space: RowSpace,
        org: OrgId,
        prefix: Vec<u8>,
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, StoreError> {
        self.with_db(move |db, _| db.rows(space, org, &prefix, after.as_deref(), limit)).await
    }

    /// Rows of a list over all organisations, in order, behind the whole key `after`.
    pub async fn rows_of_all(
        &self,
        space: RowSpace,
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<KeyValue>, StoreError> {
        self.with_db(move |db, _| db.rows_of_all(space, after.as_deref(), limit)).await
    }

    pub async fn row(&self, space: RowSpace, org: OrgId, key: Vec<u8>) -> Result<Option<Vec<u8>>, StoreError> {
        self.with_db(move |db, _| db.get(&keys::row(db.partition_of(org), space, org, &key))).await
    }

    /// Organisations and their list rows, in order, behind `after`.
    pub async fn organisations(&self, after: Option<OrgId>, limit: usize) -> Result<Vec<(OrgId, Vec<u8>)>, StoreError> {
        self.with_db(move |db, _| db.organisations(after, limit)).await
    }

    /// The first organisation that has this row.
    pub async fn row_everywhere(&self, space: RowSpace, key: Vec<u8>) -> Result<Option<(OrgId, Vec<u8>)>, StoreError> {
        self.with_db(move |db, _| db.row_everywhere(space, &key)).await
    }

    /// Records of an entity, newest first, before a revision.
    pub async fn history(
        &self,
        of: Address,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        self.with_db(move |db, _| db.history(of, before, limit)).await
    }

    pub async fn open_vault(
        &self,
        subject: Address,
        field: VaultField,
    ) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, StoreError> {
        self.with_db(move |db, keys| keys.read(db, subject, field)).await
    }

    /// Ends ticks, messages and post while the workers still live: what is under way ends on them.
    pub async fn end_own_work(&self) {
        let shared = &self.shared;
        shared.stopping.store(true, Ordering::Release);
        shared.outbox_news.iter().for_each(Notify::notify_one);
        shared.post_news.notify_one();
        let background = std::mem::take(&mut shared.threads.lock().background);
        join(background).await;
    }

    /// Writes what is admitted and ends the threads. Call it when no request comes in any more.
    pub async fn stop(&self) {
        let shared = &self.shared;
        self.end_own_work().await;
        let commit = std::mem::take(&mut shared.threads.lock().commit);
        while !shared.broken.load(Ordering::Acquire) && !shared.queues.iter().all(CommitQueue::is_drained) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        shared.closed.store(true, Ordering::Release);
        shared.queues.iter().for_each(CommitQueue::wake);
        join(commit).await;
    }
}

#[derive(Default)]
struct Threads {
    background: Vec<JoinHandle<()>>,
    commit: Vec<JoinHandle<()>>,
}

async fn join(threads: Vec<JoinHandle<()>>) {
    let joined = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
    let _ = joined.await;
}
