//! What a box holds of its exchanges, orders and settings.

use super::words::{OnlineCommand, OpenOrder, Order};
use crate::{
    boxes::{Act, By, Command, SecretHash, SmartBox},
    kernel::{ExchangeId, KeyId, PersonId, UnixMillis},
};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// So long the server waits for the end of an exchange that it has decided.
pub const OPEN_FOR: Duration = Duration::from_secs(20);
/// An order that no box has fetched, or that it has fetched and says nothing of, dies after this.
pub const ORDER_LIVES_FOR: Duration = Duration::from_secs(60);
/// Exchanges under way at one box.
pub(super) const MAX_OPEN: usize = 8;
/// Exchanges that a journal entry can still refer to; of those that have ended the oldest go first.
pub(super) const MAX_KEPT: usize = 32;
pub(super) const MAX_ORDERS: usize = 8;
/// A completion may be on its way for so long though the journal was drained meanwhile.
const KEPT_AT_LEAST: Duration = Duration::from_secs(600);
/// Wrong codes that are let by before a box has to wait, and how long it takes to forget one.
pub(super) const WRONG_CODES: u64 = 10;
pub(super) const WRONG_CODE_FORGOTTEN_MS: u64 = 600_000;

#[derive(Debug, Clone, Default, PartialEq, Encode, Decode)]
pub(in crate::boxes) struct Online {
    #[n(0)]
    pub settings: Settings,
    #[n(1)]
    pub exchanges: Vec<Exchange>,
    /// When the last wrong code will be forgotten; each adds `WRONG_CODE_FORGOTTEN_MS`.
    #[n(2)]
    pub wrong_until: UnixMillis,
    #[n(3)]
    pub orders: Vec<KeptOrder>,
    /// Of the last change of the settings.
    #[n(4)]
    pub set_at: u64,
}

/// What an administrator has chosen for one box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Settings {
    /// A drop-off without authentication: the time is logged, the person is not.
    #[n(0)]
    pub quick_scan: bool,
    /// What else a person has to type for a pick-up.
    #[n(1)]
    pub second_factor: SecondFactor,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize, ToSchema)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum SecondFactor {
    #[default]
    #[n(0)]
    None,
    #[n(1)]
    Pin,
    /// A code that the server sends to the person's mobile telephone. A box without network asks for the PIN.
    #[n(2)]
    Sms,
}

impl Default for Settings {
    fn default() -> Self {
        Self { quick_scan: true, second_factor: SecondFactor::None }
    }
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(in crate::boxes) struct Exchange {
    #[n(0)]
    pub id: ExchangeId,
    #[n(1)]
    pub act: Act,
    #[n(2)]
    pub bin: u16,
    #[n(3)]
    pub person: Option<PersonId>,
    #[n(4)]
    pub until: UnixMillis,
    #[n(5)]
    pub stage: Stage,
    #[n(6)]
    pub by: Option<By>,
    /// Of a drop-off of a fob that no key had: the key that hangs on it.
    #[n(7)]
    pub named: Option<KeyId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(in crate::boxes) enum Stage {
    #[n(0)]
    Open,
    #[n(1)]
    Completed,
    /// Cancelled or expired: it has not happened, unless the journal says so.
    #[n(2)]
    Ended,
}

impl Exchange {
    pub fn is_completed(&self) -> bool {
        self.stage == Stage::Completed
    }

    /// Holds without the tick that ends it.
    pub fn is_open(&self, now: UnixMillis) -> bool {
        self.stage == Stage::Open && now < self.until
    }
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(in crate::boxes) struct KeptOrder {
    #[n(0)]
    pub number: u64,
    #[n(1)]
    pub order: Order,
    /// When it dies without being fetched, or without a result.
    #[n(2)]
    pub until: UnixMillis,
    #[n(3)]
    pub given_at: UnixMillis,
    #[n(4)]
    pub retrieved_at: Option<UnixMillis>,
}

impl Online {
    pub fn exchange(&self, id: ExchangeId) -> Option<&Exchange> {
        self.exchanges.iter().find(|exchange| exchange.id == id)
    }

    pub fn next_deadline(&self) -> Option<UnixMillis> {
        let open = self.exchanges.iter().filter(|exchange| exchange.stage == Stage::Open);
        let orders = self.orders.iter().map(|order| order.until);
        open.map(|exchange| exchange.until).chain(orders).min()
    }

    /// What may be forgotten once the journal is known to its end.
    pub fn forget(&mut self, now: UnixMillis) {
        self.exchanges.retain(|exchange| exchange.stage == Stage::Open || exchange.until.plus(KEPT_AT_LEAST) >= now);
        if self.exchanges.is_empty() {
            self.exchanges = Vec::new();
        }
    }

    pub fn is_blank(&self, now: UnixMillis) -> bool {
        *self == Self { wrong_until: self.wrong_until, ..Self::default() } && self.wrong_until <= now
    }

    /// Heap memory beside its own.
    pub fn heap_bytes(&self) -> usize {
        self.exchanges.capacity() * size_of::<Exchange>() + self.orders.capacity() * size_of::<KeptOrder>()
    }
}

/// What a link has to know of its box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkView {
    /// The token is the one of the last enrolment, and the box is not suspended.
    pub holds: bool,
    /// The newest change that the box did not make itself and has not confirmed.
    pub missing: Option<u64>,
    /// There are orders that it has not been given.
    pub orders: bool,
}

impl SmartBox {
    pub fn settings(&self) -> Settings {
        self.online.as_ref().map(|online| online.settings).unwrap_or_default()
    }

    /// What the entity tag of the settings shows.
    pub fn settings_tag(&self) -> u64 {
        self.online.as_ref().map(|online| online.set_at).filter(|at| *at > 0).unwrap_or(self.described)
    }

    pub fn link_view(&self, token_hash: &SecretHash, now: UnixMillis) -> LinkView {
        let waits = |order: &KeptOrder| order.retrieved_at.is_none() && now < order.until;
        LinkView {
            holds: self.check_token(token_hash).is_ok(),
            missing: self.sync.missing.last().map(|missing| missing.revision),
            orders: self.online.as_ref().is_some_and(|online| online.orders.iter().any(waits)),
        }
    }

    /// Whether a box that holds a link has to hear of what this command did: all that it did not do itself.
    pub(in crate::boxes) fn concerns_its_link(&self, command: &Command) -> bool {
        match command {
            Command::Sync { .. } => self.suspended,
            Command::Online(command) => matches!(command, OnlineCommand::Give { .. } | OnlineCommand::Set { .. }),
            Command::Confirm { .. } | Command::Tick => false,
            _ => true,
        }
    }

    /// Whether the box has missed a contact: no order reaches it.
    pub(in crate::boxes) fn is_away(&self, now: UnixMillis) -> bool {
        self.token_hash.is_none()
            || self.suspended
            || self.sync.offline
            || self.sync.last_contact.is_none()
            || self.sync.contact_due.is_some_and(|due| due < now)
    }
}

impl From<&KeptOrder> for OpenOrder {
    fn from(kept: &KeptOrder) -> Self {
        Self { number: kept.number, order: kept.order, until: kept.until }
    }
}
