//! The one actor of all contexts: decides, evolves at once, hands record and answer over within its turn.

use super::{
    Committed, Failure, Shared,
    claims::{ClaimKey, Denied},
    committer::{Item, Outcome, Record},
    directory::Directory,
    inbox::{Finish, NO_WORKER, Parcel, current_worker},
    work::{CommandWork, Delivered, Done, Envelope, MessageWork, NoticeWork, ReplayWrite, Reply, Work},
};
use crate::{
    kernel::{
        Address, ClaimOp, ClaimSpace, Codec, Condition, Context as Circumstances, Effects, Machine, Principal,
        Progress, Stamp, UnixMillis, invariants,
    },
    store::{Ops, StoredReplay, keys, ops::OpTag},
};
use actix::{Actor, ActorContext, Context, Handler, Message};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
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
pub(super) struct Judged<M: Machine> {
    pub events: Vec<M::Event>,
    pub effects: Effects,
    pub claims: Vec<ClaimOp>,
}

type Judgement<M> = Result<(Judged<M>, <M as Machine>::Answer), Nothing<<M as Machine>::Refusal>>;

/// Why there is nothing to hand over.
enum Nothing<R> {
    Failed(Failure<R>),
    Panicked,
}

impl<M: Machine> EntityActor<M> {
    pub(super) fn partition(&self) -> u8 {
        self.shared.db.partition_of(self.address.org)
    }

    fn context(&self, by: Principal, from: Option<std::net::IpAddr>, now: UnixMillis) -> Circumstances {
        let epoch = self.shared.epochs[usize::from(self.partition())];
        let now = now.max(self.last_at);
        Circumstances { org: self.address.org, now, epoch, up_since: self.shared.up_since, by, from }
    }

    /// Decides and evolves. On a panic the state may be half changed: the actor must not be used again.
    fn judge(
        &mut self,
        command: &M::Command,
        only_if: Option<&Condition>,
        cx: &Circumstances,
        held: &mut Vec<ClaimKey>,
    ) -> Judgement<M> {
        catch_unwind(AssertUnwindSafe(|| self.judge_unguarded(command, only_if, cx, held)))
            .unwrap_or_else(|_| {
                tracing::error!(entity = %self.address.entity, "panic in decide or evolve: entity quarantined");
                Err(Nothing::Panicked)
            })
            .inspect_err(|_| held.drain(..).for_each(|claim| self.shared.claims.settle(&claim)))
    }

    fn judge_unguarded(
        &mut self,
        command: &M::Command,
        only_if: Option<&Condition>,
        cx: &Circumstances,
        held: &mut Vec<ClaimKey>,
    ) -> Judgement<M> {
        let stale = only_if.and_then(|condition| {
            let tag = self.state.tag(command, self.revision);
            (!condition.holds(tag)).then_some(tag.is_some())
        });
        if stale == Some(true) {
            return Err(Nothing::Failed(Failure::Stale));
        }
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
            // What is not there is refused as such, if it is refused.
            if stale.is_some() {
                return Err(Nothing::Failed(Failure::Stale));
            }
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

    pub(super) fn claim_key(&self, space: ClaimSpace, value: &[u8]) -> ClaimKey {
        let org = self.address.org;
        ClaimKey { space, org, digest: self.shared.claim_digest(space, org, value) }
    }

    fn take_claims(&self, claims: &[ClaimOp], held: &mut Vec<ClaimKey>) -> Result<(), Failure<M::Refusal>> {
        for claim in claims {
            let own = self.address;
            let (space, value, holders) = match claim {
                ClaimOp::Take { space, value } => (*space, value, &[own][..]),
                ClaimOp::TakeFree { space, value } => (*space, value, &[][..]),
                ClaimOp::Inherit { space, value, from } => (*space, value, &[own, *from][..]),
                ClaimOp::Release { .. } => continue,
            };
            let key = self.claim_key(space, value);
            match self.shared.claims.take(&self.shared.db, key, own, holders) {
                Ok(()) => held.push(key),
                Err(Denied::Taken) => return Err(Failure::Taken(space)),
                Err(Denied::Store(error)) => return Err(Failure::Store(error.to_string())),
            }
        }
        Ok(())
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
        let publish = match judged {
            Some(judged) if judged.effects.rings => self.rings(),
            _ if events > 0 => self.publication(),
            _ => None,
        };
        let sends_messages = judged.is_some_and(|judged| !judged.effects.messages.is_empty());
        let sends_mails = judged.is_some_and(|judged| !judged.effects.mails.is_empty());
        let seals = judged.is_some_and(|judged| judged.effects.touches_a_key());
        self.last_place = queue.submit(Item { record, ops, publish, sends_messages, sends_mails, seals, ..rest });
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

    /// The same, and tells whoever holds a line to this entity.
    fn rings(&self) -> Option<Box<dyn FnOnce() + Send>> {
        let (bells, address, publish) = (Arc::clone(&self.shared.bells), self.address, self.publication());
        Some(Box::new(move || {
            if let Some(publish) = publish {
                publish();
            }
            bells.ring(address);
        }))
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
        let CommandWork { command, by, from, now, only_if, replay, permit, to_new: _, answer } = work;
        let cx = self.context(by, from, now);
        let mut claims = Vec::new();
        let judged = self
            .hold_replay(replay.as_ref(), &mut claims)
            .and_then(|()| self.judge(&command, only_if.as_deref(), &cx, &mut claims));
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
        let tag = self.state.tag(&command, self.revision);
        let committed = Committed { answer: answered, revision: self.revision, tag };
        if let Some(ReplayWrite { key, body_hash, render }) = replay {
            let (status, body) = render(&committed);
            let stored = StoredReplay { at: cx.now, body_hash, status, body };
            ops.push(OpTag::Put, &keys::replay(self.partition(), &key), |bytes| stored.encode_into(bytes));
        }
        let finish = reply(Ok(committed));
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
        let mut judged = self.judge(command, None, &cx, &mut claims);
        if let Err(Nothing::Failed(Failure::Taken(_))) = judged
            && let Some(instead) = M::if_taken(command)
        {
            judged = self.judge(&instead, None, &cx, &mut claims);
        }
        match judged {
            Ok((judged, _)) => match self.write(&judged, &cx, &mut ops) {
                Ok(()) => self.hand_over(ops, Some(&judged), item(Delivered::Done, claims)),
                Err(error) => {
                    tracing::error!(%error, entity = %self.address.entity, "a change cannot be written");
                    self.answer_now(item(Delivered::Refused, claims));
                    self.quarantine(ctx);
                }
            },
            // Nothing is written, so that it can be sent again.
            Err(Nothing::Failed(Failure::Taken(_))) => self.answer_now(item(Delivered::Taken, claims)),
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
            Work::Notice(NoticeWork { command, post_key, now, done }) => {
                let mut ops = Ops::default();
                ops.delete(&post_key);
                self.own_command(&command, now, Principal::Server, ops, done, ctx);
            }
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
