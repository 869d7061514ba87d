//! What an actor is asked to do, and how the answer finds its way back.

use super::{
    Committed, Failure, Shared,
    committer::Outcome,
    directory::Directory,
    inbox::{Deliver, Finish},
    permit::Permit,
};
use crate::{
    kernel::{Address, Condition, Machine, Principal, Stamp, UnixMillis},
    store::record::HighWater,
};
use std::{
    convert::Infallible,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::oneshot;

/// One piece of work for one entity.
pub(super) struct Envelope<M: Machine> {
    pub to: Address,
    pub origin: u16,
    pub work: Work<M>,
}

pub(super) type Answered<M> = Result<Committed<<M as Machine>::Answer>, Failure<<M as Machine>::Refusal>>;

pub(super) enum Work<M: Machine> {
    Command(CommandWork<M>),
    Read(Box<dyn ReadWork<M>>),
    Tick { due: UnixMillis, now: UnixMillis, done: oneshot::Sender<Delivered> },
    Message(MessageWork<M>),
    Notice(NoticeWork<M>),
}

pub(super) struct CommandWork<M: Machine> {
    pub command: M::Command,
    pub by: Principal,
    pub from: Option<IpAddr>,
    pub now: UnixMillis,
    pub only_if: Option<Box<Condition>>,
    pub replay: Option<ReplayWrite<M>>,
    pub permit: Permit,
    /// The id was drawn a moment ago: nobody can have written to it.
    pub to_new: bool,
    pub answer: oneshot::Sender<Answered<M>>,
}

pub(super) struct MessageWork<M: Machine> {
    pub command: M::Command,
    pub from: Address,
    pub id: HighWater,
    /// The newest message of this sender that the receiver had taken, read just before.
    pub taken: Option<HighWater>,
    /// The outbox row that is done with this message.
    pub outbox_key: Option<Vec<u8>>,
    pub now: UnixMillis,
    pub done: oneshot::Sender<Delivered>,
}

/// What the server's own post tells an entity. The row that it is about goes with the same record, so it needs no mark
/// to be taken once.
pub(super) struct NoticeWork<M: Machine> {
    pub command: M::Command,
    pub post_key: Vec<u8>,
    pub now: UnixMillis,
    pub done: oneshot::Sender<Delivered>,
}

/// Status and body of an answer.
type Rendered = (u16, Vec<u8>);

/// The answer to store beside the change, for a request with an idempotency key.
pub struct ReplayWrite<M: Machine> {
    pub key: [u8; 32],
    pub body_hash: [u8; 32],
    pub render: fn(&Committed<M::Answer>) -> Rendered,
}

/// What became of a tick or a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivered {
    Done,
    Refused,
    /// Not now: busy or not durable.
    Later,
    /// Not now: another entity still holds a value that this one is to take over.
    Taken,
}

/// A read of an actor's state, typed by what it finds.
pub(super) trait ReadWork<M>: Send {
    fn read(self: Box<Self>, state: &M, stamp: Stamp) -> Box<dyn Finish>;
    fn fail(self: Box<Self>, failure: Failure<Infallible>);
}

pub(super) struct Reading<R, F> {
    pub read: F,
    pub answer: oneshot::Sender<Result<R, Failure<Infallible>>>,
}

impl<M, R: Send + 'static, F: FnOnce(&M, Stamp) -> R + Send> ReadWork<M> for Reading<R, F> {
    fn read(self: Box<Self>, state: &M, stamp: Stamp) -> Box<dyn Finish> {
        let found = (self.read)(state, stamp);
        Box::new(Reply { result: Ok(found), answer: self.answer, permit: None })
    }

    fn fail(self: Box<Self>, failure: Failure<Infallible>) {
        let _ = self.answer.send(Err(failure));
    }
}

/// An answer that waits for durability, and the room that it holds meanwhile.
pub(super) struct Reply<T, R> {
    pub result: Result<T, Failure<R>>,
    pub answer: oneshot::Sender<Result<T, Failure<R>>>,
    pub permit: Option<Permit>,
}

impl<T: Send, R: Send> Finish for Reply<T, R> {
    fn finish(self: Box<Self>, outcome: Outcome) {
        let result = match outcome {
            Outcome::Durable => self.result,
            Outcome::Rejected => Err(Failure::NotWritten),
            Outcome::Unknown => Err(Failure::OutcomeUnknown),
        };
        // Whoever asked may have hung up: the change stands all the same.
        let _ = self.answer.send(result);
        drop(self.permit);
    }
}

pub(super) struct Done {
    pub delivered: Delivered,
    pub done: oneshot::Sender<Delivered>,
}

impl Finish for Done {
    fn finish(self: Box<Self>, outcome: Outcome) {
        let _ = self.done.send(if outcome == Outcome::Durable { self.delivered } else { Delivered::Later });
    }
}

impl<M: Machine> Envelope<M> {
    /// Whether nothing can be stored of its entity.
    pub fn is_to_new(&self) -> bool {
        matches!(&self.work, Work::Command(work) if work.to_new)
    }

    /// Answers without having visited the actor: nothing has happened.
    pub fn fail(self, failure: Failure<Infallible>) {
        match self.work {
            Work::Command(work) => {
                let _ = work.answer.send(Err(failure.widen()));
            }
            Work::Read(read) => read.fail(failure),
            Work::Tick { done, .. }
            | Work::Message(MessageWork { done, .. })
            | Work::Notice(NoticeWork { done, .. }) => {
                let for_good = matches!(failure, Failure::Quarantined | Failure::Gone);
                let _ = done.send(if for_good { Delivered::Refused } else { Delivered::Later });
            }
        }
    }
}

impl<M: Machine> Deliver for Envelope<M> {
    fn deliver(self: Box<Self>, shared: &Arc<Shared>) {
        Directory::<M>::of(shared).deliver(shared, self);
    }
}

/// Counts a command for as long as somebody waits for it.
pub(super) struct Asked<'a>(&'a AtomicUsize);

impl<'a> Asked<'a> {
    pub fn count(asked: &'a AtomicUsize) -> Self {
        asked.fetch_add(1, Ordering::Relaxed);
        Self(asked)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
