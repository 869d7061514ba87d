//! The commit thread of a partition: one fsync for all records that are waiting, then the answers go back.

use super::{
    Shared,
    claims::ClaimKey,
    guarded::GuardedQueue,
    inbox::{Finish, NO_WORKER, Parcel},
};
use crate::{
    kernel::{Address, invariants},
    store::{Appended, Batch, Ops, Tail},
};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::Thread,
    time::Duration,
};

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Durable,
    /// Nothing of it was written; the same request may be sent again.
    Rejected,
    /// The log broke: whether it was written shows only after a restart.
    Unknown,
}

/// What an actor hands over within its turn.
#[derive(Default)]
pub(super) struct Item {
    pub record: Option<Record>,
    pub ops: Ops,
    pub origin: u16,
    pub finish: Option<Box<dyn Finish>>,
    /// Makes the new state visible to readers that do not visit the actor.
    pub publish: Option<Box<dyn FnOnce() + Send>>,
    pub claims: Vec<ClaimKey>,
    pub sends_messages: bool,
    pub sends_mails: bool,
    pub seals: bool,
    /// The actor has left: forget its generation.
    pub leaves: bool,
}

/// Whose record it is and what it follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    pub of: Address,
    pub generation: u64,
    /// The revision before this record.
    pub expected: u64,
    pub events: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Refused,
    Written,
    /// Writes nothing, waits for what its entity wrote before.
    Barrier,
}

#[derive(Default)]
pub(super) struct CommitQueue {
    waiting: Mutex<Waiting>,
    durable: AtomicU64,
    sleeping: AtomicBool,
    thread: OnceLock<Thread>,
    pub(super) guarded: GuardedQueue,
}

/// Each round gives the processor to the workers: a fixed pause cost a fifth of the throughput at 64 connections.
const GATHER_ROUNDS_MAX: u32 = 8;

#[derive(Default)]
struct Waiting {
    items: Vec<Item>,
    submitted: u64,
}

impl CommitQueue {
    /// Never waits and never fails: the room was taken at the door. Returns the item's place in the queue.
    pub fn submit(&self, item: Item) -> u64 {
        let place = {
            let mut waiting = self.waiting.lock();
            waiting.items.push(item);
            waiting.submitted += 1;
            waiting.submitted
        };
        if self.sleeping.swap(false, Ordering::AcqRel) {
            self.wake();
        }
        place
    }

    /// Lets a batch grow until it holds all that is asked, or nothing more has come, so that one fsync serves them all.
    fn gather(&self, asked: &AtomicUsize) {
        let mut seen = self.waiting.lock().items.len();
        let mut quiet = false;
        for _ in 0..GATHER_ROUNDS_MAX {
            if seen == 0 || seen >= asked.load(Ordering::Relaxed) {
                return;
            }
            std::thread::yield_now();
            let now = self.waiting.lock().items.len();
            if now == seen && std::mem::replace(&mut quiet, true) {
                return;
            }
            seen = now;
        }
    }

    pub fn waiting(&self) -> usize {
        self.waiting.lock().items.len()
    }

    pub fn is_durable(&self, place: u64) -> bool {
        self.durable.load(Ordering::Acquire) >= place
    }

    pub fn is_drained(&self) -> bool {
        let submitted = self.waiting.lock().submitted;
        self.is_durable(submitted)
    }

    pub fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

pub(super) struct Committer {
    shared: Arc<Shared>,
    partition: u8,
    tail: Tail,
    /// Generation and last revision of every entity that is awake.
    known: HashMap<Address, (u64, u64)>,
    failed: HashSet<(Address, u64)>,
    outgoing: Vec<Vec<Parcel>>,
}

/// How often an unclear append is offered again before the log counts as broken.
const OFFERS: u32 = 20;

impl Committer {
    pub fn new(shared: Arc<Shared>, partition: u8, tail: Tail) -> Self {
        let outgoing = shared.inboxes.iter().map(|_| Vec::new()).collect();
        Self { shared, partition, tail, known: HashMap::new(), failed: HashSet::new(), outgoing }
    }

    pub fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let queue = &shared.queues[usize::from(self.partition)];
        let _ = queue.thread.set(std::thread::current());
        let mut items = Vec::new();
        loop {
            queue.guarded.write(&shared, |ops| self.append(vec![ops]) == Outcome::Durable);
            queue.gather(&shared.asked);
            let submitted = {
                let mut waiting = queue.waiting.lock();
                std::mem::swap(&mut waiting.items, &mut items);
                waiting.submitted
            };
            if items.is_empty() {
                if shared.closed.load(Ordering::Acquire) {
                    return;
                }
                queue.sleeping.store(true, Ordering::Release);
                if queue.waiting.lock().items.is_empty() {
                    std::thread::park_timeout(Duration::from_millis(100));
                }
                queue.sleeping.store(false, Ordering::Release);
                continue;
            }
            self.commit(&mut items, queue, submitted);
        }
    }

