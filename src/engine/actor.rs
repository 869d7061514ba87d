//! The one actor of all contexts: decides, evolves at once, hands record and answer over within its turn.

use super::{
    Committed, Failure, Shared,
    claims::{ClaimKey, Denied},
    committer::{Item, Outcome, Record},
    directory::Directory,
    inbox::{Finish, NO_WORKER, Parcel, current_worker},
    work::{CommandWork, Delivered, Done, Envelope, MessageWork, ReplayWrite, Reply, Work},
};
use crate::{
    kernel::{
        Address, ClaimOp, ClaimSpace, Codec, Context as Circumstances, Effects, Machine, MessageTarget, Principal,
        Progress, Stamp, UnixMillis, VaultOp, invariants,
    },
    store::{
        Ops, OutboxItem, StoreError, StoredRecord, StoredReplay, keys,
        ops::OpTag,
        record::{SnapshotHead, Target},
        vault::Secret,
    },
};
use actix::{Actor, ActorContext, Context, Handler, Message};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

pub(super) struct EntityActor<M: Machine> {
    pub shared: Arc<Shared>,
    pub address: Address,
    pub generation: u64,
    pub state: M,
    pub revision: u64,
    pub last_at: UnixMillis,
    /// The durable timer row of this entity, if there is one.
    pub armed: Option<UnixMillis>,
    /// Place of the last record in the commit queue.
    pub last_place: u64,
    pub events_since_snapshot: u32,
    pub bytes_since_snapshot: u32,
    pub snapshot_bytes: u32,
}

impl<M: Machine> Actor for EntityActor<M> {
    type Context = Context<Self>;
}

/// Work for the actor.
pub(super) struct Post<M: Machine>(pub Box<Envelope<M>>);

/// Asks the actor to go to sleep, if everything it wrote is durable.
pub(super) struct Leave;

/// The actor's generation has failed: it stops, what it believes is not durable.
pub(super) struct Stop;

impl<M: Machine> Message for Post<M> {
    type Result = ();
}

impl Message for Leave {
    type Result = ();
}

impl Message for Stop {
    type Result = ();
}

/// What one command came to, before it is handed over.
struct Judged<M: Machine> {
    events: Vec<M::Event>,
    effects: Effects,
    claims: Vec<ClaimOp>,
}

type Judgement<M> = Result<(Judged<M>, <M as Machine>::Answer), Nothing<<M as Machine>::Refusal>>;

/// Why there is nothing to hand over.
enum Nothing<R> {
    Failed(Failure<R>),
    Panicked,
}

impl<M: Machine> EntityActor<M> {
    fn partition(&self) -> u8 {
        self.shared.db.partition_of(self.address.org)
    }

    fn context(&self, by: Principal, from: Option<std::net::IpAddr>, now: UnixMillis) -> Circumstances {
        Circumstances { org: self.address.org, now: now.max(self.last_at), up_since: self.shared.up_since, by, from }
    }

    /// Decides and evolves. On a panic the state may be half changed: the actor must not be used again.
    fn judge(&mut self, command: &M::Command, cx: &Circumstances, held: &mut Vec<ClaimKey>) -> Judgement<M> {
        catch_unwind(AssertUnwindSafe(|| self.judge_unguarded(command, cx, held)))
            .unwrap_or_else(|_| {
                tracing::error!(entity = %self.address.entity, "panic in decide or evolve: entity quarantined");
                Err(Nothing::Panicked)
            })
            .inspect_err(|_| held.drain(..).for_each(|claim| self.shared.claims.settle(&claim)))
    }

