//! Who is awake. One directory per kind of entity; a slot is changed only by the worker that owns the entity.

use super::{
    Failure, Shared,
    actor::{EntityActor, Leave, Post, Stop},
    inbox::{Deliver, Parcel},
    load::{self, Loaded},
    work::Envelope,
};
use crate::kernel::{Address, Machine, OrgId};
use actix::{Actor, Addr, prelude::SendError};
use dashmap::{DashMap, Entry};
use parking_lot::Mutex;
use std::{
    any::Any,
    collections::VecDeque,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// Work that waits for its actor. Only the owner touches it; the lock is there because the map is shared.
type Waiting<M> = Mutex<Vec<Box<Envelope<M>>>>;

enum Slot<M: Machine> {
    /// Being read from the store; work waits.
    Loading(Waiting<M>),
    Awake(Awake<M>),
    /// Asked to go to sleep; work waits until it has left, or stays. Boxed: most slots are awake, and shall be small.
    Leaving(Box<(Awake<M>, Waiting<M>)>),
    Quarantined,
}

impl<M: Machine> Slot<M> {
    fn awake(&self) -> Option<&Awake<M>> {
        match self {
            Self::Awake(awake) => Some(awake),
            Self::Leaving(leaving) => Some(&leaving.0),
            Self::Loading(_) | Self::Quarantined => None,
        }
    }
}

pub(super) type Listener<M> = Box<dyn Fn(&<M as Machine>::View) + Send + Sync>;

struct Awake<M: Machine> {
    actor: Addr<EntityActor<M>>,
    generation: u64,
    /// Seconds of the engine's coarse clock.
    used_s: AtomicU32,
}

pub(super) struct Directory<M: Machine> {
    slots: DashMap<Address, Slot<M>>,
    views: DashMap<Address, Arc<M::View>>,
    /// Who hears of every view, just before others can read it.
    listener: OnceLock<Listener<M>>,
    /// Awake entities of each worker in the order in which their idleness is looked at.
    rounds: Box<[Mutex<VecDeque<Address>>]>,
}

/// A directory whatever its machine.
pub(super) trait Kind: Any + Send + Sync {
    fn sweep(&self, shared: &Arc<Shared>, worker: usize, looks: usize);
    fn poison(&self, shared: &Shared, address: Address, generation: u64);
    fn awake(&self) -> usize;
    fn own_work(&self) -> &dyn super::background::OwnWork;
    fn checker(&self) -> super::verify::Checker;
    fn trimmer(&self) -> super::upkeep::Trimmer;
    /// Entities of an organisation that are not asleep.
    fn restless(&self, org: OrgId) -> Vec<Address>;
    /// On the owner's thread: sends an entity to sleep, or forgets that it is quarantined.
    fn dismiss(&self, address: Address);
    fn forget_views(&self, org: OrgId);
}

impl<M: Machine> Kind for Directory<M> {
    /// Looks at some entities and sends those to sleep that have been idle for long, or any while too many are awake.
    fn sweep(&self, shared: &Arc<Shared>, worker: usize, looks: usize) {
        let now_s = shared.coarse_s();
        let mut round = self.rounds[worker].lock();
        for _ in 0..looks.min(round.len()) {
            let Some(address) = round.pop_front() else { return };
            let idle_s = match self.slots.get(&address).as_deref() {
                Some(Slot::Awake(awake)) => now_s.saturating_sub(awake.used_s.load(Ordering::Relaxed)),
                Some(Slot::Leaving(..)) => 0,
                _ => continue,
            };
            let crowded = shared.awake.load(Ordering::Relaxed) >= shared.config.awake_entities_max;
            if idle_s >= shared.config.idle_before_sleep_s || crowded {
                self.ask_to_leave(address);
            }
            round.push_back(address);
        }
    }

    fn poison(&self, shared: &Shared, address: Address, generation: u64) {
        if let Entry::Occupied(slot) = self.slots.entry(address)
            && let Some(awake) = slot.get().awake()
            && awake.generation == generation
        {
            // A full mailbox cannot take it: the next failing record poisons again.
            if awake.actor.try_send(Stop).is_ok() {
                shared.awake.fetch_sub(1, Ordering::Relaxed);
                if let Slot::Leaving(leaving) = slot.remove() {
                    leaving.1.into_inner().into_iter().for_each(|envelope| envelope.fail(Failure::NotWritten));
                }
            }
        }
    }

    fn awake(&self) -> usize {
        self.slots.len()
    }

    fn own_work(&self) -> &dyn super::background::OwnWork {
        self
    }

    fn checker(&self) -> super::verify::Checker {
        super::verify::check_entity::<M>
    }

    fn trimmer(&self) -> super::upkeep::Trimmer {
        super::upkeep::fold::<M>
    }

    fn restless(&self, org: OrgId) -> Vec<Address> {
        self.slots.iter().map(|slot| *slot.key()).filter(|address| address.org == org).collect()
    }

    fn dismiss(&self, address: Address) {
        self.slots.remove_if(&address, |_, slot| matches!(slot, Slot::Quarantined));
        self.ask_to_leave(address);
    }

    fn forget_views(&self, org: OrgId) {
        self.views.retain(|address, _| address.org != org);
    }
}

impl<M: Machine> Directory<M> {
    pub fn new(workers: usize) -> Self {
        let rounds = (0..workers).map(|_| Mutex::default()).collect();
        Self { slots: DashMap::new(), views: DashMap::new(), listener: OnceLock::new(), rounds }
    }

    /// # Panics
    /// When `M` is not registered: a mistake in `app.rs` that the first request shows.
    #[expect(clippy::expect_used, reason = "every machine is registered in app.rs")]
    pub fn of(shared: &Shared) -> Arc<Self> {
        let kind = Arc::clone(shared.kinds.get(&M::KIND).expect("registered in app.rs"));
        (kind as Arc<dyn Any + Send + Sync>).downcast().expect("registered under its own kind")
    }

    pub fn view(&self, of: Address) -> Option<Arc<M::View>> {
        self.views.get(&of).map(|view| Arc::clone(&view))
    }

    pub fn listen(&self, listener: Listener<M>) {
        // There is one listener of a kind at most.
        let _ = self.listener.set(listener);
    }

    pub fn publish(&self, of: Address, view: Arc<M::View>) {
        if let Some(listener) = self.listener.get() {
            listener(&view);
        }
        self.views.insert(of, view);
    }

    /// On the owner's thread: gives work to the actor, waking it first if need be.
    pub fn deliver(&self, shared: &Arc<Shared>, envelope: Box<Envelope<M>>) {
        let address = envelope.to;
        if shared.closed_orgs.has(address.org) {
            return envelope.fail(Failure::Gone);
        }
        let is_new = envelope.is_to_new();
        let mut is_unwritten = false;
        match self.slots.entry(address) {
            Entry::Vacant(free) => {
                free.insert(Slot::Loading(Mutex::new(vec![envelope])));
                is_unwritten = is_new;
            }
            Entry::Occupied(mut slot) => match slot.get_mut() {
                Slot::Awake(awake) => {
                    awake.used_s.store(shared.coarse_s(), Ordering::Relaxed);
                    match awake.actor.try_send(Post(envelope)) {
                        Ok(()) => return,
                        Err(SendError::Full(Post(envelope))) => {
                            shared.stats.mailbox_full.increment(1);
                            return envelope.fail(Failure::Busy);
                        }
                        // Its worker died: whatever it had not handed over is lost with it, and was never answered.
                        Err(SendError::Closed(Post(envelope))) => {
                            shared.awake.fetch_sub(1, Ordering::Relaxed);
                            slot.insert(Slot::Loading(Mutex::new(vec![envelope])));
                        }
                    }
                }
                Slot::Loading(waiting) => return wait(shared, waiting, envelope),
                Slot::Leaving(leaving) => return wait(shared, &mut leaving.1, envelope),
                Slot::Quarantined => return envelope.fail(Failure::Quarantined),
            },
        }
        self.make_room(shared);
        if is_unwritten {
            return self.wake(shared, address, Loaded::new(address));
        }
        self.load(shared, address);
    }

    /// Looks for some who may sleep, when too many are awake.
    fn make_room(&self, shared: &Arc<Shared>) {
        let crowded = shared.awake.load(Ordering::Relaxed) >= shared.config.awake_entities_max;
        if crowded && let Some(worker) = shared.worker_index() {
            shared.kinds.values().for_each(|kind| kind.sweep(shared, worker, 2));
        }
    }

    fn load(&self, shared: &Arc<Shared>, address: Address) {
        let reader = Arc::clone(shared);
        let submitted = shared.readers.submit(move || {
            let loaded = load::load::<M>(&reader.db, address);
            let owner = reader.owner(address);
            reader.inboxes[owner].push(Parcel::Deliver(Box::new(LoadDone { address, loaded })));
        });
        if !submitted {
            self.give_up(address, Failure::Busy);
        }
    }

    fn give_up(&self, address: Address, failure: Failure<std::convert::Infallible>) {
        let loading = self.slots.remove_if(&address, |_, slot| matches!(slot, Slot::Loading(_)));
        if let Some((_, Slot::Loading(waiting))) = loading {
            waiting.into_inner().into_iter().for_each(|envelope| envelope.fail(failure.clone()));
        }
    }

    fn wake(&self, shared: &Arc<Shared>, address: Address, loaded: Loaded<M>) {
        let crowd = shared.config.awake_entities_max;
        // Entities fall asleep a moment after they are asked to; a tenth more is the hard bound.
        if shared.awake.load(Ordering::Relaxed) >= crowd + crowd / 10 {
            return self.give_up(address, Failure::Busy);
        }
        let generation = shared.generation.fetch_add(1, Ordering::Relaxed);
        let capacity = shared.config.mailbox_capacity;
        let actor = EntityActor::create(|ctx| {
            ctx.set_mailbox_capacity(capacity);
            loaded.into_actor(Arc::clone(shared), address, generation, self)
        });
        shared.awake.fetch_add(1, Ordering::Relaxed);
        shared.stats.activations.increment(1);
        let used_s = AtomicU32::new(shared.coarse_s());
        let previous = self.slots.insert(address, Slot::Awake(Awake { actor: actor.clone(), generation, used_s }));
        if let Some(worker) = shared.worker_index() {
            self.rounds[worker].lock().push_back(address);
        }
        if let Some(Slot::Loading(waiting)) = previous {
            forward(&actor, waiting);
        }
    }

    fn ask_to_leave(&self, address: Address) {
        if let Entry::Occupied(mut slot) = self.slots.entry(address)
            && matches!(slot.get(), Slot::Awake(awake) if awake.actor.try_send(Leave).is_ok())
            && let Slot::Awake(awake) = slot.insert(Slot::Loading(Mutex::default()))
        {
            slot.insert(Slot::Leaving(Box::new((awake, Mutex::default()))));
        }
    }

    /// The actor says whether it could leave; what waited meanwhile goes on.
    pub fn leaves(&self, shared: &Arc<Shared>, address: Address, gone: bool) {
        let leaving = self.slots.remove_if(&address, |_, slot| matches!(slot, Slot::Leaving(..)));
        let Some((_, Slot::Leaving(leaving))) = leaving else { return };
        let (awake, waiting) = *leaving;
        if gone {
            shared.awake.fetch_sub(1, Ordering::Relaxed);
            waiting.into_inner().into_iter().for_each(|envelope| self.deliver(shared, envelope));
        } else {
            let actor = awake.actor.clone();
            self.slots.insert(address, Slot::Awake(awake));
            forward(&actor, waiting);
        }
    }

    pub fn quarantine(&self, shared: &Arc<Shared>, address: Address) {
        shared.stats.quarantined.increment(1);
        if let Some(Slot::Leaving(leaving)) = self.slots.insert(address, Slot::Quarantined) {
            leaving.1.into_inner().into_iter().for_each(|envelope| envelope.fail(Failure::Quarantined));
        }
    }
}

/// Work for an entity that is not awake at the moment.
fn wait<M: Machine>(shared: &Shared, waiting: &mut Waiting<M>, envelope: Box<Envelope<M>>) {
    let waiting = waiting.get_mut();
    if waiting.len() < shared.config.mailbox_capacity {
        return waiting.push(envelope);
    }
    shared.stats.mailbox_full.increment(1);
    envelope.fail(Failure::Busy);
}

fn forward<M: Machine>(actor: &Addr<EntityActor<M>>, waiting: Waiting<M>) {
    for envelope in waiting.into_inner() {
        if let Err(SendError::Full(Post(envelope)) | SendError::Closed(Post(envelope))) = actor.try_send(Post(envelope))
        {
            envelope.fail(Failure::Busy);
        }
    }
}

struct LoadDone<M: Machine> {
    address: Address,
    loaded: Result<Loaded<M>, crate::store::StoreError>,
}

impl<M: Machine> Deliver for LoadDone<M> {
    fn deliver(self: Box<Self>, shared: &Arc<Shared>) {
        let directory = Directory::<M>::of(shared);
        match self.loaded {
            Ok(loaded) => directory.wake(shared, self.address, loaded),
            Err(error) => {
                tracing::error!(%error, entity = %self.address.entity, "an entity cannot be read");
                directory.give_up(self.address, Failure::Store(error.to_string()));
            }
        }
    }
}

/// How many entities a worker looks at in a second when it searches for idle ones.
const LOOKS_PER_SWEEP: usize = 2_000;

pub(super) async fn sweep(shared: Arc<Shared>, worker: usize) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        for kind in shared.kinds.values() {
            kind.sweep(&shared, worker, LOOKS_PER_SWEEP);
        }
    }
}