    fn commit(&mut self, items: &mut Vec<Item>, queue: &CommitQueue, submitted: u64) {
        let mut records = Vec::with_capacity(items.len());
        let mut fates = Vec::with_capacity(items.len());
        for item in items.iter_mut() {
            let writes = !item.ops.is_empty();
            let accepted = item.record.is_none_or(|record| self.accepts(record, writes));
            if accepted && writes {
                records.push(std::mem::take(&mut item.ops));
            }
            fates.push(match (accepted, writes) {
                (false, _) => Fate::Refused,
                (true, true) => Fate::Written,
                (true, false) => Fate::Barrier,
            });
        }
        let outcome = if records.is_empty() { Outcome::Durable } else { self.append(records) };
        if outcome == Outcome::Durable {
            queue.durable.store(submitted, Ordering::Release);
        }
        let (mut sends_messages, mut sends_mails) = (false, false);
        for (item, fate) in items.drain(..).zip(fates) {
            let outcome = self.outcome_of(item.record, fate, outcome);
            sends_messages |= item.sends_messages && outcome == Outcome::Durable;
            sends_mails |= item.sends_mails && outcome == Outcome::Durable;
            self.conclude(item, outcome);
        }
        if outcome != Outcome::Durable {
            // Whatever failed has been told; later items are judged by their generation.
            queue.durable.store(submitted, Ordering::Release);
        }
        for (worker, outgoing) in self.outgoing.iter_mut().enumerate().filter(|(_, outgoing)| !outgoing.is_empty()) {
            self.shared.inboxes[worker].extend(outgoing);
        }
        if sends_messages {
            self.shared.outbox_news[usize::from(self.partition)].notify_one();
        }
        if sends_mails {
            self.shared.post_news.notify_one();
        }
    }

    /// Whether a record follows what is known of its entity; only the newest generation writes.
    fn accepts(&mut self, record: Record, writes: bool) -> bool {
        if self.failed.contains(&(record.of, record.generation)) {
            return false;
        }
        if !writes {
            return true;
        }
        let known = self.known.entry(record.of).or_insert((record.generation, record.expected));
        let follows = known.1 == record.expected && record.generation >= known.0;
        if follows {
            *known = (record.generation, record.expected + record.events);
        } else {
            self.shared.violated(invariants::REVISIONS_DENSE);
            self.failed.insert((record.of, record.generation));
        }
        follows
    }

    fn outcome_of(&mut self, record: Option<Record>, fate: Fate, of_batch: Outcome) -> Outcome {
        match (fate, of_batch) {
            (_, Outcome::Unknown) => Outcome::Unknown,
            (Fate::Refused, _) => Outcome::Rejected,
            (Fate::Written, Outcome::Rejected) => {
                if let Some(record) = record
                    && self.failed.insert((record.of, record.generation))
                {
                    self.known.remove(&record.of);
                    self.shared.poison(record.of, record.generation);
                }
                Outcome::Rejected
            }
            // A barrier of an entity that wrote nothing in the failed batch still shows durable state.
            (Fate::Barrier, Outcome::Rejected) => match record {
                Some(record) if self.failed.contains(&(record.of, record.generation)) => Outcome::Rejected,
                _ => Outcome::Durable,
            },
            (_, Outcome::Durable) => Outcome::Durable,
        }
    }

    fn conclude(&mut self, item: Item, outcome: Outcome) {
        if let Some(record) = item.record.filter(|_| item.leaves) {
            self.failed.remove(&(record.of, record.generation));
            if self.known.get(&record.of).is_some_and(|known| known.0 == record.generation) {
                self.known.remove(&record.of);
            }
        }
        if outcome == Outcome::Durable
            && let Some(publish) = item.publish
        {
            publish();
        }
        for claim in &item.claims {
            self.shared.claims.settle(claim);
        }
        if let Some(record) = item.record.filter(|_| item.seals) {
            self.shared.subject_keys.arrived(record.of);
        }
        if let Some(finish) = item.finish {
            if item.origin == NO_WORKER {
                finish.finish(outcome);
            } else {
                self.outgoing[usize::from(item.origin)].push(Parcel::Finish(finish, outcome));
            }
        }
    }

    fn append(&mut self, records: Vec<Ops>) -> Outcome {
        if self.shared.broken.load(Ordering::Acquire) {
            return Outcome::Unknown;
        }
        let batch = Batch {
            partition: self.partition,
            id: self.shared.chance.id(),
            epoch: self.tail.epoch,
            position: self.tail.position + 1,
            prev_hash: self.tail.hash(),
            records,
        };
        self.shared.stats.batch_records.record(batch.records.len() as f64);
        let started = crate::kernel::time::instant();
        let appended = (0..OFFERS)
            .map(|offer| {
                if offer > 0 {
                    std::thread::sleep(Duration::from_millis(u64::from(offer)));
                }
                self.shared.log.append(&batch)
            })
            .find(|appended| *appended != Appended::Unknown);
        self.shared.stats.fsync_seconds.record(started.elapsed().as_secs_f64());
        match appended {
            Some(Appended::Durable { position }) => {
                self.tail.position = position;
                self.tail.hash = batch.hash().to_vec();
                self.shared.tell_followers(self.partition, &self.tail);
                Outcome::Durable
            }
            Some(Appended::Fenced) => match self.shared.log.tail(self.partition) {
                Ok(tail) => {
                    self.tail = tail;
                    Outcome::Rejected
                }
                Err(_) => self.give_up(),
            },
            Some(Appended::Rejected) => Outcome::Rejected,
            Some(Appended::Broken | Appended::Unknown) | None => self.give_up(),
        }
    }

    fn give_up(&self) -> Outcome {
        self.shared.broke();
        Outcome::Unknown
    }
}