    fn judge_unguarded(&mut self, command: &M::Command, cx: &Circumstances, held: &mut Vec<ClaimKey>) -> Judgement<M> {
        let mut events = Vec::new();
        let mut claims = Vec::new();
        let mut step = 0;
        loop {
            let decided_before = events.len();
            let progress = match self.state.decide(command, step, cx, &mut events) {
                Ok(progress) => progress,
                Err(refusal) if step == 0 => return Err(Nothing::Failed(Failure::Refused(refusal))),
                Err(_) => {
                    self.shared.violated(invariants::REFUSAL_FIRST);
                    return Err(Nothing::Panicked);
                }
            };
            if step == 0 {
                self.state.claims(command, &events, &mut claims);
                self.take_claims(&claims, held).map_err(Nothing::Failed)?;
            }
            for event in &events[decided_before..] {
                self.revision += 1;
                self.state.evolve(event, Stamp { at: cx.now, revision: self.revision });
            }
            if progress == Progress::Done {
                break;
            }
            step += 1;
        }
        let answer = self.state.answer(command, &events, self.revision, cx);
        let mut effects = Effects::default();
        if !events.is_empty() {
            self.state.effects(command, &events, cx, &mut effects);
        }
        Ok((Judged { events, effects, claims }, answer))
    }

    fn claim_key(&self, space: ClaimSpace, value: &[u8]) -> ClaimKey {
        let org = self.address.org;
        ClaimKey { space, org, digest: self.shared.claim_digest(space, org, value) }
    }

    fn take_claims(&self, claims: &[ClaimOp], held: &mut Vec<ClaimKey>) -> Result<(), Failure<M::Refusal>> {
        for claim in claims {
            let (space, value, from) = match claim {
                ClaimOp::Take { space, value } => (*space, value, None),
                ClaimOp::Inherit { space, value, from } => (*space, value, Some(*from)),
                ClaimOp::Release { .. } => continue,
            };
            let key = self.claim_key(space, value);
            match self.shared.claims.take(&self.shared.db, key, self.address, from) {
                Ok(()) => held.push(key),
                Err(Denied::Taken) => return Err(Failure::Taken(space)),
                Err(Denied::Store(error)) => return Err(Failure::Store(error.to_string())),
            }
        }
        Ok(())
    }

    /// Writes everything that follows into row operations.
    fn write(&mut self, judged: &Judged<M>, cx: &Circumstances, ops: &mut Ops) -> Result<(), StoreError> {
        let partition = self.partition();
        let count = judged.events.len() as u64;
        if count > 0 {
            let key = keys::event(partition, self.address, self.revision - count + 1);
            let before = ops.as_bytes().len();
            ops.push(OpTag::PutEvent, &key, |bytes| {
                StoredRecord::write(bytes, cx.now, cx.by, cx.from, &judged.events);
            });
            self.bytes_since_snapshot += u32::try_from(ops.as_bytes().len() - before).unwrap_or(u32::MAX);
            self.events_since_snapshot += u32::try_from(count).unwrap_or(u32::MAX);
            self.last_at = cx.now;
        }
        for row in &judged.effects.rows {
            let key = keys::row(partition, row.space, row.org, &row.key);
            match &row.value {
                Some(value) => ops.put(&key, value),
                None => ops.delete(&key),
            }
        }
        for claim in &judged.claims {
            let (ClaimOp::Take { space, value }
            | ClaimOp::Inherit { space, value, .. }
            | ClaimOp::Release { space, value }) = claim;
            let digest = self.claim_key(*space, value).digest;
            let key = keys::claim(partition, *space, self.address.org, &digest);
            match claim {
                ClaimOp::Release { .. } => ops.delete(&key),
                _ => ops.put(&key, &self.address.to_bytes()),
            }
        }
        self.write_messages(&judged.effects, ops);
        if !judged.effects.vault.is_empty() {
            self.write_vault(&judged.effects.vault, ops)?;
        }
        self.write_timer(cx.now, ops);
        self.write_snapshot(ops);
        Ok(())
    }

    fn write_messages(&self, effects: &Effects, ops: &mut Ops) {
        for (n, message) in (0u32..).zip(&effects.messages) {
            let to = match &message.to {
                MessageTarget::Entity(address) => Target::Entity(*address),
                MessageTarget::ClaimHolder { space, value } => {
                    Target::ClaimHolder(*space as u8, self.claim_key(*space, value).digest)
                }
                MessageTarget::Index { space, prefix, kind } => {
                    Target::Index(*space as u8, prefix.clone(), *kind as u8, Vec::new())
                }
            };
            let item = OutboxItem {
                from: self.address,
                revision: self.revision,
                n,
                to,
                body: message.body.clone(),
                secret: message.secret.map(|(subject, field)| (subject, field as u8)),
            };
            ops.push(OpTag::PutOutbox, &[], |bytes| item.encode_into(bytes));
        }
    }

