//! What a caller gives, and what comes back.

use super::{Permit, ReplayWrite};
use crate::kernel::{ClaimSpace, Condition, Machine, Principal, UnixMillis};
use std::{convert::Infallible, net::IpAddr};

/// Why there is no answer. Nothing has changed, unless the outcome is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure<R> {
    Refused(R),
    /// The object is not as the caller's condition says.
    Stale,
    /// Another entity holds this value.
    Taken(ClaimSpace),
    /// The entity's mailbox is full, or too many are awake.
    Busy,
    /// The entity panicked; it is out of service until the next start.
    Quarantined,
    /// Failed before the write: send the same request again.
    NotWritten,
    /// The log broke: send the same request with the same idempotency key after the restart.
    OutcomeUnknown,
    /// The disk is nearly full.
    ReadOnly,
    Stopping,
    /// The same idempotency key is being worked on.
    InProgress,
    /// The same idempotency key has been answered: the stored answer stands.
    Replayed,
    /// The store cannot be read.
    Store(String),
    /// The organisation is being erased.
    Gone,
}

impl Failure<Infallible> {
    /// The same failure where refusals of another kind are possible.
    pub fn widen<R>(self) -> Failure<R> {
        match self {
            Self::Refused(never) => match never {},
            Self::Stale => Failure::Stale,
            Self::Taken(space) => Failure::Taken(space),
            Self::Busy => Failure::Busy,
            Self::Quarantined => Failure::Quarantined,
            Self::NotWritten => Failure::NotWritten,
            Self::OutcomeUnknown => Failure::OutcomeUnknown,
            Self::ReadOnly => Failure::ReadOnly,
            Self::Stopping => Failure::Stopping,
            Self::InProgress => Failure::InProgress,
            Self::Replayed => Failure::Replayed,
            Self::Store(error) => Failure::Store(error),
            Self::Gone => Failure::Gone,
        }
    }
}

/// An answer and the revision that it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed<A> {
    pub answer: A,
    pub revision: u64,
    /// See `Machine::tag`.
    pub tag: Option<u64>,
}

/// Who calls, when, and with what room.
pub struct Call<M: Machine> {
    pub by: Principal,
    pub from: Option<IpAddr>,
    /// Read once, at the door.
    pub now: UnixMillis,
    pub permit: Permit,
    pub only_if: Option<Box<Condition>>,
    pub replay: Option<ReplayWrite<M>>,
}

impl<M: Machine> Call<M> {
    /// A call of the server's own: bounded elsewhere, without conditions.
    pub fn own(now: UnixMillis) -> Self {
        Self { by: Principal::Server, from: None, now, permit: Permit::internal(), only_if: None, replay: None }
    }
}