    fn write_vault(&self, vault: &[VaultOp], ops: &mut Ops) -> Result<(), StoreError> {
        let (partition, ring) = (self.partition(), &self.shared.keys);
        let key_row = keys::subject_key(partition, self.address);
        let mut subject_key: Option<Secret> = match self.shared.db.get(&key_row)? {
            Some(wrapped) => Some(ring.unwrap_subject_key(self.address, &wrapped)?),
            None => None,
        };
        for op in vault {
            match op {
                VaultOp::Seal { field, plaintext } => {
                    let key = match subject_key.take() {
                        Some(key) => key,
                        None => {
                            let (key, wrapped) = ring.new_subject_key(self.address);
                            ops.put(&key_row, &wrapped);
                            key
                        }
                    };
                    let sealed = ring.seal(&key, self.address, *field, plaintext);
                    ops.put(&keys::vault(partition, self.address, *field), &sealed);
                    subject_key = Some(key);
                }
                VaultOp::Erase => {
                    ops.delete(&key_row);
                    for field in crate::kernel::VaultField::ALL {
                        ops.delete(&keys::vault(partition, self.address, field));
                    }
                    subject_key = None;
                }
            }
        }
        Ok(())
    }

    /// A deadline is a durable row, rewritten only when it moves earlier; a stale firing re-arms.
    fn write_timer(&mut self, now: UnixMillis, ops: &mut Ops) {
        let Some(deadline) = self.state.next_deadline() else { return };
        if self.armed.is_some_and(|armed| armed <= deadline) {
            return;
        }
        let deadline = deadline.max(now.plus(Duration::from_millis(200)));
        let partition = self.partition();
        if let Some(armed) = self.armed {
            ops.delete(&keys::timer(partition, armed, self.address));
        }
        ops.put(&keys::timer(partition, deadline, self.address), &[]);
        ops.put(&keys::armed(partition, self.address), &deadline.0.to_be_bytes());
        self.armed = Some(deadline);
    }

    /// A snapshot is a cache: made when the events since the last one are many or heavy.
    fn write_snapshot(&mut self, ops: &mut Ops) {
        let heavy = self.bytes_since_snapshot > 4 * self.snapshot_bytes.max(512);
        if self.events_since_snapshot < self.shared.config.snapshot_every_events && !heavy {
            return;
        }
        let head = SnapshotHead { evolve_version: M::EVOLVE_VERSION, revision: self.revision, last_at: self.last_at };
        let before = ops.as_bytes().len();
        ops.push(OpTag::Put, &keys::snapshot(self.partition(), self.address), |bytes| {
            head.encode_into(bytes);
            self.state.to_snapshot(bytes);
        });
        self.snapshot_bytes = u32::try_from(ops.as_bytes().len() - before).unwrap_or(u32::MAX);
        self.events_since_snapshot = 0;
        self.bytes_since_snapshot = 0;
    }

    /// Hands a turn's outcome to the commit log, or answers at once when it shows nothing that is not durable.
    fn hand_over(&mut self, ops: Ops, judged: Option<&Judged<M>>, rest: Item) {
        let queue = &self.shared.queues[usize::from(self.partition())];
        if ops.is_empty() && !rest.leaves && queue.is_durable(self.last_place) {
            return self.answer_now(rest);
        }
        let events = judged.map_or(0, |judged| judged.events.len() as u64);
        let (of, generation) = (self.address, self.generation);
        let record = Some(Record { of, generation, expected: self.revision - events, events });
        let publish = if events > 0 { self.publication() } else { None };
        let sends_messages = judged.is_some_and(|judged| !judged.effects.messages.is_empty());
        self.last_place = queue.submit(Item { record, ops, publish, sends_messages, ..rest });
    }

    fn answer_now(&self, item: Item) {
        item.claims.iter().for_each(|claim| self.shared.claims.settle(claim));
        let Some(finish) = item.finish else { return };
        if item.origin == NO_WORKER || item.origin == current_worker(&self.shared) {
            finish.finish(Outcome::Durable);
        } else {
            self.shared.inboxes[usize::from(item.origin)].push(Parcel::Finish(finish, Outcome::Durable));
        }
    }

    /// Makes the view of this state visible, once it is durable.
    pub fn publication(&self) -> Option<Box<dyn FnOnce() + Send>> {
        let view = Arc::new(self.state.view()?);
        let (directory, address) = (Directory::<M>::of(&self.shared), self.address);
        Some(Box::new(move || directory.publish(address, view)))
    }

    /// A panic, or a change that cannot be written: nobody may build on this state. 503 until the next start.
    fn quarantine(&self, ctx: &mut Context<Self>) {
        Directory::<M>::of(&self.shared).quarantine(&self.shared, self.address);
        ctx.stop();
    }

    fn hold_replay(
        &self,
        replay: Option<&ReplayWrite<M>>,
        held: &mut Vec<ClaimKey>,
    ) -> Result<(), Nothing<M::Refusal>> {
        let Some(replay) = replay else { return Ok(()) };
        let key = ClaimKey { space: ClaimSpace::Replay, org: self.address.org, digest: replay.key };
        if self.shared.claims.hold(key, self.address).is_err() {
            return Err(Nothing::Failed(Failure::InProgress));
        }
        let failure = match self.shared.db.get(&keys::replay(self.partition(), &replay.key)) {
            Ok(None) => {
                held.push(key);
                return Ok(());
            }
            Ok(Some(_)) => Failure::Replayed,
            Err(error) => Failure::Store(error.to_string()),
        };
        self.shared.claims.settle(&key);
        Err(Nothing::Failed(failure))
    }

    fn command(&mut self, work: CommandWork<M>, origin: u16, ctx: &mut Context<Self>) {
        let CommandWork { command, by, from, now, replay, permit, answer } = work;
        let cx = self.context(by, from, now);
        let mut claims = Vec::new();
        let judged =
            self.hold_replay(replay.as_ref(), &mut claims).and_then(|()| self.judge(&command, &cx, &mut claims));
        let reply = |result| -> Option<Box<dyn Finish>> {
            Some(Box::new(Reply::<_, M::Refusal> { result, answer, permit: Some(permit) }))
        };
        let (judged, answered) = match judged {
            Ok(judged) => judged,
            Err(Nothing::Failed(failure)) => {
                let rest = Item { origin, finish: reply(Err(failure)), ..Item::default() };
                return self.hand_over(Ops::default(), None, rest);
            }
            Err(Nothing::Panicked) => {
                self.answer_now(Item { origin, finish: reply(Err(Failure::Quarantined)), ..Item::default() });
                return self.quarantine(ctx);
            }
        };
        let mut ops = Ops::with_capacity(1024);
        if let Err(error) = self.write(&judged, &cx, &mut ops) {
            let finish = reply(Err(Failure::Store(error.to_string())));
            self.answer_now(Item { origin, finish, claims, ..Item::default() });
            return self.quarantine(ctx);
        }
        if let Some(ReplayWrite { key, body_hash, render }) = replay {
            let (status, body) = render(&answered, self.revision);
            let stored = StoredReplay { at: cx.now, body_hash, status, body };
            ops.push(OpTag::Put, &keys::replay(self.partition(), &key), |bytes| stored.encode_into(bytes));
        }
        let finish = reply(Ok(Committed { answer: answered, revision: self.revision }));
        self.hand_over(ops, Some(&judged), Item { origin, finish, claims, ..Item::default() });
    }

    /// Judges a command of the server's own and adds `ops` to its record whatever it came to.
    fn own_command(
        &mut self,
        command: &M::Command,
        now: UnixMillis,
        by: Principal,
        mut ops: Ops,
        done: tokio::sync::oneshot::Sender<Delivered>,
        ctx: &mut Context<Self>,
    ) {
        let cx = self.context(by, None, now);
        let mut claims = Vec::new();
        let item = |delivered, claims| {
            let finish: Option<Box<dyn Finish>> = Some(Box::new(Done { delivered, done }));
            Item { origin: NO_WORKER, finish, claims, ..Item::default() }
        };
        match self.judge(command, &cx, &mut claims) {
            Ok((judged, _)) => match self.write(&judged, &cx, &mut ops) {
                Ok(()) => self.hand_over(ops, Some(&judged), item(Delivered::Done, claims)),
                Err(error) => {
                    tracing::error!(%error, entity = %self.address.entity, "a change cannot be written");
                    self.answer_now(item(Delivered::Refused, claims));
                    self.quarantine(ctx);
                }
            },
            Err(Nothing::Failed(failure)) => {
                tracing::error!(?failure, entity = %self.address.entity, "a message or tick was refused");
                self.hand_over(ops, None, item(Delivered::Refused, claims));
            }
            Err(Nothing::Panicked) => {
                self.answer_now(item(Delivered::Refused, claims));
                self.quarantine(ctx);
            }
        }
    }

    fn tick(
        &mut self,
        due: UnixMillis,
        now: UnixMillis,
        done: tokio::sync::oneshot::Sender<Delivered>,
        ctx: &mut Context<Self>,
    ) {
        let partition = self.partition();
        let mut ops = Ops::default();
        ops.delete(&keys::timer(partition, due, self.address));
        if self.armed == Some(due) {
            ops.delete(&keys::armed(partition, self.address));
            self.armed = None;
        }
        match M::tick() {
            Some(command) => self.own_command(&command, now, Principal::Server, ops, done, ctx),
            None => {
                let finish: Option<Box<dyn Finish>> = Some(Box::new(Done { delivered: Delivered::Done, done }));
                self.hand_over(ops, None, Item { origin: NO_WORKER, finish, ..Item::default() });
            }
        }
    }

    fn message(&mut self, work: MessageWork<M>, ctx: &mut Context<Self>) {
        let mut ops = Ops::default();
        if let Some(key) = &work.outbox_key {
            ops.delete(key);
        }
        if work.taken.is_some_and(|taken| taken >= work.id) {
            let finish: Option<Box<dyn Finish>> = Some(Box::new(Done { delivered: Delivered::Done, done: work.done }));
            return self.hand_over(ops, None, Item { origin: NO_WORKER, finish, ..Item::default() });
        }
        let high_water = keys::high_water(self.partition(), self.address, work.from);
        ops.push(OpTag::Put, &high_water, |bytes| work.id.encode_into(bytes));
        self.own_command(&work.command, work.now, Principal::Entity(work.from), ops, work.done, ctx);
    }
}

impl<M: Machine> Handler<Post<M>> for EntityActor<M> {
    type Result = ();

    fn handle(&mut self, Post(envelope): Post<M>, ctx: &mut Context<Self>) {
        match envelope.work {
            Work::Command(work) => self.command(work, envelope.origin, ctx),
            Work::Tick { due, now, done } => self.tick(due, now, done, ctx),
            Work::Message(work) => self.message(work, ctx),
            Work::Read(read) => {
                let stamp = Stamp { at: self.last_at, revision: self.revision };
                let found = catch_unwind(AssertUnwindSafe(|| read.read(&self.state, stamp)));
                if let Ok(finish) = found {
                    let rest = Item { origin: envelope.origin, finish: Some(finish), ..Item::default() };
                    self.hand_over(Ops::default(), None, rest);
                }
            }
        }
    }
}

impl<M: Machine> Handler<Leave> for EntityActor<M> {
    type Result = ();

    fn handle(&mut self, _: Leave, ctx: &mut Context<Self>) {
        let durable = self.shared.queues[usize::from(self.partition())].is_durable(self.last_place);
        if durable {
            self.hand_over(Ops::default(), None, Item { leaves: true, origin: NO_WORKER, ..Item::default() });
            ctx.stop();
        }
        Directory::<M>::of(&self.shared).leaves(&self.shared, self.address, durable);
    }
}

impl<M: Machine> Handler<Stop> for EntityActor<M> {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        self.hand_over(Ops::default(), None, Item { leaves: true, origin: NO_WORKER, ..Item::default() });
        ctx.stop();
    }
}
